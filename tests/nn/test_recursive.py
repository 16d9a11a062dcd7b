"""Recursive nets against an independent recursion in NumPy, central differences, PyTorch, and exact facts."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import DataError, ShapeError
from tinyseq.nn import RNTN, ChildSumTreeLSTM, RecursiveNet, TreeLSTM

pytestmark = pytest.mark.usefixtures("executor")

CELLS = {"recursive": RecursiveNet, "rntn": RNTN, "tree_lstm": TreeLSTM, "child_sum": ChildSumTreeLSTM}
BINARY = ["((a b) (c (d e)))", "(a b)", "a", "(((a b) c) d)"]
ANY = ["((a b c) (d) (e (f g h i)))", "a", "(a (b))", "(a b c d)"]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def recursion(p, kind, tree, x, position):
    """State of a node by recursion, from the papers, one vector at a time. ``p`` holds parameters by name."""
    children = [recursion(p, kind, tree, x, c) for c in tree.children_of(position)]
    row = x[position] if position < len(x) else None
    if kind in ("recursive", "rntn"):
        a = p["b"].copy()
        if row is not None:
            a += p["V"] @ row
        if children:
            left, right = children
            a += np.hstack([p["U"], p["W"]]) @ np.hstack([left, right])
        if children and kind == "rntn":
            z = np.hstack(children)
            a += np.array([z @ Tk @ z for Tk in p["T"].reshape(len(a), len(z), len(z))])
        return np.tanh(a)
    n = len(p["b"])
    below = np.zeros(p["W"].shape[1])
    if kind == "child_sum":
        below += sum((h for h, _ in children), np.zeros(n))
    else:
        for k, (h, _) in enumerate(children):
            below[k * n : (k + 1) * n] = h

    def gate(name, z):
        return p[f"b{name}"] + (0 if row is None else p[f"U{name}"] @ row) + p[f"W{name}"] @ z

    s = sigmoid(gate("_g", below)) * np.tanh(gate("", below))
    for k, (h, kept) in enumerate(children):
        if kind == "child_sum":
            forget = gate("_f", h)
        else:
            forget = p["b_f"] + (0 if row is None else p["U_f"] @ row) + p[f"W_f{k + 1}"] @ below
        s = s + sigmoid(forget) * kept
    return np.tanh(s) * sigmoid(gate("_q", below)), s


def recursive_loss(p, kind, trees, rows, y):
    """Mean over the trees of −log softmax(c + V_o h(root))_y."""
    total = 0.0
    for tree, x, target in zip(trees, rows, y, strict=True):
        state = recursion(p, kind, tree, x, tree.root)
        o = p["c"] + p["V_o"] @ (state if isinstance(state, np.ndarray) else state[0])
        total += math.log(np.exp(o).sum()) - o[target]
    return total / len(trees)


def problem(kind, everywhere=False, seed=0):
    """A net with all parameters away from zero, a forest, its rows tree by tree, targets."""
    rng = np.random.default_rng(seed)
    texts = BINARY if kind in ("recursive", "rntn") else ANY
    trees = [ts.Tree.from_brackets(text) for text in texts]
    options = {"arity": 4} if kind == "tree_lstm" else {}
    net = CELLS[kind](3, 4, 5, rng=rng, dtype=np.float64, **options)
    for parameter in net.parameters():
        parameter.value[...] = rng.normal(size=parameter.shape) * 0.4
    rows = [rng.normal(size=(len(tree) if everywhere else tree.n_leaves, 3)) for tree in trees]
    return net, trees, rows, rng.integers(0, 5, len(trees))


def gradients(net, everywhere):
    """Gradients by name. Without inputs at inner nodes nothing reads U_f: that parameter alone has none."""
    found = {p.name: p.grad for p in net.parameters()}
    idle = {"U_f"} if not everywhere and isinstance(net, (TreeLSTM, ChildSumTreeLSTM)) else set()
    assert {name for name, grad in found.items() if grad is None} == idle
    return {name: grad for name, grad in found.items() if grad is not None}


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_loss_and_every_gradient_equal_the_recursion(kind, everywhere):
    net, trees, rows, y = problem(kind, everywhere)
    forest = ts.Forest(trees)
    values = {p.name: p.value for p in net.parameters()}
    assert len(values) == len(net.parameters())
    with ts.Tape():
        loss = net.loss(forest, forest.pack(rows), y)
        assert loss.item() == pytest.approx(recursive_loss(values, kind, trees, rows, y), rel=1e-12)
        loss.backward()
    rng = np.random.default_rng(1)
    grads = gradients(net, everywhere)
    for parameter in net.parameters():
        if parameter.name not in grads:
            continue
        direction = rng.normal(size=parameter.shape)
        step, start = 1e-5, parameter.value.copy()
        ends = []
        for sign in (1, -1):
            parameter.value[...] = start + sign * step * direction
            ends.append(recursive_loss(values, kind, trees, rows, y))
        parameter.value[...] = start
        slope = (ends[0] - ends[1]) / (2 * step)
        assert slope != 0
        assert (grads[parameter.name] * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-9), parameter.name


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_gradcheck(kind, everywhere):
    net, trees, rows, y = problem(kind, everywhere, seed=2)
    forest = ts.Forest(trees)
    report = ts.gradcheck(lambda x: net.loss(forest, x, y), forest.pack(rows), *net.parameters())
    assert report, report


@pytest.mark.parametrize("kind", CELLS)
def test_a_shared_tree_is_a_forest_of_copies(kind):
    net, trees, _, _ = problem(kind, seed=3)
    tree, rng = trees[0], np.random.default_rng(4)
    x, y = rng.normal(size=(tree.n_leaves, 6, 3)), rng.integers(0, 5, 6)
    with ts.Tape():
        loss = net.loss(tree, x, y)
        loss.backward()
        value, grads = loss.item(), gradients(net, False)
    forest = ts.Forest([tree] * 6)
    with ts.Tape():
        loss = net.loss(forest, forest.pack(list(x.transpose(1, 0, 2))), y)
        loss.backward()
        assert value == pytest.approx(loss.item(), rel=1e-12)
    for name, grad in gradients(net, False).items():
        np.testing.assert_allclose(grads[name], grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_tokens_stand_for_one_hot_rows(kind):
    net, trees, _, y = problem(kind, seed=5)
    forest = ts.Forest(trees)
    tokens = np.random.default_rng(6).integers(0, 3, len(forest))
    for given in (tokens, tokens[: forest.n_leaves]):
        losses, grads = [], []
        for x in (given, np.eye(3)[given]):
            with ts.Tape():
                loss = net.loss(forest, x, y)
                loss.backward()
                losses.append(loss.item())
                grads.append(gradients(net, len(given) == len(forest)))
        assert losses[0] == pytest.approx(losses[1], rel=1e-13)
        for name, grad in grads[0].items():
            np.testing.assert_allclose(grad, grads[1][name], rtol=1e-9, atol=1e-13)


def torch_state(torch, p, kind, children, x):
    """One node in PyTorch, rows (B, …), written in the forms of the papers."""
    if kind in ("recursive", "rntn"):
        a = p["b"] + (x @ p["V"].T if x is not None else 0)
        if children:
            left, right = children
            a = a + left @ p["U"].T + right @ p["W"].T
            if kind == "rntn":
                z, n = torch.cat(children, 1), p["b"].shape[0]
                a = a + torch.einsum("bi,kij,bj->bk", z, p["T"].reshape(n, 2 * n, 2 * n), z)
        return torch.tanh(a)
    n = p["b"].shape[0]
    if kind == "child_sum":
        z = sum((h for h, _ in children), torch.zeros(1, n, dtype=torch.float64))
    else:
        hs = [h for h, _ in children]
        empty = p["W"].shape[1] // n - len(hs)
        z = torch.cat([*hs, torch.zeros(1, empty * n, dtype=torch.float64)], 1)

    def gate(name, w, operand):
        return p[f"b{name}"] + (x @ p[f"U{name}"].T if x is not None else 0) + operand @ p[w].T

    s = torch.sigmoid(gate("_g", "W_g", z)) * torch.tanh(gate("", "W", z))
    for k, (h, kept) in enumerate(children):
        forget = gate("_f", "W_f", h) if kind == "child_sum" else gate("_f", f"W_f{k + 1}", z)
        s = s + torch.sigmoid(forget) * kept
    return torch.tanh(s) * torch.sigmoid(gate("_q", "W_q", z)), s


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_values_and_gradients_equal_torch(torch, kind, everywhere):
    net, trees, rows, y = problem(kind, everywhere, seed=7)
    forest = ts.Forest(trees)
    with ts.Tape():
        loss = net.loss(forest, forest.pack(rows), y)
        loss.backward()
        value = loss.item()
    p = {q.name: torch.tensor(q.value, requires_grad=True) for q in net.parameters()}
    logits = []
    for tree, given in zip(trees, rows, strict=True):
        states: list = []
        for position in range(len(tree)):
            x = torch.tensor(given[position : position + 1]) if position < len(given) else None
            states.append(torch_state(torch, p, kind, [states[c] for c in tree.children_of(position)], x))
        h = states[-1] if kind in ("recursive", "rntn") else states[-1][0]
        logits.append(p["c"] + h @ p["V_o"].T)
    theirs = torch.nn.functional.cross_entropy(torch.cat(logits), torch.tensor(y))
    theirs.backward()
    assert value == pytest.approx(theirs.item(), rel=1e-12)
    for name, grad in gradients(net, everywhere).items():
        np.testing.assert_allclose(grad, p[name].grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_chain_with_equal_leaf_and_merge_is_the_vanilla_rnn():
    """U h + W tanh(b + V x) down a chain is the recurrent net whose input at t is leaf t's state."""
    rng = np.random.default_rng(8)
    net = RecursiveNet(3, 4, 2, rng=rng, dtype=np.float64)
    net.b.value[...] = rng.normal(size=4)
    x = rng.normal(size=(6, 2, 3))
    leaves = np.tanh(x @ net.V.value.T + net.b.value)
    h = leaves[0]
    for t in range(1, 6):
        h = np.tanh(net.b.value + h @ net.U.value.T + leaves[t] @ net.W.value.T)
    with ts.Tape():
        np.testing.assert_allclose(net.unfold(ts.Tree.chain(6), x).root.value, h, rtol=1e-12)


