"""Results of published experiments as they are kept: a table of what files of JSON hold, for whole pages and sections.

A file holds {"experiment": NAME, "rows": [{"seed", "results": {what: number}, "date", "machine", …}, …]}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import FileError

NOTHING = "No results are kept in this copy of the site: `tinyseq results` runs the experiments and keeps them."


class Result(NamedTuple):
    """One number of an experiment over its seeds, and where it was measured."""

    experiment: str
    what: str
    mean: float
    low: float
    high: float
    seeds: int
    told: str


def kept(folder: Path) -> list[Result]:
    """All numbers of a folder's files, none where there is no folder. Raises FileError for a file that holds none."""
    return [result for path in sorted(folder.glob("*.json")) for result in _read(path)]


def _read(path: Path) -> list[Result]:
    try:
        rows = json.loads(path.read_text("utf-8"))["rows"]
        numbers: dict[tuple[str, str], list[float]] = {}
        told: dict[str, str] = {}
        for row in rows:
            told[row["experiment"]] = _told(row)
            for what, value in row["results"].items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    numbers.setdefault((row["experiment"], what), []).append(float(value))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise FileError(f"{path} holds no results of experiments; take it out of the folder") from None
    return [
        Result(name, what, float(np.mean(found)), min(found), max(found), len(found), told[name])
        for (name, what), found in numbers.items()
    ]


def _told(row: dict[str, Any]) -> str:
    """When and on what an experiment was run."""
    machine = row.get("machine") or {}
    version = (row.get("versions") or {}).get("tinyseq", "")
    parts = [row.get("date", ""), machine.get("processor", ""), f"tinyseq {version}" if version else ""]
    return ", ".join(part for part in parts if part)


def table(results: Sequence[Result]) -> str:
    """Markdown of results; a plain statement where there are none."""
    if not results:
        return NOTHING
    lines = ["| experiment | number | mean | smallest – largest | seeds | run |", "|---|---|---|---|---|---|"]
    for r in results:
        spread = f"{r.low:.4g} – {r.high:.4g}" if r.seeds > 1 else ""
        lines.append(f"| {r.experiment} | {r.what} | {r.mean:.4g} | {spread} | {r.seeds} | {r.told} |")
    return "\n".join(lines)


def of_section(results: Sequence[Result], names: Sequence[str]) -> list[Result]:
    """Those of experiments whose names begin so."""
    return [result for result in results if any(result.experiment.startswith(name) for name in names)]
