"""Results as JSON lines, one as each comes: whoever is killed while a line is written loses that line alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from tinyseq.errors import FileError
from tinyseq.strict_json import dumps


def append_row(path: Path, row: Any) -> None:
    """Add a row behind those that are whole; a number that is not finite is written as null. Raises FileError."""
    try:
        with path.open("a+b") as out:
            _end(out)
            out.write(dumps(row, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise FileError(f"cannot write the results {path}: {error.strerror or error}") from None


def rows_of(path: Path, wanted: str) -> list[tuple[int, Any]]:
    """(number of the line, what it holds) of each; a last line that was cut off is none. Raises FileError, which says
    what was ``wanted``, where the file cannot be read or another line is no JSON."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read the results {path}: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append((number, json.loads(line)))
        except (ValueError, RecursionError):
            if number < len(lines):
                raise FileError(f"{path}, line {number}: {wanted}") from None
    return found


def _end(out: BinaryIO) -> None:
    """End a last line that has no end: one that is whole gets it, one that was cut off is taken out."""
    size = out.seek(0, 2)
    out.seek(max(size - 1, 0))
    if not size or out.read() == b"\n":
        return
    out.seek(0)
    content = out.read()
    begin = content.rfind(b"\n") + 1
    try:
        json.loads(content[begin:])
        out.write(b"\n")
    except ValueError:
        out.truncate(begin)
