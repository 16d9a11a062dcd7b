"""Plans that do not know their lengths: what a tape gets that is folded like one planned before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import compare, leaves, names_of, reference, results_of
from tests.engine.agreement import recorded as recorded_recipe
from tests.engine.strategies import Recipe, seeded
from tests.engine.test_agreement_nets import CELLS, NETS, Equations, H, Named, O, V, loss_of, zero_state
from tinyseq.engine.instances import Instances, Template, verify_instance
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.folded import Refused
from tinyseq.engine.plan.pipeline import fold, plan_tape
from tinyseq.engine.plan.unknowns import differing, structure, tails
from tinyseq.engine.validation.check import verify_plan
from tinyseq.engine.validation.meaning import verify_meaning
from tinyseq.errors import TapeError

Build = Callable[[], ts.Tensor]


def recorded(build: Build) -> tuple[ts.Tape, int]:
    with ts.Tape(executor=ts.Reference) as tape:
        loss = build()
    return tape, loss.index


def check(program: Program, tape: ts.Tape, loss: int, wanted: list[int] | None = None) -> None:
    """An instance is verified as a plan is, computes what the reference does, and is the plan that a tape has anew."""
    wanted = wanted or [loss]
    verify_instance(program)
    verify_plan(program.plan)
    verify_meaning(program.plan, tape)
    anew = plan_tape(tape, wanted, loss)
    assert program.plan.dump("emit") == anew.dump("emit")
    assert [(s.size, s.lead, s.base) for s in program.storages if s.space == "arena" and s.last >= 0] == [
        (s.size, s.lead, s.base) for s in anew.storages if s.space == "arena" and s.last >= 0
    ]
    with program.alone():
        program.bind({i: tape.executor.value(i) for i in leaves(tape)}, tape)
        program.run()
        found = results_of(program, wanted, loss, tape)
        program.run_in_turn()
        again = results_of(program, wanted, loss, tape)
    for node, gradient in found.gradients.items():
        np.testing.assert_array_equal(gradient, again.gradients[node])
    compare(found, reference(tape, wanted, loss), 1e-10, names_of(tape))


def instances(builds: list[Build], threads: int = 1) -> int:
    """How many are instances of the first; each is checked."""
    return instances_of([(tape, [loss], loss) for tape, loss in map(recorded, builds)], threads)


def instances_of(recordings: list[tuple[ts.Tape, list[int], int]], threads: int) -> int:
    """How many are instances of the first; each is checked. What differs of axes behind the first is a symbol."""
    folded = [fold(tape, wanted, loss) for tape, wanted, loss in recordings]
    keys = [structure(one, wanted, loss) for one, (_, wanted, loss) in zip(folded, recordings, strict=True)]
    alike = [k for k, key in enumerate(keys) if key == keys[0]]
    axes = frozenset().union(*(differing(tails(folded[0]), tails(folded[k])) for k in alike))
    template = Template(folded[0], *recordings[0][1:], threads=threads, axes=axes)
    found = 0
    for k in alike:
        tape, wanted, loss = recordings[k]
        program = template.program(folded[k], wanted, loss)
        if program is not None:
            check(program, tape, loss, wanted)
            found += 1
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETS)
def test_nets_at_other_lengths_and_batches(name: str, threads: int) -> None:
    sizes = [(6, 3), (9, 3), (7, 4), (13, 5)]
    builds = [partial(NETS[name], Named(1, np.float64), T, B) for T, B in sizes]
    assert instances(builds, threads)


@pytest.mark.parametrize("cell", CELLS)
def test_sequences_of_other_lengths(cell: str) -> None:
    equations, count = CELLS[cell]

    def build(lengths: list[int]) -> ts.Tensor:
        pool = Named(1, np.float64)
        chain = ts.Chain(lengths)
        x = ts.tensor(pool.array((sum(lengths), V), 1))
        state = zero_state(pool, count, len(lengths))
        return loss_of(pool, ts.unfold(Equations(pool, equations), chain, x, state).outputs)

    batches = [[9, 7, 4, 2], [8, 3, 3, 1], [12, 11, 5, 4], [6, 5, 4, 3, 2, 1, 1]]
    assert instances([partial(build, lengths) for lengths in batches], 1) == len(batches)
    assert instances([partial(build, lengths) for lengths in batches], 2) >= 1


@pytest.mark.parametrize("net", ["RecursiveNet", "TreeLSTM", "ChildSumTreeLSTM", "RNTN"])
def test_other_trees(net: str) -> None:
    def build(seed: int, many: int) -> ts.Tensor:
        rng = np.random.default_rng(seed)
        forest = ts.Forest([_tree(rng, int(rng.integers(4, 12))) for _ in range(many)])
        pool = Named(1, np.float64)
        made: Any = getattr(ts.nn, net)(V, H, O, rng=np.random.default_rng(3), dtype=np.float64)
        x = ts.tensor(pool.array((forest.n_leaves, V), 1))
        return made.loss(forest, x, pool.integers((forest.n_trees,), O, 2))

    builds = [partial(build, seed, many) for seed, many in [(0, 6), (1, 6), (2, 9), (3, 5)]]
    assert instances(builds, 1) >= 3
    assert instances(builds, 2) >= 1


def _tree(rng: np.random.Generator, n: int) -> ts.Tree:
    nested: list[Any] = list(range(n))
    while len(nested) > 1:
        k = int(rng.integers(len(nested) - 1))
        nested[k : k + 2] = [(nested[k], nested[k + 1])]
    return ts.Tree.from_nested(nested[0])


def relatives(seed: int) -> list[Recipe]:
    """A random recipe, and the same net over other lengths, batches and trees."""
    recipe, rng = seeded(seed), np.random.default_rng(seed)
    found = [recipe]
    for _ in range(3):
        trees = tuple(tuple(rng.integers(0, 999, rng.integers(2, 9)).tolist()) for _ in recipe.parents)
        lengths = tuple(rng.integers(1, 9, len(recipe.lengths) + int(rng.integers(2))).tolist())
        T, B = (int(rng.integers(low, 13)) for low in (3, 1))
        found.append(replace(recipe, T=T, B=B, lengths=lengths, parents=trees))
    return found


def instances_of_random_nets(seeds: range) -> int:
    """How many random nets over other data were instances of the first; each is checked."""
    found = 0
    for seed in seeds:
        recordings = []
        for recipe in relatives(seed):
            recording = recorded_recipe(recipe, np.float64)
            try:
                fold(*recording)
                plan_tape(*recording, apart=False)
            except Refused:  # it has a plan, if any, for its own members one by one: no other tape's
                continue
            recordings.append(recording)
        found += instances_of(recordings, 1 + seed % 2) - 1 if recordings else 0
    return found


def test_random_nets_over_other_data() -> None:
    assert instances_of_random_nets(range(40)) > 20


@pytest.mark.slow
def test_many_random_nets_over_other_data() -> None:
    assert instances_of_random_nets(range(1000, 2000)) > 500


def test_a_structure_is_planned_anew_until_it_comes_back() -> None:
    made = Instances(often=2)
    found = []
    for T in (5, 8, 11, 4):
        tape, loss = recorded(partial(NETS["three_layers"], Named(1, np.float64), T, 3))
        found.append(made.program(fold(tape, [loss], loss), [loss], loss, frozenset()))
    assert found[0] is None and all(program is not None for program in found[1:])
    assert made.counts == {"instances": 3, "templates": 1, "failed": 0}


def test_what_was_decided_by_a_number_is_decided_again() -> None:
    """One step is no chain: nothing recurs."""
    made = Instances(often=2)
    for T in (6, 7, 1, 1, 2, 2, 9):
        tape, loss = recorded(partial(NETS["three_layers"], Named(1, np.float64), T, 3))
        program = made.program(fold(tape, [loss], loss), [loss], loss, frozenset())
        if program is not None:
            check(program, tape, loss)
    assert made.counts["failed"] == 0


def _tanh_net(width: int) -> ts.Tensor:
    w = ts.Parameter(np.zeros((width, width)), name="W")

    def step(x: Any, h: Any) -> Any:
        h = ts.tanh(x + h @ w)
        return h, h

    start = ts.zeros((2, width), np.float64)
    return ts.sum(ts.unfold(step, ts.Chain(5), np.ones((5, 2, width)), start).outputs)


def test_a_batch_of_another_size_is_an_instance_once_it_has_been_seen_to_differ() -> None:
    made, found = Instances(often=2), []
    for B in (3, 3, 4, 6, 3, 5):
        tape, loss = recorded(partial(NETS["three_layers"], Named(1, np.float64), 7, B))
        program = made.program(fold(tape, [loss], loss), [loss], loss, frozenset())
        found.append(program is not None)
        if program is not None:
            check(program, tape, loss)
    assert found == [False, True, True, True, True, True]
    assert made.counts["templates"] == 2


@pytest.mark.parametrize("what", ["code", "tables", "constants", "views"])
def test_an_instance_with_a_wrong_number_is_refused_by_name(what: str) -> None:
    tapes = [recorded(partial(NETS["three_layers"], Named(1, np.float64), T, 3)) for T in (5, 8)]
    (first, second) = (fold(tape, [loss], loss) for tape, loss in tapes)
    loss = tapes[1][1]
    program = Template(first, [tapes[0][1]], tapes[0][1]).program(second, [loss], loss)
    assert program is not None
    verify_instance(program)
    code, tables, (_, _, constants) = program.made.parts[0]
    if what == "views":
        program.made.views[0] = program.made.views[0]._replace(start=program.made.views[0].start + 1)
    else:
        {"code": code, "tables": tables, "constants": constants}[what][-1] += 1
    with pytest.raises(TapeError, match=f"instance: .*{what}"):
        verify_instance(program)


@pytest.mark.parametrize("what", ["code", "tables", "constants"])
def test_so_is_a_wrong_number_of_the_part_that_runs_in_turn(what: str) -> None:
    tapes = [recorded(partial(NETS["three_layers"], Named(1, np.float64), T, 3)) for T in (5, 8)]
    (first, second) = (fold(tape, [loss], loss) for tape, loss in tapes)
    template = Template(first, [tapes[0][1]], tapes[0][1], threads=2)
    program = template.program(second, [tapes[1][1]], tapes[1][1])
    assert program is not None and program.threads == 2
    verify_instance(program)
    right = template.in_turn

    def wrong(given: tuple) -> Any:
        part = right(given)
        assert part is not None, "made from the template, not from the plan"
        code, tables, (places, storages, constants) = part
        changed = {"code": code, "tables": tables.copy(), "constants": constants.copy()}
        changed[what][-1] += 1
        return changed["code"], changed["tables"], (places, storages, changed["constants"])

    template.in_turn = wrong  # type: ignore[method-assign]
    with pytest.raises(TapeError, match=f"instance: the {what} of all threads in turn"):
        verify_instance(program)


def test_instances_share_the_pace_of_their_plan() -> None:
    """Each may run only once: whether threads wait for each other's processors is seen over all of them."""
    tapes = [recorded(partial(NETS["three_layers"], Named(1, np.float64), T, 3)) for T in (5, 8, 9)]
    folded = [fold(tape, [loss], loss) for tape, loss in tapes]
    template = Template(folded[0], [tapes[0][1]], tapes[0][1], threads=2)
    for (tape, loss), each in zip(tapes, folded, strict=True):
        program = template.program(each, [loss], loss)
        assert program is not None
        with program.alone():
            program.bind({i: tape.executor.value(i) for i in leaves(tape)}, tape)
            program.run()
    assert template.pace is not None and template.pace.runs == 3


def test_structures_that_are_kept_are_bounded() -> None:
    made = Instances(most=3, often=2)
    for width in range(4, 12):
        tape, loss = recorded(partial(_tanh_net, width))
        made.program(fold(tape, [loss], loss), [loss], loss, frozenset())
    assert len(made) == 3
