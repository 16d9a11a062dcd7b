"""What notebooks show: a tape as its unfolded graph, a cell as its folded graph, a tensor as a table of its value."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.viz import labels

EDGE = 4  # rows and columns shown at each end of a long axis


def tape_bundle(tape: Any) -> dict[str, str]:
    """The unfolded graph; text alone where there is nothing to draw or nothing to draw with."""
    return _drawn(tape, "unfolded")


def cell_bundle(cell: Any) -> dict[str, str]:
    """The folded graph; text alone where the shapes of its input cannot be guessed."""
    return _drawn(cell, "folded")


def _drawn(thing: Any, view: str) -> dict[str, str]:
    from tinyseq.viz.picture import draw

    try:
        bundle = draw(thing, view=view)._repr_mimebundle_()
    except TinyseqError as error:
        return {"text/plain": f"{thing!r}  ({error})" if len(str(error)) < 200 else repr(thing)}
    return {**bundle, "text/plain": repr(thing)}


def tensor_bundle(tensor: Any) -> dict[str, str]:
    """Name, shape, dtype, and the value as a table: the first matrix of it, long axes elided."""
    title = html.escape(labels.clean(repr(tensor)))
    try:
        value = np.asarray(tensor.value)
    except TinyseqError:  # a cell being folded has no values yet
        return {"text/plain": repr(tensor)}
    table, where = _table(value)
    note = f" at {where}" if where else ""
    grad = tensor.grad
    norm = "" if grad is None else f", gradient norm {np.linalg.norm(np.asarray(grad, np.float64)):.4g}"
    page = f"<div><code>{title}</code>{note}{norm}{table}</div>"
    return {"text/html": page, "text/plain": f"{tensor!r}\n{value}"}


def _table(value: np.ndarray) -> tuple[str, str]:
    where = ""
    if value.ndim > 2:
        where = "[" + ", ".join(["0"] * (value.ndim - 2)) + "]"
        value = value[(0,) * (value.ndim - 2)] if value.size else value.reshape(0, 0)
    matrix = value.reshape(1, -1) if value.ndim < 2 else value
    columns = _ends(matrix.shape[1])
    head = "".join(f"<th>{'…' if c is None else c}</th>" for c in columns)
    body = ""
    for r in _ends(matrix.shape[0]):
        cells = "".join(f"<td>{'…' if r is None or c is None else f'{matrix[r, c]:.4g}'}</td>" for c in columns)
        body += f"<tr><th>{'…' if r is None else r}</th>{cells}</tr>"
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>", where


def _ends(length: int) -> list[int | None]:
    if length <= 2 * EDGE + 1:
        return list(range(length))
    return [*range(EDGE), None, *range(length - EDGE, length)]
