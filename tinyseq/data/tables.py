"""Tables: a CSV file's columns as features, targets, groups and times."""

from __future__ import annotations

from datetime import datetime
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.data.sequences import Sequences
from tinyseq.data.table_cells import Table, is_missing, number_in, read_table, some
from tinyseq.errors import DataError
from tinyseq.habits import advised

WAYS = ("error", "hold", "mask")
LOST = 0.01  # of the spread of a column, where rounding to its dtype takes more it is refused
MOST_CLASSES = 20  # whole numbers of more kinds than that are numbers to predict, not classes


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
    reals: bool | None = None,
    flagged: Any = None,
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
    reals     whether the target is a real number where it could be a class; guessed where nobody says
    flagged   the columns that have a feature for what is missing, as another file had them (``about["flagged"]``)

    Raises FileError and DataError that name file, line and column.
    """
    if missing not in WAYS:
        raise DataError(f"missing is {', '.join(map(repr, WAYS))}, got {missing!r}")
    if sort and time is None:
        raise DataError(
            "sort=True (--sort) sorts by the times: say which column they stand in, time='day' (--time day)"
        )
    if reals and classes:
        raise DataError("the target is either a real number or one of the classes: give reals or classes")
    table = read_table(path)
    at_target, at_group, at_time = _places(table, target, group, time)
    chosen = _chosen(table, features, {place for place in (at_target, at_group, at_time) if place is not None})
    order, starts, names = _grouped(table, at_group, at_time, sort)
    values, gaps = _numbers(table, chosen, missing, dtype)
    parts = np.split(order, starts[1:])
    y, known = (None, ()) if at_target is None else _target(table, at_target, classes, dtype, reals)
    targets, per_step = _by_sequence(table, at_target, y, parts, names, group, each_step)
    columns = tuple(table.columns[place] for place in chosen)
    missed = _flagged(table, chosen, gaps, flagged) if missing == "mask" else []
    values = np.concatenate([values, gaps[:, missed].astype(dtype)], axis=1)
    columns += tuple(f"{columns[k]} is missing" for k in missed)
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
            "flagged": [columns[k] for k in missed], **_read_columns(table, chosen, at_target, at_group, at_time),
        },
    )  # fmt: skip


def _places(table: Table, target: Any, group: Any, time: Any) -> tuple[int | None, int | None, int | None]:
    """Where the columns of target, group and time stand."""
    at_target = None if target == "" else len(table.columns) - 1 if target is None else table.column(target, "target")
    at_group = None if group is None else table.column(group, "group")
    at_time = None if time is None else table.column(time, "time")
    if at_group is not None and at_group == at_target:
        raise DataError(
            f"{table.file}: {table.columns[at_group]!r} is the group and the target: what names a sequence cannot be "
            "learned from others"
        )
    return at_target, at_group, at_time


def _flagged(table: Table, chosen: list[int], gaps: np.ndarray, names: Any) -> list[int]:
    """Numbers of the features that have another which says where they are missing: those with gaps, or as named."""
    missed = [int(k) for k in np.flatnonzero(gaps.any(axis=0))]
    if names is None:
        return missed
    for k in missed:
        if table.columns[chosen[k]] not in names:
            i = int(np.flatnonzero(gaps[:, k])[0])
            raise DataError(
                f"{table.at(i, chosen[k])} is missing ({table.rows[i][chosen[k]]!r}); where the model learned none was "
                "in that column, and it has no feature that says so: fill the cell"
            )
    return [k for k, place in enumerate(chosen) if table.columns[place] in names]


def _read_columns(table: Table, chosen: list[int], at_target: int | None, *others: int | None) -> dict[str, Any]:
    """Names of the columns that are read, and of those that are not."""
    return {
        "target": "" if at_target is None else table.columns[at_target],
        "features": [table.columns[p] for p in chosen],
        "left_out": [n for p, n in enumerate(table.columns) if p not in (*chosen, at_target, *others)],
    }


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


def _chosen(table: Table, features: Any, apart: set[int]) -> list[int]:
    """The places of the features: those named, or all columns of numbers."""
    if features is not None:
        names = [features] if isinstance(features, str) else list(features)
        chosen = [table.column(str(name), "features") for name in names]
        for k, place in enumerate(chosen):
            if place in chosen[:k]:
                raise DataError(f"{table.columns[place]!r} is named twice in the features: once is enough")
    else:
        chosen = [p for p in range(len(table.columns)) if p not in apart and not _all_text(table.cells(p))]
        if not chosen:  # a series: what is to be predicted is what is read
            chosen = sorted(p for p in apart if all(number_in(c) is not None or is_missing(c) for c in table.cells(p)))[
                -1:
            ]
    if not chosen:
        raise DataError(
            f"{table.file} has no column of numbers to read beside its target: its columns are {some(table.columns)}"
        )
    return chosen


def _all_text(cells: list[str]) -> bool:
    """Whether a column holds no number at all, so that it is no feature."""
    return all(number_in(cell) is None for cell in cells)


def _numbers(table: Table, chosen: list[int], missing: str, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """(rows, features) and where they are missing."""
    values = np.zeros((len(table.rows), len(chosen)))
    gaps = np.zeros(values.shape, bool)
    for i, row in enumerate(table.rows):
        for k, place in enumerate(chosen):
            cell = row[place]
            number = number_in(cell)
            if number is not None:
                values[i, k] = number
            elif is_missing(cell):
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
    for k, place in enumerate(chosen):
        _check_apart(table, place, values[~gaps[:, k], k], cast[~gaps[:, k], k])
    return cast, gaps


def _check_apart(table: Table, place: int, exact: np.ndarray, cast: np.ndarray) -> None:
    """Refuse a column whose numbers differ by little more than what their dtype can tell, such as times in seconds."""
    if (
        cast.dtype.kind == "f"
        and len(exact)
        and np.ptp(exact) > 0
        and np.abs(cast - exact).max() > LOST * np.std(exact)
    ):
        raise DataError(
            f"{table.file}: column {table.columns[place]!r} holds numbers that {cast.dtype} cannot tell apart, from "
            f"{exact.min():.15g} to {exact.max():.15g}: leave it out with features=[…] (--features), or subtract where "
            "they begin"
        )


def _target(
    table: Table, place: int, classes: Any, dtype: Any, reals: bool | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The target of each row, and the names of its classes where it has any."""
    cells = table.cells(place)
    numbers = [number_in(cell) for cell in cells]
    of_numbers = sum(n is not None for n in numbers) > len(cells) / 2
    for i, cell in enumerate(cells):
        if is_missing(cell) and (of_numbers or cell.lower() not in ("none", "-", ".")):
            raise DataError(f"{table.at(i, place)}, the target, is missing ({cell!r}): leave the row out")
    few = len(set(cells)) <= MOST_CLASSES and len(set(cells)) < max(len(cells) // 2, 2)
    whole = all(n is not None and n == int(n) for n in numbers) and all("." not in cell for cell in cells)
    odd = [i for i, n in enumerate(numbers) if n is None]
    if reals and odd:
        raise DataError(f"{table.at(odd[0], place)}, the target, is {cells[odd[0]][:40]!r} where a number is expected")
    if reals or (reals is None and not classes and not odd and not (whole and few)):
        with np.errstate(over="ignore"):
            made = np.array(numbers, dtype)
        for i in np.flatnonzero(~np.isfinite(made))[:1].tolist():
            raise DataError(f"{table.at(i, place)}, the target, is {cells[i]!r}, too large for {np.dtype(dtype)}")
        _check_apart(table, place, np.array(numbers, float), made)
        return made[:, None], ()
    if reals is None and not classes and len(odd) and len(odd) < len(cells) / 2 and len(set(cells)) > MOST_CLASSES:
        raise DataError(f"{table.at(odd[0], place)}, the target, is {cells[odd[0]][:40]!r} where others are numbers")
    known = tuple(map(str, classes)) if classes else tuple(sorted(set(cells), key=_as_sorted))
    if len(known) < 2:
        raise DataError(f"{table.file}: the target {table.columns[place]!r} has one class only, {known[0]!r}")
    number = {name: k for k, name in enumerate(known)}
    for i, cell in enumerate(cells):
        if cell not in number:
            raise DataError(f"{table.at(i, place)}, the target, is {cell[:40]!r}; the classes are {some(known)}")
    return np.array([number[cell] for cell in cells], np.int64), known


def _as_sorted(cell: str) -> tuple[float, str]:
    number = number_in(cell)
    return (nan if number is None else number, cell) if number is not None else (float("inf"), cell)


def _grouped(
    table: Table, at_group: int | None, at_time: int | None, sort: bool
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(order of the rows, where each sequence begins in it, its name): sequences as they first occur, rows by time."""
    n = len(table.rows)
    cells = table.cells(at_group) if at_group is not None else [""] * n
    if at_group is not None and "" in cells:
        raise DataError(f"{table.at(cells.index(''), at_group)}, the group, is empty: name the sequence of each row")
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
    """The times of all rows, numbers or seconds since 1970 in UTC. Raises DataError where they are of two kinds."""
    times, kinds = np.empty(len(table.rows)), list[str]()
    for i, cell in enumerate(table.cells(place)):
        times[i], kind = _time(table, i, place, cell)
        kinds.append(kind)
        if kind != kinds[0]:
            raise DataError(
                f"{table.at(i, place)}: {cell[:40]!r} is {kind}, {table.rows[0][place][:40]!r} (line {table.lines[0]}) "
                f"is {kinds[0]}: which of them is earlier cannot be told; write all in one way"
            )
    return times


def _time(table: Table, row: int, place: int, cell: str) -> tuple[float, str]:
    """(a time, what kind of time it is)."""
    number = number_in(cell)
    if number is not None:
        return number, "a number"
    try:
        when = datetime.fromisoformat(cell)
        if when.tzinfo is not None:
            return when.timestamp(), "a date of a time zone"
        return (when - datetime(1970, 1, 1)).total_seconds(), "a date"
    except (ValueError, OverflowError):
        raise DataError(
            f"{table.at(row, place)} is {cell[:40]!r}, no time: expected a number or a date such as 2024-05-31"
        ) from None


def _same(y: np.ndarray) -> bool:
    return bool((y == y[0]).all())
