"""Threads that share a run: woken, found waiting, asked from several Python threads, in a forked process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import leaves, poison
from tinyseq.engine.machine import workers
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.pipeline import plan_tape


def program(seed: int = 0, threads: int = 2) -> tuple[Program, ts.Tensor]:
    rng = np.random.default_rng(seed)
    net = ts.nn.RNN(5, 6, 5, rng=rng, dtype=np.float64)
    with ts.Tape(executor=ts.Reference) as tape:
        loss = net.loss(rng.normal(size=(20, 16, 5)), rng.integers(0, 5, (20, 16)))
    made = Program(plan_tape(tape, [loss.index], loss.index), threads)
    made.bind({i: tape.executor.value(i) for i in leaves(tape)})
    return made, loss


def result(made: Program, loss: ts.Tensor) -> np.ndarray:
    poison(made)
    made.run_together()
    grads = [g.ravel() for g in made.gradients().values()]
    return np.concatenate([made.value(loss.index).ravel(), *grads])


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_runs_at_once_after_pauses_and_after_sleep_are_alike(threads: int) -> None:
    made, loss = program(threads=threads)
    made.run_in_turn()
    expected = result(made, loss)
    for pause in [0.0] * 200 + [1e-4] * 20 + [2e-3] * 20 + [0.05] * 5:
        time.sleep(pause)
        np.testing.assert_array_equal(result(made, loss), expected)


def test_workers_sleep_when_nobody_asks() -> None:
    made, loss = program()
    result(made, loss)
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1
    result(made, loss)


def test_several_python_threads_may_run_programs() -> None:
    expected = [result(*program(seed)) for seed in range(4)]
    failures: list[str] = []

    def run(seed: int) -> None:
        mine = program(seed, threads=2 + seed % 2)
        for _ in range(50):
            if not np.allclose(result(*mine), expected[seed], rtol=1e-12, atol=0):
                failures.append(f"thread {seed}")

    runners = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(60)
    assert not failures
    assert not any(runner.is_alive() for runner in runners)


FORKS = """
import multiprocessing
import numpy as np
from tests.engine.machine.test_workers import program, result

def in_child(results):
    results.put(result(*program()))

expected = result(*program())
context = multiprocessing.get_context("fork")
results = context.Queue()
child = context.Process(target=in_child, args=(results,))
child.start()
np.testing.assert_array_equal(results.get(timeout=60), expected)
child.join(60)
assert child.exitcode == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_starts_workers_of_its_own() -> None:
    """Forked from a process of its own: in this one another test may have imported JAX, which warns of every fork."""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", FORKS], cwd=root, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr


def test_stopped_workers_end() -> None:
    pool = workers.Workers()
    made, loss = program()
    expected = result(made, loss)
    poison(made)
    pool.run(made._together[0])
    np.testing.assert_array_equal(made.value(loss.index), expected[0])
    pool.stop()
    deadline = time.monotonic() + 10
    while any(thread.is_alive() for thread in pool._crew.threads) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(thread.is_alive() for thread in pool._crew.threads)
