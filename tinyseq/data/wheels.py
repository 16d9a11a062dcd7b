"""Real data that other packages' wheels carry: read from their files, which the extra [data] installs; no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tinyseq.data.sequences import Sequences
from tinyseq.data.tables import read_table
from tinyseq.errors import DataError, FileError
from tinyseq.habits import advised
from tinyseq.tasks.text_files import read_text

VOWELS = tuple(f"speaker {k}" for k in range(1, 10))


def file_of(packages: tuple[str, ...], within: str) -> Path:
    """A file of the first of these packages that is installed; none is imported."""
    for package in packages:
        found = find_spec(package)
        for place in (found.submodule_search_locations or ()) if found else ():
            if (Path(place) / within).is_file():
                return Path(place) / within
    raise FileError(f"this data is in the package {' or '.join(packages)}: pip install 'tinyseq[data]'")


@advised
def vowels() -> tuple[Sequences, Sequences]:
    """Japanese vowels: (270 utterances of nine speakers to train on, 370 to measure on), 7 to 29 steps of 12 features.

    Kudo, Toyama and Shimbo, "Multidimensional curve classification using passing-through regions", 1999: who speaks?
    The training part has 30 of each speaker; the parts are theirs.
    """
    return _vowels("TRAIN"), _vowels("TEST")


def _vowels(part: str) -> Sequences:
    path = file_of(("sktime", "aeon"), f"datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts")
    x, y, begun = [], [], False
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if begun and line.strip():
            *channels, label = line.split(":")
            try:
                x.append(np.array([[float(cell) for cell in channel.split(",")] for channel in channels]).T)
                y.append(int(label) - 1)
            except ValueError:
                raise DataError(f"{path}, line {number}: channels of numbers and a label, apart by colons") from None
        begun = begun or line.strip().lower() == "@data"
    return Sequences.of(
        x, np.array(y), f"Japanese vowels ({'training' if part == 'TRAIN' else 'test'} part)", classes=VOWELS
    )


@advised
def sunspots() -> Sequences:
    """The yearly number of sunspots, 1700 to 2008, as one sequence (from statsmodels; NOAA)."""
    table = read_table(file_of(("statsmodels",), "datasets/sunspots/sunspots.csv"))
    years, numbers = (np.array([float(cell) for cell in table.cells(k)]) for k in (0, 1))
    return _series(numbers, years, "sunspots", "sunspots a year")


@advised
def co2() -> Sequences:
    """CO₂ over Mauna Loa in parts per million, monthly means from March 1958 to December 2001 (from statsmodels).

    The file has weeks, some without a number; a month without any takes the mean of its neighbours.
    """
    table = read_table(file_of(("statsmodels",), "datasets/co2/co2.csv"))
    months: dict[int, list[float]] = {}
    for date, cell in zip(table.cells(0), table.cells(1), strict=True):
        months.setdefault(int(date[:4]) * 12 + int(date[4:6]) - 1, [])
        if cell:
            months[int(date[:4]) * 12 + int(date[4:6]) - 1].append(float(cell))
    at = np.arange(min(months), max(months) + 1)
    known = np.array([month for month in at if months.get(int(month))])
    means = np.array([np.mean(months[int(month)]) for month in known])
    return _series(np.interp(at, known, means), at / 12, "co2", "CO₂ in ppm")


def _series(numbers: np.ndarray, times: np.ndarray, name: str, feature: str) -> Sequences:
    column = numbers.astype(np.float32)[:, None]
    about = {"first": float(times[0]), "step": float(times[1] - times[0])}
    return Sequences.of([column], [column], name, features=(feature,), about=about)
