"""An exception at any line of a call: program, function and gradients are as they were, or are rebuilt."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.machine import program as programs
from tinyseq.engine.machine import workers

PACKAGE = str(Path(ts.__file__).parent)


def interrupted(call: Callable[[], Any], line: int, files: tuple[str, ...] = (PACKAGE,), ends: bool = False) -> bool:
    """Run a call, with a KeyboardInterrupt before the n-th line of tinyseq that it comes to; whether it came to it.

    ``files``: beginnings of the names of other files whose lines count; ``ends``: so do the ends of functions, after
    which what they return is lost.
    """
    left = [line]

    def watch(frame: Any, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(files):
            return None
        if event == "line" or (ends and event == "return"):
            left[0] -= 1
            if left[0] < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return watch

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # an interrupt where another test's tape dies would be ignored, as all are in __del__
    sys.settrace(watch)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return False


class Net:
    """A recurrence with several parameters, and what its loss and gradients are by the reference."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.W, self.b = ts.Parameter(rng.normal(size=(4, 4)), "W"), ts.Parameter(rng.normal(size=4), "b")
        self.E = ts.Parameter(rng.normal(size=(5, 4)), "E")
        self.inputs = [rng.integers(0, 5, (6, 3)) for _ in range(3)]
        self.expected = [self._expected(x) for x in self.inputs]

    def loss(self, x: Any) -> Any:
        def step(i: Any, h: Any) -> Any:
            h = ts.tanh(h @ self.W + ts.take(self.E, i) + self.b)
            return h, h

        return ts.sum(ts.unfold(step, ts.Chain(6), x, ts.zeros((3, 4), np.float64)).outputs ** 2.0)

    def grads(self) -> list[np.ndarray]:
        return [p.grad.copy() for p in (self.W, self.b, self.E)]

    def _expected(self, x: np.ndarray) -> tuple[float, list[np.ndarray]]:
        with ts.Tape(executor=ts.Reference):
            loss = self.loss(ts.tensor(x))
            loss.backward()
        return loss.item(), self.grads()

    def right(self, run: Any, which: int) -> None:
        """A call gives the right loss and gradients."""
        loss, grads = self.expected[which]
        np.testing.assert_allclose(run.backward(self.inputs[which]), loss, rtol=1e-11)
        for found, grad in zip(self.grads(), grads, strict=True):
            np.testing.assert_allclose(found, grad, rtol=1e-9, atol=1e-12)

    def grads_are_of_one_run(self, candidates: tuple[int, ...]) -> None:
        """The gradients are all those of one of some inputs."""
        found = self.grads()
        assert any(
            all(np.allclose(f, g, rtol=1e-9) for f, g in zip(found, self.expected[which][1], strict=True))
            for which in candidates
        )


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def net(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Net:
    monkeypatch.setattr(programs, "wanted_threads", lambda plan: request.param)
    return Net()


def test_a_replay_interrupted_at_any_line(net: Net) -> None:
    run = ts.compile(net.loss)
    net.right(run, 0)
    line, hit = 0, True
    while hit:
        net.right(run, 0)
        hit = interrupted(lambda: run.backward(net.inputs[1]), line)
        net.grads_are_of_one_run((0, 1))
        net.right(run, (1, 2)[line % 2])
        assert not ts.Tape.recording()
        line += 1
    assert line > 30


def test_a_first_bind_interrupted_at_any_line(net: Net) -> None:
    line, hit = 0, True
    while hit:
        run = ts.compile(net.loss)
        assert not isinstance(run.program(net.inputs[0]), str)
        hit = interrupted(lambda run=run: run.backward(net.inputs[0]), line)
        net.right(run, line % 3)
        net.right(run, (line + 1) % 3)
        line += 3 if line > 40 else 1
    assert line > 60


def test_a_second_interrupt_in_what_mends_the_first(net: Net) -> None:
    run = ts.compile(net.loss)
    for first in range(0, 60, 7):
        for second in range(0, 60, 5):
            interrupted(lambda: run.backward(net.inputs[1]), first)
            interrupted(lambda: run.backward(net.inputs[2]), second)
            net.right(run, 0)


@pytest.mark.parametrize("line", [*range(0, 400, 23), *range(400, 30_000, 1717)])
def test_recording_and_planning_interrupted(line: int) -> None:
    net = Net()
    run = ts.compile(net.loss)
    interrupted(lambda: run.backward(net.inputs[0]), line)
    while ts.Tape.recording():  # an interrupt between entering a tape and its block leaves the tape, as with any `with`
        ts.Tape.current().__exit__()
    for which in range(3):
        net.right(run, which)


def test_a_worker_whose_start_is_interrupted_is_not_waited_for() -> None:
    from tinyseq.engine.machine.workers import Workers
    from tinyseq.engine.plan.pipeline import plan_tape

    net = Net()
    with ts.Tape() as tape:
        loss = net.loss(ts.tensor(net.inputs[0]))
    program = programs.Program(plan_tape(tape, [loss.index], loss.index), 2)
    program.bind({**tape.executor.values, **{tape.node_of(p): p.value for p in tape.parameters}})
    line, hit = 0, True
    while hit:
        pool = Workers()
        hit = interrupted(lambda pool=pool: pool.run(program._together[0]), line)
        program.flags[0] = 0
        pool.run(program._together[0])
        np.testing.assert_allclose(program.value(loss.index), net.expected[0][0], rtol=1e-11)
        pool.stop()
        line += 1
        program.flags[0] = 0
    assert line > 8


def test_waking_a_worker_may_be_interrupted_anywhere_and_nobody_waits_for_ever() -> None:
    """Also inside of what wakes it: a lock that an interrupt leaves held would stop the worker and whoever wakes it."""
    from tinyseq.engine.machine.workers import Workers
    from tinyseq.engine.plan.pipeline import plan_tape

    net = Net()
    with ts.Tape() as tape:
        loss = net.loss(ts.tensor(net.inputs[0]))
    program = programs.Program(plan_tape(tape, [loss.index], loss.index), 2)
    program.bind({**tape.executor.values, **{tape.node_of(p): p.value for p in tape.parameters}})
    pool, done = Workers(), list[int]()

    def run() -> None:
        program.flags[0] = 0
        pool.run(program._together[0])

    def leader() -> None:
        run()  # in a thread: what hangs here must not hang the tests
        hit = True
        while hit:
            while int(pool._crew.rows[0][workers._AWAKE]):
                time.sleep(1e-3)
            hit = interrupted(run, len(done), (PACKAGE, threading.__file__), ends=True)
            other = threading.Thread(target=run, daemon=True)
            other.start()
            other.join(10)
            assert not other.is_alive(), f"after an interrupt at line {len(done)} no other thread can run"
            run()
            np.testing.assert_allclose(program.value(loss.index), net.expected[0][0], rtol=1e-11)
            done.append(1)
        pool.stop()
        done.append(0)

    thread = threading.Thread(target=leader, daemon=True)
    thread.start()
    thread.join(40)
    assert not thread.is_alive(), f"after an interrupt at line {len(done)} a worker is not woken any more"
    assert done[-1] == 0 and len(done) > 8


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_signals_at_any_moment_of_a_process() -> None:
    code = """
        import signal, sys
        import numpy as np
        import tinyseq as ts
        from tests.engine.machine.test_interrupted import Net
        net = Net()
        run = ts.compile(net.loss)
        net.right(run, 0)
        beside = ts.compile(net.loss)  # runs in the same memory, in turn
        def stop(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, stop)
        caught = 0
        for k in range(400):
            run = ts.compile(net.loss) if k % 40 == 0 else run
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + 3e-6 * (k % 97))
                while True:
                    run.backward(net.inputs[k % 2])
                    run.backward(net.inputs[2])
            except KeyboardInterrupt:
                caught += 1
            net.right(run, k % 3)
            net.right(beside, (k + 1) % 3)
        print("caught", caught)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[3])),
    )
    assert done.stdout.split() == ["caught", "400"], done.stderr[-2000:]
