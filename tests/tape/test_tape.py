"""The tape as a table: nodes, columns, scopes, names, source lines, the dump."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.nn import Cell
from tinyseq.tape import FLOAT64, INT64, Kind, Tape


class Scale(Cell):
    name = "scale"

    def __init__(self) -> None:
        self.w = ts.Parameter(np.array(2.0), "w")

    def step(self, x: ts.Tensor, h: ts.Tensor) -> tuple[Any, Any]:
        h = (h * self.w + x).named("h")
        return h, h


def small() -> tuple[Tape, ts.Tensor]:
    with Tape() as tape:
        x = ts.tensor(np.ones((2, 3)), "x")
        w = ts.Parameter(np.ones((3, 4)), "W")
        y = ts.tanh(x @ w).named("y")
    return tape, y


def test_a_node_holds_all_that_was_said() -> None:
    tape, y = small()
    line = inspect.getsourcelines(small)[1] + 4
    x, w, product, tanh = tape.nodes()
    assert (x.op, x.name, x.inputs, x.shape, x.dtype) == ("input", "x", (), (2, 3), np.float64)
    assert (w.op, w.name, w.shape) == ("parameter", "W", (3, 4))
    assert (product.op, product.inputs, product.shape) == ("matmul", (0, 1), (2, 4))
    assert (tanh.op, tanh.inputs, tanh.name, tanh.cell, tanh.step) == ("tanh", (2,), "y", "", -1)
    assert tanh.line == (__file__, line)
    assert y.index == 3 and y.name == "y" and len(tape) == 4
    assert tape.node_of(tape.parameters[0]) == 1
    assert tape.node_of(ts.Parameter(np.ones(1))) is None


def test_the_index_is_the_order_and_consumers_are_found() -> None:
    with Tape() as tape:
        a = ts.tensor(np.ones(2))
        b = a * a
        c = ts.stack([b, a, b])
        d = ts.sum(c)
    assert all(j < node.index for node in tape.nodes() for j in node.inputs)
    assert tape.consumers(a.index).tolist() == [b.index, b.index, c.index]
    assert tape.consumers(b.index).tolist() == [c.index, c.index]
    assert tape.consumers(d.index).tolist() == []


def test_columns_agree_with_nodes_however_nodes_were_appended() -> None:
    cell = Scale()
    with Tape() as tape:
        h: Any = ts.tensor(np.zeros(2))
        x = ts.tensor(np.ones((5, 2)))
        for t in range(2):
            h, _ = cell(x[t], h)
        assert len(tape.rows) == len(tape)  # columns in the middle of recording
        h = ts.unfold(cell, ts.Chain(3), x[2:], h).final
        ts.sum(h)
    nodes = tape.nodes()
    assert tape.column("op").tolist() == [n.op for n in nodes]
    assert tape.column("name").tolist() == [n.name for n in nodes]
    assert tape.step.tolist() == [n.step for n in nodes]
    assert tape.arg.tolist() == [n.arg for n in nodes]
    assert tape.rows.tolist() == [n.shape[0] if n.shape else -1 for n in nodes]
    inputs = [
        tuple(tape.input_indices[a:b]) for a, b in zip(tape.input_pointers, tape.input_pointers[1:], strict=False)
    ]
    assert inputs == [n.inputs for n in nodes]
    assert sorted({n.step for n in nodes if n.cell}) == [0, 1, 2, 3, 4]
    assert [n.name for n in nodes].count("h") == 5
    ts.verify(tape)


def test_kinds_are_interned_so_that_steps_share_them() -> None:
    cell = Scale()

    def kinds(steps: int) -> int:
        with Tape() as tape:
            ts.unfold(cell, ts.Chain(steps), np.ones((steps, 2)), np.zeros(2))
        return len({tape.kinds[k] for k in tape.kind.tolist()})

    assert kinds(100) == kinds(3)


def test_a_parameter_has_one_leaf_however_often_it_is_used() -> None:
    w = ts.Parameter(np.ones(2), "w")
    with Tape() as tape:
        y = w * w + w
        y = y + ts.exp(w)
    assert tape.column("op").tolist().count("parameter") == 1
    assert tape.parameters == [w]
    assert y.shape == (2,)


def test_renaming_leaves_other_nodes_of_the_same_kind_alone() -> None:
    with Tape() as tape:
        a = ts.tensor(np.ones(2))
        b, c = ts.tanh(a), ts.tanh(a)
        b.named("b")
        assert (b.name, c.name) == ("b", "")
        tape.flush()
        c.named("c")
        assert (b.name, c.name, a.name) == ("b", "c", "")
    assert [n.name for n in tape.nodes()] == ["", "b", "c"]


def test_tapes_nest_and_close() -> None:
    assert not Tape.recording()
    with Tape() as outer:
        a = ts.tensor([1.0])
        with Tape() as inner:
            b = ts.tensor([2.0])
            assert Tape.current() is inner
        assert Tape.current() is outer
        with pytest.raises(ZeroDivisionError), Tape():
            raise ZeroDivisionError
        assert Tape.current() is outer
    assert not Tape.recording()
    assert (a.tape, b.tape) == (outer, inner)


def test_a_tape_can_be_opened_again() -> None:
    tape, y = small()
    with tape:
        z = y * 2.0
    assert z.tape is tape and len(tape) == 5


def test_dump_is_readable() -> None:
    cell = Scale()
    with Tape() as tape:
        x = ts.tensor(np.ones((2, 3), np.float32), "x")
        cell.w = ts.Parameter(np.array(2.0, np.float32), "w")
        ts.unfold(cell, ts.Chain(2), x, np.zeros(3, np.float32))
        ts.sum(x, axis=0)
    text = tape.dump()
    lines = text.splitlines()
    assert len(lines) == len(tape)
    assert lines[0].startswith("%0 ") and "x " in lines[0] and "input(): float32 2×3" in lines[0]
    row = next(line for line in lines if "scale[1]" in line and " h " in line)
    assert "= add(%" in row and "float32 3" in row and "test_tape.py:" in row
    assert any("sum(%0, axes=(0, 1), keepdims=False): float32 3" in line for line in lines)
    assert any("index(%0, arg=1)" in line for line in lines)
    assert any("parameter(): float32 scalar" in line for line in lines)
    assert tape.dump(2).splitlines()[-1] == f"… {len(tape) - 2} more nodes"


def test_repr_counts() -> None:
    tape, y = small()
    assert repr(tape) == "Tape(4 nodes, 1 parameters, cells: none)"
    assert repr(y) == "Tensor(y, (2, 4), float64)"
    assert repr(tape.parameters[0]) == "Parameter(W, (3, 4), float64)"


def test_node_outside_the_tape_is_named() -> None:
    tape, _ = small()
    with pytest.raises(ts.errors.TapeError, match="node 4 asked for, but this tape has nodes 0 to 3"):
        tape.node(4)


def test_extend_stamps_many_nodes() -> None:
    tape = Tape()
    leaf = tape.append("input", (), (3,), FLOAT64)
    kind = tape.kind_id(Kind("tanh", (), (), FLOAT64, "", "", ("", 0)))
    n = 500
    first = tape.extend(
        np.full(n, kind), np.full(n, 3), np.zeros(n, np.int64), np.arange(n), np.ones(n, np.int64), np.arange(n)
    )
    assert (leaf, first, len(tape)) == (0, 1, n + 1)
    assert tape.node(n).inputs == (n - 1,) and tape.node(n).step == n - 1
    ts.verify(tape)
    assert tape.append("input", (), (1,), INT64) == n + 1


def test_what_same_graph_compares() -> None:
    def build(name: str = "a", scale: float = 2.0, shape: tuple = (2,), swap: bool = False) -> Tape:
        with Tape() as tape:
            x, y = ts.tensor(np.ones(shape)), ts.tensor(np.ones(shape))
            (y - x if swap else x - y).named(name) * scale
        return tape

    assert build().same_graph(build())
    for other in (build("b"), build(scale=3.0), build(shape=(3,)), build(swap=True), Tape()):
        assert not build().same_graph(other)


def test_axes_beyond_32_bits() -> None:
    rows = 3_000_000_000  # nothing is computed while recording, so nothing needs the memory
    with ts.Tape() as tape:
        narrow = ts.zeros((2, 3))
        x = ts.zeros((rows, 3))
        picked = x[rows - 1]
        part = ts.window(x, rows - 2, 2) + narrow
    assert (narrow.shape, x.shape, picked.shape, part.shape) == ((2, 3), (rows, 3), (3,), (2, 3))
    assert tape.rows.tolist() == [2, rows, 3, 2, 2] and tape.arg.tolist() == [0, 0, rows - 1, rows - 2, 0]
    assert tape.inputs(4) == (3, 0)
    ts.verify(tape)


def test_a_tape_records_inside_its_block_only() -> None:
    assert Tape.recording() is False
    with Tape():
        assert Tape.recording() is True
    assert Tape.recording() is False


class Pair(Cell):
    """Two of them make the same line of one helper, in scopes of their own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def step(self, x: ts.Tensor, h: ts.Tensor) -> tuple[Any, Any]:
        h = _added(x, h)
        return h, h


