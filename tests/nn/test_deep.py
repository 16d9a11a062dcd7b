"""Deep recurrent nets: equations, gradients, lengths of paths, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.diagnose.path_length import path_length
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
F, H = 3, 4


def cells(rng: np.random.Generator, *sizes: int, kind: Any = nn.RNNCell) -> list[Any]:
    return [kind(a, b, rng=rng, dtype=np.float64) for a, b in zip((F, *sizes), sizes, strict=False)]


def test_stacked_states_are_layer_upon_layer(rng: np.random.Generator) -> None:
    """A stack as one cell, and layer after layer over the whole sequence, are the same function."""
    one, two = cells(rng, H, 5, kind=nn.LSTMCell)
    x = [rng.standard_normal((n, F)) for n in (2, 5, 4)]
    for encoder in (nn.StackedCells([one, two]), nn.Stack([one, two])):
        twins.randomise(encoder, np.random.default_rng(1))
        with Tape():
            encoded = encoder.encode(x)
            ours, last = encoded.unpacked(), encoded.last.value
        for b, xs in enumerate(x):
            wanted, _ = twins.run(two, twins.run(one, xs)[0])
            np.testing.assert_allclose(ours[b], wanted, rtol=1e-12)
            np.testing.assert_allclose(last[b], wanted[-1], rtol=1e-12)
        report = ts.gradcheck(lambda encoder=encoder: encoder.encode(x).outputs, *encoder.parameters())
        assert report, report


def test_skips_lead_from_the_input_to_each_layer_and_from_each_to_the_output(rng: np.random.Generator) -> None:
    one, two = nn.RNNCell(F, H, rng=rng, dtype=np.float64), nn.RNNCell(H + F, 5, rng=rng, dtype=np.float64)
    stack = twins.randomise(nn.StackedCells([one, two], skip=True), rng)
    x = rng.standard_normal((4, 1, F))
    with Tape():
        encoded = stack.encode(x)
        below = twins.run(one, x[:, 0])[0]
        above = twins.run(two, np.concatenate([below, x[:, 0]], axis=1))[0]
        np.testing.assert_allclose(encoded.outputs.value[:, 0], np.concatenate([below, above], axis=1), rtol=1e-12)
        np.testing.assert_allclose(encoded.last.value[0], np.concatenate([below[-1], above[-1]]), rtol=1e-12)
    report = ts.gradcheck(lambda: stack.encode(x).outputs, *stack.parameters())
    assert report, report


@pytest.mark.parametrize("skip", [False, True])
def test_deep_transition(rng: np.random.Generator, skip: bool) -> None:
    cell = nn.DeepTransition(F, H, mlp_size=5, skip=skip, rng=rng, dtype=np.float64)
    p = {q.name: q.value for q in twins.randomise(cell, rng).parameters()}
    x = rng.standard_normal((4, 2, F))
    with Tape():
        encoded = cell.encode(x)
        outputs, last = encoded.outputs.value, encoded.last.value
    h = np.zeros(H)
    for t in range(4):
        x_tilde = np.tanh(p["b_x"] + p["U_x"] @ x[t, 1])
        z = np.tanh(p["b_z"] + p["W_z"] @ h)
        h = np.tanh(p["b"] + p["W"] @ z + p["U"] @ x_tilde + (p["S"] @ h if skip else 0))
        np.testing.assert_allclose(outputs[t, 1], np.tanh(p["b_y"] + p["V_y"] @ h), rtol=1e-12)
    np.testing.assert_allclose(last, outputs[-1], rtol=1e-13)
    report = ts.gradcheck(lambda: cell.encode(x).outputs, *cell.parameters())
    assert report, report


def state_path(cell: Any, steps: int, longest: bool = False) -> int | None:
    """Units between a cell's (first) state at step 0 and its (last) one ``steps`` later, as the tape has it."""
    x = np.zeros((steps + 1, 1, F))
    with Tape():
        unfolded = ts.unfold(cell, ts.Chain(steps + 1), x, cell.initial_state(1))
        first, last = unfolded.state(0), unfolded.state(steps)
        if isinstance(first, tuple):
            first, last = first[0], last[-1]
        return path_length(first, last, longest=longest)


