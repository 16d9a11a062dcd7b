"""One graph of a figure: a view of a live tape, placed on a grid, and several of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram, Frame, Link, Note, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.look.labels import Run
from tinyseq.viz.placing import arrow_names, curves, grid
from tinyseq.viz.units.gates import symbol
from tinyseq.viz.views.folded import folded
from tinyseq.viz.views.unfolded import unfolded

Places = Mapping[str, Point]


def around(centre: int, letter: str = "t") -> Callable[[int], str]:
    """Steps written t−1, t, t+1."""

    def write(t: int) -> str:
        return letter if t == centre else f"{letter}{'+' if t > centre else '−'}{abs(t - centre)}"

    return write


def counted(t: int) -> str:
    """Steps written 1, 2, 3, as the book counts them."""
    return str(t + 1)


@dataclass
class Panel:
    """How one graph is drawn from a tape.

    places     where units stand (``grid.place``)
    view       "folded" or "unfolded", ``steps`` of it; ``time`` writes them, of some units ``times``, moved on
               by a unit's ``shift``
    arrows     what they are labelled with: "parameters"; "cell": the function's name, on those through time; "none"
    leave_out  units that are not drawn; ``through`` units that become part of arrows; ``ends`` False: no arrows into
               and out of the steps left out
    outside    units of which only short arrows from below are seen: what comes into a cell from around it
    apart      units drawn as two, the op that makes them and its result; ``as_op`` units drawn as the op alone
    keeping    units whose arrow to themselves a step later is not drawn: what a memory does; ``ovals`` unit → how wide
               its oval is, in circles
    cells      units drawn as a grid of the cells they hold, unit → (rows, columns)
    retime     folded units shown before the delay instead of after it: h ⟨■⟩ z → h becomes h → z ⟨■⟩ h
    frames     title → names of the units it is drawn around; ``captions`` unit → words beside it
    """

    tape: Tape
    places: Places
    view: str = "unfolded"
    name: str = ""
    title: str = ""
    steps: Sequence[int] = ()
    time: Callable[[int], str] = counted
    times: Mapping[str, Callable[[int], str] | None] = field(default_factory=dict)
    shift: Mapping[str, int] = field(default_factory=dict)
    arrows: str = "parameters"
    leave_out: Collection[str] = ()
    through: Collection[str] = ()
    ends: bool = True
    retime: Collection[str] = ()
    outside: Collection[str] = ()
    keeping: Collection[str] = ()
    ovals: Mapping[str, float] = field(default_factory=dict)
    cells: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    apart: Collection[str] = ()
    as_op: Collection[str] = ()
    lines: grid.Arrows = field(default_factory=grid.Arrows)
    frames: Mapping[str, Collection[str]] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    pitch: tuple[float, float] = (grid.COLUMN, grid.ROW)
    detail: str = "cell"

    def diagram(self, circle: float = style.CIRCLE) -> Diagram:
        """The graph, placed; ``circle`` is the least diameter of its circles."""
        if self.view == "folded":
            found = folded(self.tape, self.detail, through=self.through)
        else:
            found = unfolded(self.tape, self.steps or None, self.detail, None, self.time, False, self.through)
        self._choose(found)
        self._reach_on(found)
        _retime(found, self.retime)
        entered = self._come_in(found)
        self._relabel(found)
        self._take_apart(found)
        places = self.places or tree_places(found)
        grid.place(found, places, self.lines, self.pitch, self.ovals, self.cells, circle)
        _enter(found, entered)
        self._frame(found)
        self._caption(found)
        for v in found.vertices:
            v.panel = self.name or self.view
            v.tooltip = v.tooltip.split(" · node ")[0]  # its place on the tape and in the source is no part of a figure
        found.title = self.title
        return found

    def _choose(self, found: Diagram) -> None:
        total = [v for v in found.vertices if v.column is None and v.role == "loss" and self.steps]
        hidden = {v.id for v in found.vertices if v.name in self.leave_out or v.text in self.leave_out}
        hidden |= {v.id for v in total}
        if not self.ends:
            hidden |= {v.id for v in found.vertices if v.role in ("ellipsis", "initial")}
        found.vertices = [v for v in found.vertices if v.id not in hidden]
        kept = {v.id for v in found.vertices if v.name in self.keeping}
        found.links = [
            e for e in found.links
            if not {e.source, e.target} & hidden and not (e.delay and e.source == e.target and e.source in kept)
        ]  # fmt: skip
        first = min((v.column for v in found.vertices if v.column is not None), default=0)
        for v in found.vertices:
            v.column = None if v.column is None else v.column - first

    @staticmethod
    def _reach_on(found: Diagram) -> None:
        """What every step reads of what stands beside all steps, those read too that follow."""
        sources = {v.id for v in found.vertices if v.column is None and v.role == "data"}
        ids = {v.id: v for v in found.vertices}
        names = {(e.source, ids[e.target].name): e.label for e in found.links if e.source in sources}
        for (source, name), label in names.items():
            following = [v for v in found.vertices if v.role == "ellipsis" and v.name == name]
            if following:
                last = max(following, key=lambda v: v.column or 0)
                found.links.append(Link(source, last.id, label, dashed=True))

    def _relabel(self, found: Diagram) -> None:
        vertices = {v.id: v for v in found.vertices}
        for v in found.vertices:
            moved = self.shift.get(v.name, 0)
            if v.time is not None and v.label[-1].style == labels.SUPER and v.role != "ellipsis":
                write = self.times.get(v.name, self.time)
                v.label = labels.at_time(v.base, write(v.time + moved)) if write else v.base
            v.dashed = v.dashed or v.text.endswith("(…)")
            v.role = "ellipsis" if v.dashed else v.role
        for e in found.links:
            e.dashed = e.dashed or vertices[e.target].dashed or vertices[e.source].dashed
            if self.arrows == "none" or (self.arrows == "cell" and not (e.delay or e.recurrent)):
                e.label = ()
            elif self.arrows == "cell":
                ends = [vertices[i].node for i in (e.target, e.source) if vertices[i].node >= 0]
                e.label = tuple(dict.fromkeys(self.tape.node(i).cell for i in ends[:1]))

    def _come_in(self, found: Diagram) -> list[Vertex]:
        """Take away what stands outside of a cell; returns the units that it ran into."""
        names = {v.id: v.name for v in found.vertices}
        data = {v.id for v in found.vertices if v.role == "data"}
        gone = [e for e in found.links if names[e.source] in self.outside and (e.delay or e.source in data)]
        targets = {e.target for e in gone}
        found.links = [e for e in found.links if e not in gone]
        found.vertices = [v for v in found.vertices if not (v.id in data and v.name in self.outside)]
        return [v for v in found.vertices if v.id in targets]

    def _take_apart(self, found: Diagram) -> None:
        for v in list(found.vertices):
            if v.name not in (*self.apart, *self.as_op):
                continue
            text = (Run(symbol(self.tape.node(v.node).op)),)
            if v.name in self.as_op:
                v.label = text
                continue
            base = (Run(f"{text[0].text}({v.name})"),)
            op = Vertex(f"{v.id}_op", ("op", *v.key), v.column, "unit", text, v.node, v.shape, base=base)
            for e in found.links:
                e.target = op.id if e.target == v.id else e.target
            found.vertices.append(op)
            found.links.append(Link(op.id, v.id))

    def _frame(self, found: Diagram) -> None:
        for title, names in self.frames.items():
            inside = [v for v in found.vertices if v.name in names or v.text in names]
            left, right = min(v.x - v.width / 2 for v in inside), max(v.x + v.width / 2 for v in inside)
            low, high = min(v.y - v.height / 2 for v in inside), max(v.y + v.height / 2 for v in inside)
            left, right, low, high = left - 16, right + 16, low - 14, high + 32
            frame = Frame((left + right) / 2, (low + high) / 2, right - left, high - low, (Run(title),))
            found.frames.append(frame)

    def _caption(self, found: Diagram) -> None:
        taken = arrow_names.Taken(found.links, found.vertices)
        for v in found.vertices:
            words = self.captions.get(v.text, self.captions.get(v.name))
            if words:
                width, half, away = style.text_width(words, 11.0), v.width / 2, v.width / 2 + 5
                high, low = v.y + v.height * 0.45 + 4, v.y - v.height * 0.45 - 4
                spots = [(v.x + away, v.y), (v.x - away - width, v.y), (v.x - width / 2, v.y - v.height / 2 - 9)]
                spots += [(v.x - width / 2, v.y + v.height / 2 + 9)]
                spots += [(v.x + half * 0.6, high), (v.x - half * 0.6 - width, high)]
                spots += [(v.x + half * 0.6, low), (v.x - half * 0.6 - width, low)]
                loops = [abs(e.square[0] - v.x) + 9 for e in found.links if e.square and e.source == e.target == v.id]
                spots += [p for reach in loops for p in ((v.x + reach, v.y), (v.x - reach - width, v.y))]
                x, y = spots[taken.clearest([(x, y - 6, x + width, y + 6) for x, y in spots])]
                found.notes.append(Note((Run(words),), x, y, "left", size=11.0))


def _retime(found: Diagram, names: Collection[str]) -> None:
    for v in found.vertices:
        into = [e for e in found.links if e.target == v.id]
        if v.name in names and into and all(e.delay >= 1 for e in into):
            for e in into:
                e.delay, e.recurrent = e.delay - 1, e.delay > 1
            for e in found.links:
                if e.source == v.id:
                    e.delay, e.recurrent = e.delay + 1, True


def _enter(found: Diagram, targets: Collection[Vertex]) -> None:
    for v in targets:
        start = Vertex(f"{v.id}_in", ("in", v.key), v.column, "anchor", (), x=v.x, y=v.y - v.height / 2 - 26)
        path, tip = curves.headed(curves.line((start.x, start.y), (v.x, v.y - v.height / 2)))
        found.vertices.append(start)
        found.links.append(Link(start.id, v.id, path=path, tip=tip))


def tree_places(found: Diagram) -> dict[str, Point]:
    """Places of a tree: leaves in a row from left to right, what reads them one row higher in their middle."""
    text = {v.id: v.text for v in found.vertices}
    below: dict[str, list[str]] = {v.text: [] for v in found.vertices}
    for e in found.links:
        below[text[e.target]].append(text[e.source])
    states = {v.text for v in found.vertices if v.role in ("state", "unit")}
    leaves = [i for i in below if not below[i] and any(i in below[j] for j in states)]
    places = {i: (float(n), 0.0) for n, i in enumerate(leaves)}
    waiting = [i for i in below if i not in places and below[i]]
    while waiting:
        ready = [i for i in waiting if all(j in places or not below[j] for j in below[i])]
        for i in ready:
            at = [places[j] for j in below[i] if j in places]
            places[i] = (sum(x for x, _ in at) / len(at), max(y for _, y in at) + 1)
        waiting = [i for i in waiting if i not in places]
    for i in [i for i in below if i not in places]:  # a target hangs over its loss
        x, y = next(places[j] for j in below if i in below[j])
        places[i] = (x, y + 1)
    return places
