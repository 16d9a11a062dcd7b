"""Trees written with brackets: one, or a treebank's whole file of them.

A word is what stands between brackets and ASCII white space; other spaces (U+00A0, U+3000) are characters of words. In
a tree that begins with "(", "[" and "]" are characters of words too. What cannot stand in a word is written by its
code: ``\\x20`` a space, ``\\x28`` and ``\\x29`` brackets, ``\\x5c`` a backslash where such a code would follow; other
backslashes (``1\\/2``) are characters as any. Stacks, not recursion: a tree of any depth can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyseq.errors import DataError

Read = tuple[list[int], list[Any]]

_ROUND = re.compile(r"[()]|[^()\s]+", re.ASCII)
_BOTH = re.compile(r"[()\[\]]|[^()\[\]\s]+", re.ASCII)
_MARK = re.compile(r"\ufeff(?=\s*[(\[])", re.ASCII)
_SQUARE = re.compile(r"(?:\s*(?:[#%;<]|//|\*x\*)[^\n]*\n)*\s*\[", re.ASCII)  # what a text of trees in [ ] begins with
_CLOSING = {"(": ")", "[": "]"}
_COMMENT = ("#", "%", ";", "//", "<", "*x*")
_CODE = re.compile(r"\\x(09|0a|0b|0c|0d|20|28|29|5b|5c|5d)")
_BACKSLASH = re.compile(r"\\(?=x(?:09|0a|0b|0c|0d|20|28|29|5b|5c|5d))")
_NO_WORD = re.compile(r"[()\s]", re.ASCII)


class _Words:
    """Brackets and words of a text with their places, one after the other."""

    def __init__(self, text: Any) -> None:
        if not isinstance(text, str):
            raise DataError(f"a bracket string is text such as '(a (b c))', got {type(text).__name__}")
        self.text = text
        mark = _MARK.match(text)  # a byte-order mark that reading the file left there
        self.at = mark.end() if mark else 0
        self.pattern = _BOTH if _SQUARE.match(text, self.at) else _ROUND
        self.brackets = "()[]" if self.pattern is _BOTH else "()"

    def next(self) -> tuple[str, int]:
        """The next one and its place; ("", −1) at the end."""
        match = self.pattern.search(self.text, self.at)
        if match is None:
            return "", -1
        self.at = match.end()
        return match.group(), match.start()

    def skip_line(self) -> None:
        """Go on behind the line."""
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def line(self, at: int) -> int:
        """The number of the line, from 1, in which a character stands."""
        return self.text.count("\n", 0, at) + 1


def read_brackets(text: str, labelled: bool = False) -> Read:
    """A bracket string, "(a (b c))"; ``labelled``: the first word after a bracket is its node's label."""
    words = _Words(text)
    word, at = words.next()
    if not word:
        raise DataError("an empty tree: the bracket string holds no word; write for instance '(a (b c))'")
    tree = _tree(words, word, at, labelled)
    word, at = words.next()
    if word and word in ")]" and word in words.brackets:
        raise _closes_nothing(word, at)
    if word:
        raise DataError(
            f"two roots: the tree is complete before character {at}, where {word[:40]!r} follows; many trees are read "
            "by ts.Forest.from_brackets"
        )
    return tree


def read_treebank(text: str, labelled: bool = False) -> Iterator[Read]:
    """The trees of a whole file, one after the other; between them may stand comments.

    A comment reaches from one of # % ; // < *x* outside a tree to the end of its line. ``labelled``: a bracket without
    a label around one tree, as the Penn Treebank writes ``( (S …))``, is left out.
    """
    words = _Words(text)
    while True:
        word, at = words.next()
        if not word:
            return
        if word.startswith(_COMMENT):
            words.skip_line()
            continue
        if word not in words.brackets:
            raise DataError(
                f"line {words.line(at)}: {word[:40]!r} stands outside the brackets of a tree; a comment begins with "
                f"one of {' '.join(_COMMENT)}"
            )
        try:
            tree = _tree(words, word, at, labelled)
        except DataError as error:
            raise DataError(f"the tree that begins in line {words.line(at)}: {error}") from None
        yield _without_empty_root(tree) if labelled else tree


def _without_empty_root(tree: Read) -> Read:
    parents, labels = tree
    if labels[0] is not None or len(parents) < 3 or parents.count(0) != 1:
        return tree
    return [parent - 1 for parent in parents[1:]], labels[1:]


def _tree(words: _Words, word: str, at: int, labelled: bool) -> Read:
    """The tree that begins with a word or bracket, up to the bracket that closes it."""
    parents: list[int] = []
    labels: list[Any] = []
    branches: list[int] = []
    opened: list[tuple[int, str, int]] = []
    while word:
        bracket = word in words.brackets
        if bracket and word in ")]":
            _close(word, at, opened, branches)
        elif not bracket and labelled and opened and not branches[opened[-1][0]] and labels[opened[-1][0]] is None:
            labels[opened[-1][0]] = _decoded(word)
        else:
            here = len(parents)
            parents.append(opened[-1][0] if opened else -1)
            branches.append(0)
            labels.append(None if bracket else _decoded(word))
            if opened:
                branches[opened[-1][0]] += 1
            if bracket:
                opened.append((here, word, at))
        if not opened:
            return parents, labels
        word, at = words.next()
    raise DataError(f"unbalanced brackets: the {opened[-1][1]!r} at character {opened[-1][2]} is never closed")


def _close(word: str, at: int, opened: list[tuple[int, str, int]], branches: list[int]) -> None:
    if not opened:
        raise _closes_nothing(word, at)
    node, bracket, start = opened.pop()
    if _CLOSING[bracket] != word:
        raise DataError(f"unbalanced brackets: the {bracket!r} at character {start} is closed by {word!r} at {at}")
    if not branches[node]:
        raise DataError(f"a missing child: the node opened at character {start} and closed at {at} has no children")


def _closes_nothing(word: str, at: int) -> DataError:
    return DataError(f"unbalanced brackets: the {word!r} at character {at} closes nothing")


def _decoded(word: str) -> str:
    return _CODE.sub(lambda code: chr(int(code.group(1), 16)), word) if "\\x" in word else word


def _encoded(label: Any, position: int, alone: bool) -> str:
    word = str(label)
    if not word:
        raise DataError(f"the label at position {position} is the empty text, which brackets cannot show; name it")
    word = _BACKSLASH.sub(lambda _: r"\x5c", word)
    word = _NO_WORD.sub(lambda character: f"\\x{ord(character.group()):02x}", word)
    return word.replace("[", r"\x5b") if alone else word


def write_brackets(pointers: np.ndarray, children: np.ndarray, labels: np.ndarray, root: int) -> str:
    """The bracket string of a tree; inner nodes' labels first in their brackets, leaves without one as numbers."""
    arity = np.diff(pointers)
    some = any(label is not None for label in labels[arity > 0])
    pieces: list[str] = []
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if node == ")":
            pieces.append(node)
            continue
        if pieces and pieces[-1] != "(":
            pieces.append(" ")
        below = children[pointers[node] : pointers[node + 1]].tolist()
        label = labels[node]
        if not below:
            pieces.append(str(node) if label is None else _encoded(label, node, node == root))
            continue
        pieces.append("(")
        if label is not None:
            pieces.append(_encoded(label, node, alone=False))
        elif some and not arity[below[0]]:
            raise DataError(
                f"the node at position {node} has no label, others have: its first leaf would be read as its label. "
                "Label all inner nodes, or none"
            )
        stack.append(")")
        stack.extend(reversed(below))
    return "".join(pieces)
