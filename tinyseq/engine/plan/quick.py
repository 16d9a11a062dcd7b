"""What instances of a plan call for lists of integers, without what NumPy does for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

QUICK: dict[Any, Callable[..., Any]] = {
    np.diff: lambda a: a[..., 1:] - a[..., :-1],
    np.flatnonzero: lambda a: a.nonzero()[0],
    np.stack: np.array,  # which refuses lists of different lengths, as stack does
}


def quick(function: Any, given: list[Any]) -> Any:
    """A function that does the same for what it is given here, or the function itself."""
    return QUICK.get(function, function) if _listed(function, given) else function


def _listed(function: Any, given: list[Any]) -> bool:
    """Whether a function is given one list of integers (of truths, which places to find), or several of one length."""
    if len(given) != 1:
        return False
    known = (np.int64, np.bool_) if function is np.flatnonzero else (np.int64,)
    arrays = given[0] if isinstance(given[0], list) else given
    return all(isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype in known for a in arrays)


def put(array: np.ndarray, index: Any, given: Any) -> np.ndarray:
    """A copy in which some elements are others."""
    copy = array.copy()
    copy[index] = given
    return copy
