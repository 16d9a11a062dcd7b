"""A net as what other programs can hold: operations on values, loops over time, sizes by name. No tape, no engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinyseq.exchange.sizes import Size, Value

Shape = tuple[Any, ...]  # of whole numbers and Size


@dataclass
class Operation:
    """An op on values: what is read, what is made, and where the user wrote it."""

    op: str
    reads: tuple[Value, ...]
    out: Value
    attrs: dict[str, Any]
    arg: Any
    shape: Shape
    dtype: str
    name: str = ""
    cell: str = ""
    line: tuple[str, str] = ("", "")  # file, number: as text, so that it is no size

    @property
    def where(self) -> str:
        """Op, cell and line in words."""
        said = f"op {self.op!r}" + (f" ({self.name})" if self.name else "")
        said += f" of the cell {self.cell!r}" if self.cell else ""
        return said + (f", {self.line[0]}:{self.line[1]}" if self.line[0] else "")


@dataclass
class Leaf:
    """A value that is there from the start: an input by name, a parameter, or an array that the program made."""

    kind: str  # "input", "parameter", "array"
    out: Value
    name: str
    shape: Shape
    dtype: str
    symbol: str = ""  # what its parameter is called in equations
    value: Any = None  # an array; of an array that repeats along its axes, one element of each such axis

    @property
    def where(self) -> str:
        """What it is in words."""
        return f"{self.kind} {self.name or 'made in the program'} {self.shape}"


@dataclass
class Loop:
    """A step repeated for every time step: one unfolding.

    sequences  (value outside, value inside): each step reads a row
    initial    value of each state before the first step (outside)
    before     for each delay, the value of each state so many steps ago (inside)
    after      value of each state after the step
    outputs    (value inside, value outside) of what is stacked over time, in the order of time
    finals     (number of the state, value outside) of states after the last step
    """

    cell: str
    steps: Any
    backwards: bool
    delays: tuple[Value, ...]
    sequences: list[tuple[Value, Value]]
    initial: list[Value]
    before: list[list[Value]]
    after: list[Value]
    body: list[Operation]
    outputs: list[tuple[Value, Value]] = field(default_factory=list)
    finals: list[tuple[Value, Value]] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The cell in words."""
        return f"the cell {self.cell!r}"


@dataclass
class Net:
    """Leaves, operations and loops in an order in which they can be run, and what comes out, by name."""

    name: str
    leaves: list[Leaf]
    body: list[Operation | Loop]
    outputs: list[tuple[str, Value]]
    shapes: dict[Value, tuple[Shape, str]]  # (shape, dtype) of every value

    def inputs(self) -> list[Leaf]:
        """The leaves that are given."""
        return [leaf for leaf in self.leaves if leaf.kind == "input"]


def operations(net: Net) -> Iterator[Operation]:
    """All operations, those of loops too."""
    for item in net.body:
        yield from item.body if isinstance(item, Loop) else (item,)


def pruned(net: Net) -> Net:
    """The net without what nothing reads; inputs stay."""
    needed = {value for _, value in net.outputs}
    body: list[Operation | Loop] = []
    for item in reversed(net.body):
        if isinstance(item, Operation):
            if item.out in needed:
                needed.update(item.reads)
                body.append(item)
            continue
        kept = _pruned_loop(item, needed)
        if kept.outputs or kept.finals:
            body.append(kept)
    leaves = [leaf for leaf in net.leaves if leaf.kind == "input" or leaf.out in needed]
    return replace(net, leaves=leaves, body=body[::-1])


def _pruned_loop(loop: Loop, needed: set[Value]) -> Loop:
    """A loop without states, rows and operations that nothing reads; adds to what is needed outside."""
    outputs = [pair for pair in loop.outputs if pair[1] in needed]
    finals = [pair for pair in loop.finals if pair[1] in needed]
    if not outputs and not finals:
        return replace(loop, outputs=[], finals=[])
    inside = {value for value, _ in outputs}
    states = {int(number) for number, _ in finals}
    while True:  # a state is needed where a needed operation reads it, and then what makes it
        inside |= {loop.after[s] for s in states}
        for operation in reversed(loop.body):
            if operation.out in inside:
                inside.update(operation.reads)
        more = {s for s in range(len(loop.after)) if any(row[s] in inside for row in loop.before)} - states
        if not more:
            break
        states |= more
    order = sorted(states)
    number = {s: Value(i) for i, s in enumerate(order)}
    needed.update(inside)
    needed.update(loop.initial[s] for s in order)
    sequences = [pair for pair in loop.sequences if pair[1] in inside]
    needed.update(outer for outer, _ in sequences)
    return replace(
        loop,
        sequences=sequences,
        initial=[loop.initial[s] for s in order],
        before=[[row[s] for s in order] for row in loop.before],
        after=[loop.after[s] for s in order],
        body=[operation for operation in loop.body if operation.out in inside],
        outputs=outputs,
        finals=[(number[int(s)], value) for s, value in finals],
    )


def is_fixed(shape: Shape) -> bool:
    """Whether a shape is known."""
    return not any(isinstance(n, Size) for n in shape)


def dtype_name(code: int) -> str:
    """The name of a dtype by its code on tapes."""
    return ("float32", "float64", "int64")[code]


def array_of(leaf: Leaf) -> np.ndarray:
    """The array of a leaf that has one."""
    assert leaf.value is not None
    return np.asarray(leaf.value)
