"""Tree tasks against brute force: answers by recursion, the generator's probabilities, real syntax trees."""

from __future__ import annotations

import ast
import statistics

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, TinyseqError
from tinyseq.tasks.trees import (
    LISTOPS_VOCABULARY,
    OPERATORS,
    library_expressions,
    listops,
    listops_answer,
    listops_tree,
    random_tree,
)


def brute_force(text: str) -> int:
    """Value of "(MAX 2 (SM 3 9))" by rewriting the innermost brackets until a digit is left."""
    functions = {
        "MIN": min,
        "MAX": max,
        "MED": lambda numbers: int(statistics.median(numbers)),
        "SM": lambda numbers: int(str(sum(numbers))[-1]),
    }
    while "(" in text:
        start = text.rindex("(")
        stop = text.index(")", start)
        operator, *numbers = text[start + 1 : stop].split()
        text = f"{text[:start]}{functions[operator]([int(n) for n in numbers])}{text[stop + 1 :]}"
    return int(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("(MAX 2 9 (MIN 4 7) 0)", 9),
        ("(MED 1 9 2)", 2),
        ("(MED 1 2 9 4)", 3),
        ("(MED 1 4)", 2),
        ("(SM 7 8 9)", 4),
        ("(SM (SM 9 9) (MED 5 8) 4)", 8),
        ("7", 7),
    ],
)
def test_answers_by_hand(text, answer):
    read = ts.Tree.from_brackets(text, labelled=True)
    labels = [int(label) if label.isdigit() else label for label in read.labels]
    assert listops_answer(ts.Tree(read.pointers, read.children, labels)) == answer
    assert brute_force(text) == answer


def test_answers_equal_brute_force():
    trees, answers = listops(300, np.random.default_rng(0))
    assert answers.dtype == np.int64
    assert [brute_force(tree.brackets()) for tree in trees] == answers.tolist()
    assert set(answers.tolist()) == set(range(10))


def test_sizes_depths_and_arguments_stay_within_bounds():
    trees, _ = listops(
        200, np.random.default_rng(1), nodes=(4, 30), max_depth=4, max_arguments=3, operators=("MIN", "SM")
    )
    assert all(4 <= len(tree) <= 30 for tree in trees)
    assert max(tree.depth for tree in trees) == 3, "a root of depth 1 and leaves at depth 4: three edges"
    assert set(np.concatenate([tree.arity for tree in trees]).tolist()) == {0, 2, 3}
    assert {label for tree in trees for label in tree.labels if isinstance(label, str)} == {"MIN", "SM"}


def test_the_generator_draws_with_its_probabilities():
    """Over 8,000 roots: an operator with probability 1/4, arguments and operators uniform (bounds of 4 σ)."""
    rng = np.random.default_rng(2)
    trees = [listops_tree(rng) for _ in range(8000)]
    inner = [tree for tree in trees if len(tree) > 1]
    assert len(inner) / 8000 == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 8000) ** 0.5)
    arguments = np.bincount([tree.arity[-1] for tree in inner], minlength=6)[2:] / len(inner)
    roots = [[tree.labels[-1] for tree in inner].count(op) / len(inner) for op in OPERATORS]
    digits = np.bincount([tree.labels[0] for tree in trees], minlength=10) / 8000
    assert np.abs(arguments - 0.25).max() < 4 * (0.25 * 0.75 / len(inner)) ** 0.5
    assert np.abs(np.array(roots) - 0.25).max() < 4 * (0.25 * 0.75 / len(inner)) ** 0.5
    assert np.abs(digits - 0.1).max() < 4 * (0.1 * 0.9 / 8000) ** 0.5
    # a branching process of mean 0.25 · 3.5: Σ_d 0.875^d over depths 0 to 19 nodes are expected
    expected = (1 - 0.875**20) / (1 - 0.875)
    sizes = np.array([len(tree) for tree in trees])
    assert sizes.mean() == pytest.approx(expected, abs=4 * sizes.std() / 8000**0.5)


def test_same_seed_same_trees_and_tokens_fit_the_vocabulary():
    one, other = (listops(20, np.random.default_rng(3)) for _ in range(2))
    assert [tree.brackets() for tree in one[0]] == [tree.brackets() for tree in other[0]]
    forest = ts.Forest(one[0])
    tokens = forest.tokens(LISTOPS_VOCABULARY)
    assert tokens.min() >= 0
    assert tokens.max() == 13
    assert (tokens[: forest.n_leaves] < 10).all()
    assert (tokens[forest.n_leaves :] >= 10).all()


def test_bad_listops_options_are_named():
    rng = np.random.default_rng(4)
    with pytest.raises(DataError, match="operators are some of"):
        listops_tree(rng, operators=("MIN", "AVG"))
    with pytest.raises(DataError, match="max_arguments ≥ 2"):
        listops_tree(rng, max_arguments=1)
    with pytest.raises(DataError, match="fewer than 5 or more than 5 nodes"):
        listops(1, rng, nodes=(5, 5), max_depth=1)
    with pytest.raises(DataError, match="'AND' at position 2 is no ListOps operator"):
        listops_answer(ts.Tree.from_nested(("AND", 1, 2), labelled=True))
    with pytest.raises(TinyseqError, match="numpy Generator"):
        listops(1, 0)


def test_random_binary_trees():
    rng = np.random.default_rng(5)
    trees = [random_tree(20, rng) for _ in range(200)]
    assert all(len(tree) == 39 and set(tree.arity.tolist()) == {0, 2} for tree in trees)
    assert len({tree.brackets() for tree in trees}) > 190
    left = np.array(
        [np.sum(tree.numbers[: tree.n_leaves] < tree.numbers[tree.children_of(tree.root)[1]]) for tree in trees]
    )
    assert left.min() >= 1
    assert left.max() <= 19
    assert left.mean() == pytest.approx(10, abs=4 * (30 / 200) ** 0.5)
    assert random_tree(1, rng).depth == 0
    assert random_tree(50_000, rng).n_leaves == 50_000
    with pytest.raises(DataError, match="n_leaves = 0"):
        random_tree(0, rng)


def test_expressions_of_the_standard_library_are_what_python_parses():
    found = library_expressions(300, nodes=(5, 40))
    assert len(found) == 300
    for expression in found:
        again = ts.Tree.from_ast(f"({expression.source})", names=False)
        assert again.brackets() == expression.tree.brackets(), expression
        assert 5 <= len(expression.tree) <= 40
    classes = {label for expression in found for label in expression.tree.labels}
    assert all(issubclass(getattr(ast, name), ast.AST) for name in classes)
    assert {"Call", "Name", "Attribute", "Constant"} <= classes
    forest = ts.Forest([expression.tree for expression in found])
    assert forest.n_trees == 300
    assert len(set(forest.arity.tolist())) > 4
