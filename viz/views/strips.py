"""Strips: which cell each vertex belongs to, so that layers, directions, encoder and decoder stand over one another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram, Vertex
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import ITALIC, SUB, Run


def assign(
    diagram: Diagram, tape: Tape, trees: Collection[str] = (), parts: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Give each vertex the name of its cell; what was recorded outside goes with what reads it, or what it reads.

    ``trees`` are cells whose steps are positions of a tree: time does not run through them. ``parts`` says of a vertex
    which part of its cell it is of, where each stands in a strip of its own.
    """
    known: dict[tuple, str] = {}
    parted: dict[str, str] = {}  # what to write beside a part, where it is of the only tree
    for v in diagram.vertices:
        if v.node >= 0 and tape.step[v.node] >= 0:
            v.strip = tape.kinds[int(tape.kind[v.node])].cell
            if v.id in parts:
                part = f"{v.strip}, {parts[v.id]}"
                parted[part] = parts[v.id] if len({*trees} - {*parted}) == 1 else part
                v.strip, trees = part, {*trees, part}
            known.setdefault(v.key, v.strip)
    for v in diagram.vertices:
        v.strip = v.strip or known.get(v.key, "")
    at = {v.id: v for v in diagram.vertices}
    _spread(diagram, at)
    number(diagram)
    own = [e for e in diagram.links if e.delay < 0 and at[e.source].strip == at[e.target].strip]
    late = {at[e.target].strip: at[e.target].column or 0 for e in own}
    for e in diagram.links:
        a, b = at[e.source], at[e.target]
        if a.strip == b.strip and a.column is not None and b.column is not None and a.column > b.column:
            late.setdefault(b.strip, b.column)
    for name in names(diagram):
        plain = labels.shorten(labels.clean(parted.get(name, name)), 30)
        diagram.strips[name] = plain if name in trees else title(name, name in late)


def _spread(diagram: Diagram, at: dict[str, Vertex]) -> None:
    """Strips for what was recorded outside of all cells: of what reads it, or of the last of those that it reads."""
    given = ("data", "parameter", "constant", "initial")
    sources: dict[str, list[Vertex]] = {}
    for link in diagram.links:
        if at[link.source].role not in given:
            sources.setdefault(link.target, []).append(at[link.source])
    order = {strip: n for n, strip in enumerate(dict.fromkeys(v.strip for v in diagram.vertices if v.strip))}
    for _ in range(2 * len(diagram.vertices)):
        changed = False
        for link in diagram.links:
            a, b = at[link.source], at[link.target]
            if not a.strip and b.strip and a.role in given:
                a.strip, changed = b.strip, True
        for v in diagram.vertices:
            read = [a.strip for a in sources.get(v.id, ())]
            if not v.strip and v.role not in given and read and all(read):
                v.strip, changed = max(read, key=order.__getitem__), True
        if not changed:  # a way round: begin somewhere
            half = (v for v in diagram.vertices if not v.strip and v.role not in given)
            found = next(((v, a.strip) for v in half for a in sources.get(v.id, ()) if a.strip), None)
            if found is None:
                break
            found[0].strip = found[1]


def names(diagram: Diagram) -> list[str]:
    """The cells that have nodes in steps, in the order of the picture; [] where there is one only."""
    placed = [v for v in diagram.vertices if v.column is not None or (v.position or -1) >= 0]
    found = list(dict.fromkeys(v.strip for v in placed if v.strip))
    return found if len(found) > 1 else []


def number(diagram: Diagram) -> None:
    """h of the first layer becomes h₁, h of the second h₂, where both would be called h; so do the forget gates f of a
    tree's position, one for each child. What stands at no step needs no number: it has no time either."""
    within: dict[tuple, int] = {}
    places: dict[str, tuple] = {}
    bare: dict[str, list[tuple]] = {}
    for v in diagram.vertices:
        if not _is_bare(v) or (v.column is None and v.position is None):
            continue
        place: tuple = v.key
        if v.position is not None:  # leaf and inner node may make the same thing in different ways
            here = (v.strip, v.position, v.name)
            within[here] = within.get(here, -1) + 1
            place = (v.strip, within[here])
        places[v.id] = place
        who = bare.setdefault(v.name, [])
        if place not in who and v.role in ("state", "unit"):
            who.append(place)
    for v in diagram.vertices:
        who = bare.get(v.name, [])
        if len(who) > 1 and places.get(v.id) in who:
            run = Run(str(who.index(places[v.id]) + 1), SUB)
            at = len(v.base or v.label)
            v.label = (*v.label[:at], run, *v.label[at:])
            v.base = (*v.base, run) if v.base else v.base


def _is_bare(v: Vertex) -> bool:
    """A state (or what stands for it) called by a letter alone."""
    base = v.base or v.label
    return v.role in ("state", "initial", "ellipsis", "unit") and len(base) == 1 and base[0].style == ITALIC


def title(name: str, backwards: bool) -> str:
    """What stands beside a strip: the cell's name, and which way its time runs."""
    name = labels.shorten(labels.clean(name).removesuffix("_backward"), 20)
    return f"← {name}" if backwards else f"{name} →"
