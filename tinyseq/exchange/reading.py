"""From what a function records to a ``Net``: unfoldings become loops, sizes are found by recording at several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.engine.reference import Reference
from tinyseq.errors import CallError, ShapeError, TinyseqError
from tinyseq.exchange.net import Leaf, Loop, Net, Operation, Shape, dtype_name, pruned
from tinyseq.exchange.sizes import Differs, Size, Sizes, Value, merged, probes
from tinyseq.ops import OPS
from tinyseq.ops.op import STACKED
from tinyseq.tape import DTYPES, INPUT, PARAMETER, Tape
from tinyseq.tape.instances import LOCAL, SLOT
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.nesting import flatten
from tinyseq.unfolding.chain import Unfolded
from tinyseq.unfolding.watching import Seen, watched

BASES = (13, 3, 5, 4)  # sizes of the first recording; those of the others differ from these and from each other


@dataclass(frozen=True)
class Input:
    """An input of a net for other programs: its name, its axes (numbers, or names of sizes that are free) and dtype.

    Integers are tokens from 0 to ``below`` − 1.
    """

    name: str
    axes: tuple[Any, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise CallError(f"an input is called by a name such as 'x', got {self.name!r}")
        if self.dtype not in ("float32", "float64", "int64"):
            raise CallError(f"an input is float32, float64 or int64, got {self.dtype!r}")
        for axis in self.axes:
            if not (isinstance(axis, str) and axis.isidentifier()) and not (type(axis) is int and axis > 0):
                raise CallError(f"axes are numbers from 1, or names such as 'T' of sizes that are free; got {axis!r}")


def net_of(
    run: Callable[..., Any],
    inputs: Sequence[Input],
    names: dict[int, str],
    fixed: Sizes,
    called: str = "net",
    outputs: Sequence[str] = ("y",),
) -> Net:
    """The net that ``run(*tensors)`` records.

    names   names of parameters by their ids
    fixed   sizes by name that are no longer free
    Raises Differs where the graph depends on a free size other than through unfoldings and shapes.
    """
    known = list(dict.fromkeys(a for one in inputs for a in one.axes if isinstance(a, str)))
    free = [name for name in known if name not in fixed]
    if len(free) > len(BASES):
        raise CallError(f"at most {len(BASES)} sizes are free, got {', '.join(free)}; fix some: sizes={{'T': 20}}")
    at = probes(free, dict(zip(free, BASES, strict=False)))
    recordings = [_recorded(run, inputs, names, {**fixed, **sizes}, called, outputs) for sizes in at]
    try:
        return pruned(merged(recordings, at, _one_array))
    except Differs as error:
        said, *where = error.args
        raise Differs(
            f"the graph of {called} depends on {' and '.join(free)} in a way that no exported net can follow"
            f"{f', at {where[0]}' if where else ''}: {said}. Run time steps by ts.unfold, not by a Python loop; or fix "
            f"the sizes: sizes={{{', '.join(f'{name!r}: {at[0][name]}' for name in free)}}}"
        ) from None


def _recorded(
    run: Callable[..., Any], inputs: Sequence[Input], names: dict[int, str], sizes: Sizes, called: str,
    outputs: Sequence[str],
) -> Net:  # fmt: skip
    with watched() as seen, Tape(Reference) as tape:
        given = {}
        for one in inputs:
            shape = [sizes[axis] if isinstance(axis, str) else axis for axis in one.axes]
            given[one.name] = tensor(np.zeros(shape, one.dtype), one.name)
        made = flatten(run(*given.values()))
        if not made or not all(isinstance(x, Tensor) for x in made):
            raise CallError(f"what is exported returns tensors, {called} returned {type(made[0] if made else None)}")
        labels = list(outputs) if len(outputs) == len(made) else [f"{outputs[0]}{i}" for i in range(len(made))]
        if len(made) == 1:
            labels = [outputs[0]]
        reader = Reader(tape, seen, {x.index: name for name, x in given.items()}, names)
        return reader.read(called, list(zip(labels, [x.index for x in made], strict=True)))


def _one_array(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays that a program makes at several sizes as one: equal, or repeated along the axes that differ."""
    first = parts[0]
    if any(part.ndim != first.ndim or part.dtype != first.dtype for part in parts):
        raise Differs("an array made in it has other axes")
    small = []
    for part in parts:
        for axis in range(first.ndim):
            if any(other.shape[axis] != first.shape[axis] for other in parts):
                one = part.take([0], axis)
                if not np.array_equal(np.broadcast_to(one, part.shape), part, equal_nan=part.dtype.kind == "f"):
                    raise Differs(f"an array made in Python has shapes {first.shape}, {parts[-1].shape} and no rule")
                part = one
        small.append(part)
    if not all(np.array_equal(part, small[0], equal_nan=part.dtype.kind == "f") for part in small):
        raise Differs("an array made in Python holds other numbers")
    return small[0]


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
