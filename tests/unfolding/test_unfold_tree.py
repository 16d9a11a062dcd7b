"""Unfolding over trees: the same nodes as a plain loop, the right scope and order, any arity, forests, deep trees."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, ShapeError
from tinyseq.unfolding.tree import UnfoldedTree

pytestmark = pytest.mark.usefixtures("executor")


class Net(ts.nn.TreeCell):
    """Any number of children, their order counts, inner inputs allowed; the state is a nested pair."""

    def __init__(self, size: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.V = ts.Parameter(rng.normal(size=(size, 3)) / 2, "V")
        self.W = ts.Parameter(rng.normal(size=(size, size)) / 2, "W")
        self.b = ts.Parameter(rng.normal(size=size) / 2, "b")

    def leaf(self, x):
        h = ts.tanh(ts.linear(x, self.V)).named("h")
        return h, (h * 0.5,)

    def merge(self, *children, x=None):
        a = self.b if x is None else self.b + ts.linear(x, self.V)
        for place, (h, (s,)) in enumerate(children):
            a = a + ts.linear(h, self.W) * (1.0 / (place + 1)) + s
        return ts.tanh(a).named("h"), (a,)


def by_loop(cell, forest, rows, everywhere):
    """The definition: one call of the cell for each position."""
    states = []
    for p in range(len(forest)):
        children = [states[c] for c in forest.children_of(p)]
        given = {"x": rows(p)} if everywhere or not children else {}
        states.append(cell(*children, **given))
    return states


def some_forest(seed: int, sizes: tuple[int, ...] = (1, 9, 4, 14, 1)) -> ts.Forest:
    rng = np.random.default_rng(seed)
    parents = [[-1, *[int(rng.integers(i)) for i in range(1, n)]] for n in sizes]
    return ts.Forest([ts.Tree.from_parents(p) for p in parents])


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_plain_loop_records_the_same_nodes_values_and_gradients(everywhere):
    forest = some_forest(3)
    assert len(set(forest.arity.tolist())) > 3
    x = np.random.default_rng(4).normal(size=(len(forest) if everywhere else forest.n_leaves, 3))
    cell = Net(5)
    with ts.Tape() as unfolded_tape:
        unfolded = ts.unfold(cell, forest, ts.tensor(x, "x"))
        h, (s,) = unfolded.roots
        ts.sum(h * h + s).backward()
    grads, roots = [p.grad for p in cell.parameters()], h.value
    with ts.Tape() as loop_tape:
        given = ts.tensor(x, "x")
        states = by_loop(cell, forest, lambda p: ts.window(given, p, 1), everywhere)
        h = ts.concatenate([states[r][0] for r in forest.roots], 0)
        s = ts.concatenate([states[r][1][0] for r in forest.roots], 0)
        ts.sum(h * h + s).backward()
    assert unfolded_tape.same_graph(loop_tape)
    assert roots.shape == (5, 5)
    np.testing.assert_allclose(roots, h.value, rtol=1e-13)
    for ours, parameter in zip(grads, cell.parameters(), strict=True):
        np.testing.assert_allclose(ours, parameter.grad, rtol=1e-11, atol=1e-13)
    for p in range(len(forest)):
        np.testing.assert_allclose(unfolded.state(p)[0].value, states[p][0].value, rtol=1e-13)
        np.testing.assert_allclose(unfolded.states[1][0].value[p], states[p][1][0].value[0], rtol=1e-13)


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_tree_shared_by_a_batch_is_that_tree_for_each_of_the_batch(everywhere):
    tree = ts.Tree.from_nested(("a", ("b", "c", "d"), ("e",)))
    rows = len(tree) if everywhere else tree.n_leaves
    x = np.random.default_rng(5).normal(size=(rows, 4, 3))
    cell = Net(6)
    with ts.Tape() as tape:
        unfolded = ts.unfold(cell, tree, x)
        together = unfolded.root[0].value
        assert unfolded.roots[0].index == unfolded.root[0].index
        assert unfolded.states[0].shape == (len(tree), 4, 6)
        by_loop(cell, tree, lambda p: ts.index(ts.tensor(x), p), everywhere)
    assert together.shape == (4, 6)
    assert set(tape.column("op").tolist()) >= {"index"}
    for b in range(4):
        with ts.Tape():
            alone = ts.unfold(cell, tree, np.ascontiguousarray(x[:, b])).root[0].value
        np.testing.assert_allclose(together[b], alone[0], rtol=1e-12)


def test_a_forest_is_its_trees_one_by_one():
    forest = some_forest(6)
    x = np.random.default_rng(7).normal(size=(forest.n_leaves, 3))
    cell = Net(4)
    with ts.Tape():
        roots = ts.unfold(cell, forest, x).roots[0].value
    rng = np.random.default_rng(6)
    first = 0
    for i, n in enumerate((1, 9, 4, 14, 1)):
        tree = ts.Tree.from_parents([-1, *[int(rng.integers(k)) for k in range(1, n)]])
        with ts.Tape():
            alone = ts.unfold(cell, tree, x[first : first + tree.n_leaves]).root[0].value
        np.testing.assert_allclose(roots[i], alone[0], rtol=1e-12)
        first += tree.n_leaves


def test_tokens_reach_their_leaves():
    class Embedding(ts.nn.TreeCell):
        def __init__(self):
            self.E = ts.Parameter(np.arange(12.0).reshape(6, 2), "E")

        def leaf(self, x):
            return ts.take(self.E, x)

        def merge(self, left, right):
            return left * 10.0 + right

    trees = [ts.Tree.from_nested((1, (0, 5))), ts.Tree.from_nested((4, 2))]
    forest, cell = ts.Forest(trees), Embedding()
    with ts.Tape():
        roots = ts.unfold(cell, forest, np.array([1, 0, 5, 4, 2])).roots
        np.testing.assert_array_equal(roots.value, [[30, 51], [84, 95]])
        ts.sum(roots).backward()
        np.testing.assert_array_equal(cell.E.grad[:, 0], [10, 10, 1, 0, 10, 1])
    with ts.Tape():
        root = ts.unfold(cell, trees[1], np.array([[4, 0, 1], [2, 2, 3]])).root
        np.testing.assert_array_equal(root.value, [[84, 95], [4, 15], [26, 37]])


def test_every_node_has_its_scope_and_children_come_first():
    forest = some_forest(8)
    with ts.Tape() as tape:
        unfolded = ts.unfold(Net(2), forest, np.zeros((forest.n_leaves, 3)), name="parse")
        again = ts.unfold(Net(2), forest, np.zeros((forest.n_leaves, 3)), name="parse")
        assert again.state(0)[0].name == "h"
    cells, steps = tape.column("cell"), tape.step
    assert {"", "parse", "parse_2"} == set(cells.tolist())
    inside = np.flatnonzero(cells == "parse")
    assert sorted(set(steps[inside].tolist())) == list(range(len(forest)))
    assert (np.diff(steps[inside]) >= 0).all(), "instances run in the order of positions: leaves, then by height"
    assert (steps[cells == ""] == -1).all()
    for p in range(len(forest)):
        node = unfolded.state(p)[0]
        assert tape.node(node.index)[7:10] == ("h", "parse", p)
    assert (np.repeat(np.arange(len(tape)), np.diff(tape.input_pointers)) > tape.input_indices).all()


def test_states_handed_on_from_a_child_are_the_childs_nodes():
    """The head of a dependency tree: h is merged, w is the leftmost leaf's, passed up unchanged."""

    class Head(ts.nn.TreeCell):
        def leaf(self, x):
            return ts.tanh(x), x

        def merge(self, *children):
            return children[-1][0] + children[0][0], children[0][1]

    tree = ts.Tree.chain(300)
    with ts.Tape() as tape:
        x = ts.tensor(np.random.default_rng(9).normal(size=(300, 2)))
        unfolded = ts.unfold(Head(), tree, x)
        h, w = unfolded.root
        assert w.index == unfolded.state(0)[1].index
        np.testing.assert_allclose(w.value[0], x.value[0])
        np.testing.assert_allclose(h.value[0], np.tanh(x.value).sum(0), rtol=1e-12)
        assert tape.node(w.index).op == "window"


