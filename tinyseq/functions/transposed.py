"""``W.T`` as an operand: taken into the product where it can be."""

from __future__ import annotations

from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

internal(__file__)


class Transposed(Tensor):
    """``W.T``, kept symbolic so that ``x @ W.T`` is one matmul; any other op records a transpose."""

    __slots__ = ("_made", "_made_in", "original")

    def __init__(self, original: Tensor) -> None:
        self.original, self.tape = original, original.tape
        self._made: int | None = None
        self._made_in = original.tape.folding
        shape = original.form.shape
        self.form = original.tape.form(shape[:-2] + shape[:-3:-1], original.form.dtype_code, flipped=True)

    @property
    def index(self) -> int:  # type: ignore[override]
        """Index of the transpose node, recorded when it is first needed."""
        if self._made is None or self._made_in != self.tape.folding:
            self._made_in = self.tape.folding
            axes = tuple(range(len(self.shape)))
            self._made = record("transpose", [self.original], (("axes", axes[:-2] + axes[-2:][::-1]),)).index
        return self._made

    @property
    def T(self) -> Tensor:
        """The original."""
        return self.original
