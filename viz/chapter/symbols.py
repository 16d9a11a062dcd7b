"""Symbols as one-hot rows, for figures in which a net reads what it wrote."""

from __future__ import annotations

import tinyseq as ts


def largest(z: ts.Tensor) -> ts.Tensor:
    """The largest of each row as a one-hot row, where no two numbers are equal: logits of a net, or with noise added.

    `nn.output_recurrence.chosen` also settles ties, by an array of ranks that is no part of these pictures.
    """
    return 1 - ts.greater(ts.max(z, axis=-1, keepdims=True), z)
