"""Trees that belong together, by a file or otherwise, are held out together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data
from tinyseq.errors import DataError


def test_trees_of_one_file_are_not_parted(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / f"{i}.mrg").write_text(f"(S (NP a{i}) (VP b))\n(S (NP c) (VP d{i}))\n")
    trees = data.treebank(sorted(tmp_path.glob("*.mrg")), labels="every")
    assert trees.groups is not None and len(trees) == 10
    learned, held = trees.split(0.4, by="group", rng=np.random.default_rng(0))
    assert len(held) == 4 and len(set(held.groups)) == 2
    assert not set(learned.groups) & set(held.groups)
    assert [len(part.x) for part in (learned, held)] == [6, 4]
    assert len(trees.split(0.2, rng=np.random.default_rng(0))[1]) == 2


def test_groups_of_ones_own() -> None:
    trees = [ts.Tree.balanced(n) for n in (2, 3, 4, 2)]
    x = [np.zeros((tree.n_leaves, 2)) for tree in trees]
    made = data.Trees.of(trees, x, [0, 1, 0, 1], groups=["a", "b", "a", "c"])
    for seed in range(4):
        learned, held = made.split(0.3, by="group", rng=np.random.default_rng(seed))
        assert sorted([*learned.groups, *held.groups]) == ["a", "a", "b", "c"]
        assert not set(learned.groups) & set(held.groups)
    with pytest.raises(DataError, match="groups of shape"):
        data.Trees.of(trees, x, [0, 1, 0, 1], groups=["a"])
    with pytest.raises(DataError, match="no groups to split by"):
        data.Trees.of(trees, x, [0, 1, 0, 1]).split(0.3, by="group", rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="one group only"):
        data.Trees.of(trees, x, groups=[1] * 4).split(0.3, by="group", rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="'chance', 'order' or 'group'"):
        made.split(0.3, by="time", rng=np.random.default_rng(0))


def test_names_of_readers_elsewhere_say_ours() -> None:
    with pytest.raises(AttributeError, match=r"ts\.data\.json_lines"):
        _ = data.jsonl
    with pytest.raises(AttributeError, match=r"ts\.data\.csv"):
        _ = data.read_csv
