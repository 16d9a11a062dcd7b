"""A tape node by node and its program instruction by instruction, followed over numbers of a finite field.

The tape node by node and the program instruction by instruction, as its threads run it, are both followed over numbers
of a finite field (`field`, `meanings`) in place of floating-point numbers. What is read or multiplied wrongly, counted
twice, lost, or run with another member's sizes shows as other numbers in a value or a gradient; sums in another order
do not. No tolerance is needed, and no input can hide a difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyseq.engine.kernels.gemm import panel_width
from tinyseq.engine.plan.fold import Class
from tinyseq.engine.plan.layout import View
from tinyseq.engine.plan.pipeline import Plan
from tinyseq.engine.reference import Reference
from tinyseq.engine.validation.decode import Decoder, Space, Step
from tinyseq.engine.validation.field import PRIME, Numbers, of_floats, random_numbers
from tinyseq.engine.validation.footprint_rules import Footprint, Known
from tinyseq.engine.validation.footprints import footprint
from tinyseq.engine.validation.meanings import meaning
from tinyseq.engine.validation.wrong import Names
from tinyseq.ops.groups import GIVEN, PARAMETERS
from tinyseq.ops.op import Call
from tinyseq.tape import INT64, Tape


class Told:
    """What a tape says: the value of each node that a plan needs, and the gradient of each parameter."""

    def __init__(self, tape: Tape, plan: Plan) -> None:
        self.tape, self.places = tape, Reference(tape)
        self.given = tape.executor.values
        self.values: dict[int, Numbers] = {}
        self.gradients: dict[int, Numbers] = {}
        for node in self._needed(plan.graph.outputs):
            self._forward(node)
        if plan.graph.loss >= 0:
            self._backward(plan.graph.loss)

    def _needed(self, outputs: Sequence[int]) -> list[int]:
        found, stack = set(), list(outputs)
        while stack:
            i = stack.pop()
            if i not in found:
                found.add(i)
                stack.extend(self.tape.inputs(i))
        return sorted(found)

    def leaf(self, node: int, size: int) -> Numbers:
        """Numbers for an array of the user's: its own if they are integers, else any."""
        value = self.given.get(node)
        if value is not None and value.dtype.kind == "i":
            return value.ravel().astype(np.int64)
        if self.tape.kind_of(node).dtype == INT64:
            return np.zeros(size, np.int64)
        return random_numbers((node, 1), size)

    def _forward(self, node: int) -> None:
        place, inputs = self.places.place(node), self.tape.inputs(node)
        size = int(np.prod(place.site.shape))
        if place.op.name in GIVEN:
            self.values[node] = self.leaf(node, size)
            return
        y = self.values[node] = np.zeros(size, np.int64)
        roles = {f"x{k}": self.values[j] for k, j in enumerate(inputs)}
        for call in place.forward:
            _call(call, {**roles, "y": y, "attr": of_floats(place.floats)}, int(call.d[call.accumulate_slot]))

    def _backward(self, loss: int) -> None:
        grads = self.gradients
        grads[loss] = np.ones_like(self.values[loss])
        for node in range(loss, -1, -1):
            if node not in grads:
                continue
            place, inputs = self.places.place(node), self.tape.inputs(node)
            roles = {f"x{k}": self.values[j] for k, j in enumerate(inputs)}
            roles |= {"y": self.values[node], "g": grads[node], "attr": of_floats(place.floats)}
            for k, calls in place.vjps:
                target = grads.setdefault(inputs[k], np.zeros_like(self.values[inputs[k]]))
                for call in calls:
                    _call(call, {**roles, f"gx{k}": target}, 1)


_WIDTH = 8  # of packed panels, which no op's own call has


def _call(call: Call, roles: dict[str, Numbers], add: int) -> None:
    """Run a call of the reference executor on numbers of the field."""
    d, arrays = call.d.tolist(), [roles[role] for role in call.operands]
    d[call.accumulate_slot] = add
    known = Known(_WIDTH, lambda slot: len(arrays[slot]), lambda slot, elements: arrays[slot][elements])
    found = footprint(call.kernel, d, known)
    read = [array[elements] for array, elements in zip(arrays[1:], found.operands[1:], strict=True)]
    if found.operands[0] is not None:
        _put(arrays[0], found.operands[0], meaning(call.kernel, d, read), found.adds)


def _put(target: Numbers, elements: np.ndarray, made: Numbers, adds: bool) -> None:
    """Write numbers, or add them as often as an element occurs."""
    if adds:
        np.add.at(target, elements, made)
        target[elements] %= PRIME
    else:
        target[elements] = made


