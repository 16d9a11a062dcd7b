"""Groups of ops that several readers ask for, by what the ops say of themselves."""

from __future__ import annotations

from tinyseq.ops.op import CONSTANT, DATA, PARAMETER, ROW, ROWS, those

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
ARRANGING = those(lambda op: op.arranges)
CUTS = those(lambda op: op.view and not op.vjp)
"""Ops that hand a value on but no gradient."""
