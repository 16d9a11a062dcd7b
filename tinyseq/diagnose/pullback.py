"""Vector–Jacobian products between states of a tape, walked node by node on the reference executor.

A *cut* is the nodes of one state: (h(t),), or (h(t), s(t)) of an LSTM. A derivative by a state takes its tensors as
independent of one another: what goes from s(t) through h(t) counts for h(t) alone. So the chain rule holds for states,

    ∇state(t−1) = (∂state(t)/∂state(t−1))ᵀ ∇state(t) + (∂o(t−1)/∂state(t−1))ᵀ ∇o(t−1)        (10.20)
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyseq.tape import Tape

Cut = tuple[int, ...]
Grads = dict[int, np.ndarray]


def reference(tape: Tape) -> Any:
    """The executor that keeps every value: the tape's own, or the one below the compiled executor."""
    return getattr(tape.executor, "reference", tape.executor)


def through(executor: Any, i: int, g: np.ndarray, into: Grads, lowest: int = 0) -> list[int]:
    """Add g · ∂y/∂x of node i to its inputs' gradients, those below ``lowest`` left out; returns inputs new to it."""
    place, inputs, values = executor.place(i), executor.tape.inputs(i), executor.values
    wanted = [(k, calls) for k, calls in place.vjps if inputs[k] >= lowest]
    if not wanted:
        return []
    roles = {"y": values[i], "g": g, "attr": place.floats, **{f"x{k}": values[j] for k, j in enumerate(inputs)}}
    new = []
    for k, calls in wanted:
        j = inputs[k]
        fresh = j not in into
        if fresh:
            into[j] = np.empty_like(values[j])
            new.append(j)
        executor.add(calls, roles, f"gx{k}", into[j], fresh)
    return new


def pullback(tape: Tape, seeds: Mapping[int, np.ndarray], cuts: Sequence[Cut]) -> list[list[np.ndarray]]:
    """The gradients of Σ ⟨seed, node⟩ by the nodes of each cut, in one walk. Seeds are by node; cuts may overlap."""
    executor = reference(tape)
    for i in sorted({*seeds, *(i for cut in cuts for i in cut)}):
        executor.forward(i)
    due: dict[int, list[int]] = {}
    for number, cut in enumerate(cuts):
        due.setdefault(max(cut), []).append(number)
    lowest = min(min(cut) for cut in cuts)
    grads: Grads = {i: np.array(seed, executor.values[i].dtype) for i, seed in seeds.items()}
    found: list[list[np.ndarray]] = [[] for _ in cuts]
    for i in range(max(*seeds, *due), lowest - 1, -1):
        for number in due.get(i, ()):
            found[number] = _at(executor, cuts[number], grads)
        if i in grads:
            through(executor, i, grads.pop(i), grads, lowest)
    return found


def _at(executor: Any, cut: Cut, grads: Grads) -> list[np.ndarray]:
    """Gradients by a cut when the walk has reached its last node: what has arrived, and what waits on nodes between.

    Such nodes lie between the first and the last node of the cut and are read past it, as an output that reads s(t)
    before h(t) is made, or the lower layer where a loop runs layer after layer.
    """
    low, high = min(cut), max(cut)
    local = {i: g.copy() for i, g in grads.items() if low <= i <= high}
    waiting = [-i for i in local if i not in cut]
    heapq.heapify(waiting)
    while waiting:
        i = -heapq.heappop(waiting)
        new = through(executor, i, local[i], local, low)
        for j in new:
            if j not in cut:
                heapq.heappush(waiting, -j)
    return [local[c] if c in local else np.zeros_like(executor.values[c]) for c in cut]


def jacobians(tape: Tape, target: Cut, cuts: Sequence[Cut]) -> list[np.ndarray]:
    """∂target/∂cut for each cut, (B, n, n'): by rows of the batch, each state's tensors flattened and joined.

    One walk for each of the n numbers in a row, seeded with 1 in every row of the batch at once; one walk more sees
    whether rows are independent. Where they are not (or the state has no batch axis), B = 1 and n counts them all.
    """
    executor = reference(tape)
    for i in target:
        executor.forward(i)
    batched = all(executor.values[i].ndim > 1 for i in (*target, *(i for cut in cuts for i in cut)))
    rows = len(executor.values[target[0]]) if batched else 1
    if rows > 1 and _coupled(tape, target, cuts):
        batched, rows = False, 1
    sizes = [executor.values[i].size // rows for i in target]
    found: list[list[np.ndarray]] = [[] for _ in cuts]
    for place, i in enumerate(target):
        for j in range(sizes[place]):
            seed = np.zeros_like(executor.values[i])
            seed.reshape(rows, -1)[:, j] = 1
            for number, parts in enumerate(pullback(tape, {i: seed}, cuts)):
                flat = [p.reshape(len(p), -1)[:rows] if batched else p.reshape(1, -1) for p in parts]
                found[number].append(np.concatenate(flat, axis=1))
    return [np.stack(gathered, axis=1).astype(np.float64) for gathered in found]


def _coupled(tape: Tape, target: Cut, cuts: Sequence[Cut]) -> bool:
    """Whether row 0 of the target depends on other rows of an earlier state."""
    values, rng = reference(tape).values, np.random.default_rng(0)
    seeds = {}
    for i in target:
        seeds[i] = np.zeros_like(values[i])
        seeds[i][0] = rng.standard_normal(values[i].shape[1:])
    return any(np.any(part[1:]) for parts in pullback(tape, seeds, cuts) for part in parts)
