"""Unfolding: record one step of a cell, stamp it over a structure.

The step is recorded once, on the end of the tape, with placeholders for what comes from outside; that is the folded
graph: nodes, and delayed edges from the new state back to the placeholders of the old one. The recording is then
taken off the tape again and stamped for every instance as array arithmetic. A plain loop that calls the cell at each
step records the same nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.errors import DtypeError, ShapeError, TapeError
from tinyseq.functions import concatenate, stack, take
from tinyseq.structure import Chain
from tinyseq.tape import INT64, Tape
from tinyseq.tensor import Tensor, as_tensor, internal, record

internal(__file__)


# -- nested states ------------------------------------------------------------------------------------------------
def flatten(tree: Any) -> list[Tensor]:
    """The tensors of a state or output: a tensor, None, or nested tuples, lists and dicts of them."""
    if tree is None:
        return []
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in flatten(branch)]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in flatten(branch)]
    return [as_tensor(tree)]


def rebuild(tree: Any, leaves: Sequence[Any]) -> Any:
    """The same nesting with other leaves."""
    supply = iter(leaves)

    def walk(branch: Any) -> Any:
        if branch is None:
            return None
        if isinstance(branch, tuple) and hasattr(branch, "_fields"):
            return type(branch)(*[walk(b) for b in branch])
        if isinstance(branch, (tuple, list)):
            return type(branch)(walk(b) for b in branch)
        if isinstance(branch, dict):
            return {key: walk(b) for key, b in branch.items()}
        return next(supply)

    return walk(tree)


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
    tape.flush()
    base = len(tape)
    places = [
        Tensor(tape, tape.append("input", (), shape, code, name="placeholder"), shape, code) for shape, code in slots
    ]
    scope, tape.scope = tape.scope, (cell, 0)
    try:
        state_tree, output_tree = run(places)
    except BaseException:
        tape.scope = scope
        _truncate(tape, base)
        raise
    tape.scope = scope
    state, outputs = flatten(state_tree), flatten(output_tree)
    rows, inputs = list(tape._rows), list(tape._row_inputs)
    first = base + len(slots)
    where: dict[int, tuple[int, int]] = {base + i: (SLOT, i) for i in range(len(slots))}
    leaves = [i for i in range(first, len(tape)) if tape.kinds[rows[i - base][0]].op in ("input", "parameter")]
    inner = sorted(set(range(first, len(tape))) - set(leaves))
    where.update({old: (LOCAL, place) for place, old in enumerate(inner)})
    _truncate(tape, base)
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
        output_shapes=[t.shape for t in outputs],
        output_dtypes=[t.dtype_code for t in outputs],
    )


def _truncate(tape: Tape, base: int) -> None:
    if tape._n_flushed > base:
        raise TapeError(
            "a cell asked for a value or a column of the tape while its step was being recorded; "
            "read values outside the cell, after unfolding"
        )
    del tape._rows[base - tape._n_flushed :]
    del tape._row_inputs[base - tape._n_flushed :]
    tape._n = base
    for key in [key for key, node in tape._parameter_nodes.items() if node >= base]:
        tape._parameter_nodes[key] = -1  # kept below, at its new place


def _keep_leaf(tape: Tape, old: int, row: tuple[int, int, int, int]) -> int:
    kind = tape.kinds[row[0]]
    new = tape._n
    tape._rows.append((tape.kind_id(kind._replace(cell="")), row[1], row[2], -1))
    tape._row_inputs.append(())
    tape._n += 1
    if kind.op == "parameter":
        tape._parameter_nodes[id(tape.parameters[row[2]])] = new
    else:
        tape.executor.rebind(old, new)
    return new


# -- stamping -------------------------------------------------------------------------------------------------------
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
    table = np.empty((4, int(n_nodes.sum())), np.int64)
    n_inputs = np.empty(table.shape[1], np.int64)
    edges = np.empty(int(n_edges.sum()), np.int64)
    for g, (folded, instances) in enumerate(groups):
        at = (bases[instances] - start)[:, None] + np.arange(len(folded.table))
        for column in range(3):
            table[column][at] = folded.table[:, column]
        table[3][at] = np.where(folded.table[:, 3] >= 0, steps[instances][:, None], -1)
        if rows is not None and g in rows:
            table[1][at] = rows[g]
        for (group, local), values in args.items():
            if group == g:
                table[2][at[:, local]] = values
        n_inputs[at] = folded.n_inputs
        block = folded.numbers + (folded.codes == LOCAL) * bases[instances][:, None]
        for j in np.flatnonzero(folded.codes == SLOT):
            block[:, j] = slots(g, int(folded.numbers[j]), instances, bases)
        edges[edge_bases[instances][:, None] + np.arange(len(folded.codes))] = block
    tape.extend(table[0], table[1], table[2], table[3], n_inputs, edges)
    return bases


# -- chains -----------------------------------------------------------------------------------------------------------
class Unfolded:
    """A cell unfolded over a chain.

    ``outputs``  what the step returned, stacked over time: (T, B, …), or packed (Σ lengths, …) where lengths differ
    ``final``    the state after the last step run (for each sequence, where lengths differ)
    ``output(t)``  what the step at time t returned
    """

    def __init__(
        self, chain: Chain, folded: Folded, tape: Tape, outputs: list[np.ndarray], states: list[np.ndarray]
    ) -> None:
        self.chain, self.folded, self.tape = chain, folded, tape
        self._outputs, self._states = outputs, states
        self._stacked: Any = None
        self._final: Any = None

    def _tensors(self, nodes: Sequence[int]) -> list[Tensor]:
        shapes = [self.tape.shape(i) for i in nodes]
        return [
            Tensor(self.tape, int(i), s, self.tape.kinds[self.tape._row(int(i))[0]].dtype)
            for i, s in zip(nodes, shapes, strict=True)
        ]

    def _in_time(self, nodes: np.ndarray) -> np.ndarray:
        return nodes[::-1] if self.chain.backwards and self.chain.lengths is None else nodes

    def output(self, t: int) -> Any:
        """What the step at time t returned."""
        return rebuild(
            self.folded.output_tree, self._tensors([int(self._in_time(nodes)[t]) for nodes in self._outputs])
        )

    def state(self, t: int) -> Any:
        """The state after the step at time t."""
        return rebuild(self.folded.state_tree, self._tensors([int(self._in_time(nodes)[t]) for nodes in self._states]))

    def _together(self, nodes: np.ndarray) -> Tensor:
        parts = self._tensors(self._in_time(nodes).tolist())
        if self.chain.lengths is None:
            return stack(parts)
        packed = concatenate(parts, 0)
        return take(packed, self._unreversed()) if self.chain.backwards else packed

    def _unreversed(self) -> np.ndarray:
        """For each packed row in time order, the packed row of the reversed chain."""
        forwards = self.chain.reversed()
        return self.chain.unpack_rows()[np.argsort(forwards.unpack_rows())]

    @property
    def outputs(self) -> Any:
        """All outputs over time."""
        if self._stacked is None:
            self._stacked = rebuild(self.folded.output_tree, [self._together(nodes) for nodes in self._outputs])
        return self._stacked

    @property
    def states(self) -> Any:
        """All states over time."""
        return rebuild(self.folded.state_tree, [self._together(nodes) for nodes in self._states])

    @property
    def final(self) -> Any:
        """The state after the last step run."""
        if self._final is None:
            if self.chain.lengths is None:
                last = self._tensors([int(nodes[-1]) for nodes in self._states])
            else:
                packed = [concatenate(self._tensors(nodes.tolist()), 0) for nodes in self._states]
                last = [take(p, self.chain.last_rows()) for p in packed]
            self._final = rebuild(self.folded.state_tree, last)
        return self._final


def unfold(
    step: Callable[..., Any],
    structure: Chain,
    inputs: Any,
    state: Any,
    *,
    delays: Sequence[int] = (1,),
    name: str | None = None,
) -> Unfolded:
    """Unfold ``step(x_t, state) -> state, output`` over a chain.

    inputs   a sequence (T, B, …) or a tuple of them, each giving one argument; for Chain(lengths) packed rows
             (Σ lengths, …) or a padded (T, B, …); () for a step without input
    state    the initial state: a tensor, parameter or array, or nested tuples and dicts of them
    delays   which earlier states the step gets; with several, it gets a tuple of states, one for each delay
    """
    if not isinstance(structure, Chain):
        raise ShapeError(f"unfold needs a structure such as ts.Chain(T), got {structure!r}")
    if not delays or any(d < 1 for d in delays):
        raise ShapeError(f"delays are whole steps of at least 1, got {tuple(delays)}")
    tape = Tape.current()
    cell = getattr(step, "step", step)
    scope_name = tape.cell_name(step, name or getattr(step, "name", None) or getattr(step, "__name__", "cell"))
    for parameter in step.parameters() if hasattr(step, "parameters") else ():
        as_tensor(parameter)
    sequences = [_sequence(x, structure) for x in (inputs if isinstance(inputs, tuple) else (inputs,))]
    initial = flatten(state)
    if structure.lengths is not None:
        initial = [take(h, structure.order) for h in initial]
    return _unfold_chain(tape, cell, scope_name, structure, sequences, state, initial, tuple(delays))


def _sequence(x: Any, chain: Chain) -> Tensor:
    x = as_tensor(x)
    if chain.lengths is None:
        if x.ndim < 1 or x.shape[0] != chain.T:
            hint = ""
            if x.ndim > 1 and x.shape[1] == chain.T:
                hint = "; yours looks batch-first, (B, T, F): write x.transpose(1, 0, 2)"
            raise ShapeError(f"sequences are (T, B, F) with T = {chain.T} first, got shape {x.shape}{hint}")
        return x
    total, batch = int(chain.lengths.sum()), len(chain.lengths)
    if x.ndim >= 2 and x.shape[:2] == (chain.T, batch):
        where = chain.packed_rows()
        flat = x.reshape((chain.T * batch, *x.shape[2:]))
        if x.dtype_code == INT64:
            raise DtypeError("integer sequences of different lengths are given packed: chain.pack(list of arrays)")
        return take(flat, where[:, 1] * batch + where[:, 0])
    if x.ndim < 1 or x.shape[0] != total:
        raise ShapeError(
            f"a chain of {batch} sequences with {total} steps in all needs packed rows ({total}, …) from chain.pack(list), "
            f"or padded (T, B, F) = ({chain.T}, {batch}, …); got {x.shape}"
        )
    if chain.backwards:
        order = chain.unpack_rows()
        forwards = chain.reversed().unpack_rows()
        rows = np.empty_like(order)
        rows[order] = forwards
        return take(x, rows)
    return x


def _unfold_chain(
    tape: Tape,
    cell: Callable[..., Any],
    scope: str,
    chain: Chain,
    sequences: list[Tensor],
    state: Any,
    initial: list[Tensor],
    delays: tuple[int, ...],
) -> Unfolded:
    ragged = chain.lengths is not None
    sizes = chain.batch_sizes if ragged else np.zeros(chain.T, np.int64)

    def recorded(batch: int) -> Folded:
        def run(places: list[Tensor]) -> tuple[Any, Any]:
            inner, tape.scope = tape.scope, ("", -1)
            xs = [record("window", (x,), (), 0, batch) if ragged else record("index", (x,)) for x in sequences]
            tape.scope = inner
            if ragged:
                places = [record("window", (h,), (), 0, batch) for h in places]
            n = len(initial)
            states = [rebuild(state, places[i * n : (i + 1) * n]) for i in range(len(delays))]
            result = cell(*xs, states[0] if len(delays) == 1 else tuple(states))
            if not isinstance(result, tuple) or len(result) != 2:
                raise ShapeError(f"a step returns (state, output), got {type(result).__name__}; write return h, h")
            return result

        slots = [((batch, *h.shape[1:]) if ragged else h.shape, h.dtype_code) for _ in delays for h in initial]
        return fold(tape, run, slots, scope)

    folded = recorded(int(sizes[0]))
    _check_state(folded, initial, ragged)
    rows = _ragged_rows(folded, recorded(int(sizes[0]) + 1), sizes) if ragged else None
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if ragged else chain.positions
    args = {(0, i): first for i in range(len(sequences))}
    state_nodes: list[np.ndarray] = []

    def slots(group: int, slot: int, instances: np.ndarray, bases: np.ndarray) -> np.ndarray:
        if not state_nodes:
            state_nodes.extend(_trace(folded, bases, initial, delays))
        which, delay = slot % len(initial), delays[slot // len(initial)]
        return _delayed(state_nodes[which], initial[which].index, delay)

    bases = stamp(
        tape,
        [(folded, np.arange(chain.T))],
        slots,
        chain.positions,
        args,
        {0: rows} if rows is not None else None,
    )
    tape.next_step(scope, chain.T)
    if not state_nodes:
        state_nodes.extend(_trace(folded, bases, initial, delays))
    outputs = [_resolve(ref, folded, bases, state_nodes, initial, delays) for ref in folded.outputs]
    return Unfolded(chain, folded, tape, outputs, state_nodes)


def _delayed(nodes: np.ndarray, initial: int, delay: int) -> np.ndarray:
    return np.concatenate([np.full(min(delay, len(nodes)), initial), nodes[:-delay]])


def _resolve(
    ref: tuple[int, int],
    folded: Folded,
    bases: np.ndarray,
    states: list[np.ndarray],
    initial: list[Tensor],
    delays: tuple[int, ...],
) -> np.ndarray:
    code, number = ref
    if code == LOCAL:
        return bases + number
    if code == FIXED:
        return np.full(len(bases), number)
    which = number % len(initial)
    return _delayed(states[which], initial[which].index, delays[number // len(initial)])


def _trace(folded: Folded, bases: np.ndarray, initial: list[Tensor], delays: tuple[int, ...]) -> list[np.ndarray]:
    """The node of each state after each step. A state may be handed on from another (a delay line)."""
    states: list[np.ndarray | None] = [None] * len(initial)
    waiting = []
    for i, (code, number) in enumerate(folded.state):
        if code == SLOT:
            waiting.append(i)
        else:
            states[i] = bases + number if code == LOCAL else np.full(len(bases), number)
    for i in waiting:
        states[i] = np.empty(len(bases), np.int64)
    for t in range(len(bases) if waiting else 0):
        for i in waiting:
            number = folded.state[i][1]
            which, delay = number % len(initial), delays[number // len(initial)]
            source = states[which]
            assert source is not None
            states[i][t] = source[t - delay] if t >= delay else initial[which].index  # type: ignore[index]
    return states  # type: ignore[return-value]


def _check_state(folded: Folded, initial: list[Tensor], ragged: bool) -> None:
    given = [h.shape[1:] if ragged else h.shape for h in initial]
    made = [s[1:] if ragged else s for s in folded.state_shapes]
    if given != made:
        raise ShapeError(
            f"the state a step returns must have the shapes of the state it gets: initial {given}, returned {made}"
        )


def _ragged_rows(folded: Folded, other: Folded, sizes: np.ndarray) -> np.ndarray:
    """First axes of all nodes in all instances, from two recordings with batches of b and b + 1."""
    same = len(folded.table) == len(other.table) and (folded.codes == other.codes).all()
    if not same or (folded.table[:, 0] != other.table[:, 0]).any():
        raise ShapeError(
            "this step records other nodes for other batch sizes, so it cannot run over sequences of different lengths"
        )
    slope = other.table[:, 1] - folded.table[:, 1]
    return folded.table[:, 1] + slope * (sizes - sizes[0])[:, None]
