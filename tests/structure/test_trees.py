"""Trees as index arrays: every way to build one, every way it can be wrong, and the order of positions."""

from __future__ import annotations

import ast
import math

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError

DEEP = 100_000


def check_order(forest: ts.Forest) -> None:
    """What every tree and forest promises, node by node."""
    n = len(forest)
    heights, depths, parents = [0] * n, [0] * n, [-1] * n
    for p in range(n):
        for child in forest.children_of(p):
            assert child < p
            assert parents[child] == -1
            parents[child] = p
            heights[p] = max(heights[p], heights[child] + 1)
    for p in reversed(range(n)):
        if parents[p] >= 0:
            depths[p] = depths[parents[p]] + 1
    assert forest.parents.tolist() == parents
    assert forest.heights.tolist() == heights == sorted(heights)
    assert forest.depths.tolist() == depths
    assert forest.n_leaves == heights.count(0)
    assert forest.roots.tolist() == sorted(forest.roots, key=lambda r: forest.tree_of[r])
    assert sorted(forest.roots) == [p for p in range(n) if parents[p] == -1]
    assert forest.arity.tolist() == [len(forest.children_of(p)) for p in range(n)]


def random_parents(rng: np.random.Generator, n: int) -> list[int]:
    """A tree of any arity under a random numbering."""
    names = rng.permutation(n)
    parents = [-1] * n
    for i in range(1, n):
        parents[names[i]] = int(names[rng.integers(i)])
    return parents


def test_positions_are_leaves_left_to_right_then_by_height():
    tree = ts.Tree.from_brackets("((a b) c (d (e f)))")
    assert tree.labels[:6].tolist() == list("abcdef")
    assert [tree.children_of(p) for p in range(len(tree))] == [()] * 6 + [(0, 1), (4, 5), (3, 7), (6, 2, 8)]
    assert tree.heights.tolist() == [0] * 6 + [1, 1, 2, 3]
    assert tree.depths.tolist() == [2, 2, 1, 2, 3, 3, 1, 2, 1, 0]
    assert tree.parents.tolist() == [6, 6, 9, 8, 7, 7, 9, 8, 9, -1]
    assert (tree.root, tree.depth, tree.n_trees, tree.roots.tolist()) == (9, 3, 1, [9])
    assert repr(tree) == "Tree(10 nodes, 6 leaves, depth 3)"


def test_all_ways_of_building_give_the_same_tree():
    built = [
        ts.Tree.from_nested(("a", ("b", "c"))),
        ts.Tree.from_nested(["a", ["b", "c"]]),
        ts.Tree.from_brackets("( a ( b c ) )"),
        ts.Tree.from_brackets("[a (b c)]"),
        ts.Tree.from_parents([2, 3, -1, 2, 3], ["a", "b", None, None, "c"]),
        ts.Tree.from_children([[], [], [0, 3], [1, 4], []], ["a", "b", None, None, "c"]),
        ts.Tree([0, 2, 2, 4, 4, 4], [1, 2, 3, 4], [None, "a", None, "b", "c"]),
    ]
    for tree in built:
        check_order(tree)
        assert tree.labels.tolist() == ["a", "b", "c", None, None]
        assert tree.children.tolist() == [1, 2, 0, 3]
        assert tree.pointers.tolist() == [0, 0, 0, 0, 2, 4]
    assert built[4].numbers.tolist() == [0, 1, 4, 3, 2]


def test_labels_of_inner_nodes():
    text = "(S (NP the cat) (VP sat))"
    tree = ts.Tree.from_brackets(text, labelled=True)
    assert tree.labels.tolist() == ["the", "cat", "sat", "NP", "VP", "S"]
    assert tree.arity.tolist() == [0, 0, 0, 2, 1, 2]
    assert tree.brackets() == text
    nested = ts.Tree.from_nested(("S", ("NP", "the", "cat"), ("VP", "sat")), labelled=True)
    assert nested.brackets() == text
    assert ts.Tree.from_brackets("((S a b))", labelled=True).labels.tolist() == ["a", "b", "S", None]


def test_random_trees_of_any_arity_and_numbering():
    rng = np.random.default_rng(0)
    for n in [1, 2, 3, 5, 17, 60, 300]:
        parents = random_parents(rng, n)
        labels = [f"n{i}" for i in range(n)]
        tree = ts.Tree.from_parents(parents, labels)
        check_order(tree)
        assert tree.labels.tolist() == [f"n{i}" for i in tree.numbers]
        for p in range(n):
            number = int(tree.numbers[p])
            given = [i for i in range(n) if parents[i] == number]
            assert tree.numbers[list(tree.children_of(p))].tolist() == given
        children = [[i for i in range(n) if parents[i] == node] for node in range(n)]
        again = ts.Tree.from_children(children, labels)
        assert np.array_equal(again.children, tree.children)
        assert np.array_equal(again.numbers, tree.numbers)
        text = tree.brackets()
        assert ts.Tree.from_brackets(text, labelled=True).brackets() == text


