"""Children of a process whose threads were at work: they run, and get the right numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

BUSY = """
    import os, sys, threading, time, warnings
    import numpy as np
    import tinyseq as ts
    from tinyseq.engine import program
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forks beside threads
    program.wanted_threads = lambda plan: 2
    rng = np.random.default_rng(0)
    net = ts.nn.RNN(8, 16, 8, rng=rng, dtype=np.float64)
    x = rng.integers(0, 8, (60, 4))
    run = ts.compile(net.loss)
    def plain():
        with ts.Tape() as tape:
            loss = net.loss(ts.tensor(x), ts.tensor(x))
        loss.backward()
        return loss.item()
    expected, grad = float(run.backward(x, x)), net.W.grad.copy()
    assert abs(plain() - expected) < 1e-9
    ended = False
    def work(do):
        while not ended:
            do()
    threads = [threading.Thread(target=work, args=(do,), daemon=True) for do in (lambda: run.backward(x, x), plain)]
    for thread in threads:
        thread.start()
    def child():
        for _ in range(3):
            assert float(run.backward(x, x)) == expected
            assert np.array_equal(net.W.grad, grad)
            assert abs(plain() - expected) < 1e-9
        other = ts.compile(net.loss)
        assert float(other.backward(x[:7], x[:7])) > 0
"""


def run(code: str) -> str:
    """Run code beside busy threads, return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BUSY) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=240,
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_forked_children_run_while_threads_of_the_parent_do() -> None:
    found = run("""
        children = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    child()
                    status = 0
                finally:
                    os._exit(status)
            children.append(pid)
            time.sleep(0.003)
        deadline, good = time.monotonic() + 120, 0
        while children and time.monotonic() < deadline:
            for pid in list(children):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    children.remove(pid)
                    good += status == 0
            time.sleep(0.02)
        for pid in children:
            os.kill(pid, 9)
        print(good, "good", len(children), "hang")
        ended = True
    """)
    assert found.split() == ["20", "good", "0", "hang"]


def test_a_pool_of_forked_processes() -> None:
    found = run("""
        import multiprocessing
        def loss(k):
            return float(run.backward(x, np.roll(x, k, 0))), float(net.W.grad.sum())
        with multiprocessing.get_context("fork").Pool(3) as pool:
            results = pool.map_async(loss, range(12)).get(120)
        ended = True
        for thread in threads:
            thread.join()
        print(sum(np.allclose(found, loss(k), rtol=1e-12) for k, found in enumerate(results)))
    """)
    assert found.split() == ["12"]


def test_a_child_of_a_child() -> None:
    found = run("""
        pid = os.fork()
        if pid == 0:
            child()
            pid = os.fork()
            if pid == 0:
                child()
                os._exit(0)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        ended = True
    """)
    assert found.split() == ["0"]
