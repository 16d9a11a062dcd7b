"""All rows of the benchmark by name, and what measures each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tinyseq.bench.contestants.reservoirs import ECHOES
from tinyseq.bench.measuring.continued import continued_row
from tinyseq.bench.measuring.measure import echo_row, fresh_row, net_row, plan_row, problem_row, training_row
from tinyseq.bench.measuring.plans import CHECKED, PROBLEMS, checking_row, choices_row
from tinyseq.bench.measuring.process_rows import COMPILE_ROW, compile_row, memory_row, startup_row
from tinyseq.bench.measuring.startup import STARTUP_ROW
from tinyseq.bench.problems.continued import CONTINUED, sizes
from tinyseq.bench.problems.fresh import FRESH
from tinyseq.bench.problems.nets import NETS
from tinyseq.bench.problems.problems import MEMORY_ROWS, ROWS, Problem
from tinyseq.bench.problems.training import TRAINING
from tinyseq.bench.results.results import Row, Settings
from tinyseq.errors import DataError

PLAN_ROWS = tuple(Problem(f"plan rnn 8,32,{steps},1", "rnn", 8, 32, steps) for steps in (1_000, 10_000, 100_000))

Measure = Callable[[Settings, Callable[[str], object]], Row]


def _with(measure: Callable[..., Row], given: object) -> Measure:
    return partial(measure, given)


MEASURES: dict[str, Measure] = {
    **{problem.row: _with(problem_row, problem) for problem in ROWS},
    **{net.row: _with(net_row, net) for net in NETS},
    **{fresh.row: _with(fresh_row, fresh) for fresh in FRESH},
    **{echo.row: _with(echo_row, echo) for echo in ECHOES},
    TRAINING.row: _with(training_row, TRAINING),
    STARTUP_ROW: startup_row,
    **{problem.row: _with(memory_row, problem) for problem in MEMORY_ROWS},
    **{problem.row: _with(plan_row, problem) for problem in PLAN_ROWS},
    **{f"checking {name}": partial(checking_row, f"checking {name}", problem) for name, problem in CHECKED.items()},
    **{f"without {name}": partial(choices_row, f"without {name}", problem) for name, problem in PROBLEMS.items()},
    **{
        f"continued: {name} {sizes(name)}": partial(continued_row, f"continued: {name} {sizes(name)}", name)
        for name in CONTINUED
    },
    COMPILE_ROW: compile_row,
}


def select(wanted: Sequence[str]) -> tuple[str, ...]:
    """The rows of these names, or whose names contain these words; all for none. Order is the table's.

    Raises DataError for a word that no row has.
    """
    found: set[str] = set()
    for word in wanted:
        fitting = [row for row in MEASURES if row == word] or [row for row in MEASURES if word.lower() in row.lower()]
        if not fitting:
            raise DataError(f"no benchmark row has {word!r} in its name; the rows are:\n  " + "\n  ".join(MEASURES))
        found.update(fitting)
    return tuple(row for row in MEASURES if not wanted or row in found)
