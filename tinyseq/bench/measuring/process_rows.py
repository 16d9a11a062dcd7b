"""Rows whose every figure takes a new process: starting up, peak memory, compiling all kernels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec

from tinyseq.bench.measuring.agree import BOUND, deviation
from tinyseq.bench.measuring.processes import MEMORY_VARIANTS, compile_seconds, memory
from tinyseq.bench.measuring.startup import STARTUP, STARTUP_ROW, startup
from tinyseq.bench.problems.problems import Problem
from tinyseq.bench.results.results import OURS, Row, Settings, of
from tinyseq.bench.variant import Gradients
from tinyseq.errors import DataError

COMPILE_ROW = "first compile"
PROCESSES = 3
"""Most processes for a figure that hardly varies, such as memory."""

Tell = Callable[[str], object]
Measure = Callable[[str], tuple[float, Gradients]]


def startup_row(settings: Settings, tell: Tell) -> Row:
    """Seconds from import to the first gradient; kernels were compiled by an earlier process."""
    row = Row(STARTUP_ROW, "process")

    def measure(name: str) -> tuple[float, Gradients]:
        seconds, gradient = startup(name)
        return seconds, (1.0, {"W": gradient})

    _alternate(row, list(STARTUP), "torch loop", measure, settings, settings.rounds, tell)
    return row


def memory_row(problem: Problem, settings: Settings, tell: Tell) -> Row:
    """Bytes by which one pass raises the peak of a new process."""
    row = Row(problem.row, "memory")
    names, rounds = list(MEMORY_VARIANTS), min(settings.rounds, PROCESSES) - 1
    _alternate(row, names, "torch nn, 1 thr", lambda name: memory(problem.row, name), settings, rounds, tell)
    # the process that was compared is as good a sample as the others: memory knows no warming up
    row.samples = {name: [row.first[name], *taken] for name, taken in row.samples.items()}
    return row


def compile_row(settings: Settings, tell: Tell) -> Row:
    """Seconds until all rows have had a first gradient, with no kernel compiled before and with all of them."""
    row = Row(COMPILE_ROW, "compile")
    with tempfile.TemporaryDirectory() as cache:
        for state in ("cold", "warm"):
            tell(f"{OURS}, {state} cache")
            row.samples[f"{OURS} {state}"] = [compile_seconds(cache)]
    return row


def _alternate(
    row: Row, names: list[str], standard: str, measure: Measure, settings: Settings, rounds: int, tell: Tell
) -> None:
    """Each variant once, to warm disk caches and to compare what it computes with the standard; then in turns."""
    names = [name for name in names if of(name) in (OURS, *settings.peers)]
    if not find_spec(of(standard)):
        standard = next((name for name in names if of(name) != OURS), names[0])
    row.standard = standard
    try:
        tell(f"{standard}, the standard")
        known = {standard: measure(standard)}
    except DataError as error:
        row.error = f"{standard}, the standard: {_short(error)}"
        return
    expected = known[standard][1]
    names = [n for n in names if _is_right(row, n, lambda n: known.get(n) or measure(n), expected, tell)]
    if not any(of(name) == OURS for name in names):
        refused = [f"gradients differ from those of {standard} by {d:.1e}, not timed" for d in row.refused.values()]
        row.error = [*(text for name, text in row.failed.items() if of(name) == OURS), *refused][0]
        return
    row.samples = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            tell(name)
            row.samples[name].append(measure(name)[0])


def _is_right(row: Row, name: str, measure: Measure, expected: Gradients, tell: Tell) -> bool:
    tell(f"{name}, checked")
    try:
        row.first[name], found = measure(name)
    except DataError as error:
        row.failed[name] = _short(error)
        return False
    distance = deviation(found, expected)
    (row.checked if distance <= BOUND else row.refused)[name] = distance
    return distance <= BOUND


def _short(error: Exception) -> str:
    """The end of a message, where a traceback names its error."""
    return str(error)[-500:]
