"""How trees are written: nested tuples and Python's syntax trees; ``brackets`` has bracket strings.

Each reader returns each node's parent and label in reading order (a node before its children, left to right).
Stacks, not recursion: a tree of any depth can be read.
"""

from __future__ import annotations

import ast
from typing import Any

from tinyseq.errors import DataError

Read = tuple[list[int], list[Any]]


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
