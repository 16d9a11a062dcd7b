"""Buffers: where every value and gradient lies; and the verifier of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Graph
from tinyseq.engine.plan.layout import Storage, View
from tinyseq.engine.plan.reads import Same
from tinyseq.engine.plan.regions import Schedule
from tinyseq.engine.plan.views import Views
from tinyseq.errors import TapeError


@dataclass(frozen=True)
class Buffers:
    """A layout for every value and every wanted gradient.

    views   classes that show what lies elsewhere; ``shared`` those whose gradient lies in that of a sum they are added
            to, class → sum
    """

    schedule: Schedule
    dtype: np.dtype
    storages: tuple[Storage, ...]
    values: dict[int, View]
    gradients: dict[int, View]
    views: frozenset[int]
    shared: dict[int, int]

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.schedule.graph

    @property
    def leads(self) -> dict[int, tuple[int, int]]:
        """Members before the first and after the last."""
        return self.schedule.leads

    @property
    def shown(self) -> Views:
        """Operands among values."""
        return Views(self.graph, self.values, self.leads)

    @property
    def mirror(self) -> Views:
        """Operands among gradients."""
        return Views(self.graph, self.gradients, self.leads)

    def dump(self) -> str:
        """One line a value and a gradient."""
        lines = []
        for what, layouts in (("value", self.values), ("gradient", self.gradients)):
            for i, at in sorted(layouts.items()):
                level = ", one level" if at.level else ""
                view = ", a view" if what == "value" and i in self.views else ""
                lines.append(
                    f"{what} of class {i} ({self.graph.classes[i].where}): {at.storage.space} s{at.storage.index} "
                    f"{at.storage.what!r} + {at.offset}, member {at.member}, row {at.row}, {at.rows} × {at.cols}"
                    f"{level}{view}"
                )
        return "\n".join(lines)


def verify_buffers(buffers: Buffers) -> None:
    """Every value and wanted gradient has a place inside its storage; what lives in one level is read in its own loop
    only; only a view lies in what it shows, only a term in its sum's gradient. Raises TapeError."""
    graph = buffers.graph
    loop = {c.index: k for k, part in enumerate(graph.components) if part.recurrent for c in part.classes}
    for what, layouts in (("value", buffers.values), ("gradient", buffers.gradients)):
        for i, layout in layouts.items():
            cls = graph.classes[i]
            where = f"place: the {what} of class {i} ({cls.where})"
            _inside(cls, layout, where)
            if layout.level and graph.root(i) == i:
                (_one_level if what == "value" else _gradient_of_one_level)(buffers, cls, loop, where)
    for i in graph.needed:
        if i not in buffers.values and i not in graph.inside:
            raise TapeError(f"place: the value of class {i} ({graph.classes[i].where}) has no place")
    _leads_fit(buffers)
    _apart(buffers)


def _leads_fit(buffers: Buffers) -> None:
    """What stands before the first member and after the last lies in the storage too."""
    graph = buffers.graph
    for what, layouts in (("value", buffers.values), ("gradient", buffers.gradients)):
        for i in sorted(buffers.leads.keys() & layouts.keys()):
            cls, at = graph.classes[i], layouts[i]
            before, after = buffers.leads[i]
            rows = np.maximum(cls.rows, 1)
            each = int(rows.max()) * cls.cols
            low, high = at.offset - before * each, at.offset + int(rows.sum()) * cls.cols + after * each
            if low < -at.storage.lead or high > at.storage.size - at.storage.lead:
                raise TapeError(
                    f"place: the {what} of class {i} ({cls.where}), with {before} members before and {after} after it, "
                    f"takes {low} to {high - 1} of {at.storage.what!r}, which has {-at.storage.lead} to "
                    f"{at.storage.size - at.storage.lead - 1}"
                )


def _inside(cls: Class, layout: View, where: str) -> None:
    storage = layout.storage
    if layout.ragged >= 0 or layout.level or not cls.cols or not layout.rows:
        return
    corners = [
        layout.offset + m * layout.member + r * layout.row
        for m in (0, cls.count - 1)
        for r in (0, max(layout.rows, 1) - 1)
    ]
    low, high = min(corners), max(corners) + layout.cols
    if low < -storage.lead or high > max(storage.size - storage.lead, 1):
        raise TapeError(
            f"{where} reaches {low} to {high - 1} of {storage.what!r}, which has {-storage.lead} to "
            f"{storage.size - storage.lead - 1}"
        )


def _one_level(buffers: Buffers, cls: Class, loop: dict[int, int], where: str) -> None:
    graph = buffers.graph
    if cls.index in buffers.schedule.kept or cls.index in buffers.leads or graph.is_output(cls):
        raise TapeError(f"{where} is kept for one level, but is read after it")
    for reader, j in graph.consumers.get(cls.index, []):
        root, refs = graph.root(reader), graph.classes[reader].refs
        if loop.get(root, -1) != loop.get(cls.index, -2) or (refs and not isinstance(refs[j], Same)):
            raise TapeError(
                f"{where} is kept for one level, but class {root} ({graph.classes[root].where}) reads it at another"
            )


def _gradient_of_one_level(buffers: Buffers, cls: Class, loop: dict[int, int], where: str) -> None:
    """Who passes a gradient to it, and whom it is passed on to, runs in its loop, at its level."""
    graph = buffers.graph
    for reader, _ in graph.consumers.get(cls.index, []):
        root = graph.root(reader)
        if root in graph.wants and loop.get(root, -1) != loop.get(cls.index, -2):
            raise TapeError(
                f"{where} is kept for one level, but class {root} ({graph.classes[root].where}) adds to it outside of "
                "its loop"
            )
    for region in buffers.schedule.regions:
        if any(graph.root(task.cls.index) == cls.index for task in region.deferred):
            raise TapeError(f"{where} is kept for one level, but is passed on after the loop")


def _apart(buffers: Buffers) -> None:
    """No two values share a storage unless one shows the other."""
    owner: dict[int, int] = {}
    for i, layout in sorted(buffers.values.items()):
        if i in buffers.views:
            continue
        if layout.storage.index in owner:
            other = buffers.graph.classes[owner[layout.storage.index]]
            cls = buffers.graph.classes[i]
            raise TapeError(
                f"place: the value of class {i} ({cls.where}) lies in that of class {other.index} ({other.where})"
            )
        owner[layout.storage.index] = i
    for i, root in buffers.shared.items():
        if buffers.gradients[i] != buffers.gradients[root]:
            cls = buffers.graph.classes[i]
            raise TapeError(
                f"place: class {i} ({cls.where}) is said to share the gradient of class {root}, and does not"
            )
