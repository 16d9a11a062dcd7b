"""The functions that record ops: arithmetic with explicit broadcasting, products, reductions, shapes, losses."""

from typing import TYPE_CHECKING

from tinyseq.functions import operators
from tinyseq.functions.comparisons import equal, greater_equal, not_equal
from tinyseq.functions.elementwise import (
    Number as Number,
)
from tinyseq.functions.elementwise import (
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
from tinyseq.functions.picks import check_range as check_range
from tinyseq.functions.picks import gather, one_hot, take
from tinyseq.functions.picks import getitem as getitem
from tinyseq.functions.picks import indices as indices
from tinyseq.functions.products import linear, matmul, matrix_transpose
from tinyseq.functions.reductions import max, mean, norm, sum
from tinyseq.functions.shapes import (
    concatenate,
    expand,
    index,
    reshape,
    rows,
    slice_axis,
    split,
    stack,
    steps,
    transpose,
    zeros,
)
from tinyseq.functions.sparse import Sparsity, sparse_linear
from tinyseq.functions.transposed import Transposed as Transposed
from tinyseq.habits import calls, module_names
from tinyseq.tensor.source_lines import internal

internal(__file__)
internal(calls.__file__)

__all__ = [
    "Sparsity",
    "abs",
    "add",
    "bernoulli_cross_entropy",
    "broadcast",
    "concatenate",
    "cross_entropy",
    "detach",
    "div",
    "equal",
    "exp",
    "expand",
    "gather",
    "gradients",
    "greater",
    "greater_equal",
    "index",
    "layer_norm",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "matrix_transpose",
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
    "rows",
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
    "where",
    "zeros",
]

transposed, window = matrix_transpose, rows  # the names they had, for a release
BESIDE = ("Number", "Transposed", "check_range", "getitem", "indices", "transposed", "window")  # not for every reader

operators.RECORDED.update(__all__, BESIDE)

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
