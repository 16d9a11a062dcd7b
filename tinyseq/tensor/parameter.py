"""Parameter: a named array that is learned and outlives tapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.checks import check_plain
from tinyseq.errors import DataError, DtypeError, ShapeError
from tinyseq.habits import advised
from tinyseq.tensor.handles import Operators
from tinyseq.tensor.refusals import IN_PLACE, refused
from tinyseq.tensor.source_lines import internal

internal(__file__)


def array_of(value: Any, what: str, copy: bool | None = True) -> np.ndarray:
    check_plain(value, what)
    try:
        return np.array(value, order="C", copy=copy)
    except ValueError as error:
        raise DataError(
            f"{what} needs an array with rows of one length ({error}); "
            "for sequences of different lengths see ts.Chain(lengths).pack"
        ) from None


class ChangedByValue:
    """What a parameter adds: its numbers are changed through ``value``, so ``W -= …`` is no second way to do it, nor a
    tensor that silently takes the parameter's place."""

    __setitem__ = refused("W[i] = x on a parameter", "write W.value[i] = x to change its numbers")


for _sign in ("+", "-", "*", "/", "@", "**", "//", "%"):
    setattr(
        ChangedByValue,
        IN_PLACE[_sign],
        refused(
            f"W {_sign}= x on a parameter",
            f"write W.value {_sign}= x to change its numbers, or y = W {_sign} x for a tensor made of it",
        ),
    )


@advised
class Parameter(ChangedByValue, Operators):
    """A named array that is learned: ``value`` (float32 or float64) and ``grad`` (None before a backward pass).

    Both are the parameter's own memory: an array given to it is copied, and ``p.value[...] = x`` or
    ``p.value -= 0.1 * p.grad`` changes the parameter. An optimiser's step changes it too, so keep weights for later as
    ``p.value.copy()``, or all of a model's with ``state_dict()``.

    ``trainable=False`` fixes it, as the weights of a reservoir: its ``grad`` stays None, optimisers leave it alone.
    """

    def __init__(self, value: Any, name: str = "", trainable: bool = True) -> None:
        array = array_of(value, f"parameter {name or '?'}")
        if array.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
            array = array.astype(np.float32)
        if array.dtype not in (np.float32, np.float64):
            raise DtypeError(
                f"parameter {name or '?'} needs float32 or float64, got {array.dtype}; "
                "write Parameter(array.astype('float32'))"
            )
        self._value, self.name, self.trainable = array, name, bool(trainable)
        self._grad: np.ndarray | None = None

    @property
    def value(self) -> np.ndarray:
        """The array, to be changed in place or assigned anew, by a copy; shape and dtype stay."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if value is self._value:  # changed in place, as by p.value *= 2
            return
        array = array_of(value, f"the value of {self!r}")
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ShapeError(
                f"{self!r} cannot hold {array.dtype} {array.shape}: shape and dtype of a parameter stay as they are; "
                "make another Parameter"
            )
        self._value = array

    def live_in(self, memory: np.ndarray) -> None:
        """Move the value into other memory, a view of an optimiser's vector."""
        memory[...] = self._value
        self._value = memory

    @property
    def grad(self) -> np.ndarray | None:
        """∂L/∂value of the last backward pass, to be changed in place or assigned anew, by a copy; None before."""
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        if grad is None or grad is self._grad:
            self._grad = grad
            return
        array = array_of(grad, f"the gradient of {self!r}")
        if array.shape != self.shape:
            raise ShapeError(f"the gradient of {self!r} has its shape, {self.shape}; got {array.shape}")
        if array.dtype.kind not in "fiub":
            raise DtypeError(f"the gradient of {self!r} is an array of real numbers, got {array.dtype}")
        self._grad = array.astype(self.dtype, copy=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self._value.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the value."""
        return self._value.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._value.ndim

    def __repr__(self) -> str:
        return f"Parameter({self.name or '?'}, {self.shape}, {self.dtype}{'' if self.trainable else ', fixed'})"
