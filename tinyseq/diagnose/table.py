"""Tables of numbers by time step, as text and as HTML, their middle left out where they are long."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

SHOWN = 8
Row = tuple[str, ...]


def elided(count: int, row: Callable[[int], Row]) -> list[Row]:
    """``row(i)`` for i below ``count``: the first and last ones, and between them how many are left out."""
    if count <= 2 * SHOWN + 1:
        return [row(i) for i in range(count)]
    first, last = [row(i) for i in range(SHOWN)], [row(i) for i in range(count - SHOWN, count)]
    return [*first, (f"… {count - 2 * SHOWN:,} more …", *[""] * (len(first[0]) - 1)), *last]


def as_text(head: Row, rows: Sequence[Row], foot: str) -> str:
    """Columns under their heads, ranged right, and lines below."""
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
    lines.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join([*lines, foot])


def as_html(head: Row, rows: Sequence[Row], foot: str) -> str:
    """The same for notebooks."""

    def row(cells: Row, tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    caption = "<br>".join(html.escape(line) for line in foot.splitlines())
    return f"<table><caption>{caption}</caption><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>"
