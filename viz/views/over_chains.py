"""Trees and chains on one tape: the chains as columns of time steps, over them the trees that read what they have made,
under them those that they start from.

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
from tinyseq.viz.units.primitives import Reduced, Wire
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


def trees_over_chains(asked: Question, reads: Reads, trees: set[str]) -> Diagram:
    """The picture: chains that start from what trees have made too, these then stand under them."""
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
    into = [w for w in reduced.wires if w.source in over and w.target not in over]
    begins = {w.source: _begun(reduced, w, over) for w in into}
    below = Reduced({i: u for i, u in reduced.units.items() if i not in over})
    below.wires = [w for w in reduced.wires if w.source not in over and w.target not in over]
    begun = any(key is not None for key in begins.values())
    columns = Columns(excerpt, below, shown, total, asked.detail, asked.time, begun=begun)
    diagram = columns.diagram
    add_positions(diagram, tape, [u for i, u in reduced.units.items() if i in over])
    for wire in reduced.wires:
        if wire.target in over:
            link = link_of(reduced, wire)
            link.source = wire.source if wire.source in over else columns.start(reduced.units[wire.source])
            diagram.links.append(link)
    diagram.links += [link_of(reduced, wire) for wire in into]
    diagram.entries = begins
    add_words(diagram, tape)
    diagram.tree = children(positions, in_tree)
    strips.assign(diagram, tape, trees)
    diagram.description += f" Over it the {size:,} positions of a tree, {len(in_tree)} of them shown."
    return diagram


def _begun(reduced: Reduced, wire: Wire, over: set[str]) -> tuple | None:
    """The key of the state that what a tree has made is read in place of, at the first step of a chain; None where it
    is no state but read as it is."""
    units, target = reduced.units, reduced.units[wire.target]
    late: dict[tuple, tuple[str, ...]] = {}
    for w in reduced.wires:
        a, b = units[w.source], units[w.target]
        if b.key == target.key and w.source not in over and None not in (a.step, b.step) and a.step != b.step:
            late[a.key] = w.names
    read_at = {units[w.target].step for w in reduced.wires if w.source == wire.source and w.target not in over}
    if len(read_at) > 1:  # a context
        return None
    alike = [key for key, names in late.items() if names == wire.names]
    return next(iter(alike or late), None)


def _over(excerpt: Excerpt, reduced: Reduced) -> set[str]:
    """Units of the trees, what is made of them outside of all steps, and what only these read."""
    units, tape = reduced.units, excerpt.tape
    found = {i for i, u in units.items() if tape.step[u.node] >= 0 and excerpt.keys[u.node][0] in excerpt.trees}
    for wire in sorted(reduced.wires, key=lambda w: units[w.source].node):
        if wire.source in found and tape.step[units[wire.target].node] < 0:
            found.add(wire.target)
    readers: dict[str, set[str]] = {}
    for wire in reduced.wires:
        readers.setdefault(wire.source, set()).add(wire.target)
    for unit in sorted(units.values(), key=lambda u: -u.node):
        read_by = readers.get(unit.id)
        if excerpt.is_source(unit.node) and read_by and read_by <= found:
            found.add(unit.id)
    return found
