"""The unfolded graph: a column for each time step, a row for each role, gaps where steps are left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.excerpt.choose import choose_steps
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.excerpt.positions import Reads
from tinyseq.viz.views import strips
from tinyseq.viz.views.columns import Columns
from tinyseq.viz.views.over_chains import Question, trees_over_chains
from tinyseq.viz.views.trees import bare, reduce, tree

SHOWN = {"box": 10, "cell": 10, "units": 5, "ops": 4}  # steps shown by default


def minus(t: int) -> str:
    """A number with a proper minus sign."""
    return str(t).replace("-", "−")


def unfolded(
    tape: Tape,
    steps: int | Sequence[int] | None = None,
    detail: str = "cell",
    keep: np.ndarray | None = None,
    time: Callable[[int], str] = minus,
    count_gaps: bool = True,
    through: Collection[str] = (),
    opened: Collection[str] = (),
) -> Diagram:
    """The unfolded graph of a tape.

    ``time`` writes a step; ``count_gaps`` writes how many steps a gap leaves out; units named in ``through`` become
    part of the arrows; with detail "box", cells in ``opened`` are drawn with what is in them.
    """
    step = tape.step if keep is None else tape.step[keep]
    total = int(step.max(initial=-1)) + 1
    if total == 0:
        return bare(tape, steps, detail, keep)
    shown = choose_steps(total, steps, SHOWN[detail])
    reads = Reads(tape, keep)
    excerpt = Excerpt(tape, shown, keep)
    trees = excerpt.irregular() | reads.trees()
    if trees:
        question = Question(tape, keep, steps, detail, SHOWN[detail], tuple(opened), time)
        chains = set(reads.cells) - trees
        if chains:
            return trees_over_chains(question, reads, trees)
        return tree(tape, total, steps, detail, keep)
    reduced = reduce(excerpt, detail, through, opened=opened)
    diagram = Columns(excerpt, reduced, shown, total, detail, time, to_readers=not count_gaps).diagram
    strips.assign(diagram, tape)
    if not count_gaps:
        for column in diagram.columns:
            column.elided = 0
    return diagram
