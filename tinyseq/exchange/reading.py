"""From what a function recorded to a ``Net``: unfoldings become loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.exchange.net import Leaf, Loop, Net, Operation, Shape, dtype_name
from tinyseq.exchange.sizes import Size, Value
from tinyseq.ops import OPS
from tinyseq.ops.op import STACKED
from tinyseq.tape import DTYPES, INPUT, PARAMETER, Tape
from tinyseq.tape.instances import LOCAL, SLOT
from tinyseq.unfolding.chain import Unfolded
from tinyseq.unfolding.watching import Seen


@dataclass
class Stamped:
    """A loop that was read: its first node, the one behind its last, and the value of a reference in its step."""

    first: int
    end: int
    seen: Seen
    loop: Loop
    place: Callable[[int, int], Value]


class Reader:
    """A tape and its unfoldings as a ``Net`` at the sizes of this recording."""

    def __init__(self, tape: Tape, seen: list[Seen], inputs: dict[int, str], names: dict[int, str]) -> None:
        tape.flush()
        self.tape, self.inputs, self.names = tape, inputs, names
        self.count = 0
        self.values: dict[int, Value] = {}  # by node
        self.shapes: dict[Value, tuple[Shape, str]] = {}
        self.leaves: list[Leaf] = []
        self.body: list[Operation | Loop] = []
        self.loops: list[Stamped] = []
        for one in seen:
            self._check(one)
        self.seen = sorted(seen, key=lambda one: int(one.bases[0]))
        self.stacked: dict[tuple[int, str, int], Value] = {}

    @staticmethod
    def _check(seen: Seen) -> None:
        if not isinstance(seen.unfolded, Unfolded):
            raise TinyseqError(
                f"the cell {seen.scope!r} is unfolded over trees: ONNX and scripts run along time only, and a tree has "
                "another shape for each input. Trees stay here: ts.train.save(model, folder), model.state_dict()"
            )
        if seen.unfolded.chain.lengths is not None:
            raise ShapeError(
                "what is exported is recorded for sequences of one length; for others give lengths=True, which makes "
                "the lengths an input"
            )
        if not len(seen.bases):
            raise TinyseqError(
                f"the cell {seen.scope!r} is unfolded with truncation, which changes gradients only: export it without"
            )

    def read(self, called: str, outputs: list[tuple[str, int]]) -> Net:
        """The whole net."""
        waiting = list(self.seen)
        i = 0
        while i < len(self.tape) or waiting:
            if waiting and int(waiting[0].bases[0]) <= i:
                i = self._loop(waiting.pop(0))
            else:
                self._node(i)
                i += 1
        found = [(name, self._value(node)) for name, node in outputs]
        return Net(called, self.leaves, self.body, found, self.shapes)

    def _new(self, shape: Shape, dtype: str) -> Value:
        value = Value(self.count)
        self.count += 1
        self.shapes[value] = tuple(int(n) for n in shape), dtype
        return value

    # -- outside of loops
    def _node(self, i: int) -> None:
        node = self.tape.node(i)
        if node.op == INPUT:
            value = self.tape.executor.values.get(i)
            kind = "input" if i in self.inputs else "array"
            self._leaf(i, kind, self.inputs.get(i, node.name), None if kind == "input" else value)
        elif node.op == PARAMETER:
            parameter = self.tape.parameters[node.arg]
            name = self.names.get(id(parameter)) or parameter.name
            self._leaf(i, "parameter", name, parameter.value.copy(), parameter.name)
        else:
            whole = self._whole(node.inputs) if OPS[node.op].view == STACKED else None
            if whole is not None:
                self.values[i] = whole
                return
            reads = tuple(self._value(j) for j in node.inputs)
            out = self._new(node.shape, str(node.dtype))
            self.values[i] = out
            self.body.append(_operation(self.tape, i, reads, out))

    def _leaf(self, i: int, kind: str, name: str, value: Any, symbol: str = "") -> None:
        shape, dtype = self.tape.shape(i), dtype_name(self.tape.kind_of(i).dtype)
        out = self.values[i] = self._new(shape, dtype)
        self.leaves.append(Leaf(kind, out, name, self.shapes[out][0], dtype, symbol, value))

    def _value(self, node: int) -> Value:
        """The value of a node, of a step too."""
        found = self.values.get(node)
        return self._of_step(node) if found is None else found

    # -- loops
    def _loop(self, seen: Seen) -> int:
        unfolded, folded = seen.unfolded, seen.unfolded.folded
        chain, length, n_states = unfolded.chain, len(folded.table), len(seen.initial)
        inner: list[Value] = []
        for row in folded.table.tolist():
            tail = self.tape.kinds[row[0]].tail
            inner.append(self._new(() if row[1] < 0 else (row[1], *tail), dtype_name(self.tape.kinds[row[0]].dtype)))
        before = [[self._new(*self.shapes[self._value(h)]) for h in seen.initial] for _ in seen.delays]

        def place(code: int, number: int) -> Value:
            if code == LOCAL:
                return inner[number]
            return before[number // n_states][number % n_states] if code == SLOT else self._value(number)

        ends = np.cumsum(folded.n_inputs)
        body = []
        for number in range(len(seen.sequences), length):
            span = range(int(ends[number] - folded.n_inputs[number]), int(ends[number]))
            reads = tuple(place(int(folded.codes[j]), int(folded.numbers[j])) for j in span)
            body.append(_operation(self.tape, int(seen.bases[0]) + number, reads, inner[number]))
        loop = Loop(
            seen.scope,
            int(chain.T),
            bool(chain.backwards),
            tuple(Value(d) for d in seen.delays),
            [(self._value(x), inner[n]) for n, x in enumerate(seen.sequences)],
            [self._value(h) for h in seen.initial],
            before,
            [place(code, number) for code, number in folded.state],
            body,
        )
        self.body.append(loop)
        end = int(seen.bases[0]) + chain.T * length
        self.loops.append(Stamped(int(seen.bases[0]), end, seen, loop, place))
        return end

    def _columns(self, seen: Seen) -> list[tuple[str, int, np.ndarray, tuple[int, int]]]:
        """(kind, number, nodes in the order of time, reference in the step) of outputs and states."""
        unfolded = seen.unfolded
        return [
            (kind, n, unfolded._in_time(nodes), refs[n])
            for kind, columns, refs in (
                ("output", unfolded._outputs, unfolded.folded.outputs),
                ("state", unfolded._states, unfolded.folded.state),
            )
            for n, nodes in enumerate(columns)
        ]

    def _stack(self, number: int, kind: str, n: int, ref: tuple[int, int]) -> Value:
        """An output or state of a loop, stacked over time."""
        stamped, key = self.loops[number], (number, kind, n)
        if key not in self.stacked:
            inside = stamped.place(*ref)
            shape, dtype = self.shapes[inside]
            self.stacked[key] = self._new((stamped.loop.steps, *shape), dtype)
            stamped.loop.outputs.append((inside, self.stacked[key]))
        return self.stacked[key]

    def _whole(self, nodes: tuple[int, ...]) -> Value | None:
        """The value of nodes stacked, where they are an output or a state of a loop over all its steps."""
        for number in reversed(range(len(self.loops))):
            for kind, n, column, ref in self._columns(self.loops[number].seen):
                if len(column) == len(nodes) and np.array_equal(column, nodes):
                    return self._stack(number, kind, n, ref)
        return None

    def _of_step(self, node: int) -> Value:
        """The value of a node inside a loop, read from outside: a final state, or one step of an output."""
        number = next(n for n, one in enumerate(self.loops) if one.first <= node < one.end)
        seen, loop = self.loops[number].seen, self.loops[number].loop
        states = seen.unfolded._states
        for s, column in enumerate(states):
            if int(column[-1]) == node:
                found = next((value for n, value in loop.finals if n == s), None)
                if found is None:
                    found = self._new(*self.shapes[loop.initial[s]])
                    loop.finals.append((Value(s), found))
                self.values[node] = found
                return found
        for kind, n, column, ref in self._columns(seen):
            places = np.flatnonzero(column == node)
            if len(places):
                whole = self._stack(number, kind, n, ref)
                shape, dtype = self.shapes[whole]
                out = self.values[node] = self._new(shape[1:], dtype)
                t = int(places[0])
                self.body.append(Operation("index", (whole,), out, {}, t, self.shapes[out][0], dtype))
                return out
        raise TinyseqError(f"{_operation(self.tape, node, (), Value(0)).where} is read from outside of its step")


def _operation(tape: Tape, i: int, reads: tuple[Value, ...], out: Value) -> Operation:
    node = tape.node(i)
    shape = tuple(int(n) for n in node.shape)
    line = (node.line[0], str(node.line[1]))
    return Operation(
        node.op, reads, out, dict(node.attrs), int(node.arg), shape, str(DTYPES[tape.kind_of(i).dtype]), node.name,
        node.cell, line,
    )  # fmt: skip


def free_sizes(net: Net) -> list[str]:
    """Names of the sizes that are free, in the order of the inputs' axes."""
    found: dict[str, None] = {}
    for leaf in net.inputs():
        for n in leaf.shape:
            if isinstance(n, Size):
                found.update(dict.fromkeys(name for names in n.terms for name in names))
    return list(found)
