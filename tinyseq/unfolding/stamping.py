"""Stamping: a folded step written on the tape for every instance, as array arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.tape import Tape
from tinyseq.tensor.source_lines import internal
from tinyseq.unfolding.folding import LOCAL, SLOT, FoldedStep

internal(__file__)

PIECE = 1 << 13  # nodes stamped at a time

Slots = Callable[[int, int, np.ndarray, np.ndarray], Any]


def stamp(
    tape: Tape,
    groups: Sequence[tuple[FoldedStep, np.ndarray]],
    slots: Slots,
    steps: np.ndarray,
    args: dict[tuple[int, int], np.ndarray],
    rows: dict[int, np.ndarray] | None = None,
) -> np.ndarray:
    """Append every instance of every group; returns the first node of each instance.

    groups   (folded, numbers of its instances in the order of running)
    slots    (group, slot, its instances, first nodes of all) → node indices that stand for a placeholder
    steps    step of each instance
    args     (group, local node) → arg of that node in each of the group's instances
    rows     group → lengths of the first axes, (instances, nodes), where they differ
    """
    count = sum(len(instances) for _, instances in groups)
    n_nodes, n_edges = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for folded, instances in groups:
        n_nodes[instances], n_edges[instances] = len(folded.table), len(folded.codes)
    tape.flush()
    start = len(tape)
    bases = start + np.cumsum(n_nodes) - n_nodes
    edge_bases = np.cumsum(n_edges) - n_edges
    table, ends, edges = tape.room(int(n_nodes.sum()), int(n_edges.sum()))
    first_end = int(tape.input_pointers[-1])
    for g, (folded, instances) in enumerate(groups):
        own = {local: values for (group, local), values in args.items() if group == g}
        read = {}  # placeholder → its node in each instance
        for slot in np.unique(folded.numbers[folded.codes == SLOT]).tolist():
            read[slot] = np.asarray(slots(g, slot, instances, bases)).astype(edges.dtype)
        length, after = len(folded.table), first_end + np.cumsum(folded.n_inputs)
        stamped = max(PIECE // max(length, 1), 1)
        for low in range(0, len(instances), stamped):  # in pieces, so that what is made on the way stays small
            piece = slice(low, low + stamped)
            part = instances[piece]
            nodes, put_nodes = _grid(table, bases[part] - start, length)
            nodes[:3] = folded.table.T[:3, None, :]
            nodes[3] = np.where(folded.table[:, 3] >= 0, steps[part][:, None], -1)
            if rows is not None and g in rows:
                nodes[1] = rows[g][piece]
            for local, values in own.items():
                nodes[2, :, local] = values[piece]
            put_nodes()
            pointers, put_pointers = _grid(ends[None], bases[part] - start, length)
            pointers[0] = edge_bases[part][:, None] + after
            put_pointers()
            inputs, put_inputs = _grid(edges[None], edge_bases[part], len(folded.codes))
            inputs[0] = folded.numbers + (folded.codes == LOCAL) * bases[part][:, None]
            for j in np.flatnonzero(folded.codes == SLOT).tolist():
                inputs[0, :, j] = read[int(folded.numbers[j])][piece]
            put_inputs()
    tape.grow(table.shape[1], len(edges))
    return bases


def _grid(columns: np.ndarray, bases: np.ndarray, length: int) -> tuple[np.ndarray, Callable[[], None]]:
    """The places of several instances in some columns, (columns, instances, length), and what to call once they are
    filled: instances that follow each other are filled in place, others by way of a copy."""
    if (np.diff(bases) == length).all():
        inside = columns[:, bases[0] : bases[0] + len(bases) * length]
        return inside.reshape(len(columns), len(bases), length), lambda: None
    grid = np.empty((len(columns), len(bases), length), columns.dtype)

    def put() -> None:
        columns[:, bases[:, None] + np.arange(length)] = grid

    return grid, put
