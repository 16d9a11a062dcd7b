"""Units of time steps as columns of a picture: a row for each role, gaps where steps are left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from tinyseq.viz.diagram import Column, Diagram, Link, Vertex
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.look import labels
from tinyseq.viz.units.primitives import Reduced, Unit
from tinyseq.viz.views.trees import parameters, vertex


class Columns:
    """``diagram``: units of the steps shown as vertices, one column for each step, and what joins them.

    A state runs on into a gap as itself; ``to_readers``: as what reads it there, as the book draws it.
    ``begun`` keeps a column before the first step for what comes from elsewhere.
    """

    def __init__(
        self,
        excerpt: Excerpt,
        reduced: Reduced,
        shown: list[int],
        total: int,
        detail: str,
        time: Callable[[int], str],
        to_readers: bool = False,
        begun: bool = False,
    ) -> None:
        self.reduced, self.detail, self.time, self.total = reduced, detail, time, total
        self.shown, self.tape, self.to_readers, self.begun = shown, excerpt.tape, to_readers, begun
        self.diagram = Diagram("unfolded", detail)
        self.diagram.parameters = parameters(excerpt)
        self.diagram.counts = excerpt.counts
        self.gaps: dict[tuple[tuple, int], Vertex] = {}
        self._axis()
        self.at = {column.step: place for place, column in enumerate(self.diagram.columns) if column.step is not None}
        self.gap_places = [i for i, c in enumerate(self.diagram.columns) if c.elided]
        self.gap_starts = [self.diagram.columns[i].first for i in self.gap_places]
        self.by_place = {(u.key, u.step): u for u in reduced.units.values() if not u.ghost and u.initial is None}
        for unit in reduced.units.values():
            if not unit.ghost:
                self.diagram.vertices.append(vertex(unit, self._column(unit), self._label(unit)))
        self._links()
        self._ends()
        self.diagram.description = describe(self.diagram, total)

    # -- the time axis --------------------------------------------------------------------------------------------
    def _axis(self) -> None:
        columns = self.diagram.columns
        before = [u for u in self.reduced.units.values() if u.initial is not None and self._early(u)]
        after = [u for u in self.reduced.units.values() if u.initial is not None and not self._early(u)]
        early, late = _ranks(before), _ranks(after)
        wide = max(1 + max(early.values(), default=-1), int(self.begun))
        self.starts = {i: wide - 1 - rank for i, rank in early.items()}  # initial state -> its column
        columns += [Column(None, 0, -1, -1) for _ in range(wide)]
        previous = -1
        for step in self.shown:
            if step > previous + 1:
                columns.append(Column(None, step - previous - 1, previous + 1, step - 1))
            columns.append(Column(step, 0, step, step))
            previous = step
        if previous < self.total - 1:
            columns.append(Column(None, self.total - 1 - previous, previous + 1, self.total - 1))
        self.starts |= {i: len(columns) + rank for i, rank in late.items()}
        columns += [Column(None, 0, self.total, self.total) for _ in range(1 + max(late.values(), default=-1))]

    def _early(self, unit: Unit) -> bool:
        readers = [self.reduced.units[w.target].step for w in self.reduced.wires if w.source == unit.id]
        steps = [s for s in readers if s is not None]
        return unit.time < min(steps, default=0) if unit.time is not None else min(steps, default=0) < self.total / 2

    def _column(self, unit: Unit) -> int | None:
        if unit.initial is not None:
            return self.starts[unit.id]
        return None if unit.step is None else self.at[unit.step]

    def _gap(self, step: int) -> int:
        """Column of the gap that a step is lost in."""
        return self.gap_places[bisect_right(self.gap_starts, step) - 1]

    def _label(self, unit: Unit) -> labels.Label:
        if self.detail == "ops" or unit.time is None or unit.name:
            return unit.label
        return labels.at_time(unit.label, self.time(unit.time))

    # -- links ------------------------------------------------------------------------------------------------------
    def _links(self) -> None:
        units = self.reduced.units
        out_of_gap: dict[tuple[str, str, bool], Link] = {}  # delays of several lengths may come out of one gap
        for wire in self.reduced.wires:
            source, target = units[wire.source], units[wire.target]
            if source.ghost and target.step is None:
                continue
            start = self.start(source)
            late = source.initial is not None or (None not in (source.step, target.step) and source.step != target.step)
            link = Link(start, target.id, wire.names, 0, source.ghost, late, wire.cut)
            known = out_of_gap.setdefault((start, target.id, wire.cut), link) if source.ghost else link
            known.label = tuple(dict.fromkeys([*known.label, *wire.names]))
            if known is link:
                self.diagram.links.append(link)

    def start(self, source: Unit) -> str:
        """Id of the vertex that stands for a unit where it is read: itself, or of a step left out one in the gap."""
        if source.ghost and source.step is not None:
            return self._ellipsis(source, self._gap(source.step)).id
        return source.id

    def _ellipsis(self, unit: Unit, column: int) -> Vertex:
        known = self.gaps.get((unit.key, column))
        if known is None:
            name = self.tape.node(unit.node).name if self.detail == "ops" else ""
            label = labels.at_time(labels.name(name) if name else unit.label, "…")
            known = Vertex(f"gap{len(self.gaps)}", unit.key, column, "ellipsis", label, dashed=True, base=unit.label)
            known.tooltip = f"{labels.text_of(unit.label)} at the steps left out"
            known.round = self.detail != "ops"
            self.gaps[unit.key, column] = known
            self.diagram.vertices.append(known)
        return known

    def _ends(self) -> None:
        """Arrows from the last step shown before a gap into the gap (from the first after it, where time runs back)."""
        units, late = self.reduced.units, {}
        readers: dict[tuple[str, tuple], set[int | None]] = {}
        for wire in self.reduced.wires:
            target = units[wire.target]
            readers.setdefault((wire.source, target.key), set()).add(target.step)
        for wire in self.reduced.wires:
            source, target = units[wire.source], units[wire.target]
            start = source.time if source.initial is not None else source.step
            context = source.initial is None and len(readers[source.id, target.key]) > 1  # read everywhere, not late
            if start is not None and target.step is not None and start != target.step and not context:
                late[source.key, target.key, target.step - start] = (wire, target)
        shown = set(self.shown)
        targets: dict[tuple, set[tuple]] = {}
        for key, other, _ in late:
            targets.setdefault(key, set()).add(other)
        into: dict[tuple[str, str], Link] = {}
        for (key, _, delay), (wire, target) in late.items():
            for start in self.shown:
                unit, end = self.by_place.get((key, start)), start + delay
                if unit is None or end in shown or not 0 <= end < self.total:
                    continue
                at_reader = self.to_readers and self.detail != "ops" and not target.name and len(targets[key]) <= 2
                stands_for = target if at_reader else unit
                gap = self._ellipsis(stands_for, self._gap(end))
                link = into.get((unit.id, gap.id))
                if link is None:
                    link = into[unit.id, gap.id] = Link(unit.id, gap.id, (), 0, True, True)
                    self.diagram.links.append(link)
                link.label = tuple(dict.fromkeys([*link.label, *wire.names]))


def _ranks(units: Iterable[Unit]) -> dict[str, int]:
    """Of initial states that stand in for one state, as those of h(−1), h(−2): 0 for the one nearest to the steps."""
    alike: dict[tuple, list[Unit]] = {}
    for unit in units:
        alike.setdefault(unit.key, []).append(unit)
    return {unit.id: rank for group in alike.values() for rank, unit in enumerate(group)}


def describe(diagram: Diagram, total: int) -> str:
    """The picture in words, for those who hear it."""
    shown = sum(c.step is not None for c in diagram.columns)
    names = dict.fromkeys(
        labels.text_of(v.label).split("(")[0] for v in diagram.vertices if v.role not in ("ellipsis", "parameter")
    )
    steps = f"{total:,} time steps" + (f", {shown} of them shown" if shown < total else "")
    return f"Unfolded graph over {steps}; nodes {', '.join(list(names)[:12])}; {len(diagram.links)} arrows."
