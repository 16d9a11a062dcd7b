"""Kinds of cells by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.nn.cells import RNNCell
from tinyseq.nn.deep import DeepTransition
from tinyseq.nn.gates import GRUCell, LSTMCell
from tinyseq.nn.time_scales import LeakyCell, decays


def leaky(input_size: int, hidden_size: int, **options: Any) -> LeakyCell:
    """Leaky units whose time constants lie between 1 and 100 steps."""
    return LeakyCell(input_size, hidden_size, **{"alpha": decays(np.geomspace(1, 100, hidden_size)), **options})


CellMaker = str | Callable[..., Any]

KINDS: dict[str, Any] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell, "leaky": leaky, "deep": DeepTransition}


def make_cell(kind: CellMaker, input_size: int, hidden_size: int, **options: Any) -> Any:
    """A cell by its name, "rnn", "lstm", "gru", "leaky" or "deep", or by a class or function that makes one."""
    if callable(kind):
        return kind(input_size, hidden_size, **options)
    if kind not in KINDS:
        raise TinyseqError(f"unknown cell {kind!r}; known are {', '.join(KINDS)}, or give a class such as nn.LSTMCell")
    return KINDS[kind](input_size, hidden_size, **options)
