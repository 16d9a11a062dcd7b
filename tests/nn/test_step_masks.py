"""Masks by step hold the state; sequences of length 0 end in the initial one: beside loops, on both executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import DataError, ShapeError

pytestmark = pytest.mark.usefixtures("executor")
F64 = np.float64


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cell(kind: str) -> Any:
    options: dict[str, Any] = {"rng": rng(5), "dtype": F64}
    kinds: dict[str, Any] = {
        "rnn": lambda: nn.RNNCell(3, 4, **options),
        "lstm": lambda: nn.LSTMCell(3, 4, **options),
        "gru": lambda: nn.GRUCell(3, 4, **options),
        "deep transition": lambda: nn.DeepTransition(3, 4, **options),
        "stack of cells": lambda: nn.StackedCells([nn.GRUCell(3, 4, **options), nn.LSTMCell(4, 2, **options)]),
        "stack": lambda: nn.Stack([nn.GRUCell(3, 4, **options), nn.LSTMCell(4, 2, **options)]),
        "both ways": lambda: nn.Bidirectional(nn.GRUCell(3, 4, **options), nn.LSTMCell(3, 2, **options)),
    }
    return kinds[kind]()


KINDS = ["rnn", "lstm", "gru", "deep transition", "stack of cells", "stack", "both ways"]


def left_out(net: Any, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The features after the last step when the masked steps are not there at all."""
    with ts.Tape():
        return np.stack([net.encode(x[mask[:, b] > 0, b][:, None]).last.value[0] for b in range(x.shape[1])])


@pytest.mark.parametrize("kind", KINDS)
def test_held_steps_are_as_if_they_were_not_there(kind: str) -> None:
    net, x = cell(kind), rng().normal(size=(6, 3, 3))
    mask = (rng(1).random((6, 3)) < 0.6).astype(F64)
    mask[2] = 1
    with ts.Tape():
        encoded = net.encode(x, mask=mask)
        np.testing.assert_allclose(encoded.last.value, left_out(net, x, mask), rtol=1e-12, atol=1e-15)
        if kind != "both ways":  # a step that is held repeats the output of the one before
            out, (t, b) = encoded.outputs.value, np.argwhere(mask[1:] == 0)[0] + (1, 0)
            np.testing.assert_allclose(out[t, b], out[t - 1, b], rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_unequal_lengths_take_masks_too(kind: str) -> None:
    net, generator = cell(kind), rng(2)
    x = [generator.normal(size=(n, 3)) for n in (4, 1, 6)]
    masks = [np.array([1, 0, 1, 1.0]), np.array([1.0]), np.array([0, 1, 1, 0, 1, 0.0])]
    with ts.Tape():
        last = net.encode(x, mask=masks).last.value
        for i, (a, m) in enumerate(zip(x, masks, strict=True)):
            np.testing.assert_allclose(last[i], net.encode(a[m > 0][:, None]).last.value[0], rtol=1e-12, atol=1e-15)


def test_what_is_masked_gets_no_gradient_even_from_nan() -> None:
    net, x = nn.ManyToOne(cell("lstm"), 2, rng=rng(3)), rng().normal(size=(4, 2, 3))
    mask = np.array([[1, 1], [0, 1], [1, 0], [1, 1.0]])
    assert ts.gradcheck(lambda: net.loss(x, np.array([0, 1]), mask=mask), *net.parameters())
    P = ts.Parameter(x, "x")
    with ts.Tape():
        net.loss(P, np.array([0, 1]), mask=mask).backward()
    assert not P.grad[1, 0].any() and not P.grad[2, 1].any() and P.grad[1, 1].any()


def test_masks_under_compile_are_arguments() -> None:
    net, x = nn.ManyToOne(cell("gru"), 2, rng=rng(3)), rng().normal(size=(4, 2, 3))
    f = ts.compile(lambda x, y, mask: net.loss(x, y, mask=mask))
    for seed in (1, 2):
        mask = (rng(seed).random((4, 2)) < 0.5).astype(F64)
        with ts.Tape():
            assert f(x, np.array([0, 1]), mask) == pytest.approx(
                net.loss(x, np.array([0, 1]), mask=mask).item(), rel=1e-12
            )


def test_masks_that_do_not_fit() -> None:
    net, x = cell("rnn"), rng().normal(size=(4, 2, 3))
    with ts.Tape():
        with pytest.raises(DataError, match="a mask of steps holds 1 where the net reads, 0 where"):
            net.encode(x, mask=np.full((4, 2), 0.5))
        with pytest.raises(ShapeError, match="the mask needs a value for each step of x"):
            net.encode(x, mask=np.ones((3, 2)))
        with pytest.raises(ShapeError, match="one number for each step"):
            net.encode(x, mask=np.ones((4, 2, 3)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_of_length_0_ends_in_the_initial_state(kind: str) -> None:
    net, generator = cell(kind), rng(2)
    x = [generator.normal(size=(n, 3)) for n in (0, 4, 0, 2)]
    with ts.Tape():
        encoded = net.encode(x)
        empty = ts.zeros(encoded.last.shape[1], F64).value
        if kind == "deep transition":
            empty = net.hidden(net.initial_state(1)).value[0]
        for i, a in enumerate(x):
            wanted = net.encode(a[:, None]).last.value[0] if len(a) else empty
            np.testing.assert_allclose(encoded.last.value[i], wanted, rtol=1e-12, atol=1e-15)
        assert [len(a) for a in encoded.unpacked()] == [0, 4, 0, 2]


def test_a_given_initial_state_is_the_final_one_of_an_empty_sequence_and_gets_its_gradient() -> None:
    net = cell("lstm")
    h, s = (ts.Parameter(rng(k).normal(size=(3, 4)), n) for k, n in enumerate("hs"))
    x = [np.ones((2, 3)), np.zeros((0, 3)), np.ones((5, 3))]

    def loss() -> ts.Tensor:
        final = net.encode(x, state=(h, s)).final
        return ts.sum(final[0] ** 2) + ts.sum(final[1] ** 3)

    with ts.Tape():
        final = net.encode(x, state=(h, s)).final
        np.testing.assert_array_equal(final[0].value[1], h.value[1])
        np.testing.assert_array_equal(final[1].value[1], s.value[1])
    assert ts.gradcheck(loss, h, s, *net.parameters())


def test_losses_and_tokens_with_empty_sequences() -> None:
    net = nn.ManyToMany(nn.GRUCell(5, 4, rng=rng(), dtype=F64), 3, rng=rng(1))
    x, y = [np.array([1, 2]), np.array([], int), np.array([4])], [np.array([0, 1]), np.array([], int), np.array([2])]
    with ts.Tape():
        log_p = net.log_prob(x, y).value
        assert log_p[1] == 0
        for i in (0, 2):
            np.testing.assert_allclose(log_p[i], net.log_prob(x[i][:, None], y[i][:, None]).value[0], rtol=1e-12)
    f = ts.compile(net.loss)
    with ts.Tape():
        assert f.backward(nn.pack(x), nn.pack(y)) == pytest.approx(net.loss(x, y).item(), rel=1e-12)


def test_only_empty_sequences_are_no_batch() -> None:
    with ts.Tape(), pytest.raises(ShapeError, match="at least one step, got T = 0"):
        cell("rnn").encode([np.zeros((0, 3))] * 2)
