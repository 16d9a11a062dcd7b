"""The terms that add up to the gradient of a parameter, by step, in the order in which backward comes to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyseq.tape import Tape
from tinyseq.viz.stepper.edges import Edges

Use = tuple[int, int]  # a node, and which of its inputs


@dataclass
class Row:
    """One step's term: its uses, ‖δ‖ there, its size, its cosine to the whole gradient, the sum so far."""

    step: int
    uses: list[Use]
    delta: float
    size: float
    cosine: float
    running: float


@dataclass
class Ledger:
    """``total`` is the norm of the gradient, ``residual`` what the sum of the rows misses of it, relative to that."""

    leaf: int
    total: float
    residual: float
    rows: list[Row]


def ledger(tape: Tape, edges: Edges, leaf: int, readers: list[int], step_of: Callable[[int], int]) -> Ledger:
    """The ledger of a leaf; ``readers`` are the nodes that read it and get a gradient, as backward comes to them."""
    total = np.asarray(edges.grads[leaf], np.float64)
    terms: dict[int, list[tuple[Use, np.ndarray]]] = {}
    for i in readers:
        for place, j in enumerate(tape.inputs(i)):
            term = edges.increment(i, place) if j == leaf else None
            if term is not None:
                terms.setdefault(step_of(i), []).append(((i, place), np.asarray(term, np.float64)))
    running, rows = np.zeros(total.shape), []
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(total.reshape(-1)))
        for step, uses in terms.items():
            term = np.sum([t for _, t in uses], axis=0)
            running = running + term
            size, along = float(np.linalg.norm(term)), float(np.vdot(term, total))
            deltas = [np.asarray(edges.grads[i], np.float64) for i in sorted({i for (i, _), _ in uses})]
            delta = float(np.sqrt(sum(float(np.vdot(g, g)) for g in deltas)))
            cosine = along / (size * norm) if size * norm else 0.0
            rows.append(Row(step, [use for use, _ in uses], delta, size, cosine, float(np.linalg.norm(running))))
        gap = float(np.linalg.norm(running - total))
    return Ledger(leaf, norm, gap / norm if norm else gap, rows)
