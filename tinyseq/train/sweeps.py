"""Sweeps: one function over a grid of values and seeds, in processes, on machines, or here; each result is kept."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq import display
from tinyseq.errors import DataError, FileError, TinyseqError
from tinyseq.habits import advised
from tinyseq.strict_json import dumps_exact, number
from tinyseq.train.json_lines import append_row, rows_of

TRIES = 2  # a cell that crashed is tried once more
Cell = dict[str, Any]


@dataclass
class Sweep:
    """``rows`` has a dict for each cell that is done: the values, the seed, and what the function returned; ``failed``
    the cells that crashed twice, with what went wrong."""

    rows: list[Cell]
    failed: list[Cell]

    def values(self, result: str, by: str) -> dict[Any, np.ndarray]:
        """The results of all seeds for each value of one name; DataError where no cell came to its end."""
        if not self.rows:
            why = f": {self.failed[0]['error']}" if self.failed else ""
            raise DataError(f"no cell of the sweep has a result, {len(self.failed)} failed{why}")
        found: dict[Any, list[float]] = {}
        for row in self.rows:
            if by not in row or result not in row:
                raise DataError(f"the sweep has no {by!r} or no {result!r}; a row has {', '.join(row)}")
            found.setdefault(row[by], []).append(number(row[result]))
        return {value: np.array(numbers) for value, numbers in found.items()}

    def interval(self, result: str, by: str, *, level: float = 0.95, draws: int = 2000) -> dict[Any, tuple[float, ...]]:
        """(mean, low, high) for each value of one name: a bootstrap interval of the mean over the seeds."""
        found: dict[Any, tuple[float, ...]] = {}
        for value, numbers in self.values(result, by).items():
            low, high = bootstrap(numbers, level, draws)
            found[value] = float(numbers.mean()), low, high
        return found

    def plot(self, path: str | os.PathLike[str], result: str, by: str) -> Path:
        """A point for each seed, and the mean with its interval, over the values of one name."""
        return display.plot("sweep_plots.sweep_points", self.values(result, by), self.interval(result, by), path,
                            result=result, by=by)  # fmt: skip


def bootstrap(numbers: np.ndarray, level: float = 0.95, draws: int = 2000) -> tuple[float, float]:
    """An interval of the mean: quantiles of the means of samples drawn with replacement, always by the same seed."""
    rng = np.random.default_rng(0)
    means = rng.choice(numbers, (draws, len(numbers))).mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@advised
def sweep(
    run: Callable[..., Any],
    grid: Mapping[str, Sequence[Any]],
    seeds: int | Iterable[int] = 1,
    *,
    executor: Executor | Callable[[], Executor] | None = None,
    results: str | os.PathLike[str] = "sweep.jsonl",
    workers: int | None = None,
    told: Callable[[str], None] | None = print,
) -> Sweep:
    """Call ``run(seed=…, **values)`` for each cell of a grid and each seed; it returns a number or a dict of numbers.

    grid      values by name: {"hidden": [16, 32], "rate": [0.01, 0.003]}; plain numbers, texts, truth values
    seeds     so many, from 0, or which
    executor  any of ``concurrent.futures``, loky's or mpi4py's, or a function that makes one, called again when it
              breaks: lambda: loky.get_reusable_executor(4). Processes of our own, a core and one thread each, where
              there is none: ``run`` is then a function of a module. The first cell runs before the others, so that the
              kernels are compiled once
    results   JSON lines, one as each cell is done. Called again with the same file, cells that stand there are not run
              again; what crashed is reported, and tried once more. Results that are not finite are null there

    Raises DataError for a grid without cells, FileError for results that cannot be written or are another sweep's.
    """
    cells = _cells(grid, seeds)
    path = Path(results)
    done = _done(path, list(grid))
    keys = [_key(cell) for cell in cells]
    left = [cell for cell, key in zip(cells, keys, strict=True) if key not in done]
    tell = told or (lambda text: None)
    if len(left) < len(cells):
        tell(f"{len(cells) - len(left)} of {len(cells)} cells are done in {path}")
    failed = _Work(run, executor, workers, path, done, tell).go(left)
    return Sweep([{**done[key], **cell} for key, cell in zip(keys, cells, strict=True) if key in done], failed)


def _cells(grid: Mapping[str, Sequence[Any]], seeds: int | Iterable[int]) -> list[Cell]:
    if not isinstance(grid, Mapping):
        raise DataError(f"a grid is values by name, {{'hidden': [16, 32]}}; got {type(grid).__name__}")
    for name, values in grid.items():
        if name == "seed" or not isinstance(values, (list, tuple)) or not all(_plain(v) for v in values):
            raise DataError(f"the grid's {name!r} is {values!r}; expected a list of numbers, texts or truth values")
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    made = [{**dict(zip(grid, values, strict=True)), "seed": s} for values in product(*grid.values()) for s in numbers]
    cells = list({_key(cell): cell for cell in made}.values())  # a value that is said twice is one
    if not cells:
        empty = next((name for name, values in grid.items() if not values), "seeds")
        raise DataError(f"a sweep of 0 cells: {empty!r} is empty")
    return cells


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, type(None)))


def _key(cell: Mapping[str, Any]) -> str:
    return dumps_exact({name: _shown(cell[name]) for name in sorted(cell)})


def _shown(value: Any) -> Any:
    """A value of the grid as the file holds it: one that is not finite as its text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _done(path: Path, names: list[str]) -> dict[str, Cell]:
    """The rows of a results file by their cells."""
    found: dict[str, Cell] = {}
    for line, row in rows_of(path, "no result of a sweep; give another file") if path.exists() else ():
        if not isinstance(row, dict) or not {*names, "seed"} <= row.keys():
            raise FileError(f"{path}, line {line}: a result of another sweep, without {', '.join(names)} and seed")
        results = {n: number(v) if v is None and n not in names else v for n, v in row.items()}
        found[_key({name: row[name] for name in (*names, "seed")})] = results
    return found


