"""Unfolding a cell over a chain: the folded graph, stamped for every time step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.errors import CallError, DtypeError, ShapeError, TinyseqError
from tinyseq.functions import concatenate, stack
from tinyseq.functions.picks import take_structural
from tinyseq.functions.shapes import first_row, first_rows
from tinyseq.functions.shapes import rows as some_rows
from tinyseq.habits import at_the_call, give_habits
from tinyseq.structure.chain import Chain
from tinyseq.structure.truncation import Truncation
from tinyseq.tape import INT64, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import here
from tinyseq.tensor.nesting import matched, rebuild
from tinyseq.tensor.source_lines import internal
from tinyseq.unfolding.folding import FoldedStep, fold, handles
from tinyseq.unfolding.instances import check_state, delayed, never_late, ragged_rows, resolve, state_nodes_of
from tinyseq.unfolding.stamping import stamp
from tinyseq.unfolding.truncated import Recorded, stamp_truncated
from tinyseq.unfolding.watching import noticed

internal(__file__)

_NO_STATE: Any = object()


class Unfolded:
    """A cell unfolded over a chain.

    ``outputs``  what the step returned, stacked over time: (T, B, …), or packed (Σ lengths, …) where lengths differ
    ``final``    the state after the last step run (for each sequence, where lengths differ)
    ``output(t)``  what the step at time t returned
    """

    def __init__(
        self,
        chain: Chain,
        folded: FoldedStep,
        tape: Tape,
        outputs: list[np.ndarray],
        states: list[np.ndarray],
        initial: list[Tensor],
    ) -> None:
        self.chain, self.folded, self.tape, self._initial = chain, folded, tape, initial
        self._outputs, self._states = outputs, states
        self._stacked: Any = None
        self._final: Any = None

    def _in_time(self, nodes: np.ndarray) -> np.ndarray:
        return nodes[::-1] if self.chain.backwards and self.chain.lengths is None else nodes

    def _at(self, t: int, columns: list[np.ndarray]) -> list[Tensor]:
        if not -self.chain.T <= t < self.chain.T:
            raise ShapeError(f"step {t} asked for, {self.chain!r} has steps 0 to {self.chain.T - 1}")
        return handles(self.tape, [int(self._in_time(nodes)[t]) for nodes in columns])

    def output(self, t: int) -> Any:
        """What the step at time t returned."""
        return rebuild(self.folded.output_tree, self._at(t, self._outputs))

    def state(self, t: int) -> Any:
        """The state after the step at time t."""
        return rebuild(self.folded.state_tree, self._at(t, self._states))

    def _together(self, nodes: np.ndarray) -> Tensor:
        parts = handles(self.tape, self._in_time(nodes))
        if self.chain.lengths is None:
            return stack(parts)
        packed = concatenate(parts, 0)
        with self.tape:
            return take_structural(packed, self._unreversed()) if self.chain.backwards else packed

    def _unreversed(self) -> np.ndarray:
        """For each packed row in time order, the packed row of the reversed chain."""
        forwards = self.chain.reversed()
        return self.chain.unpack_rows()[np.argsort(forwards.unpack_rows())]

    def __repr__(self) -> str:
        cell = self.tape.node(int(self._states[0][-1])).cell if self._states else ""
        shapes = {
            "outputs": rebuild(self.folded.output_tree, [self._shape(nodes) for nodes in self._outputs]),
            "states": rebuild(self.folded.state_tree, [self._shape(nodes) for nodes in self._states]),
        }
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape is not None and shape != ())
        return f"Unfolded({cell or 'a step'} over {self.chain!r}: {told})"

    def _shape(self, nodes: np.ndarray) -> tuple[int, ...]:
        """The shape over all time steps; asking for the tensor would record it."""
        once = self.tape.shape(int(nodes[0]))
        lengths = self.chain.lengths
        return (self.chain.T, *once) if lengths is None else (int(lengths.sum()), *once[1:])

    def __iter__(self) -> Any:
        raise TinyseqError("an unfolded net is not a pair: write unfolded.outputs and unfolded.final")

    def __getitem__(self, t: Any) -> Any:
        raise TinyseqError(f"write unfolded.output({t}) for the step at time {t}, or unfolded.outputs[{t}]")

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

    def _last_rows(self) -> tuple[list[list[Tensor]], np.ndarray]:
        """What stands before the states of all steps, nothing or the initial state, and the rows of the last states."""
        lengths = self.chain.lengths
        assert lengths is not None
        if lengths.all():
            return [[] for _ in self._states], self.chain.last_rows()
        rows = np.empty(len(lengths), np.int64)  # the initial state's rows come in the order of the chain
        rows[self.chain.order] = np.arange(len(lengths))
        full = lengths > 0
        sizes = self.chain.batch_sizes
        starts = np.cumsum(sizes) - sizes
        rows[full] += len(lengths) + starts[lengths[full] - 1]
        return [[h] for h in self._initial], rows

    @property
    def final(self) -> Any:
        """The state after the last step run; the initial one of a sequence of length 0."""
        if self._final is None:
            if self.chain.lengths is None:
                last = handles(self.tape, [int(nodes[-1]) for nodes in self._states])
            else:
                first, rows = self._last_rows()
                joined = zip(first, self._states, strict=True)
                packed = [concatenate([*before, *handles(self.tape, nodes)], 0) for before, nodes in joined]
                with self.tape:
                    last = [take_structural(p, rows) for p in packed]
            self._final = rebuild(self.folded.state_tree, last)
        return self._final


give_habits(Unfolded, "Unfolded")


def _sequence(x: Any, chain: Chain) -> Tensor:
    x = here(x, "unfold: an input")
    if chain.lengths is None:
        if x.ndim < 1 or x.shape[0] != chain.T:
            hint = ""
            if x.ndim > 1 and x.shape[1] == chain.T:
                hint = "; yours looks batch-first, (B, T, F): write x.transpose(1, 0, 2)"
            raise ShapeError(f"sequences are (T, B, F) with T = {chain.T} first, got shape {x.shape}{hint}")
        return x
    total, batch = int(chain.lengths.sum()), len(chain.lengths)
    if x.ndim >= 2 and x.dtype_code == INT64 and x.shape[0] != total:
        raise DtypeError("integer sequences of different lengths are given packed: chain.pack(list of arrays)")
    if x.ndim >= 3 and x.shape[:2] == (chain.T, batch):
        where = chain.packed_rows()
        flat = x.reshape((chain.T * batch, *x.shape[2:]))
        return take_structural(flat, where[:, 1] * batch + where[:, 0])
    if x.ndim < 1 or x.shape[0] != total:
        raise ShapeError(
            f"a chain of {batch} sequences with {total} steps in all needs packed rows ({total}, …) from "
            f"chain.pack(list), or padded (T, B, F) = ({chain.T}, {batch}, …); got {x.shape}"
        )
    if chain.backwards:
        order = chain.unpack_rows()
        forwards = chain.reversed().unpack_rows()
        rows = np.empty_like(order)
        rows[order] = forwards
        return _rows_of_integers(x, rows) if x.dtype_code == INT64 else take_structural(x, rows)
    return x


def _rows_of_integers(x: Tensor, rows: np.ndarray) -> Tensor:
    """Rows of packed tokens in another order: ``take`` is for tables of numbers, so they are joined, run by run."""
    starts = np.flatnonzero(np.r_[True, np.diff(rows) != 1]).tolist()
    ends = [*starts[1:], len(rows)]
    return concatenate([some_rows(x, int(rows[a]), b - a) for a, b in zip(starts, ends, strict=True)], 0)


def _unfold_chain(
    tape: Tape,
    cell: Callable[..., Any],
    scope: str,
    chain: Chain,
    sequences: list[Tensor],
    state: Any,
    initial: list[Tensor],
    delays: tuple[int, ...],
    truncate: Truncation | None,
) -> Unfolded:
    ragged = chain.lengths is not None
    sizes = chain.batch_sizes if ragged else np.zeros(chain.T, np.int64)

    def recorded(batch: int) -> FoldedStep:
        def run(places: list[Tensor]) -> tuple[Any, Any]:
            inner, tape.scope = tape.scope, ("", -1)
            xs = [first_rows(x, batch) if ragged else first_row(x) for x in sequences]
            tape.scope = inner
            if ragged:
                places = [first_rows(h, batch) for h in places]
            n = len(initial)
            states = [rebuild(state, places[i * n : (i + 1) * n]) for i in range(len(delays))]
            result = _stepped(cell, xs, states[0] if len(delays) == 1 else tuple(states))
            if not isinstance(result, tuple) or len(result) != 2:
                raise ShapeError(f"a step returns (state, output), got {type(result).__name__}; write return h, h")
            return matched(result[0], state, "the state a step returns"), result[1]

        slots = [((batch, *h.shape[1:]) if ragged else h.shape, h.dtype_code) for _ in delays for h in initial]
        return fold(tape, run, slots, scope)

    folded = recorded(int(sizes[0]))
    check_state(folded, initial, ragged)
    rows = None
    if ragged:  # where the batch never shrinks, one recording says all
        other = recorded(int(sizes[0]) + 1) if sizes[-1] != sizes[0] else folded
        rows = ragged_rows(tape, folded, other, sizes)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if ragged else chain.positions
    if truncate is not None and initial:
        steps = chain.positions + tape.next_step(scope, chain.T)
        once = Recorded(folded, initial, delays, steps, first, len(sequences), sizes if ragged else None, rows)
        return noticed(scope, Unfolded(chain, folded, tape, *stamp_truncated(tape, once, truncate), initial))
    args = {(0, i): first for i in range(len(sequences))}
    state_nodes: list[np.ndarray] = []

    def slots(group: int, slot: int, instances: np.ndarray, bases: np.ndarray) -> np.ndarray:
        if not state_nodes:
            state_nodes.extend(state_nodes_of(folded, bases, initial, delays))
        which, delay = slot % len(initial), delays[slot // len(initial)]
        return delayed(state_nodes[which], initial[which].index, delay)

    steps = chain.positions + tape.next_step(scope, chain.T)
    bases = stamp(tape, [(folded, np.arange(chain.T))], slots, steps, args, None if rows is None else {0: rows})
    if not state_nodes:
        state_nodes.extend(state_nodes_of(folded, bases, initial, delays))
    outputs = [resolve(ref, folded, bases, state_nodes, initial, delays) for ref in folded.outputs]
    way = -1 if chain.backwards else 1
    tape.starts += never_late(folded, bases, state_nodes, initial, delays, steps, way)
    unfolded = Unfolded(chain, folded, tape, outputs, state_nodes, initial)
    return noticed(scope, unfolded, sequences, initial, delays, bases)


def _stepped(cell: Callable[..., Any], xs: list[Tensor], state: Any) -> Any:
    """One step; a TinyseqError where the step takes other arguments."""
    try:
        return cell(*xs, state)
    except TypeError as error:
        if not at_the_call(error):
            raise
        given = ["x_t"] if len(xs) == 1 else [f"x{i + 1}_t" for i in range(len(xs))]
        raise CallError(
            f"a step gets its inputs and then its state: with {len(xs)} input sequences it is called as "
            f"step({', '.join([*given, 'state'])}), but {error}"
        ) from None
