"""Views: nodes whose values already lie somewhere, so that nothing needs to be computed or copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Graph, repeated_row
from tinyseq.engine.plan.layout import View
from tinyseq.engine.plan.maps import MAPS, VIEWS
from tinyseq.engine.plan.numbers import integer, length
from tinyseq.engine.plan.reads import Read, Same, Shared
from tinyseq.engine.plan.sites import input_shape
from tinyseq.ops import OPS
from tinyseq.ops.op import size


class Views:
    """Finds layouts for nodes that only show other nodes' values. ``layouts`` are those of values, or of gradients."""

    def __init__(self, graph: Graph, layouts: Mapping[int, View], leads: Mapping[int, tuple[int, int]]) -> None:
        self.graph, self.layouts, self.leads = graph, layouts, leads

    def operand(self, reader: Class, ref: Read) -> tuple[View, int]:
        """View of an input and the shift at which the reader's members find it."""
        layout = self.layouts[ref.source]
        if isinstance(ref, Shared) and layout.ragged >= 0:
            rows = np.maximum(self.graph.classes[layout.ragged].rows, 1)
            offset = layout.offset + integer(rows[: ref.number].sum()) * layout.row
            return replace(layout, offset=offset, member=0, rows=integer(rows[ref.number]), ragged=-1), 0
        if isinstance(ref, Shared):
            return replace(layout, offset=layout.offset + ref.number * layout.member, member=0), 0
        return layout, ref.shift

    def row_operand(self, cls: Class) -> tuple[View, int]:
        """The row that an expand repeats, as rows of stride 0."""
        ref = cls.refs[0]
        source, shift = self.operand(cls, ref)
        member = 0 if isinstance(ref, Shared) or cls.count == 1 else source.member
        rows = 1 if cls.scalar else integer(cls.rows[0])
        return replace(source, member=member, row=0, rows=rows, cols=cls.cols), shift

    def view(self, cls: Class) -> View | None:
        """A layout that shows a node's values where they already lie, or None where they must be made."""
        if cls.op not in VIEWS or cls.index in self.leads:
            return None
        layout = self.shown(cls)
        if layout is None or (not layout.dense and not self.takes_strides(cls)):
            return None
        return layout

    def shown(self, cls: Class) -> View | None:
        """A layout that shows a view's values, as its op says how."""
        return getattr(self, f"view_{OPS[cls.op].view}")(cls) if cls.op in VIEWS else None

    def takes_strides(self, cls: Class) -> bool:
        """Whether all readers can read rows that lie apart."""
        for reader, j in self.graph.consumers.get(cls.index, []):
            other = self.graph.classes[reader]
            if other.op in MAPS:
                continue
            if other.op == "matmul" and j == 0 and (reader in self.graph.sums or reader in self.graph.inside):
                continue
            if other.op == "add" or reader in self.graph.inside:
                continue
            return False
        return not self.graph.is_output(cls)

    def source_of(self, cls: Class) -> tuple[View, int] | None:
        """The input of a view, if it has a fixed place."""
        ref = cls.refs[0]
        if ref.source not in self.layouts:
            return None
        layout, shift = self.operand(cls, ref)
        if layout.ragged >= 0:
            return None
        return replace(layout, offset=layout.offset + shift * layout.member), 0

    def view_row(self, cls: Class) -> View | None:
        """x[t] with t in equal steps."""
        found = self.source_of(cls)
        if found is None or not found[0].dense or found[0].level:
            return None
        source = found[0]
        steps = np.diff(cls.args)
        if length(steps) and (steps != steps[0]).any():
            return None
        slab = size(input_shape(self.graph, cls.refs[0])[1:])
        step = integer(steps[0]) if length(steps) else 0
        rows = 1 if cls.scalar else integer(cls.rows[0])
        return View(
            source.storage,
            source.offset + integer(cls.args[0]) * slab,
            source.member + step * slab,
            cls.cols,
            rows,
            cls.cols,
        )

    def view_rows(self, cls: Class) -> View | None:
        """Rows of x: consecutive runs that cover it, or equal steps."""
        found = self.source_of(cls)
        if found is None or found[0].level:
            return None
        source = found[0]
        if cls.ragged:
            starts = np.cumsum(cls.rows) - cls.rows
            if source.member != 0 or not source.dense or (cls.args != starts + cls.args[0]).any():
                return None
            offset = source.offset + integer(cls.args[0]) * cls.cols
            return View(source.storage, offset, 0, cls.cols, integer(cls.rows[0]), cls.cols, ragged=cls.index)
        steps = np.diff(cls.args)
        if length(steps) and (steps != steps[0]).any():
            return None
        step = integer(steps[0]) if length(steps) else 0
        offset = source.offset + integer(cls.args[0]) * source.row
        return View(
            source.storage, offset, source.member + step * source.row, source.row, integer(cls.rows[0]), cls.cols
        )

    def view_reshaped(self, cls: Class) -> View | None:
        """The same numbers under another shape."""
        ref = cls.refs[0]
        given = self.layouts.get(ref.source)
        if given is not None and given.ragged >= 0:  # rows of different numbers keep their first axis
            alike = given.dense and given.cols == cls.cols and isinstance(ref, Same)
            rows_alike = alike and np.array_equal(cls.rows, self.graph.classes[ref.source].rows)
            return replace(given, rows=integer(cls.rows[0]), cols=cls.cols) if rows_alike else None
        found = self.source_of(cls)
        if found is None or not found[0].dense:
            return None
        source = found[0]
        rows = 1 if cls.scalar else integer(cls.rows[0])
        return replace(source, row=cls.cols, rows=rows, cols=cls.cols)

    def view_same(self, cls: Class) -> View | None:
        """The same numbers."""
        found = self.source_of(cls)
        return found[0] if found else None

    def view_part(self, cls: Class) -> View | None:
        """Some rows, or some columns of a matrix."""
        found = self.source_of(cls)
        flags = dict(cls.attrs)
        if found is None:
            return None
        source = found[0]
        rows = integer(cls.rows[0])
        if flags["axis"] == 0:
            return replace(source, offset=source.offset + flags["start"] * source.row, rows=rows, cols=cls.cols)
        if len(cls.tail) != 1:
            return None
        return replace(source, offset=source.offset + flags["start"], rows=rows, cols=cls.cols)

    def view_repeated(self, cls: Class) -> View | None:
        """A repeated row."""
        if not repeated_row(self.graph, cls) or self.source_of(cls) is None:
            return None
        layout, shift = self.row_operand(cls)
        if cls.ragged and layout.member:
            return None
        return replace(layout, offset=layout.offset + shift * layout.member)

    def view_joined(self, cls: Class) -> View | None:
        """All members of a class in their order; along the first axis they are their stack, its first two axes one."""
        joined = self.graph.state.joins.get(cls.index)
        if joined is None or dict(cls.attrs).get("axis"):
            return None
        sources, numbers = joined.classes, joined.numbers
        assert sources is not None and numbers is not None
        source = self.graph.classes[integer(sources[0])]
        layout = self.layouts.get(source.index)
        if (sources != source.index).any() or layout is None or layout.level or not layout.packed:
            return None
        if (np.diff(numbers) != 1).any() or (
            layout.ragged >= 0 and (numbers[0] != 0 or length(numbers) != source.count)
        ):
            return None
        rows, cols = (1 if cls.scalar else integer(cls.rows[0])), cls.cols
        return View(layout.storage, layout.offset + integer(numbers[0]) * layout.member, rows * cols, cols, rows, cols)

    view_stacked = view_joined
