"""Small wrong changes to a source: what a slip of the hand would do, each a replacement of a few characters.

Comparisons flip, numbers grow by one, operands and arguments swap, ``not`` goes, ``and`` becomes ``or``, a condition
holds always or never, a statement is left out, a function returns nothing. Docstrings, annotations, decorators, imports
and what an error says are left alone: no test of numbers could tell.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
ONE_SIDED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.MatMult, ast.Pow)
SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "bases"}


@dataclass(frozen=True)
class Mutant:
    """One change: the bytes from ``start`` to ``end`` of a file become ``text``."""

    path: str
    line: int
    kind: str
    before: str
    text: str
    start: int
    end: int

    def applied(self, source: bytes) -> bytes:
        """The source with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]


class _Places:
    """Where nodes stand in a file, in bytes."""

    def __init__(self, source: bytes) -> None:
        self.source, self.lines = source, [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def __call__(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.lines[node.lineno - 1] + node.col_offset, self.lines[node.end_lineno - 1] + node.end_col_offset


def mutants(path: str, source: bytes) -> list[Mutant]:
    """All changes of a source, in the order of its text."""
    places, found = _Places(source), []
    tree = ast.parse(source)
    for node, replacements in _walk(tree):
        start, end = places(node)
        before = source[start:end].decode()
        for kind, text in replacements:
            if text != before:
                found.append(Mutant(path, node.lineno, kind, before, text, start, end))
    return [m for m in found if _parses(m.applied(source))]


def of_folder(root: Path, folder: str) -> list[Mutant]:
    """All changes of all files of a folder."""
    return [
        m
        for path in sorted((root / folder).rglob("*.py"))
        for m in mutants(str(path.relative_to(root)), path.read_bytes())
    ]


def _parses(source: bytes) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _walk(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, list[tuple[str, str]]]]:
    """Nodes that can be changed, with what can stand in their places."""
    for field, value in ast.iter_fields(node):
        if field in SKIPPED_FIELDS:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _left_alone(child):
                if isinstance(child, (ast.expr, ast.stmt)) and (changes := list(_changes(child))):
                    yield child, changes
                yield from _walk(child)


def _left_alone(node: ast.AST) -> bool:
    """Errors and imports, docstrings and text; what is for types only."""
    if isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Assert)):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__slots__")


def _changes(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    """(kind, text) of each change of one node."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            flipped = ast.Compare(left, [COMPARISONS[type(op)]()], [right])
            yield "comparison flipped", _text(flipped)
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in OPERATORS and not _is_text(left) and not _is_text(right):
                yield "operator replaced", _text(ast.BinOp(left, OPERATORS[type(op)](), right))
            if isinstance(op, ONE_SIDED) and not _is_text(left):
                yield "operands swapped", _text(ast.BinOp(right, op, left))
        case ast.Constant(value=bool() as value):
            yield "constant flipped", repr(not value)
        case ast.Constant(value=int() | float() as value):
            yield "constant + 1", repr(value + 1)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not removed", _text(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "minus removed", _text(operand)
        case ast.BoolOp(op=op, values=values):
            yield "and, or exchanged", _text(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "choice exchanged", _text(ast.IfExp(test, orelse, body))
        case ast.Call(func=func, args=[first, second, *rest], keywords=keywords) if not isinstance(
            first, ast.Starred
        ) and not isinstance(second, ast.Starred):
            yield "arguments swapped", ast.unparse(ast.Call(func, [second, first, *rest], keywords))
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield "returns nothing", "return None"
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield "statement left out", "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "statement left out", "pass"
        case ast.Break():
            yield "break, continue exchanged", "continue"
        case ast.Continue():
            yield "break, continue exchanged", "break"
        case _:
            return


def _text(node: ast.expr) -> str:
    """An expression in brackets, so that it may stand anywhere."""
    return f"({ast.unparse(node)})"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
