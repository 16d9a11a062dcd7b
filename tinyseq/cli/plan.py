"""``tinyseq plan``: what the planner knows of a net after one of its passes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import numpy as np
import typer

from tinyseq.cli.console import friendly, say
from tinyseq.cli.look import Batch, Hidden, Inputs, Outputs, Seed, Target
from tinyseq.cli.targets import Example, find, users_code
from tinyseq.engine.plan.pipeline import PASSES, plan_tape, stages_of
from tinyseq.engine.reference import Reference
from tinyseq.tape import Tape

Stage = StrEnum("Stage", {name: name for name in PASSES})  # type: ignore[misc]


@friendly
def plan(
    target: Target,
    after: Annotated[Stage | None, typer.Option(help="Print what this pass has made, as text.")] = None,
    steps: Annotated[int, typer.Option(help="Time steps.", min=1)] = 8,
    inputs: Inputs = None,
    hidden: Hidden = None,
    outputs: Outputs = None,
    batch: Batch = 2,
    seed: Seed = 0,
    threads: Annotated[int | None, typer.Option(help="With --after share: threads that share the work.", min=1)] = None,
) -> None:
    """Explain how a net is run, in words; or print what a pass of the planner has made of it.

    tinyseq plan lstm

    tinyseq plan lstm --after schedule

    tinyseq plan lstm --batch 32 --after share --threads 2

    TINYSEQ_WITHOUT=hoist,reuse tinyseq plan lstm

    This plans without some decisions: hoist, defer, share, in place, reuse, pack, sums together, picks, chunks,
    members, once. Numbers stay the same; what each brings is measured by tinyseq bench --row without.
    """
    rng = np.random.default_rng(seed)
    found = find(target, {"input_size": inputs, "hidden_size": hidden, "output_size": outputs}, rng, np.float32)
    example = Example(found, steps, batch, rng)
    with users_code(target), Tape(executor=Reference) as tape:
        loss = example.loss()
    if after is None:
        say(plan_tape(tape, [loss.index], loss.index).explain())
    else:
        stages = stages_of(tape, [loss.index], loss.index, until=min(str(after), "reuse", key=PASSES.index))
        stages.threads = threads
        say(stages.dump(str(after)))
