"""tinyseq's own form of every row computes what the equations say and what PyTorch computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tinyseq as ts
from tests.bench.oracle import assert_like_torch, assert_right, kinds, small
from tinyseq.bench.contestants import our_trainer, ours
from tinyseq.bench.contestants.peers import trainers
from tinyseq.bench.problems.forest import random_forest
from tinyseq.bench.problems.problems import ROWS, Problem, problem
from tinyseq.bench.problems.training import TRAINING

TINY_TRAINING = replace(TRAINING, embedding=5, hidden=7, steps=6, batch=3)


@pytest.mark.parametrize("row", kinds(), ids=lambda row: row.row)
def test_ours_runs_the_equations(row: Problem) -> None:
    tiny = small(row)
    found = {name: way() for name, way in ours.variants(tiny).items()}
    assert_right(tiny, found | {"reference": ours.reference(tiny)})
    pytest.importorskip("torch")
    assert_like_torch(tiny, found)


def test_a_second_run_gives_the_same_gradients() -> None:
    for row in (ROWS[0], problem("recorded loop rnn 32,64,100,1")):
        (way,) = ours.variants(small(row)).values()
        first = way()
        way.run()
        again = way()
        assert again[0] == first[0]
        for key, grad in first[1].items():
            np.testing.assert_array_equal(again[1][key], grad)


def test_the_recorded_row_records_at_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tapes = []
    enter = ts.Tape.__enter__
    monkeypatch.setattr(ts.Tape, "__enter__", lambda tape: tapes.append(tape) or enter(tape))
    (way,) = ours.variants(small(problem("recorded loop rnn 32,64,100,1"))).values()
    way.run()
    way.run()
    assert len(tapes) == 2
    (compiled,) = ours.variants(small(ROWS[0])).values()
    compiled.run()
    compiled.run()
    assert len(tapes) == 3


def test_forest_keeps_leaves_children_and_roots() -> None:
    given = random_forest(np.random.default_rng(8), 5, (1, 9), False)
    words = [str(leaf) for leaf in range(given.leaves)]
    for left, right in zip(given.left, given.right, strict=True):
        words.append(f"({words[left]} {words[right]})")
    found = ours.forest(given)
    ours_words: list[str] = []
    for position in range(len(found)):
        below = found.children_of(position)
        ours_words.append("({} {})".format(*[ours_words[c] for c in below]) if below else str(found.labels[position]))
    assert [ours_words[root] for root in found.roots] == [words[root] for root in given.roots]


def test_preparing_counts_what_is_recorded() -> None:
    tiny = small(ROWS[0])
    (way,) = ours.variants(tiny).values()
    short = way.prepare()
    (way,) = ours.variants(replace(tiny, steps=2 * tiny.steps)).values()
    long = way.prepare()
    assert short.fallback == long.fallback == ""
    per_step = (long.nodes - short.nodes) / tiny.steps
    # window or index of x and y, two products, their sums with the bias, tanh; product, bias, cross-entropy
    assert 9 <= per_step <= 14
    assert min(short.record_seconds, short.plan_seconds) > 0


def test_training_takes_the_steps_of_the_reference_executor_and_of_torch() -> None:
    """As in `test_peers`: Adam makes a rounding error in a gradient of about zero a whole step."""
    start = TINY_TRAINING.params()
    (way,) = our_trainer.trainers(TINY_TRAINING).values()
    loss, params = way()
    others = {"reference": our_trainer.reference(TINY_TRAINING)}
    others |= {name: other() for name, other in trainers(TINY_TRAINING).items()}
    assert params.keys() == start.keys()
    for name, (other_loss, other) in others.items():
        assert loss == pytest.approx(other_loss, rel=1e-5), name
        for key, value in other.items():
            walked = np.abs(value - start[key]).mean()
            assert walked > 1e-5 and np.abs(value - params[key]).mean() < 1e-2 * walked, (name, key)


def test_training_goes_on_from_call_to_call() -> None:
    (way,) = our_trainer.trainers(TINY_TRAINING).values()
    losses = [way.run() for _ in range(TINY_TRAINING.batches * 20)]
    assert losses[-1] < 0.98 * losses[0]
