"""Rows of new batches: no batch twice, every contestant computes what the reference executor computes on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.bench.oracle import small as small_problem
from tests.bench.test_nets import small as small_net
from tinyseq.bench.contestants import our_fresh
from tinyseq.bench.contestants.peers import fresh_variants
from tinyseq.bench.measuring.agree import BOUND, deviation
from tinyseq.bench.measuring.measure import fresh_row
from tinyseq.bench.measuring.timing import alternate
from tinyseq.bench.problems.fresh import FRESH, Fresh
from tinyseq.bench.problems.nets import Net
from tinyseq.bench.results.results import Settings
from tinyseq.bench.variant import Variant


def small(fresh: Fresh) -> Fresh:
    of = small_net(fresh.of) if isinstance(fresh.of, Net) else small_problem(fresh.of)
    return replace(fresh, of=of, steps=fresh.steps and (2, 9))


each_row = pytest.mark.parametrize("fresh", [small(fresh) for fresh in FRESH], ids=lambda fresh: fresh.row)
BATCHES = 4


@each_row
def test_every_batch_is_new_and_parameters_stay(fresh: Fresh) -> None:
    batches = [fresh.batch(number) for number in range(BATCHES)]
    assert len({batch.x.tobytes() for batch in batches}) == BATCHES
    again = fresh.batch(1)
    np.testing.assert_array_equal(again.x, batches[1].x)
    for name, array in fresh.params().items():
        np.testing.assert_array_equal(array, fresh.params()[name])
    if fresh.steps:
        assert len({len(fresh.batch(number).x) for number in range(20)}) > 5


@pytest.mark.parametrize("who", ["tinyseq", "torch", "jax"])
@each_row
def test_each_contestant_agrees_with_the_reference_on_every_batch(
    fresh: Fresh, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Callable[[], dict[str, Variant]]] = {
        "tinyseq": lambda: dict(our_fresh.variants(fresh)),
        "torch": lambda: fresh_variants(fresh, ["torch"]),
        "jax": lambda: fresh_variants(fresh, ["jax"]),
    }
    if who != "tinyseq":
        pytest.importorskip(who)
    ways = found[who]()
    if not ways and who == "jax":
        pytest.skip("jax has no variant of this row")
    assert ways
    first = Fresh.batch
    for number in range(BATCHES):
        expected = our_fresh.reference(fresh, number)
        # `gradients` looks at batch 0, so shift the numbers
        monkeypatch.setattr(Fresh, "batch", lambda self, k, by=number: first(self, k + by))
        for name, way in ways.items():
            assert deviation(way(), expected) < BOUND, f"{name}, batch {number}"
        monkeypatch.setattr(Fresh, "batch", first)


def test_a_row_of_new_batches_is_measured() -> None:
    fresh = small(FRESH[1])
    row = fresh_row(fresh, Settings((fresh.row,), (), 2, 0.0), lambda what: None)
    assert row.error == row.fallback == "" and row.nodes > 0
    assert {name: len(taken) for name, taken in row.samples.items()} == {"tinyseq compiled": 2}


def test_what_comes_before_a_run_is_not_part_of_it() -> None:
    order: list[str] = []
    samples = alternate(
        {"a": lambda: order.append("run")}, rounds=2, sample_seconds=0, before={"a": lambda: order.append("before")}
    )
    assert order == ["before", "run"] * 7 and len(samples["a"]) == 2


def test_ours_plans_every_batch() -> None:
    for fresh in map(small, FRESH):
        (way,) = our_fresh.variants(fresh).values()
        assert way.prepare().fallback == ""
        assert way.before is not None
        way.before()
        assert way.prepare().fallback == ""
