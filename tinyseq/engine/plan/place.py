"""Where things lie: storage of their own, of one level, a view, a sum's gradient, the user's array."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.plan.buffers import Buffers
from tinyseq.engine.plan.flows import plain_targets, roots, writes
from tinyseq.engine.plan.folded import Class, Unplannable
from tinyseq.engine.plan.layout import Storage, View
from tinyseq.engine.plan.maps import MIRRORED, passed_on
from tinyseq.engine.plan.numbers import full, integer
from tinyseq.engine.plan.reads import Same
from tinyseq.engine.plan.regions import Region, Schedule
from tinyseq.engine.plan.views import Views
from tinyseq.ops.groups import GIVEN, PARAMETERS
from tinyseq.ops.op import size


def place(schedule: Schedule, dtype: np.dtype) -> Buffers:
    """Values in the order in which they are made, then gradients."""
    placing = _Placing(schedule)
    for region in schedule.regions:
        if region.phase == "forward":
            placing.values_of(region)
    gradients = _Gradients(placing)
    for region in schedule.regions:
        if region.phase == "backward" and region.recurrent:
            gradients.keep_one_level(region)
    for region in schedule.regions:  # in the order of their first use, so that neighbours are summed together
        for task in (*region.now, *region.deferred):
            for i in schedule.graph.state.joined(task.cls.index) if task.ref is None else task.ref.sources():
                if i in schedule.graph.wants:
                    gradients[i]
    wanted = {i: gradients[i] for i in sorted(schedule.graph.wants)}
    return Buffers(
        schedule, dtype, tuple(placing.storages), placing.values, wanted, frozenset(placing.views), gradients.shared
    )


class _Placing:
    """Storages being made, and the layouts of values."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.graph = schedule, schedule.graph
        self.storages: list[Storage] = []
        self.values: dict[int, View] = {}
        self.views: set[int] = set()
        self.show = Views(self.graph, self.values, schedule.leads)

    def storage(self, size: int, what: str, lead: int = 0, space: str = "arena") -> Storage:
        """A new run of elements."""
        storage = Storage(len(self.storages), size, lead, space, what=what)
        self.storages.append(storage)
        return storage

    def room(self, cls: Class, what: str, level: bool = False) -> View:
        """A storage of its own for a class: all members, or those of one level."""
        rows, cols = (1 if cls.scalar else integer(cls.rows[0])), cls.cols
        if level:
            return View(self.storage(level_rows(cls) * cols, what), 0, rows * cols, cols, rows, cols, level=True)
        total = integer(np.maximum(cls.rows, 1).sum()) * cols if cls.ragged else cls.count * rows * cols
        before, after = self.schedule.leads.get(cls.index, (0, 0))
        most = integer(np.maximum(cls.rows, 1).max()) * cols
        storage = self.storage(total + (before + after) * most, what, before * most)
        if cls.dtype.kind == "i":
            storage.space, storage.data = "integers", full(storage.size, 0)
        return View(storage, 0, rows * cols, cols, rows, cols, ragged=cls.index if cls.ragged else -1)

    def values_of(self, region: Region) -> None:
        """Where the values of a region go."""
        if not region.recurrent:
            (cls,) = region.classes
            view = None if cls.op in GIVEN else self.show.view(cls)
            if cls.op in GIVEN:
                self.values[cls.index] = self.leaf(cls)
            elif view is not None:
                self.values[cls.index] = view
                self.views.add(cls.index)
            else:
                self.values[cls.index] = self.room(cls, cls.name or cls.op)
            self._leads_fit(region)
            return
        for cls in region.classes:
            level = cls.index in self.schedule.one_level
            self.values[cls.index] = self.room(cls, cls.name or cls.op, level)
        changed = True
        while changed:  # classes of several groups stand in no order: what a view shows may itself become one later
            changed = False
            for cls in region.classes:
                view = self.show.view(cls)
                if view is not None and view != self.values[cls.index]:
                    self.values[cls.index] = view
                    self.views.add(cls.index)
                    changed = True
        self._leads_fit(region)

    def _leads_fit(self, region: Region) -> None:
        for cls in region.classes:
            layout = self.values[cls.index]
            if any(self.schedule.leads.get(cls.index, (0, 0))) and (layout.level or not layout.packed):
                raise Unplannable("a delayed value without a place of its own", cls)

    def leaf(self, cls: Class) -> View:
        """An array of the user's, addressed where it lies."""
        shape = cls.shape()
        storage = self.storage(size(shape), cls.name or cls.op, space="leaf")
        storage.node = integer(cls.nodes[0])
        rows = shape[0] if shape else 1
        return View(storage, 0, rows * cls.cols, cls.cols, rows, cls.cols)


