"""The nodes whose gradient norms the strip of a page shows over the whole sequence."""

from __future__ import annotations

import numpy as np

from tinyseq.ops.groups import LEAVES
from tinyseq.tape import Tape
from tinyseq.viz.stepper.order import Order
from tinyseq.viz.stepper.overview import Overview

MOST = 8  # names of states that can be chosen from


def tracks(tape: Tape, order: Order, overview: Overview, needed: set[int]) -> list[tuple[str, list[int]]]:
    """(name, nodes in the order of the walk) of each state, "" for all ops of a tape that has none.

    No gradient comes to the states of a fixed reservoir: there it is the units that read them.
    """
    every = order.nodes.tolist()
    place = {i: n for n, i in enumerate(every)}
    states, units = ([], []) if order.kind == "bare" else (overview.states, overview.units)
    found = []
    for name, example in [s for s in states if s[1] in needed][:MOST] or units[:MOST]:
        nodes = [i for i in _alike(tape, example) if i in place]
        if needed.intersection(nodes):
            found.append((name, sorted(nodes, key=place.__getitem__)))
    if not found:
        found.append(("", [i for i in every if tape.kind_of(i).op not in LEAVES and i in needed]))
    return found


def _alike(tape: Tape, example: int) -> list[int]:
    """Nodes of all steps that do what one of them does: those at its place in their step, where all steps have as many
    of its op, whatever they are called (the last state of an encoder, say, C); else those of its name."""
    kind = tape.kind_of(example)
    every = _of_kinds(tape, [(k.op, k.cell) == (kind.op, kind.cell) for k in tape.kinds])
    named = _of_kinds(tape, [(k.op, k.cell, k.name) == (kind.op, kind.cell, kind.name) for k in tape.kinds])
    counts = np.unique(tape.step[every], return_counts=True)[1]
    if (counts == counts[0]).all():
        return _at_its_place(tape, every, example)
    return named if kind.name else _at_its_place(tape, named, example)


def _of_kinds(tape: Tape, chosen: list[bool]) -> list[int]:
    return np.flatnonzero(np.array(chosen)[tape.kind]).tolist()


def _at_its_place(tape: Tape, nodes: list[int], example: int) -> list[int]:
    """Of some nodes those that are the same one in their step as the example is."""
    count: dict[int, int] = {}
    rank = {}
    for i in nodes:
        step = int(tape.step[i])
        rank[i] = count[step] = count.get(step, -1) + 1
    return [i for i in nodes if rank[i] == rank.get(example)]
