"""What a page needs to compute a run by itself, besides its graph: the numbers of its leaves, and which are allowed."""

from __future__ import annotations

from collections.abc import Iterable

from tinyseq.ops import OPS
from tinyseq.ops.groups import GIVEN
from tinyseq.ops.op import Site
from tinyseq.tape import INT64, Tape


def given(tape: Tape, nodes: Iterable[int]) -> list[int]:
    """The leaves whose numbers are the user's: all others can be computed from them."""
    return [i for i in nodes if tape.kind_of(i).op in GIVEN]


def index_limits(tape: Tape, nodes: list[int]) -> dict[int, int]:
    """Leaf of integers → the number below which they must lie, as the ops say that look something up by them."""
    limits: dict[int, int] = {}
    for i in reversed(nodes):
        kind, inputs = tape.kind_of(i), tape.inputs(i)
        op = OPS[kind.op]
        if op.limit:
            site = Site(kind.attrs, int(tape.arg[i]), tuple(tape.shape(j) for j in inputs), tape.shape(i))
            limits[inputs[-1]] = min(limits.get(inputs[-1], op.limit(site)), op.limit(site))
        if i in limits:
            for j in inputs if op.keeps_integers or op.arranges else ():
                if tape.kind_of(j).dtype == INT64:
                    limits[j] = min(limits.get(j, limits[i]), limits[i])
    return {i: limit for i, limit in limits.items() if OPS[tape.kind_of(i).op].leaf}
