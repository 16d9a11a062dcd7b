"""Logical inference against brute force: Python's own and, or, not over all 64 worlds, relations from definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError
from tinyseq.tasks.logic import (
    EVERYWHERE,
    INFERENCE_VOCABULARY,
    RELATIONS,
    VARIABLES,
    WORLDS,
    inference_pairs,
    inference_split,
    random_formula,
    relation,
    worlds,
)


def truth_table(tree: ts.Tree) -> list[bool]:
    """The formula as Python reads it, in every world."""
    text = tree.brackets()
    for word in ("and", "or"):
        text = text.replace(f"({word} ", f"{word} (")  # (A (and B)) → (A and (B))
    code = compile(text, "formula", "eval")
    return [bool(eval(code, {v: bool(w >> i & 1) for i, v in enumerate(VARIABLES)})) for w in range(WORLDS)]


def named_relation(left: list[bool], right: list[bool]) -> str:
    """The relation from the table of MacCartney and Manning, world by world."""
    pairs = set(zip(left, right, strict=True))
    absent = {p for p in itertools.product((False, True), repeat=2) if p not in pairs}
    return {
        frozenset([(True, False), (False, True)]): "≡",
        frozenset([(True, False)]): "⊏",
        frozenset([(False, True)]): "⊐",
        frozenset([(True, True), (False, False)]): "^",
        frozenset([(True, True)]): "|",
        frozenset([(False, False)]): "⌣",
        frozenset(): "#",
    }[frozenset(absent)]


@pytest.mark.parametrize(
    ("left", "right", "name"),
    [
        ("a", "a", "≡"),
        ("(not (not a))", "a", "≡"),
        ("(a (and b))", "(b (and a))", "≡"),
        ("(a (and b))", "a", "⊏"),
        ("a", "(a (or b))", "⊏"),
        ("(a (or b))", "b", "⊐"),
        ("a", "(not a)", "^"),
        ("(not (a (and b)))", "((not a) (or (not b)))", "≡"),
        ("(a (and b))", "(not a)", "|"),
        ("(a (or b))", "(not a)", "⌣"),
        ("a", "b", "#"),
    ],
)
def test_relations_by_hand(left, right, name):
    one, other = ts.Tree.from_brackets(left), ts.Tree.from_brackets(right)
    assert RELATIONS[relation(worlds(one), worlds(other))] == name
    assert named_relation(truth_table(one), truth_table(other)) == name


def test_random_formulas_mean_what_python_says():
    rng = np.random.default_rng(0)
    for operators in [*range(13)] * 8:
        tree = random_formula(rng, operators)
        words = tree.labels[: tree.n_leaves].tolist()
        assert sum(word in ("and", "or", "not") for word in words) == operators
        assert set(tree.arity.tolist()) <= {0, 2}
        assert worlds(tree) == sum(1 << w for w, holds in enumerate(truth_table(tree)) if holds)


def test_pairs_equal_brute_force():
    pairs = inference_pairs(400, np.random.default_rng(1))
    assert len({(pair.left.brackets(), pair.right.brackets()) for pair in pairs}) == 400
    for pair in pairs:
        left, right = truth_table(pair.left), truth_table(pair.right)
        assert 0 < sum(left) < WORLDS
        assert 0 < sum(right) < WORLDS
        assert RELATIONS[pair.relation] == named_relation(left, right)
        words = [tree.labels[: tree.n_leaves].tolist() for tree in (pair.left, pair.right)]
        assert len({w for side in words for w in side} & set(VARIABLES)) <= 4
        assert pair.operators == max(sum(w not in VARIABLES for w in side) for side in words) <= 12
    assert {pair.relation for pair in pairs} == set(range(7))
    assert {pair.operators for pair in pairs} >= set(range(2, 13))
    forest = ts.Forest([tree for pair in pairs for tree in (pair.left, pair.right)])
    tokens = forest.tokens(INFERENCE_VOCABULARY)[: forest.n_leaves]
    assert set(tokens.tolist()) == set(range(9))


def test_the_split_trains_on_short_formulas_and_tests_on_all():
    pairs = inference_pairs(1000, np.random.default_rng(2))
    train, test = inference_split(pairs, np.random.default_rng(3))
    assert max(pair.operators for pair in train) == 6
    assert {pair.operators for pair in test} >= set(range(3, 13))
    assert not {id(pair) for pair in train} & {id(pair) for pair in test}
    for size in range(13):
        total, kept, held = (sum(pair.operators == size for pair in some) for some in (pairs, train, test))
        assert held == total - round(0.85 * total)
        assert kept == (total - held if size <= 6 else 0)


def test_relations_cover_all_cases_of_two_sets():
    """Every pair of sets over one variable's worlds has one relation, and swapping the sides mirrors ⊏ and ⊐."""
    rng = np.random.default_rng(4)
    sets = [int(rng.integers(1, 1 << 62)) & EVERYWHERE for _ in range(30)]
    sets += [EVERYWHERE ^ s for s in sets[:5]] + [s & sets[0] for s in sets[1:6]]
    for left, right in itertools.product(sets, repeat=2):
        there, back = RELATIONS[relation(left, right)], RELATIONS[relation(right, left)]
        assert back == {"⊏": "⊐", "⊐": "⊏"}.get(there, there)


def test_bad_options_are_named():
    rng = np.random.default_rng(5)
    with pytest.raises(DataError, match="variables = 1 to 6"):
        inference_pairs(1, rng, variables=7)
    with pytest.raises(DataError, match="different pairs were found, 40 were asked for"):
        inference_pairs(40, rng, max_operators=0)
