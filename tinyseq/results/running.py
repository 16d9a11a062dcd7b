"""Runs what is wanted, seed by seed, in processes of a core and one thread each; every row is kept as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tinyseq.bench.measuring.machine import cores
from tinyseq.errors import DataError, TinyseqError
from tinyseq.results.experiment import Experiment
from tinyseq.results.registry import EXPERIMENTS
from tinyseq.results.store import append, kept, stamped
from tinyseq.train.sweeps import own_core

LOOK = 0.5  # seconds between two looks at the bar


@dataclass(frozen=True)
class Job:
    """A seed of an experiment."""

    experiment: str
    seed: int

    @property
    def seconds(self) -> float:
        """What it is known to take."""
        return EXPERIMENTS[self.experiment].seconds


def chosen(names: Sequence[str], group: str | None = None) -> list[Experiment]:
    """Experiments by name, or those whose names begin so; all for none. Raises DataError for a name that is none."""
    found: dict[str, Experiment] = {}
    for wanted in names:
        mine = {n: e for n, e in EXPERIMENTS.items() if n == wanted} or {
            n: e for n, e in EXPERIMENTS.items() if n.startswith(wanted)
        }
        if not mine:
            raise DataError(f"no experiment is called {wanted!r}; there are {', '.join(EXPERIMENTS)}")
        found |= mine
    return list(found.values() if names else EXPERIMENTS.values())


def jobs(experiments: Sequence[Experiment], *, full: bool, named: bool, seeds: int | None) -> list[Job]:
    """What is to be run, the longest first: each experiment's own number of seeds, or ``seeds`` of each."""
    made = []
    for experiment in experiments:
        count = experiment.full if full else max(experiment.seeds, int(named))
        count = count if seeds is None else seeds
        made += [Job(experiment.name, seed) for seed in range(count)]
    return sorted(made, key=lambda job: -job.seconds)


def run_job(name: str, seed: int) -> dict[str, Any]:
    """One row: an experiment's numbers of a seed, its curves, and the seconds that it took."""
    started, used = time.perf_counter(), time.process_time()
    results = EXPERIMENTS[name].run(seed)
    curves = results.pop("curves", {})
    row = {"experiment": name, "seed": seed, "seconds": round(time.perf_counter() - started, 2),
           "cpu_seconds": round(time.process_time() - used, 2), "results": results}  # fmt: skip
    return {**row, "curves": curves} if curves else row


class Pace:
    """How far the jobs are, and how long they will take: by what they are known to take on an idle core, and by how
    much longer those that ended took here."""

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        self.total, self.workers = sum(job.seconds for job in jobs), workers
        self.done = self.took = 0.0

    def ended(self, job: Job, seconds: float) -> None:
        """A job ended after so many seconds."""
        self.done, self.took = self.done + job.seconds, self.took + seconds

    def now(self, running: Iterable[tuple[Job, float]]) -> tuple[float, float]:
        """(share that is done, seconds left), given what is running and for how long."""
        slower = self.took / self.done if self.done else 1.0
        inside, longest = 0.0, 0.0
        for job, seconds in running:
            share = min(seconds / (slower * job.seconds), 0.95)
            inside, longest = inside + share * job.seconds, max(longest, (1 - share) * job.seconds)
        left = max((self.total - self.done - inside) / self.workers, longest)
        return (self.done + inside) / self.total, slower * left


def run(
    wanted: Sequence[Job],
    folder: Path,
    *,
    workers: int | None = None,
    told: Callable[[float, float, str], object] = lambda share, left, text: None,
    ended: Callable[[dict[str, Any], int, int, float], object] = lambda row, count, of, left: None,
) -> list[dict[str, Any]]:
    """Run jobs that the folder does not hold yet; returns all its rows. ``told(share, seconds left, text)`` is called
    as time passes, ``ended(row, how many, of how many, seconds left)`` as a row is kept. Raises what an experiment
    raises, and TinyseqError where a process was killed, after the rows that were done are kept."""
    known = {(row["experiment"], row["seed"]) for row in kept(folder)}
    left = [job for job in wanted if (job.experiment, job.seed) not in known]
    if left:
        workers = min(workers or cores(), len(left))
        context = get_context("spawn")
        own = (own_core, (context.Value("i", 0),)) if workers > 1 else (None, ())
        pace = Pace(left, workers)
        try:
            with ProcessPoolExecutor(workers, context, *own) as pool:
                for count, (row, seconds) in enumerate(_rows(pool, left, workers, pace, told), 1):
                    append(folder, stamped(row))
                    ended(row, count, len(left), seconds)
        except BrokenProcessPool:
            raise TinyseqError(
                f"a process that ran an experiment was killed, for want of memory or by hand; what had ended is kept "
                f"in {folder}: the same command goes on with the rest, with --workers 1 in less memory"
            ) from None
    return kept(folder)


def _rows(
    pool: ProcessPoolExecutor, left: Sequence[Job], workers: int, pace: Pace, told: Any
) -> Iterator[tuple[dict[str, Any], float]]:
    """(row, seconds left after it) as they end."""
    queue = list(left)
    running: dict[Future[dict[str, Any]], tuple[Job, float]] = {}

    def now() -> tuple[float, float]:
        at = time.perf_counter()
        return pace.now((job, at - began) for job, began in running.values())

    try:
        while queue or running:
            while queue and len(running) < workers:
                job = queue.pop(0)
                running[pool.submit(run_job, job.experiment, job.seed)] = job, time.perf_counter()
            for future in wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done:
                job, began = running.pop(future)
                pace.ended(job, time.perf_counter() - began)
                yield future.result(), now()[1]
            told(*now(), ", ".join(f"{job.experiment} {job.seed}" for job, _ in running.values()))
    finally:
        for future in running:
            future.cancel()
