"""Sweeps: every cell once, kept as it is done, gone on with, crashes told and tried again, in threads and processes."""

from __future__ import annotations

import json
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.test_ranks import by_mpi, ended, started
from tinyseq import train
from tinyseq.errors import DataError, FileError
from tinyseq.train.sweeps import bootstrap

GRID = {"a": [1, 2], "b": ["x", "y"]}


def cell(a: int, b: str, seed: int) -> dict[str, float]:
    return {"loss": a + 0.1 * seed + (b == "y")}


CRASHING = """
import os
from pathlib import Path


def crashing(a, seed):
    mark = Path(__file__).parent / f"mark-{a}-{seed}"  # dies once for each seed, with a = 2 every time
    if not mark.exists() or a == 2:
        mark.write_text("x")
        os._exit(3)
    return float(a)
"""


def test_each_cell_is_run_once_and_kept(tmp_path: Path) -> None:
    path, told = tmp_path / "s.jsonl", list[str]()
    with ThreadPoolExecutor(2) as pool:
        made = train.sweep(cell, GRID, 3, executor=pool, results=path, told=told.append)
        assert len(made.rows) == 12 and not made.failed
        assert all(row["loss"] == cell(row["a"], row["b"], row["seed"])["loss"] for row in made.rows)
        lines = path.read_text().splitlines()
        assert sorted(lines) == sorted(map(json.dumps, made.rows))
        path.write_text("\n".join(lines[:5]) + "\n" + lines[5][:10])  # cut off while it was written
        calls = []

        def counted(**values: Any) -> Any:
            calls.append(values)
            return cell(**values)

        again = train.sweep(counted, GRID, 3, executor=pool, results=path, told=told.append)
    assert len(calls) == 7 and sorted(map(str, again.rows)) == sorted(map(str, made.rows))
    assert any("5 of 12 cells are done" in text for text in told)
    assert sorted(path.read_text().splitlines()) == sorted(lines)  # the line that was cut off is whole again
    path.write_text(path.read_text()[:-1])  # a whole row, its end of line not yet written
    assert not train.sweep(counted, GRID, 3, results=path, told=told.append).failed and len(calls) == 7
    assert sorted(path.read_text().splitlines()) == sorted(lines)
    mean, low, high = made.interval("loss", "a")[1]
    assert mean == pytest.approx(1.6) and low < mean < high
    assert made.plot(tmp_path / "p.svg", "loss", "a").stat().st_size > 1000


def test_processes_and_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells_that_crash.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(tmp_path)
    crashing = import_module("cells_that_crash").crashing
    told: list[str] = []
    made = train.sweep(crashing, {"a": [1, 2]}, [5], workers=1, results=tmp_path / "r.jsonl", told=told.append)
    assert [(row["a"], row["result"]) for row in made.rows] == [(1, 1.0)]
    assert [row["a"] for row in made.failed] == [2] and "error" in made.failed[0]
    assert sum("crashed, tried again" in text for text in told) == 2
    nothing = train.sweep(crashing, {"a": [2]}, [5], workers=1, results=tmp_path / "n.jsonl", told=None)
    with pytest.raises(DataError, match="no cell of the sweep has a result, 1 failed: BrokenProcessPool"):
        nothing.plot(tmp_path / "n.svg", "result", "a")


def test_the_interval_holds_the_mean_of_a_normal_sample_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        low, high = bootstrap(rng.normal(size=30), 0.9, 400)
        inside += low < 0 < high
    assert 165 <= inside <= 195


