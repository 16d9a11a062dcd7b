"""Runs what is wanted, seed by seed, in processes of a core and one thread each; every row is kept as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tinyseq.bench.measuring.machine import cores
from tinyseq.errors import DataError
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


def run(
    wanted: Sequence[Job],
    folder: Path,
    *,
    workers: int | None = None,
    told: Callable[[float, float, str], object] = lambda done, left, text: None,
) -> list[dict[str, Any]]:
    """Run jobs that the folder does not hold yet; returns all its rows. ``told(share, seconds left, text)`` is called
    as time passes. Raises what an experiment raises, after the rows that were done are kept."""
    known = {(row["experiment"], row["seed"]) for row in kept(folder)}
    left = [job for job in wanted if (job.experiment, job.seed) not in known]
    if left:
        workers = min(workers or cores(), len(left))
        context = get_context("spawn")
        own = (own_core, (context.Value("i", 0),)) if workers > 1 else (None, ())
        with ProcessPoolExecutor(workers, context, *own) as pool:
            for row in _rows(pool, left, workers, told):
                append(folder, stamped(row))
    return kept(folder)


def _rows(pool: ProcessPoolExecutor, left: Sequence[Job], workers: int, told: Any) -> Iterator[dict[str, Any]]:
    total, done, queue = sum(job.seconds for job in left), 0.0, list(left)
    running: dict[Future[dict[str, Any]], tuple[Job, float]] = {}
    try:
        while queue or running:
            while queue and len(running) < workers:
                job = queue.pop(0)
                running[pool.submit(run_job, job.experiment, job.seed)] = job, time.perf_counter()
            ended = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done
            for future in ended:
                job, _ = running.pop(future)
                done += job.seconds
                yield future.result()
            now = time.perf_counter()
            inside = sum(min(now - began, 0.95 * job.seconds) for job, began in running.values())
            names = ", ".join(f"{job.experiment} {job.seed}" for job, _ in running.values())
            told((done + inside) / total, (total - done - inside) / workers, names)
    finally:
        for future in running:
            future.cancel()
