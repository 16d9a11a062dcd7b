"""Elementwise ops: one line of arithmetic forward, one line per input backward.

In the expressions x0, x1, x2 are elements of the inputs, y of the output, g of ∂L/∂y. What a vjp reads (inputs,
output or neither) is read off its expression.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from tinyseq.errors import DtypeError, OpError, ShapeError
from tinyseq.ops import elementary
from tinyseq.ops.op import (
    ACTIVATION,
    DIAGONAL,
    GATE,
    LOSS,
    PRODUCT,
    SAME,
    SUM,
    Call,
    Kernel,
    Map,
    Op,
    Saturation,
    Site,
    call,
    each,
    map_kernel,
    size,
)
from tinyseq.ops.page_scripts import elementwise_script
from tinyseq.ops.registering import register
from tinyseq.tape import INT64

FLAT = 0.05  # of the way from the one end of a saturating function to the other
FUNCTIONS = {name: getattr(elementary, name) for name in ("exp", "log", "sqrt", "power", "tanh", "sigmoid", "softplus")}


def same_shape(name: str):
    """Shape rule: all inputs of one shape (broadcasting is an explicit node) and one floating dtype."""

    def rule(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
        if INT64 in dtypes:
            raise DtypeError(f"{name} needs floating point, got integers; convert with array.astype('float32')")
        if len(set(dtypes)) > 1:
            raise DtypeError(f"{name} got float32 and float64 together; make all operands one dtype")
        if len(set(shapes)) > 1:
            raise ShapeError(f"{name} needs equal shapes, got {' and '.join(map(str, shapes))}")
        return shapes[0], dtypes[0]

    return rule


def _used(expression: str) -> tuple[str, ...]:
    """What an expression reads: inputs, the output, the constants last."""
    found = set(re.findall(r"\b(x\d|y|attr)\b", re.sub(r"attr\d", "attr", expression)))
    return tuple(sorted(found, key=lambda role: (role == "attr", role)))


def _check(name: str, expression: str, gradients: tuple[str | None, ...], floats: tuple[str, ...]) -> None:
    """Refuse an expression that is none, or reads what is not there."""
    known = {*FUNCTIONS, *(f"x{i}" for i in range(len(gradients))), *(f"attr{i}" for i in range(len(floats)))}
    known |= {"zero", "one", "half", "two"}
    for i, text in enumerate((expression, *gradients)):
        if i and text is None:
            continue
        what = f"op {name!r}: its {f'gradient of x{i - 1}' if i else 'expression'}, {text!r},"
        try:
            found = {node.id for node in ast.walk(ast.parse(text or "", mode="eval")) if isinstance(node, ast.Name)}
        except (SyntaxError, TypeError, ValueError) as error:
            raise OpError(f"{what} is no expression such as 'x0 * x1' ({error})") from None
        there = known | {"g", "y"} if i else known
        if unknown := sorted(found - there):
            raise OpError(f"{what} reads {unknown[0]!r}; there are {', '.join(sorted(there))}")


def _work(expression: str, gradients: tuple[str | None, ...]) -> tuple[int, int]:
    """(operations of all expressions, functions that the first calls), for each element."""
    operations = [n for text in (expression, *gradients) if text for n in ast.walk(ast.parse(text))]
    called = [n for n in ast.walk(ast.parse(expression)) if isinstance(n, ast.Call)]
    return sum(isinstance(n, ast.BinOp) for n in operations), len(called)


def _affine(attrs: dict[str, Any]) -> str:
    """k a + c, as one would write it."""
    k, c = attrs["k"], attrs["c"]
    shift = f"+ {c:g}" if c >= 0 else f"− {-c:g}"
    if k == 1:
        return shift
    if k == -1:
        return f"{c:g} − a" if c else "−a"
    return f"{k:g}·a {shift}" if c else f"{k:g}·a"


def elementwise(
    name: str,
    expression: str,
    *gradients: str | None,
    symbol: str,
    equation: str,
    floats: tuple[str, ...] = (),
    masked: bool = False,
    **said: Any,
) -> Op:
    """Register an elementwise op from its expression and one gradient expression per input (None: no gradient).

    ``masked``: a loss, of which elements may be masked away. Where g is 0 the gradient is then 0, also of an element
    that is NaN or infinite. ``said`` are further fields of the record: words, partials, drawn, saturates …
    """
    arity = len(gradients)
    _check(name, expression, gradients, floats)
    inputs = tuple(f"x{i}" for i in range(arity))
    attr = ("attr",) if floats else ()
    forward_kernel = map_kernel(name, ("y", *inputs, *attr), expression, FUNCTIONS)

    def forward(site: Site) -> list[Call]:
        n = size(site.shape)
        return [call(forward_kernel, 1, {"y": n, **dict.fromkeys(inputs, n), **dict.fromkeys(attr, 0)}, (n,))]

    def rule(position: int, kernel: Kernel):
        def vjp(site: Site) -> list[Call]:
            n = size(site.shape)
            roles = {f"gx{position}": n, **{role: 0 if role == "attr" else n for role in kernel.operands[1:]}}
            return [call(kernel, 1, roles, (n,))]

        return vjp

    vjps, reads, kernels = {}, {}, dict[int, Kernel]()
    computed = tuple(f"(zero if g == zero else {slope})" if masked and slope else slope for slope in gradients)
    for i, gradient in enumerate(gradients):
        if gradient is not None:
            reads[i] = _used(gradient)
            kernels[i] = map_kernel(f"{name}_vjp{i}", ("gx", "g", *reads[i]), str(computed[i]), FUNCTIONS)
            vjps[i] = rule(i, kernels[i])
    return register(
        Op(
            name,
            arity,
            symbol,
            equation,
            same_shape(name),
            forward,
            vjps,
            {i: tuple(r for r in v if r != "attr") for i, v in reads.items()},
            floats,
            elementwise=Map(forward_kernel, tuple(kernels.get(i) for i in range(arity))),
            slopes=gradients,
            jacobian=DIAGONAL,
            javascript=elementwise_script(expression, computed, floats),
            work=_work(expression, gradients),
            **said,
            rows=each,
        )
    )


# fmt: off
elementwise("add", "x0 + x1", "g", "g", symbol="+", equation="y = a + b",
            words="{a} + {b}", partials=("1", "1"), drawn=(SUM,))
elementwise("sub", "x0 - x1", "g", "-g", symbol="−", equation="y = a − b",
            words="{a} − {b}", partials=("1", "−1"), drawn=(SUM,))
elementwise("mul", "x0 * x1", "g * x1", "g * x0", symbol="⊙", equation="y = a ⊙ b",
            words="{a} ⊙ {b}", partials=("{b}", "{a}"), drawn=(PRODUCT, GATE), sign="×")
elementwise("div", "x0 / x1", "g / x1", "-g * y / x1", symbol="÷", equation="y = a / b",
            words="{a} / {b}", partials=("1 / {b}", "−{y} / {b}"), drawn=(PRODUCT, GATE))
elementwise("neg", "-x0", "-g", symbol="−", equation="y = −a",
            words="−{a}", partials=("−1",))
elementwise("affine", "attr0 * x0 + attr1", "attr0 * g", symbol="k·+c", equation="y = k a + c", floats=("k", "c"),
            words="{k} {a} + {k0}", partials=("{k}",), written=_affine)
elementwise("exp", "exp(x0)", "g * y", symbol="exp", equation="y = eᵃ",
            words="exp {a}", partials=("{y}",), drawn=(ACTIVATION,))
elementwise("log", "log(x0)", "g / x0", symbol="log", equation="y = log a",
            words="log {a}", partials=("1 / {a}",))
elementwise("sqrt", "sqrt(x0)", "half * g / y", symbol="√", equation="y = √a",
            words="√{a}", partials=("1 / (2 {y})",))
elementwise("power", "power(x0, x1)",
            "(zero if x1 == zero else g * x1 * power(x0, x1 - one))",
            "(zero if (x0 == zero and x1 > zero) else g * y * log(x0))", symbol="^", equation="y = aᵇ",
            words="{a} ^ {b}", partials=("{b} · {a} ^ ({b} − 1)", "{y} · log {a}"))
elementwise("abs", "(-x0 if x0 < zero else (zero if x0 == zero else x0))",
            "(g if x0 > zero else (-g if x0 < zero else x0 * g))", symbol="|·|", equation="y = |a|, slope 0 at 0",
            words="|{a}|", partials=("sign {a}",))
elementwise("maximum", "(x0 if (x0 >= x1 or x0 != x0) else x1)",
            "(g if x0 > x1 else (zero if x0 < x1 else half * g))",
            "(g if x1 > x0 else (zero if x1 < x0 else half * g))",
            symbol="max", equation="y = max(a, b), a tie shares the gradient",
            words="max({a}, {b})", partials=("1 if {a} > {b} else 0", "1 if {b} > {a} else 0"))
elementwise("tanh", "tanh(x0)", "g * (one - y * y)", symbol="tanh", equation="y = tanh a",
            words="tanh {a}", partials=("1 − {y}²",), drawn=(ACTIVATION,),
            saturates=Saturation("|tanh| > 0.95", lambda y: np.abs(y) > 1 - FLAT))
elementwise("sigmoid", "sigmoid(x0)", "g * y * (one - y)", symbol="σ", equation="y = σ(a) = 1/(1 + e⁻ᵃ)",
            words="σ({a})", partials=("{y} (1 − {y})",), drawn=(ACTIVATION,),
            saturates=Saturation("sigmoid < 0.05 or > 0.95", lambda y: (y < FLAT) | (y > 1 - FLAT)))
elementwise("relu", "(zero if x0 <= zero else x0)", "(zero if y <= zero else g)",
            symbol="relu", equation="y = max(a, 0)",
            words="max({a}, 0)", partials=("1 if {a} > 0 else 0",), drawn=(ACTIVATION,),
            saturates=Saturation("relu at 0", lambda y: y == 0))
elementwise("softplus", "softplus(x0)", "g * sigmoid(x0)", symbol="ζ", equation="y = log(1 + eᵃ)",
            words="log(1 + exp {a})", partials=("σ({a})",), drawn=(ACTIVATION,))
elementwise("greater", "(one if x0 > x1 else (zero if x0 <= x1 else x0 - x1))", None, None,
            symbol=">", equation="y = 1 where a > b, else 0; no gradient",
            words="1 if {a} > {b} else 0", partials=(None, None))
elementwise("where", "(x2 if x0 == zero else x1)", None,
            "(zero if x0 == zero else g)", "(g if x0 == zero else zero)",
            symbol="?:", equation="y = a where the mask is not 0, else b",
            words="{b} if {a} ≠ 0 else {c}", partials=(None, "1 if {a} ≠ 0 else 0", "1 if {a} = 0 else 0"))
elementwise("squared_error", "(x0 - x1) * (x0 - x1)", "two * g * (x0 - x1)", "two * g * (x1 - x0)",
            symbol="(·−·)²", equation="y = (a − b)²", masked=True,
            words="({a} − {b})²", partials=("2 ({a} − {b})", "2 ({b} − {a})"), drawn=(LOSS,))
elementwise("bernoulli_cross_entropy",
            "(softplus(-x0) + (one - x1) * x0) if x0 > zero else (softplus(x0) - x1 * x0)",
            "g * (sigmoid(x0) - x1)", "-g * x0",
            symbol="−log σ", equation="y = −t log σ(a) − (1 − t) log(1 − σ(a)) = log(1 + eᵃ) − t a",
            masked=True,
            words="log(1 + exp {a}) − {b} {a}", partials=("σ({a}) − {b}", "−{a}"), drawn=(LOSS,))
DETACH = elementwise("detach", "x0", None, symbol="✂", equation="y = a; no gradient passes", view=SAME,
            words="{a}, and no gradient passes", partials=(None,))
# fmt: on

assert DETACH.elementwise is not None
COPY = DETACH.elementwise.forward
"""The kernel that copies rows as they are."""
