"""Models called without a tape: ``model(x)``, ``predict``, beside the same under a tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data, nn
from tinyseq.errors import CallError, TinyseqError

pytestmark = pytest.mark.usefixtures("executor")
X = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
UNEQUAL = [X[:n, b] for b, n in enumerate((5, 2, 0))]
RNG = np.random.default_rng(1)


def models() -> dict[str, Any]:
    cell = nn.GRUCell(2, 4, rng=RNG)
    return {
        "a cell": cell,
        "a stack": nn.Stack([cell, nn.LSTMCell(4, 3, rng=RNG)]),
        "both ways": nn.Bidirectional(nn.GRUCell(2, 4, rng=RNG), nn.GRUCell(2, 4, rng=RNG)),
        "one output": nn.ManyToOne(cell, 3, rng=RNG),
        "an output a step": nn.ManyToMany(cell, 3, rng=RNG),
        "outputs fed back": nn.OutputRecurrence(2, 4, 3, rng=RNG),
    }


@pytest.mark.parametrize("name", models())
def test_a_call_gives_the_values_of_the_graph(name: str) -> None:
    model = models()[name]
    with ts.Tape():
        wanted = (model.outputs(X) if hasattr(model, "outputs") else model.encode(X).outputs).value
    np.testing.assert_array_equal(model(X), wanted)
    np.testing.assert_allclose(model(X.astype(np.float64)), wanted, rtol=1e-6)
    apart = model(UNEQUAL)
    if model.each_step:
        assert [len(a) for a in apart] == [5, 2, 0]
        np.testing.assert_allclose(apart[0], wanted[:, 0], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(model(nn.pack(UNEQUAL))[1], apart[1])
    else:
        assert apart.shape == (3, 3)


def test_nets_of_the_chapter_and_trees() -> None:
    net = nn.LSTM(4, 5, 4, rng=RNG)
    tokens = np.array([[0, 1], [2, 3], [1, 1]])
    with ts.Tape():
        np.testing.assert_array_equal(net.outputs(tokens).value, net.unfold(tokens).outputs.value)
    np.testing.assert_array_equal(net.predict(tokens), net(tokens).argmax(axis=-1))
    tree, words = ts.Tree.balanced(4), np.array([0, 1, 2, 0])
    model = nn.TreeLSTM(3, 4, 2, rng=RNG)
    assert model(tree, words).shape == (1, 2) and model(tree, words, every=True).shape == (7, 2)
    assert model.predict(tree, words).tolist() == model(tree, words).argmax(-1).tolist()


def test_predictions_follow_the_targets_that_were_seen() -> None:
    head = nn.ManyToOne(nn.GRUCell(2, 4, rng=RNG), 3, rng=RNG)
    with pytest.raises(TinyseqError, match=r"has seen no targets yet.*take its outputs, model\(x\)"):
        head.predict(X)
    with ts.Tape():
        head.loss(X, np.array([0, 1, 2]))
    np.testing.assert_array_equal(head.predict(X), head(X).argmax(-1))
    with ts.Tape():
        head.loss(X, np.zeros((3, 3), np.float32))
    np.testing.assert_array_equal(head.predict(X), head(X))


def test_what_has_no_outputs_says_what_it_has() -> None:
    with pytest.raises(CallError, match=r"nn.SequenceModel is not called: model.loss\(...\) gives its loss"):
        nn.SequenceModel(3, 4, rng=RNG)(np.zeros((3, 2), int))


def test_data_without_the_models_last_classes_are_measured(rng: np.random.Generator) -> None:
    """A part held out may have fewer classes than were learned; what is predicted may be any of these."""
    model = nn.ManyToOne(nn.RNNCell(2, 3, rng=rng), 3, rng=rng)
    model.c.value[...] = 0, 0, 9  # always the last class
    x = rng.normal(size=(4, 5, 2)).astype(np.float32)
    found = model.evaluate((x, np.array([0, 1, 0, 0, 1])))
    assert found["accuracy"] == 0.0 and found["f1"] == 0.0
    tree = nn.RecursiveNet(3, 4, 2, rng=rng)
    tree.c.value[...] = 0, 9
    whole = data.Trees.of([ts.Tree.balanced(3)] * 2, [np.arange(3)] * 2, [np.zeros(5, np.int64)] * 2)
    assert tree.evaluate(whole)["accuracy"] == 0.0
