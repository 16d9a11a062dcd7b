"""The pipeline: from a tape to a plan by passes, each a pure function from one value to the next.

    fold           tape         → classes of nodes that repeat                       (folded.py)
    rewrite        classes      → graph: picks, sums, who needs what                 (graph.py)
    differentiate  graph        → tasks: the way back as contributions               (tasks.py)
    schedule       tasks        → schedule: what runs at once, in loops, after them  (regions.py)
    place          schedule     → buffers: where everything lies                     (buffers.py)
    write          buffers      → steps: who overwrites, who adds, what is zeroed    (steps.py)
    emit           steps        → instructions                                       (instructions.py)
    reuse          instructions → arena: lifetimes and places                        (reuse.py)
    share          arena        → whose rows, members and chunks are whose           (shared.py)

Each value has a verifier and a dump beside its type. With TINYSEQ_CHECK=1 every value is verified when it is made;
TINYSEQ_DUMP=schedule,write prints some of them. Rules are about ops and about who reads what; no cell is known here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import display
from tinyseq.engine.environment import wishes
from tinyseq.engine.plan.apart import MOST_TIMES, taken_apart, to_part
from tinyseq.engine.plan.buffers import verify_buffers
from tinyseq.engine.plan.choices import checked, switched_off
from tinyseq.engine.plan.differentiate import differentiate
from tinyseq.engine.plan.emit import emit
from tinyseq.engine.plan.explain import explain
from tinyseq.engine.plan.fold import fold
from tinyseq.engine.plan.folded import Folded, Refused, verify_folded
from tinyseq.engine.plan.graph import Graph, verify_graph
from tinyseq.engine.plan.instructions import Instructions
from tinyseq.engine.plan.layout import Block
from tinyseq.engine.plan.parts import Parts
from tinyseq.engine.plan.place import place
from tinyseq.engine.plan.regions import verify_schedule
from tinyseq.engine.plan.reuse import Arena, alive, reuse, verify_arena
from tinyseq.engine.plan.rewrite import rewrite
from tinyseq.engine.plan.schedule import schedule
from tinyseq.engine.plan.share import share
from tinyseq.engine.plan.shared import verify_sharing
from tinyseq.engine.plan.sharing import available
from tinyseq.engine.plan.steps import verify_written
from tinyseq.engine.plan.tasks import verify_tasks
from tinyseq.engine.plan.write import write
from tinyseq.errors import DataError
from tinyseq.tape import Tape

DUMP = "TINYSEQ_DUMP"


@dataclass
class Plan(Parts):
    """A plan, and what can be asked of it."""

    stages: Stages | None = None

    def explain(self) -> str:
        """What was batched, hoisted, accumulated in place and reused, in words, and the bytes it takes."""
        return explain(self)

    def dump(self, stage: str = "reuse") -> str:
        """What the planner knew after a pass, as text."""
        assert self.stages is not None
        return self.stages.dump(stage)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return display.bundle("plan", self)


class Stages:
    """The passes of one tape, run one after the other; ``values`` holds what each has made."""

    def __init__(
        self, tape: Tape | None, outputs: Sequence[int], loss: int, without: frozenset[str], check: bool
    ) -> None:
        self.outputs, self.loss, self.without, self.check = list(outputs), loss, without, check
        self.values: dict[str, Any] = {}
        self.threads: int | None = None  # that share the work; as many as there are processors, two at least, if None
        self.at = ""  # the pass that is running, or ran last
        self._tape = tape

    def run(self, until: str) -> Any:
        """Run the passes up to one that have not been run; returns what it has made. Raises Refused, with its stage."""
        value = None
        for name in PASSES[len(self.values) :]:
            self.at = name
            try:
                value = self.values[name] = MAKE[name](self)
                if self.check:
                    VERIFY[name](self)
            except Refused as refusal:
                refusal.stage = refusal.stage or name
                raise
            except Exception as error:
                error.add_note(f"in the pass {name!r} of the planner")
                raise
            if self._tape is not None and name in os.environ.get(DUMP, "").split(","):
                print(f"== {name}\n{self.dump(name)}", file=sys.stderr)
            if name == until:
                break
        return value

    def dump(self, name: str) -> str:
        """A value as text."""
        if name not in PASSES:
            raise DataError(f"no pass is called {name!r}; there are {', '.join(PASSES)}")
        if name not in self.values:  # how threads share a plan is decided when somebody wants to know
            self.run(name)
        return self.values[name].dump()

    @property
    def tape(self) -> Tape:
        """The tape, until the plan is finished."""
        assert self._tape is not None
        return self._tape

    def finish(self) -> None:
        """Forget the tape and where nodes are, but for those whose values are asked for."""
        self._tape = None
        for state in (self.values["fold"], self.values["rewrite"].state):
            state.finish()


MAKE: dict[str, Callable[[Stages], Any]] = {
    "fold": lambda s: fold(s.tape, s.outputs, s.loss),
    "rewrite": lambda s: rewrite(s.values["fold"], s.outputs, s.loss, s.without),
    "differentiate": lambda s: differentiate(s.values["rewrite"]),
    "schedule": lambda s: schedule(s.values["differentiate"]),
    "place": lambda s: place(s.values["schedule"], _dtype(s.values["rewrite"])),
    "write": lambda s: write(s.values["place"]),
    "emit": lambda s: emit(s.values["write"]),
    "reuse": lambda s: reuse(s.values["emit"]),
    "share": lambda s: share(_of_arena(s), s.threads or max(available(), 2)),
}
VERIFY: dict[str, Callable[[Stages], None]] = {
    "fold": lambda s: verify_folded(s.values["fold"], s.tape),
    "rewrite": lambda s: verify_graph(s.values["rewrite"], s.values["fold"]),
    "differentiate": lambda s: verify_tasks(s.values["differentiate"]),
    "schedule": lambda s: verify_schedule(s.values["schedule"]),
    "place": lambda s: verify_buffers(s.values["place"]),
    "write": lambda s: verify_written(s.values["write"]),
    "emit": lambda s: None,  # verify_plan looks at every element that instructions touch
    "reuse": lambda s: verify_arena(s.values["reuse"]),
    "share": lambda s: verify_sharing(s.values["share"]),
}
PASSES = tuple(MAKE)


def checking() -> bool:
    """Whether the environment asks for every tape and plan to be verified."""
    return wishes()[1] not in ("", "0")


def _dtype(graph: Graph) -> np.dtype:
    dtypes = {c.dtype for c in graph.state.classes if c.dtype.kind == "f" and c.index in graph.needed}
    if len(dtypes) > 1:
        raise Refused("float32 and float64 on one tape")
    return dtypes.pop() if dtypes else np.dtype(np.float32)


def stages_of(
    tape: Tape,
    outputs: Sequence[int],
    loss: int = -1,
    until: str = "reuse",
    without: frozenset[str] | None = None,
    check: bool | None = None,
    folded: Folded | None = None,
    apart: bool = True,
) -> Stages:
    """What each pass up to ``until`` makes of a tape, which may have been ``folded`` already. Members that have no plan
    together are planned one by one with ``apart``, where they are few. Raises Refused where there is no plan."""
    if until not in PASSES:
        raise DataError(f"no pass is called {until!r}; there are {', '.join(PASSES)}")
    off = switched_off() if without is None else checked(frozenset(without))
    stages = Stages(tape, outputs, loss, off, checking() if check is None else check)
    first: Refused | None = None
    for _ in range(MOST_TIMES):
        stages.values = {} if folded is None else {"fold": folded}
        try:
            if until not in stages.values:
                stages.run(until)
            return stages
        except Refused as refusal:
            first, folded = first or refusal, stages.values.get("fold")
            groups = frozenset() if folded is None else to_part(folded, refusal)
            if not apart:
                first.later = bool(groups)
            if folded is None or not groups or not apart:
                break
            folded = taken_apart(folded, groups, refusal.why)
            if stages.check:
                verify_folded(folded, tape)
    assert first is not None
    raise first


def fold_tape(tape: Tape, outputs: Sequence[int], loss: int = -1, check: bool = False) -> Folded:
    """The first pass alone. Raises Refused, with its stage."""
    stages = Stages(tape, outputs, loss, frozenset(), check)
    return stages.run("fold")


def plan_tape(
    tape: Tape,
    outputs: list[int],
    loss: int = -1,
    without: frozenset[str] | None = None,
    check: bool | None = None,
    folded: Folded | None = None,
    apart: bool = True,
) -> Plan:
    """Plan a tape for the values of ``outputs`` and, with ``loss``, the gradients of its parameters.

    It may have been ``folded`` already. ``without`` names optional decisions (`choices.OPTIONAL`) to leave out,
    ``check`` says whether every pass is verified; if None, the environment says so. Members that have no plan together
    get one for each with ``apart``, where they are few. Raises Refused where there is no
    plan, TapeError where a pass is wrong.
    """
    return finished(stages_of(tape, outputs, loss, without=without, check=check, folded=folded, apart=apart))


def plan_of_symbols(folded: Folded, outputs: Sequence[int], loss: int, without: frozenset[str]) -> Plan:
    """The plan of a tape of which some numbers are symbols, but for the places of storages."""
    stages = Stages(None, outputs, loss, without, check=False)
    stages.values["fold"] = folded
    instructions: Instructions = stages.run("emit")
    return _plan(stages, alive(instructions))


def finished(stages: Stages) -> Plan:
    """The plan of passes that all have run; they forget the tape."""
    stages.finish()
    return _of_arena(stages)


def _of_arena(stages: Stages) -> Plan:
    arena: Arena = stages.values["reuse"]
    return _plan(stages, arena.blocks, arena.size, arena.without_reuse)


def _plan(stages: Stages, blocks: Sequence[Block], size: int = 0, without_reuse: int = 0) -> Plan:
    instructions: Instructions = stages.values["emit"]
    buffers = instructions.written.buffers
    return Plan(
        buffers.graph, buffers.dtype, list(blocks), list(instructions.storages), buffers.values, buffers.gradients,
        size, without_reuse, list(instructions.pointers), stages,
    )  # fmt: skip
