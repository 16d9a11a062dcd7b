"""Programs by the structure of the tape they were planned for."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from tinyseq.engine.environment import wishes
from tinyseq.engine.forks import Guard
from tinyseq.engine.limits import LIMITS
from tinyseq.engine.planned import planned
from tinyseq.engine.reasons import Later

if TYPE_CHECKING:
    from tinyseq.engine.machine.program import Program
    from tinyseq.tape import Tape

CACHED_PLANS = 32


class PlanCache:
    """Programs by the structure of the tape they were planned for; the least recently used is dropped."""

    def __init__(self, most: int = CACHED_PLANS) -> None:
        self.most = most
        self._programs: OrderedDict[tuple[StructureKey, tuple[str, str]], Program | str] = OrderedDict()
        self._guard = Guard()

    def program(self, tape: Tape, outputs: list[int], loss: int) -> tuple[Program | str, threading.RLock]:
        """A program for this tape, or the reason why there is none; hold the lock while using it."""
        key = structure_key(tape, outputs, loss), wishes()
        with (lock := self._guard.lock):
            found = self._programs.pop(key, None)
            if found is None or isinstance(found, Later):
                found = planned(tape, outputs, loss, apart=found is not None)
                self._trim()
            self._programs[key] = found
        return found, lock

    def _trim(self) -> None:
        """Make room for one more."""
        while self._programs and (len(self._programs) >= self.most or self.nbytes > LIMITS.bytes):
            self._programs.popitem(last=False)

    @property
    def nbytes(self) -> int:
        """Bytes of all programs, roughly."""
        return sum(p.nbytes for p in self._programs.values() if not isinstance(p, str))

    def __len__(self) -> int:
        return len(self._programs)

    def clear(self) -> None:
        """Forget all plans and free their memory."""
        with self._guard.lock:
            self._programs.clear()


CACHE = PlanCache()


class StructureKey:
    """A key of many parts whose hash is taken once."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: tuple) -> None:
        self.parts, self._hash = parts, hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, StructureKey) and self.parts == other.parts)


def structure_key(tape: Tape, outputs: list[int], loss: int) -> StructureKey:
    """All that a plan depends on: the kinds but for names, and a digest of the columns.

    A tape that was recorded before in the same way has the key that it had then.
    """
    tape.flush()
    if tape.recording_known is None:
        return StructureKey(_parts(tape, outputs, loss))
    keys, asked = tape.recording_known.keys, (loss, *outputs)
    found = keys.get(asked)
    if found is None:
        found = keys[asked] = StructureKey(_parts(tape, outputs, loss))
    return found


def _parts(tape: Tape, outputs: list[int], loss: int) -> tuple:
    digest = hashlib.sha1(usedforsecurity=False)  # half the time of blake2b where processors help
    for column in (tape.kind, tape.rows, tape.arg, tape.step, tape.input_pointers, tape.input_indices):
        digest.update(np.ascontiguousarray(column).data)
    kinds = tuple([(op, attrs, tail, dtype, cell, line) for op, attrs, tail, dtype, _, cell, line in tape.kinds])
    return kinds, repr([attrs for _, attrs, *_ in tape.kinds if attrs]), tuple(outputs), loss, digest.digest()
