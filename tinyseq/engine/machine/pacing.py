"""Whether threads run together or one thread does all their work: by the time it takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median


class Pace:
    """Chooses between running together and running alone by the time they take.

    Threads that wait for each other lose when another process holds a processor: a run that takes milliseconds
    together can then take a hundred. Both give the same numbers, so the faster is taken, and the other is
    tried again from time to time: the more seldom, the more often it lost. Programs of one plan share a pace, though
    each may run only once: what counts is time for so much work.
    """

    SOONEST, LATEST_ALONE, LATEST_TOGETHER = 8, 64, 16

    def __init__(self) -> None:
        self._together: deque[float] = deque(maxlen=5)  # seconds of the last runs: their median tells, as one of them
        self._alone: deque[float] = deque(maxlen=5)  # may have met a moment when a processor was away
        self.runs = 0
        self.wait, self.next_trial = self.SOONEST, 3

    @property
    def prefers_alone(self) -> bool:
        """Whether runs alone are the faster ones."""
        return len(self._together) == 5 and bool(self._alone) and median(self._together) > median(self._alone)

    def run(
        self, together: Callable[[], None], alone: Callable[[], None], ready: Callable[[], None], work: float = 1.0
    ) -> None:
        """Run one of the two. ``ready`` makes what running alone needs, which is not its time; ``work``: how much
        there is to do, in any unit."""
        self.runs += 1
        before, trial = self.prefers_alone, self.runs == self.next_trial
        pick_alone = before != trial
        if pick_alone:
            ready()
        start = time.perf_counter()
        (alone if pick_alone else together)()
        took = (time.perf_counter() - start) / work
        if pick_alone:
            self._alone.append(took)
        elif self.runs > 1:  # the first run meets cold memory
            if before and took < median(self._alone):
                self._together.clear()  # the others are back
            self._together.append(took)
        if self.prefers_alone != before:
            self.wait, self.next_trial = self.SOONEST, self.runs + self.SOONEST
        elif trial:
            # Whoever runs alone by mistake loses half the machine: look sooner if the others are back.
            self.wait = min(2 * self.wait, self.LATEST_TOGETHER if before else self.LATEST_ALONE)
            self.next_trial = self.runs + self.wait
