"""The cells of a table's file as text: read, checked, and named by line and column."""

from __future__ import annotations

import csv as comma_separated
import io
import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tinyseq.errors import DataError
from tinyseq.tasks.text_files import read_text

EMPTY = {"", "na", "nan", "n/a", "null", "none", "?", "-", "."}
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


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
            f"{self.file} has no column {name!r} for the {what}{hint}. Its columns are {some(self.columns)}"
        )

    def cells(self, place: int) -> list[str]:
        """The cells of a column."""
        return [row[place] for row in self.rows]

    def at(self, row: int, place: int) -> str:
        """Where a cell stands, in words."""
        return f"{self.file}, line {self.lines[row]}, column {self.columns[place]!r}"


def read_table(path: str | Path) -> Table:
    """The cells of a CSV file. Raises FileError and DataError that name the line of a ragged row."""
    text = read_text(path)
    sample = re.sub(r'"[^"]*"', "", text[:4096]).split("\n", 1)[0]
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
                    f"({some(header)}). A cell with a {delimiter!r} in it is written in quotes"
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
    if all(number_in(cell) is not None for cell in header):
        raise DataError(f"{path} has no header: its first line holds numbers only. Write the columns' names above it")
    for place, name in enumerate(header):
        if not name:
            raise DataError(f"{path}: column {place + 1} has no name in the header ({some(header)})")
        if header.index(name) != place:
            raise DataError(f"{path}: two columns are called {name!r}, {header.index(name) + 1} and {place + 1}")


def some(names: Any) -> str:
    """The first of many names, in words."""
    names = list(names)
    return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def number_in(cell: str) -> float | None:
    """A finite number, or None."""
    if "_" in cell:  # Python would read 1_000 as a number; in tables such cells are names
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing."""
    return cell.lower() in EMPTY