def test_a_degenerate_tree_of_100000_leaves_unfolds():
    tree = ts.Tree.chain(100_000)
    with ts.Tape() as tape:
        unfolded = ts.unfold(Net(2), tree, np.zeros((100_000, 3)))
    assert tape.node(unfolded.root[0].index).step == 199_998
    assert tape.step.max() == 199_998


def test_values_and_gradients_go_through_2000_levels():
    """h(t) = 0.999 h(t−1) + x(t) down a chain: the gradient of leaf t is 0.999^(levels above)."""

    class Decay(ts.nn.TreeCell):
        def __init__(self):
            self.k = ts.Parameter(np.array([[1.0]]), "k")

        def leaf(self, x):
            return x * self.k

        def merge(self, left, right):
            return left * 0.999 + right

    n = 2000
    tree, cell = ts.Tree.chain(n), Decay()
    with ts.Tape():
        unfolded = ts.unfold(cell, tree, np.ones((n, 1)))
        powers = 0.999 ** np.concatenate([[n - 1], np.arange(n - 1)[::-1]])
        assert unfolded.root.item() == pytest.approx(powers.sum(), rel=1e-10)
        ts.sum(unfolded.root).backward()
        grads = np.array([unfolded.state(p).grad.item() for p in range(n)])
    np.testing.assert_allclose(grads, powers, rtol=1e-9)
    assert cell.k.grad.item() == pytest.approx(powers.sum(), rel=1e-10)


def test_any_object_with_leaf_and_merge_is_a_cell():
    class Sum:
        def leaf(self, x):
            return x * 1.0

        def merge(self, left, right):
            return left + right

    with ts.Tape() as tape:
        unfolded = ts.unfold(Sum(), ts.Tree.balanced(6), np.arange(12.0).reshape(6, 2))
        assert isinstance(unfolded, UnfoldedTree)
        np.testing.assert_array_equal(unfolded.root.value, [[30, 36]])
        assert "Sum" in set(tape.column("cell").tolist())