def _added(x: ts.Tensor, h: ts.Tensor) -> ts.Tensor:
    return x + h + ts.zeros(2, np.float64) + np.ones(2)


def test_one_line_in_two_cells_is_of_two_kinds() -> None:
    with Tape() as tape:
        x, h = ts.tensor(np.ones(2)), ts.tensor(np.zeros(2))
        Pair("a")(x, h)
        Pair("b")(x, h)
    made = {cell: [node.op for node in tape.nodes() if (node.cell, node.step) == (cell, 0)] for cell in ("a", "b")}
    assert made["a"] == made["b"] and sorted(made["a"]) == ["add", "add", "add", "constant", "input"]


def test_after_a_call_nodes_belong_to_no_step() -> None:
    with Tape() as tape:
        x, h = ts.tensor(np.ones(2)), ts.tensor(np.zeros(2))
        h, _ = Pair("a")(x, h)
        y = h * 2.0
    assert (tape.node(y.index).cell, tape.node(y.index).step) == ("", -1)


def test_a_parameter_met_inside_a_cell_belongs_to_no_step() -> None:
    cell = Scale()
    outside = ts.Parameter(np.ones(2), "outside")

    class Reads(Cell):
        name = "reads"

        def step(self, x: ts.Tensor, h: ts.Tensor) -> tuple[Any, Any]:
            h = h * outside + x
            return h, h

    with Tape() as tape:
        x, h = ts.tensor(np.ones(2)), ts.tensor(np.zeros(2))
        Reads()(x, h)
        cell(x, h)
    found = [(node.cell, node.step) for node in tape.nodes() if node.op == "parameter"]
    assert found == [("", -1)] * 2
