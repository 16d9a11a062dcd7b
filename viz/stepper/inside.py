"""One step opened into its primitives. Steps that are alike share one drawing: a thousand steps have two or three."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinyseq.ops import OPS
from tinyseq.ops.groups import CONSTANTS, LEAVES, SCALES
from tinyseq.ops.op import MULTIPLIES
from tinyseq.tape import Node, Tape
from tinyseq.viz.diagram import Diagram, Link, Vertex
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import SUPER, Label, Run
from tinyseq.viz.overlays.fixed import is_fixed
from tinyseq.viz.placing.layout import Layout
from tinyseq.viz.placing.routes import route
from tinyseq.viz.stepper.draw import svg
from tinyseq.viz.stepper.order import Order

MOST_INPUTS = 6
MOST_NODES = 90  # primitives of one drawing; a longer step is opened in parts
MOST_DRAWINGS = 40


@dataclass
class Drawing:
    """A drawing of a step: its SVG and size, and (source, target, input) of each arrow; vertices are local numbers."""

    svg: str
    width: float
    height: float
    ends: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Inside:
    """Drawings, and for each part of the walk: which drawing, and the tape indices its vertices stand for."""

    drawings: list[Drawing]
    parts: list[tuple[int, list[int]]]
    part_of: dict[int, int]


def inside(tape: Tape, order: Order) -> Inside:
    """Open every step that a page holds."""
    known: dict[tuple, int] = {}
    result = Inside([], [], {})
    group_of = dict(zip(order.nodes.tolist(), order.group.tolist(), strict=True))
    for members in _parts(tape, order):
        signature, build = _signature(tape, members, order, group_of)
        number = known.get(signature)
        if number is None:
            if len(result.drawings) >= MOST_DRAWINGS:
                continue
            number = known[signature] = len(result.drawings)
            result.drawings.append(build())
        for i in members:
            result.part_of[i] = len(result.parts)
        result.parts.append((number, members))
    return result


def _parts(tape: Tape, order: Order) -> list[list[int]]:
    """Nodes that are opened together, in the order of the walk."""
    parts: list[list[int]] = []
    places: dict[Any, int] = {}
    for i, position, group, kept in zip(
        order.nodes.tolist(), order.position.tolist(), order.group.tolist(), order.kept.tolist(), strict=True
    ):
        if not kept or tape.kinds[int(tape.kind[i])].op in LEAVES:
            continue
        key = (group, position) if order.kind != "bare" else "all"
        if key not in places or len(parts[places[key]]) >= MOST_NODES:
            places[key] = len(parts)
            parts.append([])
        parts[places[key]].append(i)
    return parts


def _signature(tape: Tape, members: list[int], order: Order, group_of: dict[int, int]) -> tuple[tuple, Any]:
    """What two steps must have in common to share a drawing, and how it is drawn."""
    local = {i: n for n, i in enumerate(members)}
    here = group_of[members[0]]
    rows: list[tuple] = []
    for i in members:
        kind = tape.kinds[int(tape.kind[i])]
        inputs = tape.inputs(i)
        sources = tuple(
            local[j] if j in local else (*_outside(tape, j, here, order, group_of), j if _leaf(tape, j) else 0)
            for j in _shown(inputs)
        )
        rows.append((kind.op, kind.name, kind.attrs, tape.shape(i), sources, len(inputs)))
    return tuple(rows), lambda: _draw(tape, members, rows)


def _shown(inputs: tuple[int, ...]) -> tuple[int, ...]:
    return inputs if len(inputs) <= MOST_INPUTS else (*inputs[:2], *inputs[-2:])


def _leaf(tape: Tape, index: int) -> bool:
    return tape.kinds[int(tape.kind[index])].op in LEAVES


def _outside(tape: Tape, index: int, here: int, order: Order, group_of: dict[int, int]) -> tuple[str, str, str]:
    """(name, time, role) of a node of another step."""
    kind, there = tape.kinds[int(tape.kind[index])], group_of.get(index, -1)
    if kind.op in CONSTANTS:
        return f"{dict(kind.attrs)['value']:g}", "", "constant"
    role = OPS[kind.op].leaf or "state"
    name = kind.name or OPS[kind.op].symbol
    if order.kind != "chain" or there < 0 or kind.op in LEAVES:
        return name, "", role
    late = here - there
    time = f"({there})" if here < 0 else f"(t{'−' if late > 0 else '+'}{abs(late)})" if late else "(t)"
    return name, time, role


def symbol(node: Node) -> str:
    """What an op is called in a drawing."""
    attrs = dict(node.attrs)
    if node.op in SCALES:
        k, c = (attrs[name] for name in OPS[node.op].floats)
        scaled = "a" if k == 1 else "−a" if k == -1 else f"{k:g}·a"
        return scaled + (f" {'+' if c > 0 else '−'} {abs(c):g}" if c else "")
    if OPS[node.op].jacobian == MULTIPLIES:
        return f"A{'ᵀ' if attrs.get('transpose_a') else ''}·B{'ᵀ' if attrs.get('transpose_b') else ''}"
    return OPS[node.op].symbol


def _draw(tape: Tape, members: list[int], rows: list[tuple]) -> Drawing:
    diagram = Diagram("unfolded", "ops")
    links: list[tuple[int, int]] = []
    for n, i in enumerate(members):
        node = tape.node(i) if rows[n][5] <= MOST_INPUTS else tape.node(i)._replace(inputs=())
        name: Label = labels.name(node.name) if node.name else ()
        run = Run(symbol(node))
        label = (*name, Run(" = "), run) if name else (run,)
        tip = f"{node.name + ' = ' if node.name else ''}{node.op}, {labels.shape(node.shape)}"
        diagram.vertices.append(
            Vertex(f"n{n}", (n,), None, "op", label, i, node.shape, labels.shape(node.shape), tip, round=False)
        )
    extra = len(members)
    for n, row in enumerate(rows):
        for place, source in enumerate(row[4]):
            if isinstance(source, int):
                start = source
            else:
                name_, time, role, _ = source
                label = labels.name(name_) if role != "constant" else (Run(name_),)
                label = (*label, Run(time, SUPER)) if time else label
                start, extra = extra, extra + 1
                v = Vertex(f"n{start}", (start,), None, role, label, -1, None, "", name_ + time, round=False)
                if role == "parameter" and is_fixed(tape, _shown(tape.inputs(members[n]))[place]):
                    v.dashed, v.note = True, "fixed"
                diagram.vertices.append(v)
            diagram.links.append(Link(f"n{start}", f"n{n}"))
            links.append((start, n))
            if row[5] > MOST_INPUTS and place == 1:
                text = f"… {row[5] - 4:,} more …"
                diagram.vertices.append(
                    Vertex(f"n{extra}", (extra,), None, "ellipsis", (Run(text),), dashed=True, round=False)
                )
                diagram.links.append(Link(f"n{extra}", f"n{n}", dashed=True))
                links.append((extra, n))
                extra += 1
    layout = Layout(diagram)
    route(layout)
    drawing, width, height = svg(diagram, "One step, opened into its operations")
    return Drawing(drawing, width, height, links)
