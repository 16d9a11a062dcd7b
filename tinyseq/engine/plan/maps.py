"""Which ops work element by element."""

from __future__ import annotations

from tinyseq.ops import OPS
from tinyseq.ops.op import Kernel

COPY = Kernel.registry["detach"]
MAPS = frozenset(
    name for name, op in OPS.items() if name in Kernel.registry and op.arity > 0 and name not in
    ("matmul", "sum", "max", "norm", "take", "gather", "one_hot", "softmax", "log_softmax", "cross_entropy", "detach")
)  # fmt: skip