def level_rows(cls: Class) -> int:
    """Most rows that one level of a class has."""
    most = integer(np.maximum(cls.rows, 1).max())
    if cls.group.levels is not None:
        most *= integer(np.diff(cls.group.levels).max())
    return most


class _Gradients(dict):
    """Layouts of gradients, made when first asked for: a view's is a part of what it shows."""

    def __init__(self, placing: _Placing) -> None:
        super().__init__()
        self.placing, self.graph = placing, placing.graph
        self.mirror = Views(self.graph, self, placing.schedule.leads)
        self.level: set[int] = set()
        self.shared: dict[int, int] = {}
        self._same: dict[int, int] = {}

    def __missing__(self, index: int) -> View:
        layout = self[index] = self._allocate(self.graph.classes[index])
        return layout

    def __contains__(self, index: object) -> bool:
        return index in self.graph.wants

    def get(self, index: int, default: View | None = None) -> View | None:  # type: ignore[override]
        """The layout of a class whose gradient is wanted."""
        return self[index] if index in self else default  # noqa: SIM401

    def _allocate(self, cls: Class) -> View:
        root = self.graph.inside.get(cls.index, -1)
        if root < 0 and (root := self.same_gradient(cls)) >= 0:
            self.shared[cls.index] = root
        if root >= 0:
            return self[root]
        if cls.op in PARAMETERS:
            value = self.placing.values[cls.index]
            storage = self.placing.storage(value.storage.size, f"∂L/∂{cls.name}", space="grads")
            storage.node = integer(cls.nodes[0])
            return View(storage, 0, value.member, value.row, value.rows, value.cols)
        if cls.index in self.placing.views and cls.op in MIRRORED:
            layout = self.mirror.shown(cls)
            if layout is None:
                raise Unplannable(f"the gradient of a view by {cls.op}", cls)
            return layout
        return self.placing.room(cls, f"∂L/∂{cls.name or cls.op}", cls.index in self.level)

    def same_gradient(self, cls: Class) -> int:
        """The sum that is the only reader of a class: its gradient is the class's too. −1 where there is none."""
        if cls.index not in self._same:
            self._same[cls.index] = self._same_gradient(cls)
        return self._same[cls.index]

    def _same_gradient(self, cls: Class) -> int:
        graph, leads = self.graph, self.placing.schedule.leads
        readers = graph.consumers.get(cls.index, [])
        if "share" in graph.without or len(readers) != 1 or cls.index in leads:
            return -1
        if cls.op in PARAMETERS or cls.index in self.placing.views:
            return -1
        reader, j = readers[0]
        ref, root = graph.classes[reader].refs, graph.root(reader)
        sums = cls.index != graph.loss_class.index and root in graph.wants
        if not sums or j not in passed_on(graph.classes[reader].op):
            return -1
        alike = isinstance(ref[j], Same) and cls.group is graph.classes[root].group and not cls.ragged
        return root if alike and cls.index not in graph.inside else -1

    # -- gradients that live in one level
    def keep_one_level(self, region: Region) -> None:
        """Keep those of a loop that are written and read within one level only in one level."""
        inside = region.inside
        wanted = [cls for cls in region.classes if cls.index in self.graph.wants]
        plain = plain_targets(self.placing, wanted, inside, lambda target: self.same_gradient(target) >= 0)
        stays: dict[int, bool] = {}
        for cls in wanted:
            if cls.index in self.placing.views and cls.op in MIRRORED:  # its gradient is a part of another's
                for shown in roots(self.placing, cls.index):
                    owner = self._owner(self.graph.classes[shown])
                    stays[owner] = stays.get(owner, True) and self._within(cls, inside)
            else:
                owner = self._owner(cls)
                stays[owner] = stays.get(owner, True) and self._one_level(cls, inside, plain)
        self.level |= {owner for owner, stay in stays.items() if stay and owner in inside}

    def _owner(self, cls: Class) -> int:
        found = cls.index
        while (root := self.same_gradient(self.graph.classes[found])) >= 0:
            found = root
        return found

    def _one_level(self, cls: Class, inside: set[int], plain: dict[int, bool]) -> bool:
        graph = self.graph
        if not plain.get(cls.index, True) or cls.index in self.placing.schedule.leads or cls.ragged:
            return False
        later = any(graph.root(target) not in inside for target, _, _ in writes(self.placing, cls))
        return cls.index != graph.loss_class.index and not later and self._within(cls, inside)

    def _within(self, cls: Class, inside: set[int]) -> bool:
        """Whether all that reads a class, and so passes a gradient to it, runs in its loop, at its level."""
        readers = [self.graph.classes[self.graph.root(r)] for r, _ in self.graph.consumers.get(cls.index, [])]
        if cls.group.levels is not None and any(reader.group is not cls.group for reader in readers):
            return False
        return all(reader.index in inside for reader in readers)
