"""The table of primitive ops: importing this package fills ``OPS``."""

from tinyseq.ops import elementwise, leaves, losses, picks, products, reductions, shapes, slices, sparse
from tinyseq.ops.op import OPS, Call, Kernel, Op, Site, call
from tinyseq.ops.registering import register

__all__ = [
    "OPS",
    "Call",
    "Kernel",
    "Op",
    "Site",
    "call",
    "elementwise",
    "leaves",
    "losses",
    "picks",
    "products",
    "reductions",
    "register",
    "shapes",
    "slices",
    "sparse",
]
