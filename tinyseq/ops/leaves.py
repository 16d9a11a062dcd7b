"""Leaves: inputs, parameters and constants."""

from __future__ import annotations

from tinyseq.errors import ShapeError
from tinyseq.jit.decorators import kernel
from tinyseq.ops.op import CONSTANT, DATA, PARAMETER, Kernel, Op, call, register, size


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


INPUT = register(Op("input", 0, "x", "given", _leaf_shape, lambda site: [], shaped=True, leaf=DATA)).name
PARAMETER_OP = register(
    Op("parameter", 0, "θ", "given", _leaf_shape, lambda site: [], shaped=True, leaf=PARAMETER)
).name
CONSTANT_OP = register(
    Op(
        "constant",
        0,
        "k",
        "y = k",
        _leaf_shape,
        lambda site: [call(FILL, 1, {"y": size(site.shape), "attr": 0}, (size(site.shape),))],
        floats=("value",),
        shaped=True,
        leaf=CONSTANT,
    )
).name