def test_children_sum_in_any_order_and_binary_children_do_not_commute():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(3, 3))
    tree = ts.Tree.from_brackets("(a b c)")
    child_sum = ChildSumTreeLSTM(3, 4, 2, rng=rng, dtype=np.float64)
    ordered = TreeLSTM(3, 4, 2, arity=3, rng=rng, dtype=np.float64)
    with ts.Tape():
        one, other = (child_sum.output(tree, r).value for r in (x, x[::-1].copy()))
        np.testing.assert_allclose(one, other, rtol=1e-12)
        one, other = (ordered.output(tree, r).value for r in (x, x[::-1].copy()))
        assert np.abs(one - other).max() > 1e-3


def test_path_lengths_scale_the_gradient_by_depth_not_by_leaves():
    """All states 0, U = W = w: ∂root/∂leaf = w^depth, so a balanced tree keeps w^⌈log₂τ⌉ where a chain has w^(τ−1)."""
    n, w = 64, 0.5
    net = RecursiveNet(1, 1, 2, rng=np.random.default_rng(0), dtype=np.float64)
    net.U.value[...] = net.W.value[...] = w
    for tree, depth in ((ts.Tree.balanced(n), 6), (ts.Tree.chain(n), n - 1)):
        with ts.Tape():
            unfolded = net.unfold(tree, np.zeros((n, 1)))
            ts.sum(unfolded.root).backward()
            assert unfolded.state(0).grad.item() == pytest.approx(w**depth, rel=1e-12)


