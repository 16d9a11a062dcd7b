"""Tables: a CSV file's columns as features, targets, groups and times."""

from __future__ import annotations

import csv as comma_separated
import io
import re
from dataclasses import dataclass
from datetime import datetime
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.data.sequences import Sequences
from tinyseq.errors import DataError
from tinyseq.habits import advised
from tinyseq.tasks.text_files import read_text

EMPTY = {"", "na", "nan", "n/a", "null", "none", "?", "-", "."}
WAYS = ("error", "hold", "mask")
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
MOST_CLASSES = 20  # whole numbers of more kinds than that are numbers to predict, not classes


@dataclass(frozen=True)
class Table:
    """The cells of a file as text, with the line in which each row ends."""

    file: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str, what: str) -> int:
        """The place of a column. Raises DataError that names the columns there are."""
        if name in self.columns:
            return self.columns.index(name)
        from difflib import get_close_matches

        close = get_close_matches(name, self.columns, 1)
        hint = f"; there is {close[0]!r}" if close else ""
        raise DataError(
            f"{self.file} has no column {name!r} for the {what}{hint}. Its columns are {_some(self.columns)}"
        )

    def cells(self, place: int) -> list[str]:
        """The cells of a column."""
        return [row[place] for row in self.rows]

    def at(self, row: int, place: int) -> str:
        """Where a cell stands, in words."""
        return f"{self.file}, line {self.lines[row]}, column {self.columns[place]!r}"


@advised
def csv(
    path: str | Path,
    *,
    target: str | None = None,
    features: Any = None,
    group: str | None = None,
    time: str | None = None,
    missing: str = "error",
    sort: bool = False,
    each_step: bool | None = None,
    classes: Any = None,
    dtype: Any = np.float32,
) -> Sequences:
    """Sequences from a CSV file with a header: each row is a step; commas, semicolons or tabs between the cells.

    Where these are no commas, 0,5 is a half.

    target    the column to predict: texts are classes, numbers are reals; the last column where nobody says, "" for
              a file without one
    features  the columns to read; all of numbers but the target, group and time where nobody says
    group     rows with the same cell here are one sequence; without it the whole file is one
    time      numbers or dates (2024-05-31, 2024-05-31T12:00) that rise within a group; ``sort=True`` sorts by them
    missing   what to do where a cell is empty, NA or NaN: "error"; "hold" masks the step, so that the net holds its
              state; "mask" writes 0 and says so in a feature more for each column that misses some
    each_step whether the target is one for each step; where nobody says, it is unless it never changes in a group
    classes   names of the classes in the order of their numbers, as another file had them

    Raises FileError and DataError that name file, line and column.
    """
    if missing not in WAYS:
        raise DataError(f"missing is {', '.join(map(repr, WAYS))}, got {missing!r}")
    table = read_table(path)
    at_target = None if target == "" else len(table.columns) - 1 if target is None else table.column(target, "target")
    at_group = None if group is None else table.column(group, "group")
    at_time = None if time is None else table.column(time, "time")
    if at_group is not None and at_group == at_target:
        raise DataError(
            f"{table.file}: {table.columns[at_group]!r} is the group and the target: what names a sequence cannot be "
            "learned from others"
        )
    chosen = _chosen(table, features, {place for place in (at_target, at_group, at_time) if place is not None})
    order, starts, names = _grouped(table, at_group, at_time, sort)
    values, gaps = _numbers(table, chosen, missing, dtype)
    parts = np.split(order, starts[1:])
    y, known = (None, ()) if at_target is None else _target(table, at_target, classes, dtype)
    targets, per_step = _by_sequence(table, at_target, y, parts, names, group, each_step)
    columns = tuple(table.columns[place] for place in chosen)
    if missing == "mask":
        missed = np.flatnonzero(gaps.any(axis=0))
        values = np.concatenate([values, gaps[:, missed].astype(dtype)], axis=1)
        columns += tuple(f"{columns[int(k)]} is missing" for k in missed)
    held: Any = gaps.any(axis=1) if missing == "hold" else np.zeros(0, bool)
    return Sequences.of(
        [values[rows] for rows in parts],
        targets,
        name=table.file,
        dtype=dtype,
        classes=known,
        features=columns,
        masks=[1 - held[rows].astype(dtype) for rows in parts] if held.any() else None,
        about={
            "read": "csv", "group": group, "time": time, "missing": missing, "each_step": per_step,
            "target": "" if at_target is None else table.columns[at_target],
            "features": [table.columns[p] for p in chosen],
            "left_out": [n for p, n in enumerate(table.columns) if p not in (*chosen, at_target, at_group, at_time)],
        },
    )  # fmt: skip