class Followed:
    """A program, followed over numbers of the field in a memory of its own."""

    def __init__(self, plan: Plan, told: Told, threads: int) -> None:
        self.plan, self.told, self.threads = plan, told, threads
        self.space = Space(plan, threads)
        self.width = panel_width(plan.dtype)
        self.kept: dict[tuple[str, tuple[int, ...]], Footprint] = {}
        self.memory = random_numbers((0,), self.space.size)  # what nobody wrote is no number that anybody wants
        self.names = Names(plan)
        for storage in plan.storages:
            start = int(self.space.base[storage.index])
            if storage.space == "leaf":
                self.memory[start : start + storage.size] = told.leaf(storage.node, storage.size)
            elif storage.space == "arena" and storage.data is not None and storage.last >= 0:
                self.memory[start : start + len(storage.data)] = of_floats(storage.data)
        for index, (rows, _) in self.space.listed.items():
            start = int(self.space.base[index])
            self.memory[start : start + len(rows)] = rows

    def run(self) -> None:
        """Every instruction at every level, from barrier to barrier, in each one thread after the other."""
        steps = [s for k in range(self.threads) for s in Decoder(self.plan, (k,), self.threads).steps(self.space)]
        if not steps:
            return
        number = np.repeat(np.arange(len(steps)), [len(s.level) for s in steps])
        run = np.concatenate([np.arange(len(s.level)) for s in steps])
        thread = np.repeat([s.thread for s in steps], [len(s.level) for s in steps])
        interval, order = (np.concatenate([getattr(s, name) for s in steps]) for name in ("interval", "order"))
        in_time = np.lexsort((order, thread, interval))
        places = {id(block): place for place, block in enumerate(self.plan.blocks)}
        before = -1
        for k in in_time.tolist():
            step = steps[number[k]]
            place = places.get(id(step.block), -1)
            if place != before:
                if before >= 0:
                    self.after(before)
                before = place
            self._step(step, int(run[k]))
        if before >= 0:
            self.after(before)

    def _step(self, step: Step, run: int) -> None:
        """One instruction at one level."""
        d = step.d[run].tolist()
        begins = [int(places[run]) for places in step.operands]
        kernel, memory = step.instruction.kernel, self.memory
        found = self._footprint(step, d, begins)
        operands = [None if e is None else begin + e for e, begin in zip(found.operands, begins, strict=True)]
        if found.lists is not None:
            slot, listing, width = found.lists
            rows = operands[listing]
            assert rows is not None
            operands[slot] = memory[rows][:, None] + np.arange(width)
        target = operands[0]
        if target is None or not target.size:
            return
        read = [np.zeros(0, np.int64) if e is None else memory[e] for e in operands[1:]]
        _put(memory, target, meaning(kernel, d, read), found.adds)

    def _footprint(self, step: Step, d: list[int], begins: list[int]) -> Footprint:
        kernel = step.instruction.kernel
        key = (kernel.name, tuple(d))
        if key in self.kept:
            return self.kept[key]
        known = Known(
            self.width,
            lambda slot: self._room(step, slot, begins[slot]),
            lambda slot, elements: self.memory[begins[slot] + elements],
        )
        found = footprint(kernel, d, known)
        if not kernel.integers:
            self.kept[key] = found
        return found

    def _room(self, step: Step, slot: int, begin: int) -> int:
        index = step.storages[slot]
        storage = self.plan.storages[index]
        return int(self.space.base[index]) + storage.size - storage.lead - begin

    def after(self, place: int) -> None:
        """What to do when a block is done: nothing. Whoever searches for the guilty looks here."""

    # -- what comes out
    def compare(self) -> str:
        """What value that is asked for, or parameter's gradient, is not the tape's, in words; '' where all are."""
        plan, base = self.plan, self.space.base
        for node in plan.graph.outputs:
            place, number = plan.graph.state.places[node]
            cls, layout = plan.graph.classes[place], plan.values[place]
            found = self.memory[int(base[layout.storage.index]) + self.elements(cls, layout, number)]
            wrong = differ(found.ravel(), self.told.values[node])
            if wrong:
                return f"the value of %{node}, {self.names.cls(cls)}, is not what the tape says: {wrong}"
        for storage in plan.storages:
            if storage.space == "grads":
                found = self.memory[int(base[storage.index]) + np.arange(storage.size)]
                wrong = differ(found, self.told.gradients.get(storage.node, np.zeros_like(found)))
                if wrong:
                    return f"{storage.what} (%{storage.node}) is not what the tape says: {wrong}"
        return self._missing()

    def elements(self, cls: Class, layout: View, number: int) -> np.ndarray:
        """Where a member's elements lie in its storage."""
        rows = 1 if cls.scalar else int(cls.rows[number])
        start = layout.offset + number * layout.member
        if layout.ragged >= 0:
            before = np.maximum(self.plan.graph.classes[layout.ragged].rows, 1)[:number]
            start = layout.offset + int(before.sum()) * layout.row
        return start + np.arange(rows)[:, None] * layout.row + np.arange(cls.cols)

    def _missing(self) -> str:
        """A parameter to which a gradient flows, though the plan has none for it."""
        nodes = {s.node for s in self.plan.storages if s.space == "grads"}
        for cls in self.plan.graph.classes:
            node = int(cls.nodes[0]) if cls.op in PARAMETERS and not cls.attrs else -1
            if node >= 0 and node not in nodes and self.told.gradients.get(node, np.zeros(0)).any():
                return f"∂L/∂{cls.name} (%{node}) is not made, though the loss depends on it"
        return ""


def differ(found: Numbers, expected: Numbers) -> str:
    """How numbers differ, in words; '' where they don't."""
    if found.shape != expected.shape:
        return f"it has {found.size} elements, not {expected.size}"
    wrong = np.flatnonzero(found != expected)
    return f"{len(wrong)} of its {found.size} elements differ, the first is {wrong[0]}" if len(wrong) else ""
