"""How trees are written: nested tuples, bracket strings, Python's syntax trees.

Each reader returns each node's parent and label in reading order (a node before its children, left to right).
Stacks, not recursion: a tree of any depth can be read.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from tinyseq.errors import DataError

Read = tuple[list[int], list[Any]]

_WORD = re.compile(r"[()\[\]]|[^\s()\[\]]+")
_CLOSING = {"(": ")", "[": "]"}


def read_nested(nested: Any, labelled: bool = False) -> Read:
    """Nested tuples or lists; ``labelled``: the first entry of each is its label."""
    parents: list[int] = []
    labels: list[Any] = []
    above: set[int] = set()  # the lists that enclose the item: a list inside itself would never end
    stack: list[tuple[Any, int]] = [(nested, -1)]
    while stack:
        item, parent = stack.pop()
        if parent == -2:
            above.remove(id(item))
            continue
        here = len(parents)
        if item is None:
            raise DataError(f"a missing child: entry {here} in reading order is None")
        parents.append(parent)
        if not isinstance(item, (tuple, list)):
            labels.append(item)
            continue
        if id(item) in above:
            raise DataError(f"a cycle, no tree: the list that is node {here} in reading order contains itself")
        branches = item[1:] if labelled else item
        if not branches:
            what = "an empty tree" if not item and parent < 0 else f"a missing child: node {here} in reading order"
            raise DataError(f"{what} is {item!r}; a node needs at least one child, a leaf is written without brackets")
        labels.append(item[0] if labelled else None)
        above.add(id(item))
        stack.append((item, -2))
        stack.extend((branch, here) for branch in reversed(branches))
    return parents, labels


def read_brackets(text: str, labelled: bool = False) -> Read:
    """A bracket string, "(a (b c))"; ``labelled``: the first word after a bracket is its node's label."""
    if not isinstance(text, str):
        raise DataError(f"a bracket string is text such as '(a (b c))', got {type(text).__name__}")
    parents: list[int] = []
    labels: list[Any] = []
    branches: list[int] = []
    opened: list[tuple[int, str, int]] = []
    for match in _WORD.finditer(text):
        word, at = match.group(), match.start()
        if word in ")]":
            _close(word, at, opened, branches)
            continue
        if parents and not opened:
            raise DataError(f"two roots: the tree is complete before character {at}, where {word!r} follows")
        if word not in "([" and labelled and opened and not branches[opened[-1][0]] and labels[opened[-1][0]] is None:
            labels[opened[-1][0]] = word
            continue
        here = len(parents)
        parents.append(opened[-1][0] if opened else -1)
        branches.append(0)
        labels.append(word if word not in "([" else None)
        if opened:
            branches[opened[-1][0]] += 1
        if word in "([":
            opened.append((here, word, at))
    if opened:
        raise DataError(f"unbalanced brackets: the {opened[-1][1]!r} at character {opened[-1][2]} is never closed")
    if not parents:
        raise DataError("an empty tree: the bracket string holds no word; write for instance '(a (b c))'")
    return parents, labels


def _close(word: str, at: int, opened: list[tuple[int, str, int]], branches: list[int]) -> None:
    if not opened:
        raise DataError(f"unbalanced brackets: the {word!r} at character {at} closes nothing")
    node, bracket, start = opened.pop()
    if _CLOSING[bracket] != word:
        raise DataError(f"unbalanced brackets: the {bracket!r} at character {start} is closed by {word!r} at {at}")
    if not branches[node]:
        raise DataError(f"a missing child: the node opened at character {start} and closed at {at} has no children")


def read_ast(source: Any, names: bool = True) -> Read:
    """A Python expression as text, or a node of the module ``ast``; load and store contexts are left out."""
    if isinstance(source, str):
        try:
            source = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise DataError(f"Python cannot parse {source[:60]!r} as an expression: {error}") from None
    if isinstance(source, ast.Expression):
        source = source.body
    if not isinstance(source, ast.AST):
        raise DataError(f"expected a Python expression or a node of the module ast, got {type(source).__name__}")
    parents: list[int] = []
    labels: list[Any] = []
    stack = [(source, -1)]
    while stack:
        node, parent = stack.pop()
        here = len(parents)
        parents.append(parent)
        below = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context)]
        labels.append(_syntax_label(node, names))
        stack.extend((child, here) for child in reversed(below))
    return parents, labels


def _syntax_label(node: ast.AST, names: bool) -> str:
    if names and isinstance(node, ast.Name):
        return node.id
    if names and isinstance(node, ast.Constant):
        return repr(node.value)
    return type(node).__name__


def write_brackets(pointers: np.ndarray, children: np.ndarray, labels: np.ndarray, root: int) -> str:
    """The bracket string of a tree; inner nodes' labels first in their brackets, leaves without one as numbers."""
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
            pieces.append(str(node if label is None else label))
            continue
        pieces.append("(")
        if label is not None:
            pieces.append(str(label))
        stack.append(")")
        stack.extend(reversed(below))
    return "".join(pieces)
