"""What an op is: one record holding shape rule, forward, vjp, what the vjp reads, symbol and equation.

Forward and vjp are lists of *calls* of Numba kernels. Both executors run the same lists, so the arithmetic of an
op is written once. Every kernel has the signature ``kernel(d, x0, x1, ...)``: flat arrays, the first one written,
and an int64 vector

    d = [rows, stride of x0, stride of x1, ..., accumulate, further sizes ...]

It loops over ``rows``; in row r operand j starts at r · stride_j. So a batch of instances is more rows, and an
operand shared by all of them has stride 0. ``accumulate`` 0 overwrites x0, 1 adds to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import OpError
from tinyseq.jit.decorators import kernel_from_source


class Site(NamedTuple):
    """Where an op stands: all that its calls depend on besides values."""

    attrs: tuple
    arg: int
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]

    def attr(self, key: str) -> Any:
        """A static attribute by its name."""
        return dict(self.attrs)[key]


class Kernel:
    """A Numba kernel with the names of its operands; compiled when it is first called."""

    registry: dict[str, Kernel] = {}  # noqa: RUF012

    def __init__(
        self, name: str, function: Callable, operands: tuple[str, ...], integers: tuple[str, ...] = ()
    ) -> None:
        self.name, self.function, self.operands, self.integers = name, function, operands, integers
        if not name.isidentifier():
            raise OpError(f"a kernel is called by a Python name, as in 'cumsum_vjp0'; got {name!r}")
        if name in Kernel.registry:
            raise OpError(f"two kernels are called {name!r}: give this one another name")
        Kernel.registry[name] = self

    def __call__(self, d: np.ndarray, *arrays: np.ndarray) -> None:
        self.function(d, *arrays)

    def __repr__(self) -> str:
        return f"Kernel({self.name}({', '.join(self.operands)}))"


@dataclass(frozen=True)
class Call:
    """One kernel call. Operands are roles: x0, x1 … inputs, y output, g its gradient, gx0 … theirs, attr constants.

    ``partial`` says that the call writes only a part of its first operand, which must then be zeroed before.
    """

    kernel: Kernel
    d: np.ndarray
    operands: tuple[str, ...]
    partial: bool = False

    @property
    def accumulate_slot(self) -> int:
        """Place of the accumulate flag in d."""
        return 1 + len(self.operands)


def call(
    kernel: Kernel,
    rows: int,
    operands: dict[str, int],
    sizes: tuple[int, ...] = (),
    *,
    partial: bool = False,
    add: bool = False,
) -> Call:
    """A call from ``{role: row stride}``, the first role being the one written."""
    d = np.array([rows, *operands.values(), int(add), *sizes])
    if d.dtype != object:  # a planner's symbols stay as they are
        d = d.astype(np.int64, copy=False)
    return Call(kernel, d, tuple(operands), partial)


ALL, EACH, WIDER, KEPT = range(4)


def row_by_row(op: Op, attrs: tuple, tail: tuple[int, ...], position: int, given: tuple[int, ...]) -> bool:
    """Whether row r of a result reads row r of an input, and no other; given the axes of both behind the first."""
    rules = op.rows(attrs, tail)
    rule = rules[min(position, len(rules) - 1)]
    wider = rule == WIDER and len(given) >= len(tail) and given != tail
    return rule == EACH or wider or (rule == KEPT and size(given) == size(tail))


def each(*_: Any) -> tuple[int, ...]:
    """Rows of ops that treat each row of all their inputs by itself."""
    return (EACH,)


# How the values of an op's result may lie where its input's lie already, so that nothing is computed or copied.
SAME, RESHAPED, ROW, ROWS, PART, REPEATED, JOINED, STACKED = VIEWS = (
    "same",  # as the input has them, in the input's shape
    "reshaped",  # as the input has them, in another shape
    "row",  # row ``arg`` of the input
    "rows",  # the rows of the input from row ``arg`` on
    "part",  # what lies between ``start`` and ``stop`` on the axis ``axis`` of the input
    "repeated",  # the input once more along new or single axes
    "joined",  # all inputs behind each other along the axis ``axis``
    "stacked",  # all inputs behind each other along a new first axis
)

# What stands on a leaf: an array given to the tape, a parameter, a number that is part of the program.
DATA, PARAMETER, CONSTANT = LEAVES = ("data", "parameter", "constant")


# What an op is in a picture, and which form its local Jacobian has in a page that steps through a tape.
PRODUCT, ACTIVATION, LOSS, CARRIES, GATE, SUM = DRAWN = ("product", "activation", "loss", "carries", "gate", "sum")
DIAGONAL, REDUCES, MULTIPLIES, BY_ROWS, MOVES = JACOBIANS = ("diagonal", "reduce", "product", "rows", "moves")


class Saturation(NamedTuple):
    """Where a nonlinear function is flat: in words, and y → which of its elements are."""

    words: str
    flat: Callable[[np.ndarray], np.ndarray]


class Map(NamedTuple):
    """The kernels of an elementwise op: one forward, and one vjp for each input (None: no gradient).

    Each has d = [rows, stride of each operand …, accumulate, columns], its operands' roles for names (y or gx first, g,
    x0, x1 …, y) and, where it reads constants, the role "attr" last.
    """

    forward: Kernel
    vjps: tuple[Kernel | None, ...]


@dataclass(frozen=True)
class Op:
    """One primitive: all that executors, pictures and pages know of it.

    shape     (attrs, shapes, dtypes) → (shape, dtype code); raises ShapeError or DtypeError
    forward   site → calls that write y
    vjp       input position → (site → calls that add g·∂y/∂x_i to gx_i); inputs missing here get no gradient
    reads     input position → roles that its vjp reads besides g ("x0", "y", ...)
    floats    names of attributes passed to kernels as an array of floats in the role "attr"
    limit     site → the number below which the integers of the last input, which the op looks up by, must lie
    indices   what messages call these integers; the op's name, if nothing is said
    joins     any number of inputs, all alike; the vjp gives one call for each
    shape_is_given  the result's shape is the caller's, checked by the shape rule, not stored among the attributes
    elementwise  the kernels of an op that computes each element of the result from the same elements of its inputs,
             all of one shape: any number of rows and columns can then be given to them
    slopes   elementwise ops: the vjp of each input as an expression, from which it can be recorded as ops
    view     how the result's values may lie where the input's lie already, one of ``VIEWS``; "" where they can't
    arranges    the result holds numbers of the inputs in another arrangement, each at most once: no arithmetic
    keeps_integers  the result's integers are some of the input's, so that what is known of those holds of these
    example  (attributes, shapes, dtype codes) of inputs that the op takes, on which it is tried when it is registered;
             without one, floating-point inputs (3, 3) and no attributes
    drawn    what the op is in a picture, of ``DRAWN``: a product labels an arrow with the parameter that it multiplies
             by, an activation, a loss and a gate (of several signals) stand out, a sum of gates too; what carries lies
             between a loss and the sum of all losses
    sign     how it is written in a circle, where not by its symbol
    written  its attributes → the same, of an op whose attributes say what it computes
    work     of an elementwise op, for each element: (operations of the forward and of all vjps, functions like exp that
             the forward calls)
    saturates  where an activation is flat
    words    the right side of y = …: {a} {b} {c} are the inputs, {all} all of them, {y} the output, {k} {k0} the first
             attribute and the second, {i} the node's own number; "" where ``equation`` says it well enough
    partials  ∂y/∂(each input) in the same words; None where no gradient passes
    jacobian  the form of ∂y/∂x, of ``JACOBIANS``: diagonal (elementwise ops), each y reads inputs of its own (reduce),
             the other operand (product), one matrix for each row (rows), numbers moved or copied (moves); "": any other
    javascript  the op's forward and vjp for pages that compute by themselves (``page_scripts`` says how they are
             called); without it a page shows the numbers that Python computed
    leaf     "data", "parameter" or "constant" of an op without inputs, whose values stand there from the start
    rows     (attrs, axes of the result behind the first) → for each input (the last for all further ones) how its rows
             go with the result's, one of

             EACH    row r of the result reads row r of the input, and no other
             ALL     any row of the result may read any of the input: other rows, another result
             WIDER   EACH, where the input differs from the result behind the first axis; else ALL (of one row, say)
             KEPT    EACH, where both have as many elements in a row; else ALL
    """

    name: str
    arity: int
    symbol: str
    equation: str
    shape: Callable[..., tuple[tuple[int, ...], int]]
    forward: Callable[[Site], list[Call]]
    vjp: dict[int, Callable[[Site], list[Call]]] = field(default_factory=dict)
    reads: dict[int, tuple[str, ...]] = field(default_factory=dict)
    floats: tuple[str, ...] = ()
    limit: Callable[[Site], int] | None = None
    indices: str = ""
    joins: bool = False
    shape_is_given: bool = False
    elementwise: Map | None = None
    slopes: tuple[str | None, ...] = ()
    view: str = ""
    arranges: bool = False
    keeps_integers: bool = False
    leaf: str = ""
    example: tuple[tuple, tuple[tuple[int, ...], ...], tuple[int, ...]] | None = None
    drawn: tuple[str, ...] = ()
    sign: str = ""
    written: Callable[[dict[str, Any]], str] | None = None
    work: tuple[int, int] = (0, 0)
    saturates: Saturation | None = None
    words: str = ""
    partials: tuple[str | None, ...] = ()
    jacobian: str = ""
    javascript: str | None = None
    rows: Callable[[tuple, tuple[int, ...]], tuple[int, ...]] = lambda attrs, tail: (ALL,)

    @property
    def passes_gradient_on(self) -> tuple[int, ...]:
        """Positions of the inputs whose gradient is the result's, as it is."""
        return tuple(i for i, slope in enumerate(self.slopes) if slope == "g")

    def vjps(self, site: Site) -> list[tuple[int, list[Call]]]:
        """(input position, calls) for each input that gets a gradient."""
        if self.joins:  # any number of inputs, all alike: one rule gives a call for each
            return [(i, [one]) for i, one in enumerate(self.vjp[0](site))]
        return [(i, rule(site)) for i, rule in self.vjp.items()]