def named_rows(path: str | Path, *, group: str | None, time: str | None, sort: bool) -> list[tuple[str, list[str]]]:
    """What ``csv`` makes of a file's rows: for each sequence the cell of its group and those of its times; numbers
    where there are no such columns."""
    table = read_table(path)
    at_group = None if group is None else table.column(group, "group")
    at_time = None if time is None else table.column(time, "time")
    order, starts, names = _grouped(table, at_group, at_time, sort)
    found = []
    for i, rows in enumerate(np.split(order, starts[1:])):
        times = [table.rows[int(r)][at_time] for r in rows] if at_time is not None else map(str, range(len(rows)))
        found.append((names[i] if group is not None else str(i), list(times)))
    return found


def _by_sequence(
    table: Table, at: int | None, y: Any, parts: list[np.ndarray], names: list[str], group: Any, each_step: bool | None
) -> tuple[Any, bool]:
    """The targets of sequences or of their steps, and whether they are those of steps."""
    if y is None:
        return None, bool(each_step)
    ys = [y[rows] for rows in parts]
    bad = next((i for i, a in enumerate(ys) if not _same(a)), None)
    per_step = (group is None or bad is not None) if each_step is None else each_step
    if per_step:
        return ys, True
    if bad is not None:
        raise DataError(
            f"{table.file}: the target {table.columns[at or 0]!r} changes within the sequence {names[bad]!r}, which "
            "wants one for each step: leave each_step out"
        )
    return np.array([a[0] for a in ys]), False


def read_table(path: str | Path) -> Table:
    """The cells of a CSV file. Raises FileError and DataError that name the line of a ragged row."""
    text = read_text(path)
    sample = text[:4096].split("\n", 1)[0]
    delimiter = max(",;\t", key=sample.count)
    reader = comma_separated.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            cells = [_decimal(cell.strip(), delimiter) for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = cells
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, but the header has {len(header)} columns "
                    f"({_some(header)}). A cell with a {delimiter!r} in it is written in quotes"
                )
            rows.append(cells)
            lines.append(reader.line_num)
    except comma_separated.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; cells with quotes in them double these") from None
    if not rows:
        raise DataError(f"{path} has no rows below its header")
    _check_header(path, header)
    return Table(str(path), tuple(header), rows, lines)


def _decimal(cell: str, delimiter: str) -> str:
    """A number with a decimal comma as one with a point, where commas do not part the cells."""
    return cell.replace(",", ".") if delimiter != "," and DECIMAL_COMMA.fullmatch(cell) else cell


