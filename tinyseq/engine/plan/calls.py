"""An op's own calls over members: as more rows where every operand allows, else member by member."""

from __future__ import annotations

from dataclasses import replace

from tinyseq.engine.kernels import batched
from tinyseq.engine.plan.building import Building
from tinyseq.engine.plan.folded import Class, Unplannable
from tinyseq.engine.plan.layout import Address, Split, View
from tinyseq.engine.plan.numbers import integer
from tinyseq.ops.op import Call, Site, size
from tinyseq.ops.products import MATMUL

Roles = dict[str, tuple[View, int]]


def emit_calls(
    to: Building, cls: Class, calls: list[Call], site: Site, roles: Roles, inside: set[int], adds: bool = False
) -> None:
    """Emit an op's calls for a class's members."""
    sizes = {"y": size(site.shape), "g": size(site.shape)}
    for i, shape in enumerate(site.shapes):
        sizes[f"x{i}"] = sizes[f"gx{i}"] = size(shape)
    for role, (layout, _) in roles.items():
        if not layout.dense and any(role in call.operands for call in calls):
            raise Unplannable(f"{cls.op} of rows that lie apart", cls)
    calls = [_for_rows(cls, call, roles) for call in calls]
    flat = all(_evenly(cls, call, sizes, roles) for call in calls)
    if cls.ragged and not all(_row_after_row(call, sizes, roles) for call in calls):
        raise Unplannable(f"{cls.op} over members of different lengths", cls)
    opened = to.open(cls, inside, flat)
    for call in calls:
        kernel = batched.moving(batched.MATMUL_TILED if call.kernel is MATMUL else call.kernel, cls.dtype)
        operands = [
            Address(to.floats(cls), 0) if role == "attr" else to.address(roles[role][0], cls, roles[role][1])
            for role in call.operands
        ]
        d = call.d.tolist()
        d[call.accumulate_slot] = int(adds)
        # where rows differ, the call is that of one row
        count = to.rows_of(cls, d[0]) if cls.ragged else (d[0], ("members", cls.group.index))
        to.run(kernel, operands, d, {0: count}, _shared_rows(cls, call))
    to.end(opened)


def _stays(cls: Class, layout: View) -> bool:
    """Whether an operand lies at one place for all rows of a call: of members that differ in their rows, those of one;
    else all members."""
    return layout.ragged < 0 and (cls.ragged or not (layout.member or layout.level))


def _for_rows(cls: Class, call: Call, roles: Roles) -> Call:
    """A call for one row as one for any number of them: what lies once for all of them stays where it is."""
    if cls.count == 1 or integer(call.d[0]) != 1:
        return call
    d = call.d.copy()
    for j, role in enumerate(call.operands):
        if role != "attr" and _stays(cls, roles[role][0]):
            d[1 + j] = 0
    return replace(call, d=d)


def _shared_rows(cls: Class, call: Call) -> Split | None:
    """How threads may share the rows of an op's call: not where all rows write one place."""
    rows = 1 if cls.scalar or cls.ragged else integer(cls.rows[0])
    times, rest = divmod(integer(call.d[0]), max(rows, 1))
    if rest or not times or call.d[1] == 0 or call.partial:
        return None
    return Split(0, times, tuple(times * integer(stride) for stride in call.d[1 : 1 + len(call.operands)]))


def _evenly(cls: Class, call: Call, sizes: dict[str, int], roles: Roles) -> bool:
    """Whether more members are just more rows of a call."""
    if cls.count == 1:
        return True
    rows = integer(call.d[0])
    for j, role in enumerate(call.operands):
        if role == "attr":
            continue
        stride, layout = integer(call.d[1 + j]), roles[role][0]
        if layout.member == 0 and layout.ragged < 0 and not layout.level:
            if stride != 0:
                return False
        elif layout.ragged >= 0:
            if stride * rows != layout.cols or layout.row != layout.cols:
                return False
        elif stride * rows != layout.member or sizes[role] != layout.member:
            return False
    return True


def _row_after_row(call: Call, sizes: dict[str, int], roles: Roles) -> bool:
    """Whether more rows of a member are just more rows of the call for one: what all of them read does not move."""
    for j, role in enumerate(call.operands):
        if role != "attr":
            stride, layout = integer(call.d[1 + j]), roles[role][0]
            moves = layout.ragged >= 0
            if stride * integer(call.d[0]) != (sizes[role] if moves else 0) or (moves and layout.cols != sizes[role]):
                return False
    return True
