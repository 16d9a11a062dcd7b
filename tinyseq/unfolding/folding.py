"""Folding: record one step of a cell, take it off the tape, stamp it as often as wanted.

The step is recorded once, on the end of the tape, with placeholders for what comes from outside; that is the folded
graph: nodes, and delayed edges from the new state back to the placeholders of the old one. The recording is then
taken off the tape again and stamped for every instance as array arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.errors import TapeError
from tinyseq.tape import INPUT, INT64, PARAMETER, Form, Integers, Tape
from tinyseq.tensor.handles import Tensor, handle
from tinyseq.tensor.nesting import entering
from tinyseq.tensor.source_lines import internal

internal(__file__)


@dataclass
class FoldedStep:
    """One step recorded: rows of the tape's table, and for each input of each node where it comes from.

    A reference is (code, number): LOCAL a node of the step, FIXED a node of the tape, SLOT a placeholder.
    """

    table: np.ndarray
    n_inputs: np.ndarray
    codes: np.ndarray
    numbers: np.ndarray
    state: list[tuple[int, int]]
    outputs: list[tuple[int, int]]
    state_tree: Any = None
    output_tree: Any = None
    state_shapes: list[tuple[int, ...]] = field(default_factory=list)
    state_dtypes: list[int] = field(default_factory=list)
    output_shapes: list[tuple[int, ...]] = field(default_factory=list)
    output_dtypes: list[int] = field(default_factory=list)


LOCAL, FIXED, SLOT = 0, 1, 2


def fold(
    tape: Tape,
    run: Callable[[list[Tensor]], tuple[Any, Any]],
    slots: Sequence[tuple[tuple[int, ...], int]],
    cell: str,
) -> FoldedStep:
    """Record ``run(placeholders) -> (state, outputs)`` once and take it off the tape again.

    Leaves that the step makes (parameters, arrays) stay on the tape, before all stamps.
    """
    if tape.folding:
        raise TapeError("unfold inside a step that is itself being unfolded; inside a step, loop over the inner steps")
    tape.flush()
    base = len(tape)
    scope = tape.scope
    tape.fold(scope)
    keep = None  # a step that fails leaves its nodes on the tape, where nothing depends on them
    try:
        places = [
            handle(tape, tape.append(INPUT, (), shape, code, name="placeholder"), tape.form(shape, code))
            for shape, code in slots
        ]
        tape.scope = (cell, 0)
        state_tree, output_tree = run(places)
        state = entering(state_tree, f"the state that a step of {cell} returned")
        outputs = entering(output_tree, f"the output that a step of {cell} returned")
        rows = list(zip(*(c[base:].tolist() for c in (tape.kind, tape.rows, tape.arg, tape.step)), strict=True))
        inputs = [tape.inputs(i) for i in range(base, len(tape))]
        keep = base
    finally:
        tape.unfold(scope, keep)
    first = base + len(slots)
    last = base + len(rows)
    where: dict[int, tuple[int, int]] = {base + i: (SLOT, i) for i in range(len(slots))}
    leaves = [i for i in range(first, last) if tape.kinds[rows[i - base][0]].op in (INPUT, PARAMETER)]
    inner = sorted(set(range(first, last)) - set(leaves))
    where.update({old: (LOCAL, place) for place, old in enumerate(inner)})
    for old in leaves:
        new = _keep_leaf(tape, old, rows[old - base])
        where[old] = (FIXED, new)

    def place_of(index: int) -> tuple[int, int]:
        return where.get(index, (FIXED, index))

    used = [place_of(j) for i in inner for j in inputs[i - base]]
    return FoldedStep(
        table=np.array([rows[i - base] for i in inner], np.int64).reshape(-1, 4),
        n_inputs=np.array([len(inputs[i - base]) for i in inner], np.int64),
        codes=np.array([code for code, _ in used], np.int64),
        numbers=np.array([number for _, number in used], np.int64),
        state=[place_of(t.index) for t in state],
        outputs=[place_of(t.index) for t in outputs],
        state_tree=state_tree,
        output_tree=output_tree,
        state_shapes=[t.shape for t in state],
        state_dtypes=[t.dtype_code for t in state],
        output_shapes=[t.shape for t in outputs],
        output_dtypes=[t.dtype_code for t in outputs],
    )


def _keep_leaf(tape: Tape, old: int, row: tuple[int, int, int, int]) -> int:
    kind = tape.kinds[row[0]]
    scope, tape.scope = tape.scope, ("", -1)
    new = tape.append_kind(kind._replace(cell=""), row[1], row[2])
    tape.scope = scope
    if kind.op == PARAMETER:
        tape._parameter_nodes[id(tape.parameters[row[2]])] = new
    else:
        tape.executor.rebind(old, new)
        if kind.dtype == INT64:
            tape.origin[new] = Integers(new)
    return new


def handles(tape: Tape, nodes: Sequence[int] | np.ndarray) -> list[Tensor]:
    """The tensors of many nodes."""
    places = np.asarray(nodes, np.int64)
    forms: dict[tuple[int, int], Form] = {}
    made = []
    for i, sort in zip(
        places.tolist(), zip(tape.kind[places].tolist(), tape.rows[places].tolist(), strict=True), strict=True
    ):
        form = forms.get(sort)
        if form is None:
            form = forms[sort] = tape.form(tape.shape(i), tape.kinds[sort[0]].dtype)
        made.append(handle(tape, i, form))
    return made
