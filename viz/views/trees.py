"""Graphs that are no chain of time steps: trees, and tapes without cells. Drawn in layers, sources at the foot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from tinyseq.ops.groups import NUMBERED, PARAMETERS
from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram, Link, Vertex
from tinyseq.viz.excerpt.choose import choose_steps
from tinyseq.viz.excerpt.excerpt import Bare, Excerpt
from tinyseq.viz.excerpt.positions import Positions, Reads
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import Run
from tinyseq.viz.units.boxes import boxes
from tinyseq.viz.units.gates import units
from tinyseq.viz.units.named import roles
from tinyseq.viz.units.primitives import Reduced, Unit, Wire, primitives
from tinyseq.viz.views import strips

BARE_NODES = 300
POSITIONS = {"box": 63, "cell": 63, "units": 31, "ops": 15}  # positions of a tree shown by default


def vertex(unit: Unit, column: int | None, label: labels.Label) -> Vertex:
    """A unit as a vertex."""
    return Vertex(
        unit.id, unit.key, column, unit.role, label, unit.node, unit.shape, unit.note, unit.tooltip,
        round=unit.note == "", base=unit.name or unit.label, time=unit.time,
    )  # fmt: skip


def reduce(
    excerpt: Excerpt,
    detail: str,
    through: Collection[str] = (),
    timeless: bool = False,
    opened: Collection[str] = (),
) -> Reduced:
    """The units of an excerpt: cells ("box"), named nodes ("cell"), gates and sums too ("units"), all ("ops")."""
    if detail == "ops":
        return primitives(excerpt, timeless)
    if detail == "box":
        return boxes(excerpt, roles(excerpt, through), opened)
    return units(excerpt, through) if detail == "units" else roles(excerpt, through)


def parameters(excerpt: Excerpt) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of each parameter in an excerpt."""
    leaves = [i for i in sorted(excerpt.found) if excerpt.node(i).op in PARAMETERS]
    return [(excerpt.node(i).name or "parameter", excerpt.node(i).shape) for i in leaves]


def _has_position(tape: Tape, unit: Unit) -> bool:
    return bool(tape.step[unit.node] >= 0) or tape.node(unit.node).op in NUMBERED


def tree(
    tape: Tape,
    total: int,
    steps: int | Sequence[int] | None,
    detail: str,
    keep: np.ndarray | None = None,
) -> Diagram:
    """A tape unfolded over trees: children under their parents; of large ones the positions nearest the root.

    Where a position reads what was made of others outside of all of them, it is drawn in layers, as it is.
    """
    positions = Positions(tape, keep)
    shown = positions_shown(positions, total, steps, detail)
    excerpt = Excerpt(tape, list(shown), keep, trees=set(Reads(tape, keep).cells))
    reduced = reduce(excerpt, detail)
    diagram = Diagram("unfolded", detail, parameters=parameters(excerpt), ordered=True, counts=excerpt.counts)
    add_positions(diagram, tape, reduced.units.values())
    diagram.links = [link_of(reduced, wire) for wire in reduced.wires]
    add_words(diagram, tape)
    at = {v.id: v for v in diagram.vertices}
    crossed = any(at[e.source].position == -1 != at[e.target].position for e in diagram.links)
    if not crossed:
        diagram.tree = children(positions, shown)
        strips.number(diagram)
    else:
        strips.assign(diagram, tape)
    diagram.description = f"Graph over the {total:,} positions of a tree, {len(shown)} of them shown."
    return diagram


def positions_shown(positions: Positions, total: int, steps: int | Sequence[int] | None, detail: str) -> list[int]:
    """So many positions nearest the roots, or those that were asked for."""
    count = POSITIONS[detail] if steps is None else steps
    return positions.nearest(count) if isinstance(count, int) else choose_steps(total, count, 0)


def children(positions: Positions, shown: Sequence[int]) -> dict[int, list[int]]:
    """Position → its children, -1 → the roots."""
    return {p: positions.children.get(p, []) for p in shown} | {-1: positions.roots}


