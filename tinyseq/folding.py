"""Folding: record one step of a cell, take it off the tape, stamp it as often as wanted.

The step is recorded once, on the end of the tape, with placeholders for what comes from outside; that is the folded
graph: nodes, and delayed edges from the new state back to the placeholders of the old one. The recording is then
taken off the tape again and stamped for every instance as array arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.errors import ShapeError, TapeError
from tinyseq.tape import INT64, Form, Integers, Tape
from tinyseq.tensor import Tensor, as_tensor, handle, here, internal

internal(__file__)


# -- nested states ------------------------------------------------------------------------------------------------
def flatten(tree: Any) -> list[Tensor]:
    """The tensors of a state or output: a tensor, None, or nested tuples, lists and dicts of them, in the order in
    which they are written."""
    if tree is None:
        return []
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in flatten(branch)]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in flatten(branch)]
    return [as_tensor(tree)]


def entering(tree: Any, what: str) -> list[Tensor]:
    """``flatten``, for what the tape being recorded will know by its numbers: TapeError for tensors of another tape."""
    return [here(leaf, what) for leaf in flatten(tree)]


def rebuild(tree: Any, leaves: Sequence[Any]) -> Any:
    """The same nesting with other leaves."""
    return _rebuild(tree, iter(leaves))


def _rebuild(branch: Any, supply: Iterator[Any]) -> Any:  # no closure: one that calls itself would keep the leaves
    if branch is None:
        return None
    if isinstance(branch, tuple) and hasattr(branch, "_fields"):
        return type(branch)(*[_rebuild(b, supply) for b in branch])
    if isinstance(branch, (tuple, list)):
        return type(branch)(_rebuild(b, supply) for b in branch)
    if isinstance(branch, dict):
        return {key: _rebuild(value, supply) for key, value in branch.items()}
    return next(supply)


def matched(tree: Any, given: Any, what: str) -> Any:
    """The same state with the keys of its dicts in the order of another's, so that what has one key has one place.

    ``what`` names the state. Raises ShapeError where one has keys that the other has not.
    """
    if isinstance(given, dict):
        if not isinstance(tree, dict) or tree.keys() != given.keys():
            found = f"keys {list(tree)}" if isinstance(tree, dict) else f"a {type(tree).__name__}"
            raise ShapeError(f"{what} must be a dict with the keys of the state it gets, {list(given)}; got {found}")
        return {key: matched(tree[key], branch, what) for key, branch in given.items()}
    if isinstance(given, (tuple, list)) and isinstance(tree, (tuple, list)) and len(tree) == len(given):
        branches = [matched(mine, theirs, what) for mine, theirs in zip(tree, given, strict=True)]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return tree


# -- folding ------------------------------------------------------------------------------------------------------
@dataclass
class Folded:
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
) -> Folded:
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
            handle(tape, tape.append("input", (), shape, code, name="placeholder"), tape.form(shape, code))
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
    leaves = [i for i in range(first, last) if tape.kinds[rows[i - base][0]].op in ("input", "parameter")]
    inner = sorted(set(range(first, last)) - set(leaves))
    where.update({old: (LOCAL, place) for place, old in enumerate(inner)})
    for old in leaves:
        new = _keep_leaf(tape, old, rows[old - base])
        where[old] = (FIXED, new)

    def place_of(index: int) -> tuple[int, int]:
        return where.get(index, (FIXED, index))

    used = [place_of(j) for i in inner for j in inputs[i - base]]
    return Folded(
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
    if kind.op == "parameter":
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


# -- stamping -------------------------------------------------------------------------------------------------------
PIECE = 1 << 13  # nodes stamped at a time
Slots = Callable[[int, int, np.ndarray, np.ndarray], Any]


def stamp(
    tape: Tape,
    groups: Sequence[tuple[Folded, np.ndarray]],
    slots: Slots,
    steps: np.ndarray,
    args: dict[tuple[int, int], np.ndarray],
    rows: dict[int, np.ndarray] | None = None,
) -> np.ndarray:
    """Append every instance of every group; returns the first node of each instance.

    groups   (folded, numbers of its instances in the order of running)
    slots    (group, slot, its instances, first nodes of all) → node indices that stand for a placeholder
    steps    step of each instance
    args     (group, local node) → arg of that node in each of the group's instances
    rows     group → lengths of the first axes, (instances, nodes), where they differ
    """
    count = sum(len(instances) for _, instances in groups)
    n_nodes, n_edges = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for folded, instances in groups:
        n_nodes[instances], n_edges[instances] = len(folded.table), len(folded.codes)
    tape.flush()
    start = len(tape)
    bases = start + np.cumsum(n_nodes) - n_nodes
    edge_bases = np.cumsum(n_edges) - n_edges
    table, ends, edges = tape.room(int(n_nodes.sum()), int(n_edges.sum()))
    first_end = int(tape.input_pointers[-1])
    for g, (folded, instances) in enumerate(groups):
        own = {local: values for (group, local), values in args.items() if group == g}
        read = {}  # placeholder → its node in each instance
        for slot in np.unique(folded.numbers[folded.codes == SLOT]).tolist():
            read[slot] = np.asarray(slots(g, slot, instances, bases)).astype(edges.dtype)
        length, after = len(folded.table), first_end + np.cumsum(folded.n_inputs)
        stamped = max(PIECE // max(length, 1), 1)
        for low in range(0, len(instances), stamped):  # in pieces, so that what is made on the way stays small
            piece = slice(low, low + stamped)
            part = instances[piece]
            nodes, put_nodes = _grid(table, bases[part] - start, length)
            nodes[:3] = folded.table.T[:3, None, :]
            nodes[3] = np.where(folded.table[:, 3] >= 0, steps[part][:, None], -1)
            if rows is not None and g in rows:
                nodes[1] = rows[g][piece]
            for local, values in own.items():
                nodes[2, :, local] = values[piece]
            put_nodes()
            pointers, put_pointers = _grid(ends[None], bases[part] - start, length)
            pointers[0] = edge_bases[part][:, None] + after
            put_pointers()
            inputs, put_inputs = _grid(edges[None], edge_bases[part], len(folded.codes))
            inputs[0] = folded.numbers + (folded.codes == LOCAL) * bases[part][:, None]
            for j in np.flatnonzero(folded.codes == SLOT).tolist():
                inputs[0, :, j] = read[int(folded.numbers[j])][piece]
            put_inputs()
    tape.grow(table.shape[1], len(edges))
    return bases


def _grid(columns: np.ndarray, bases: np.ndarray, length: int) -> tuple[np.ndarray, Callable[[], None]]:
    """The places of several instances in some columns, (columns, instances, length), and what to call once they are
    filled: instances that follow each other are filled in place, others by way of a copy."""
    if (np.diff(bases) == length).all():
        inside = columns[:, bases[0] : bases[0] + len(bases) * length]
        return inside.reshape(len(columns), len(bases), length), lambda: None
    grid = np.empty((len(columns), len(bases), length), columns.dtype)

    def put() -> None:
        columns[:, bases[:, None] + np.arange(length)] = grid

    return grid, put