def test_biases_of_the_forget_gates_start_at_one():
    for net in (
        TreeLSTM(3, 4, 2, rng=np.random.default_rng(0)),
        ChildSumTreeLSTM(3, 4, 2, rng=np.random.default_rng(0)),
    ):
        state = {p.name: p.value for p in net.parameters()}
        assert (state["b_f"] == 1).all()
        assert not state["b_g"].any()
        assert {p.dtype for p in net.parameters()} == {np.dtype(np.float32)}


def test_misuse_is_named():
    rng = np.random.default_rng(0)
    net, tree = RecursiveNet(3, 4, 2, rng=rng), ts.Tree.balanced(4)
    x = np.zeros((4, 3), np.float32)
    with ts.Tape():
        with pytest.raises(ShapeError, match=r"F = 3 features; got shape \(4, 5\)"):
            net.unfold(tree, np.zeros((4, 5), np.float32))
        with pytest.raises(DataError, match="token 3 is out of range"):
            net.unfold(tree, np.array([0, 1, 2, 3]))
        with pytest.raises(ShapeError, match=r"one class for each root: expected y of shape \(1,\), got \(4,\)"):
            net.loss(tree, x, np.zeros(4, int))
        with pytest.raises(DataError, match="target"):
            net.loss(tree, x, np.array([2]))
        with pytest.raises(DataError, match="merge"):
            net.unfold(ts.Tree.from_brackets("(a b c)"), x[:3])
        with pytest.raises(DataError, match="arity 2 got a node with 3 children"):
            TreeLSTM(3, 4, 2, rng=rng).unfold(ts.Tree.from_brackets("(a b c)"), x[:3])
    with pytest.raises(ts.TinyseqError, match="arity must be a whole number"):
        TreeLSTM(3, 4, 2, arity=0, rng=rng)
    with pytest.raises(ts.TinyseqError, match="numpy Generator"):
        RecursiveNet(3, 4, 2, rng=3)


