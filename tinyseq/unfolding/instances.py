"""What a folded step refers to in each of its instances along a chain: states, outputs, first axes."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import DtypeError, ShapeError
from tinyseq.tape import DTYPES, Kind, Tape
from tinyseq.tape.instances import FIXED, LOCAL, SLOT
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.source_lines import internal
from tinyseq.unfolding.folding import FoldedStep

internal(__file__)


def delayed(nodes: np.ndarray, initial: int, delay: int) -> np.ndarray:
    """The nodes that stand for a state ``delay`` steps later."""
    return np.concatenate([np.full(min(delay, len(nodes)), initial), nodes[:-delay]])


def resolve(
    ref: tuple[int, int],
    folded: FoldedStep,
    bases: np.ndarray,
    states: list[np.ndarray],
    initial: list[Tensor],
    delays: tuple[int, ...],
) -> np.ndarray:
    """The node that a reference stands for, in each instance."""
    code, number = ref
    if code == LOCAL:
        return bases + number
    if code == FIXED:
        return np.full(len(bases), number)
    which = number % len(initial)
    return delayed(states[which], initial[which].index, delays[number // len(initial)])


def state_nodes_of(
    folded: FoldedStep, bases: np.ndarray, initial: list[Tensor], delays: tuple[int, ...]
) -> list[np.ndarray]:
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


def check_state(folded: FoldedStep, initial: list[Tensor], ragged: bool) -> None:
    """Raises ShapeError or DtypeError where a step returns another state than it gets."""
    given = [h.shape[1:] if ragged else h.shape for h in initial]
    made = [s[1:] if ragged else s for s in folded.state_shapes]
    if given != made:
        raise ShapeError(
            f"the state a step returns must have the shapes of the state it gets: initial {given}, returned {made}"
        )
    if [h.dtype_code for h in initial] != folded.state_dtypes:
        raise DtypeError(
            "the state a step returns must have the dtypes of the state it gets: initial "
            f"{[str(h.dtype) for h in initial]}, returned {[str(DTYPES[code]) for code in folded.state_dtypes]}"
        )


def ragged_rows(tape: Tape, folded: FoldedStep, other: FoldedStep, sizes: np.ndarray) -> np.ndarray:
    """First axes of all nodes in all instances, from two recordings with batches of b and b + 1."""
    kinds, others = folded.table[:, 0].tolist(), other.table[:, 0].tolist()
    if kinds != others or not np.array_equal(folded.codes, other.codes):
        differing = next((k for k, m in zip(kinds, others, strict=False) if k != m), None)
        why = "" if differing is None else f", first {tape.kinds[differing].op} {_line_of(tape.kinds[differing])}"
        raise ShapeError(
            f"this step records other nodes for other batch sizes{why}; so it cannot run over sequences of different "
            "lengths. Rows of the batch must stay on the first axis: two values side by side, where ts.stack would put "
            "an axis before, are ts.concatenate([a, b], axis=1)"
        )
    slope = other.table[:, 1] - folded.table[:, 1]
    return folded.table[:, 1] + slope * (sizes - sizes[0])[:, None]


def _line_of(kind: Kind) -> str:
    return f"at {kind.line[0]}:{kind.line[1]}"


def never_late(
    folded: FoldedStep,
    bases: np.ndarray,
    states: list[np.ndarray],
    initial: list[Tensor],
    delays: tuple[int, ...],
    steps: np.ndarray,
    way: int,
) -> list[tuple[int, int, int, int]]:
    """Reads of states that no step is late enough to see: their delay is as long as the chain, so each of them finds an
    initial state, and the tape alone would not say of which state. See ``Tape.starts``.

    ``steps`` of the instances; ``way`` is −1 where time runs back.
    """
    count = len(bases)
    if count > 1:
        way = int(np.sign(steps[1] - steps[0]))
    local = np.repeat(np.arange(len(folded.n_inputs)), folded.n_inputs)
    found: list[tuple[int, int, int, int]] = []
    for edge in np.flatnonzero(folded.codes == SLOT).tolist():
        slot = int(folded.numbers[edge])
        place, delay = _made_by(folded, slot, len(initial), delays)
        if place is None or delay < count:
            continue
        which = slot % len(initial)
        read = delayed(states[which], initial[which].index, delays[slot // len(initial)])
        rows = np.stack([read, bases + place, steps - way * delay, bases + local[edge]], axis=1)
        found += map(tuple, rows.tolist())
    return found


def _made_by(folded: FoldedStep, slot: int, n: int, delays: tuple[int, ...]) -> tuple[int | None, int]:
    """The node of a step that makes what a placeholder stands for, and how many steps late; None where none does."""
    total = 0
    for _ in range(n * len(delays) + 1):  # as often as a state can be handed on from place to place
        total += delays[slot // n]
        code, number = folded.state[slot % n]
        if code != SLOT:
            return (number if code == LOCAL else None), total
        slot = number
    return None, total
