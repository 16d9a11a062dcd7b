"""Measuring a row: what disagrees is not timed, what is slow is set aside, what fails is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from tests.bench.oracle import small
from tinyseq.bench.contestants import our_trainer, ours, peers
from tinyseq.bench.measuring import measure
from tinyseq.bench.measuring.agree import BOUND, TRAINED_BOUND, deviation, trained_deviation
from tinyseq.bench.measuring.measure import plan_row, problem_row, training_row
from tinyseq.bench.problems.problems import ROWS
from tinyseq.bench.problems.training import TRAINING
from tinyseq.bench.results.results import Row, Settings
from tinyseq.bench.rows import MEASURES, select
from tinyseq.bench.variant import Gradients, Variant
from tinyseq.errors import DataError

TINY = small(ROWS[0])
QUICK = Settings((TINY.row,), ("numpy",), 3, 0.0)


def quiet(what: str) -> None:
    """Nobody listens."""


def scaled(way: Variant, factor: float) -> Variant:
    """The variant with one gradient wrong by a factor."""

    def gradients() -> Gradients:
        loss, grads = way()
        return loss, grads | {"W": grads["W"] * np.float32(factor)}

    return Variant(way.run, gradients, way.threads)


def test_a_row_is_compared_and_timed() -> None:
    row = problem_row(TINY, QUICK, quiet)
    names = {"tinyseq compiled", "numpy by hand, 1 thr", "numpy by hand, 2 thr"}
    assert row.error == row.fallback == "" and not row.refused and not row.failed
    assert row.checked.keys() == row.first.keys() == names
    assert all(distance < BOUND for distance in row.checked.values())
    assert row.samples.keys() | row.screened.keys() == names
    assert all(len(taken) == 3 and min(taken) > 0 for taken in row.samples.values())
    assert row.counts["matmul"] > 0 and row.nodes > 0
    assert row.ratio == pytest.approx(row.best_peer[1] / row.ours)


@pytest.mark.parametrize("factor", [1.001, float("nan"), 0.0])
def test_our_wrong_gradient_is_not_timed(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    right = ours.variants
    monkeypatch.setattr(ours, "variants", lambda p: {k: scaled(v, factor) for k, v in right(p).items()})
    row = problem_row(TINY, QUICK, quiet)
    assert "gradients differ from those of" in row.error
    assert row.samples == {} and list(row.refused) == ["tinyseq compiled"]
    assert row.ours is None and row.ratio is None


def test_a_peer_that_is_wrong_or_raises_is_left_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    right = peers.variants

    def one_wrong(problem: Any, wanted: Any = None, torch_compile: bool = False) -> dict[str, Variant]:
        found = right(problem, wanted, torch_compile)
        if "numpy by hand, 1 thr" in found:
            found["numpy by hand, 1 thr"] = scaled(found["numpy by hand, 1 thr"], 1.001)
            found["numpy by hand, 2 thr"] = Variant(lambda: None, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        return found

    monkeypatch.setattr(peers, "variants", one_wrong)
    row = problem_row(TINY, QUICK, quiet)
    assert list(row.refused) == ["numpy by hand, 1 thr"]
    assert row.failed == {"numpy by hand, 2 thr": "ZeroDivisionError: division by zero"}
    assert list(row.samples) == ["tinyseq compiled"] and row.error == ""


def test_a_library_that_does_not_come_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    right = peers.variants

    def broken(problem: Any, wanted: Any = None, torch_compile: bool = False) -> dict[str, Variant]:
        if wanted == ["numpy"]:
            raise ImportError("no such symbol")
        return right(problem, wanted, torch_compile)

    monkeypatch.setattr(peers, "variants", broken)
    row = problem_row(TINY, QUICK, quiet)
    assert row.failed == {"numpy": "ImportError: no such symbol"} and row.ours


def test_without_torch_the_reference_executor_is_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "find_spec", lambda name: None)
    row = problem_row(TINY, QUICK, quiet)
    assert row.standard == "tinyseq reference executor" and row.ours


def test_a_row_without_a_plan_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ours.Unplannable("not this one")

    monkeypatch.setattr(ours, "plan_tape", refuse)
    assert problem_row(TINY, QUICK, quiet).fallback == "not this one"


def test_slow_variants_are_set_aside_but_never_a_librarys_best(monkeypatch: pytest.MonkeyPatch) -> None:
    def way(seconds: float) -> Variant:
        return Variant(lambda: seconds, lambda: (0.0, {}))

    monkeypatch.setattr(measure, "_best_call", lambda way: way.run())
    row = Row("x", "library")
    ways = {"torch a": way(1.0), "torch b": way(3.9), "torch c": way(4.1), "jax a": way(50.0)}
    assert list(measure._screened(row, ways, quiet)) == ["torch a", "torch b", "jax a"]
    assert row.screened == {"torch c": 4.1}


def test_deviation_is_relative_to_the_largest_element() -> None:
    standard = (2.0, {"W": np.array([0.5, -4.0])})
    assert deviation(standard, standard) == 0
    assert deviation((2.0, {"W": np.array([0.5, -3.0])}), standard) == pytest.approx(0.25)
    assert deviation((3.0, standard[1]), standard) == pytest.approx(0.5)
    for wrong in ({}, {"W": np.zeros(3)}, {"U": standard[1]["W"]}, {"W": np.array([np.inf, 0])}):
        assert deviation((2.0, wrong), standard) == float("inf")
    zero = (1.0, {"W": np.zeros(2)})
    assert deviation(zero, zero) == 0 and deviation((1.0, {"W": np.array([0, 1e-6])}), zero) > 1


def test_trained_deviation_is_relative_to_the_distance_walked() -> None:
    start, end = {"W": np.array([1.0, 1.0])}, (2.0, {"W": np.array([1.5, 0.5])})
    assert trained_deviation((2.0, {"W": np.array([1.5, 0.4])}), end, start) == pytest.approx(0.1)


def test_training_is_compared_and_timed() -> None:
    tiny = replace(TRAINING, embedding=5, hidden=7, steps=6, batch=3)
    row = training_row(tiny, replace(QUICK, peers=("numpy",)), quiet)
    assert row.error == "" and row.tokens == 18 and list(row.samples) == ["tinyseq compiled"]
    assert row.checked["tinyseq compiled"] < TRAINED_BOUND


def test_training_that_goes_elsewhere_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = replace(TRAINING, embedding=5, hidden=7, steps=6, batch=3)
    monkeypatch.setattr(our_trainer, "clip_global_norm", lambda parameters, limit: None)
    monkeypatch.setattr(our_trainer, "ADAM_EPSILON", 1e-2)
    pytest.importorskip("torch")
    row = training_row(replace(tiny, clip=0.1), replace(QUICK, peers=()), quiet)
    assert "gradients differ" in row.error and not row.samples


def test_planning_is_timed_apart() -> None:
    row = plan_row(replace(TINY, row="plan"), QUICK, quiet)
    assert row.kind == "plan" and row.nodes > 0
    assert {name: len(taken) for name, taken in row.samples.items()} == {"tinyseq record": 3, "tinyseq plan": 3}


def test_rows_are_chosen_by_name_or_by_a_word_in_it() -> None:
    assert select([]) == tuple(MEASURES)
    assert select(["rnn 32,64,100,1"]) == ("rnn 32,64,100,1",)
    assert select(["gru 65", "tree BAL"]) == ("gru 65,128,100,32", "tree balanced 1024 leaves H 64")
    assert select(["mingru"]) == ("continued: minGRU 32,64,50,16",)
    with pytest.raises(DataError, match=r"no benchmark row has 'gnu' in its name; the rows are:\n  rnn 65"):
        select(["gnu"])


def test_a_row_survives_json() -> None:
    row = problem_row(TINY, QUICK, quiet)
    assert Row(**json.loads(json.dumps(asdict(row)))) == row


def test_progress_names_every_stage() -> None:
    told: list[str] = []
    listen: Callable[[str], object] = told.append
    problem_row(TINY, replace(QUICK, rounds=1), listen)
    assert "tinyseq compiled, checked" in told and "numpy by hand, 1 thr, screened" in told
    assert told[-1] in ("numpy by hand, 1 thr", "numpy by hand, 2 thr", "tinyseq compiled")
