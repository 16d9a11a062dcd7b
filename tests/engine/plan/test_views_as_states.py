"""States that are views: columns, rows, arrangements of something wider, read late and through further views."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import compare, names_of, reference, run_plan
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.engine.validation.check import verify_plan

H = 3
MADE: dict[str, Callable[[Any, int], Any]] = {  # u, of 2 B rows and 2 H columns → a state (B, H)
    "columns": lambda u, b: u[:b, :H],
    "last columns": lambda u, b: u[b:, H:],
    "columns of rows": lambda u, b: ts.getitem(u[:, :H], slice(0, b)),
    "reshaped": lambda u, b: ts.reshape(u[:b, :H], (H, b)).reshape((b, H)),
    "transposed": lambda u, b: ts.matrix_transpose(ts.matrix_transpose(u)[:H, :b]),
    "detached": lambda u, b: u[:b, H:].detach() + u[:b, :H],
    "handed on": lambda u, b: u[:b, :H],
}
READ: dict[str, Callable[[Any], Any]] = {  # a state (B, H) → (B, H)
    "itself": lambda h: h,
    "reshaped": lambda h: ts.reshape(ts.reshape(h, (h.shape[0] * H,)), h.shape),
    "cut": lambda h: ts.concatenate([h[:, :1], h[:, 1:]], 1),
    "turned": lambda h: ts.matrix_transpose(ts.reshape(ts.matrix_transpose(h), (H, h.shape[0]))),
}


CASES = [
    (made, read, delays)
    for made, read, delays in product(MADE, READ, [(1,), (2,), (1, 2)])
    if (made, read, delays) != ("handed on", "itself", (2,))  # starts from four states, which has no plan
]


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize(("made", "read", "delays"), CASES)
def test_states_that_are_views(made: str, read: str, delays: tuple[int, ...], batch: int, rng: Any) -> None:
    W, U = (ts.Parameter(rng.normal(size=(H, 2 * H)), name) for name in "WU")
    x, first = rng.normal(size=(5, 2 * batch, 2 * H)), rng.normal(size=(batch, H))

    def step(x_t: Any, state: Any) -> Any:
        given = state if len(delays) > 1 else (state,)
        before = given[-1]
        h, handed = before
        doubled = ts.concatenate([READ[read](h), handed], 0) @ W
        for h, _ in given[:-1]:
            doubled = doubled + ts.concatenate([h, READ[read](h)], 0) @ U
        u = ts.tanh(x_t + doubled)
        old = READ[read](before[0]) if made == "handed on" else MADE[made](u * 0.5, batch)
        return (MADE[made](u, batch), old), u[:batch, :H]

    with ts.Tape(ts.Reference) as tape:
        start = ts.tensor(first), ts.tensor(first * 2)
        unfolded = ts.unfold(step, ts.Chain(5), ts.tensor(x), start, delays=delays)
        loss = ts.sum(unfolded.outputs**2) + ts.sum(unfolded.states[0] * unfolded.states[1])
    plan = plan_tape(tape, [loss.index], loss.index)
    verify_plan(plan)
    expected = reference(tape, [loss.index], loss.index)
    for threads in (1, 2):
        compare(run_plan(plan, tape, [loss.index], loss.index, threads), expected, 1e-10, names_of(tape))


SHOWN: dict[str, Callable[[Any], Any]] = {  # u (B, 4) → a view of it
    "columns": lambda u: u[:, :3],
    "columns of columns": lambda u: u[:, 1:][:, :2],
    "rows": lambda u: u[:1],
    "reshaped": lambda u: ts.reshape(u, (u.shape[0] * 4,)),
    "columns, reshaped": lambda u: ts.reshape(u[:, :3], (3 * u.shape[0],)),
    "transposed": ts.matrix_transpose,
    "row": lambda u: u[0],
    "itself": lambda u: u,
}
CUT: dict[str, Callable[[Any], Any]] = {  # the state goes on, its gradient does not
    "detached": lambda v: ts.tanh(v).detach(),
    "compared": lambda v: ts.where(v > 0.1, 0.5, -0.25) if hasattr(v, "shape") else v,
    "not cut": ts.tanh,
}


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize(("shown", "cut"), list(product(SHOWN, CUT)))
def test_views_read_in_the_loop_and_after_it(shown: str, cut: str, batch: int, rng: Any) -> None:
    """What only outputs pass a gradient to is in the recurrence all the same; its gradient comes for all steps."""
    W, V = ts.Parameter(rng.normal(size=(4, 4)), "W"), ts.Parameter(rng.normal(size=(1,)), "V")
    x, first = rng.normal(size=(5, batch, 4)), rng.normal(size=(batch, 4))

    def step(x_t: Any, h: Any) -> Any:
        u = ts.sigmoid(x_t + h @ W)
        v = SHOWN[shown](u)
        state = ts.sum(CUT[cut](v)) * ts.tensor(np.ones((batch, 4))) + h.detach() * 0.5
        return state, ts.sum(ts.tanh(v * V)) + ts.sum(v * v)

    with ts.Tape(ts.Reference) as tape:
        loss = ts.sum(ts.unfold(step, ts.Chain(5), ts.tensor(x), ts.tensor(first)).outputs)
    plan = plan_tape(tape, [loss.index], loss.index)
    verify_plan(plan)
    expected = reference(tape, [loss.index], loss.index)
    for threads in (1, 2):
        compare(run_plan(plan, tape, [loss.index], loss.index, threads), expected, 1e-10, names_of(tape))
