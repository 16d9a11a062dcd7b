"""Trees over the outputs of chains: the chains as columns of time steps, over them the trees, joined by what they read.

``Diagram.tree`` and ``Diagram.columns`` are both there: vertices of chains have a column, those of trees a position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.excerpt.choose import choose_steps
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.excerpt.positions import Positions, Reads
from tinyseq.viz.units.primitives import Reduced
from tinyseq.viz.views import strips
from tinyseq.viz.views.columns import Columns
from tinyseq.viz.views.trees import add_positions, add_words, children, link_of, positions_shown, reduce


@dataclass(frozen=True)
class Question:
    """What is asked of an unfolded graph; ``default`` is the number of steps shown of a chain."""

    tape: Tape
    keep: np.ndarray | None
    steps: int | Sequence[int] | None
    detail: str
    default: int
    opened: tuple[str, ...]
    time: Callable[[int], str]


def trees_over_chains(asked: Question, reads: Reads, trees: set[str]) -> Diagram | None:
    """The picture; None where the chains read the trees, so that these do not stand over them."""
    tape, chains = asked.tape, [c for c in reads.cells if c not in trees]
    positions = Positions(tape, reads.mask(trees))
    total = int(tape.step[reads.mask(chains)].max()) + 1
    size = len(positions.here)
    if isinstance(asked.steps, (int, np.integer)) or asked.steps is None:
        shown, in_tree = (
            choose_steps(total, asked.steps, asked.default),
            positions_shown(positions, size, None, asked.detail),
        )
    else:
        wanted = choose_steps(max(total, positions.total), asked.steps, 0)
        shown = [s for s in wanted if s < total] or [0]
        in_tree = [p for p in wanted if p in set(positions.here)] or positions.roots[:1]
    of_cell = dict.fromkeys(chains, shown) | dict.fromkeys(trees, in_tree)
    excerpt = Excerpt(tape, of_cell, asked.keep, trees)
    reduced = reduce(excerpt, asked.detail, opened=asked.opened)
    over = _over(excerpt, reduced)
    if over is None:
        return None
    below = Reduced({i: u for i, u in reduced.units.items() if i not in over})
    below.wires = [w for w in reduced.wires if w.source not in over and w.target not in over]
    columns = Columns(excerpt, below, shown, total, asked.detail, asked.time)
    diagram = columns.diagram
    add_positions(diagram, tape, [u for i, u in reduced.units.items() if i in over])
    for wire in reduced.wires:
        if wire.target in over:
            link = link_of(reduced, wire)
            link.source = wire.source if wire.source in over else columns.start(reduced.units[wire.source])
            diagram.links.append(link)
    add_words(diagram, tape)
    diagram.tree = children(positions, in_tree)
    strips.assign(diagram, tape, trees)
    diagram.description += f" Over it the {size:,} positions of a tree, {len(in_tree)} of them shown."
    return diagram


def _over(excerpt: Excerpt, reduced: Reduced) -> set[str] | None:
    """Units of the trees, what is made of them, and what only these read."""
    units, tape = reduced.units, excerpt.tape
    found = {i for i, u in units.items() if tape.step[u.node] >= 0 and excerpt.keys[u.node][0] in excerpt.trees}
    for wire in sorted(reduced.wires, key=lambda w: units[w.source].node):
        if wire.source in found and wire.target not in found:
            if tape.step[units[wire.target].node] >= 0:
                return None
            found.add(wire.target)
    readers: dict[str, set[str]] = {}
    for wire in reduced.wires:
        readers.setdefault(wire.source, set()).add(wire.target)
    for unit in sorted(units.values(), key=lambda u: -u.node):
        read_by = readers.get(unit.id)
        if excerpt.is_source(unit.node) and read_by and read_by <= found:
            found.add(unit.id)
    return found
