"""Memory that programs run in, one after the other.

What a run leaves in its arena is of use until its results are copied, so programs that hand out copies take turns in
one arena. That bounds what many programs keep, and a program that has never run before finds pages that are there
already: for a new set of lengths, touching new ones takes longer than the work itself.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

LINE = 64  # bytes of a cache line
ROOM = 1.5  # of what was asked for: the next structure may want a little more


def aligned(count: int, dtype: np.dtype, alignment: int = LINE) -> np.ndarray:
    """Uninitialised memory that begins at a multiple of ``alignment`` bytes."""
    raw = np.empty(count * dtype.itemsize + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + count * dtype.itemsize].view(dtype)


class Memory:
    """Bytes that several programs may use in turn.

    ``tenant`` is who ran last: whoever finds another one has to write down its constants anew. A plain lock, so that
    neither another thread nor a signal handler of this one takes it while results are being copied.
    """

    def __init__(self, nbytes: int) -> None:
        self.bytes = aligned(nbytes, np.dtype(np.uint8))
        self.lock = threading.Lock()
        self.tenant: object = None


class Lent:
    """The memory that a thread's programs share, as long as one of them is alive."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def memory(self, nbytes: int) -> Memory:
        """Memory of at least so many bytes: that of the last program of this thread, if it is large enough and free.

        One that is held is in use by a run that this very thread is in the middle of, or an interrupt came between two
        lines and nobody will let go of it: those that share it move to others, one by one.
        """
        known = getattr(self._of_thread, "memory", None)
        found = known() if known is not None else None
        if found is None or found.lock.locked() or found.bytes.nbytes < nbytes:
            found = Memory(nbytes if found is None else int(ROOM * nbytes))
            self._of_thread.memory = weakref.ref(found)
        return found


LENT = Lent()


@contextmanager
def held(memory: Memory) -> Iterator[bool]:
    """Hold a memory if nobody else does; says whether it is held."""
    mine = memory.lock.acquire(blocking=False)
    try:
        yield mine
    finally:
        if mine:
            memory.lock.release()
