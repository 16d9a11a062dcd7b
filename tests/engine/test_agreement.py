"""Random graphs: the plan's values and gradients are the reference's, to 1e-10 in float64."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.engine.agreement import agree, agree_in_single, planned, recorded, reference
from tests.engine.agreement import compare as compare_results
from tests.engine.found import FOUND
from tests.engine.strategies import STRUCTURES, TREES, Recipe, recipes, seeded
from tinyseq.engine.plan import flows
from tinyseq.engine.plan.sharing import Shares
from tinyseq.errors import TapeError

LARGE = {"sizes": (1, 8, 16, 17, 33, 65), "batches": (1, 4, 7, 8, 9, 16, 17, 33)}


def tuned(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


@seed(10)
@tuned(120)
@given(recipe=recipes())
def test_random_graphs_agree(recipe: Recipe) -> None:
    agree(recipe)


@pytest.mark.slow
@seed(11)
@tuned(5000)
@given(recipe=recipes())
def test_many_random_graphs_agree(recipe: Recipe) -> None:
    agree(recipe)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", FOUND)
def test_what_the_search_once_found_agrees(name: str, threads: int) -> None:
    reason = agree(FOUND[name], threads=threads)
    assert not reason, reason


def test_the_verifier_says_so_where_the_first_of_a_level_is_taken_for_the_first_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flows, "same_level", lambda graph, cls, target: True)
    with pytest.raises(TapeError, match="overwritten at one level, added to at another"):
        agree(FOUND["a first gradient at a lower level"])


def test_the_order_of_threads_shows_members_that_add_to_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shares, "writes_members", lambda self, block: True)
    with pytest.raises((AssertionError, TapeError), match=r"differ|no barrier between"):
        agree(FOUND["members of one level that add to one state"], threads=2)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_agrees_and_most_cells_on_it_have_a_plan(structure: str) -> None:
    reasons = [agree(seeded(100 + k, structures=(structure,))) for k in range(16)]
    assert sum(not reason for reason in reasons) >= 10, [reason for reason in reasons if reason]


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_agrees_on_many_cells(structure: str) -> None:
    for k in range(400):
        agree(seeded(1000 + k, structures=(structure,)))


@pytest.mark.parametrize("threads", [2, 3])
def test_several_threads_agree(threads: int) -> None:
    """Rows of the batch, members of a level, or one part each of a weight gradient."""
    for k in range(25):
        agree(seeded(5000 + k, batches=(4, 5, 6, 9, 16)), threads=threads)
    for k in range(10):
        agree(seeded(6000 + k, structures=TREES), threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_sizes_beyond_tiles_and_vectors_agree(threads: int) -> None:
    for k in range(25):
        agree(seeded(7000 + k, **LARGE), threads=threads)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_sizes_beyond_tiles_and_vectors_agree(threads: int) -> None:
    for k in range(500):
        agree(seeded(8000 + k, **LARGE), threads=threads)


def test_float32_is_as_accurate_as_the_reference() -> None:
    compared = 0
    for k in range(80):
        recipe = seeded(9000 + k)
        if not recipe.kinks:
            compared += not agree_in_single(recipe)
    assert compared >= 40


@pytest.mark.slow
def test_float32_is_as_accurate_as_the_reference_on_many() -> None:
    for k in range(2000):
        recipe = seeded(20_000 + k)
        if not recipe.kinks:
            agree_in_single(recipe)


def test_values_alone_agree() -> None:
    """Without a loss a plan keeps less."""
    for k in range(40):
        tape, wanted, _ = recorded(seeded(30_000 + k), "float64")
        expected = reference(tape, wanted, -1)
        found = planned(tape, wanted, -1)
        if not found.reason:
            compare_results(found, expected, 1e-10, {})
