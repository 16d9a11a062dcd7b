"""Every peer variant computes the same loss and gradients; the loss itself is checked against a naive twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.bench.oracle import assert_like_torch, assert_right, kinds, small
from tinyseq.bench.contestants.peers import trainers, variants
from tinyseq.bench.problems.problems import ROWS, Problem, problem
from tinyseq.bench.problems.training import TRAINING
from tinyseq.errors import DataError


@pytest.mark.parametrize("peer", ["torch", "jax", "autograd", "mygrad", "numpy"])
@pytest.mark.parametrize("row", kinds(), ids=lambda row: row.row)
def test_peer_runs_the_equations(row: Problem, peer: str) -> None:
    pytest.importorskip(peer)
    found = {name: way() for name, way in variants(small(row), [peer]).items()}
    if not found:
        pytest.skip(f"{peer} has no variant of this row")
    assert_right(small(row), found)
    pytest.importorskip("torch")
    assert_like_torch(small(row), found)


@pytest.mark.parametrize("peer", ["torch", "jax"])
def test_sequences_of_the_same_length_keep_their_targets(peer: str) -> None:
    """Sorts that are not stable show only where many lengths are equal."""
    pytest.importorskip(peer)
    row = replace(small(problem("lstm lengths 5-100 32,64,64 sequences")), batch=64)
    assert_right(row, {name: way() for name, way in variants(row, [peer]).items()})


@pytest.mark.parametrize("peer, expected", [("torch", "torch nn, 2 thr"), ("jax", "jax jit packed scan")])
def test_peers_offer_their_best_form(peer: str, expected: str) -> None:
    pytest.importorskip(peer)
    assert expected in variants(problem("lstm 65,128,100,32"), [peer])


@pytest.mark.parametrize("peer", ["autograd", "mygrad", "jax"])
def test_rows_a_peer_cannot_enter_are_left_out(peer: str) -> None:
    pytest.importorskip(peer)
    row = "recorded loop rnn 32,64,100,1" if peer == "jax" else "lstm 65,128,100,32"
    assert variants(problem(row), [peer]) == {}


def test_two_runs_do_not_accumulate() -> None:
    for peer in ("torch", "mygrad"):
        pytest.importorskip(peer)
        for way in variants(small(ROWS[0]), [peer]).values():
            first = way()[1]
            way.run()
            second = way()[1]
            for key, grad in first.items():
                np.testing.assert_array_equal(second[key], grad)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_torch_compile_runs_the_equations() -> None:
    pytest.importorskip("torch")
    row = small(problem("user: minimal gated unit 65,128,100,32"))
    found = {k: v() for k, v in variants(row, ["torch"], torch_compile=True).items() if "compiled" in k}
    if not found:
        pytest.skip("torch.compile needs a C++ compiler")
    assert_right(row, found)


def test_trainers_take_the_same_steps() -> None:
    """Adam divides by the size of the gradient, so a rounding error can turn the step of a weight whose gradient is
    about zero: the mean distance is bounded against the distance walked, not the largest."""
    for peer in ("torch", "jax"):
        pytest.importorskip(peer)
    training = replace(TRAINING, embedding=5, hidden=7, steps=6, batch=3)
    start = training.params()
    (loss, params), *others = [way() for way in trainers(training).values()]
    walked = {k: np.abs(params[k] - start[k]).mean() for k in start}
    assert all(distance > 1e-5 for distance in walked.values())
    for other_loss, other in others:
        assert other_loss == pytest.approx(loss, rel=1e-5)
        for key, value in other.items():
            assert np.abs(value - params[key]).mean() < 1e-2 * walked[key], key


def test_an_unknown_row_lists_the_rows() -> None:
    with pytest.raises(DataError, match="expected one of 'rnn 65,128,100,32'"):
        problem("rnn 1,2,3")
