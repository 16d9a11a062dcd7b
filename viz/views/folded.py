"""The folded graph: one step, with a black square on every arrow that comes from an earlier one."""

from __future__ import annotations

from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter

import numpy as np

from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram, Link, Vertex
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.excerpt.positions import Reads
from tinyseq.viz.excerpt.typical import kinds_of_positions, steps_that_read, typical_step
from tinyseq.viz.look import labels
from tinyseq.viz.units.primitives import Reduced, Unit
from tinyseq.viz.views import strips
from tinyseq.viz.views.trees import bare, parameters, reduce, vertex

START, MANY = "start", 512  # the name of an arrow to what a chain starts from; nodes to look at for it
AROUND = 6  # steps on both sides that tell a chain from a tree


def folded(
    tape: Tape,
    detail: str = "cell",
    keep: np.ndarray | None = None,
    through: Collection[str] = (),
    opened: Collection[str] = (),
) -> Diagram:
    """The folded graph of a tape: of each cell a middle step, its late inputs drawn as delayed arrows."""
    step = typical_step(tape, keep)
    if step is None:
        return bare(tape, None, detail, keep)
    total = int(tape.step.max(initial=-1)) + 1
    reads = Reads(tape, keep)
    trees = reads.trees()
    around = {c: _around(tape, reads.mask({c}), step) for c in reads.cells if c not in trees}
    trees |= Excerpt(tape, around, keep).irregular()
    shown = {c: _shown(tape, reads.mask({c}), step, c in trees) for c in reads.cells}
    first = {c: s for c in reads.cells if c not in trees and (s := _first(tape, reads, c, shown[c])) is not None}
    shown = {c: sorted({*steps, *([first[c]] if c in first else [])}) for c, steps in shown.items()}
    excerpt = Excerpt(tape, shown, keep, trees, apart=True)
    reduced = reduce(excerpt, detail, through, True, opened)
    diagram = Diagram("folded", detail, parameters=parameters(excerpt))
    diagram.repeats, diagram.counts = total, excerpt.counts
    diagram.repeated = "position" if trees else "time step"
    parts = _fold(excerpt, reduced, diagram, first)
    strips.assign(diagram, tape, trees, parts)
    _count_each(diagram, tape, reads, trees)
    loops = [f"{diagram.vertex(e.source).text} to {diagram.vertex(e.target).text}" for e in diagram.links if e.delay]
    diagram.description = (
        f"Folded graph: one time step with nodes {', '.join(v.text for v in diagram.vertices[:12])}; "
        f"delayed arrows: {', '.join(loops) or 'none'}."
    )
    return diagram


def _count_each(diagram: Diagram, tape: Tape, reads: Reads, trees: set[str]) -> None:
    """Where cells run over different numbers of steps, each strip says over how many, and nothing speaks of all."""
    counts = {c: len(np.unique(tape.step[reads.mask({c})])) for c in reads.cells}
    if diagram.strips and len(reads.cells) == 1:
        return
    if len(set(counts.values())) > 1 or trees not in (set(), set(reads.cells)):
        diagram.repeats = 1
        for name, words in diagram.strips.items():
            diagram.strips[name] = f"{words} ×{counts[name]:,}" if counts.get(name, 1) > 1 else words


def _around(tape: Tape, mask: np.ndarray, step: int) -> range:
    total = int(tape.step[mask].max(initial=-1)) + 1
    step = min(step, max(total - 1, 0))
    return range(max(0, step - AROUND), min(total, step + AROUND))


def _shown(tape: Tape, mask: np.ndarray, step: int, is_tree: bool) -> list[int]:
    """What is shown of a cell: on a chain the step that is typical of all if it is of this cell too, else its own; on a
    tree a leaf, an inner position and a root as well."""
    own = typical_step(tape, mask, step)
    assert own is not None
    return sorted({own, *kinds_of_positions(tape, mask)}) if is_tree else [own]


def _first(tape: Tape, reads: Reads, cell: str, shown: list[int]) -> int | None:
    """The first step of a chain, if it reads other cells than those that are shown read: it starts from them."""
    mask = reads.mask({cell})
    first = int(tape.step[int(np.argmax(mask))])
    if first in shown or not _cells_read(tape, reads, mask, first) - _cells_read(tape, reads, mask, shown[0]):
        return None
    return first


def _cells_read(tape: Tape, reads: Reads, mask: np.ndarray, step: int) -> set[int]:
    """Numbers of the cells that a step of one reads, be it by way of what is outside of all steps."""
    waiting = np.flatnonzero(mask & (tape.step == step)).tolist()
    seen, found = set(waiting), set()
    while waiting and len(seen) < MANY:
        for j in tape.inputs(waiting.pop()):
            if tape.step[j] >= 0:
                found.add(int(reads.cell[j]))
            elif j not in seen:
                seen.add(j)
                waiting.append(j)
    return found - {int(reads.cell[int(np.argmax(mask))])}


