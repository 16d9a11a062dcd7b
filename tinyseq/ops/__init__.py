"""The table of primitive ops: importing this package fills ``OPS``."""

from tinyseq.ops import elementwise, index, leaves, linalg, loss, reduce, shape, slices, sparse
from tinyseq.ops.op import OPS, Call, Kernel, Op, Site

__all__ = [
    "OPS",
    "Call",
    "Kernel",
    "Op",
    "Site",
    "elementwise",
    "index",
    "leaves",
    "linalg",
    "loss",
    "reduce",
    "shape",
    "slices",
    "sparse",
]
