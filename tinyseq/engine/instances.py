"""Plans that do not know their lengths: a tape folded like one planned before gets that one's program with its numbers.

The passes behind ``fold``, and the assembly of integers, run once on symbols (`plan.symbols`, `plan.unknowns`). What
they write down is compiled to one Python function from the numbers of a folded tape to those of its program. It gives
up where something that the planner decided by would come out otherwise; then the tape is planned anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.engine.forks import Guard
from tinyseq.engine.machine.assemble import Assembler, Part
from tinyseq.engine.machine.assembled import Assembled, Limit, Listed, OutputView, assembled
from tinyseq.engine.machine.pacing import Pace
from tinyseq.engine.machine.program import Program
from tinyseq.engine.plan.first_fit import allocate
from tinyseq.engine.plan.folded import Folded, Refused
from tinyseq.engine.plan.layout import Storage
from tinyseq.engine.plan.pipeline import PASSES, VERIFY, Plan, checking, finished, plan_of_symbols
from tinyseq.engine.plan.reuse import Arena
from tinyseq.engine.plan.sharing import available, wanted_threads
from tinyseq.engine.plan.symbols import Array, Num
from tinyseq.engine.plan.tracing import Trace
from tinyseq.engine.plan.unknowns import Axes, Structure, differing, structure, symbolic, tails
from tinyseq.errors import TapeError

MOST_STRUCTURES = 32
MOST_TEMPLATES = 4  # of one structure: plans that differ in what was decided by numbers
OFTEN = 4  # times that a structure comes before it is worth a run on symbols, which takes as long as many plans


class Template:
    """One run of the planner on symbols, for as many ``threads`` as the work wants if none are given."""

    def __init__(
        self,
        folded: Folded,
        outputs: Sequence[int],
        loss: int,
        without: frozenset[str] = frozenset(),
        threads: int | None = None,
        axes: Axes = frozenset(),
    ) -> None:
        self.trace = trace = Trace()
        self.tails, self.axes = tails(folded), axes
        self.plan = plan_of_symbols(symbolic(folded, trace, axes), outputs, loss, without)
        self.made = assembled(self.plan, threads or wanted_threads(self.plan))
        self._program = _compiled(trace, _recorded(self.made))
        self._guards = len(trace.lines)  # those of the program; running in turn may add its own
        several = self.made.threads > 1
        self.pace = Pace() if several else None
        self._part = Assembler(self.plan, range(self.made.threads), self.made.threads).assemble() if several else None
        self._in_turn: Any = None
        self._values: Any = None
        trace.forget()

    def program(self, folded: Folded, outputs: list[int], loss: int) -> Program | None:
        """The program of a tape folded alike; None where this plan is not its."""
        given = _given(folded)
        found = self._program(*given) if differing(self.tails, tails(folded)) <= self.axes else None
        if found is None:
            return None
        folded.finish()  # it is kept for whoever asks for the plan
        storages, parts, starts, size, limits, views, listed = found
        made, kept = self.made, list(map(_like, self.made.storages, storages))
        arena, total = allocate(kept)
        parts = [(code.copy(), tables, moves) for code, tables, moves in parts]
        new = Assembled(
            made.dtype, made.threads, kept, parts, starts, size, [Limit(*each) for each in limits],
            [OutputView(*each) for each in views], [Listed(*each) for each in listed], made.classes,
        )  # fmt: skip
        return Program.instance(
            new, outputs, arena, lambda: self.filled(given, kept, (arena, total), outputs, loss), self.pace,
            lambda: self.in_turn(given),
        )  # fmt: skip

    def in_turn(self, given: tuple) -> Part | None:
        """The part that does all threads' work in turn, of a tape folded alike; None where it has to be made anew."""
        if self._in_turn is None:
            self._in_turn = _compiled(self.trace, self._part)
        found = self._in_turn(*given)
        return None if found is None else (found[0].copy(), *found[1:])

    def filled(
        self, given: tuple, storages: list[Storage], sizes: tuple[int, int], outputs: list[int], loss: int
    ) -> Plan:
        """The whole plan of a tape folded alike, with the storages that its program has."""
        if self._values is None:
            every = _Symbols(self.plan.stages, self.plan.blocks).every
            self._values = _compiled(self.trace, every, self._guards)
        filling = _Filling(self._values(*given))
        for old, new in zip(self.plan.storages, storages, strict=True):
            filling.done[id(old)] = new
        stages, blocks = filling.of(self.plan.stages), filling.of(tuple(self.plan.blocks))
        stages.outputs, stages.loss = outputs, loss
        stages.values["reuse"] = Arena(stages.values["emit"], blocks, *sizes)
        for state in (stages.values["fold"], stages.values["rewrite"].state):
            at = list(state.places.values())
            state.places = dict(zip(dict.fromkeys([*outputs, *([loss] * (loss >= 0))]), at, strict=True))
        graph = stages.values["rewrite"]
        graph.outputs, graph.loss = outputs, loss
        return finished(stages)