def test_what_is_no_sweep(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    for grid, seeds, message in (
        ({"a": []}, 1, "a sweep of 0 cells: 'a' is empty"),
        ({"a": [1]}, 0, "a sweep of 0 cells: 'seeds' is empty"),
        ({"a": 1}, 1, "the grid's 'a' is 1; expected a list"),
        ([1], 1, "a grid is values by name"),
    ):
        with pytest.raises(DataError, match=message):
            train.sweep(cell, grid, seeds, results=path)
    path.write_text('{"c": 1, "seed": 0}\n')
    with pytest.raises(FileError, match="line 1: a result of another sweep, without a, b and seed"):
        train.sweep(cell, GRID, results=path)


def test_a_broken_executor_that_was_given_is_told_and_costs_only_what_is_left(tmp_path: Path) -> None:
    class Broken(ThreadPoolExecutor):
        def submit(self, *given: Any, **options: Any) -> Any:
            raise BrokenExecutor("no process is left")

    told: list[str] = []
    found = train.sweep(cell, GRID, 1, executor=Broken(), results=tmp_path / "s.jsonl", told=told.append)
    assert not found.rows and len(found.failed) == 4 and "no process is left" in found.failed[0]["error"]
    assert sum("crashed" in line for line in told) == 8
    made: list[Any] = []

    def make() -> Any:
        made.append(Broken() if not made else ThreadPoolExecutor(1))
        return made[-1]

    found = train.sweep(cell, GRID, 1, executor=make, results=tmp_path / "s.jsonl", told=None)
    assert len(found.rows) == 4 and not found.failed and len(made) == 2
    made[-1].shutdown()


def test_lokys_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashed cells are tried again in new processes, which a function makes."""
    loky = pytest.importorskip("loky")
    (tmp_path / "crashing_in_loky.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = import_module("crashing_in_loky").crashing
    try:
        found = train.sweep(
            run,
            {"a": [1, 2]},
            1,
            executor=lambda: loky.get_reusable_executor(2),
            results=tmp_path / "s.jsonl",
            told=None,
        )
    finally:
        loky.get_reusable_executor(2).shutdown(wait=True)
    assert [row["result"] for row in found.rows] == [1.0] and [row["a"] for row in found.failed] == [2]


MPI_SWEEP = """
import sys
import cells
from mpi4py.futures import MPIPoolExecutor
from tinyseq import train

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        found = train.sweep(cells.cell, {"a": [1, 2, 3]}, 2, executor=executor, results=sys.argv[1], told=None)
    print(len(found.rows), len(found.failed))
"""
MPI_CELLS = """
import os


def cell(a, seed):
    if a == 3 and seed == 1:
        raise ValueError("of this cell")
    return {"loss": a + 0.5 * seed, "process": os.getpid()}
"""


@by_mpi
def test_mpi_processes(tmp_path: Path) -> None:
    """Under mpiexec -n 3, rank 0 hands cells to the two others; a cell that fails twice is reported; then resumed."""
    (tmp_path / "cells.py").write_text(MPI_CELLS)
    (tmp_path / "run.py").write_text(MPI_SWEEP)
    words = ("-m", "mpi4py.futures", "run.py", "s.jsonl")
    code, out, err = ended(started(3, *words, cwd=tmp_path), 120)
    assert code == 0 and out.split() == ["5", "1"], err
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert sorted((row["a"], row["seed"], row["loss"]) for row in rows) == [
        (1, 0, 1.0), (1, 1, 1.5), (2, 0, 2.0), (2, 1, 2.5), (3, 0, 3.0),
    ]  # fmt: skip
    assert 1 <= len({row["process"] for row in rows}) <= 2
    (tmp_path / "cells.py").write_text(MPI_CELLS.replace("a == 3", "a == 4"))
    code, out, err = ended(started(3, *words, cwd=tmp_path), 120)
    assert code == 0 and out.split() == ["6", "0"], err
    assert len((tmp_path / "s.jsonl").read_text().splitlines()) == 6


def test_a_value_said_twice_is_one_cell(tmp_path: Path) -> None:
    calls: list[Any] = []

    def counted(**values: Any) -> float:
        calls.append(values)
        return 1.0

    with ThreadPoolExecutor(1) as pool:
        made = train.sweep(counted, {"a": [1, 2, 1]}, [0, 0], executor=pool, results=tmp_path / "s.jsonl", told=None)
    assert calls == [{"a": 1, "seed": 0}, {"a": 2, "seed": 0}] and len(made.rows) == 2