def _fold(excerpt: Excerpt, reduced: Reduced, diagram: Diagram, first: dict[str, int]) -> dict[str, str]:
    """Units that stand for one another become one, arrows between steps (or positions) late.

    On a tree what is called alike in leaves, inner nodes and root is drawn once; where that would lead round in a
    circle, leaves are drawn for themselves. Among primitives they always are: no op may seem to read what it does not.
    Returns what to write of each vertex of such a leaf or inner node: which of them it is of.
    """
    fold = _Folder(excerpt, reduced, diagram, first)
    units = reduced.units.values()
    in_trees = [u for u in units if fold.in_tree(u)]
    places: list[dict[str, tuple]] = [{}]
    if in_trees:
        readers = _readers(reduced, {u.id for u in in_trees})
        fold.leaves = {u.id for u in in_trees if u.step not in readers}
        alike = {u.id: _alike(u) for u in in_trees}
        places = [alike, {i: (*place, i in fold.leaves) for i, place in alike.items()}, {i: (i,) for i in alike}]
        if diagram.detail == "ops":
            inner = {u.key for u in in_trees if not u.ghost and u.id not in fold.leaves}
            fold.leaves -= {u.id for u in in_trees if u.ghost and u.key in inner}
            apart = {u.id: (*u.key, u.id in fold.leaves) for u in in_trees}
            beside = [w for w in reduced.wires if reduced.units[w.source].key[0] == "alias" and w.target in apart]
            apart |= {w.source: (*reduced.units[w.source].key, w.target in fold.leaves) for w in beside}
            places = [apart, places[-1]]
    for place in places:
        fold.merge({u.id: u.key for u in units} | place)
        if diagram.detail == "ops" and in_trees:
            fold.complete()
        graph: dict[str, set[str]] = {}
        for link in diagram.links:
            if not link.delay:
                graph.setdefault(link.target, set()).add(link.source)
        try:
            TopologicalSorter(graph).prepare()
            break
        except CycleError:
            continue
    inside = {u.id for u in in_trees if u.step is not None and excerpt.step[u.node] >= 0}
    both = diagram.detail == "ops" and any(v.id in inside & fold.leaves for v in diagram.vertices)
    return {i: "leaf" if i in fold.leaves else "inner node" for i in inside} if both else {}


def _readers(reduced: Reduced, among: set[str]) -> set[int | None]:
    """Steps of some units that read others of them."""
    ends = [(reduced.units[w.source], reduced.units[w.target]) for w in reduced.wires if {w.source, w.target} <= among]
    return {b.step for a, b in ends if a.step is not None and a.step != b.step}


