"""Programs that share a memory: what one leaves there is nothing to another, and nobody waits for anybody."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.machine import program
from tinyseq.engine.machine.memory import Lent, Memory, held
from tinyseq.engine.plan_cache import CACHE

H = 5
rng = np.random.default_rng(4)
W, U = ts.Parameter(rng.normal(size=(H, H)) * 0.4, "W"), ts.Parameter(rng.normal(size=(H, H)) * 0.4, "U")


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> Lent:
    """Programs that share a memory of this test's own."""
    lent = Lent()
    monkeypatch.setattr(program, "LENT", lent)
    return lent


def loss(x: ts.Tensor) -> ts.Tensor:
    """Constants (the first state) and states of all steps lie in the memory."""

    def step(x_t: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
        h = ts.tanh(x_t @ U + h @ W)
        return h, h

    return ts.sum(ts.unfold(step, ts.Chain(x.shape[0]), x, ts.zeros((2, H), "float64") + 0.3).outputs)


def by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss and ∂L/∂W by a loop over time and back."""
    hs = [np.full((2, H), 0.3)]
    for x_t in x:
        hs.append(np.tanh(x_t @ U.value + hs[-1] @ W.value))
    grad, later = np.zeros_like(W.value), np.zeros((2, H))
    for before, h in zip(hs[-2::-1], hs[:0:-1], strict=True):
        a = (1 + later) * (1 - h * h)
        grad += before.T @ a
        later = a @ W.value.T
    return sum(h.sum() for h in hs[1:]), grad


def assert_right(run: ts.CompiledFunction, x: np.ndarray) -> None:
    value, grad = by_hand(x)
    np.testing.assert_allclose(run.backward(x), value, rtol=1e-11)
    np.testing.assert_allclose(W.grad, grad, rtol=1e-11)


def sequence(T: int) -> np.ndarray:
    return np.random.default_rng(T).normal(size=(T, 2, H))


def memories(run: ts.CompiledFunction) -> set[int]:
    return {id(v.program(True).memory) for v in run.versions()}


def test_structures_that_take_turns_share_a_memory_and_give_their_own_numbers() -> None:
    run = ts.compile(loss)
    for T in (20, 7, 20, 3, 7, 19, 20):
        assert_right(run, sequence(T))
    assert len(run.versions()) == 4 and len(memories(run)) == 1
    version = run.last
    assert version is not None and version.program(True).memory.lock.acquire(blocking=False)
    version.program(True).memory.lock.release()


def test_longer_and_longer_sequences_take_few_memories() -> None:
    run = ts.compile(loss)
    for T in range(10, 30):
        assert_right(run, sequence(T))
    assert len(memories(run)) <= 4


def test_a_memory_goes_with_its_last_program(shared: Lent) -> None:
    run = ts.compile(loss)
    assert_right(run, sequence(6))
    CACHE.clear()
    kept = shared.memory(1)
    assert kept is next(iter(run.versions())).program(True).memory
    del kept, run
    lent = Lent()
    first = lent.memory(100)
    assert lent.memory(50) is first and lent.memory(101) is not first
    del first
    assert lent.memory(50).bytes.nbytes == 50


def test_who_finds_the_memory_held_moves_on() -> None:
    """By another thread in the middle of a run, or by the run that a signal handler interrupts."""
    run = ts.compile(loss)
    assert_right(run, sequence(8))
    assert_right(run, sequence(9))
    program = run.program(sequence(9))
    shared = program.memory
    with held(shared) as mine:
        assert mine
        shared.bytes[:] = 255  # as if somebody were writing
        written = shared.bytes.copy()
        assert_right(run, sequence(9))
        np.testing.assert_array_equal(shared.bytes, written)
    assert program.memory is not shared
    assert_right(run, sequence(9))
    assert_right(run, sequence(8))


def test_a_memory_that_nobody_lets_go_of_is_left_behind(shared: Lent) -> None:
    """As after an interrupt between taking its lock and the block that would let go of it."""
    run = ts.compile(loss)
    assert_right(run, sequence(8))
    left = run.program(sequence(8)).memory
    assert left.lock.acquire(blocking=False)
    for T in (9, 8, 10, 8, 9):
        assert_right(run, sequence(T))
    assert id(left) not in memories(run)
    assert len(memories(run)) == 2  # program 8 has moved out, the others share
    assert shared.memory(1) is run.program(sequence(10)).memory


def test_an_exception_lets_go_of_the_memory() -> None:
    memory = Memory(10)
    with pytest.raises(KeyError), held(memory):
        raise KeyError
    with held(memory) as mine:
        assert mine


def test_threads_run_functions_made_elsewhere() -> None:
    runs = [ts.compile(loss) for _ in range(3)]
    lengths = [11, 12, 13]
    for run, T in zip(runs, lengths, strict=True):
        run(sequence(T))
    wrong: list[BaseException] = []

    def work(run: ts.CompiledFunction, T: int) -> None:
        try:
            for _ in range(50):
                np.testing.assert_allclose(run(sequence(T)), by_hand(sequence(T))[0], rtol=1e-11)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=given) for given in zip(runs, lengths, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_value_left_in_the_memory_may_be_the_input_of_another_structure() -> None:
    run = ts.compile(lambda x: (ts.sum(x @ W), ts.tanh(x @ W)))
    x = rng.normal(size=(6, H))
    run.backward(x)
    assert run.last is not None
    left = run.last.program(True).value(run.last.nodes[1])
    expected = (np.tanh(x @ W.value)[:4] @ W.value).sum()
    np.testing.assert_allclose(run.backward(left[:4])[0], expected, rtol=1e-11)
