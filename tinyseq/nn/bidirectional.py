"""Bidirectional nets, section 10.3 and figure 10.11: one net runs forward in time, one backward."""

from __future__ import annotations

from typing import Any

from tinyseq import functions as F
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.nn.module import Module
from tinyseq.nn.sequences import Encoded, encode, mask_of, prepare


class Bidirectional(Module):
    """h(t) reads x(1…t), g(t) reads x(t…τ); the features at t are [h(t); g(t)], or h(t) + g(t) with merge="sum".

    ``encode(x).forward`` and ``.backward`` are the directions, each with outputs in the order of time and its final
    state; the backward one's final state is g(1), that of the first step. Where lengths differ, each sequence is read
    from its own end.
    """

    each_step = True

    def __init__(self, forward: Any, backward: Any, merge: str = "concatenate") -> None:
        if merge not in ("concatenate", "sum"):
            raise TinyseqError(f"merge is 'concatenate' or 'sum', got {merge!r}")
        if forward is backward:
            raise TinyseqError("the two directions need a cell each, got the same cell twice; make another")
        if forward.input_size != backward.input_size:
            raise ShapeError(
                f"both directions read the same inputs: forward takes {forward.input_size} features, "
                f"backward {backward.input_size}"
            )
        if merge == "sum" and forward.output_size != backward.output_size:
            raise ShapeError(
                f"merge='sum' needs directions of one size, got {forward.output_size} and {backward.output_size}"
            )
        self.forward, self.backward, self.merge = forward, backward, merge
        self.input_size, self.dtype = forward.input_size, forward.dtype
        both = forward.output_size + backward.output_size
        self.output_size = forward.output_size if merge == "sum" else both
        backward.name, backward.symbol = f"{backward.name.removesuffix('_backward')}_backward", "g"

    def encode(self, x: Any, lengths: Any = None, state: Any = None, mask: Any = None) -> Encoded:
        """Run both; ``state`` is (forward's, backward's) state before its first step, held where ``mask`` is 0."""
        steps = prepare(x, lengths)
        mask = None if mask is None else mask_of(mask, steps, self.dtype)
        start = (None, None) if state is None else state
        there = encode(self.forward, steps, state=start[0], mask=mask)
        back = encode(self.backward, steps, state=start[1], backwards=True, mask=mask)
        return Encoded(
            self.merged(there.outputs, back.outputs),
            (there.final, back.final),
            self.merged(there.last, back.last),
            steps.chain,
            steps.batch,
            there,
            back,
        )

    def merged(self, h: Any, g: Any) -> Any:
        """The features of the two directions as one."""
        return h + g if self.merge == "sum" else F.concatenate([h, g])