def by_calls(net, tree, x):
    """The output of a net over one tree, node by node."""
    states = []
    for p in range(len(tree)):
        row = ts.tensor(x[p : p + 1]) if p < tree.n_leaves else None
        states.append(net(*[states[c] for c in tree.children_of(p)], x=row))
    return net.c + ts.linear(net.hidden(states[-1]), net.V_o)


@pytest.mark.parametrize("kind", CELLS)
def test_parameters_are_walked_once_a_tape_and_may_be_loaded_or_replaced(kind, monkeypatch):
    """A cell puts its parameters on a tape at its first call; what is used is what it has at each call."""
    net, other = (CELLS[kind](3, 4, 2, rng=np.random.default_rng(i), dtype=np.float64) for i in (0, 1))
    tree, x = ts.Tree.from_brackets("((a b) (c (d e)))"), np.random.default_rng(2).normal(size=(5, 3))

    def expected(model):
        with ts.Tape():
            return model.output(tree, x).value

    walks, walk = [], type(net).parameters
    with monkeypatch.context() as patch:
        patch.setattr(type(net), "parameters", lambda self: walks.append(self) or walk(self))
        with ts.Tape():
            np.testing.assert_allclose(by_calls(net, tree, x).value, expected(net), rtol=1e-12)
            assert walks.count(net) == 2  # this tape's, and that of ``expected``
    net.load_state_dict(other.state_dict())
    with ts.Tape():
        np.testing.assert_allclose(by_calls(net, tree, x).value, expected(other), rtol=1e-12)
        for name, part in vars(other).items():  # by new objects, while the tape records
            if isinstance(part, (ts.Parameter, nn.Module, list)):
                setattr(net, name, part)
        for parameter in other.parameters():
            parameter.value[...] *= 0.5
        o = by_calls(net, tree, x)
        np.testing.assert_allclose(o.value, expected(other), rtol=1e-12)
        ts.sum(o).backward()
    assert all(p.grad.any() for p in other.parameters() if not p.name.startswith("U_f"))  # that reads inner inputs


def test_a_tree_cell_within_another_may_have_parameters_of_its_own():
    """Those that it does not use go with the step that was recorded only to be stamped."""
    inner = RecursiveNet(4, 4, 2, rng=np.random.default_rng(0), dtype=np.float64)

    class Outer(nn.TreeCell):
        def leaf(self, x):
            return inner(x=x)

        def merge(self, *children):
            return inner(children[0], children[-1])

    tree, x = ts.Tree.from_brackets("((a b c) (d e))"), np.random.default_rng(1).normal(size=(5, 4))
    with ts.Tape() as tape:
        root = Outer().unfold(tree, x).root
        ts.sum(root).backward()
        ts.verify(tape)
        states = []
        for p in range(len(tree)):
            below = tree.children_of(p)
            leaf = ts.tensor(x[p : p + 1]) if p < tree.n_leaves else None
            states.append(inner.merge(states[below[0]], states[below[-1]]) if below else inner.leaf(leaf))
        np.testing.assert_allclose(root.value, states[-1].value, rtol=1e-12)
    assert inner.W.grad.any()
    assert inner.V_o.grad is None or not inner.V_o.grad.any()
