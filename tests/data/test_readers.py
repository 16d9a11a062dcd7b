"""What readers make of files: values beside what was written, and errors that name file, line, column or key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data
from tinyseq.errors import DataError, FileError, TinyseqError

TABLE = """station,day,temp,wind,label
A,2024-01-01,1.5,2,no
A,2024-01-02,2,3,no
B,2024-01-01,1,1,yes
B,2024-01-02,3,4,yes
B,2024-01-03,5,6,yes
"""


def file(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_of_a_group_are_a_sequence(tmp_path: Path, delimiter: str) -> None:
    made = data.csv(file(tmp_path, TABLE.replace(",", delimiter)), group="station", time="day")
    assert made.features == ("temp", "wind") and made.classes == ("no", "yes") and made.lengths.tolist() == [2, 3]
    assert made.x[0].tolist() == [[1.5, 2], [2, 3]] and made.y.tolist() == [0, 1] and made.x[0].dtype == np.float32
    each = data.csv(file(tmp_path, TABLE), group="station", each_step=True)
    assert [a.tolist() for a in each.y] == [[0, 0], [1, 1, 1]]
    only = data.csv(file(tmp_path, TABLE), target="temp", features="wind", group="station")
    assert [a.ravel().tolist() for a in only.y] == [[1.5, 2], [1, 3, 5]] and only.classes == ()


def test_without_groups_the_file_is_one_series_with_windows(tmp_path: Path) -> None:
    rows = "t,value\n" + "".join(f"{t},{t * t}.5\n" for t in range(10))
    made = data.csv(file(tmp_path, rows), target="value", features="value")
    assert len(made) == 1 and made.each_step and not made.classified
    windows = made.windows(3, horizon=2, stride=2)
    squares = [t * t + 0.5 for t in range(10)]
    assert [a.ravel().tolist() for a in windows.x] == [squares[k : k + 3] for k in (0, 2, 4)]
    assert windows.y.ravel().tolist() == [squares[k + 4] for k in (0, 2, 4)] and windows.times.tolist() == [4, 6, 8]
    early, late = windows.split(0.34)
    assert late.times.min() > early.times.max()
    with pytest.raises(DataError, match=r"no window of 10 steps and a target 1 later fits.*at most 9"):
        made.windows(10)


def test_missing_cells_hold_mask_or_are_named(tmp_path: Path) -> None:
    path = file(tmp_path, TABLE.replace("2,no\nA", "NA,no\nA").replace("5,6", ",6"))
    with pytest.raises(DataError, match=r"t.csv, line 2, column 'wind' is missing \('NA'\): fill it, or write"):
        data.csv(path, group="station")
    held = data.csv(path, group="station", missing="hold")
    assert [m.tolist() for m in held.masks] == [[0, 1], [1, 1, 0]] and held.x[1][2].tolist() == [0, 6]
    masked = data.csv(path, group="station", missing="mask")
    assert masked.features == ("temp", "wind", "temp is missing", "wind is missing")
    assert masked.x[0].tolist() == [[1.5, 0, 0, 1], [2, 3, 0, 0]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", {}, "t.csv, line 3: 3 cells, but the header has 2 columns"),
        ("a,b\n1,2\n3\n", {}, "line 3: 1 cells"),
        ("1,2\n3,4\n", {}, "has no header: its first line holds numbers only"),
        ("a,b\n", {}, "has no rows below its header"),
        ("a,a\n1,2\n", {}, "two columns are called 'a', 1 and 2"),
        ("a,,b\n1,2,3\n", {}, "column 2 has no name"),
        ("a,b\n1,x\n2,x\n", {}, "the target 'b' has one class only, 'x'"),
        ("a,b\n1,2.5\nhot,3.5\n", {}, "line 3, column 'a' is 'hot' where a number is expected"),
        ("a,b\n1,2\n1e99,3\n", {}, "line 3, column 'a' is '1e99', too large for float32"),
        ("a,b\n1,2.5\n2,\n", {}, "line 3, column 'b', the target, is missing"),
        ("a,b\nx,y\nz,w\n", {}, "has no column of numbers to read beside its target"),
        ("a,b\n1,2.5\n", {"target": "bb"}, "has no column 'bb' for the target; there is 'b'"),
        ("a,b\n1,2.5\n", {"features": ["c"]}, "has no column 'c' for the features"),
        (
            "t,b\n2,1.5\n1,2.5\n",
            {"time": "t"},
            r"line 3, column 't': '1' comes after '2' \(line 2\), times run backwards",
        ),
        ("t,b\nsoon,1.5\n1,2.5\n", {"time": "t"}, "line 2, column 't' is 'soon', no time"),
        (TABLE, {"group": "station", "target": "temp", "each_step": False}, "changes within the sequence 'A'"),
        (
            "a,b\n1,x\n2,y\n",
            {"classes": ["x", "z"]},
            "line 3, column 'b', the target, is 'y'; the classes are 'x', 'z'",
        ),
        ('a,b\n1,"x\n2,y\n', {}, "unexpected end of data|quotes"),
        (TABLE, {"missing": "guess"}, "missing is 'error', 'hold', 'mask'"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path: Path, text: str, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data.csv(file(tmp_path, text), **options)


def test_dates_out_of_order_may_be_sorted(tmp_path: Path) -> None:
    made = data.csv(file(tmp_path, "t,b\n2024-02-01,1.5\n2024-01-01,2.5\n"), time="t", features="b", sort=True)
    assert made.x[0].ravel().tolist() == [2.5, 1.5]


def test_splits_by_group_keep_groups_together_and_need_a_generator() -> None:
    groups = np.repeat(np.arange(10), 3)
    made = data.Sequences.of([np.zeros((2, 1))] * 30, np.arange(30) % 2, groups=groups)
    train, held = made.split(0.3, rng=np.random.default_rng(0))
    assert not set(train.groups) & set(held.groups) and len(set(held.groups)) == 3
    with pytest.raises(TinyseqError, match="rng must be a numpy Generator"):
        made.split(0.3)
    with pytest.raises(DataError, match="above 0 and below 1"):
        made.split(1.0)
    with pytest.raises(DataError, match="has no times to split by"):
        made.split(0.3, by="time")


def test_treebanks_are_cleaned_collapsed_and_made_binary(tmp_path: Path) -> None:
    penn = "( (S (NP-SBJ (DT The) (JJ big) (NN dog)) (VP (VBZ barks) (NP (-NONE- *T*-1))) (. .)) )\n"
    penn += "(S (NP (NN I)) (VP run))"
    path = file(tmp_path, penn, "a.mrg")
    right = data.treebank(path)
    words = [[right.vocabulary[k] for k in row] for row in right.x]
    assert words == [["The", "big", "dog", "barks", "."], ["I", "run"]]
    assert right.trees[0].arity.max() == 2 and len(right.trees[0]) == 9
    named = [right.classes[k] if k >= 0 else None for k in right.y[0]]
    assert named == ["DT", "JJ", "NN", "VP", ".", None, None, "NP", "S"]
    assert [right.classes[k] for k in right.y[1]] == ["NP", "VP", "S"]
    left, wide = (
        data.treebank(path, binary="left"),
        data.treebank(path, binary=None, collapse=False, empty=True, functions=True),
    )
    assert left.trees[0].children_of(left.trees[0].root) != right.trees[0].children_of(right.trees[0].root)
    assert wide.trees[0].arity.max() == 3 and "NP-SBJ" in wide.classes and "*T*-1" in wide.vocabulary
    sst = file(tmp_path, "(3 (2 It) (4 (4 (2 's) (4 good)) (2 .)))\n(1 (2 Not) (1 bad))", "sst.txt")
    roots = data.treebank([sst], labels="root")
    assert roots.y.tolist() == [1, 0] and roots.classes == ("1", "3")
    every = data.treebank(sst, vocabulary=roots.vocabulary, classes=("0", "1", "2", "3", "4"))
    assert every.y[0].tolist() == [2, 2, 4, 2, 4, 4, 3]
    assert len(data.treebank(tmp_path, classes=None)) == 4


def test_a_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    n = 20_000
    path = file(tmp_path, "(a " * n + "x" + " y)" * n, "deep.txt")
    made = data.treebank(path, labels="every", classes=["a", "b"])
    assert len(made.trees[0]) == 2 * n + 1


def test_json_lines(tmp_path: Path) -> None:
    rows = [{"x": [[1, 2], [3, 4]], "y": "a"}, {"x": [[5, 6]], "y": "b"}]
    made = data.json_lines(file(tmp_path, "\n".join(map(json.dumps, rows)), "s.jsonl"))
    assert made.classes == ("a", "b") and made.x[1].tolist() == [[5, 6]]
    words = [{"x": "the cat", "y": [1, 0]}, {"x": ["a", "dog"], "y": [1, 1]}]
    tags = data.json_lines(file(tmp_path, "\n".join(map(json.dumps, words)), "w.jsonl"))
    assert tags.each_step and tags.tokens and tags.classes == ("0", "1")
    for row, message in {
        "[1]": "line 1: an object was expected",
        "{": "line 1: no JSON",
        '{"x": [1], "z": 2}': "line 1 has no key 'y'; its keys are x, z",
        '{"x": [1, {}], "y": 1}\n{"x": [1], "y": 2}': "line 1, key 'x': a sequence is a list of numbers",
        '{"x": [1, NaN], "y": 1}\n{"x": [1], "y": 2}': "line 1, key 'x'",
        '{"x": [1], "y": {}}': "line 1, key 'y': a target is a text",
        '{"x": [1], "y": "a"}\n{"x": [2], "y": "a"}': "key 'y' has one class only, 'a'",
        '{"x": [1], "y": 1.5}\n{"x": [[2, 3]], "y": 2.5}': "line 2, key 'x': 2 features",
    }.items():
        with pytest.raises(DataError, match=re.escape(message)):
            data.json_lines(file(tmp_path, row, "bad.jsonl"))


def test_decimal_commas_where_they_part_no_cells(tmp_path: Path) -> None:
    """As spreadsheets of half the world write: 0,5 between semicolons or tabs is a half, in features and target."""
    for delimiter in ";\t":
        rows = ["t;a;b;y", "1;0,5;-,25;1,5", "2;1e3;2,5E-1;2", "3;,5;+3;2,25"]
        made = data.csv(file(tmp_path, "\n".join(rows).replace(";", delimiter), "e.csv"), target="y", time="t")
        np.testing.assert_array_equal(made.x[0], np.array([[0.5, -0.25], [1000, 0.25], [0.5, 3]], np.float32))
        np.testing.assert_array_equal(made.y[0][:, 0], np.array([1.5, 2, 2.25], np.float32))
    texts = file(tmp_path, "a;w;y\n1;x,5;0\n2;1,2,3;1\n3;1,5 m;0\n", "w.csv")
    made = data.csv(texts, target="y")
    assert made.features == ("a",) and made.about["left_out"] == ["w"]


def test_targets_too_large_are_named(tmp_path: Path) -> None:
    table = file(tmp_path, "a,y\n1,0.5\n2,1e39\n", "l.csv")
    with pytest.raises(DataError, match="line 3, column 'y', the target, is '1e39', too large for float32"):
        data.csv(table, target="y")
    assert data.csv(table, target="y", dtype=np.float64).y[0][1, 0] == 1e39


def test_texts_by_class_and_python(tmp_path: Path) -> None:
    for kind, text in (("pos", "Good good film"), ("neg", "bad film")):
        (tmp_path / "t" / kind).mkdir(parents=True)
        file(tmp_path / "t" / kind, text, "1.txt")
    made = data.texts(tmp_path / "t")
    assert made.classes == ("neg", "pos") and [[made.vocabulary[k] for k in a] for a in made.x] == [
        ["bad", "film"], ["good", "good", "film"],
    ]  # fmt: skip
    other = data.texts(tmp_path / "t", vocabulary=("<unknown>", "good"), classes=made.classes)
    assert [a.tolist() for a in other.x] == [[0, 0], [1, 1, 0]]
    with pytest.raises(FileError, match="is no folder"):
        data.texts(tmp_path / "gone")
    code = file(tmp_path, "def f(a):\n    return a + 1\n\ndef g():\n    print(1)\n", "c.py")
    trees = data.python(code)
    assert trees.classes == ("returns", "returns nothing") and trees.y.tolist() == [0, 1]
    assert "FunctionDef" in trees.vocabulary


CONLLU = """# sent_id = 1
1\tThe\tthe\tDET\t_\t_\t2\tdet\t_\t_
2\tdog\tdog\tNOUN\t_\t_\t3\tnsubj\t_\t_
3\tbarks\tbark\tVERB\t_\t_\t0\troot\t_\t_

