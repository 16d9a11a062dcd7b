"""The unfolded and the folded picture of a page, and which of its nodes stands for which node of the tape.

Units that only feed others of the same step (the gates of an LSTM) are contracted into arrows: the page opens a step
into its primitives anyway, and ten steps must fit into its window.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinyseq.ops.groups import LEAVES
from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram, Link
from tinyseq.viz.overlays.fixed import mark
from tinyseq.viz.placing.layout import Layout
from tinyseq.viz.placing.routes import route
from tinyseq.viz.stepper.draw import svg
from tinyseq.viz.stepper.order import Order
from tinyseq.viz.views.folded import folded
from tinyseq.viz.views.unfolded import unfolded

MOST_COLUMNS = 240
WIDE = 3  # units in one step beyond which those inside are contracted


@dataclass
class Overview:
    """Two drawings with what the page must know of them.

    owner   tape index → vertex that stands for it, -1 for none · ends  (source, target) of each arrow
    fold    vertex → vertex of the folded drawing, -1 for none; ``folded_ends`` its arrows
    columns x of each time step shown
    """

    svg: str
    width: float
    height: float
    owner: dict[int, int]
    ends: list[tuple[int, int]]
    nodes: list[int]
    cut: list[bool]
    late: list[bool]
    columns: list[tuple[int, float]]
    fixed: bool  # whether an arrow is drawn as that of parameters that are not learned
    states: list[tuple[str, int]]  # name and tape index of one node of each state
    units: list[tuple[str, int]]  # and of each other unit of a step
    folded_svg: str = ""
    folded_size: tuple[float, float] = (0.0, 0.0)
    fold: list[int] = field(default_factory=list)
    folded_ends: list[tuple[int, int]] = field(default_factory=list)


def overview(tape: Tape, order: Order, keep: np.ndarray) -> Overview:
    """Draw the steps that a page holds."""
    steps = order.steps
    if len(steps) > MOST_COLUMNS:
        steps = [*steps[: MOST_COLUMNS // 2], *steps[len(steps) - MOST_COLUMNS // 2 :]]
    shown = steps if order.kind == "chain" else None
    diagram = contracted(unfolded(tape, shown, "cell", keep))
    mark(diagram, tape)
    layout = Layout(diagram)
    route(layout)
    gaps = [(c.x, -26.0, layout.gap_text(n)) for n, c in enumerate(diagram.columns) if c.elided]
    drawing, width, height = svg(diagram, "Unfolded graph", gaps)
    left = _left_of(diagram, gaps)
    number = {v.id: n for n, v in enumerate(diagram.vertices)}
    result = Overview(
        drawing, width, height, _owners(tape, order, diagram),
        [(number[e.source], number[e.target]) for e in diagram.links],
        [v.node for v in diagram.vertices], [e.cut for e in diagram.links], [e.recurrent for e in diagram.links],
        [(c.step, round(c.x - left, 1)) for c in diagram.columns if c.step is not None],
        any(e.fixed for e in diagram.links), _examples(diagram, "state"), _examples(diagram, "unit"),
    )  # fmt: skip
    if order.kind == "chain":
        _fold(result, tape, keep, diagram)
    return result


def _left_of(diagram: Diagram, texts: list[tuple[float, float, str]]) -> float:
    from tinyseq.viz.look import labels, style
    from tinyseq.viz.stepper.draw import PAD

    xs = [v.x - v.width / 2 for v in diagram.vertices]
    xs += [p[0] for e in diagram.links for p in (*e.path, *e.path_in)]
    xs += [e.label_at[0] - labels.width(labels.names(e.label)) / 2 for e in diagram.links if e.label and e.label_at]
    xs += [x - style.text_width(text, 11) / 2 for x, _, text in texts]
    return min(xs) - PAD


def _examples(diagram: Diagram, role: str) -> list[tuple[str, int]]:
    found: dict[tuple, tuple[str, int]] = {}
    for v in diagram.vertices:
        if v.role == role and v.node >= 0:
            found.setdefault(v.key, ("".join(r.text for r in v.label if r.style != "super"), v.node))
    return sorted(found.values(), key=lambda s: (s[0] != "h", s[1]))


def _owners(tape: Tape, order: Order, diagram: Diagram) -> dict[int, int]:
    """Each node belongs to the drawn node that it first leads to."""
    owner = {v.node: n for n, v in enumerate(diagram.vertices) if v.node >= 0}
    place = {i: at for at, i in enumerate(order.nodes.tolist())}
    drawn = dict(owner)
    candidate: dict[int, tuple[tuple[bool, int], int]] = {}
    for at in range(len(order.nodes) - 1, -1, -1):
        i = int(order.nodes[at])
        if i in drawn:
            owner[i] = drawn[i]
        elif i in candidate:
            owner[i] = candidate[i][1]
        if i not in owner or not order.kept[at]:
            continue
        for j in tape.inputs(i):
            if j not in place or tape.kinds[int(tape.kind[j])].op in LEAVES:
                continue
            same = order.position[place[j]] == order.position[at]
            if j not in candidate or (same, -at) >= candidate[j][0]:
                candidate[j] = ((same, -at), owner[i])
    return owner


def _fold(result: Overview, tape: Tape, keep: np.ndarray, unfolded_: Diagram) -> None:
    diagram = contracted(folded(tape, "cell", keep))
    if not diagram.vertices:
        return
    mark(diagram, tape)
    route(Layout(diagram))
    drawing, width, height = svg(diagram, "Folded graph")
    number = {v.id: n for n, v in enumerate(diagram.vertices)}
    by_key = {v.key: n for n, v in enumerate(diagram.vertices)}
    result.folded_svg, result.folded_size = drawing, (width, height)
    result.fold = [by_key.get(v.key, -1) for v in unfolded_.vertices]
    result.folded_ends = [(number[e.source], number[e.target]) for e in diagram.links]


def contracted(diagram: Diagram) -> Diagram:
    """The diagram without units that only feed others of their step, where a step has many."""
    units = [v for v in diagram.vertices if v.role == "unit"]
    if len({v.key for v in units}) <= WIDE - 1:
        return diagram
    into: dict[str, list[Link]] = {}
    out: dict[str, list[Link]] = {}
    for e in diagram.links:
        into.setdefault(e.target, []).append(e)
        out.setdefault(e.source, []).append(e)
    at = {v.id: v for v in diagram.vertices}
    inner = {
        v.key for v in units if all(at[e.target].role in ("unit", "state") for e in out.get(v.id, [])) and v.id in out
    }
    gone = {v.key for v in units if v.key in inner}
    removed = {v.id for v in diagram.vertices if v.key in gone and v.role in ("unit", "ellipsis")}
    reach: dict[str, dict[str, Link]] = {}

    def sources(target: str) -> dict[str, Link]:
        """What a vertex reads once the removed ones are gone; no recursion, they are few in a row but may be many."""
        found: dict[str, Link] = {}
        waiting = [(e, e) for e in into.get(target, [])]
        seen = set()
        while waiting:
            e, last = waiting.pop()
            if e.source not in removed:
                known = found.get(e.source)
                names = e.label if e is last and known is None else ()  # an arrow made of several has no one name
                delay = e.delay or last.delay
                found[e.source] = Link(
                    e.source, target, names, delay, e.dashed or last.dashed,
                    e.recurrent or last.recurrent, e.cut or last.cut or bool(known and known.cut),
                )  # fmt: skip
            elif e.source not in seen:
                seen.add(e.source)
                waiting += [(f, last) for f in into.get(e.source, [])]
        return found

    for v in diagram.vertices:
        if v.id not in removed:
            reach[v.id] = sources(v.id)
    diagram.vertices = [v for v in diagram.vertices if v.id not in removed]
    diagram.links = [link for links in reach.values() for link in links.values()]
    return diagram
