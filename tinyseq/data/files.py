"""Other files of labelled sequences: folders of texts by class, JSON lines, CoNLL-U, Python's own syntax."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.data.sequences import Sequences
from tinyseq.data.treebanks import names_of
from tinyseq.data.trees import Trees
from tinyseq.errors import DataError, FileError
from tinyseq.habits import advised
from tinyseq.structure.tree import Tree
from tinyseq.structure.tree_formats import read_ast
from tinyseq.tasks.text_files import read_text


@advised
def texts(folder: str | Path, *, words: bool = True, least: int = 1, vocabulary: Any = None, classes: Any = None,
          longest: int = 0) -> Sequences:  # fmt: skip
    """Texts by class: a folder with a folder of text files for each class.

    words       words between white space, in small letters; else characters
    least       words seen less often than that are unknown, number 0
    longest     only so many of the first tokens of each text; 0 for all
    vocabulary, classes   as other texts had them
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder; texts by class are {folder}/CLASS/FILE.txt")
    kinds = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    known = tuple(map(str, classes)) if classes is not None else tuple(kinds)
    if len(known) < 2 or not kinds:
        raise DataError(f"{folder} holds {len(kinds)} folders of texts; one for each class, and at least two")
    rows, y = [], []
    for kind in kinds:
        if kind not in known:
            raise DataError(f"{folder / kind} is a class the model does not know; it knows {', '.join(known)}")
        for file in sorted(p for p in (folder / kind).iterdir() if p.is_file() and not p.name.startswith(".")):
            tokens = _tokens(read_text(file), words)
            if not tokens:
                raise DataError(f"{file} holds no words")
            rows.append(tokens[:longest] if longest else tokens)
            y.append(known.index(kind))
    if len(set(y)) < 2 and classes is None:
        raise DataError(f"the texts in {folder} are of {len(set(y))} class; at least two are needed")
    about = {"read": "texts", "words": words, "longest": longest}
    return _of_tokens(rows, np.array(y, np.int64), str(folder), known, vocabulary, least, about)


def _tokens(text: str, words: bool) -> list[str]:
    return text.lower().split() if words else list(text)


def _of_tokens(
    rows: list[list[str]], y: Any, name: str, classes: Any, vocabulary: Any, least: int, about: dict[str, Any]
) -> Sequences:
    known = names_of(rows, least) if vocabulary is None else tuple(map(str, vocabulary))
    number = {token: i for i, token in enumerate(known)}
    x = [np.array([number.get(token, 0) for token in row], np.int64) for row in rows]
    return Sequences.of(x, y, name, classes=classes, vocabulary=known, about=about)


@advised
def json_lines(
    path: str | Path, *, x: str = "x", y: str | None = "y", group: str | None = None, vocabulary: Any = None,
    classes: Any = None, reals: bool | None = None, least: int = 1,
) -> Sequences:  # fmt: skip
    """Sequences from a file with a JSON object on each line: {"x": [[0.1, 0.2], …], "y": "cat"}.

    x       the key of the sequence: rows of numbers, numbers, or a text or a list of words, which become tokens
    y       the key of the target: a text or a whole number is a class, another number a real; a list one for each step;
            None for a file without targets
    group   the key of what belongs together
    reals   whether targets are real numbers, where whole ones would be classes

    Raises DataError that names file, line and key.
    """
    found, lines = [], []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            thing = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: no JSON: {error}") from None
        if not isinstance(thing, dict):
            raise DataError(f"{path}, line {number}: an object was expected, {{{x!r}: …}}; got {type(thing).__name__}")
        for key in (x, y, group):
            if key is not None and key not in thing:
                raise DataError(f"{path}, line {number} has no key {key!r}; its keys are {', '.join(thing) or 'none'}")
        found.append(thing)
        lines.append(f"{path}, line {number}")
    if not found:
        raise DataError(f"{path} holds no lines")
    about = {"read": "json_lines", "x": x, "y": y}
    known = None if classes is None else tuple(map(str, classes))
    targets, named = (None, ()) if y is None else _json_targets([thing[y] for thing in found], lines, y, known, reals)
    groups = None if group is None else np.array([str(thing[group]) for thing in found])
    rows = [thing[x] for thing in found]
    if all(isinstance(row, str) or _texts(row) for row in rows):
        words = [_tokens(row, True) if isinstance(row, str) else row for row in rows]
        for where, row in zip(lines, words, strict=True):
            if not row:
                raise DataError(f"{where}, key {x!r}: no words")
        data = _of_tokens(words, targets, str(path), named, vocabulary, least, about)
        return data if groups is None else Sequences(**{**vars(data), "groups": groups})
    made = [_json_numbers(row, where, x) for row, where in zip(rows, lines, strict=True)]
    for where, array in zip(lines, made, strict=True):
        if array.shape[1] != made[0].shape[1]:
            raise DataError(f"{where}, key {x!r}: {array.shape[1]} features, {lines[0]} has {made[0].shape[1]}")
    return Sequences.of(made, targets, str(path), classes=named, groups=groups, about=about)