"""


def test_conllu_as_tags_and_as_trees(tmp_path: Path) -> None:
    path = file(tmp_path, CONLLU, "a.conllu")
    tags = data.conllu(path)
    assert [tags.classes[k] for k in tags.y[0]] == ["DET", "NOUN", "VERB"]
    trees = data.conllu(path, what="trees", label="deprel")
    assert [trees.classes[k] for k in trees.y[0]] == ["det", "nsubj", "root"] and trees.trees[0].depth == 2
    broken = CONLLU.replace("\t2\tdet", "\t7\tdet")
    with pytest.raises(DataError, match="sentence 1: the head of 'The' is 7"):
        data.conllu(file(tmp_path, broken, "b.conllu"), what="trees", label="deprel")
    with pytest.raises(DataError, match=r"is not CoNLL-U|holds no sentence"):
        data.conllu(file(tmp_path, "hello\tworld\n", "c.conllu"))


def test_real_data_of_wheels() -> None:
    try:
        train, test = data.vowels()
        spots, carbon = data.sunspots(), data.co2()
    except FileError as error:
        pytest.skip(str(error))
    assert (len(train), len(test), train.input_size) == (270, 370, 12) and np.bincount(train.y).tolist() == [30] * 9
    assert (train.lengths.min(), test.lengths.max()) == (7, 29)
    assert len(spots.x[0]) == 309 and spots.x[0][0] == 5.0 and spots.about["first"] == 1700
    assert len(carbon.x[0]) == 526 and 313 < carbon.x[0].min() < carbon.x[0].max() < 375


def test_arrays_are_checked_by_sequence() -> None:
    cases = {
        "sequence 1 of x holds nan at step 0, feature 1": ([np.zeros((2, 2)), np.array([[0, np.nan]])], [0, 1]),
        r"sequence 1 of x is float32 \(2, 3\)": ([np.zeros((2, 2)), np.zeros((2, 3))], [0, 1]),
        r"2 sequences have targets y \(3,\)": ([np.zeros((2, 2))] * 2, [0, 1, 2]),
        "the target of sequence 1 is -1": ([np.zeros((2, 2))] * 2, [0, -1]),
        "sequence 0 has 2 steps and 1 targets": ([np.zeros((2, 2))] * 2, [np.array([0]), np.array([0, 1])]),
        "the target of sequence 1 at step 2 is nan": ([np.zeros((3, 2))] * 2, [np.ones(3), np.array([1, 2, np.nan])]),
        "the target of sequence 0 at step 1 is -2: steps without a class": (
            [np.zeros((2, 2))] * 2,
            [np.array([0, -2]), np.array([-1, 1])],
        ),
        "there are no sequences": ([], []),
    }
    for message, (x, y) in cases.items():
        with pytest.raises(DataError, match=message):
            data.Sequences.of(x, y)
    with pytest.raises(TinyseqError, match="expected integers or floating point"):
        data.Sequences.of([np.array(["a"])], [0])
    assert isinstance(ts.data.Sequences.of(np.zeros((4, 3, 2)), np.zeros(3, int))[[0, 2]], data.Sequences)
