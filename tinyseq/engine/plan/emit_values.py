"""Instructions that make values."""

from __future__ import annotations

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.building import Building
from tinyseq.engine.plan.calls import emit_calls
from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Term
from tinyseq.engine.plan.layout import Address, Split, View
from tinyseq.engine.plan.maps import COPY, kernels_of
from tinyseq.engine.plan.reads import Picked
from tinyseq.engine.plan.sites import inputs_of, picks_rows, site
from tinyseq.engine.plan.steps import Pack, Work
from tinyseq.ops import OPS
from tinyseq.ops.groups import RANGES


def emit_value(to: Building, work: Work, inside: set[int]) -> None:
    """Make the values of a class, or add a term to them."""
    match work.kind:
        case "map":
            _map(to, work.cls, inside)
        case "copy":
            _copy(to, work.cls, inside)
        case "pick":
            _pick(to, work.cls, inside)
        case "add":
            assert work.term is not None
            operand = _operand(to, work.cls, work.term)
            out = to.buffers.values[work.cls.index]
            to.elementwise(batched.ADD_TO, work.cls, [(out, 0), operand], inside, work.adds)
        case "product":
            _product(to, work, inside)
        case _:
            _call(to, work.cls, inside)


def _map(to: Building, cls: Class, inside: set[int]) -> None:
    """Elementwise: rows × columns with a stride for each operand."""
    operands = [to.shown.operand(cls, ref) for ref in cls.refs]
    to.elementwise(kernels_of(cls.op).forward, cls, [(to.buffers.values[cls.index], 0), *operands], inside, False)


def _copy(to: Building, cls: Class, inside: set[int]) -> None:
    """Copy rows chosen by index or window into a place of their own."""
    view = to.shown.shown(cls)
    if view is None or (cls.ragged and view.ragged != cls.index):
        if cls.op in RANGES and cls.ragged and not cls.args.any() and not isinstance(cls.refs[0], Picked):
            _ragged_window(to, cls, inside)
        else:
            _pick(to, cls, inside)
        return
    to.elementwise(COPY, cls, [(to.buffers.values[cls.index], 0), (view, 0)], inside, False)


def _ragged_window(to: Building, cls: Class, inside: set[int]) -> None:
    """The first rows of the member before: the batch of sequences that are still running."""
    source, shift = to.shown.operand(cls, cls.refs[0])
    out = to.buffers.values[cls.index]
    opened = to.open(cls, inside, False)
    operands = [to.address(out, cls), to.address(source, cls, shift)]
    split = Split(0, 1, (out.row, source.row))
    d = [0, out.row, source.row, 0, cls.cols]
    to.run(batched.moving(COPY, cls.dtype), operands, d, {0: to.rows_of(cls)}, split)
    to.end(opened)


def _pick(to: Building, cls: Class, inside: set[int]) -> None:
    """Rows that a list names, copied next to each other."""
    out = to.buffers.values[cls.index]
    where = to.listed(cls, to.buffers.values)
    opened = to.open(cls, inside, True)
    width = out.cols if picks_rows(to.graph, cls) else out.rows * out.cols
    addresses, count = to.picking(cls, where)
    operands = [to.address(out, cls), Address(to.origin, 0), addresses]
    kernel = batched.GATHER_INTEGERS if cls.dtype.kind == "i" else batched.GATHER_ROWS
    to.run(kernel, operands, [0, width, 0, 1, 0], {0: count})
    to.end(opened)


def _call(to: Building, cls: Class, inside: set[int]) -> None:
    """Any op through its own calls, members as more rows where that fits."""
    given = site(to.graph, cls)
    roles = {"y": (to.buffers.values[cls.index], 0)}
    roles |= {f"x{i}": to.shown.operand(cls, ref) for i, ref in enumerate(inputs_of(to.graph, cls))}
    emit_calls(to, cls, OPS[cls.op].forward(given), given, roles, inside)


def _operand(to: Building, cls: Class, term: Term) -> tuple[View, int]:
    """A repeated row or a plain value."""
    return (to.shown.row_operand(term.cls)[0], 0) if term.kind == "row" else to.shown.operand(cls, term.cls.refs[0])


def _product(to: Building, work: Work, inside: set[int]) -> None:
    """y (+)= x · op(W) with W packed once, or y = begin + x · op(W)."""
    assert work.term is not None
    cls, matmul, out = work.cls, work.term.cls, to.buffers.values[work.cls.index]
    a, shift = to.shown.operand(matmul, matmul.refs[0])
    packed, k, n = to.packed(Pack(matmul, False))
    opened = to.open(cls, inside, cls.count == 1 or (a.flat and out.flat))
    operands = [to.address(out, cls), to.address(a, matmul, shift), Address(packed, 0)]
    first, place = (out, 0) if work.begin is None else _operand(to, cls, work.begin)
    operands.append(to.address(first, cls, place))
    adds = int(work.adds or work.begin is not None)
    strides = (out.row, a.row, 0, first.row)
    d = [0, *strides, adds, n, k]
    to.run(batched.GEMM_PACKED, operands, d, {0: to.rows_of(cls)}, Split(0, 1, strides))
    to.end(opened)
