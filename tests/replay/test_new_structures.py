"""Lengths, trees and numbers of steps that are new at each call: right numbers, bounded memory, recorded once each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.machine import memory, program
from tinyseq.engine.plan_cache import CACHE
from tinyseq.replay.recordings import Recorded
from tinyseq.replay.watch import Watch
from tinyseq.replay.watched_things import unwatched

H, V = 4, 3


class Cell(ts.nn.Cell):
    """A gated unit for chains, and a unit for trees, of the same parameters."""

    name = "unit"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.U = ts.Parameter(rng.normal(size=(V, H)) * 0.5, "U")
        self.W = ts.Parameter(rng.normal(size=(H, H)) * 0.5, "W")
        self.G = ts.Parameter(rng.normal(size=(H, H)) * 0.5, "G")

    def step(self, x: Any, h: Any) -> tuple[Any, Any]:
        g = ts.sigmoid(h @ self.G)
        h = g * h + (1 - g) * ts.tanh(x @ self.U + h @ self.W)
        return h, h

    def leaf(self, x: Any) -> Any:
        return ts.tanh(x @ self.U)

    def merge(self, left: Any, right: Any) -> Any:
        return ts.tanh(left @ self.W + right @ self.G)


cell = Cell()
PARAMETERS = (cell.U, cell.W, cell.G)


def lengths(chain: ts.Chain, x: Any) -> Any:
    net = ts.unfold(cell, chain, x, ts.zeros((len(chain.lengths), H), "float64"))
    return ts.sum(net.outputs * net.outputs) + ts.sum(net.final)


def trees(forest: ts.Forest, x: Any) -> Any:
    net = ts.unfold(cell, forest, x)
    return ts.sum(net.roots * net.roots)


def steps(x: Any) -> Any:
    net = ts.unfold(cell, ts.Chain(x.shape[0]), x, ts.zeros((x.shape[1], H), "float64"))
    return ts.sum(net.outputs * net.outputs) + ts.sum(net.final)


def loop(x: Any) -> Any:
    h, total = ts.zeros((x.shape[1], H), "float64"), None
    for t in range(x.shape[0]):
        h, out = cell.step(x[t], h)
        total = ts.sum(out * out) if total is None else total + ts.sum(out * out)
    return total


def new_lengths(rng: np.random.Generator) -> tuple:
    chain = ts.Chain(rng.integers(1, 12, rng.integers(2, 7)))
    return chain, rng.normal(size=(int(chain.lengths.sum()), V))


def new_trees(rng: np.random.Generator) -> tuple:
    grown = []
    for _ in range(rng.integers(1, 5)):
        children: list[list[int]] = [[] for _ in range(rng.integers(1, 9))]
        tops = list(range(len(children)))
        while len(tops) > 1:
            i = int(rng.integers(len(tops) - 1))
            children.append(tops[i : i + 2])
            tops[i : i + 2] = [len(children) - 1]
        grown.append(ts.Tree.from_children(children))
    forest = ts.Forest(grown)
    return forest, rng.normal(size=(forest.n_leaves, V))


def new_steps(rng: np.random.Generator) -> tuple:
    return (rng.normal(size=(int(rng.integers(2, 40)), int(rng.integers(1, 9)), V)),)


KINDS: dict[str, tuple[Callable[..., Any], Callable[[np.random.Generator], tuple]]] = {
    "lengths": (lengths, new_lengths),
    "trees": (trees, new_trees),
    "steps": (steps, new_steps),
    "loop": (loop, new_steps),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def on_tape(function: Callable[..., Any], given: tuple, executor: Any) -> tuple[float, list[np.ndarray]]:
    with ts.Tape(executor):
        value = function(*[ts.tensor(a) if isinstance(a, np.ndarray) else a for a in given])
        value.backward()
        return value.item(), [np.zeros(p.shape) if p.grad is None else p.grad.copy() for p in PARAMETERS]


@each_kind
def test_a_stream_of_structures_gives_what_the_reference_gives(kind: str) -> None:
    function, new = KINDS[kind]
    run, rng = ts.compile(function), np.random.default_rng(1)
    with pytest.warns(ts.errors.RecordingWarning, match="more than 32 kinds"):
        for number in range(60):
            given = new(rng)
            expected, grads = on_tape(function, given, ts.Reference)
            if number % 3:
                found = float(run.backward(*given)), [p.grad for p in PARAMETERS]
            else:
                found = on_tape(function, given, ts.Compiled)
            np.testing.assert_allclose(found[0], expected, rtol=1e-10)
            for p, mine, theirs in zip(PARAMETERS, found[1], grads, strict=True):
                mine = np.zeros(p.shape) if mine is None else mine
                np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12, err_msg=f"{p.name}, {number}")


@each_kind
def test_a_structure_is_recorded_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows from the structure alone, such as the order of its sequences, is no reason to try it twice."""
    function, new = KINDS[kind]
    recordings: list[int] = []
    record = Recorded.__init__
    monkeypatch.setattr(Recorded, "__init__", lambda made, *given: recordings.append(1) or record(made, *given))
    run, rng = ts.compile(function), np.random.default_rng(2)
    total = 0
    for number in range(5):
        given = new(rng)
        recordings.clear()
        run.backward(*given)
        run.backward(*given)
        assert len(recordings) <= 1, number
        total += len(recordings)
    assert total > 2


