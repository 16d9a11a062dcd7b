"""What was measured, as data: rows with all raw figures, and what follows from them. Goes to JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tinyseq.bench.problems.flops import Counts
from tinyseq.errors import FileError
from tinyseq.strict_json import dumps

SCHEMA = 1
OURS = "tinyseq"
# Kinds of rows: times of the library's rows, of users' cells, of new processes; memory; planning, what its decisions
# bring, what checking it costs; compiling; a cell beside the nearest of the library ("continued").
TIMES = ("library", "user", "process")


@dataclass(frozen=True)
class Settings:
    """What to measure and how: a sample is as many calls as last `sample_seconds`, one sample a round."""

    rows: tuple[str, ...]
    peers: tuple[str, ...]
    rounds: int
    sample_seconds: float
    torch_compile: bool = False


@dataclass
class Row:
    """One row. Names of variants are "library variant", as "torch nn, 2 thr".

    samples   seconds per call of each round (memory rows: bytes of each process)
    screened  one call's seconds of variants that were too slow to be their library's best
    refused   variants whose gradients differ from the standard's, and by how much; they are not timed
    failed    variants that raised, and what
    first     seconds of the first call, with compiling, planning and recording
    checked   largest deviation of the gradients from the standard's
    standard  whose gradients those are
    error     why there are no figures
    bytes     of memory that a plan runs in (rows of the planner's decisions)
    operations   of each cell (rows of a cell beside the nearest)
    fallback  why tinyseq ran the row on its reference executor, if it did
    """

    row: str
    kind: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    screened: dict[str, float] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    checked: dict[str, float] = field(default_factory=dict)
    standard: str = ""
    error: str = ""
    fallback: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    nodes: int = 0
    record_seconds: float = 0.0
    plan_seconds: float = 0.0
    tokens: int = 0
    bytes: dict[str, int] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)

    def best(self, library: str) -> tuple[str, float] | None:
        """A library's best variant by its median, and that median."""
        found = {name: median(taken) for name, taken in self.samples.items() if of(name) == library and taken}
        if not found:
            return None
        name = min(found, key=lambda name: found[name])
        return name, found[name]

    @property
    def ours(self) -> float | None:
        """Our median."""
        found = self.best(OURS)
        return found[1] if found else None

    @property
    def libraries(self) -> list[str]:
        """The peers with figures."""
        return list(dict.fromkeys(of(name) for name in self.samples if of(name) != OURS))

    @property
    def best_peer(self) -> tuple[str, float] | None:
        """The best variant of all peers."""
        found = [best for library in self.libraries if (best := self.best(library))]
        return min(found, key=lambda best: best[1]) if found else None

    @property
    def ratio(self) -> float | None:
        """How many times we are as fast (or as small) as the best peer."""
        return self.best_peer[1] / self.ours if self.best_peer and self.ours else None

    def floor(self, machine: Mapping[str, Any]) -> float | None:
        """Seconds that no implementation can beat on this machine's cores."""
        if not self.counts:
            return None
        return Counts(**self.counts).floor(machine["flops_per_second"], machine["bytes_per_second"])


def of(variant: str) -> str:
    """The library of a variant."""
    return variant.split()[0]


@dataclass
class Report:
    """A whole run: where, with which versions, how, and the rows that were measured before it ended."""

    machine: dict[str, Any]
    versions: dict[str, str]
    settings: Settings
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    interrupted: bool = False

    def of_kind(self, *kinds: str) -> list[Row]:
        """Rows of these kinds."""
        return [row for row in self.rows if row.kind in kinds]

    def geometric_mean(self, *kinds: str) -> tuple[float, int] | None:
        """Geometric mean of the ratios to the best peer, and of how many rows."""
        return geometric_mean(row.ratio for row in self.of_kind(*kinds))

    def to_json(self) -> dict[str, Any]:
        """All raw figures, and beside them what the table shows."""
        rows = []
        for row in self.rows:
            ours, best, floor = row.ours, row.best_peer, row.floor(self.machine)
            shown = {
                "ours": ours,
                "peers": {library: dict(zip(("variant", "median"), row.best(library) or (), strict=True))
                          for library in row.libraries},
                "best_peer": best[0] if best else None,
                "ratio": row.ratio,
                "floor_seconds": floor,
                "over_floor": ours / floor if ours and floor else None,
            }  # fmt: skip
            rows.append(asdict(row) | shown)
        means = {"all": self.geometric_mean(*TIMES)} | {kind: self.geometric_mean(kind) for kind in (*TIMES, "memory")}
        return {
            "schema": SCHEMA,
            "machine": self.machine,
            "versions": self.versions,
            "settings": asdict(self.settings),
            "missing": self.missing,
            "interrupted": self.interrupted,
            "rows": rows,
            "geometric_mean": {
                kind: {"ratio": mean[0], "rows": mean[1]} for kind, mean in means.items() if mean is not None
            },
        }

    def write_json(self, path: Path) -> None:
        """Write `to_json`, whole or not at all. Raises FileError where that cannot be."""
        text = dumps(self.to_json(), indent=1) + "\n"
        write_whole(path, lambda part: part.write_text(text, "utf-8"))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it, so that nobody finds half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, path)
    except BaseException as error:  # Ctrl-C too
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FileError(f"cannot write {path}: {error.strerror or error}") from None
        raise


def geometric_mean(ratios: Iterable[float | None]) -> tuple[float, int] | None:
    """Of those that are there, and how many."""
    logs = [math.log(ratio) for ratio in ratios if ratio]
    return (math.exp(sum(logs) / len(logs)), len(logs)) if logs else None