def test_path_lengths(rng: np.random.Generator) -> None:
    """(a) k layers add k − 1 units once; (b) an MLP in the transition doubles every step; (c) the skip undoes that."""
    make = {"rng": rng, "dtype": np.float64}
    deep, skipped = nn.DeepTransition(F, H, **make), nn.DeepTransition(F, H, skip=True, **make)
    for steps in (1, 2, 10):
        assert state_path(nn.RNNCell(F, H, **make), steps) == steps
        assert state_path(nn.StackedCells(cells(rng, H, H, H)), steps) == steps + 2
        assert state_path(deep, steps) == 2 * steps
        assert state_path(skipped, steps) == steps
        assert state_path(skipped, steps, longest=True) == 2 * steps


def test_path_length_without_a_way(rng: np.random.Generator) -> None:
    with Tape():
        x = ts.tensor(rng.standard_normal((2, 2)))
        y, z = ts.tanh(x), ts.tanh(x)
        assert path_length(y, z) is None and path_length(z, y) is None
        assert path_length(x, x) == 0 and path_length(x, ts.sigmoid(y + 1.0)) == 2
        other = Tape()
        with other, pytest.raises(ts.TinyseqError, match="different tapes"):
            path_length(x, ts.tensor(np.zeros(1)))


def test_dropout_between_layers(rng: np.random.Generator) -> None:
    stack = twins.randomise(nn.Stack(cells(rng, H, 5)), rng)
    x = rng.standard_normal((4, 2, F))
    every, same = stack.dropout_masks(rng, (4, 2), 0.5), stack.dropout_masks(rng, (2,), 0.5)
    for masks in (every, same):
        with Tape():
            ours = stack.encode(x, masks=masks).outputs.value
        below = np.stack([twins.run(stack.layers[0], x[:, b])[0] for b in range(2)], axis=1) * masks[0]
        wanted = np.stack([twins.run(stack.layers[1], below[:, b])[0] for b in range(2)], axis=1)
        np.testing.assert_allclose(ours, wanted, rtol=1e-12)
        report = ts.gradcheck(lambda masks=masks: stack.encode(x, masks=masks).outputs, *stack.parameters())
        assert report, report
    head = nn.ManyToOne(stack, 2, rng=rng)
    y = np.array([0, 1])
    loss = ts.compile(lambda x, y, mask: head.loss(x, y, masks=[mask]))
    with Tape():
        np.testing.assert_allclose(loss(x, y, every[0]), head.loss(x, y, masks=every).value, rtol=1e-12)


def test_dropout_masks_keep_the_mean() -> None:
    mask = nn.dropout_mask(np.random.default_rng(0), (400, 500), 0.3, np.float64)
    assert set(np.unique(mask)) == {0.0, 1 / 0.7}
    assert mask.mean() == pytest.approx(1, abs=0.01)
    assert nn.dropout_mask(np.random.default_rng(0), (3,), 0.0).tolist() == [1, 1, 1]


def test_errors_name_the_item(rng: np.random.Generator) -> None:
    one, two = cells(rng, H, 5)
    stack = nn.Stack([one, two])
    for message, act in {
        r"layer 1 takes 3 features, but layer 0 gives 4": lambda: nn.StackedCells([one, nn.RNNCell(F, H, rng=rng)]),
        r"layer 1 takes 4 features, but layer 0 gives 7 \(with 3 skipped": lambda: nn.StackedCells(
            [one, two], skip=True
        ),
        r"given twice": lambda: nn.Stack([two, two]),
        r"at least one layer": lambda: nn.Stack([]),
        r"2 layers have 1 masks between them, got 2": lambda: stack.encode(np.zeros((2, 1, F)), masks=[0, 0]),
        r"dropout mask has the shape of what it masks": lambda: stack.encode(
            np.zeros((2, 1, F)), masks=[np.zeros((3, 1, H))]
        ),
        r"below 1, got 1": lambda: nn.dropout_mask(rng, (2,), 1),
        r"write rng=np.random.default_rng": lambda: nn.dropout_mask(0, (2,), 0.5),
    }.items():
        with Tape(), pytest.raises(ts.TinyseqError, match=message):
            act()
