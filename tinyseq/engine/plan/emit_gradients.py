"""Instructions that pass gradients on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.building import Building
from tinyseq.engine.plan.calls import emit_calls
from tinyseq.engine.plan.flows import flat_product
from tinyseq.engine.plan.layout import Address, Split, View
from tinyseq.engine.plan.maps import COPY, kernels_of
from tinyseq.engine.plan.numbers import integer
from tinyseq.engine.plan.reads import Shared
from tinyseq.engine.plan.sites import inputs_of, picks_rows, site
from tinyseq.engine.plan.steps import Pack, Work
from tinyseq.engine.plan.tasks import Back
from tinyseq.ops import OPS
from tinyseq.ops.groups import RANGES


def emit_gradient(to: Building, work: Work, inside: set[int]) -> None:
    """Pass the gradient of a class on to one of its inputs."""
    assert work.back is not None
    {
        "map": _map,
        "call": _call,
        "copy": _copy,
        "scatter": _scatter,
        "value": _value,
        "row sum": _row_sum,
        "product input": _product_input,
        "product weight": _product_weight,
    }[work.kind](to, work, work.back, inside)


def _map(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """An elementwise vjp."""
    cls, ref = task.cls, task.ref
    assert ref is not None
    kernel = kernels_of(cls.op).vjps[task.position]
    assert kernel is not None
    operands = [to.mirror.operand(cls, ref), (to.buffers.gradients[cls.index], 0)]
    for role in kernel.operands[2:]:
        if role == "y":
            operands.append((to.buffers.values[cls.index], 0))
        elif role != "attr":
            operands.append(to.shown.operand(cls, cls.refs[int(role[1:])]))
    to.elementwise(kernel, cls, operands, inside, work.adds)


def _value(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """g added to the gradient of a plain term."""
    assert task.ref is not None
    operands = [to.mirror.operand(task.cls, task.ref), (to.buffers.gradients[task.cls.index], 0)]
    to.elementwise(batched.ADD_TO, task.cls, operands, inside, work.adds)


def _call(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """An op's own vjp calls for one input."""
    cls, j = task.cls, task.position
    op, given = OPS[cls.op], site(to.graph, cls)
    calls = dict(op.vjps(given))[j]
    refs = inputs_of(to.graph, cls)
    if work.clear:
        target = to.graph.classes[task.target]
        layout = to.buffers.gradients[target.index]
        split, d = Split(0, 1, (layout.cols,)), [0, layout.cols, 0, layout.cols]
        to.run(batched.ZERO, [Address(layout.storage, 0)], d, {0: to.rows_of(target)}, split)
    used = {role for call in calls for role in call.operands}
    roles = {
        "y": (to.buffers.values[cls.index], 0),
        "g": (to.buffers.gradients[cls.index], 0),
        f"gx{j}": to.mirror.operand(cls, refs[j]),
    }
    roles |= {f"x{i}": to.shown.operand(cls, ref) for i, ref in enumerate(refs) if f"x{i}" in used}
    roles = {role: layout for role, layout in roles.items() if role in used}
    emit_calls(to, cls, calls, given, roles, inside, work.adds)


