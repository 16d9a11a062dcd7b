"""Dropout of tree nets: units that the output does not see, by masks that are inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data, nn, train
from tinyseq.errors import TinyseqError

pytestmark = pytest.mark.usefixtures("executor")
NETS: dict[str, Any] = {
    "recursive": nn.RecursiveNet, "tensor": nn.RNTN, "lstm": nn.TreeLSTM, "child-sum": nn.ChildSumTreeLSTM,
}  # fmt: skip


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("kind", NETS)
def test_the_output_reads_what_the_mask_leaves(kind: str, every: bool, rng: np.random.Generator) -> None:
    net = NETS[kind](3, 4, 2, rng=rng, dtype=np.float64, dropout=0.5)
    forest = ts.Forest([ts.Tree.balanced(3), ts.Tree.balanced(2)])
    x = rng.normal(size=(forest.n_leaves, 3))
    (mask,) = net.masks(rng, (forest, x), every)
    assert mask.shape == (len(forest) if every else 2, 4) and set(np.unique(mask)) <= {0.0, 2.0}
    y = rng.integers(0, 2, len(mask))
    with ts.Tape():
        unfolded = net.unfold(forest, x)
        h = net.hidden(unfolded.states if every else unfolded.roots).value
        o = net.outputs(forest, x, every, masks=[mask]).value
        loss = net.loss(forest, x, y, masks=[mask]).value
        whole = net.outputs(forest, x, every).value
    expected = net.c.value + (h * mask) @ net.V_o.value.T
    np.testing.assert_allclose(o, expected, atol=1e-12)
    np.testing.assert_allclose(whole, net.c.value + h @ net.V_o.value.T, atol=1e-12)
    log_p = expected - np.log(np.exp(expected).sum(1, keepdims=True))
    np.testing.assert_allclose(loss, -log_p[np.arange(len(y)), y].sum() / 2, atol=1e-12)
    assert ts.gradcheck(lambda: net.loss(forest, x, y, masks=[mask]), *net.parameters())


def test_without_a_rate_nothing_is_drawn_and_a_wrong_one_is_refused(rng: np.random.Generator) -> None:
    tree = ts.Tree.balanced(3)
    assert nn.TreeLSTM(3, 4, 2, rng=rng).masks(rng, (tree, np.zeros((3, 3)))) is None
    shared = nn.TreeLSTM(3, 4, 2, rng=rng, dropout=0.2).masks(rng, (tree, np.zeros((3, 5, 3))))
    assert shared is not None and shared[0].shape == (5, 4)
    with pytest.raises(TinyseqError, match="dropout rate"):
        nn.TreeLSTM(3, 4, 2, rng=rng, dropout=1.0)


def test_a_training_drops_and_a_prediction_does_not(rng: np.random.Generator) -> None:
    trees = [ts.Tree.balanced(int(n)) for n in rng.integers(2, 5, 8)]
    x = [rng.normal(size=(tree.n_leaves, 3)) for tree in trees]
    given = data.Trees.of(trees, x, np.arange(8) % 2)
    found = []
    for rate in (0.0, 0.5, 0.5):
        net = train.model_for(given, hidden=4, rng=np.random.default_rng(0), dropout=rate)
        assert net.dropout == rate
        history = train.fit(net, given, "sgd", 3, batch=4, rng=np.random.default_rng(1), progress=False)
        found.append(list(history.losses))
    assert found[1] == found[2] and found[0] != found[1]
    assert np.array_equal(net(*given.batch(np.arange(8)).x), net(*given.batch(np.arange(8)).x))
