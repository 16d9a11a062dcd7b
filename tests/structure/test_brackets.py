"""Trees in brackets: what separates words, what belongs to them, the way there and back, whole files of treebanks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyseq as ts
from tinyseq.errors import DataError
from tinyseq.tasks import read_trees

LABELS = st.text(
    st.sampled_from("ab ()[]\\x20\\x5c\t\n\r\f\v\u00a0\u3000\ufeff#%\x1c\x85,2058bcd"), min_size=1, max_size=6
)


@pytest.mark.parametrize("space", list(" \t\n\r\f\v"))
def test_ascii_white_space_separates_words(space):
    assert ts.Tree.from_brackets(f"(a{space}b)").labels.tolist() == ["a", "b", None]


@pytest.mark.parametrize("space", list("\u00a0\u3000\u2009\u202f\x85\x1c\x1d\x1e\x1f\u200b\u2028"))
def test_any_other_space_belongs_to_its_word(space):
    tree = ts.Tree.from_brackets(f"(0 (0 1{space}2) (0 {space}))", labelled=True)
    assert tree.labels[:2].tolist() == [f"1{space}2", space]
    assert tree.n_leaves == 2


def test_square_brackets_belong_to_words_of_trees_in_round_ones():
    tree = ts.Tree.from_brackets("(0 (1 a@b.com]) (2 [) (3 x[0]))", labelled=True)
    assert tree.labels.tolist() == ["a@b.com]", "[", "x[0]", "1", "2", "3", "0"]
    assert ts.Tree.from_brackets("([ ])").labels.tolist() == ["[", "]", None]
    with pytest.raises(DataError, match=r"two roots.*character 8"):
        ts.Tree.from_brackets("(a [b c)]")


@pytest.mark.parametrize("text", ["\ufeff(A (B b))", "\ufeff [A (B b)]", "\ufeff\n(A (B b))"])
def test_a_byte_order_mark_before_the_tree_is_not_part_of_it(text):
    assert ts.Tree.from_brackets(text, labelled=True).labels.tolist() == ["b", "B", "A"]


@st.composite
def labelled_trees(draw, inner):
    n = draw(st.integers(1, 9))
    parents = [-1, *[draw(st.integers(0, i - 1)) for i in range(1, n)]]
    leaves = set(range(n)) - set(parents)
    return parents, [draw(LABELS) if inner or i in leaves else None for i in range(n)]


@given(st.booleans().flatmap(lambda inner: st.tuples(st.just(inner), labelled_trees(inner))))
@settings(max_examples=300, deadline=None)
def test_any_label_comes_back(case):
    inner, (parents, labels) = case
    tree = ts.Tree.from_parents(parents, labels)
    text = tree.brackets()
    again = ts.Tree.from_brackets(text, labelled=inner)
    assert again.labels.tolist() == tree.labels.tolist(), text
    assert np.array_equal(again.parents, tree.parents), text


def test_labels_that_brackets_cannot_show_are_refused():
    with pytest.raises(DataError, match="label at position 1 is the empty text"):
        ts.Tree.from_nested(("a", "")).brackets()
    with pytest.raises(DataError, match="node at position 2 has no label, others have"):
        ts.Tree.from_parents([-1, 0, 1, 0], ["S", None, "a", "b"]).brackets()


def test_backslashes_of_treebanks_are_characters():
    tree = ts.Tree.from_brackets(r"(NP (CD 1\/2) (SYM \*) (SYM \) (X \x2))", labelled=True)
    assert tree.labels[:4].tolist() == [r"1\/2", r"\*", "\\", r"\x2"]
    assert ts.Tree.from_brackets(tree.brackets(), labelled=True).labels.tolist() == tree.labels.tolist()


PENN = """*x*x*x*x*x*
*x* Copyright (C) of nobody

( (S (NP-SBJ-1 (NNP Ms.) (NNP Haag))
     (VP (VBZ plays)
         (NP (NNP Elianti)) (-LRB- -LRB-) (-NONE- *T*-1) (-RRB- -RRB-))
     (. .) ))
; a comment (with a bracket
( (FRAG (NN No) (. .)) )
"""


def test_a_file_of_the_penn_treebank():
    forest = ts.Forest.from_brackets(PENN, labelled=True)
    assert forest.n_trees == 2
    assert forest.labels[forest.roots].tolist() == ["S", "FRAG"]
    words = [forest.labels[:9][forest.tree_of[:9] == i].tolist() for i in range(2)]
    assert words == [["Ms.", "Haag", "plays", "Elianti", "-LRB-", "*T*-1", "-RRB-", "."], ["No"]]
    assert forest.n_leaves == 10


def test_a_file_of_the_sentiment_treebank_a_tree_a_line(tmp_path):
    lines = ["(3 (2 It) (4 (4 (2 's) (4 good)) (2 .)))", "(1 (2 #) (1 bad]))", "(2 (2 1\u00a01/2) (2 ;))"]
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    trees = read_trees(tmp_path / "train.txt")
    assert [tree.brackets() for tree in trees] == lines
    assert [tree.labels[tree.root] for tree in trees] == ["3", "1", "2"]
    assert ts.Forest(trees).n_trees == 3


def test_trees_in_square_brackets_and_tags_between_trees():
    forest = ts.Forest.from_brackets("<S ID=1>\n[a [b c]]\n</S>\n# x\n// y\n% z\n[d e] # behind\n[f g]")
    assert forest.labels[: forest.n_leaves].tolist() == list("abcdefg")


def test_an_empty_bracket_around_several_trees_stays():
    forest = ts.Forest.from_brackets("((S a) (S b)) ((S c))", labelled=True)
    assert forest.labels[forest.roots].tolist() == [None, "S"]
    assert ts.Forest.from_brackets("((a b))").depth == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "holds no tree"),
        ("", "holds no tree"),
        ("(a b)\nstray (c d)", "line 2: 'stray' stands outside the brackets"),
        ("(a b)\n\n(c (d e)\n", r"tree that begins in line 3: unbalanced brackets: the '\(' at character 7"),
        ("(a b)\n)", r"tree that begins in line 2: unbalanced brackets: the '\)' at character 6 closes nothing"),
        ("(a b) (c ())", "tree that begins in line 1: a missing child"),
        (3, "text such as"),
    ],
)
def test_files_that_cannot_be_read_name_the_line(text, message):
    with pytest.raises(DataError, match=message):
        ts.Forest.from_brackets(text)


def test_a_file_without_trees_and_one_with_a_fault_are_named(tmp_path):
    file = tmp_path / "x.mrg"
    for content, message in {
        "% only\n": "x.mrg holds no tree",
        "(S a)\n(S b": "x.mrg: the tree that begins in line 2",
    }.items():
        file.write_text(content)
        with pytest.raises(DataError, match=message):
            read_trees(file)
    with pytest.raises(ts.TinyseqError, match="no such text file"):
        read_trees(tmp_path / "gone")


def test_many_trees_in_place_of_one_say_what_reads_them():
    with pytest.raises(DataError, match=r"ts\.Forest\.from_brackets"):
        ts.Tree.from_brackets("(a b) (c d)")


def test_a_treebank_of_deep_trees_is_read_without_recursion():
    text = "(" * 50_000 + "a" + " b)" * 50_000
    assert ts.Forest.from_brackets(f"{text}\n{text}").depth == 50_000