def _copy(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """The gradient of rows that were copied."""
    cls, ref = task.cls, task.ref
    assert ref is not None
    g, view = to.buffers.gradients[cls.index], to.mirror.shown(cls)
    if not (cls.op in RANGES and cls.ragged and not cls.args.any()):
        assert view is not None
        to.elementwise(COPY, cls, [(view, 0), (g, 0)], inside, work.adds)
        return
    target, shift = to.mirror.operand(cls, ref)
    opened = to.open(cls, inside, False)
    operands = [to.address(target, cls, shift), to.address(g, cls)]
    d, split = [0, target.row, g.row, int(work.adds), cls.cols], Split(0, 1, (target.row, g.row))
    to.run(COPY, operands, d, {0: to.rows_of(cls)}, split)
    to.end(opened)


def _scatter(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """Add the rows of a list to the members they came from."""
    cls = task.cls
    rows, cols = integer(np.maximum(cls.rows, 1).max()), cls.cols
    nowhere = View(to.storage(rows * cols, "gradients that nobody wants"), 0, 0, cols, rows, cols)
    where = to.listed(cls, to.buffers.gradients, nowhere)
    opened = to.open(cls, inside, True)
    g = to.buffers.gradients[cls.index]
    width = g.cols if picks_rows(to.graph, cls) else g.rows * g.cols
    addresses, count = to.picking(cls, where)
    operands = [Address(to.origin, 0), to.address(g, cls), addresses]
    to.run(batched.SCATTER_ROWS, operands, [0, 0, width, 1, 1], {0: count})
    to.end(opened)


def _row_sum(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """The gradient of a repeated row: the sum over its repetitions."""
    cls, expand, ref = task.cls, task.inner, task.ref
    assert expand is not None and ref is not None
    target, g = to.graph.classes[task.target], to.buffers.gradients[cls.index]
    shared = isinstance(ref, Shared) or expand.count == 1
    row, shift = to.mirror.operand(expand, ref)
    opened = to.open(cls, inside, shared and g.flat, f"∂L/∂{target.name or target.op}: sum over rows")
    address = Address(row.storage, row.offset) if shared else to.address(row, expand, shift)
    d = [0, 0, g.row, int(work.adds), cls.cols, int(bool(inside))]
    operands = [address, to.address(g, cls)]
    to.run(batched.COLUMN_SUM, operands, d, {0: to.rows_of(cls)}, Split(4, 1, (1, 1)), (0, g.row))
    to.end(opened)


def _product_input(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """∂L/∂x (+)= g · op(W)ᵀ."""
    cls, matmul, ref = task.cls, task.inner, task.ref
    assert matmul is not None and ref is not None
    x, shift = to.mirror.operand(matmul, ref)
    g = to.buffers.gradients[cls.index]
    packed, k, n = to.packed(Pack(matmul, True, work.columns))
    x = replace(x, offset=x.offset + work.columns[0])
    opened = to.open(cls, inside, cls.count == 1 or (x.flat and g.flat))
    target = to.address(x, matmul, shift)
    operands = [target, to.address(g, cls), Address(packed, 0), target]
    strides = (x.row, g.row, 0, x.row)
    d = [0, *strides, int(work.adds), n, k]
    to.run(batched.GEMM_PACKED, operands, d, {0: to.rows_of(cls)}, Split(0, 1, strides))
    to.end(opened)


def _product_weight(to: Building, work: Work, task: Back, inside: set[int]) -> None:
    """∂L/∂W (+)= Σ over all members of xᵀ g, as one product whose inner dimension is all rows of all steps."""
    cls, matmul, ref = task.cls, task.inner, task.ref
    assert matmul is not None and ref is not None
    a, shift = to.shown.operand(matmul, matmul.refs[0])
    g, w = to.buffers.gradients[cls.index], to.buffers.gradients[ref.source]
    transposed = bool(dict(matmul.attrs).get("transpose_b"))
    target = to.graph.classes[ref.source]
    opened = to.open(cls, inside, flat_product(cls, a, shift, g), f"∂L/∂{target.name or target.op}")
    if isinstance(ref, Shared):
        w = to.mirror.operand(matmul, ref)[0]
    x, up = (to.address(a, matmul, shift), a.row, a.cols), (to.address(g, cls), g.row, cls.cols)
    left, right = (up, x) if transposed else (x, up)
    operands = [Address(w.storage, w.offset), left[0], right[0]]
    d = [0, w.row, left[1], right[1], int(work.adds), left[2], right[2]]
    split = Split(5, 1, (w.row, 1, 0))
    to.run(batched.WEIGHT_GRADIENT, operands, d, {0: to.rows_of(cls)}, split, (0, left[1], right[1]))
    to.end(opened)