def test_an_array_of_the_function_s_own_is_still_tried_twice() -> None:
    count = [0]

    def noisy(chain: ts.Chain, x: Any) -> Any:
        count[0] += 1
        return lengths(chain, x) + ts.sum(ts.take(x, np.array([count[0] % 2])))

    with pytest.warns(ts.errors.RecordingWarning, match="anew at each call"):
        ts.compile(noisy).backward(*new_lengths(np.random.default_rng(3)))


@each_kind
def test_memory_of_a_stream_is_bounded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that are kept run in few arenas, however many structures there were."""
    monkeypatch.setattr(program, "LENT", memory.Lent())
    function, new = KINDS[kind]
    CACHE.clear()
    run, rng = ts.compile(function), np.random.default_rng(4)
    for _ in range(ts.keep_recordings()[0]):
        run.backward(*new(rng))
    versions = run.versions()
    assert len(versions) > 10
    memories = {id(m): m.bytes.nbytes for v in versions if not isinstance(m := v.program(True).memory, str)}
    largest = max(v.program(True).arena.nbytes for v in versions)
    assert len(memories) <= 8
    assert sum(memories.values()) <= 8 * (largest + (1 << 14))


class Scaled(Cell):
    """Its outputs scaled by an attribute that may change between calls."""

    scale = 1.0

    def step(self, x: Any, h: Any) -> tuple[Any, Any]:
        h, out = super().step(x, h)
        return h, out * self.scale


@pytest.mark.filterwarnings("ignore::tinyseq.errors.RecordingWarning")
def test_what_changes_is_noticed_by_the_recordings_of_all_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings of one function share what watches it; one made after a change sees the change, as do those from
    before."""
    unit, watches = Scaled(), []
    real = Watch.__init__
    monkeypatch.setattr(Watch, "__init__", lambda watch, *given: watches.append(1) or real(watch, *given))

    def loss(x: Any) -> Any:
        net = ts.unfold(unit, ts.Chain(x.shape[0]), x, ts.zeros((x.shape[1], H), "float64"))
        return ts.sum(net.outputs)

    def expected(x: np.ndarray) -> float:
        with ts.Tape(executor=ts.Reference):
            return loss(ts.tensor(x)).item()

    run, rng = ts.compile(loss), np.random.default_rng(3)
    batches = [rng.normal(size=(n, 2, V)) for n in range(2, 9)]
    for scale in (1.0, 3.0, 1.0, -2.0):
        unit.scale = scale
        for x in batches:
            np.testing.assert_allclose(run(x), expected(x), rtol=1e-12)
        batches.append(rng.normal(size=(len(batches) + 2, 2, V)))  # one more, first met with the next scale
    unit.scale = 5.0
    for x in reversed(batches):
        np.testing.assert_allclose(run(x), expected(x), rtol=1e-12)
    assert len(watches) < 2 * len(batches)


def test_a_watch_of_a_generator_serves_no_other_recording() -> None:
    """A drawn number makes a recording that each call makes anew; of another length too."""
    unit, rng = Cell(), np.random.default_rng(0)

    def loss(x: Any) -> Any:
        net = ts.unfold(unit, ts.Chain(x.shape[0]), x, ts.zeros((x.shape[1], H), "float64"))
        return ts.sum(net.outputs) * float(rng.normal())

    run = ts.compile(loss)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ts.errors.RecordingWarning)
        for n in (2, 3, 2, 4, 3):
            x = np.ones((n, 2, V))
            assert run(x) != run(x)


def test_what_a_watch_says_nothing_of() -> None:
    chain = ts.Chain(3)
    for thing in (np.ones(2), 3, "a", None, 2.5, chain, ts.Tree.balanced(4)):
        assert unwatched(thing)
        assert not Watch([thing]).mappings and not Watch([thing]).lists
    for thing in ([1], (1,), {"a": 1}, cell, Cell, len, np.random.default_rng(0), object()):
        assert not unwatched(thing)


def test_a_generator_that_somebody_else_draws_from_is_no_draw_of_a_new_length() -> None:
    rng = np.random.default_rng(0)

    def loss(x: Any) -> Any:
        scale = float(rng.normal()) if x.shape[1] > 2 else 2.0
        return steps(x) * scale

    run = ts.compile(loss)
    for n in (2, 3, 4, 2):
        run(np.ones((n, 2, V)))
        rng.normal()
    assert not run.last.fresh


def test_an_argument_is_watched_for_the_recordings_that_have_it() -> None:
    class Settings:
        scale = 2.0

    settings = Settings()

    def loss(x: Any, own: Any) -> Any:
        return steps(x) * (own.scale if own is not None else 1.0)

    run, x = ts.compile(loss), np.ones((3, 2, V))
    run(x, settings)
    run(x, None)
    watch = run.last.watch
    settings.scale = 3.0
    run(x, None)
    assert run.last.watch is watch and watch.holds()
    assert run(x, settings) == pytest.approx(3 * run(x, None))
