"""What a step makes of weights, or of what all steps share, is made once for all steps, and nothing else is.

The oracle is the reference executor, which makes it at every node; for the weights' norm a loop in NumPy with the
quotient taken before it, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import agreeing, compare, names_of, reference, run_plan
from tinyseq.engine.instances import INSTANCES
from tinyseq.engine.plan import once as module
from tinyseq.engine.plan.graph import verify_graph
from tinyseq.engine.plan.pipeline import plan_tape, stages_of
from tinyseq.engine.plan.reads import Delayed, Shared
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.meaning import verify_meaning
from tinyseq.errors import TapeError

T, B, F = 12, 3, 4  # a loop that is shorter is not folded
Weights = dict[str, Any]
Step = Callable[[Any, Any, Weights], Any]


def shaped(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape) * 0.6


def weights() -> Weights:
    shapes = {"W": (F, F), "V": (F, F), "L": (2 * F, F), "b": (F,), "s": (), "table": (T, F)}
    return {name: ts.Parameter(shaped(shape, k), name) for k, (name, shape) in enumerate(shapes.items())}


# The step, and the ops that are made once in it.
STEPS: dict[str, tuple[Step, set[str]]] = {
    "weights by their norm": (lambda x, h, p: x + h @ (p["W"] / ts.sqrt(ts.sum(p["W"] * p["W"]))), {"div", "sum"}),
    "rows that sum to 1": (lambda x, h, p: x + h @ ts.softmax(p["W"]), {"softmax"}),
    "a decay": (lambda x, h, p: x + h * ts.exp(-ts.exp(p["b"])), {"exp"}),
    "two matrices in one": (lambda x, h, p: ts.concatenate([x, h]) @ p["L"] + h @ (p["W"] @ p["V"]), {"matmul"}),
    "weights one under the other": (
        lambda x, h, p: ts.concatenate([x, h]) @ ts.concatenate([p["W"], p["V"]], axis=0),
        {"concatenate"},
    ),
    "a part of weights": (lambda x, h, p: x @ p["L"][:F] + h @ p["L"][F:], {"slice"}),
    "weights turned": (lambda x, h, p: x + h @ ts.transpose(ts.tanh(p["W"])), {"tanh"}),
    "a bias made of weights": (lambda x, h, p: x + h @ p["W"] + ts.sum(p["V"], axis=0) * p["s"], {"sum"}),
    "a row of a table": (lambda x, h, p: x + h * ts.sigmoid(p["table"][2]), {"sigmoid"}),
    "what passes no gradient": (lambda x, h, p: x + h @ (p["W"] / ts.detach(ts.norm(p["W"]))), {"div"}),
}


def cell(step: Step, p: Weights) -> Any:
    def run(x: Any, h: Any) -> Any:
        h = ts.tanh(step(x, h, p))
        return h, h

    return run


def chain(step: Any, x: Any, h: Any) -> Any:
    return ts.unfold(step, ts.Chain(T), x, h).outputs


def loop(step: Any, x: Any, h: Any) -> Any:
    found = []
    for t in range(T):
        h, o = step(x[t], h)
        found.append(o)
    return ts.stack(found)


def backwards(step: Any, x: Any, h: Any) -> Any:
    return ts.unfold(step, ts.Chain(T, backwards=True), x, h).outputs


def lengths(step: Any, x: Any, h: Any) -> Any:
    n = [T, 2, 7]
    rows = ts.concatenate([x[t : t + 1, k] for k, every in enumerate(n) for t in range(every)], axis=0)
    return ts.unfold(step, ts.Chain(n), rows, h).outputs


def tree(step: Any, x: Any, h: Any) -> Any:
    class Cell(ts.nn.TreeCell):
        def leaf(self, x: Any) -> Any:
            return ts.tanh(x)

        def merge(self, left: Any, right: Any) -> Any:
            return step(left, right)[0]

    return ts.unfold(Cell(), ts.Tree.balanced(T), ts.reshape(x, (T * B, F))[:T]).states


STRUCTURES = {f.__name__: f for f in (chain, loop, backwards, lengths, tree)}


def recorded(step: Any, unfolded: Any) -> tuple[ts.Tape, list[int], int]:
    with ts.Tape(executor=ts.Reference) as tape:
        x, h = ts.tensor(shaped((T, B, F), 10)), ts.tensor(shaped((B, F), 11))
        loss = ts.sum(unfolded(step, x, h) ** 2)
    return tape, [loss.index], loss.index


def made_once(graph: Any) -> set[str]:
    return {graph.classes[i].op for i in graph.once if i in graph.needed}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", STEPS)
def test_it_is_made_once_and_the_numbers_are_the_reference_s(name: str, structure: str) -> None:
    step, ops = STEPS[name]
    tape, wanted, loss = recorded(cell(step, weights()), STRUCTURES[structure])
    plan, expected = plan_tape(tape, wanted, loss, check=True), reference(tape, wanted, loss)
    verify_plan(plan)
    verify_meaning(plan, tape)
    assert ops <= made_once(plan.graph)
    off = plan_tape(tape, wanted, loss, without=frozenset({"once"}), check=True)
    assert not off.graph.once
    for threads in (1, 2):
        compare(run_plan(plan, tape, wanted, loss, threads), expected, 1e-12, names_of(tape))
    compare(run_plan(off, tape, wanted, loss, 2), expected, 1e-12, names_of(tape))


def test_a_norm_taken_in_each_step_is_that_taken_before_the_loop() -> None:
    p, x, h = weights(), shaped((T, B, F), 10), shaped((B, F), 11)

    def loss(x: Any, h: Any) -> Any:
        return ts.sum(chain(cell(STEPS["weights by their norm"][0], p), x, h) ** 2)

    def value(w: np.ndarray) -> float:
        state, total, scaled = h, 0.0, w / np.sqrt((w * w).sum())
        for t in range(T):
            state = np.tanh(x[t] + state @ scaled)
            total += float((state**2).sum())
        return total

    W = p["W"].value.copy()
    np.testing.assert_allclose(ts.compile(loss).backward(x, h), value(W), rtol=1e-13)
    for i in range(F):
        for j in range(F):
            step = np.zeros((F, F))
            step[i, j] = 1e-5
            slope = (value(W + step) - value(W - step)) / 2e-5
            np.testing.assert_allclose(p["W"].grad[i, j], slope, rtol=1e-6, atol=1e-9)


def test_a_context_multiplied_in_each_step_is_multiplied_once() -> None:
    """What all steps share may come out of another recurrence."""
    p = weights()

    def two(step: Any, x: Any, h: Any) -> Any:
        context = chain(step, x, h)[T - 1]
        return chain(lambda x, h: (ts.tanh(x + h @ p["W"] + context @ p["V"]),) * 2, x, h)

    tape, wanted, loss = recorded(cell(lambda x, h, p: x + h * p["b"], p), two)
    plan = agreeing(tape, wanted, loss)
    assert "matmul" in made_once(plan.graph)


NOT: dict[str, Step] = {
    "what changes with the input": lambda x, h, p: h + ts.exp(x),
    "what changes with the state": lambda x, h, p: x + ts.exp(h),
    "weights times the input": lambda x, h, p: h + x * p["b"],
    "a row repeated": lambda x, h, p: x + h + ts.expand(p["b"], (B, F)),
}


@pytest.mark.parametrize("structure", ["chain", "loop", "backwards"])
@pytest.mark.parametrize("name", NOT)
def test_what_changes_and_what_costs_nothing_stay(name: str, structure: str) -> None:
    tape, wanted, loss = recorded(cell(NOT[name], weights()), STRUCTURES[structure])
    assert not made_once(plan_tape(tape, wanted, loss).graph)


def test_rows_of_a_batch_that_shrinks_stay() -> None:
    """As many rows as the step has sequences are another value in each step."""
    step = cell(lambda x, h, p: x + h * ts.exp(ts.expand(p["b"], (h.shape[0], F))), weights())
    for structure, same in ((chain, True), (lengths, False)):
        tape, wanted, loss = recorded(step, structure)
        plan = agreeing(tape, wanted, loss)
        assert ("exp" in made_once(plan.graph)) == same


def test_what_waits_for_the_first_step_of_its_own_recurrence_stays_in_it() -> None:
    p = weights()

    def first_of_all(step: Any, x: Any, h: Any) -> Any:
        found = []
        for t in range(T):
            e = ts.exp(-h * h) + x[t] * p["s"]
            found.append(e)
            h = e * ts.tanh(found[0])
        return h

    tape, wanted, loss = recorded(None, first_of_all)
    plan = agreeing(tape, wanted, loss)
    assert "tanh" not in made_once(plan.graph)


def test_what_is_read_by_a_delay_or_kept_as_an_output_stays() -> None:
    """The state is weights alone from the first step on; and what is collected is wanted once a step."""
    p = weights()

    def handed_on(step: Any, x: Any, h: Any) -> Any:
        u = ts.unfold(lambda x, h: (ts.exp(p["W"]), x @ h), ts.Chain(T), x, p["V"])
        return u.outputs

    def collected(step: Any, x: Any, h: Any) -> Any:
        return ts.unfold(lambda x, h: (h + x, ts.exp(p["W"])), ts.Chain(T), x, h).outputs

    for net in (handed_on, collected):
        tape, wanted, loss = recorded(None, net)
        plan = agreeing(tape, wanted, loss, threads=1)
        assert "exp" not in made_once(plan.graph)


def test_a_member_that_is_asked_for_is_the_one_that_is_made() -> None:
    p = weights()
    kept = []

    def step(x: Any, h: Any) -> Any:
        kept.append(ts.exp(p["W"]))
        h = ts.tanh(x + h @ kept[-1])
        return h, h

    with ts.Tape(executor=ts.Reference) as tape:
        out = loop(step, ts.tensor(shaped((T, B, F), 10)), ts.tensor(shaped((B, F), 11)))
        loss = ts.sum(out) + ts.sum(kept[2])
    wanted = [loss.index, kept[3].index, kept[0].index]
    agreeing(tape, wanted, loss.index)


@pytest.mark.parametrize("structure", ["chain", "lengths", "tree"])
def test_a_plan_that_does_not_know_its_lengths_makes_it_once_too(structure: str) -> None:
    """Sizes that were never seen run by a known plan; each is compared with the reference by ``check``."""
    p = weights()
    step = cell(STEPS["weights by their norm"][0], p)

    def value(x: Any, h: Any, n: list[int]) -> Any:
        if structure == "tree":

            class Cell(ts.nn.TreeCell):
                def leaf(self, x: Any) -> Any:
                    return ts.tanh(x)

                def merge(self, left: Any, right: Any) -> Any:
                    return step(left, right)[0]

            return ts.sum(ts.unfold(Cell(), ts.Tree.balanced(len(x)), x).root)
        if structure == "lengths":
            return ts.sum(ts.unfold(step, ts.Chain(n), x, h).outputs)
        return ts.sum(ts.unfold(step, ts.Chain(len(x)), x, h).outputs)

    loss, before = ts.compile(value, check=True), INSTANCES.counts["instances"]
    for size in range(3, 12):
        n = [size, size - 1, 2]
        shape = {"tree": (size, F), "lengths": (sum(n), F), "chain": (size, B, F)}[structure]
        given = shaped(shape, size), shaped((3 if structure == "lengths" else B, F), 1), n
        loss.backward(*given)
        assert "div" in made_once(loss.program(*given).plan.graph)
    assert INSTANCES.counts["instances"] >= before + 4


# -- made wrong on purpose
def changing_too(state: Any, no: set[int]) -> set[int]:
    """As if a class whose members read different members were one value."""
    return right(state, no) | {c.index for c in state.classes if c.op == "exp" and c.group.count > 1}


def delayed_too(state: Any, no: set[int]) -> set[int]:
    """As if a delay read one value."""
    return right(state, set()) | {
        c.index for c in state.classes if c.group.count > 1 and any(isinstance(r, Delayed) for r in c.refs)
    }


right = module._alike


@pytest.mark.parametrize("wrong", [changing_too, delayed_too])
def test_what_is_not_one_value_is_refused_by_the_pass(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_alike", wrong)
    step = NOT["what changes with the input"] if wrong is changing_too else STEPS["a decay"][0]
    tape, wanted, loss = recorded(cell(step, weights()), chain)
    with pytest.raises(TapeError, match=r"rewrite: class \d+ .* is made once, and (its|what its) members"):
        plan_tape(tape, wanted, loss, check=True)


def test_another_row_in_each_step_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    p = weights()

    def rows(step: Any, x: Any, h: Any) -> Any:
        return loop(lambda x, h: (h * ts.sigmoid(p["table"][len(seen)]) + x, seen.append(h) or h), x, h)

    def blind(state: Any, no: set[int]) -> set[int]:
        return {c.index for c in state.classes if c.group.count > 1 and all(isinstance(r, Shared) for r in c.refs)}

    seen: list[Any] = []
    tape, wanted, loss = recorded(None, rows)
    assert not made_once(plan_tape(tape, wanted, loss, check=True).graph)
    monkeypatch.setattr(module, "_alike", blind)
    with pytest.raises(TapeError, match="is made once, and its members are of different sizes or of different rows"):
        plan_tape(tape, wanted, loss, check=True)


def test_a_reader_of_another_member_is_refused() -> None:
    tape, wanted, loss = recorded(cell(STEPS["a decay"][0], weights()), chain)
    stages = stages_of(tape, wanted, loss, until="rewrite", check=True)
    graph, folded = stages.values["rewrite"], stages.values["fold"]
    made = max(graph.once)
    reader = next(c for c in graph.classes for r in c.refs if r.source == made and c.index not in graph.once)
    place = next(j for j, r in enumerate(reader.refs) if r.source == made)
    other = next(c.index for c in graph.classes if c.op == "parameter")
    for wrong in (Shared(other, 0), Shared(made, 1)):
        reader.refs[place] = wrong
        with pytest.raises(TapeError, match=r"(rewrite|fold): class \d+ .* (other members than|beyond the members)"):
            verify_graph(graph, folded)
