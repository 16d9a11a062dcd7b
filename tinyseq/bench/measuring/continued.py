"""The cells that came after the chapter: their time for each operation beside that of the library's nearest cell."""

from __future__ import annotations

from collections.abc import Callable

from tinyseq.bench.contestants import our_nets
from tinyseq.bench.measuring.agree import BOUND, deviation
from tinyseq.bench.measuring.timing import alternate
from tinyseq.bench.problems.continued import CONTINUED, HIDDEN_OF, OfCell
from tinyseq.bench.results.results import OURS, Row, Settings

Tell = Callable[[str], object]


def continued_row(row_name: str, name: str, settings: Settings, tell: Tell, **sizes: int) -> Row:
    """Times of forward and backward of the cell and of the nearest, checked against the reference executor,
    and the operations of both."""
    cell, nearest, other = CONTINUED[name]
    sizes = {"hidden": HIDDEN_OF[name], **sizes} if name in HIDDEN_OF else sizes
    row, ways = Row(row_name, "continued", standard="tinyseq reference executor"), {}
    for which, net in ((name, OfCell(cell, **sizes)), (other, OfCell(nearest, **sizes))):
        tell(which)
        (way,) = our_nets.variants(net).values()  # type: ignore[arg-type]
        distance = deviation(way.gradients(), our_nets.reference(net))  # type: ignore[arg-type]
        if distance > BOUND:
            row.refused[f"{OURS} {which}"] = distance
            continue
        counts = our_nets.count(net)  # type: ignore[arg-type]
        row.operations[which] = counts.matmul + counts.elementwise
        ways[f"{OURS} {which}"] = way.run
    row.samples = alternate(ways, None, settings.rounds, settings.sample_seconds, tell)
    return row
