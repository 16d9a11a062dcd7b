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
from tinyseq.tape import INPUT, INT64, PARAMETER, Form, Integers, Kind, Tape
from tinyseq.tape.instances import FIXED, LOCAL, SLOT
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
        known = _known(tape, base, len(slots))
        keep = base
    finally:
        tape.unfold(scope, keep)
    for offset, kind, rows, arg in known.leaves:
        _keep_leaf(tape, base + offset, tape.places.kinds.kinds[kind], rows, arg)
    return FoldedStep(
        known.table_on(tape),
        known.n_inputs,
        known.codes,
        known.numbers,
        state=[known.place_of(t.index) for t in state],
        outputs=[known.place_of(t.index) for t in outputs],
        state_tree=state_tree,
        output_tree=output_tree,
        state_shapes=[t.shape for t in state],
        state_dtypes=[t.dtype_code for t in state],
        output_shapes=[t.shape for t in outputs],
        output_dtypes=[t.dtype_code for t in outputs],
    )


class _Known:
    """What was recorded of a step, for whoever records the same at the same place of a tape again.

    Kinds are given by their numbers among the tape's places.

    met     the kinds in the order in which the tape met them
    table   its nodes
    leaves  those it made: place in the step, kind, rows, arg
    where   what references to its nodes become
    """

    def __init__(self, tape: Tape, base: int, n_slots: int) -> None:
        self.met = tape.met()
        places = [tape.kinds[k] for k in tape.kind[base:].tolist()]
        kinds = [tape.places.kinds.number(kind) for kind in places]
        rows = list(zip(kinds, *(c[base:].tolist() for c in (tape.rows, tape.arg, tape.step)), strict=True))
        inputs = [tape.inputs(i) for i in range(base, len(tape))]
        made = [i for i in range(n_slots, len(rows)) if places[i].op in (INPUT, PARAMETER)]
        inner = sorted(set(range(n_slots, len(rows))) - set(made))
        self.leaves = [(i, *rows[i][:3]) for i in made]
        self.where: dict[int, tuple[int, int]] = {base + i: (SLOT, i) for i in range(n_slots)}
        self.where.update({base + i: (LOCAL, place) for place, i in enumerate(inner)})
        self.where.update({base + i: (FIXED, base + place) for place, i in enumerate(made)})
        used = [self.place_of(j) for i in inner for j in inputs[i]]
        self.table = np.array([rows[i] for i in inner], np.int64).reshape(-1, 4)
        self.kinds, self._kind = np.unique(self.table[:, 0], return_inverse=True)
        self.n_inputs = np.array([len(inputs[i]) for i in inner], np.int64)
        self.codes = np.array([code for code, _ in used], np.int64)
        self.numbers = np.array([number for _, number in used], np.int64)

    def place_of(self, index: int) -> tuple[int, int]:
        """What a reference to a node becomes: those from before the step stay what they are."""
        return self.where.get(index, (FIXED, index))

    def table_on(self, tape: Tape) -> np.ndarray:
        """The nodes as rows of a tape's table."""
        table = self.table.copy()
        table[:, 0] = np.array(tape.numbered(self.kinds.tolist()), np.int64)[self._kind]
        return table


def _known(tape: Tape, base: int, n_slots: int) -> _Known:
    """What was recorded since a node; the kinds of it are on the tape then."""
    key = tape.written(base)
    if key is None:
        return _Known(tape, base, n_slots)
    steps, key = tape.places.steps, (base, n_slots, *key)
    known = steps.get(key)
    if known is None:
        known = _Known(tape, base, n_slots)
        tape.places.remember_step(key, known)
    else:
        steps.move_to_end(key)
        tape.numbered(known.met)
    return known


def _keep_leaf(tape: Tape, old: int, kind: Kind, rows: int, arg: int) -> None:
    scope, tape.scope = tape.scope, ("", -1)
    new = tape.append_kind(kind._replace(cell=""), rows, arg)
    tape.scope = scope
    if kind.op == PARAMETER:
        tape._parameter_nodes[id(tape.parameters[arg])] = new
    else:
        tape.executor.rebind(old, new)
        if kind.dtype == INT64:
            tape.origin[new] = Integers(new)


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