class _Folder:
    """Merges the units of an excerpt that stand in one place of the folded graph."""

    def __init__(self, excerpt: Excerpt, reduced: Reduced, diagram: Diagram, first: dict[str, int]) -> None:
        self.excerpt, self.reduced, self.diagram = excerpt, reduced, diagram
        self.first = self._of_first(first)  # units that are there for what a chain starts from
        self.feeding = _feeding(reduced)
        self.leaves: set[str] = set()

    def in_tree(self, unit: Unit) -> bool:
        """Whether a unit is of a tree: of its cell, or beside a tape of trees alone."""
        excerpt = self.excerpt
        if excerpt.step[unit.node] >= 0 or unit.initial is not None:
            return (unit.initial or excerpt.keys[unit.node])[0] in excerpt.trees
        return bool(excerpt.trees) and excerpt.trees >= set(excerpt.of_cell or ())

    def merge(self, place: dict[str, tuple]) -> None:
        """Vertices and links of the diagram, units of one place in one vertex."""
        here: dict[tuple, Vertex] = {}
        for unit in self.reduced.units.values():
            if not unit.ghost and unit.initial is None and unit.id not in self.first and self._is_drawn(unit):
                made = here.setdefault(place[unit.id], vertex(unit, 0, unit.label))
                made.key = place[unit.id]
        self.diagram.links = []
        seen: dict[tuple, str] = {}
        for wire in self.reduced.wires:
            source, target = self.reduced.units[wire.source], self.reduced.units[wire.target]
            if place[target.id] not in here or target.id in self.first:
                continue
            chained = not self.in_tree(target)
            delay = self._delay(source, target)
            if not chained:  # on a tree: the children's; among primitives leaves stand for themselves, under the others
                delay = int(delay != 0 and not (self.diagram.detail == "ops" and source.id in self.leaves))
            if place[source.id] not in here:
                other = here[place[source.id]] = vertex(source, 0, source.label)
                other.dashed, other.key = source.ghost, place[source.id]
                delay = 0
            start, end = here[place[source.id]].id, here[place[target.id]].id
            link = Link(start, end, wire.names, delay, recurrent=delay != 0, cut=wire.cut)
            same = (start, end, delay, link.label if delay and not chained else "")
            twice = chained and source.initial is None and seen.get(same) == wire.source  # as in x ⊙ x
            if twice or (same not in seen and (delay or start != end or chained)):
                self.diagram.links.append(link)
            seen.setdefault(same, wire.source)
        self._start(here, place)
        self.diagram.vertices = list(here.values())

    def _of_first(self, first: dict[str, int]) -> set[str]:
        """Units of the first steps of chains, and of what only these read."""
        excerpt, units = self.excerpt, self.reduced.units
        found = {
            u.id
            for u in units.values()
            if excerpt.step[u.node] >= 0 and not u.ghost and first.get(excerpt.node(u.node).cell) == u.step
        }
        readers: dict[str, set[str]] = {}
        for wire in self.reduced.wires:
            readers.setdefault(wire.source, set()).add(wire.target)
        return found | {i for i, who in readers.items() if who <= found and excerpt.step[units[i].node] < 0}

    def _start(self, here: dict[tuple, Vertex], place: dict[str, tuple]) -> None:
        """Arrows from what another cell has made to the chain that starts from it."""
        there = {(e.source, e.target) for e in self.diagram.links if not e.delay}
        for wire in self.reduced.wires:
            source, target = self.reduced.units[wire.source], self.reduced.units[wire.target]
            ends = (place[source.id], place[target.id])
            if target.id not in self.first or source.id in self.first or not set(ends) <= set(here):
                continue
            start, end = here[ends[0]].id, here[ends[1]].id
            same = self.excerpt.keys[source.node][0] == self.excerpt.keys[target.node][0]
            if not same and source.initial is None and not self.excerpt.is_source(source.node):
                if (start, end) not in there:
                    self.diagram.links.append(Link(start, end, (START,), dashed=True, cut=wire.cut))
                there.add((start, end))

    def complete(self) -> None:
        """Any child of an inner node may be a leaf or an inner node: what reads a state of one reads that of both."""
        of = {u.id: (self.excerpt.node(u.node).name or u.key, u.id in self.leaves) for u in self.reduced.units.values()}
        drawn = {v.id for v in self.diagram.vertices}
        made = {
            state: i for i, state in of.items() if i in drawn and self.excerpt.step[self.reduced.units[i].node] >= 0
        }
        there = {(e.source, e.target) for e in self.diagram.links}
        for link in list(self.diagram.links):
            name, leaf = of[link.source]
            across = link.delay or (leaf and link.target not in self.leaves)
            other = made.get((name, not leaf))
            if not across or made.get((name, leaf)) != link.source or other is None or (other, link.target) in there:
                continue
            there.add((other, link.target))
            self.diagram.links.append(Link(other, link.target, (), int(leaf), recurrent=leaf, cut=link.cut))

    def _is_drawn(self, unit: Unit) -> bool:
        """What stands in a step, and of what stands in none what leads into one."""
        in_step = unit.step is not None or self.in_tree(unit)
        return in_step or unit.id in self.feeding or self.excerpt.is_source(unit.node)

    def _delay(self, source: Unit, target: Unit) -> int:
        """By how many steps a unit is read late."""
        if source.initial is not None:
            return target.step - source.time if source.time is not None and target.step is not None else 1
        step, keys = self.excerpt.step, self.excerpt.keys
        if min(step[target.node], step[source.node]) < 0 or None in (source.step, target.step):
            return 0
        same = keys[source.node][0] == keys[target.node][0]
        if not same and len(steps_that_read(self.excerpt.tape, source.node, keys[target.node][0])) > 1:
            return 0  # a context, read by all steps of another cell: it is not late, it is elsewhere
        return target.step - source.step  # type: ignore[operator]


def _feeding(reduced: Reduced) -> set[str]:
    """Units of no step that lead into one."""
    sources: dict[str, list[str]] = {}
    for wire in reduced.wires:
        sources.setdefault(wire.target, []).append(wire.source)
    waiting = [u.id for u in reduced.units.values() if u.step is not None and not u.ghost]
    found: set[str] = set()
    while waiting:
        for source in sources.get(waiting.pop(), ()):
            if source not in found and reduced.units[source].step is None:
                found.add(source)
                waiting.append(source)
    return found


def _alike(unit: Unit) -> tuple:
    named = any(run.style == labels.ITALIC for run in unit.label)
    count = unit.key[-2] if len(unit.key) > 2 else 0  # of several in one position that are called alike
    return ("named", labels.text_of(unit.label), count) if named and not unit.name else unit.key
