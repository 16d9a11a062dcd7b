"""A step of data-parallel training, in wall-clock and processor time, one thread a process:

    python -m tests.benchmarks.mpi_steps HIDDEN BATCH STEPS              one process, the whole batch
    mpiexec -n 2 python -m tests.benchmarks.mpi_steps HIDDEN BATCH STEPS   two, half of it each

Run them in turns, while the machine does nothing else: each step waits for the slowest rank. The least time of a step
is the one that nobody disturbed.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np

from tinyseq import nn, train
from tinyseq.tasks import Windows
from tinyseq.train.ranks import ALONE, MpiRanks, Ranks

SYMBOLS, WINDOW = 65, 50


class Timed(MpiRanks):
    """Ranks that say how long a step's exchange took, with and without the waiting for others."""

    def __init__(self) -> None:
        super().__init__()
        self.joining: list[float] = []
        self.waiting: list[float] = []

    def wait(self) -> None:
        began = time.perf_counter()
        super().wait()
        self.waiting.append(time.perf_counter() - began)

    def joined(self, *given: Any) -> float:
        began = time.perf_counter()
        loss = super().joined(*given)
        self.joining.append(time.perf_counter() - began - self.waiting[-1])
        return loss


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    hidden, batch, steps = map(int, sys.argv[1:4])
    several = int(os.environ.get("OMPI_COMM_WORLD_SIZE") or os.environ.get("PMI_SIZE") or 1) > 1
    ranks: Ranks = Timed() if several else ALONE
    if not several and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # one thread, as a rank has
    rng = np.random.default_rng(0)
    model = nn.LSTM(SYMBOLS, hidden, SYMBOLS, rng=rng)
    windows = Windows(rng.integers(0, SYMBOLS, batch * WINDOW * 8 + batch), WINDOW, batch)
    wall, used = list[float](), list[float]()

    def clock(history: Any) -> None:
        wall.append(time.perf_counter())
        used.append(processor())

    train.fit(model, windows, "adam", steps, clip=1.0, ranks=ranks, progress=False, callbacks=[clock])
    each = [1e3 * (b - a) for a, b in pairwise(wall[5:])]
    numbers, busy = sum(p.value.size for p in model.parameters()), 1e3 * (used[-1] - used[5]) / len(each)
    told = f"rank {ranks.rank} of {ranks.size}: {numbers:,} numbers, a step {statistics.median(each):.1f} ms "
    told += f"(least {min(each):.1f}), processor {busy:.1f}"
    if isinstance(ranks, Timed):
        joining, waiting = ([1e3 * s for s in times[5:]] for times in (ranks.joining, ranks.waiting))
        told += f", Allreduce {statistics.median(joining):.2f} (least {min(joining):.2f}), waiting "
        told += f"{statistics.median(waiting):.2f}"
    print(told, flush=True)


if __name__ == "__main__":
    main()
