"""The problems themselves: trees, lengths, packing, and the operations counted for the floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinyseq.bench.problems.cells import CELLS, pack, unpack
from tinyseq.bench.problems.flops import count
from tinyseq.bench.problems.forest import levels, random_forest
from tinyseq.bench.problems.problems import MEMORY_ROWS, ROWS, Problem, packed, problem
from tinyseq.errors import DataError


def test_rows_have_names_of_their_own() -> None:
    names = [row.row for row in (*ROWS, *MEMORY_ROWS)]
    assert len(set(names)) == len(names)
    assert problem("memory rnn 8,32,100000,1").steps == 100_000


def test_data_depends_on_the_seed_and_on_nothing_else() -> None:
    row = replace(ROWS[3], steps=4)
    first, again, other = row.data(), row.data(), replace(row, seed=1).data()
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.params["W"], again.params["W"])
    assert not np.array_equal(first.x, other.x)


def test_lengths_span_the_range_and_padding_is_marked() -> None:
    data = problem("lstm lengths 5-100 32,64,64 sequences").data()
    assert data.lengths is not None
    assert data.lengths.min() >= 5 and data.lengths.max() == 100
    np.testing.assert_array_equal((data.targets >= 0).sum(axis=0), data.lengths)
    assert not data.x[data.targets < 0].any()
    flat = packed(data)
    assert sum(flat.sizes) == data.lengths.sum() == flat.targets.size
    assert (flat.targets >= 0).all() and sorted(flat.sizes, reverse=True) == flat.sizes


@pytest.mark.parametrize("balanced", [True, False])
def test_forest_is_a_set_of_binary_trees(balanced: bool) -> None:
    forest = random_forest(np.random.default_rng(5), 6, (1, 13), balanced)
    children = np.concatenate([forest.left, forest.right, forest.roots])
    assert sorted(children.tolist()) == list(range(forest.leaves + forest.left.size))
    for node, (left, right) in enumerate(zip(forest.left, forest.right, strict=True)):
        assert max(left, right) < forest.leaves + node
    assert forest.left.size == forest.leaves - 6


def test_balanced_tree_has_logarithmic_depth() -> None:
    forest = random_forest(np.random.default_rng(5), 1, (1000, 1000), True)
    assert forest.depths().max() == 10
    assert len(levels(forest)) == 11


@pytest.mark.parametrize("balanced", [True, False])
def test_levels_visit_every_node_after_its_children(balanced: bool) -> None:
    forest = random_forest(np.random.default_rng(7), 5, (1, 20), balanced)
    paths = [str(leaf) for leaf in range(forest.leaves)]
    for left, right in zip(forest.left, forest.right, strict=True):
        paths.append(f"({paths[left]} {paths[right]})")
    states: list[str] = []
    for level in levels(forest):
        states = [f"({a} {b})" for a, b in zip(states[::2], states[1::2], strict=True)]
        states += [str(leaf) for leaf in level.leaves]
        if level.order is not None:
            states = [states[place] for place in level.order]
    assert states == [paths[root] for root in forest.roots]


@pytest.mark.parametrize("name", CELLS)
def test_pack_and_unpack_are_inverse(name: str) -> None:
    rng = np.random.default_rng(1)
    params = {k: rng.standard_normal(shape) for k, shape in CELLS[name].shapes(3, 4).items()}
    back = unpack(CELLS[name], pack(CELLS[name], params))
    assert back.keys() == params.keys()
    for key, value in params.items():
        np.testing.assert_array_equal(back[key], value)


def test_rnn_operations_by_hand() -> None:
    v, h, t, b = 5, 7, 11, 3
    found = count(Problem("x", "rnn", v, h, t, b))
    products = 2 * v * h * 2 + 2 * h * h * 3 + 2 * h * v * 3
    assert found.matmul == t * b * products
    # per row: two additions and tanh' with three, the bias's sum; output: bias, its sum, cross-entropy
    assert found.elementwise == t * b * ((2 + 3 + 1) * h + (1 + 1 + 6) * v)
    assert found.transcendental == t * b * (h + v)


def test_tree_operations_by_hand() -> None:
    v, h, k, leaves = 5, 7, 3, 8
    found = count(Problem("x", "tree", v, h, leaves=(leaves, leaves), balanced=True, classes=k))
    assert found.matmul == leaves * 4 * v * h + (leaves - 1) * 6 * 2 * h * h + 6 * h * k


def test_operations_of_lengths_are_those_of_the_valid_steps() -> None:
    equal = count(Problem("x", "lstm", 4, 5, 6, 1)).matmul // 6
    row = Problem("x", "lstm", 4, 5, 20, 9, shortest=2)
    lengths = row.data().lengths
    assert lengths is not None
    assert count(row).matmul == equal * int(lengths.sum())


def test_floor_is_what_binds() -> None:
    found = count(Problem("x", "rnn", 5, 7, 11, 3))
    assert found.floor(1.0, 1e30) == found.matmul
    assert found.floor(1e30, 1.0) == found.bytes


@pytest.mark.parametrize(
    "wrong", [{"cell": "elman"}, {"cell": "tree"}, {"leaves": (2, 3)}, {"shortest": 2, "layers": 2}]
)
def test_impossible_problems_are_refused(wrong: dict) -> None:
    with pytest.raises(DataError):
        Problem(**({"row": "x", "cell": "rnn", "inputs": 2, "hidden": 3, "steps": 4} | wrong))