class _Work:
    """Cells on their way."""

    def __init__(
        self,
        run: Any,
        executor: Executor | Callable[[], Executor] | None,
        workers: int | None,
        path: Path,
        done: Any,
        tell: Any,
    ) -> None:
        self.run, self.path, self.done, self.tell = run, path, done, tell
        self.given = executor if isinstance(executor, Executor) else None
        self.make: Callable[[], Executor] = self._processes if executor is None or self.given else executor  # type: ignore[assignment]
        self.workers = workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])
        self.pool: Executor | None = self.given
        self.ours = executor is None
        self.failed: list[Cell] = []

    def go(self, left: list[Cell]) -> list[Cell]:
        waiting: dict[Future[Any], tuple[Cell, int, Any]] = {}
        queue = [(cell, 1) for cell in left]
        warmed = not left or bool(self.done)
        try:
            while queue or waiting:
                most = 1 if not warmed else 4 * self.workers if self.ours else len(left) + 1
                while queue and len(waiting) < (1 if queue[0][1] > 1 else most):  # what crashed is tried again alone
                    cell, attempt = queue.pop(0)
                    try:
                        waiting[self._submit(cell)] = cell, attempt, self.pool
                    except BrokenExecutor as error:  # one that was given, or that breaks as soon as it is made
                        queue += self._again(self._broken(cell, attempt, error, self.pool))
                for future in wait(waiting, return_when=FIRST_COMPLETED).done if waiting else ():
                    cell, attempt, pool = waiting.pop(future)
                    queue += self._again(self._finished(future, cell, attempt, pool))
                    warmed = True
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
        finally:
            if self.ours and self.pool is not None:
                self.pool.shutdown(cancel_futures=True)
        return self.failed

    def _submit(self, cell: Cell) -> Future[Any]:
        if self.pool is None:
            self.pool = self.make()
        return self.pool.submit(_called, self.run, cell)

    def _processes(self) -> Executor:
        context = get_context()
        return ProcessPoolExecutor(self.workers, context, own_core, (context.Value("i", 0),))

    @staticmethod
    def _again(cell: tuple[Cell, int] | None) -> list[tuple[Cell, int]]:
        return [] if cell is None else [cell]

    def _broken(self, cell: Cell, attempt: int, error: BaseException, pool: Any) -> tuple[Cell, int] | None:
        """A process died, with those at work beside it: its pool is no use any more."""
        if self.given is None and self.pool is pool:
            self.pool = None
        return self._crashed(cell, attempt, error)

    def _finished(self, future: Future[Any], cell: Cell, attempt: int, pool: Any) -> tuple[Cell, int] | None:
        """Keep a result; or say what crashed, and whether it is tried again."""
        try:
            row = {**cell, **_numbers(future.result())}
        except BrokenExecutor as error:
            return self._broken(cell, attempt, error, pool)
        except Exception as error:
            return self._crashed(cell, attempt, error)
        append_row(self.path, {**row, **{name: _shown(value) for name, value in cell.items()}})
        self.done[_key(cell)] = row
        said = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items())
        self.tell(f"{len(self.done)} done: {', '.join(said)}")
        return None

    def _crashed(self, cell: Cell, attempt: int, error: BaseException) -> tuple[Cell, int] | None:
        what = f"{type(error).__name__}: {error}"
        self.tell(f"crashed{', tried again' if attempt < TRIES else ''}: {cell}: {what}")
        if attempt < TRIES:
            return cell, attempt + 1
        self.failed.append({**cell, "error": what})
        return None


def _called(run: Callable[..., Any], cell: Cell) -> Any:
    return run(**cell)


def _numbers(result: Any) -> dict[str, Any]:
    if isinstance(result, (int, float, np.number)):
        return {"result": float(result)}
    if isinstance(result, Mapping) and all(isinstance(k, str) for k in result):
        return {k: v.item() if isinstance(v, np.generic) else v for k, v in result.items()}
    raise TinyseqError(f"a cell returns a number or a dict of numbers by name, got {type(result).__name__}")


def own_core(taken: Any) -> None:
    """A process of the pool keeps to a core of its own, and so to one thread."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        with taken.get_lock():
            number = taken.value
            taken.value += 1
        os.sched_setaffinity(0, {cores[number % len(cores)]})
