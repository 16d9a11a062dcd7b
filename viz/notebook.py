"""What notebooks show: tapes and cells as graphs, tensors as tables with their axes named, plans in parts that open.

Everything is text that can be selected, in boxes that scroll instead of cutting off what is wide; small tapes are drawn
whole, of large ones the first and last steps.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.ops.groups import STACKS, TAKEN
from tinyseq.viz.look import labels

EDGE = 4  # rows and columns shown at each end of a long axis
OPEN = 14  # lines of a plan's part up to which it is open
BOX = "overflow-x:auto;max-width:100%"
NUMBERS = "text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap"


def tape_bundle(tape: Any) -> dict[str, str]:
    """The unfolded graph; text alone where there is nothing to draw or nothing to draw with."""
    return _drawn(tape, "unfolded", repr(tape))


def cell_bundle(cell: Any) -> dict[str, str]:
    """The folded graph; text alone where the shapes of its input cannot be guessed."""
    return _drawn(cell, "folded", type(cell).__name__)


def _drawn(thing: Any, view: str, name: str) -> dict[str, str]:
    from tinyseq.viz.picture import draw

    try:
        bundle = draw(thing, view=view)._repr_mimebundle_()
    except TinyseqError as error:
        return {"text/plain": f"{thing!r}  ({error})" if len(str(error)) < 200 else repr(thing)}
    title = f"<div><code>{html.escape(labels.clean(name))}</code></div>"
    return {**bundle, "text/html": title + bundle["text/html"], "text/plain": repr(thing)}


# -- tensors ----------------------------------------------------------------------------------------------------------
def tensor_bundle(tensor: Any) -> dict[str, str]:
    """Name, shape with the names of its axes, dtype, and the value as a table: its first matrix, long axes elided."""
    title = html.escape(labels.clean(repr(tensor)))
    try:
        value = np.asarray(tensor.value)
    except TinyseqError:  # a cell being folded has no values yet
        return {"text/plain": repr(tensor)}
    axes = axis_names(tensor)
    sizes = " × ".join(f"{axis} = {n}" for axis, n in zip(axes, value.shape, strict=True)) or "scalar"
    grad = tensor.grad
    norm = "" if grad is None else f", gradient norm {np.linalg.norm(np.asarray(grad, np.float64)):.4g}"
    page = f'<div style="{BOX}"><code>{title}</code><br>{html.escape(sizes)}{norm}{_matrix(value, axes)}</div>'
    return {"text/html": page, "text/plain": f"{tensor!r}\n{value}"}


def axis_names(tensor: Any) -> tuple[str, ...]:
    """T, B, F for sequences; B and units for what a cell makes at a step; else the number of the axis."""
    tape, index = tensor.tape, tensor.index
    node = tape.node(index)
    numbered = tuple(f"axis {i}" for i in range(len(node.shape)))
    if node.step >= 0:
        return ("B", "F")[: len(node.shape)] if len(node.shape) in (1, 2) else numbered
    joined = node.op in STACKS and any(tape.step[j] >= 0 for j in node.inputs[:1])
    readers = tape.consumers(index)[:1].tolist()
    is_sequence = joined or any(tape.node(r).op in TAKEN for r in readers)
    if is_sequence and len(node.shape) in (2, 3):
        return ("T", "B", "F")[: len(node.shape)]
    return numbered


def _matrix(value: np.ndarray, axes: Sequence[str]) -> str:
    """The first matrix of an array as a table."""
    where = ""
    if value.ndim > 2:
        first = ", ".join(f"{axis} = 0" for axis in axes[:-2])
        where = f"of {first}"
        value = value[(0,) * (value.ndim - 2)] if value.size else value.reshape(0, 0)
    rows_named = axes[-2] if len(axes) > 1 else ""
    matrix = value.reshape(1, -1) if value.ndim < 2 else value
    columns = _ends(matrix.shape[1])
    corner = f"{rows_named} ↓ {axes[-1]} →" if len(axes) > 1 else f"{axes[-1]} →" if axes else ""
    head = [corner, *("…" if c is None else str(c) for c in columns)]
    body = [
        ["…" if r is None else str(r), *("…" if r is None or c is None else f"{matrix[r, c]:.4g}" for c in columns)]
        for r in _ends(matrix.shape[0])
    ]
    return table(head, body, where)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table of numbers as HTML: everything escaped, the first column its heads."""
    title = f'<caption style="text-align:left">{html.escape(caption)}</caption>' if caption else ""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{html.escape(row[0])}</th>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f'<table style="{NUMBERS}">{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _ends(length: int) -> list[int | None]:
    if length <= 2 * EDGE + 1:
        return list(range(length))
    return [*range(EDGE), None, *range(length - EDGE, length)]


# -- plans ------------------------------------------------------------------------------------------------------------
def plan_bundle(plan: Any) -> dict[str, str]:
    """What ``explain()`` says, each part under its first line; long parts closed."""
    text = plan.explain()
    first, *parts = [part for part in text.split("\n\n") if part.strip()]
    page = f'<pre style="{BOX};margin:0">{html.escape(first)}</pre>' + "".join(_part(part) for part in parts)
    return {"text/html": f'<div style="{BOX}">{page}</div>', "text/plain": text}


def _part(part: str) -> str:
    title, *lines = part.splitlines()
    if not lines:
        return f"<div>{html.escape(title)}</div>"
    opened = " open" if len(lines) <= OPEN else ""
    return (
        f'<details{opened} style="margin:.4em 0"><summary>{html.escape(title)}</summary>'
        f'<pre style="{BOX};margin:.2em 0">{html.escape(chr(10).join(lines))}</pre></details>'
    )
