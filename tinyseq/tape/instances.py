"""Nodes written into a tape's columns, many in one pass: instances of a step, and what was recorded one by one."""

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


@kernel
def write_stream(stream, sorts, args, turns, first, edge, columns, ends, edges):
    """Write nodes recorded one by one: kind, rows, arg and step of each (4, nodes), where its inputs end, and these.

    stream       of each node ~(its row of ``sorts``), then its inputs
    sorts        kind, rows, and whether nodes of it have an arg
    args         those that there are, in order
    turns        nodes before which the step changed, each with what it changed to; at last the node after all
    first, edge  the number of the first node and the first input
    """
    node, at, arg, turn = -1, 0, 0, 0
    for i in range(stream.size):
        code = stream[i]
        if code >= 0:
            edges[at] = code
            at += 1
            continue
        if node >= 0:
            ends[node] = edge + at
        node += 1
        while turns[turn + 2] <= first + node:
            turn += 2
        columns[0, node], columns[1, node], columns[2, node] = sorts[~code, 0], sorts[~code, 1], 0
        columns[3, node] = turns[turn + 1]
        if sorts[~code, 2]:
            columns[2, node] = args[arg]
            arg += 1
    ends[node] = edge + at
