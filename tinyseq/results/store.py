"""Results as they are kept: a JSON line as each seed ends, and a JSON file for each experiment."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from tinyseq.bench.measuring.machine import cores, name, versions
from tinyseq.errors import FileError
from tinyseq.strict_json import dumps
from tinyseq.train.checkpoints import write_safely
from tinyseq.train.json_lines import append_row, rows_of

LINES = "results.jsonl"
STANDS_ON = ("tinyseq", "numpy", "numba", "llvmlite", "scipy")
Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """The processor and how many cores there are: no name of a host, no path."""
    return {"processor": name(), "cores": cores(), "system": platform.system()}


def stamped(row: Row) -> Row:
    """A row with the day, the machine and the versions that it was run on."""
    found = versions()
    known = {package: found[package] for package in STANDS_ON if package in found}
    return {**row, "date": date.today().isoformat(), "machine": machine(), "python": platform.python_version(),
            "versions": known}  # fmt: skip


def append(folder: Path, row: Row) -> None:
    """Add a seed's row to the folder's lines. Raises FileError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot keep results in {folder}: {error.strerror or error}") from None
    append_row(folder / LINES, row)


def kept(folder: Path) -> list[Row]:
    """All rows of a folder: of its files of experiments, then of its lines; of two of one seed the later. A line that
    was cut off is left out. Raises FileError where a file is none of results."""
    found: dict[tuple[str, int], Row] = {}
    for path in sorted(folder.glob("*.json")):
        for row in _read(path):
            found[row["experiment"], row["seed"]] = row
    lines = folder / LINES
    refused = "no result; give another folder"
    for number, row in rows_of(lines, refused) if lines.exists() else ():
        try:
            found[row["experiment"], row["seed"]] = row
        except (KeyError, TypeError):
            raise FileError(f"{lines}, line {number}: {refused}") from None
    return list(found.values())


def _read(path: Path) -> list[Row]:
    try:
        rows = json.loads(path.read_text("utf-8"))["rows"]
        return [row for row in rows if (row["experiment"], row["seed"]) is not None]
    except (OSError, ValueError, KeyError, TypeError):
        raise FileError(f"{path} holds no results of experiments; give another folder") from None


def write_experiment(folder: Path, experiment: str, rows: Iterable[Row]) -> Path:
    """One experiment's rows, sorted by seed, as a JSON file of the folder."""
    path = folder / f"{experiment}.json"
    mine = sorted((row for row in rows if row["experiment"] == experiment), key=lambda row: row["seed"])
    return write(path, {"experiment": experiment, "rows": mine})


def write(path: Path, content: Any) -> Path:
    """Any content as JSON. Raises FileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from None
    return write_safely(path, (dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
