"""Comparisons as masks of 1 and 0, made of ``greater``: NaN where an operand is NaN, and no gradient."""

from __future__ import annotations

from typing import Any

from tinyseq.errors import DtypeError, TinyseqError
from tinyseq.functions.call_sites import binary
from tinyseq.functions.elementwise import greater
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.source_lines import internal

internal(__file__)


def _checked(sign: str, a: Any, b: Any) -> None:
    for x in (a, b):
        if x is None:
            raise TinyseqError(f"a tensor {sign} None compares numbers; write `x is None` to ask whether there is one")
        if isinstance(x, Tensor) and x.dtype_code == INT64:
            raise DtypeError(
                f"{sign} compares floating-point tensors, got integers; compare them before they become a tensor: "
                f"mask = (tokens {sign} 0).astype('float32')"
            )


def _equal(a: Any, b: Any) -> Tensor:
    _checked("==", a, b)
    return 1.0 - (greater(a, b) + greater(b, a))


def _not_equal(a: Any, b: Any) -> Tensor:
    _checked("!=", a, b)
    return greater(a, b) + greater(b, a)


def _greater_equal(a: Any, b: Any) -> Tensor:
    _checked(">=", a, b)
    return 1.0 - greater(b, a)


equal = binary("equal", _equal, "1 where a = b, else 0; no gradient.")
not_equal = binary("not_equal", _not_equal, "1 where a ≠ b, else 0; no gradient.")
greater_equal = binary("greater_equal", _greater_equal, "1 where a ≥ b, else 0; no gradient.")