class Binary(ts.nn.TreeCell):
    def leaf(self, x):
        return x * 1.0

    def merge(self, left, right):
        return left + right


class Wider(Binary):
    def merge(self, left, right):
        return ts.concatenate([left, right])


class NoLeaf:
    def merge(self, left, right):
        return left + right


class NoState(Binary):
    def leaf(self, x):
        return None


TERNARY = ts.Tree.from_nested(("a", ("b", "c", "d")))
PAIR = ts.Tree.chain(2)


@pytest.mark.parametrize(
    ("cell", "tree", "x", "error", "message"),
    [
        (Binary(), TERNARY, np.zeros((4, 2)), DataError, r"position 4 has 3 children.*merge\(left, right\)"),
        (Binary(), PAIR, np.zeros((3, 2)), DataError, r"2 children and an input.*merge\(left, right\)"),
        (Binary(), PAIR, np.zeros((5, 2)), ShapeError, r"each of the 2 leaves, or for each of the 3 nodes.*\(5, 2\)"),
        (Binary(), ts.Forest([PAIR, PAIR]), np.zeros((4, 6, 2)), ShapeError, "only one Tree can be shared"),
        (Wider(), PAIR, np.zeros((2, 2)), ShapeError, r"merge of 2 children.*float64 \(1, 2\), merge float64 \(1, 4\)"),
        (NoLeaf(), PAIR, np.zeros((2, 2)), DataError, "NoLeaf has no leaf"),
        (NoState(), PAIR, np.zeros((2, 2)), ShapeError, "returned no state"),
        (ts.nn.TreeCell(), PAIR, np.zeros((2, 2)), NotImplementedError, "must define leaf"),
    ],
)
def test_misuse_is_named(cell, tree, x, error, message):
    with ts.Tape(), pytest.raises(error, match=message):
        ts.unfold(cell, tree, x)


def test_labels_show_in_errors():
    tree = ts.Tree.from_brackets("(S a b c)", labelled=True)
    with ts.Tape(), pytest.raises(DataError, match=r"position 3 \('S'\) has 3 children"):
        ts.unfold(Binary(), tree, np.zeros((3, 2)))


def test_what_belongs_to_chains_or_forests_is_refused():
    forest = ts.Forest([PAIR, PAIR])
    with ts.Tape():
        x = np.zeros((2, 2))
        with pytest.raises(ShapeError, match="no initial state"):
            ts.unfold(Binary(), PAIR, x, x)
        with pytest.raises(ShapeError, match="no initial state and no delays"):
            ts.unfold(Binary(), PAIR, x, delays=(2,))
        with pytest.raises(ShapeError, match="a chain starts from an initial state"):
            ts.unfold(lambda x, h: (x, x), ts.Chain(2), x)
        unfolded = ts.unfold(Binary(), forest, np.zeros((4, 2)))
        with pytest.raises(DataError, match=r"2 trees has no one root: ask for \.roots"):
            _ = unfolded.root
        with pytest.raises(DataError, match="position 6 asked for"):
            unfolded.state(6)


@pytest.mark.parametrize("trees", [[[-1]], [[-1], [-1]], [[-1, 0, 0], [-1]]])
def test_trees_of_one_leaf_have_states_too(trees):
    """Where there is no inner node there is no merge: the states are those of the leaves."""
    forest, cell = ts.Forest([ts.Tree.from_parents(p) for p in trees]), Net(5)
    x = np.random.default_rng(4).normal(size=(forest.n_leaves, 3))
    with ts.Tape():
        unfolded = ts.unfold(cell, forest, x)
        h, (s,) = unfolded.states
        expected = by_loop(cell, forest, lambda p: ts.window(ts.tensor(x), p, 1), False)
        for found, states in ((h, [a for a, _ in expected]), (s, [b for _, (b,) in expected])):
            np.testing.assert_allclose(found.value, np.concatenate([state.value for state in states]), rtol=1e-12)


def test_what_is_unfolded_says_the_shapes_of_all_states():
    forest, cell = some_forest(3), Net(5)
    shared = ts.Tree.from_parents([-1, 0, 0])
    with ts.Tape():
        text = repr(ts.unfold(cell, forest, np.zeros((forest.n_leaves, 3))))
        assert f"states (({len(forest)}, 5), (({len(forest)}, 5),))" in text
        text = repr(ts.unfold(cell, shared, np.zeros((2, 7, 3))))
        assert "states ((3, 7, 5), ((3, 7, 5),))" in text


def test_a_chain_after_a_tree_goes_on_counting_the_cells_steps() -> None:
    class Both(Net):
        def __call__(self, x, h):
            h = ts.tanh(h + x)
            return h, h

    cell, tree = Both(2), ts.Tree([0, 0, 0, 0, 2, 4], [0, 1, 3, 2])
    rng = np.random.default_rng(0)
    with ts.Tape() as tape:
        ts.unfold(cell, tree, rng.normal(size=(3, 3)))
        last = ts.unfold(cell, ts.Chain(2), rng.normal(size=(2, 2)), np.zeros(2)).final
    assert tape.node(last.index).step == len(tree) + 1