def _given(folded: Folded) -> tuple:
    """What the compiled function reads: classes, groups, joins, numbers of the places asked for."""
    return folded.classes, folded.groups, folded.joins, [number for _, number in folded.places.values()]


def _like(storage: Storage, numbers: tuple) -> Storage:
    size, lead, node, data = numbers
    return Storage(storage.index, size, lead, storage.space, node, storage.what, storage.first, storage.last, 0, data)


def _recorded(made: Assembled) -> tuple:
    """All numbers of a program, as nested tuples and lists."""
    storages = [(s.size, s.lead, s.node, s.data) for s in made.storages]
    rest = made.limits, made.views, made.listed
    return storages, made.parts, made.flat_starts, made.flat_size, *([tuple(each) for each in part] for part in rest)


def _compiled(trace: Trace, result: Any, guards: int | None = None) -> Any:
    """A function (C, G, J, P) → result, or None where a guard fails; only those of the first lines, if so many are
    given."""
    uses: list[str] = []
    text = trace.text(result, uses)
    guards = len(trace.lines) if guards is None else guards
    wanted, lines = set(uses), []
    for at, line in reversed(list(enumerate(trace.lines))):
        if (line.name and line.name not in wanted) or (not line.name and at >= guards):
            continue
        wanted.update(line.uses)
        lines.append(f" {line.name} = {line.text}" if line.name else f" if {line.text}: return None")
    source = "\n".join(["def instance(C, G, J, P):", *reversed(lines), f" return {text}"])
    scope = dict(trace.objects)
    exec(compile(source, "<instance of a plan>", "exec"), scope)
    return scope["instance"]


class _Symbols:
    """The symbols in a plan, each once."""

    def __init__(self, *things: Any) -> None:
        self.every: dict[str, Any] = {}
        self._seen: set[int] = set()
        for thing in things:
            self._look(thing)

    def _look(self, thing: Any) -> None:
        if isinstance(thing, Num | Array):
            self.every[thing.name] = thing
        elif id(thing) not in self._seen and (parts := _parts(thing)):
            self._seen.add(id(thing))
            for part in parts:
                self._look(part)


class _Filling:
    """A copy of a plan with numbers in place of its symbols; what it shares with itself the copy shares too."""

    def __init__(self, numbers: dict[str, Any]) -> None:
        self.numbers = numbers
        self.done: dict[int, Any] = {}

    def of(self, thing: Any) -> Any:
        """The copy of a thing."""
        if isinstance(thing, Num | Array):
            return self.numbers[thing.name]
        if id(thing) in self.done:
            return self.done[id(thing)]
        made: Any = thing
        if isinstance(thing, list):
            made = self.done[id(thing)] = []
            made += map(self.of, thing)
        elif isinstance(thing, tuple):
            made = self.done[id(thing)] = tuple(map(self.of, thing))
        elif isinstance(thing, dict):
            made = self.done[id(thing)] = {self.of(key): self.of(value) for key, value in thing.items()}
        elif _of_a_plan(thing):
            made = self.done[id(thing)] = object.__new__(type(thing))
            for name, value in vars(thing).items():
                object.__setattr__(made, name, self.of(value))
        return made


def _of_a_plan(thing: Any) -> bool:
    return type(thing).__module__.startswith("tinyseq.engine.plan") and hasattr(thing, "__dict__")


def _parts(thing: Any) -> list[Any]:
    """What a thing of a plan is made of."""
    if isinstance(thing, list | tuple):
        return list(thing)
    if isinstance(thing, dict):
        return [*thing.keys(), *thing.values()]
    return list(vars(thing).values()) if _of_a_plan(thing) else []


