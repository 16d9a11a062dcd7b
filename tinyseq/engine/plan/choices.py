"""Optional decisions of the planner, each of which can be switched off by name: numbers stay the same.

``TINYSEQ_WITHOUT=hoist,chunks`` plans without some of them, ``tinyseq bench --row without`` shows what each brings.
"""

from __future__ import annotations

from tinyseq.engine.environment import WITHOUT, wishes
from tinyseq.errors import DataError

OPTIONAL = {
    "hoist": "terms of a recurrence's sums that no step has to wait for are made before the loop, for all steps",
    "defer": "what flows to weights and inputs waits until after the loop, for all steps in one operation",
    "share": "an input of a sum that nobody else reads has the sum's gradient, without a copy",
    "in place": "sums that end in products are accumulated where they lie, begun by a row or a value",
    "reuse": "an array's place in the arena is given away after its last reader",
    "pack": "weights are packed once, and products read the packed ones",
    "sums together": "sums over rows stand side by side, so that they read what is in the cache",
    "picks": "one list of rows is copied once for all who read it",
    "chunks": "sums over rows are taken a chunk at a time, each thread its own",
    "members": "threads share the members of a level, or of all levels at once",
    "once": "what is the same in all steps, such as a step's own work on weights, is made once for all of them",
}


def checked(names: frozenset[str]) -> frozenset[str]:
    """The names, once it is sure that they are known. Raises DataError."""
    for name in sorted(names - OPTIONAL.keys()):
        raise DataError(
            f"the planner has no optional decision {name!r}; there are {', '.join(OPTIONAL)}. Several go with commas "
            f"between them: {WITHOUT}=hoist,reuse"
        )
    return names


def switched_off() -> frozenset[str]:
    """The decisions that the environment switches off."""
    return checked(frozenset(filter(None, (n.strip() for n in wishes()[0].split(",")))))
