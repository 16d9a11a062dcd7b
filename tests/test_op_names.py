"""Ops are told apart by what they say of themselves: outside ops/ and functions/ no source quotes an op's name.

Counted are comparisons and matches of an op with a name, names that ops are recorded, looked up or made into kinds by,
and lists of names at the top of a file. Words that happen to be an op's name too (``reduction="sum"``, a role in a
picture, a function's name in a hint) are none of these.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinyseq.ops import OPS

ROOT = Path(__file__).parent.parent
REWRITES = {"add", "matmul", "expand"}
ALLOWED: dict[str, tuple[set[str], str]] = {
    "tinyseq/tape/kinds.py": ({"input", "parameter"}, "the two leaves whose values the tape itself binds"),
    **{
        f"tinyseq/engine/plan/{name}.py": (REWRITES, "the planner's own rewrites: sums of products, rows repeated")
        for name in ("differentiate", "graph", "rewrite", "views", "write_gradients")
    },
}
AN_OP = re.compile(r"\bop\b|\bops?\.name\b")
BY_NAME = {"record", "Kind", "append", "recorded", "kernels_of"}


def _names(node: ast.AST) -> Iterator[ast.Constant]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value in OPS:
            yield part


def _collection(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and node.args:
        node = node.args[0]
    if not isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
        return False
    given = node.keys if isinstance(node, ast.Dict) else node.elts
    return len(given) > 1 and all(isinstance(x, ast.Constant) and x.value in OPS for x in given)


def _quoted(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and AN_OP.search(re.sub(r"'[^']*'", "", ast.unparse(node)) + _columns(node)):
            yield from _names(node)
        elif isinstance(node, ast.Match) and AN_OP.search(ast.unparse(node.subject)):
            yield from (name for case in node.cases for name in _names(case.pattern))
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            looked_up = ast.unparse(node.func) == "OPS.get"
            if node.args and (looked_up or called in BY_NAME) and isinstance(node.args[0], ast.Constant):
                yield from _names(node.args[0])
            yield from (name for key in node.keywords if key.arg == "op" for name in _names(key.value))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "OPS":
            yield from _names(node.slice)
    for statement in tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value and _collection(statement.value):
            yield from _names(statement.value)


def _columns(node: ast.AST) -> str:
    """The column of ops, which is asked for by a string."""
    return " op" if any(isinstance(n, ast.Constant) and n.value == "op" for n in ast.walk(node)) else ""


def found(text: str, allowed: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """``line: name`` of what a source quotes."""
    tree = ast.parse(text)
    return [f"{name.lineno}: {name.value}" for name in _quoted(tree) if name.value not in allowed]


def test_no_source_outside_ops_and_functions_quotes_an_ops_name() -> None:
    wrong, used = [], set()
    for top in ("tinyseq", "viz"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(("tinyseq/ops/", "tinyseq/functions/")):
                continue
            text = path.read_text(encoding="utf-8")
            wrong += [f"{name}:{line}" for line in found(text, ALLOWED.get(name, (set(),))[0])]
            if found(text):
                used.add(name)
    assert not wrong, "ask the op's record (tinyseq/ops/groups.py) instead of its name:\n" + "\n".join(wrong)
    assert used >= ALLOWED.keys(), "these need no exception any more"


@pytest.mark.parametrize(
    "text",
    [
        'if node.op == "matmul": pass',
        'leaves = tape.column("op") == "parameter"',
        'if kind.op in ("input", "constant"): pass',
        'match cls.op:\n    case "add" | "mul": pass',
        'x = record("index", (x,))',
        'LEAVES = ("input", "parameter", "constant")',
        'SMOOTH = frozenset({"tanh", "exp"})',
        'rule = OPS["tanh"].vjp',
        'rule = OPS.get("tanh")',
        'made = [k for k in kinds if k.op != "detach"]',
    ],
)
def test_names_are_found(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [
        'cross_entropy(a, b, reduction="sum")',
        'if role == "constant": pass',
        'squash = "tanh"',
        'words = {"sum": 1, "b": 2}',
    ],
)
def test_words_that_are_no_ops_are_left_alone(text: str) -> None:
    assert not found(text)
