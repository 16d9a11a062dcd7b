"""Groups of ops that several readers ask for, by what the ops say of themselves."""

from __future__ import annotations

from tinyseq.ops.op import (
    ACTIVATION,
    CARRIES,
    CONSTANT,
    DATA,
    GATE,
    LOSS,
    MULTIPLIES,
    PARAMETER,
    PRODUCT,
    ROW,
    ROWS,
    STACKED,
    SUM,
    those,
)

LEAVES = those(lambda op: op.leaf)
INPUTS = those(lambda op: op.leaf == DATA)
PARAMETERS = those(lambda op: op.leaf == PARAMETER)
CONSTANTS = those(lambda op: op.leaf == CONSTANT)
GIVEN = those(lambda op: op.leaf in (DATA, PARAMETER))
"""Leaves whose values are arrays of the user's."""

TAKEN = those(lambda op: op.view == ROW)
"""Ops that take one row, whose number is the node's own."""
RANGES = those(lambda op: op.view == ROWS)
"""Ops that take rows from one on, whose number is the node's own; how many says the node too."""
NUMBERED = those(lambda op: op.view in (ROW, ROWS))
JOINS = those(lambda op: op.joins)
STACKS = those(lambda op: op.view == STACKED)
"""Ops that put any number of inputs next to each other along a new first axis."""
ARRANGING = those(lambda op: op.arranges)
CUTS = those(lambda op: op.view and not op.vjp)
"""Ops that hand a value on but no gradient."""

SATURATING = those(lambda op: op.saturates)
SCALES = those(lambda op: op.elementwise and len(op.floats) == 2 and op.slopes == ("attr0 * g",))
"""Ops that compute k a + c of two numbers."""

MULTIPLYING = those(lambda op: op.jacobian == MULTIPLIES)
"""Ops that multiply matrices."""

PRODUCTS = those(lambda op: PRODUCT in op.drawn)
ACTIVATIONS = those(lambda op: ACTIVATION in op.drawn)
LOSSES = those(lambda op: LOSS in op.drawn)
CARRYING = those(lambda op: CARRIES in op.drawn)
GATES = those(lambda op: GATE in op.drawn)
SUMS = those(lambda op: SUM in op.drawn)
