"""Kinds of cells by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyseq.errors import TinyseqError
from tinyseq.nn.cells import RNNCell
from tinyseq.nn.gates import GRUCell, LSTMCell

CellMaker = str | Callable[..., Any]


def make_cell(kind: CellMaker, input_size: int, hidden_size: int, **options: Any) -> Any:
    """A cell by its name, "rnn", "lstm" or "gru", or by a class or function that makes one."""
    if callable(kind):
        return kind(input_size, hidden_size, **options)
    kinds: dict[str, Any] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}
    if kind not in kinds:
        raise TinyseqError(f"unknown cell {kind!r}; known are {', '.join(kinds)}, or give a class such as nn.LSTMCell")
    return kinds[kind](input_size, hidden_size, **options)
