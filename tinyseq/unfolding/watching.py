"""Unfoldings as they are made, for whoever wants to see each as one loop: ``with watched() as found``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Seen:
    """An unfolding: what it was made of, and where on the tape its instances stand.

    unfolded   the ``Unfolded`` or ``UnfoldedTree``
    sequences  nodes that the step reads row by row; the step's first nodes are these rows
    initial    nodes of the states before the first step
    bases      first node of each instance, in the order of running; empty where truncation or a tree stamped others
    """

    scope: str
    unfolded: Any
    sequences: list[int]
    initial: list[int]
    delays: tuple[int, ...]
    bases: np.ndarray


_watching: ContextVar[list[Seen] | None] = ContextVar("tinyseq_unfoldings", default=None)


@contextmanager
def watched() -> Iterator[list[Seen]]:
    """The unfoldings of the block, in the order in which they are made."""
    found: list[Seen] = []
    token = _watching.set(found)
    try:
        yield found
    finally:
        _watching.reset(token)


def noticed(
    scope: str,
    unfolded: Any,
    sequences: Sequence[Any] = (),
    initial: Sequence[Any] = (),
    delays: tuple[int, ...] = (1,),
    bases: np.ndarray | None = None,
) -> Any:
    """Tell whoever watches of an unfolding; returns it."""
    found = _watching.get()
    if found is not None:
        at = np.empty(0, np.int64) if bases is None else bases
        seen = Seen(scope, unfolded, [x.index for x in sequences], [h.index for h in initial], delays, at)
        found.append(seen)
    return unfolded