@pytest.mark.parametrize("n", [*range(1, 70), 100, 127, 128, 129, 1000, 4096, 100_001])
def test_a_balanced_tree_over_n_leaves_has_depth_log2_n(n):
    tree = ts.Tree.balanced(n)
    assert tree.depth == math.ceil(math.log2(n))
    assert tree.n_leaves == n
    assert len(tree) == 2 * n - 1
    assert set(tree.arity.tolist()) <= {0, 2}
    leaf_depths = tree.depths[:n]
    assert leaf_depths.max() - leaf_depths.min() <= 1
    if n < 70:
        check_order(tree)
        order = list(tree.children_of(tree.root)) if n > 1 else [0]
        while any(p >= n for p in order):
            order = [c for p in order for c in (tree.children_of(p) or (p,))]
        assert order == list(range(n))


def test_a_chain_has_one_leaf_more_at_each_level():
    tree = ts.Tree.chain(5)
    check_order(tree)
    assert tree.brackets() == "((((0 1) 2) 3) 4)"
    assert ts.Tree.chain(1).brackets() == "0"
    assert ts.Tree.chain(2).brackets() == "(0 1)"


def test_python_syntax_trees():
    tree = ts.Tree.from_ast("a + b * f(x, 3)")
    assert tree.brackets() == "(BinOp a Add (BinOp b Mult (Call f x 3)))"
    assert ts.Tree.from_ast("a + 1", names=False).brackets() == "(BinOp Name Add Constant)"
    assert ts.Tree.from_ast("not x < 'y'").brackets() == "(UnaryOp Not (Compare x Lt 'y'))"
    module = ast.parse("def f(x):\n    return -x\n")
    assert ts.Tree.from_ast(module).brackets() == "(Module (FunctionDef (arguments arg) (Return (UnaryOp USub x))))"
    check_order(tree)


def test_deep_trees_build_without_recursion():
    expected = ts.Tree.chain(DEEP)
    assert expected.depth == DEEP - 1
    text = "(" * (DEEP - 1) + "a" + " b)" * (DEEP - 1)
    nested, syntax = "a", ast.Name("a", ast.Load())
    for _ in range(DEEP - 1):
        nested = (nested, "b")
        syntax = ast.BinOp(syntax, ast.Add(), ast.Name("b", ast.Load()))
    parents = np.arange(-1, DEEP - 1)
    read = ts.Tree.from_brackets(text)
    assert read.brackets() == text
    for tree in (read, ts.Tree.from_nested(nested)):
        assert np.array_equal(tree.children, expected.children)
    assert ts.Tree.from_parents(parents).depth == DEEP - 1
    assert ts.Tree.from_ast(syntax).depth == DEEP - 1
    while isinstance(syntax, ast.BinOp):  # taken apart here: the interpreter's own deallocation would recurse
        syntax.left, syntax = None, syntax.left
    ring = np.arange(1, DEEP + 1) % DEEP
    with pytest.raises(DataError, match="cycle"):
        ts.Tree.from_parents(ring)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ts.Tree.from_parents([]), "empty tree"),
        (lambda: ts.Tree.from_children([]), "empty tree"),
        (lambda: ts.Tree.from_brackets("  "), "empty tree"),
        (lambda: ts.Tree.from_nested(()), "empty tree"),
        (lambda: ts.Tree.from_parents([1, 2, 0]), r"cycle.* 0 → 1 → 2 → 0"),
        (lambda: ts.Tree.from_parents([-1, 2, 1, 1]), r"cycle.* 1 → 2 → 1"),
        (lambda: ts.Tree.from_parents([-1, 1]), r"cycle.* 1 → 1"),
        (lambda: ts.Tree.from_children([[1], [2], [1]]), "node 1 has 2 parents, 0 and 2"),
        (lambda: ts.Tree.from_children([[1, 1], []]), "node 1 has 2 parents, 0 and 0"),
        (lambda: ts.Tree.from_children([[1, 2], [], [], [4], [3]]), r"cycle.* 3 → 4 → 3"),
        (lambda: ts.Tree.from_parents([-1, 0, -1]), "2 roots, nodes 0 and 2"),
        (lambda: ts.Tree.from_children([[], [0], []]), "2 roots, nodes 1 and 2"),
        (lambda: ts.Tree.from_brackets("(a b) (c d)"), r"two roots.*character 6"),
        (lambda: ts.Tree.from_brackets("a b"), r"two roots.*character 2, where 'b'"),
        (lambda: ts.Tree.from_parents([-1, 0, 7]), "node 2 names the parent 7, which is missing"),
        (lambda: ts.Tree.from_parents([-1, -2]), "node 1 names the parent -2"),
        (lambda: ts.Tree.from_children([[1, 5], []]), "node 0 has the child 5, which is missing"),
        (lambda: ts.Tree.from_children([[1, None], []]), "node 0 has a missing child"),
        (lambda: ts.Tree.from_nested(("a", ("b", None))), "missing child: entry 4"),
        (lambda: ts.Tree.from_nested(("a", ())), "missing child: node 2"),
        (lambda: ts.Tree.from_nested(("S", ("NP",)), labelled=True), "missing child: node 1"),
        (lambda: ts.Tree.from_brackets("(a ())"), "missing child: the node opened at character 3"),
        (lambda: ts.Tree.from_brackets("(a (b c)"), r"unbalanced brackets: the '\(' at character 0 is never closed"),
        (lambda: ts.Tree.from_brackets("(a b))"), r"unbalanced brackets: the '\)' at character 5 closes nothing"),
        (lambda: ts.Tree.from_brackets("[a [b c)]"), r"unbalanced brackets: the '\[' at character 3 is closed by '\)'"),
        (lambda: ts.Tree.from_brackets(3), "text such as"),
        (lambda: ts.Tree.from_parents([0.5]), "list of integers"),
        (lambda: ts.Tree.from_parents([-1, 0], ["a"]), "1 labels for a tree of 2 nodes"),
        (lambda: ts.Tree.from_ast("a +"), "cannot parse 'a \\+'"),
        (lambda: ts.Tree.from_ast(3), "got int"),
        (lambda: ts.Tree.balanced(0), "n_leaves = 0"),
        (lambda: ts.Tree.chain(2.5), "n_leaves = 2.5"),
        (lambda: ts.Forest([]), "at least one tree"),
        (lambda: ts.Forest([ts.Tree.chain(2), "(a b)"]), "tree 1 of the forest is a str"),
    ],
)
def test_bad_trees_are_named(build, message):
    with pytest.raises(DataError, match=message):
        build()


