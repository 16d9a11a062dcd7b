"""Treebanks in brackets as data: empty nodes left out, chains of single children joined, wide nodes made binary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.data.trees import Trees
from tinyseq.errors import DataError, FileError
from tinyseq.habits import advised
from tinyseq.structure.brackets import read_treebank
from tinyseq.structure.tree import Tree
from tinyseq.tasks.text_files import read_text

UNKNOWN = "<unknown>"
EMPTY_NODE = "-NONE-"
Node = tuple[Any, Any, list[int]]  # (label, word, children)


@advised
def treebank(
    paths: str | Path | Sequence[str | Path],
    *,
    labels: str = "every",
    binary: str | None = "right",
    collapse: bool = True,
    empty: bool = False,
    functions: bool = False,
    vocabulary: Any = None,
    classes: Any = None,
    least: int = 1,
) -> Trees:
    """Trees of one file or several, or of a folder's files: Penn Treebank, Stanford Sentiment Treebank, CoreNLP.

    labels      "every": each node's label is its class, −1 where it has none; "root": that of the root alone
    binary      "right" or "left": a node of more than two children becomes nested pairs, whose new nodes have no label;
                None keeps them as they are
    collapse    a node with a single child becomes one with it, and keeps the upper label
    empty       keep empty nodes, ``(-NONE- *T*-1)``; they are left out, and nodes that then have no child
    functions   keep what stands after a label's hyphen or equals sign: NP-SBJ; else it is NP
    vocabulary, classes   names in the order of their numbers, as other trees had them; unknown words are number 0
    least       words seen less often than that are unknown

    Raises FileError and DataError that name the file, and the line of a tree that cannot be read.
    """
    if labels not in ("every", "root") or binary not in ("left", "right", None):
        raise DataError(f"labels is 'every' or 'root', binary 'left', 'right' or None; got {labels!r}, {binary!r}")
    trees, groups = list[Any](), list[str]()
    files = _files(paths)
    for file in files:
        for place, read in enumerate(_read(file)):
            nodes = _nodes(read, empty, collapse, functions)
            if nodes:
                trees.append(_tree(_binary(nodes, binary), f"{file}, tree {place + 1}"))
                groups.append(str(file))
    name = str(files[0]) if len(files) == 1 else f"{len(files)} files of {Path(files[0]).parent}"
    if not trees:
        raise DataError(f"{name} holds no tree with words; a tree is written for instance (S (NP she) (VP sings))")
    words = [[word for _, word in tree.labels[: tree.n_leaves]] for tree in trees]
    known = names_of(words, least) if vocabulary is None else tuple(map(str, vocabulary))
    number = {word: i for i, word in enumerate(known)}
    x = [np.array([number.get(word, 0) for word in row], np.int64) for row in words]
    tags = [[tag for tag, _ in tree.labels] for tree in trees]
    y, named = _classes(name, tags, labels, classes)
    for tree in trees:  # what pictures show
        tree.labels[:] = [tag if word is None else word for tag, word in tree.labels]
    about = {"read": "treebank", "labels": labels, "binary": binary, "collapse": collapse, "empty": empty,
             "functions": functions}  # fmt: skip
    return Trees.of(trees, x, y, name, classes=named, vocabulary=known, about=about,
                    groups=groups if len(files) > 1 else None)  # fmt: skip


def names_of(words: Iterable[Sequence[str]], least: int = 1) -> tuple[str, ...]:
    """The vocabulary of texts: number 0 for what is unknown, then words by frequency."""
    counts = Counter(word for row in words for word in row)
    kept = [word for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= least]
    return (UNKNOWN, *[word for word in kept if word != UNKNOWN])


def _files(paths: Any) -> list[Path]:
    given = [Path(p) for p in ([paths] if isinstance(paths, (str, Path)) else paths)]
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            if not found:
                raise FileError(f"the folder {path} holds no file")
            files += found
        else:
            files.append(path)
    if not files:
        raise DataError("there are no files: the list is empty")
    return files


def _read(file: Path) -> Iterable[tuple[list[int], list[Any]]]:
    try:
        yield from read_treebank(read_text(file), labelled=True)
    except DataError as error:
        raise DataError(str(error) if str(file) in str(error) else f"{file}: {error}") from None


def _nodes(read: tuple[list[int], list[Any]], empty: bool, collapse: bool, functions: bool) -> list[Node]:
    """The nodes that are kept, children before their parents; the root last. Empty where none is."""
    parents, labels = read
    below: list[list[int]] = [[] for _ in parents]
    for i, parent in enumerate(parents):
        if parent >= 0:
            below[parent].append(i)
    made: list[Node] = []
    place: dict[int, int] = {}
    for i in range(len(parents) - 1, -1, -1):  # children come after their parents in reading order
        label = labels[i] if functions or labels[i] is None else _category(labels[i])
        if not below[i]:
            hidden = not empty and parents[i] >= 0 and labels[parents[i]] == EMPTY_NODE
            if not hidden:
                place[i] = _add(made, (None, labels[i], []))
            continue
        kept = [place[child] for child in below[i] if child in place]
        if not kept:
            continue
        if len(kept) == 1 and collapse:
            old = made[kept[0]]
            made[kept[0]] = (old[0] if label is None else label, *old[1:])
            place[i] = kept[0]
        else:
            place[i] = _add(made, (label, None, kept))
    return _in_order(made, place[0]) if 0 in place else []


def _add(made: list[Node], node: Node) -> int:
    made.append(node)
    return len(made) - 1


def _in_order(made: list[Node], root: int) -> list[Node]:
    """The nodes below a root, numbered anew, the root last."""
    order, stack = [], [root]
    while stack:
        order.append(stack.pop())
        stack += made[order[-1]][2]
    number = {node: len(order) - 1 - i for i, node in enumerate(order)}
    return [(made[i][0], made[i][1], [number[c] for c in made[i][2]]) for i in reversed(order)]


def _category(label: str) -> str:
    """NP of NP-SBJ-1; labels such as -LRB- stay."""
    if label.startswith("-"):
        return label
    return label.split("-", 1)[0].split("=", 1)[0] or label


def _binary(nodes: list[Node], binary: str | None) -> list[Node]:
    """Nodes of more than two children as nested pairs."""
    if binary is None:
        return nodes
    made: list[Node] = []
    place: list[int] = []
    for label, word, children in nodes:
        below = [place[c] for c in children]
        while len(below) > 2:
            pair = below[-2:] if binary == "right" else below[:2]
            new = _add(made, (None, None, pair))
            below = [*below[:-2], new] if binary == "right" else [new, *below[2:]]
        place.append(_add(made, (label, word, below)))
    return made


def _tree(nodes: list[Node], where: str) -> Tree:
    labels = [(label, word) for label, word, _ in nodes]
    try:
        return Tree.from_children([children for _, _, children in nodes], labels)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _classes(name: str, tags: list[list[Any]], labels: str, classes: Any) -> tuple[Any, tuple[str, ...]]:
    """Classes of roots or of all nodes; none where no node has a label."""
    wanted = [[row[-1]] for row in tags] if labels == "root" else tags
    found = {tag for row in wanted for tag in row if tag is not None}
    if not found and classes is None:
        return None, ()
    known = tuple(sorted(found)) if classes is None else tuple(map(str, classes))
    if len(known) < 2:
        more = "; every node's label is read with labels='every'" if labels == "root" else ""
        raise DataError(f"{name} has one class only, {known[0]!r}{more}")
    number = {tag: i for i, tag in enumerate(known)}
    if labels == "root":
        for i, row in enumerate(wanted):
            if row[0] not in number:
                raise DataError(
                    f"{name}: the root of tree {i + 1} is labelled {row[0]!r}; the classes are {known[:12]}"
                )
        return np.array([number[row[0]] for row in wanted], np.int64), known
    return [np.array([number.get(tag, -1) for tag in row], np.int64) for row in wanted], known
