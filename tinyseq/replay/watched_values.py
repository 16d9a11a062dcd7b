"""Values that a recording depends on, compared: whether they mean the same, and the states of random generators."""

from __future__ import annotations

import random
import types
from typing import Any

import numpy as np

MOST_BYTES = 1 << 20  # of an array that is kept to compare with; of a larger one a hash
ATOMS = (int, float, complex, str, bytes, type(None), np.generic, np.dtype, range, slice)


def alike(one: Any, other: Any) -> bool:
    """Whether two values mean the same to a recording: one object, or equal numbers or texts of one type and sign."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, ATOMS):
        return repr(one) == repr(other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return isinstance(one, types.MethodType) and one.__self__ is other.__self__ and one.__func__ is other.__func__


def bytes_of(array: np.ndarray) -> Any:
    """What tells whether an array holds the same numbers."""
    if array.dtype.hasobject:
        return None
    return array.tobytes() if array.nbytes <= MOST_BYTES else (array.nbytes, hash(array.tobytes()))


def state_of(generator: Any) -> Any:
    """The state of a generator of random numbers, to be compared."""
    if isinstance(generator, random.Random):
        return None if isinstance(generator, random.SystemRandom) else hash(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return _comparable(generator.get_state(legacy=True))
    return repr(generator.bit_generator.state)


def global_states() -> tuple[Any, Any]:
    """The states of the generators that belong to nobody: ``np.random.…`` and ``random.…``."""
    return _comparable(np.random.get_state(legacy=True)), hash(random.getstate())  # noqa: NPY002


def _comparable(state: Any) -> Any:
    name, keys, *more = state
    return name, keys.tobytes(), *more