def test_a_list_that_contains_itself_is_a_cycle_but_a_shared_tuple_is_not():
    ring: list = ["a"]
    ring.append([ring, "b"])
    with pytest.raises(DataError, match="cycle"):
        ts.Tree.from_nested(ring)
    pair = ("a", "b")
    assert ts.Tree.from_nested((pair, pair)).brackets() == "((a b) (a b))"


def test_a_forest_keeps_every_tree():
    rng = np.random.default_rng(1)
    trees = [ts.Tree.from_parents(random_parents(rng, n), list(range(n))) for n in [1, 7, 30, 2, 1, 12]]
    forest = ts.Forest(trees)
    check_order(forest)
    assert len(forest) == 53
    assert forest.n_trees == 6
    for i, tree in enumerate(trees):
        places = forest.positions(i)
        assert len(places) == len(tree)
        assert forest.roots[i] == places[-1]
        assert np.array_equal(forest.labels[places], tree.labels)
        assert np.array_equal(forest.numbers[places], tree.numbers)
        assert np.array_equal(forest.depths[places], tree.depths)
        for p in range(len(tree)):
            assert forest.children_of(places[p]) == tuple(places[list(tree.children_of(p))])
    leaves = np.concatenate([tree.labels[: tree.n_leaves] for tree in trees])
    assert np.array_equal(forest.labels[: forest.n_leaves], leaves)
    assert repr(forest) == f"Forest(6 trees, 53 nodes, {forest.n_leaves} leaves, depth {forest.depth})"


def test_packing_rows_of_leaves_and_of_nodes():
    rng = np.random.default_rng(2)
    trees = [ts.Tree.from_brackets(text) for text in ("a", "(b (c d))", "(e f)")]
    forest = ts.Forest(trees)
    leaves = [rng.normal(size=(tree.n_leaves, 3)) for tree in trees]
    assert np.array_equal(forest.pack(leaves), np.concatenate(leaves))
    nodes = [rng.normal(size=(len(tree), 3)) for tree in trees]
    packed = forest.pack(nodes)
    for i in range(3):
        assert np.array_equal(packed[forest.positions(i)], nodes[i])
    with pytest.raises(DataError, match="2 arrays for a forest of 3 trees"):
        forest.pack(leaves[:2])
    with pytest.raises(DataError, match=r"tree 1 has shape \(2, 3\); expected \(3, 3\)"):
        forest.pack([leaves[0], leaves[1][:2], leaves[2]])
    with pytest.raises(DataError, match=r"tree 2 has shape \(2, 4\)"):
        forest.pack([*leaves[:2], np.zeros((2, 4))])


def test_tokens():
    forest = ts.Forest([ts.Tree.from_brackets("(a (b a))"), ts.Tree.from_brackets("c")])
    assert forest.tokens({"a": 0, "b": 1, "c": 2}).tolist() == [0, 1, 0, 2, -1, -1]
    assert forest.tokens({"a": 0, "b": 1, "c": 2, None: 3}).tolist() == [0, 1, 0, 2, 3, 3]
    with pytest.raises(DataError, match="lacks the label 'c' at position 3"):
        forest.tokens({"a": 0, "b": 1})
