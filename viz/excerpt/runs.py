"""Runs: a cell that is unfolded several times on one tape, each time anew, is drawn as several, as the layers are.

On a tape the time steps of a cell go on where it is unfolded again. Where the later steps go on from the state of the
earlier ones too, that is one chain; where they start from a state of their own, as the two halves of a siamese net do,
it is another one, over time steps of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tinyseq.tape import Kind, Node, Tape
from tinyseq.viz.excerpt.positions import Reads

MOST = 6  # runs of one cell; more of them are batches rather than parts of a net
BACK = "_backward"


class _OfRuns:
    """A tape whose runs are cells of their own, named by numbers: all the rest is that of the tape."""

    def __init__(self, tape: Tape, reads: Reads, runs: dict[str, list[range]]) -> None:
        self._tape, self.names = tape, {cell: [_numbered(cell, n) for n in range(len(runs[cell]))] for cell in runs}
        self.step, self.kind, self.kinds = tape.step.copy(), tape.kind.copy(), list(tape.kinds)
        for cell, parts in runs.items():
            mask = reads.mask({cell})
            for part, name in zip(parts, self.names[cell], strict=True):
                here = np.flatnonzero(mask & (tape.step >= part.start) & (tape.step < part.stop))
                self.step[here] -= part.start
                for kind in np.unique(tape.kind[here]).tolist():
                    self.kind[here[tape.kind[here] == kind]] = len(self.kinds)
                    self.kinds.append(cast(Kind, tape.kinds[kind]._replace(cell=name)))
        first = {name: part.start for cell in runs for name, part in zip(self.names[cell], runs[cell], strict=True)}
        self.starts = [(j, i, time - first.get(self.kinds[self.kind[i]].cell, 0), r) for j, i, time, r in tape.starts]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tape, name)

    def __len__(self) -> int:
        return len(self._tape)

    def node(self, index: int) -> Node:
        """A node, of the cell that its run is."""
        return self._tape.node(index)._replace(cell=self.kinds[int(self.kind[index])].cell, step=int(self.step[index]))


def apart(tape: Tape, keep: np.ndarray | None, opened: Sequence[str] = ()) -> tuple[Tape, tuple[str, ...]]:
    """The tape with each run as a cell of its own, and the names of ``opened`` cells there."""
    reads = Reads(tape, keep)
    trees = reads.trees()
    found = {cell: _runs(tape, reads, cell) for cell in reads.cells if cell not in trees}
    found = {cell: parts for cell, parts in found.items() if 1 < len(parts) <= MOST}
    if not found:
        return tape, tuple(opened)
    made = _OfRuns(tape, reads, found)
    return cast(Tape, made), tuple(name for cell in opened for name in made.names.get(cell, [cell]))


def _numbered(cell: str, number: int) -> str:
    back = BACK if cell.endswith(BACK) else ""
    return f"{cell.removesuffix(back)} {number + 1}{back}"


def _runs(tape: Tape, reads: Reads, cell: str) -> list[range]:
    """The steps of a cell in runs: between two of them no state is handed on."""
    pairs = reads.pairs(cell)
    if not len(pairs):
        return []
    total = int(tape.step.max(initial=-1)) + 1
    crossed = np.zeros(total + 1, np.int64)  # how many states are handed on over the boundary before each step
    np.add.at(crossed, pairs.min(1) + 1, 1)
    np.add.at(crossed, pairs.max(1) + 1, -1)
    crossed = crossed.cumsum()
    mask = reads.mask({cell})
    here = np.unique(tape.step[mask])
    begins = here[(crossed[here] == 0)]
    if not 1 < len(begins) <= 2 * MOST:
        return []
    ends = [*begins[1:].tolist(), int(here[-1]) + 1]
    found: list[range] = []
    for begin, end in zip(begins.tolist(), ends, strict=True):
        if found and _goes_on(tape, mask, found[-1], begin):
            found[-1] = range(found[-1].start, end)
        else:
            found.append(range(begin, end))
    return found


def _goes_on(tape: Tape, mask: np.ndarray, before: range, step: int) -> bool:
    """Whether a step goes on from the last step of a run, by way of what is outside of steps, as a state cut off is."""
    waiting = np.flatnonzero(mask & (tape.step == step)).tolist()
    seen, reached = set(waiting), set()
    while waiting:
        for j in tape.inputs(waiting.pop()):
            if j in seen:
                continue
            seen.add(j)
            if tape.step[j] < 0:
                waiting.append(j)
            elif mask[j] and int(tape.step[j]) in before:
                reached.add(int(tape.step[j]))
    return reached == {before.stop - 1} or (bool(reached) and len(before) == 1)
