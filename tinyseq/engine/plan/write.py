"""Who overwrites, who adds, and what is zeroed, packed or copied before.

A gradient's storage is overwritten by the first that writes all of it, and added to by the others; where the first
writes only a part, it is zeroed before.
"""

from __future__ import annotations

from tinyseq.engine.plan.buffers import Buffers
from tinyseq.engine.plan.steps import Written
from tinyseq.engine.plan.write_gradients import Gradients
from tinyseq.engine.plan.write_values import Values


def write(buffers: Buffers) -> Written:
    """Walk the regions in order, and remember which gradients have been begun."""
    forward = Values(buffers)
    backward = Gradients(buffers, forward.packed)
    for region in buffers.schedule.regions:
        if region.phase == "forward":
            forward.region(region)
        else:
            backward.region(region)
    return Written(buffers, (*forward.steps, *backward.steps), len(forward.steps))