class _Known:
    """The templates of a structure; ``hopeless`` where it can't be planned with symbols."""

    def __init__(self, key: Structure) -> None:
        self.key = key  # the very object by which it is kept, which is found without being compared
        self.templates: list[Template] = []
        self.times, self.hopeless = 0, False
        self.tails: tuple[tuple[int, ...], ...] | None = None
        self.axes: Axes = frozenset()  # that have been seen to differ


class Instances:
    """Templates by structure; the least recently used structure is dropped."""

    def __init__(self, most: int = MOST_STRUCTURES, often: int = OFTEN) -> None:
        self.most, self.often = most, often
        self.counts = {"instances": 0, "templates": 0, "failed": 0}
        self.reasons: list[str] = []  # why there was no template, the last ones
        self._known: OrderedDict[Structure, _Known] = OrderedDict()
        self._guard = Guard()

    def program(self, folded: Folded, outputs: list[int], loss: int, without: frozenset[str]) -> Program | None:
        """The program of a tape folded as others were before; None where it has to be planned."""
        key, axes_now = structure(folded, outputs, loss, without, available()), tails(folded)
        with self._guard.lock:
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = _Known(key)
            self._known.move_to_end(known.key)
            while len(self._known) > self.most:
                self._known.popitem(last=False)
            known.times += 1
            known.tails = known.tails or axes_now
            known.axes |= differing(known.tails, axes_now)
        if known.times < self.often or known.hopeless:
            return None
        for template in list(known.templates):
            if (found := self._instance(template, folded, outputs, loss)) is not None:
                return found
        if len(known.templates) >= MOST_TEMPLATES:
            return None
        try:
            template = Template(folded, outputs, loss, without, axes=known.axes)
        except Refused:  # it has no plan for its members together, by numbers or by symbols
            known.hopeless = True
            return None
        except Exception as error:  # what can't be planned with symbols is planned as it is
            known.hopeless = True
            self._failed(error)
            return None
        self.counts["templates"] += 1
        known.templates.append(template)
        return self._instance(template, folded, outputs, loss)

    def _instance(self, template: Template, folded: Folded, outputs: list[int], loss: int) -> Program | None:
        try:
            found = template.program(folded, outputs, loss)
        except Exception as error:
            self._failed(error)
            return None
        self.counts["instances"] += found is not None
        return found

    def _failed(self, error: Exception) -> None:
        self.counts["failed"] += 1
        self.reasons = [*self.reasons[-9:], f"{type(error).__name__}: {error}"]
        if checking():
            raise error

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Forget all templates."""
        with self._guard.lock:
            self._known.clear()


def verify_instance(program: Program) -> None:
    """Every value behind ``fold`` keeps its rules, and the integers are those that the plan itself assembles to. Raises
    TapeError."""
    plan = program.plan
    assert plan.stages is not None
    plan.stages.run("share")
    for name in PASSES[1:]:
        VERIFY[name](plan.stages)
    expected, found = assembled(plan, program.threads), program.made
    for what in ("flat_starts", "flat_size", "limits", "views"):
        if getattr(expected, what) != getattr(found, what):
            raise TapeError(f"instance: {what} {getattr(found, what)}, the plan says {getattr(expected, what)}")
    for k, (mine, other) in enumerate(zip(found.parts, expected.parts, strict=True)):
        _same_part(mine, other, f"thread {k}")
    if program.threads > 1:
        _same_part(*program.parts_in_turn(), "all threads in turn")
    for own, its in zip(found.listed, expected.listed, strict=True):
        lists = np.array_equal(own.places, its.places) and np.array_equal(own.numbers, its.numbers)
        if own[:2] != its[:2] or not lists:
            raise TapeError(f"instance: the list of addresses in s{own.where} is not the plan's")


def _same_part(mine: Part, other: Part, whose: str) -> None:
    pairs = zip((*mine[:2], *mine[2]), (*other[:2], *other[2]), strict=True)
    for what, (a, b) in zip(("code", "tables", "places", "storages", "constants"), pairs, strict=True):
        if not np.array_equal(a, b):
            raise TapeError(f"instance: the {what} of {whose} are not those that its plan assembles to")


INSTANCES = Instances()
