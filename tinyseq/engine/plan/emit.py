"""Emission: each step becomes instructions. Nothing is decided here."""

from __future__ import annotations

import numpy as np

from tinyseq.engine.kernels import batched
from tinyseq.engine.kernels.gemm import packed_size, panel_width
from tinyseq.engine.plan.building import Building
from tinyseq.engine.plan.collecting import packed_as
from tinyseq.engine.plan.emit_gradients import emit_gradient
from tinyseq.engine.plan.emit_values import emit_value
from tinyseq.engine.plan.instructions import Instructions
from tinyseq.engine.plan.layout import Address, Split, View
from tinyseq.engine.plan.maps import COPY
from tinyseq.engine.plan.numbers import integer
from tinyseq.engine.plan.sites import ragged_start
from tinyseq.engine.plan.steps import Loop, Pack, Seed, Start, StartBack, Step, Work, Written, Zero
from tinyseq.ops.leaves import FILL


def emit(written: Written) -> Instructions:
    """Blocks of instructions in the order of the steps."""
    to = Building(written.buffers)
    for k, step in enumerate(written.steps):
        to.phase = "backward" if k >= written.backward else "forward"
        _step(to, step)
    return Instructions(written, tuple(to.blocks), tuple(to.storages), tuple(to.pointers))


def _step(to: Building, step: Step) -> None:
    to.because = step
    match step:
        case Loop():
            _loop(to, step)
        case Work():
            _work(to, step, set())
        case Zero():
            _zero(to, step)
        case Pack():
            _pack(to, step)
        case StartBack():
            _start_back(to, step)
        case Start():
            _start(to, step)
        case Seed():
            layout = to.buffers.gradients[step.loss.index]
            one = to.storage(2, "one", data=np.array([1.0, 0.0], to.dtype))
            to.begin([], "all", "∂L/∂L = 1 (10.17)")
            start = Address(layout.storage, layout.offset + step.number * layout.member)
            to.run(FILL, [start, Address(one, 0)], [1, 1, 0, 0, 1])
            to.end()


def _work(to: Building, work: Work, inside: set[int]) -> None:
    if work.back is None:
        emit_value(to, work, inside)
    else:
        emit_gradient(to, work, inside)


def _loop(to: Building, loop: Loop) -> None:
    region = loop.region
    way = "recurrence of" if region.phase == "forward" else "backward through"
    block = to.begin(region.groups, "levels", f"{way} {region.names}")
    block.recurrent = True
    block.by_members = any(group.levels is not None for group in region.groups)
    block.backwards = region.groups[0].backwards != (region.phase == "backward")
    for work in loop.work:
        to.because = work
        _work(to, work, region.inside)
    to.end()


def _zero(to: Building, zero: Zero) -> None:
    to.begin([], "all", zero.note)
    for start, length in zero.parts:
        split = Split(3, 1, (1,)) if zero.whole else None
        to.run(batched.ZERO, [Address(zero.storage, start)], [1, 0, 0, length], None, split)
    to.end()


def _pack(to: Building, pack: Pack) -> None:
    w = to.shown.operand(pack.matmul, pack.matmul.refs[1])[0]
    _, offset, k, n, strides = key = packed_as(to.buffers, pack)
    storage = to.storage(packed_size(k, n, panel_width(to.dtype)), "packed weights")
    to.begin([], "all", "pack weights")
    to.run(batched.PACK, [Address(storage, 0), Address(w.storage, offset)], [1, 0, 0, 0, k, n, *strides])
    to.end()
    to.packs[key] = View(storage, 0, 0, 0, k, n)


def _beside(to: Building, layout: View, start: Start) -> Address:
    """The place before the first member, or after the last."""
    ragged = layout.ragged >= 0
    at = ragged_start(start.cls, start.place) * layout.cols if ragged else start.place * layout.member
    return Address(layout.storage, layout.offset + at)


def _start(to: Building, start: Start) -> None:
    cls, source = start.cls, start.source
    layout, given = to.buffers.values[cls.index], to.buffers.values[source.index]
    rows = 1 if source.scalar else integer(source.rows[0])
    to.begin([], "all", f"start of {cls.name or cls.op}")
    operands = [_beside(to, layout, start), Address(given.storage, given.offset + start.number * given.member)]
    to.run(batched.moving(COPY, cls.dtype), operands, [rows, layout.cols, given.row, 0, layout.cols])
    to.end()


def _start_back(to: Building, start: StartBack) -> None:
    cls, source = start.cls, start.source
    layout, target = to.buffers.gradients[cls.index], to.buffers.gradients[source.index]
    rows = 1 if source.scalar else integer(source.rows[0])
    to.begin([], "all", f"gradient of the start of {cls.name or cls.op}")
    operands = [Address(target.storage, target.offset + start.number * target.member), _beside(to, layout, start)]
    to.run(COPY, operands, [rows, target.row, layout.cols, int(start.adds), layout.cols])
    to.end()
