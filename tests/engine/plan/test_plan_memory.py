"""Recording and planning long tapes: little memory for a node, and the same tape and plan in pieces of any size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.fold import fold
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.tape import columns
from tinyseq.unfolding import stamping

LENGTHS = [7, 3, 5, 5]


def chain(T: int) -> ts.Tensor:
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(3, 4, 3, rng=rng)
    with ts.Tape(ts.Compiled):
        return net.loss(rng.normal(size=(T, 1, 3)).astype(np.float32), rng.integers(0, 3, (T, 1)))


def ragged() -> ts.Tensor:
    rng = np.random.default_rng(0)
    cell, structure = ts.nn.LSTM(3, 4, 3, rng=rng).cell, ts.Chain(LENGTHS)
    with ts.Tape(ts.Compiled):
        x = ts.tensor(rng.normal(size=(sum(LENGTHS), 3)).astype(np.float32))
        state = (ts.zeros((len(LENGTHS), 4)), ts.zeros((len(LENGTHS), 4)))
        return ts.sum(ts.unfold(cell, structure, x, state).outputs)


def forest() -> ts.Tensor:
    rng = np.random.default_rng(0)
    net = ts.nn.RecursiveNet(3, 4, 3, rng=rng)
    trees = ts.Forest([ts.Tree.balanced(9), ts.Tree.chain(5), ts.Tree.balanced(4)])
    with ts.Tape(ts.Compiled):
        return net.loss(trees, ts.tensor(rng.normal(size=(18, 3)).astype(np.float32)), rng.integers(0, 3, 3))


def loop() -> ts.Tensor:
    rng = np.random.default_rng(0)
    w = ts.Parameter(rng.normal(size=(3, 3)).astype(np.float32), "W")
    with ts.Tape(ts.Compiled):
        h, x = ts.zeros((1, 3)), ts.tensor(rng.normal(size=(20, 1, 3)).astype(np.float32))
        states = []
        for _, x_t in ts.steps(x):
            h = ts.tanh(x_t + h @ w)
            states.append(h)
        return ts.sum(ts.stack(states))


def described(loss: ts.Tensor) -> list:
    """What a tape was folded to."""
    found: list = []
    for cls in fold(loss.tape).classes:
        refs = [
            (type(r), r.source, r.shift, r.start, *(None if a is None else a.tolist() for a in (r.classes, r.numbers)))
            for r in cls.refs
        ]
        found.append((cls.op, cls.cell, cls.nodes.tolist(), cls.rows.tolist(), cls.args.tolist(), refs))
    return found


@pytest.mark.parametrize("record", [lambda: chain(30), ragged, forest, loop])
@pytest.mark.parametrize("wide", [False, True])
def test_instances_are_written_by_machine_code_as_by_python(record, wide: bool, monkeypatch) -> None:
    """Into columns of 32 bits, and of 64."""
    narrow = record()
    expected = described(narrow)
    if wide:
        monkeypatch.setattr(columns, "NARROW", 3)
    by_machine = record()
    assert by_machine.tape.same_graph(narrow.tape) and by_machine.tape.rows.dtype == (np.int64 if wide else np.int32)
    monkeypatch.setattr(stamping, "write_instances", stamping.write_instances.py_func)
    by_python = record()
    assert by_python.tape.same_graph(narrow.tape)
    assert described(by_machine) == described(by_python) == expected


def test_a_finished_plan_still_gives_every_wanted_value() -> None:
    loss = chain(1500)
    tape = loss.tape
    states = [n.index for n in tape.nodes() if n.op == "tanh"]
    wanted = [loss.index, states[3], states[-1]]
    program = Program(plan_tape(tape, wanted, loss.index))
    leaves = [n.index for n in tape.nodes() if n.op in ("input", "parameter")]
    program.bind({i: tape.executor.reference.value(i) for i in leaves})
    program.run()
    for node in wanted:
        np.testing.assert_allclose(program.value(node), tape.executor.reference.value(node), rtol=1e-5)


def test_a_node_of_a_long_tape_takes_few_bytes() -> None:
    plan_tape((short := chain(20)).tape, [short.index], short.index)  # what is made once
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        loss = chain(20_000)
        recorded, peak = tracemalloc.get_traced_memory()
        nodes = len(loss.tape)
        assert nodes > 200_000
        assert (recorded - before) / nodes < 40 and (peak - before) / nodes < 64
        tracemalloc.reset_peak()
        plan = plan_tape(loss.tape, [loss.index], loss.index)
        kept, peak = tracemalloc.get_traced_memory()
        assert plan.blocks
        assert (kept - recorded) / nodes < 4 and (peak - recorded) / nodes < 32
    finally:
        tracemalloc.stop()
