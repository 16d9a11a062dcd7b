"""Stamping: a folded step written on the tape for every instance, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.tape import Tape
from tinyseq.tape.instances import SLOT, write_instances
from tinyseq.tensor.source_lines import internal
from tinyseq.unfolding.folding import FoldedStep

internal(__file__)

NONE = np.zeros((0, 0), np.int64)
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
        if not len(folded.table):
            continue
        own = {local: values for (group, local), values in args.items() if group == g}
        wanted = sorted(set(folded.numbers[folded.codes == SLOT].tolist()))
        read = np.zeros((max(wanted, default=-1) + 1, len(instances)), np.int64)  # placeholder → its nodes
        for slot in wanted:
            read[slot] = slots(g, slot, instances, bases)
        written = np.empty((len(own), len(instances)), np.int64)
        for k, values in enumerate(own.values()):
            written[k] = values
        lengths = np.ascontiguousarray(rows.get(g, NONE) if rows else NONE, np.int64)
        write_instances(
            table, ends, edges, start, folded.table, first_end + np.cumsum(folded.n_inputs), folded.codes,
            folded.numbers, read, bases[instances], edge_bases[instances], steps[instances],
            np.array(list(own), np.int64), written, lengths,
        )  # fmt: skip
    tape.grow(table.shape[1], len(edges))
    return bases
