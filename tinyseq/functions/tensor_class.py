"""``ts.Tensor``: the class of tensors as users see it. Recording makes tensors without a constructor to pay for."""

from __future__ import annotations

from typing import Any, NoReturn

from tinyseq.errors import CallError
from tinyseq.tensor.handles import Tensor as Recorded


class _OfTensors(type):
    """``isinstance(x, ts.Tensor)`` asks for the tensors that recording makes; a call says what to type."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Recorded)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, Recorded)

    def __call__(cls, *given: Any, **options: Any) -> NoReturn:
        raise CallError(
            "ts.Tensor is not called: a tensor stands for a node of a tape. Write x = ts.tensor(array) under "
            "with ts.Tape(), or ts.Parameter(array, 'W') for weights"
        )


class Tensor(Recorded, metaclass=_OfTensors):
    __slots__ = ()
    __doc__ = Recorded.__doc__
