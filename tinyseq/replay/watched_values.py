"""Values that a recording depends on, compared: whether they mean the same, and the states of random generators."""

from __future__ import annotations

import random
import sys
import types
from ctypes import string_at
from typing import Any

import numpy as np

MOST_BYTES = 1 << 20  # of an array that is kept to compare with; of a larger one a hash
BYTES = 4 * 625  # of a Mersenne twister: 624 words and the place among them
HEAD = object.__basicsize__  # bytes before what an object of CPython's holds
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


def bytes_of(array: Any) -> Any:
    """What tells whether an array, of NumPy's or of bytes, holds the same numbers."""
    if not isinstance(array, np.ndarray):
        array = memoryview(array)
    elif array.dtype.hasobject:
        return None
    return array.tobytes() if array.nbytes <= MOST_BYTES else (array.nbytes, hash(array.tobytes()))


def state_of(generator: Any) -> Any:
    """The state of a generator of random numbers, to be compared."""
    if isinstance(generator, random.Random):
        return None if isinstance(generator, random.SystemRandom) else hash(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return _comparable(generator.get_state(legacy=False))
    return repr(generator.bit_generator.state)


def global_states() -> tuple[Any, Any]:
    """The states of the generators that belong to nobody: ``np.random.…`` and ``random.…``."""
    return _NUMPYS.state(), _PYTHONS.state()


class _NumPys:
    """The state of ``np.random.…``: reading it takes longer than recording a small cell, a look at its memory not.

    That memory does not tell whether a second normal number is kept from the draw before. There is none where there was
    none when the memory was the same, as keeping one takes a draw.
    """

    def __init__(self) -> None:
        self.without: tuple[Any, bytes] | None = None  # generator and memory, with no number kept

    def state(self) -> Any:
        generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
        if type(generator) is not np.random.MT19937:
            return _comparable(np.random.get_state(legacy=False))  # noqa: NPY002
        memory = string_at(generator.ctypes.state_address, BYTES)
        if self.without == (generator, memory):
            return memory, 0, 0.0
        *_, kept, number = np.random.get_state(legacy=True)  # noqa: NPY002
        if not kept:
            self.without = generator, memory
        return memory, kept, number


class _Pythons:
    """The state of ``random.…``: 625 numbers one by one take longer than a small cell, a look at their memory not."""

    def __init__(self) -> None:
        self.known: Any = None  # the generator whose memory is known to hold its state

    def state(self) -> Any:
        generator: Any = getattr(random, "_inst", None)
        if generator is None or (generator is not self.known and not self._readable(generator)):
            return hash(random.getstate())
        self.known = generator
        return string_at(id(generator) + HEAD, BYTES), generator.gauss_next

    @staticmethod
    def _readable(generator: Any) -> bool:
        """Whether the place and the words of the state lie behind the object's head, as CPython has them."""
        if sys.implementation.name != "cpython" or type(generator) is not random.Random:
            return False
        if random.getstate.__self__ is not generator:  # type: ignore[attr-defined]
            return False
        words = np.frombuffer(string_at(id(generator) + HEAD, BYTES), np.uint32).tolist()
        return (*words[1:], words[0]) == generator.getstate()[1]


def _comparable(state: dict[str, Any]) -> Any:
    """The state of a RandomState, any generator below it: numbers, and arrays as their bytes."""
    return [
        _comparable(part) if isinstance(part, dict) else part.tobytes() if isinstance(part, np.ndarray) else part
        for part in state.values()
    ]


_NUMPYS, _PYTHONS = _NumPys(), _Pythons()
