"""Handles on the nodes of a tape, and how they are recorded."""

from tinyseq.tensor.handles import Tensor, handle
from tinyseq.tensor.leaves import as_tensor, constant, here, of_tape, tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal, is_internal, source_line

__all__ = [
    "Operators",
    "Parameter",
    "Tensor",
    "as_tensor",
    "constant",
    "handle",
    "here",
    "internal",
    "is_internal",
    "of_tape",
    "record",
    "source_line",
    "tensor",
]
