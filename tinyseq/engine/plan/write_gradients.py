"""The steps that pass gradients on: who overwrites, who adds, what is zeroed before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyseq.engine.plan.buffers import Buffers
from tinyseq.engine.plan.collecting import Collected
from tinyseq.engine.plan.flows import flat_product, plain_targets, roots, writes, writes_whole
from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.layout import View
from tinyseq.engine.plan.numbers import integer
from tinyseq.engine.plan.reads import Delayed, Read, Run, Same, Shared
from tinyseq.engine.plan.regions import Region
from tinyseq.engine.plan.sites import inputs_of, site, start_sources
from tinyseq.engine.plan.steps import Loop, Pack, Seed, StartBack, Work, Zero, elided, joined
from tinyseq.engine.plan.tasks import Back
from tinyseq.ops import OPS
from tinyseq.ops.groups import JOINS, RANGES


class Gradients(Collected):
    """The steps of the way back, and which gradients have been begun: ``ready`` by storage."""

    def __init__(self, buffers: Buffers, packed: set) -> None:
        super().__init__(buffers, packed)
        self.ready: set[int] = set()
        self.pending: set[int] = set()  # of a loop: the first write of each level overwrites
        self.ahead: set[int] = set()  # of a loop: begun by who reads with a delay

    def region(self, region: Region) -> None:
        """Seed the loss before the first; then a loop with what waits until after it, or one class."""
        if not self.steps:
            self.seed()
        inside = region.inside
        if not region.recurrent:
            (cls,) = region.classes
            self.starts(cls)
            for task in self.parts(region.now):
                self.steps += self.contribution(task, inside)
            return
        self.prepare(region, inside)
        work = [w for task in self.parts(region.now) for w in self.contribution(task, inside)]
        if work:
            self.steps.append(Loop(region, tuple(work)))
        for cls in region.classes:
            self.starts(cls)
        for task in self.parts(region.deferred):
            self.steps += self.contribution(task, set())

    def seed(self) -> None:
        """The gradient of the loss is 1; of what it is a part of, 0 elsewhere."""
        loss = self.graph.loss_class
        layout = self.buffers.gradients[loss.index]
        if layout.storage.size > 1:
            self.zero(layout)
        self.steps.append(Seed(loss, self.graph.state.places[self.graph.loss][1]))
        self.ready.add(layout.storage.index)

    def starts(self, cls: Class) -> None:
        """Pass on what flowed to the members before the first."""
        if cls.index not in self.buffers.leads or cls.index not in self.graph.wants:
            return
        for place, (source, number) in start_sources(self.graph, cls).items():
            if source.index in self.graph.wants:
                adds = self.begin(source, source.count == 1)
                self.steps.append(StartBack(cls, place, source, number, adds))

    def parts(self, tasks: tuple[Back, ...]) -> Iterator[Back]:
        """The tasks, joins that are no views part by part."""
        for task in tasks:
            if task.kind == "join" and not elided(self.buffers, task):
                yield from joined(self.graph, task.cls)
            else:
                yield task

    # -- contributions
    def contribution(self, task: Back, inside: set[int]) -> list[Work]:
        """The work of passing on, after what must stand before it; none where it lies there already."""
        if elided(self.buffers, task):
            return []
        made = getattr(self, "_" + task.kind.replace(" ", "_"))(task, inside)
        return [made]

    def _map(self, task: Back, inside: set[int]) -> Work:
        return Work("map", task.cls, self.flag(task, True, inside), back=task)

    def _value(self, task: Back, inside: set[int]) -> Work:
        return Work("value", task.cls, self.flag(task, True, inside), back=task)

    def _call(self, task: Back, inside: set[int]) -> Work:
        calls = dict(OPS[task.cls.op].vjps(site(self.graph, task.cls)))[task.position]
        partial = not writes_whole(self.graph, task.cls, task.position, calls)
        adds, clear = self.flag(task, not partial, inside), False
        if partial and not adds:
            layout = self.buffers.gradients[task.target]
            clear = bool(inside) and layout.level
            if not clear:
                self.zero(layout)
            adds = True
        return Work("call", task.cls, adds, back=task, clear=clear)

    def _copy(self, task: Back, inside: set[int]) -> Work:
        cls = task.cls
        view = self.buffers.mirror.shown(cls)
        by_rows = cls.op in RANGES and cls.ragged and not cls.args.any()
        if (view is None or (cls.ragged and view.ragged != cls.index)) and not by_rows:
            return self._scatter(task, inside)
        return Work("copy", cls, self.flag(task, False, inside), back=task)

    def _scatter(self, task: Back, inside: set[int]) -> Work:
        for source in task.cls.refs[0].sources():
            if source in self.graph.wants and self.buffers.gradients[source].storage.index not in self.ready:
                self.zero(self.buffers.gradients[source])
        return Work("scatter", task.cls, True, back=task)

    def _row_sum(self, task: Back, inside: set[int]) -> Work:
        expand = task.inner
        assert expand is not None and task.ref is not None
        target = self.graph.classes[task.target]
        shared = isinstance(task.ref, Shared) or expand.count == 1
        flat = shared and self.buffers.gradients[task.cls.index].flat
        leaves = bool(inside) and self.graph.root(task.target) not in inside
        whole = (not shared or target.count == 1) and not (leaves and shared)
        adds = self.flag(task, whole, inside, Same(task.target))
        if not inside and not flat and task.cls.group.count > 1 and shared and not adds:
            self.zero(self.buffers.gradients[target.index])
            adds = True
        return Work("row sum", task.cls, adds, back=task)

    def _product_input(self, task: Back, inside: set[int]) -> Work:
        assert task.inner is not None
        columns = self.read_columns(self.graph.classes[task.target])
        self.pack(Pack(task.inner, True, columns))
        return Work("product input", task.cls, self.flag(task, True, inside), back=task, columns=columns)

    def _product_weight(self, task: Back, inside: set[int]) -> Work:
        matmul = task.inner
        assert matmul is not None and task.ref is not None
        a, shift = self.buffers.shown.operand(matmul, matmul.refs[0])
        flat = flat_product(task.cls, a, shift, self.buffers.gradients[task.cls.index])
        target = self.graph.classes[task.target]
        leaves = bool(inside) and self.graph.root(task.target) not in inside
        whole = (flat and isinstance(task.ref, Same)) or target.count == 1
        adds = self.flag(task, whole and not leaves, inside, Same(task.target))
        if not inside and not flat and not adds:
            self.zero(self.buffers.gradients[target.index])
            adds = True
        return Work("product weight", task.cls, adds, back=task)

    def read_columns(self, target: Class) -> tuple[int, int]:
        """(first, count) of the columns of a gradient that anybody reads: of values joined side by side for products,
        those of the ones that want a gradient."""
        graph = self.graph
        flags, consumers = dict(target.attrs), graph.consumers.get(target.index, [])
        whole = 0, target.cols
        if target.op not in JOINS or flags.get("axis") != 1 or len(target.tail) != 1:
            return whole
        if target.index in self.buffers.leads or any(graph.classes[i].op != "matmul" or j for i, j in consumers):
            return whole
        refs = inputs_of(graph, target)
        ends = np.cumsum([0, *(graph.classes[ref.source].cols for ref in refs)])
        wanted = [j for j, ref in enumerate(refs) if ref.source in graph.wants]
        if ends[-1] != target.cols or not wanted:
            return whole
        first, last = integer(ends[wanted[0]]), integer(ends[wanted[-1] + 1])
        return first, last - first

    # -- overwrite or add
    def flag(self, task: Back, whole: bool, inside: set[int], ref: Read | None = None) -> bool:
        """Whether a write adds; the first of all that covers its target does not."""
        ref = ref or task.ref
        target = self.graph.classes[task.target]
        storage = self.buffers.gradients[target.index].storage.index
        if inside and self.graph.root(target.index) in inside:
            if storage in self.pending:
                self.pending.discard(storage)
                self.ready.add(storage)
                return False
            if storage in self.ahead and isinstance(ref, Run | Delayed):
                self.ahead.discard(storage)
                return False
            return True
        return self.begin(target, whole and isinstance(ref, Same))

    def begin(self, target: Class, whole: bool) -> bool:
        """False if this write is the first and covers the target; else True, after zeroing if it is the first."""
        layout = self.buffers.gradients[target.index]
        storage = layout.storage
        if storage.index in self.ready:
            return True
        rows = integer(np.maximum(target.rows, 1).sum())
        before, after = self.buffers.leads.get(target.index, (0, 0))
        ends = (before + after) * integer(np.maximum(target.rows, 1).max()) * target.cols
        if not (whole and layout.packed and rows * target.cols == storage.size - ends):
            self.zero(layout)
            return True
        if ends:
            self.zero_ends(target, layout)
        self.ready.add(storage.index)
        return False

    def zero(self, layout: View) -> None:
        """Zero a whole storage."""
        storage = layout.storage
        self.steps.append(Zero(storage, ((-storage.lead, storage.size),), f"zero {storage.what}", True))
        self.ready.add(storage.index)

    def zero_ends(self, cls: Class, layout: View) -> None:
        """Zero what lies before the first member and after the last."""
        storage = layout.storage
        members = integer(np.maximum(cls.rows, 1).sum()) * cls.cols
        ends = ((-storage.lead, storage.lead), (members, storage.size - storage.lead - members))
        parts = tuple((start, length) for start, length in ends if length > 0)
        if parts:
            self.steps.append(Zero(storage, parts, f"zero ends of {storage.what}"))

    # -- before a loop
    def prepare(self, region: Region, inside: set[int]) -> None:
        """Zero the gradients that the loop adds to, but for those that it begins itself."""
        buffers = self.buffers
        self.pending, self.ahead = set(), set()
        wanted = [cls for cls in region.classes if cls.index in self.graph.wants]
        plain = plain_targets(buffers, wanted, inside, lambda target: target.index in buffers.shared)
        for cls in wanted:
            layout = buffers.gradients[cls.index]
            if layout.level or layout.storage.index in self.ready or cls.index in buffers.shared:
                continue
            if plain.get(cls.index, False) and cls.index not in buffers.leads:
                self.pending.add(layout.storage.index)
            elif shift := self.written_ahead(cls, wanted):
                self.zero_last(cls, layout, shift)
            else:
                self.zero(layout)
        for cls in wanted:
            if buffers.gradients[cls.index].level:
                self.pending.add(buffers.gradients[cls.index].storage.index)

    def written_ahead(self, cls: Class, wanted: list[Class]) -> int:
        """The one delay at which a loop reads a value, if what it passes back covers each member before anybody adds
        to it; 0 where that is not so."""
        if cls.ragged or cls.group.levels is not None:
            return 0
        shifts: set[int] = set()
        for reader in wanted:
            for target, ref, all_of_it in writes(self.buffers, reader):
                if cls.index in roots(self.buffers, target):
                    return 0
                if target != cls.index or isinstance(ref, Same):
                    continue
                if not isinstance(ref, Run | Delayed) or not all_of_it or reader.count != cls.count:
                    return 0
                shifts.add(ref.shift)
        shift = shifts.pop() if len(shifts) == 1 else 0
        return shift if self.buffers.leads.get(cls.index) == (max(-shift, 0), max(shift, 0)) else 0

    def zero_last(self, cls: Class, layout: View, shift: int) -> None:
        """Zero the members that nobody reads with a delay; all others are overwritten by the first who did."""
        first = min(cls.count + shift, cls.count) if shift < 0 else 0
        start = layout.offset + first * layout.member
        note = f"zero the last of {layout.storage.what}"
        self.steps.append(Zero(layout.storage, ((start, abs(shift) * layout.member),), note))
        self.ready.add(layout.storage.index)
        self.ahead.add(layout.storage.index)
