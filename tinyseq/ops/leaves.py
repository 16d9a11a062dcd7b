"""Leaves: inputs, parameters and constants."""

from __future__ import annotations

from tinyseq.errors import ShapeError
from tinyseq.jit.decorators import kernel
from tinyseq.ops.op import CONSTANT, DATA, PARAMETER, Kernel, Op, call, size
from tinyseq.ops.page_scripts import script
from tinyseq.ops.registering import register
from tinyseq.tape import kinds


@kernel
def _fill(d, out, attr):
    """out = constant; d = [rows, strides, accumulate, columns]."""
    for r in range(d[0]):
        for i in range(d[4]):
            out[r * d[1] + i] = attr[0]


FILL = Kernel("fill", _fill, ("y", "attr"))


def _leaf_shape(attrs: tuple, shapes: tuple, dtypes: tuple) -> tuple[tuple[int, ...], int]:
    flags = dict(attrs)
    if any(n < 0 for n in flags["shape"]):
        raise ShapeError(f"sizes are at least 0, got shape {flags['shape']}")
    return flags["shape"], flags.get("dtype", 0)


def _given(name: str, symbol: str, leaf: str) -> None:
    example = ((("shape", (2, 3)),), (), ())
    op = Op(
        name,
        0,
        symbol,
        "given",
        _leaf_shape,
        lambda site: [],
        shape_is_given=True,
        leaf=leaf,
        example=example,
        javascript=script(name),
    )
    register(op)


_given(kinds.INPUT, "x", DATA)
_given(kinds.PARAMETER, "θ", PARAMETER)
CONSTANT_OP = register(
    Op(
        "constant",
        0,
        "k",
        "y = k",
        _leaf_shape,
        lambda site: [call(FILL, 1, {"y": size(site.shape), "attr": 0}, (size(site.shape),))],
        floats=("value",),
        shape_is_given=True,
        leaf=CONSTANT,
        example=((("shape", (2, 3)), ("value", 1.0)), (), ()),
        javascript=script("constant"),
    )
).name