def _check_header(path: Any, header: list[str]) -> None:
    if all(_number(cell) is not None for cell in header):
        raise DataError(f"{path} has no header: its first line holds numbers only. Write the columns' names above it")
    for place, name in enumerate(header):
        if not name:
            raise DataError(f"{path}: column {place + 1} has no name in the header ({_some(header)})")
        if header.index(name) != place:
            raise DataError(f"{path}: two columns are called {name!r}, {header.index(name) + 1} and {place + 1}")


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _number(cell: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _missing(cell: str) -> bool:
    return cell.lower() in EMPTY


def _chosen(table: Table, features: Any, apart: set[int]) -> list[int]:
    """The places of the features: those named, or all columns of numbers."""
    if features is not None:
        names = [features] if isinstance(features, str) else list(features)
        chosen = [table.column(str(name), "features") for name in names]
    else:
        chosen = [p for p in range(len(table.columns)) if p not in apart and not _all_text(table.cells(p))]
        if not chosen:  # a series: what is to be predicted is what is read
            chosen = sorted(p for p in apart if all(_number(c) is not None or _missing(c) for c in table.cells(p)))[-1:]
    if not chosen:
        raise DataError(
            f"{table.file} has no column of numbers to read beside its target: its columns are {_some(table.columns)}"
        )
    return chosen


def _all_text(cells: list[str]) -> bool:
    """Whether a column holds no number at all, so that it is no feature."""
    return all(_number(cell) is None for cell in cells)


def _numbers(table: Table, chosen: list[int], missing: str, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """(rows, features) and where they are missing."""
    values = np.zeros((len(table.rows), len(chosen)))
    gaps = np.zeros(values.shape, bool)
    for i, row in enumerate(table.rows):
        for k, place in enumerate(chosen):
            cell = row[place]
            number = _number(cell)
            if number is not None:
                values[i, k] = number
            elif _missing(cell):
                if missing == "error":
                    raise DataError(
                        f"{table.at(i, place)} is missing ({cell!r}): fill it, or write missing='hold' to hold the "
                        "state there, missing='mask' to read 0 and a feature that says so (--missing hold, mask)"
                    )
                gaps[i, k] = True
            else:
                raise DataError(
                    f"{table.at(i, place)} is {cell[:40]!r} where a number is expected: leave the column out with "
                    f"features=[…] (--features), or make it the target"
                )
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    if not np.isfinite(cast).all():
        i, k = (int(n) for n in np.argwhere(~np.isfinite(cast))[0])
        raise DataError(f"{table.at(i, chosen[k])} is {table.rows[i][chosen[k]]!r}, too large for {np.dtype(dtype)}")
    return cast, gaps


def _target(table: Table, place: int, classes: Any, dtype: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """The target of each row, and the names of its classes where it has any."""
    cells = table.cells(place)
    for i, cell in enumerate(cells):
        if _missing(cell) and cell.lower() not in ("none", "-", "."):
            raise DataError(f"{table.at(i, place)}, the target, is missing ({cell!r}): leave the row out")
    numbers = [_number(cell) for cell in cells]
    few = len(set(cells)) <= MOST_CLASSES and len(set(cells)) < max(len(cells) // 2, 2)
    whole = all(n is not None and n == int(n) for n in numbers) and all("." not in cell for cell in cells)
    if not classes and all(n is not None for n in numbers) and not (whole and few):
        with np.errstate(over="ignore"):
            reals = np.array(numbers, dtype)
        for i in np.flatnonzero(~np.isfinite(reals))[:1].tolist():
            raise DataError(f"{table.at(i, place)}, the target, is {cells[i]!r}, too large for {np.dtype(dtype)}")
        return reals[:, None], ()
    odd = [i for i, n in enumerate(numbers) if n is None]
    if not classes and len(odd) and len(odd) < len(cells) / 2 and len(set(cells)) > MOST_CLASSES:
        raise DataError(f"{table.at(odd[0], place)}, the target, is {cells[odd[0]][:40]!r} where others are numbers")
    known = tuple(map(str, classes)) if classes else tuple(sorted(set(cells), key=_as_sorted))
    if len(known) < 2:
        raise DataError(f"{table.file}: the target {table.columns[place]!r} has one class only, {known[0]!r}")
    number = {name: k for k, name in enumerate(known)}
    for i, cell in enumerate(cells):
        if cell not in number:
            raise DataError(f"{table.at(i, place)}, the target, is {cell[:40]!r}; the classes are {_some(known)}")
    return np.array([number[cell] for cell in cells], np.int64), known


def _as_sorted(cell: str) -> tuple[float, str]:
    number = _number(cell)
    return (nan if number is None else number, cell) if number is not None else (float("inf"), cell)


def _grouped(
    table: Table, at_group: int | None, at_time: int | None, sort: bool
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(order of the rows, where each sequence begins in it, its name): sequences as they first occur, rows by time."""
    n = len(table.rows)
    cells = table.cells(at_group) if at_group is not None else [""] * n
    number: dict[str, int] = {}
    which = np.array([number.setdefault(cell, len(number)) for cell in cells])
    times = _times(table, at_time) if at_time is not None else np.arange(n, dtype=float)
    order = np.lexsort((times, which)) if sort else np.argsort(which, kind="stable")
    same = which[order][1:] == which[order][:-1]
    back = np.flatnonzero(same & (times[order][1:] < times[order][:-1]))
    if at_time is not None and len(back):
        i, before = int(order[back[0] + 1]), int(order[back[0]])
        raise DataError(
            f"{table.at(i, at_time)}: {table.rows[i][at_time]!r} comes after {table.rows[before][at_time]!r} (line "
            f"{table.lines[before]}), times run backwards; write sort=True (--sort) to sort by them"
        )
    starts = np.concatenate([[0], np.flatnonzero(~same) + 1])
    return order, starts, list(number)


def _times(table: Table, place: int) -> np.ndarray:
    times = np.empty(len(table.rows))
    for i, cell in enumerate(table.cells(place)):
        number = _number(cell)
        if number is None:
            try:
                number = (datetime.fromisoformat(cell).replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds()
            except (ValueError, OverflowError):
                raise DataError(
                    f"{table.at(i, place)} is {cell[:40]!r}, no time: expected a number or a date such as 2024-05-31"
                ) from None
        times[i] = number
    return times


def _same(y: np.ndarray) -> bool:
    return bool((y == y[0]).all())
