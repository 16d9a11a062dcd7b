"""A function of this package as a program of its own: with the imports and constants that it needs, to be pasted."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any


def program(function: Callable[..., Any], last: str, imports: Sequence[str] = ()) -> str:
    """Imports, constants, the function, and a ``last`` line that uses it: text that runs as it stands.

    What the function's module imports is imported likewise, its constants are written out, what else it defines is
    imported from it. ``imports`` are those of the last line.
    """
    source = textwrap.dedent(inspect.getsource(function)).rstrip()
    module = inspect.getmodule(function)
    assert module is not None
    given, constants = _defined(inspect.getsource(module))
    wanted = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)} - {function.__name__}
    values = [text for names, text in constants if wanted & names]
    known = set(given).union(*(names for names, _ in constants))
    lines = [line for name, line in given.items() if name in wanted]
    lines += [f"from {module.__name__} import {name}" for name in sorted(wanted - known) if name in vars(module)]
    head = "\n".join(_joined([*lines, *imports]))
    return "\n\n\n".join(["\n\n".join(filter(None, [head, "\n".join(values)])), source, last])


def _defined(text: str) -> tuple[dict[str, str], list[tuple[set[str], str]]]:
    """What a module imports, name → statement, and its constants, (names, statement)."""
    imports: dict[str, str] = {}
    constants = []
    for node in ast.parse(text).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            source = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
            for a in node.names:
                imports[a.asname or a.name] = f"{source}import {a.name}" + (f" as {a.asname}" if a.asname else "")
        elif isinstance(node, ast.Assign) and _is_literal(node.value):
            names = {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
            constants.append((names, ast.get_source_segment(text, node) or ""))
    return imports, constants


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def _joined(imports: Sequence[str]) -> list[str]:
    """``import a`` first; then ``from a import b`` and ``from a import c`` in one line."""
    parts: dict[str, set[str]] = {}
    for line in imports:
        if line.startswith("from "):
            module, name = line.removeprefix("from ").split(" import ")
            parts.setdefault(module, set()).add(name)
    plain = sorted(line for line in imports if line.startswith("import "))
    return [*plain, *(f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(parts.items()))]
