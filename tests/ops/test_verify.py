"""The tape verifier finds what is broken and names the first bad node."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import TapeError
from tinyseq.tape import FLOAT32, FLOAT64, INT64, Kind, Tape


def example() -> Tape:
    """x (4, 3), W (3, 2), index, expand, matmul, tanh, stack, window, take, sum: node by node below."""
    with Tape() as tape:
        x = ts.tensor(np.ones((4, 3)), "x")  # 0
        w = ts.Parameter(np.ones((3, 2)), "W")
        y = (x @ w).named("y")  # 1: W, 2
        h = ts.tanh(y)  # 3
        row = ts.index(h, 3)  # 4
        s = ts.stack([row, row])  # 5
        i = ts.tensor([1, 0])  # 6
        t = ts.take(s, i)  # 7
        from tinyseq.functions import rows

        v = rows(t, 1, 1)  # 8
        ts.sum(ts.expand(v, (5, 2)) + 1.0)  # 9, 10, 11
    tape.flush()
    return tape


def kind_of(tape: Tape, index: int, **changes: object) -> int:
    return tape.kind_id(tape.kinds[int(tape.kind[index])]._replace(**changes))  # type: ignore[arg-type]


def put(tape: Tape, index: int, **changes: object) -> None:
    tape._table[0, index] = kind_of(tape, index, **changes)


def edge(tape: Tape, index: int, value: int, place: int = 0) -> None:
    tape._edges[tape._ptr[index] + place] = value


BROKEN: dict[str, tuple[Callable[[Tape], object], str]] = {
    "reads itself": (
        lambda t: edge(t, 3, 3),
        r"node %3 \(tanh, recorded at .*\): it reads node %3, which does not come",
    ),
    "reads a later node": (lambda t: edge(t, 3, 7), r"node %3 .*it reads node %7, which does not come earlier"),
    "reads no node": (lambda t: edge(t, 2, -4), r"node %2 \(matmul 'y', .*it reads node %-4, which is no node"),
    "unknown op": (lambda t: put(t, 3, op="tahn"), r"node %3 \(tahn, .*there is no op 'tahn'"),
    "wrong rows": (
        lambda t: t._table[1].__setitem__(3, 5),
        r"node %3 .*tanh of \(4, 2\) gives float64 \(4, 2\), .*\(5, 2\)",
    ),
    "wrong tail": (
        lambda t: put(t, 2, tail=(7,)),
        r"node %2 .*matmul of .* gives float64 \(4, 2\), the tape says float64 \(4, 7\)",
    ),
    "wrong dtype": (
        lambda t: put(t, 3, dtype=FLOAT32),
        r"node %3 .*gives float64 \(4, 2\), the tape says float32 \(4, 2\)",
    ),
    "mixed dtypes": (lambda t: put(t, 0, dtype=FLOAT32), r"node %2 .*matmul got float32 and float64 together"),
    "dtype code": (lambda t: put(t, 3, dtype=9), "node %3 .*dtype code 9 is none of 0 to 2"),
    "shapes": (
        lambda t: t._table[1].__setitem__(0, 4) or put(t, 0, tail=(9,)),
        "node %2 .*inner sizes 9 and 3 must be equal",
    ),
    "negative size": (lambda t: put(t, 0, tail=(-3,)), r"node %0 .*is no shape"),
    "scalar with axes": (lambda t: t._table[1].__setitem__(0, -1), r"node %0 .*is no shape"),
    "rows below": (lambda t: t._table[1].__setitem__(0, -2), "node %0 .*first axis has fewer than no rows"),
    "step below": (lambda t: t._table[3].__setitem__(3, -7), "node %3 .*its step is below -1"),
    "no kind": (lambda t: t._table[0].__setitem__(3, 99), "node %3: its kind is none of the"),
    "kind one past the end": (lambda t: t._table[0].__setitem__(3, len(t.kinds)), "node %3: its kind is none of the"),
    "index past the end": (lambda t: t._table[2].__setitem__(4, 4), "node %4 .*it reads rows 4 to 4 of 4"),
    "index before": (lambda t: t._table[2].__setitem__(4, -1), "node %4 .*it reads rows -1 to -1 of 4"),
    "window past the end": (lambda t: t._table[2].__setitem__(8, 2), r"node %8 .*it reads rows 2 to 2 of 2"),
    "window too long": (lambda t: t._table[1].__setitem__(8, 3), r"node %8 .*it reads rows 1 to 3 of 2"),
    "integers": (lambda t: edge(t, 11, 6), "node %11 .*sum needs floating point, got integers"),
    "float index": (lambda t: edge(t, 7, 4, 1), "node %7 .*take needs integer indices"),
    "expand": (lambda t: put(t, 9, tail=(3,)), r"node %9 .*\(1, 2\) does not broadcast to \(5, 3\)"),
    "attributes": (lambda t: put(t, 10, attrs=()), r"node %10 .*it lacks the attributes \['k', 'c'\]"),
    "odd attributes": (lambda t: put(t, 11, attrs=(("axes", None),)), "node %11 .*the shape rule of sum cannot read"),
    "attribute pairs": (lambda t: put(t, 11, attrs=(1, 2)), "node %11 .*are no .name, value. pairs"),
    "parameter number": (lambda t: t._table[2].__setitem__(1, 5), "node %1 .*it stands for parameter 5 of 1"),
    "parameter shape": (
        lambda t: t.parameters.__setitem__(0, ts.Parameter(np.ones((3, 5)))),
        r"node %1 .*a leaf of float64 \(3, 2\)",
    ),
    "parameter table": (lambda t: t._parameter_nodes.clear(), "node %1 .*the table of parameters has .* at node None"),
    "parameter without leaf": (
        lambda t: t.parameters.append(ts.Parameter(np.ones(2), "lost")),
        r"the tape lists Parameter\(lost, .*no leaf",
    ),
    "arity": (lambda t: put(t, 2, op="tanh"), r"node %2 .*tanh takes 1 inputs, it has 2"),
    "no inputs": (lambda t: t._ptr.__setitem__(slice(3, 5), 3), r"node %"),
    "pointers": (lambda t: t._ptr.__setitem__(slice(1, None), t._ptr[1:] + 1), "input pointers|inputs"),
}


def test_a_good_tape_passes() -> None:
    ts.verify(example())
    ts.verify(Tape())


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_tape_is_refused_at_its_first_bad_node(what: str) -> None:
    tape = example()
    damage, words = BROKEN[what]
    damage(tape)
    with pytest.raises(TapeError) as caught:
        ts.verify(tape)
    assert re.search(words, str(caught.value)), str(caught.value)


def test_the_first_of_several_bad_nodes_is_named() -> None:
    tape = example()
    put(tape, 7, op="gone")
    edge(tape, 3, 3)
    put(tape, 10, attrs=())
    with pytest.raises(TapeError, match="at node %3 "):
        ts.verify(tape)


def test_cell_and_step_of_a_bad_node_are_named() -> None:
    with Tape() as tape:
        ts.unfold(
            lambda x, h: ((n := ts.tanh(h + x).named("h")), n), ts.Chain(50), np.ones((50, 2)), np.ones(2), name="net"
        )
    tape.flush()
    bad = next(n.index for n in tape.nodes() if n.op == "tanh" and n.step == 17)
    tape._table[1, bad] = 3
    with pytest.raises(TapeError, match=rf"node %{bad} \(tanh 'h' of net\[17\], recorded at .*test_verify.py:\d+\)"):
        ts.verify(tape)


def test_one_bad_node_among_a_million_is_found() -> None:
    """Damage in the middle of many equal nodes: a check by samples would miss it."""
    n = 1_000_000
    tape = Tape()
    tape.append("input", (), (3,), FLOAT64)
    kind = tape.kind_id(Kind("tanh", (), (), FLOAT64, "", "", ("", 0)))
    zeros, ones = np.zeros(n, np.int64), np.ones(n, np.int64)
    tape.extend(np.full(n, kind), np.full(n, 3), zeros, zeros, ones, np.arange(n))
    ts.verify(tape)
    tape._table[1, 765_432] = 4
    with pytest.raises(TapeError, match="at node %765432 "):
        ts.verify(tape)
    tape._table[1, 765_432] = 3
    edge(tape, 999_999, 5)  # earlier, same shape: still a tape
    ts.verify(tape)


def test_many_inputs_and_many_arities() -> None:
    with Tape() as tape:
        rows = [ts.tensor(np.full(2, float(i))) for i in range(40)]
        for n in range(1, 40):
            ts.stack(rows[:n])
            ts.concatenate(rows[:n])
        ts.stack(rows[::-1])
        ts.concatenate([rows[0], ts.tensor([1.0, 2.0, 3.0], dtype=np.float64)])
    ts.verify(tape)
    last = len(tape) - 3
    assert tape.node(last).op == "stack"
    edge(tape, last, len(tape) - 2, 17)
    with pytest.raises(TapeError, match=rf"node %{last} "):
        ts.verify(tape)


def test_leaves_of_every_dtype() -> None:
    tape = Tape()
    for code in (FLOAT32, FLOAT64, INT64):
        for shape in ((), (0,), (2, 3), (0, 3), (3, 0)):
            tape.append("input", (), shape, code)
    ts.verify(tape)