def _texts(row: Any) -> bool:
    return isinstance(row, list) and bool(row) and all(isinstance(word, str) for word in row)


def _json_numbers(row: Any, where: str, key: str) -> np.ndarray:
    try:
        if not isinstance(row, list) or not row:
            raise ValueError
        array = np.array(row, np.float32)
        if array.ndim not in (1, 2) or not np.isfinite(array).all() or 0 in array.shape:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise DataError(
            f"{where}, key {key!r}: a sequence is a list of numbers or of rows of as many numbers, got {str(row)[:60]}"
        ) from None
    return array[:, None] if array.ndim == 1 else array


def _json_reals(target: list[Any], where: str, key: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            array = np.array(target, np.float32)
    except OverflowError:
        array = np.full(1, np.inf, np.float32)
    if not np.isfinite(array).all():
        raise DataError(f"{where}, key {key!r}: {str(target)[:60]} is no finite number, or too large for float32")
    return array


def _json_targets(
    targets: list[Any], lines: list[str], key: str, known: Any, reals: bool | None
) -> tuple[Any, tuple[str, ...]]:
    """Targets of sequences or of their steps, and the names of their classes."""
    listed = all(isinstance(t, list) for t in targets)
    for where, target in zip(lines, targets, strict=True):
        parts = target if listed else [target]
        if isinstance(target, list) != listed or not parts or any(type(p) not in (str, int, float) for p in parts):
            raise DataError(
                f"{where}, key {key!r}: a target is a text, a number, or in all lines a list of such, one for each "
                f"step; got {str(target)[:60]}"
            )
    every = [p for target in targets for p in (target if listed else [target])]
    numbers = all(type(p) in (int, float) for p in every)
    if reals and not numbers:
        raise DataError(f"{lines[0].rsplit(',', 1)[0]}: key {key!r} holds texts, where numbers are expected")
    if reals or (reals is None and known is None and numbers and any(type(p) is float for p in every)):
        rows = [_json_reals(t if listed else [t], where, key) for t, where in zip(targets, lines, strict=True)]
        return (rows if listed else np.concatenate(rows)), ()
    names = known or tuple(sorted({str(p) for p in every}))
    if len(names) < 2:
        raise DataError(f"{lines[0].rsplit(',', 1)[0]}: key {key!r} has one class only, {names[0]!r}")
    for where, target in zip(lines, targets, strict=True):
        for part in target if listed else [target]:
            if str(part) not in names:
                raise DataError(f"{where}, key {key!r}: {part!r} is no class of {', '.join(names)}")
    number = {name: i for i, name in enumerate(names)}
    if listed:
        return [np.array([number[str(p)] for p in target], np.int64) for target in targets], names
    return np.array([number[str(target)] for target in targets], np.int64), names


@advised
def conllu(
    path: str | Path, *, what: str = "tags", label: str = "upos", least: int = 1, vocabulary: Any = None,
    classes: Any = None,
) -> Sequences | Trees:  # fmt: skip
    """Sentences of a CoNLL-U file, read by the library conllu (``pip install 'tinyseq[data]'``).

    what    "tags": words, and for each its ``label``, "upos", "xpos", "deprel" …; "trees": dependency trees with a word
            and the label at every node

    Ranges of words (1-2) and empty nodes (8.1) are left out. Raises DataError that names the sentence.
    """
    if what not in ("tags", "trees"):
        raise DataError(f"what is 'tags' or 'trees', got {what!r}")
    sentences = _sentences(path)
    words = [[str(token["form"]).lower() for token in s] for s in sentences]
    tags = [[str(token.get(label)) for token in s] for s in sentences]
    known = tuple(map(str, classes)) if classes is not None else tuple(sorted({tag for row in tags for tag in row}))
    if len(known) < 2:
        raise DataError(f"{path}: {label} has one class only, {known[0]!r}")
    number = {tag: i for i, tag in enumerate(known)}
    for i, row in enumerate(tags):
        for word, tag in zip(words[i], row, strict=True):
            if tag not in number:
                raise DataError(
                    f"{path}, sentence {i + 1}: {label} of {word!r} is {tag!r}, which the model does not know"
                )
    y = [np.array([number[tag] for tag in row], np.int64) for row in tags]
    about = {"read": "conllu", "what": what, "label": label}
    data = _of_tokens(words, y, str(path), known, vocabulary, least, about)
    if what == "tags":
        return data
    trees = [_dependencies(s, f"{path}, sentence {i + 1}") for i, s in enumerate(sentences)]
    x = [row[tree.numbers] for row, tree in zip(data.x, trees, strict=True)]
    y = [row[tree.numbers] for row, tree in zip(y, trees, strict=True)]
    return Trees.of(trees, x, y, str(path), classes=known, vocabulary=data.vocabulary, about=about)


def _sentences(path: str | Path) -> list[list[Any]]:
    try:
        from conllu import parse
        from conllu.exceptions import ParseException
    except ImportError:
        raise FileError("CoNLL-U is read by the library conllu: pip install 'tinyseq[data]'") from None
    text = read_text(path)
    try:
        parsed = parse(text)
    except (ParseException, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is not CoNLL-U: {error}") from None
    found = [[token for token in sentence if isinstance(token.get("id"), int)] for sentence in parsed]
    found = [sentence for sentence in found if sentence]
    if not found:
        raise DataError(f"{path} holds no sentence in CoNLL-U: ten columns apart by tabs")
    return found


def _dependencies(sentence: list[Any], where: str) -> Tree:
    place = {token["id"]: i for i, token in enumerate(sentence)}
    parents = []
    for token in sentence:
        head = token.get("head")
        if head is None or (head != 0 and head not in place):
            raise DataError(f"{where}: the head of {token['form']!r} is {head}, which is no word of the sentence")
        parents.append(place[head] if head else -1)
    try:
        return Tree.from_parents(parents)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


@advised
def python(
    paths: str | Path | Sequence[str | Path],
    *,
    label: Callable[[ast.AST], Any] | None = None,
    nodes: tuple[int, int] = (3, 200),
    vocabulary: Any = None,
    classes: Any = None,
) -> Trees:
    """The functions of Python files as syntax trees, with the kind of each node as its token.

    label   gives the class of a function from its node of the module ``ast``, None for one to leave out; without it
            the class is whether the function returns a value
    nodes   the range of sizes
    """
    say = label or _returns
    trees, tags = [], []
    given = [Path(p) for p in ([paths] if isinstance(paths, (str, Path)) else paths)]
    files = [f for p in given for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what sources say of themselves is no concern here
                module = ast.parse(read_text(file))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise DataError(f"{file} is not Python: {error}") from None
        for node in ast.walk(module):
            tag = say(node) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else None
            if tag is not None:
                parents, labels = read_ast(node, names=False)
                if nodes[0] <= len(parents) <= nodes[1]:
                    trees.append(Tree.from_parents(parents, labels))
                    tags.append(str(tag))
    name = ", ".join(map(str, given))
    if not trees:
        raise DataError(f"{name} holds no function of {nodes[0]} to {nodes[1]} nodes")
    known = names_of([list(tree.labels) for tree in trees]) if vocabulary is None else tuple(map(str, vocabulary))
    kinds = tuple(sorted(set(tags))) if classes is None else tuple(map(str, classes))
    if len(kinds) < 2:
        raise DataError(f"{name}: the functions are of one class only, {kinds[0]!r}; give label=")
    number = {token: i for i, token in enumerate(known)}
    x = [np.array([number.get(token, 0) for token in tree.labels], np.int64) for tree in trees]
    y = np.array([kinds.index(tag) for tag in tags], np.int64)
    return Trees.of(trees, x, y, name, classes=kinds, vocabulary=known, about={"read": "python"})


def _returns(function: ast.AST) -> str:
    found = any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))
    return "returns" if found else "returns nothing"
