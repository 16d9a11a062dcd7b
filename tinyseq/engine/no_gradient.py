"""Why a loss has no gradients: no parameter is below it, or ops on the way to them pass none on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tinyseq.ops import OPS
from tinyseq.ops.op import PARAMETER
from tinyseq.tape import INT64

if TYPE_CHECKING:
    from tinyseq.tape import Tape

MOST = 3  # ops that are named


def nothing_to_differentiate(tape: Tape, loss: int, what: str) -> str:
    """What to say of a loss that no gradient leads from to a parameter; ``what`` is the loss in words."""
    said = f"backward: {what} depends on no parameter"
    ends = _ends(tape, loss)
    if not ends:
        return (
            f"{said}, so there is nothing to differentiate.\n"
            "Make what should be learned a parameter: W = ts.Parameter(array, 'W'), without trainable=False"
        )
    words = [_words(tape, *end) for end in ends[:MOST]]
    more = f"; and {len(ends) - MOST} more" if len(ends) > MOST else ""
    return f"{said} through ops that pass gradients on, so there is nothing to differentiate: {'; '.join(words)}{more}"


def _ends(tape: Tape, loss: int) -> list[tuple[int, int, str]]:
    """(node, input, parameter below) wherever the way from the loss to a trainable parameter ends, each op and line
    once."""
    below: dict[int, str] = {}
    for i in range(loss + 1):
        kind, inputs = tape.kind_of(i), tape.inputs(i)
        if OPS[kind.op].leaf == PARAMETER and not kind.attrs:
            below[i] = tape.node(i).name
        elif found := [below[j] for j in inputs if j in below]:
            below[i] = found[0]
    ends: dict[tuple, tuple[int, int, str]] = {}
    stack, seen = [loss], set()
    while stack:
        i = stack.pop()
        if i in seen:
            continue
        seen.add(i)
        kind = tape.kind_of(i)
        op = OPS[kind.op]
        for k, j in enumerate(tape.inputs(i)):
            passes = (0 if op.joins else k) in op.vjp and tape.kind_of(j).dtype != INT64
            if passes:
                stack.append(j)
            elif j in below:
                ends.setdefault((kind.op, k, kind.line), (i, k, below[j]))
    return list(ends.values())


def _words(tape: Tape, node: int, position: int, parameter: str) -> str:
    kind = tape.kind_of(node)
    line = f", {os.path.basename(kind.line[0])}:{kind.line[1]}" if kind.line[1] else ""
    return (
        f"{kind.op} (%{node}{line}) lies on the way to {parameter or 'a parameter'} and passes nothing on, as its "
        f"record has no vjp for input {position}"
    )
