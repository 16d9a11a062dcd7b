"""Truncated back-propagation through time: a folded step stamped over a chain with cut edges.

A cut is a ``detach`` node between a state and the step that reads it. ``Chunk(k)`` cuts the one chain every k steps.
``Window(k)`` stamps k lanes of the cell, one for each distance to the loss: lane d holds, for every t, step t of the
window that ends at t + d, and reads the states of lane d + 1; the outermost lane, which also hands the values on, is
cut at every step.

    lane 2      ✂→ s ✂→ s ✂→ s                  cell "rnn−2"
                    ↘    ↘    ↘
    lane 1           s    s    s                cell "rnn−1"
                      ↘    ↘    ↘
    lane 0, the loss   s    s    s              cell "rnn"

A state that a step hands on as it got it (a context that is the same at all steps) is no way through time: never cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinyseq.errors import TapeError
from tinyseq.functions.elementwise import DETACH
from tinyseq.functions.shapes import WINDOW
from tinyseq.structure.truncation import Chunk, Truncation
from tinyseq.tape import INT64, Kind, Tape
from tinyseq.tape.instances import FIXED, LOCAL, SLOT
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.source_lines import internal, source_line
from tinyseq.unfolding.folding import FoldedStep
from tinyseq.unfolding.stamping import stamp

internal(__file__)


@dataclass
class Recorded:
    """One step recorded, and what it is stamped with.

    steps    step of each instance        first   which row of the inputs each reads
    sizes    batch of each step, and ``rows`` the first axes of all nodes of all steps, where lengths differ
    """

    folded: FoldedStep
    initial: list[Tensor]
    delays: tuple[int, ...]
    steps: np.ndarray
    first: np.ndarray
    n_inputs: int
    sizes: np.ndarray | None
    rows: np.ndarray | None

    @property
    def T(self) -> int:
        """Steps."""
        return len(self.steps)

    def source(self, slot: int) -> tuple[int, int]:
        """(number of the state, delay) that a placeholder stands for."""
        return slot % len(self.initial), self.delays[slot // len(self.initial)]

    def cut(self, tape: Tape) -> list[int]:
        """The states that are cut: all that a step makes, or hands on in another place."""
        starts, found = np.cumsum(self.folded.n_inputs) - self.folded.n_inputs, []
        for i, (code, number) in enumerate(self.folded.state):
            if code == LOCAL and tape.kinds[int(self.folded.table[number, 0])].op == WINDOW:
                code, number = int(self.folded.codes[starts[number]]), int(self.folded.numbers[starts[number]])
            handed_on = code == SLOT and self.source(number) == (i, 1)
            if not handed_on and self.initial[i].dtype_code != INT64:
                found.append(i)
        return found


Nodes = tuple[list[np.ndarray], list[np.ndarray]]  # of the outputs and of the states, each in the order of running


def stamp_truncated(tape: Tape, step: Recorded, truncate: Truncation) -> Nodes:
    """Stamp the step over its chain with cut edges. Returns the nodes of (outputs, states) at each step."""
    if tape.folding:
        raise TapeError("unfold inside a step that is itself being unfolded; inside a step, loop over the inner steps")
    k = min(int(truncate.k), step.T)
    return _Chunks(tape, step, k).stamp() if isinstance(truncate, Chunk) else _Windows(tape, step, k).stamp()


class _Lane:
    """A run of steps, with cuts between some of them; knows where each state, and each cut state, lies."""

    def __init__(self, tape: Tape, step: Recorded, folded: FoldedStep, length: int, cuts: np.ndarray) -> None:
        """``cuts``: numbers of the steps whose states are cut."""
        self.tape, self.step, self.folded, self.length, self.cuts = tape, step, folded, length, cuts
        self.cut_states = step.cut(tape)
        has = np.zeros(length, np.int64)
        has[cuts] = 1
        self.places = np.arange(length) + np.cumsum(has) - has
        self.states: list[np.ndarray] = []
        self.detached: list[np.ndarray] = []
        self.read_slot: dict[int, np.ndarray] = {}

    def scissors(self) -> FoldedStep:
        """The detach nodes of one cut, as a folded graph of their own."""
        line, kinds = source_line(), []
        for i in self.cut_states:
            h = self.step.initial[i]
            kinds.append(self.tape.kind_id(Kind(DETACH, (), h.shape[1:], h.dtype_code, "", "", line)))
        first = [h.shape[0] if h.shape else -1 for h in (self.step.initial[i] for i in self.cut_states)]
        n = len(kinds)
        table = np.array([kinds, first, [0] * n, [-1] * n], np.int64).T.reshape(-1, 4)
        codes = np.full(n, SLOT, np.int64)
        return FoldedStep(table, np.ones(n, np.int64), codes, np.array(self.cut_states, np.int64), [], [])

    def stamp(self, read, keep: np.ndarray, rows: np.ndarray | None) -> None:
        """Stamp all steps. ``read(lane, slot)`` says what a placeholder is at each step, once states are known."""
        step, n = self.step, self.length
        count = n + len(self.cuts)
        cut_places = self.places[self.cuts] + 1
        groups = [(self.folded, self.places)]
        lengths = {} if rows is None else {0: rows}
        if len(self.cuts) and self.cut_states:
            groups.append((self.scissors(), cut_places))
            if step.sizes is not None:
                batch = rows_of_states(step, self.folded, rows)
                lengths[1] = np.stack([batch[i][self.cuts] for i in self.cut_states], axis=1)
        else:
            count = n
        places = self.places if len(groups) > 1 else np.arange(n)
        groups[0] = (self.folded, places)
        steps = np.full(count, -1, np.int64)
        steps[places] = step.steps[:n]
        position = np.cumsum(keep) - 1
        args = {(0, int(position[i])): step.first[:n] for i in range(step.n_inputs) if keep[i]}

        def slots(group: int, slot: int, instances: np.ndarray, bases: np.ndarray) -> np.ndarray:
            self.trace(bases, places, cut_places, read)
            return self.read_slot_of(slot, read) if group == 0 else self.states[slot][self.cuts]

        bases = stamp(self.tape, groups, slots, steps, args, lengths or None)
        self.trace(bases, places, cut_places, read)
        self.bases = bases[places]

    def read_slot_of(self, slot: int, read) -> np.ndarray:
        """What a placeholder is at each step."""
        if slot not in self.read_slot:
            self.read_slot[slot] = read(self, *self.step.source(slot))
        return self.read_slot[slot]

    def trace(self, bases: np.ndarray, places: np.ndarray, cut_places: np.ndarray, read) -> None:
        """Where each state lies after each step, and where it is cut."""
        if self.states:
            return
        refs, n = self.folded.state, self.length
        made = [
            bases[places] + number if code == LOCAL else np.full(n, number if code == FIXED else -1, np.int64)
            for code, number in refs
        ]
        self.states, self.detached = made, [np.full(n, -1, np.int64) for _ in refs]
        if len(places) < len(bases):
            for at, i in enumerate(self.cut_states):
                self.detached[i][self.cuts] = bases[cut_places] + at
        handed_on = [i for i, (code, _) in enumerate(refs) if code == SLOT]
        for i in handed_on:
            if self.step.source(refs[i][1]) == (i, 1):
                made[i][:] = self.step.initial[i].index
        for _ in range(n if handed_on else 0):  # as often as a state is handed on and on; mostly once or twice
            before = [made[i].copy() for i in handed_on]
            for i in handed_on:
                made[i][:] = read(self, *self.step.source(refs[i][1]))
            if all(np.array_equal(made[i], old) for i, old in zip(handed_on, before, strict=True)):
                break

    def outputs(self, read) -> list[np.ndarray]:
        """The nodes of each output."""
        found = []
        for code, number in self.folded.outputs:
            if code == SLOT:
                found.append(self.read_slot_of(number, read))
            else:
                found.append(self.bases + number if code == LOCAL else np.full(self.length, number, np.int64))
        return found


def states_only(folded: FoldedStep) -> tuple[FoldedStep, np.ndarray]:
    """The part of a step that its next state needs, and which nodes that keeps."""
    ends = np.cumsum(folded.n_inputs)
    keep = np.zeros(len(folded.table), bool)
    keep[[number for code, number in folded.state if code == LOCAL]] = True
    for node in range(len(keep) - 1, -1, -1):
        if keep[node]:
            reads = slice(ends[node] - folded.n_inputs[node], ends[node])
            keep[folded.numbers[reads][folded.codes[reads] == LOCAL]] = True
    place = np.cumsum(keep) - 1
    edges = np.repeat(keep, folded.n_inputs)
    codes, numbers = folded.codes[edges], folded.numbers[edges]
    local = codes == LOCAL
    numbers[local] = place[numbers[local]]
    state = [(code, int(place[number]) if code == LOCAL else number) for code, number in folded.state]
    small = replace(folded, table=folded.table[keep], n_inputs=folded.n_inputs[keep], codes=codes, numbers=numbers)
    return replace(small, state=state, outputs=[]), keep


def renamed(tape: Tape, folded: FoldedStep, lane: int) -> FoldedStep:
    """The same step in a lane of its own: cell "rnn" becomes "rnn−2"."""
    table = folded.table.copy()
    for row in table:
        kind = tape.kinds[int(row[0])]
        if kind.cell:
            row[0] = tape.kind_id(kind._replace(cell=f"{kind.cell}−{lane}"))
    return replace(folded, table=table)


def slopes(step: Recorded) -> np.ndarray:
    """How many rows each node gets for each sequence more in the batch."""
    assert step.rows is not None and step.sizes is not None
    other = int(np.argmin(step.sizes))
    if step.sizes[other] == step.sizes[0]:
        return np.zeros(step.rows.shape[1], np.int64)
    return (step.rows[0] - step.rows[other]) // (step.sizes[0] - step.sizes[other])


def rows_of_states(step: Recorded, folded: FoldedStep, rows: np.ndarray | None) -> list[np.ndarray]:
    """First axis of each state after each step, where lengths differ."""
    assert rows is not None
    found = []
    for i, (code, number) in enumerate(folded.state):
        if code == LOCAL:
            found.append(rows[:, number])
        else:  # handed on: as it was read, the sequences of the first step
            found.append(np.full(len(rows), step.initial[i].shape[0]))
    return found


class _Chunks:
    """One chain, cut every k steps."""

    def __init__(self, tape: Tape, step: Recorded, k: int) -> None:
        t = np.arange(step.T)
        self.chunk = t // k
        crosses = np.zeros(step.T, bool)
        for delay in step.delays:
            if delay < step.T:
                crosses[:-delay] |= self.chunk[:-delay] != self.chunk[delay:]
        self.lane = _Lane(tape, step, step.folded, step.T, np.flatnonzero(crosses))
        self.initial = [h.index for h in step.initial]

    def read(self, lane: _Lane, which: int, delay: int) -> np.ndarray:
        """The state that a step reads: the initial one, one of its own chunk, or one cut."""
        n = lane.length
        nodes = np.full(n, self.initial[which], np.int64)
        if delay < n:
            states, cut = lane.states[which], lane.detached[which]
            other = (self.chunk[:-delay] != self.chunk[delay:]) & (cut[:-delay] >= 0)
            nodes[delay:] = np.where(other, cut[:-delay], states[:-delay])
        return nodes

    def stamp(self) -> Nodes:
        """Stamp the chain."""
        self.lane.stamp(self.read, np.ones(len(self.lane.folded.table), bool), self.lane.step.rows)
        return self.lane.outputs(self.read), self.lane.states


class _Windows:
    """k lanes: lane d holds the steps that lie d before the loss that they serve."""

    def __init__(self, tape: Tape, step: Recorded, k: int) -> None:
        self.tape, self.step, self.k = tape, step, k
        self.initial = [h.index for h in step.initial]
        self.lanes: dict[int, _Lane] = {}
        self.depth = 0

    def read(self, lane: _Lane, which: int, delay: int) -> np.ndarray:
        """The state that a step reads: of the window it belongs to, or cut from the outermost lane."""
        n = lane.length
        nodes = np.full(n, self.initial[which], np.int64)
        if delay >= n:
            return nodes
        outer = self.lanes[self.k - 1]
        inside = self.depth + delay < self.k
        source = self.lanes[self.depth + delay].states[which] if inside else outer.detached[which]
        if not inside and which not in outer.cut_states:
            source = outer.states[which]
        nodes[delay:] = source[: n - delay]
        return nodes

    def stamp(self) -> Nodes:
        """Stamp the lanes, the outermost first."""
        step, k = self.step, self.k
        cut = np.arange(max(0, step.T - max(k, min(step.delays))))
        small, keep = states_only(step.folded)
        for d in range(k - 1, -1, -1):
            folded = step.folded if d == 0 else renamed(self.tape, small, d)
            kept = keep if d else np.ones(len(step.folded.table), bool)
            n = step.T - d
            rows = None
            if step.rows is not None and step.sizes is not None:  # the sequences that still run at the window's end
                slope = slopes(step)
                rows = (step.rows[0] + slope * (step.sizes[d:] - step.sizes[0])[:, None])[:, kept]
            self.depth = d
            lane = self.lanes[d] = _Lane(self.tape, step, folded, n, cut if d == k - 1 else cut[:0])
            lane.stamp(self.read, kept, rows)
        inner = self.lanes[0]
        return inner.outputs(self.read), inner.states
