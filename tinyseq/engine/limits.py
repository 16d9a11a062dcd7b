"""How much is kept of what was recorded and planned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinyseq.errors import DataError


class Limits:
    """``number`` of recordings of each function; ``bytes`` of those of all functions, and of the plans of tapes."""

    def __init__(self) -> None:
        self.number, self.bytes = 32, 256 << 20

    @contextmanager
    def at_least(self, number: int, megabytes: float = 0) -> Iterator[None]:
        """Within it so many recordings of a function are kept, for a known number of batches, and so many megabytes of
        all functions'."""
        before = self.number, self.bytes
        self.number, self.bytes = max(self.number, number), max(self.bytes, int(megabytes * (1 << 20)))
        try:
            yield
        finally:
            self.number, self.bytes = before


LIMITS = Limits()


def keep_recordings(number: int | None = None, megabytes: float | None = None) -> tuple[int, float]:
    """Say how many recordings compiled functions keep: a number for each, megabytes for all together.

    Those that were not used for longest are dropped first, and recorded again when they are wanted. Returns what
    holds now; 32 and 256 if nobody says otherwise. A function with more shapes than that wants a larger number. The
    memory that they run in, one after the other, is as large as the largest of them wants and does not count; plans of
    tapes that are run without ``ts.compile`` may take as many megabytes once more.
    """
    for name, value in (("number", number), ("megabytes", megabytes)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1):
            raise DataError(f"{name} is at least 1, got {value!r}; write ts.keep_recordings(number=100)")
    LIMITS.number = LIMITS.number if number is None else int(number)
    LIMITS.bytes = LIMITS.bytes if megabytes is None else int(megabytes * (1 << 20))
    return LIMITS.number, LIMITS.bytes / (1 << 20)