OPS: dict[str, Op] = {}


class those(Set):
    """The names of the ops of which something holds: a set that follows the table as ops are registered."""

    def __init__(self, holds: Callable[[Op], object]) -> None:
        self._holds = holds

    def __contains__(self, name: object) -> bool:
        op = OPS.get(name)  # type: ignore[call-overload]
        return op is not None and bool(self._holds(op))

    def __iter__(self) -> Iterator[str]:
        return (name for name, op in OPS.items() if self._holds(op))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def size(shape: tuple[int, ...]) -> int:
    """Number of elements."""
    return prod(shape)


def map_kernel(name: str, operands: tuple[str, ...], expression: str, namespace: dict[str, Any]) -> Kernel:
    """A kernel that computes one expression for each element of rows × columns.

    d = [rows, stride of each operand ..., accumulate, columns]; the names of the operands after the first stand in
    the expression for their elements, ``zero``, ``one``, ``half``, ``two`` for constants of the operands' dtype;
    ``attr`` for the array of constants.
    """
    sources = operands[1:]
    arguments = ", ".join(["d", "out", *(f"_{s}" for s in sources)])
    lines = [f"def {name}_kernel({arguments}):"]
    lines += [
        "    number = out.dtype.type",
        "    zero = number(0)",
        "    one = number(1)",
        "    half = number(0.5)",
        "    two = number(2)",
    ]
    for place in sorted(set(re.findall(r"\battr(\d+)\b", expression))):
        lines += [f"    attr{place} = _attr[{place}]"]
    columns = len(operands) + 2
    lines += [f"    columns = d[{columns}]", f"    if d[{columns - 1}]:"]
    for operator in ("+=", "="):
        lines += ["        for r in range(d[0]):", "            out_row = out[r * d[1] : r * d[1] + columns]"]
        for place, source in enumerate(sources):
            if source != "attr":
                lines += [f"            {source}_row = _{source}[r * d[{place + 2}] : r * d[{place + 2}] + columns]"]
        lines += ["            for i in range(columns):"]
        lines += [f"                {s} = {s}_row[i]" for s in sources if s != "attr"]
        lines += [f"                out_row[i] {operator} {expression}"]
        if operator == "+=":
            lines += ["    else:"]
    return Kernel(name, kernel_from_source(f"{name}_kernel", "\n".join(lines) + "\n", namespace), operands)
