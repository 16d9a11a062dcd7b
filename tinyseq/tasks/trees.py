"""Tasks over trees: ListOps, random binary trees, and real ones: treebanks, expressions of Python's own library."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.checks import generator
from tinyseq.errors import DataError
from tinyseq.habits import advised
from tinyseq.structure.brackets import read_treebank
from tinyseq.structure.tree import Tree
from tinyseq.structure.tree_formats import read_ast
from tinyseq.tasks.text_files import read_text

# -- ListOps ------------------------------------------------------------------------------------------------------
OPERATORS = ("MIN", "MAX", "MED", "SM")
LISTOPS_VOCABULARY: dict[Any, int] = {label: i for i, label in enumerate((*range(10), *OPERATORS))}


def listops_tree(
    rng: np.random.Generator,
    *,
    max_depth: int = 20,
    max_arguments: int = 5,
    p_operator: float = 0.25,
    operators: tuple[str, ...] = OPERATORS,
) -> Tree:
    """One expression of ListOps (Nangia & Bowman 2018): operators label inner nodes, digits 0–9 the leaves.

    A node at depth d < ``max_depth`` (the root has depth 1) is an operator with probability ``p_operator`` and then has
    2 to ``max_arguments`` arguments; otherwise it is a digit. All choices are uniform. Most trees are a lone digit:
    ``listops`` sorts them out.
    """
    return Tree.from_parents(*_draw(generator(rng), max_depth, max_arguments, p_operator, operators))


def _draw(
    rng: np.random.Generator, max_depth: int, max_arguments: int, p_operator: float, operators: tuple[str, ...]
) -> tuple[np.ndarray, list[Any]]:
    """Parents and labels, level by level."""
    if max_depth < 1 or max_arguments < 2:
        raise DataError(f"ListOps needs max_depth ≥ 1 and max_arguments ≥ 2, got {max_depth} and {max_arguments}")
    if set(operators) - set(OPERATORS) or not operators:
        raise DataError(f"ListOps operators are some of {OPERATORS}, got {operators!r}")
    parents, labels, first = [np.array([-1])], [], 0
    for depth in range(1, max_depth + 1):
        level = len(parents[-1])
        inner = rng.random(level) < (p_operator if depth < max_depth else 0.0)
        arguments = rng.integers(2, max_arguments + 1, level) * inner
        digits, names = rng.integers(0, 10, level).tolist(), rng.integers(0, len(operators), level).tolist()
        labels += [operators[names[i]] if inner[i] else digits[i] for i in range(level)]
        if not inner.any():
            break
        parents.append(np.repeat(first + np.arange(level), arguments))
        first += level
    return np.concatenate(parents), labels


def listops_answer(tree: Tree) -> int:
    """The value of a ListOps expression: MIN, MAX, MED (the median, rounded down), SM (the sum modulo 10)."""
    values: list[int] = []
    for position, label in enumerate(tree.labels.tolist()):
        below = [values[child] for child in tree.children_of(position)]
        if not below:
            values.append(label)
        elif label == "MED":
            ordered, middle = sorted(below), len(below) // 2
            values.append(ordered[middle] if len(below) % 2 else (ordered[middle - 1] + ordered[middle]) // 2)
        elif label in OPERATORS:
            values.append(min(below) if label == "MIN" else max(below) if label == "MAX" else sum(below) % 10)
        else:
            raise DataError(f"{label!r} at position {position} is no ListOps operator; they are {OPERATORS}")
    return values[-1]


def listops(
    n: int,
    rng: np.random.Generator,
    *,
    nodes: tuple[int, int] = (3, 100),
    max_depth: int = 20,
    max_arguments: int = 5,
    p_operator: float = 0.25,
    operators: tuple[str, ...] = OPERATORS,
) -> tuple[list[Tree], np.ndarray]:
    """n expressions with a number of nodes in the inclusive range ``nodes``, and their answers (n,).

    ``forest.tokens(LISTOPS_VOCABULARY)`` gives their tokens; the other options are those of ``listops_tree``. Raises
    DataError where 10,000 trees in a row miss the range.
    """
    trees: list[Tree] = []
    missed = 0
    while len(trees) < n:
        parents, labels = _draw(generator(rng), max_depth, max_arguments, p_operator, operators)
        missed = 0 if nodes[0] <= len(labels) <= nodes[1] else missed + 1
        if not missed:
            trees.append(Tree.from_parents(parents, labels))
        elif missed == 10_000:
            raise DataError(f"10,000 ListOps trees in a row had fewer than {nodes[0]} or more than {nodes[1]} nodes")
    return trees, np.array([listops_answer(tree) for tree in trees], np.int64)


# -- shapes -------------------------------------------------------------------------------------------------------
def random_tree(n_leaves: int, rng: np.random.Generator) -> Tree:
    """A binary tree over so many leaves, each node splitting its leaves at a uniformly drawn place."""
    if n_leaves < 1:
        raise DataError(f"a tree needs at least one leaf, got n_leaves = {n_leaves}")
    parents: list[int] = []
    stack = [(-1, n_leaves)]
    while stack:
        parent, size = stack.pop()
        here = len(parents)
        parents.append(parent)
        if size > 1:
            left = int(rng.integers(1, size))
            stack += [(here, size - left), (here, left)]
    return Tree.from_parents(parents)


# -- treebanks ----------------------------------------------------------------------------------------------------
@advised
def read_trees(path: str | Path, labelled: bool = True) -> list[Tree]:
    """The trees of a treebank's file in brackets, as of the Penn Treebank, the Stanford Sentiment Treebank, CoreNLP.

    The file is UTF-8 text of any number of trees, each on one line or several; comments and tags between them are left
    out, and so is an empty bracket around a tree. Words and labels stay as written: traces ``(-NONE- *)``, ``-LRB-``.
    ``ts.Forest(trees)`` makes a batch of them. Raises FileError and DataError as ``read_text`` does, and DataError
    naming the line where brackets do not match.
    """
    try:
        trees = [Tree.from_parents(*read) for read in read_treebank(read_text(path), labelled)]
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    if not trees:
        raise DataError(f"{path} holds no tree; a tree is written for instance (S (NP she) (VP sings))")
    return trees


# -- Python's own syntax ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Expression:
    """An expression of a source file, as its syntax tree with class names as labels, and as written."""

    tree: Tree
    source: str
    file: str
    line: int


def library_expressions(n: int, *, nodes: tuple[int, int] = (5, 100)) -> list[Expression]:
    """The first n whole expressions of the standard library, file by file in the order of their names.

    An expression that is part of a larger one is not taken by itself; ``nodes`` is the inclusive range of sizes. Raises
    DataError where the library's sources hold fewer.
    """
    found: list[Expression] = []
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = text.encode().split(b"\n")
        for node in _whole_expressions(text):
            parents, labels = read_ast(node, names=False)
            if nodes[0] <= len(parents) <= nodes[1]:
                found.append(
                    Expression(Tree.from_parents(parents, labels), _segment(lines, node), path.name, node.lineno)
                )
                if len(found) == n:
                    return found
    raise DataError(
        f"{n} expressions of {nodes[0]} to {nodes[1]} nodes asked for; the sources in {folder} hold {len(found)}"
    )


def _whole_expressions(text: str) -> list[ast.expr]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the library's sources say of themselves is no concern of the reader's
        stack: list[ast.AST] = [ast.parse(text)]
    found = []
    while stack:
        node = stack.pop()
        if isinstance(node, ast.expr):
            found.append(node)
        else:
            stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def _segment(lines: list[bytes], node: ast.expr) -> str:
    """The text of a node; columns of the syntax tree count bytes of UTF-8."""
    last = (node.end_lineno or node.lineno) - 1
    part = lines[node.lineno - 1 : last + 1]
    part[-1] = part[-1][: node.end_col_offset]
    part[0] = part[0][node.col_offset :]
    return b"\n".join(part).decode()
