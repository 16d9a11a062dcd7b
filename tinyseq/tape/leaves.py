"""Leaves of a tape: where parameters stand, what is known of integers, gradients handed to parameters all at once."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable

import numpy as np

from tinyseq.tape.kinds import Parameter
from tinyseq.tape.places import Form


def set_gradients(parameters: Iterable[Parameter], grads: Iterable[np.ndarray | None]) -> None:
    """Set gradients that nobody else holds: of all parameters, or of none, as no exception (Ctrl-C)
    comes between two of them.

    The loop is C code, and Python looks for signals between its own instructions only.
    """
    deque(map(setattr, parameters, itertools.repeat("_grad"), grads), maxlen=0)


class Leaf:
    """Where a parameter stands on a tape: what a tensor is without its tape."""

    __slots__ = ("form", "index")

    def __init__(self, index: int, form: Form) -> None:
        self.index, self.form = index, form


class Integers:
    """The input leaf whose elements a tensor of integers holds, and the least limit that all of them lie below."""

    __slots__ = ("leaf", "limit")

    def __init__(self, leaf: int) -> None:
        self.leaf = leaf
        self.limit: float | None = None  # None before somebody has looked, infinity where one is negative
