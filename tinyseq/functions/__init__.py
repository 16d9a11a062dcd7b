"""The functions that record ops: arithmetic with explicit broadcasting, products, reductions, shapes, losses."""

from typing import TYPE_CHECKING

from tinyseq.functions import operators
from tinyseq.functions.comparisons import equal, greater_equal, not_equal
from tinyseq.functions.elementwise import (
    Number,
    abs,
    add,
    bernoulli_cross_entropy,
    broadcast,
    detach,
    div,
    exp,
    greater,
    log,
    maximum,
    minimum,
    mul,
    neg,
    power,
    relu,
    sigmoid,
    softplus,
    sqrt,
    squared_error,
    sub,
    tanh,
    where,
)
from tinyseq.functions.gradients import gradients
from tinyseq.functions.losses import cross_entropy, layer_norm, log_softmax, softmax
from tinyseq.functions.picks import check_range, gather, getitem, indices, one_hot, take
from tinyseq.functions.products import linear, matmul, transposed
from tinyseq.functions.reductions import max, mean, norm, sum
from tinyseq.functions.shapes import (
    concatenate,
    expand,
    index,
    reshape,
    slice_axis,
    split,
    stack,
    steps,
    transpose,
    window,
    zeros,
)
from tinyseq.functions.sparse import Sparsity, sparse_linear
from tinyseq.functions.transposed import Transposed
from tinyseq.habits import calls, module_names
from tinyseq.tensor.source_lines import internal

internal(__file__)
internal(calls.__file__)

__all__ = [
    "Number",
    "Sparsity",
    "Transposed",
    "abs",
    "add",
    "bernoulli_cross_entropy",
    "broadcast",
    "check_range",
    "concatenate",
    "cross_entropy",
    "detach",
    "div",
    "equal",
    "exp",
    "expand",
    "gather",
    "getitem",
    "gradients",
    "greater",
    "greater_equal",
    "index",
    "indices",
    "layer_norm",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "maximum",
    "mean",
    "minimum",
    "mul",
    "neg",
    "norm",
    "not_equal",
    "one_hot",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "slice_axis",
    "softmax",
    "softplus",
    "sparse_linear",
    "split",
    "sqrt",
    "squared_error",
    "stack",
    "steps",
    "sub",
    "sum",
    "take",
    "tanh",
    "transpose",
    "transposed",
    "where",
    "window",
    "zeros",
]

operators.RECORDED.update(__all__)

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
