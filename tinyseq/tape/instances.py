"""Instances of a step written into a tape's columns: many nodes in one pass over them."""

from __future__ import annotations

from tinyseq.jit.decorators import kernel

LOCAL, FIXED, SLOT = 0, 1, 2
"""What an input of a node of a step is: a node of the step, a node of the tape, a placeholder."""


@kernel
def write_instances(
    columns, ends, edges, start, step, after, codes, numbers, read, bases, edge_bases, steps, places, args, rows
):
    """Write all instances of a step: kind, rows, arg and step of their nodes (4, nodes), where the inputs of each end,
    and the inputs.

    start                where the columns begin on the tape
    step                 the step's nodes as rows (kind, rows, arg, step), step −1 for those outside of any
    after                where each node's inputs end, counted from its instance's first one among ``edges``
    codes, numbers       what each input is
    read                 (placeholders, instances): the node that stands for one
    bases, edge_bases    first node of each instance on the tape, and its first input among ``edges``
    steps                number of each instance
    places, args         nodes whose arg changes: (how many,), (how many, instances)
    rows                 (instances, nodes), or nothing where all are the step's own
    """
    for m in range(bases.size):
        base = bases[m] - start
        for i in range(step.shape[0]):
            node = base + i
            columns[0, node] = step[i, 0]
            columns[1, node] = rows[m, i] if rows.size else step[i, 1]
            columns[2, node] = step[i, 2]
            columns[3, node] = steps[m] if step[i, 3] >= 0 else -1
            ends[node] = edge_bases[m] + after[i]
        for k in range(places.size):
            columns[2, base + places[k]] = args[k, m]
        for e in range(codes.size):
            at = edge_bases[m] + e
            if codes[e] == LOCAL:
                edges[at] = bases[m] + numbers[e]
            elif codes[e] == SLOT:
                edges[at] = read[numbers[e], m]
            else:
                edges[at] = numbers[e]