def add_positions(diagram: Diagram, tape: Tape, units: Iterable[Unit]) -> None:
    """Vertices of the positions of a tree."""
    for unit in units:
        timed = diagram.detail != "ops" and unit.time is not None and not unit.name and _has_position(tape, unit)
        label = labels.at_time(unit.label, "…" if unit.ghost else str(unit.time)) if timed else unit.label
        v = vertex(unit, None, label)
        v.key, v.kind = (unit.id,), unit.key
        v.position = -1 if unit.step is None else unit.step
        v.dashed = unit.ghost
        if unit.ghost:
            v.role, v.node, v.shape = "ellipsis", -1, None
        diagram.vertices.append(v)


def link_of(reduced: Reduced, wire: Wire) -> Link:
    """A wire into or within a tree as a link."""
    return Link(wire.source, wire.target, wire.names, dashed=reduced.units[wire.source].ghost, cut=wire.cut)


def add_words(diagram: Diagram, tape: Tape) -> None:
    """The words that a tree has at its positions, for the data that these read."""
    at = {v.id: v for v in diagram.vertices}
    readers: dict[str, list[str]] = {}
    for link in diagram.links:
        readers.setdefault(link.source, []).append(link.target)
    for v in diagram.vertices:
        if v.role == "data" and not v.dashed and v.position is not None and tape.words:
            words = tape.words.get(_cell_that_reads(v.id, at, readers, tape), ())
            if 0 <= v.position < len(words) and words[v.position] is not None:
                diagram.words[v.id] = labels.shorten(labels.clean(str(words[v.position])), 14)


def _cell_that_reads(id: str, at: dict[str, Vertex], readers: dict[str, list[str]], tape: Tape) -> str:
    """The cell that reads a vertex, be it by way of what is outside of all steps."""
    waiting, seen = [id], {id}
    while waiting:
        for target in readers.get(waiting.pop(), ()):
            node = at[target].node
            if node >= 0 and tape.step[node] >= 0:
                return tape.kinds[int(tape.kind[node])].cell
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return ""


def bare(tape: Tape, limit: int | Sequence[int] | None, detail: str, keep: np.ndarray | None) -> Diagram:
    """A tape without cells: its graph as it is; of a long tape the first and last nodes."""
    count = len(choose_steps(len(tape), limit, BARE_NODES))
    excerpt = Bare(tape, count, keep)
    reduced = reduce(excerpt, detail)
    diagram = Diagram("unfolded", detail, parameters=parameters(excerpt))
    diagram.vertices = [vertex(u, None, u.label) for u in reduced.units.values()]
    diagram.links = [Link(w.source, w.target, w.names, cut=w.cut) for w in reduced.wires]
    diagram.counts = excerpt.counts
    if excerpt.elided:
        _bridge(diagram, excerpt)
    diagram.description = f"Graph of {len(tape):,} nodes; {len(diagram.vertices)} shown."
    return diagram


def _bridge(diagram: Diagram, excerpt: Bare) -> None:
    """One dashed node for all that was left out of the middle."""
    text = f"… {excerpt.elided:,} nodes …"
    gap = Vertex("gap", ("gap",), None, "ellipsis", (Run(text),), dashed=True, round=False)
    order = sorted(excerpt.found)
    half = order[(len(order) - 1) // 2]
    drawn = {v.node for v in diagram.vertices}
    cut = [i for i in order if i in drawn and i > half and any(j not in excerpt.found for j in excerpt.inputs(i))]
    read = {j for i in order for j in excerpt.inputs(i)}
    open_ends = [i for i in order if i in drawn and i <= half and i not in read]
    diagram.vertices.append(gap)
    diagram.links += [Link(f"n{i}", gap.id, dashed=True) for i in open_ends]
    diagram.links += [Link(gap.id, f"n{i}", dashed=True) for i in cut]
