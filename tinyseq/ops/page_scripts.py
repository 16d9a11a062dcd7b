"""Ops in JavaScript, for pages that compute by themselves.

The script of an op is an expression for an object with

    forward(y, x, site)                writes the result y; x are the inputs, all as flat arrays
    vjp[i](out, g, x, y, site, i)      adds g · ∂y/∂x_i to out; null where no gradient passes; a join has one for all

and ``site`` = {attrs, arg, shapes, shape}, as in Python. Scripts of elementwise ops are made from the expressions that
their kernels are made from; those of the others stand in ``javascript/``, and call what ``prelude.js`` defines.
"""

from __future__ import annotations

import ast
from importlib.resources import files

_FOLDER = files("tinyseq.ops").joinpath("javascript")
_WORDS = {"zero": "0", "one": "1", "half": "0.5", "two": "2"}
_SIGNS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.USub: "-", ast.And: "&&", ast.Or: "||",
    ast.Eq: "===", ast.NotEq: "!==", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip


def script(name: str) -> str:
    """What stands in ``javascript/<name>.js``: the script of an op of that name, or the prelude."""
    return _FOLDER.joinpath(f"{name}.js").read_text("utf-8").strip()


def elementwise_script(expression: str, gradients: tuple[str | None, ...], floats: tuple[str, ...]) -> str:
    """The script of an op that computes each element by an expression, and its gradients by others."""
    inputs = ", ".join(f"x{i}" for i in range(len(gradients)))
    constants = "".join(f" const attr{i} = site.attrs.{name};" for i, name in enumerate(floats))

    def loop(head: str, operator: str, computed: str) -> str:
        return f"{head} {{{constants} for (let i = 0; i < y.length; i++) {operator} {_translated(computed)}; }}"

    rules = [
        "null" if gradient is None else loop(f"(out, g, [{inputs}], y, site) =>", "out[i] +=", gradient)
        for gradient in gradients
    ]
    return f"{{ {loop(f'forward(y, [{inputs}], site)', 'y[i] =', expression)}, vjp: [{', '.join(rules)}] }}"


def _translated(expression: str) -> str:
    return _spelled(ast.parse(expression, mode="eval").body)


def _spelled(node: ast.AST) -> str:
    """An expression of Python, of the kinds that kernels of elementwise ops are made from, in JavaScript."""
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id) or (node.id if node.id.startswith("attr") else f"{node.id}[i]")
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if isinstance(node, ast.UnaryOp):
        return f"({_SIGNS[type(node.op)]}{_spelled(node.operand)})"
    if isinstance(node, ast.BinOp):
        return f"({_spelled(node.left)} {_SIGNS[type(node.op)]} {_spelled(node.right)})"
    if isinstance(node, ast.BoolOp):
        return "(" + f" {_SIGNS[type(node.op)]} ".join(map(_spelled, node.values)) + ")"
    if isinstance(node, ast.Compare):
        return f"({_spelled(node.left)} {_SIGNS[type(node.ops[0])]} {_spelled(node.comparators[0])})"
    if isinstance(node, ast.IfExp):
        return f"({_spelled(node.test)} ? {_spelled(node.body)} : {_spelled(node.orelse)})"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return f"{node.func.id}({', '.join(map(_spelled, node.args))})"
    raise TypeError(f"an elementwise op cannot be put into JavaScript: {ast.dump(node)}")
