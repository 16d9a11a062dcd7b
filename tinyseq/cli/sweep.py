"""``tinyseq sweep``: the options of ``tinyseq train`` from a TOML file, and a grid of some of them."""

from __future__ import annotations

import tomllib
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tinyseq.cli.config import check_options
from tinyseq.cli.console import check_output, files, say, table
from tinyseq.cli.runs import measured
from tinyseq.cli.train import KEYS, start
from tinyseq.errors import DataError
from tinyseq.tasks import read_text
from tinyseq.train import sweep as run_sweep


def sweep(
    config: Annotated[Path, typer.Argument(help="A TOML file: options of `tinyseq train`, seeds, and a table [grid].")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs, results and the picture.")] = Path(
        "tinyseq-sweep"
    ),
    workers: Annotated[int | None, typer.Option(help="Processes (default: one for each core).", min=1)] = None,
) -> None:
    """Train every cell of a grid with every seed, in processes; what is done is not done again.

    Example, in a file: data = "weather.csv", group = "station", steps = 300, seeds = 3, and below [grid] the lines
    hidden = [16, 32] and rate = [0.01, 0.003]

    tinyseq sweep sweep.toml -o sweep
    """
    options, grid, seeds = read_sweep(config)
    check_output(out, folder=True)
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.jsonl"
    made = run_sweep(partial(cell, options, str(out)), grid, seeds, results=results, workers=workers, told=say)
    by = next(iter(grid))
    result = next((name for name in ("accuracy", "rmse", "bits", "loss") if made.rows and name in made.rows[0]), "loss")
    rows = [[str(v), f"{m:.4g}", f"{low:.4g} – {high:.4g}"] for v, (m, low, high) in made.interval(result, by).items()]
    table([by, f"{result}, mean", "95% of the mean"], rows)
    picture = made.plot(out / "sweep.svg", result, by) if made.rows else None
    files([(results, f"{len(made.rows)} results"), *([(picture, "a point for each seed")] if picture else [])])
    for failed in made.failed:
        say(f"failed twice: {failed}")
    if made.failed:
        raise typer.Exit(1)


ELSEWHERE = {
    "out": "each cell has its own folder; say where they are with --out",
    "seed": "write how many seeds = 3, or which, seeds = [0, 7], above [grid]",
    "mpi": "each cell is trained by one process, many cells at a time; --workers says how many",
}


def read_sweep(path: Path) -> tuple[dict[str, Any], dict[str, list[Any]], Any]:
    """(options, grid, seeds) of a file. Raises DataError that names the key."""
    try:
        given = tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    grid, seeds = given.pop("grid", None), given.pop("seeds", 1)
    if not isinstance(grid, dict) or not grid:
        raise DataError(f"{path} has no table [grid] with values by name: a sweep of 0 cells")
    if not isinstance(seeds, (int, list)) or isinstance(seeds, bool):
        raise DataError(f"{path}: 'seeds' is {seeds!r}, expected how many, or a list of them")
    for name in {**given, **grid}:
        if name in ELSEWHERE:
            raise DataError(f"{path}: a sweep has no key {name!r}: {ELSEWHERE[name]}")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise DataError(f"{path}: [grid] {name!r} is {values!r}, expected a list of values: a sweep of 0 cells")
        for value in values:
            check_options(path, {name: value}, KEYS)
    return check_options(path, given, KEYS), {k.replace("-", "_"): v for k, v in grid.items()}, seeds


def cell(options: dict[str, Any], out: str, *, seed: int, **values: Any) -> dict[str, float]:
    """Train one cell in a folder of its own, what it prints in a file there; its held-out metrics."""
    folder = Path(out) / "-".join([*(f"{name}={value}" for name, value in values.items()), f"seed={seed}"])
    folder.mkdir(parents=True, exist_ok=True)
    given = {**options, **values, "seed": seed, "out": str(folder)}
    with (folder / "log.txt").open("w") as log, redirect_stdout(log), redirect_stderr(log):
        start(given, None)
    return measured(folder)
