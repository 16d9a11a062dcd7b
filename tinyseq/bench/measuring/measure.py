"""Measuring one row: first compare what every variant computes, then time those that are right, alternating."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from tinyseq.bench.contestants import our_fresh, our_nets, our_trainer, ours, peers, reservoirs
from tinyseq.bench.measuring.agree import BOUND, TRAINED_BOUND, deviation, trained_deviation
from tinyseq.bench.measuring.timing import alternate, seconds, threads
from tinyseq.bench.problems.flops import count, count_training
from tinyseq.bench.problems.fresh import Fresh
from tinyseq.bench.problems.nets import Net
from tinyseq.bench.problems.problems import Problem
from tinyseq.bench.problems.training import Training
from tinyseq.bench.results.results import OURS, Row, Settings, of
from tinyseq.bench.variant import Gradients, Variant

SLOW = 4.0
"""A variant this many times as slow as its library's best is not timed further: only the best counts."""
SCREENED_CALLS, SCREENED_SECONDS = 5, 0.5
"""The best of so many calls decides that, or of fewer once they have taken so long."""

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Standard:
    """What a row's variants are compared with: `distance(found)` must not exceed `bound`."""

    name: str
    distance: Callable[[Gradients], float]
    bound: float


def problem_row(problem: Problem, settings: Settings, tell: Tell) -> Row:
    """Times of forward and backward."""
    row = Row(problem.row, "user" if problem.row.startswith("user: ") else "library", counts=asdict(count(problem)))
    candidates = _ours(ours.variants(problem)) | _peers(
        row, settings, lambda peer: peers.variants(problem, [peer], settings.torch_compile)
    )
    if find_spec("torch"):
        tell("torch, the standard")
        name, way = _plainest(peers.variants(problem, ["torch"]))
    else:
        tell("the reference executor, the standard")
        name, way = "tinyseq reference executor", lambda: ours.reference(problem)
    expected = way()
    _time(row, candidates, Standard(name, lambda found: deviation(found, expected), BOUND), settings, tell)
    return row


def _plainest(found: Mapping[str, Variant]) -> tuple[str, Callable[[], Gradients]]:
    """The equations one by one, the form that is easiest to believe."""
    name = next(name for name in found if name in ("torch loop, 1 thr", "torch per node, 1 thr"))
    return name, found[name]


def net_row(net: Net, settings: Settings, tell: Tell) -> Row:
    """Times of forward and backward of a net of the package."""
    row = Row(net.row, "library", counts=asdict(our_nets.count(net)))
    candidates = _ours(our_nets.variants(net)) | _peers(row, settings, lambda peer: peers.net_variants(net, [peer]))
    if find_spec("torch"):
        name, way = next(iter(peers.net_variants(net, ["torch"]).items()))
        expected = way()
    else:
        name, expected = "tinyseq reference executor", our_nets.reference(net)
    _time(row, candidates, Standard(name, lambda found: deviation(found, expected), BOUND), settings, tell)
    return row


def fresh_row(fresh: Fresh, settings: Settings, tell: Tell) -> Row:
    """Times of forward and backward of batches of which none is like one before."""
    row = Row(fresh.row, "library")
    candidates = _ours(our_fresh.variants(fresh)) | _peers(
        row, settings, lambda peer: peers.fresh_variants(fresh, [peer])
    )
    tell("the reference executor, the standard")
    expected = our_fresh.reference(fresh)
    standard = Standard("tinyseq reference executor", lambda found: deviation(found, expected), BOUND)
    _time(row, candidates, standard, settings, tell)
    return row


def echo_row(echo: reservoirs.Echo, settings: Settings, tell: Tell) -> Row:
    """Times of the states of a reservoir, and of fitting a readout to them."""
    row = Row(echo.row, "reservoir")
    candidates = _ours(reservoirs.ours(echo)) | _peers(row, settings, lambda peer: peers.echo_variants(echo, [peer]))
    tell("the recurrence in NumPy, the standard")
    expected = reservoirs.standard(echo)
    distance = Standard("the recurrence in NumPy", lambda found: deviation(found, expected), reservoirs.BOUND)
    _time(row, candidates, distance, settings, tell)
    return row


