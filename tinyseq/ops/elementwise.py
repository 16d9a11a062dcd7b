"""Elementwise ops: one line of arithmetic forward, one line per input backward.

In the expressions x0, x1, x2 are elements of the inputs, y of the output, g of ∂L/∂y. What a vjp reads (inputs,
output or neither) is read off its expression.
"""

from __future__ import annotations

import re

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.ops import elementary
from tinyseq.ops.op import SAME, Call, Kernel, Map, Op, Site, call, each, map_kernel, register, size
from tinyseq.tape import INT64

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


def elementwise(
    name: str,
    expression: str,
    *gradients: str | None,
    symbol: str,
    equation: str,
    floats: tuple[str, ...] = (),
    masked: bool = False,
    view: str = "",
) -> Op:
    """Register an elementwise op from its expression and one gradient expression per input (None: no gradient).

    ``masked``: a loss, of which elements may be masked away. Where g is 0 the gradient is then 0, also of an element
    that is NaN or infinite.
    """
    arity = len(gradients)
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
    for i, gradient in enumerate(gradients):
        if gradient is not None:
            reads[i] = _used(gradient)
            computed = f"(zero if g == zero else {gradient})" if masked else gradient
            kernels[i] = map_kernel(f"{name}_vjp{i}", ("gx", "g", *reads[i]), computed, FUNCTIONS)
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
            view=view,
            rows=each,
        )
    )


# fmt: off
elementwise("add", "x0 + x1", "g", "g", symbol="+", equation="y = a + b")
elementwise("sub", "x0 - x1", "g", "-g", symbol="−", equation="y = a − b")
elementwise("mul", "x0 * x1", "g * x1", "g * x0", symbol="⊙", equation="y = a ⊙ b")
elementwise("div", "x0 / x1", "g / x1", "-g * y / x1", symbol="÷", equation="y = a / b")
elementwise("neg", "-x0", "-g", symbol="−", equation="y = −a")
elementwise("affine", "attr0 * x0 + attr1", "attr0 * g", symbol="k·+c", equation="y = k a + c", floats=("k", "c"))
elementwise("exp", "exp(x0)", "g * y", symbol="exp", equation="y = eᵃ")
elementwise("log", "log(x0)", "g / x0", symbol="log", equation="y = log a")
elementwise("sqrt", "sqrt(x0)", "half * g / y", symbol="√", equation="y = √a")
elementwise("power", "power(x0, x1)",
            "(zero if x1 == zero else g * x1 * power(x0, x1 - one))",
            "(zero if (x0 == zero and x1 > zero) else g * y * log(x0))", symbol="^", equation="y = aᵇ")
elementwise("abs", "(-x0 if x0 < zero else (zero if x0 == zero else x0))",
            "(g if x0 > zero else (-g if x0 < zero else x0 * g))", symbol="|·|", equation="y = |a|, slope 0 at 0")
elementwise("maximum", "(x0 if (x0 >= x1 or x0 != x0) else x1)",
            "(g if x0 > x1 else (zero if x0 < x1 else half * g))",
            "(g if x1 > x0 else (zero if x1 < x0 else half * g))",
            symbol="max", equation="y = max(a, b), a tie shares the gradient")
elementwise("tanh", "tanh(x0)", "g * (one - y * y)", symbol="tanh", equation="y = tanh a")
elementwise("sigmoid", "sigmoid(x0)", "g * y * (one - y)", symbol="σ", equation="y = σ(a) = 1/(1 + e⁻ᵃ)")
elementwise("relu", "(zero if x0 <= zero else x0)", "(zero if y <= zero else g)",
            symbol="relu", equation="y = max(a, 0)")
elementwise("softplus", "softplus(x0)", "g * sigmoid(x0)", symbol="ζ", equation="y = log(1 + eᵃ)")
elementwise("greater", "(one if x0 > x1 else (zero if x0 <= x1 else x0 - x1))", None, None,
            symbol=">", equation="y = 1 where a > b, else 0; no gradient")
elementwise("where", "(x2 if x0 == zero else x1)", None,
            "(zero if x0 == zero else g)", "(g if x0 == zero else zero)",
            symbol="?:", equation="y = a where the mask is not 0, else b")
elementwise("squared_error", "(x0 - x1) * (x0 - x1)", "two * g * (x0 - x1)", "two * g * (x1 - x0)",
            symbol="(·−·)²", equation="y = (a − b)²", masked=True)
elementwise("bernoulli_cross_entropy",
            "(softplus(-x0) + (one - x1) * x0) if x0 > zero else (softplus(x0) - x1 * x0)",
            "g * (sigmoid(x0) - x1)", "-g * x0",
            symbol="−log σ", equation="y = −t log σ(a) − (1 − t) log(1 − σ(a)) = log(1 + eᵃ) − t a",
            masked=True)
DETACH = elementwise("detach", "x0", None, symbol="✂", equation="y = a; no gradient passes", view=SAME)
# fmt: on

assert DETACH.elementwise is not None
COPY = DETACH.elementwise.forward
"""The kernel that copies rows as they are."""
