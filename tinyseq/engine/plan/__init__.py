"""From a tape to instructions: passes, each a function from one value to the next."""

from tinyseq.engine.plan.pipeline import Plan, plan_tape

__all__ = ["Plan", "plan_tape"]
