"""Detail "box": each call of a cell is one box, so that a net of large cells can be read; ``opened`` ones are not."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import ITALIC, SUB, Label, Run
from tinyseq.viz.units.primitives import Reduced, Unit, Wire


def boxes(excerpt: Excerpt, inside: Reduced, opened: Collection[str] = ()) -> Reduced:
    """The units of each cell at each step drawn as one; ``inside`` are the units as they are seen in opened cells."""
    result, stands_for, counts = Reduced(), {}, _count(excerpt)
    for unit in inside.units.values():
        cell = excerpt.node(unit.node).cell if excerpt.step[unit.node] >= 0 and unit.initial is None else ""
        if not cell or cell in opened:
            result.add(unit)
            stands_for[unit.id] = unit.id
            continue
        step = unit.step
        box = f"box_{len(cell)}{cell}_{step}"
        stands_for[unit.id] = box
        if box not in result.units:
            count = counts.get((cell, step), 0)
            note = f"{count} nodes" if count else ""
            label: Label = (Run(labels.cell(cell, 18)),)
            tip = f"{labels.clean(cell)} at step {step}, {note}: open it with opened={cell!r}"
            key = ("box", cell)
            result.add(Unit(box, unit.node, key, step, label, "box", unit.time, None, note, tip, unit.ghost))
    _starts(inside, result, stands_for, excerpt.apart)
    seen = set()
    for wire in inside.wires:
        source, target = stands_for[wire.source], stands_for[wire.target]
        boxed = "box" in (result.units[source].role, result.units[target].role)
        if source != target and (source, target) not in seen:
            seen.add((source, target))
            result.wires.append(Wire(source, target, () if boxed else wire.names, wire.cut))
    return result


def _count(excerpt: Excerpt) -> dict[tuple[str, int], int]:
    counts: dict[tuple[str, int], int] = {}
    for i in excerpt.found:
        node = excerpt.node(i)
        if node.step >= 0:
            counts[node.cell, node.step] = counts.get((node.cell, node.step), 0) + 1
    return counts


def _starts(inside: Reduced, result: Reduced, stands_for: dict[str, str], apart: bool) -> None:
    """The initial states that go into one box are drawn as one, in the row of the boxes, unless they are to stay
    ``apart``."""
    groups: dict[tuple, list[Unit]] = {}
    for unit in [u for u in result.units.values() if u.initial is not None]:
        readers = {stands_for[w.target] for w in inside.wires if w.source == unit.id}
        keys = {result.units[r].key for r in readers if result.units[r].role == "box"}
        if len(keys) == 1:
            groups.setdefault(next(iter(keys)), []).append(unit)
    place = {u.key: n for n, u in enumerate(inside.units.values()) if u.initial is None}
    for key, units in groups.items():
        first = units[0]
        if len(units) > 1 and not apart:
            first.label, first.time = _listed(units, place), None
        for unit in units:
            unit.key = unit.initial = key
        for unit in [] if apart else units[1:]:
            stands_for[unit.id] = first.id
            del result.units[unit.id]


def _listed(units: Sequence[Unit], place: dict[tuple, int]) -> Label:
    """Names of states in a row; those called alike by a letter are numbered as their states are, lowest first."""
    alike: dict[Label, list[tuple]] = {}
    for unit in sorted(units, key=lambda u: place.get(u.key, 0)):
        if len(unit.label) == 1 and unit.label[0].style == ITALIC:
            alike.setdefault(unit.label, []).append(unit.key)
    listed: list[Run] = []
    for unit in units:
        keys = alike.get(unit.label, ())
        number = (Run(str(keys.index(unit.key) + 1), SUB),) if len(keys) > 1 else ()
        listed += [*([Run(", ")] if listed else []), *unit.label, *number]
    return tuple(listed)
