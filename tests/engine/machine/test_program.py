"""A program: where it lies in memory, what it may be given, what stays the same between runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import compare as compare_results
from tests.engine.agreement import leaves, names_of, poison, reference, results_of
from tinyseq.engine.machine.pacing import Pace
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.pipeline import Plan, plan_tape
from tinyseq.engine.plan.sharing import wanted_threads
from tinyseq.errors import DataError


def recorded(T: int = 8, B: int = 4, tokens: bool = False) -> tuple[ts.Tape, ts.Tensor]:
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(5, 6, 5, rng=rng, dtype=np.float64)
    x = rng.integers(0, 5, (T, B)) if tokens else rng.normal(size=(T, B, 5))
    with ts.Tape(executor=ts.Reference) as tape:
        loss = net.loss(x, rng.integers(0, 5, (T, B)))
    return tape, loss


def made(tape: ts.Tape, loss: ts.Tensor, threads: int = 1) -> Program:
    program = Program(plan_tape(tape, [loss.index], loss.index), threads)
    program.bind({i: tape.executor.value(i) for i in leaves(tape)})
    return program


def check(program: Program, tape: ts.Tape, loss: ts.Tensor) -> None:
    expected = reference(tape, [loss.index], loss.index)
    compare_results(results_of(program, [loss.index], loss.index, tape), expected, 1e-11, names_of(tape))


def test_runs_give_the_same_bits_for_a_number_of_threads_and_agree_between_them() -> None:
    tape, loss = recorded(B=16)
    seen = {}
    for threads in (1, 2, 3, 4):
        program = made(tape, loss, threads)
        runs = []
        for _ in range(5):
            poison(program)
            program.run()
            check(program, tape, loss)
            runs.append(np.concatenate([g.ravel() for g in program.gradients().values()]).copy())
        assert all(np.array_equal(run, runs[0]) for run in runs)
        seen[threads] = runs[0]
    for threads in (2, 3, 4):
        np.testing.assert_allclose(seen[threads], seen[1], rtol=1e-12)


def test_leaves_may_move_between_runs() -> None:
    tape, loss = recorded()
    program = made(tape, loss)
    for copy in range(3):
        values = {i: tape.executor.value(i).copy() for i in leaves(tape)}
        values[0] = np.concatenate([np.zeros(copy * 7), values[0].ravel()])[copy * 7 :].reshape(values[0].shape)
        program.bind(values)
        poison(program)
        program.run()
        check(program, tape, loss)


def test_what_is_bound_is_read_where_it_lies() -> None:
    tape, loss = recorded()
    program = made(tape, loss)
    values = {i: tape.executor.value(i).copy() for i in leaves(tape)}
    program.bind(values)
    program.run()
    before = float(program.value(loss.index))
    values[0][...] = 0
    program.run()
    assert float(program.value(loss.index)) != before


def test_indices_are_checked_whenever_they_are_bound() -> None:
    tape, loss = recorded(tokens=True)
    program = made(tape, loss)
    integers = [i for i in leaves(tape) if tape.executor.value(i).dtype == np.int64]
    assert len(integers) == 2
    for node in integers:
        for wrong in (-1, 5, 1 << 50):
            values = {i: tape.executor.value(i).copy() for i in leaves(tape)}
            values[node][3, 1] = wrong
            with pytest.raises(DataError, match=str(wrong)):
                program.bind(values)
    program.bind({i: tape.executor.value(i) for i in leaves(tape)})
    program.run()
    check(program, tape, loss)


def test_a_program_keeps_what_it_reads_alive() -> None:
    tape, loss = recorded()
    program = made(tape, loss)
    program.bind({i: tape.executor.value(i).copy() for i in leaves(tape)})
    rubbish = [np.full((8, 4, 5), np.nan) for _ in range(200)]
    program.run()
    assert np.isfinite(program.value(loss.index))
    del rubbish


def test_memory_is_reused_and_grows_with_the_steps_only_where_it_must() -> None:
    plans: list[Plan] = []
    for T in (100, 200):
        tape, loss = recorded(T)
        plans.append(plan_tape(tape, [loss.index], loss.index))
    assert all(plan.arena < 0.8 * plan.without_reuse for plan in plans)
    assert plans[1].arena < 2.1 * plans[0].arena
    tape, loss = recorded(200)
    values_only = plan_tape(tape, [loss.index])
    assert values_only.arena < 0.7 * plans[1].arena


def test_plans_have_as_many_blocks_for_any_number_of_steps() -> None:
    sizes = set()
    for T in (20, 400):
        tape, loss = recorded(T)
        plan = plan_tape(tape, [loss.index], loss.index)
        sizes.add((len(plan.blocks), sum(len(block.instructions) for block in plan.blocks)))
    assert len(sizes) == 1


def test_little_work_takes_one_thread() -> None:
    tape, loss = recorded(2, 1)
    assert wanted_threads(plan_tape(tape, [loss.index], loss.index)) == 1


def test_not_a_number_passes_through() -> None:
    tape, loss = recorded()
    program = made(tape, loss)
    values = {i: tape.executor.value(i).copy() for i in leaves(tape)}
    values[0][2, 1, 3] = np.nan
    program.bind(values)
    program.run()
    assert np.isnan(program.value(loss.index))
    assert all(np.isnan(g).any() for g in program.gradients().values())


def paced(pace: Pace, costs: Callable[[int], tuple[float, float]], runs: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the two was run each time, on a clock of our own: "t" together, "a" alone."""
    clock, chosen = [0.0], []

    def take(name: str, seconds: float) -> None:
        chosen.append(name)
        clock[0] += seconds

    monkeypatch.setattr("tinyseq.engine.machine.pacing.time.perf_counter", lambda: clock[0])
    for k in range(runs):
        together, alone = costs(k)
        pace.run(partial(take, "t", together), partial(take, "a", alone), lambda: None)
    return "".join(chosen)


def test_threads_run_together_where_that_is_faster_and_seldom_try_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = paced(Pace(), lambda k: (1.0, 2.0), 1000, monkeypatch)
    assert 5 <= chosen.count("a") <= 20


def test_single_slow_runs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that is away for a moment now and then is no reason to do without it."""
    chosen = paced(Pace(), lambda k: (5.0 if k % 7 < 2 else 1.0, 2.0), 1000, monkeypatch)
    assert chosen.count("a") <= 25


def test_a_held_processor_makes_runs_alone_until_it_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = paced(Pace(), lambda k: (50.0 if 100 <= k < 300 else 1.0, 2.0), 500, monkeypatch)
    assert chosen[100:300].count("t") <= 30, "each costs fifty"
    assert "a" not in chosen[340:345] and chosen[340:].count("t") > 150


def test_what_running_alone_needs_is_not_its_time_and_twice_the_work_may_take_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, chosen, pace = [0.0], [], Pace()

    def take(name: str, seconds: float) -> None:
        chosen.append(name)
        clock[0] += seconds

    monkeypatch.setattr("tinyseq.engine.machine.pacing.time.perf_counter", lambda: clock[0])
    for k in range(300):
        work = (1.0, 40.0)[k % 7 < 3]
        pace.run(
            partial(take, "t", 3 * work), partial(take, "a", 1 * work), partial(take, "ready", 1000.0), work
        )  # alone is the faster one, whatever it takes to make it ready
    assert chosen.count("a") > 250