def training_row(training: Training, settings: Settings, tell: Tell) -> Row:
    """Times of one step of training end to end."""
    row = Row(training.row, "library", tokens=training.tokens_per_step, counts=asdict(count_training(training)))
    candidates = _ours(our_trainer.trainers(training)) | _peers(
        row, settings, lambda peer: peers.trainers(training, [peer])
    )
    if find_spec("torch"):
        name, way = next(iter(peers.trainers(training, ["torch"]).items()))
        expected = way()
    else:
        name, expected = "tinyseq reference executor", our_trainer.reference(training)
    start = training.params()
    distance = Standard(name, lambda found: trained_deviation(found, expected, start), TRAINED_BOUND)
    _time(row, candidates, distance, settings, tell)
    return row


def _ours(found: Mapping[str, Variant]) -> dict[str, Variant]:
    return {f"{OURS} {name}": way for name, way in found.items()}


def _peers(row: Row, settings: Settings, variants: Callable[[str], Mapping[str, Variant]]) -> dict[str, Variant]:
    """The variants of all peers; a library that fails to come up is noted and left out."""
    found: dict[str, Variant] = {}
    for peer in settings.peers:
        try:
            found |= variants(peer)
        except Exception as error:
            row.failed[peer] = _words(error)
    return found


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip()[:500]


def _time(row: Row, candidates: Mapping[str, Variant], standard: Standard, settings: Settings, tell: Tell) -> None:
    """Fill the row."""
    row.standard = standard.name
    right = {name: way for name, way in candidates.items() if _is_right(row, name, way, standard, tell)}
    mine = [way for name, way in right.items() if of(name) == OURS]
    if not mine:
        row.error = _no_figures(row, standard)
        return
    for way in mine:
        if isinstance(way, ours.Ours):
            prepared = way.prepare()
            row.nodes, row.fallback = prepared.nodes, prepared.fallback
            row.record_seconds, row.plan_seconds = prepared.record_seconds, prepared.plan_seconds
    kept = _screened(row, right, tell)
    row.samples = alternate(
        {name: way.run for name, way in kept.items()},
        {name: way.threads for name, way in kept.items()},
        settings.rounds,
        settings.sample_seconds,
        tell,
        {name: way.before for name, way in kept.items()},
    )


def _is_right(row: Row, name: str, way: Variant, standard: Standard, tell: Tell) -> bool:
    """Compare, note the first call's seconds, and say whether to time the variant."""
    tell(f"{name}, checked")
    try:
        with threads(way.threads):
            start = time.perf_counter()
            found = way()
            row.first[name] = time.perf_counter() - start
    except Exception as error:
        row.failed[name] = _words(error)
        return False
    distance = standard.distance(found)
    (row.checked if distance <= standard.bound else row.refused)[name] = distance
    return distance <= standard.bound


def _no_figures(row: Row, standard: Standard) -> str:
    for name, reason in row.failed.items():
        if of(name) == OURS:
            return reason
    worst = max(distance for name, distance in row.refused.items() if of(name) == OURS)
    what = "states" if row.kind == "reservoir" else "gradients"
    return f"{what} differ from those of {standard.name} by {worst:.1e} (bound {standard.bound:.0e}), not timed"


def _screened(row: Row, right: Mapping[str, Variant], tell: Tell) -> dict[str, Variant]:
    """The variants that may be their library's best; the others' seconds are noted."""
    calls: dict[str, float] = {}
    best: dict[str, float] = {}
    for name, way in right.items():
        tell(f"{name}, screened")
        with threads(way.threads):
            calls[name] = _best_call(way)
        best[of(name)] = min(calls[name], best.get(of(name), calls[name]))
    row.screened = {name: taken for name, taken in calls.items() if taken > SLOW * best[of(name)]}
    return {name: way for name, way in right.items() if name not in row.screened}


def _best_call(way: Variant) -> float:
    taken: list[float] = []
    while len(taken) < SCREENED_CALLS and sum(taken) < SCREENED_SECONDS:
        taken.append(seconds(way.run, 1, way.before))
    return min(taken)


def plan_row(problem: Problem, settings: Settings, tell: Tell) -> Row:
    """Seconds to record and to plan a problem; nothing is run."""
    row = Row(problem.row, "plan")
    for way in ours.variants(problem).values():
        way.prepare()
        found: dict[str, list[Any]] = {"record": [], "plan": []}
        for _ in range(settings.rounds):
            tell(f"{OURS} plan")
            gc.collect()
            gc.disable()
            try:
                prepared = way.prepare()
            finally:
                gc.enable()
            found["record"].append(prepared.record_seconds)
            found["plan"].append(prepared.plan_seconds)
        row.nodes, row.fallback = prepared.nodes, prepared.fallback
        row.samples = {f"{OURS} {name}": taken for name, taken in found.items()}
    return row
