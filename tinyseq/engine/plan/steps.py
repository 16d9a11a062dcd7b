"""Steps: buffers with who overwrites and who adds, what is zeroed, packed or copied before; and their verifier."""

from __future__ import annotations

from dataclasses import dataclass

from tinyseq.engine.plan.buffers import Buffers
from tinyseq.engine.plan.flows import writes_whole
from tinyseq.engine.plan.folded import Class
from tinyseq.engine.plan.graph import Graph, Term, differentiable
from tinyseq.engine.plan.layout import Storage
from tinyseq.engine.plan.maps import MIRRORED
from tinyseq.engine.plan.reads import Delayed, Run, Same
from tinyseq.engine.plan.regions import Region
from tinyseq.engine.plan.sites import inputs_of, site
from tinyseq.engine.plan.tasks import Back
from tinyseq.errors import TapeError
from tinyseq.ops import OPS


@dataclass(frozen=True)
class Zero:
    """Parts of a storage, (start, length), set to 0 before somebody adds to it."""

    storage: Storage
    parts: tuple[tuple[int, int], ...]
    note: str
    whole: bool = False


@dataclass(frozen=True)
class Pack:
    """The shared operand of a product, packed: of ``columns`` (first, number), or all of them (number −1)."""

    matmul: Class
    backward: bool
    columns: tuple[int, int] = (0, -1)


@dataclass(frozen=True)
class Start:
    """What stands before the first member (or after the last) copied next to the members."""

    cls: Class
    place: int
    source: Class
    number: int


@dataclass(frozen=True)
class StartBack(Start):
    """What flowed to the members before the first is the gradient of what stood there."""

    adds: bool = False


@dataclass(frozen=True)
class Seed:
    """∂L/∂L = 1 (10.17)."""

    loss: Class
    number: int


@dataclass(frozen=True)
class Work:
    """One operation on a class's members.

    kind   of values "map", "copy", "pick", "call", and of a sum "add" and "product"; of gradients a contribution's
    adds   whether it adds to what is there; otherwise it overwrites
    begin  a term that a product starts from
    clear  whether its target, of one level, is zeroed in the loop just before
    """

    kind: str
    cls: Class
    adds: bool = False
    term: Term | None = None
    begin: Term | None = None
    back: Back | None = None
    clear: bool = False
    columns: tuple[int, int] = (0, -1)

    def __str__(self) -> str:
        return str(self.back) if self.back else f"{self.kind} of class {self.cls.index} ({self.cls.where})"


@dataclass(frozen=True)
class Loop:
    """A recurrence, level by level."""

    region: Region
    work: tuple[Work, ...]


Step = Zero | Pack | Start | Seed | Work | Loop


@dataclass(frozen=True)
class Written:
    """Buffers, and the steps in order; those of the way back begin at ``backward``."""

    buffers: Buffers
    steps: tuple[Step, ...]
    backward: int

    def dump(self) -> str:
        """One line a step."""
        lines = []
        for k, step in enumerate(self.steps):
            phase = "backward" if k >= self.backward else "forward"
            for work in step.work if isinstance(step, Loop) else (step,):
                loop = "loop: " if isinstance(step, Loop) else ""
                lines.append(f"{k} {phase} {loop}{_told(work)}")
        return "\n".join(lines)


def _told(step: Step) -> str:
    match step:
        case Work():
            begin = f", begun by {step.begin.kind}" if step.begin else ""
            return f"{step}: {'adds' if step.adds else 'overwrites'}{begin}{', cleared before' if step.clear else ''}"
        case Zero():
            return f"{step.note}: {step.parts}"
        case Start():
            back = "gradient of the " if isinstance(step, StartBack) else ""
            return f"{back}start {step.place} of class {step.cls.index}"
        case Pack():
            return f"pack the weights of class {step.matmul.index} ({step.matmul.where})"
    return "∂L/∂L = 1"


def verify_written(written: Written) -> None:
    """As many contributions as there are; the first write of each gradient overwrites all of it or a zero precedes;
    what was added to is never overwritten. Raises TapeError."""
    buffers = written.buffers
    _sums_whole(written)
    _all_back(written)
    begun: set[int] = set()
    for step in written.steps[written.backward :]:
        if isinstance(step, Zero):
            if step.whole:
                begun.add(step.storage.index)
        elif isinstance(step, Seed):
            begun.add(buffers.gradients[step.loss.index].storage.index)
        elif isinstance(step, StartBack):
            _gradient(buffers, step.source.index, step.adds, begun, f"start of class {step.cls.index}", None)
        elif isinstance(step, Work) and step.back:
            _contribution(buffers, step, begun, None)
        elif isinstance(step, Loop):
            _loop(buffers, step, begun)


def _loop(buffers: Buffers, loop: Loop, begun: set[int]) -> None:
    """In a loop who comes first at each level overwrites; or who reads with a delay, at the level before, to which all
    others add."""
    ahead = {
        buffers.gradients[work.back.target].storage.index
        for work in loop.work
        if work.back and work.back.ref and not work.adds and isinstance(work.back.ref, Run | Delayed)
    }
    first: set[int] = set()
    for work in loop.work:
        if work.back:
            _contribution(buffers, work, begun | ahead if work.adds else begun, first)
    begun |= first


def _contribution(buffers: Buffers, work: Work, begun: set[int], first: set[int] | None) -> None:
    assert work.back is not None
    if work.back.ref is None:
        return
    if work.kind == "call" and not work.adds:
        _one_write(buffers, work)
    ref = work.back.ref  # what stands before the first member gets its gradient by a step of its own
    for target in ref.sources() if ref.classes is not None else [ref.source]:
        if target in buffers.graph.wants:
            delayed = first is not None and not isinstance(work.back.ref, Same)
            _gradient(buffers, target, work.adds or work.clear, begun, str(work), first, work.clear, delayed)


def _one_write(buffers: Buffers, work: Work) -> None:
    """What overwrites a gradient writes all of it at once."""
    assert work.back is not None
    cls = work.back.cls
    calls = dict(OPS[cls.op].vjps(site(buffers.graph, cls)))[work.back.position]
    if not writes_whole(buffers.graph, cls, work.back.position, calls):
        target = buffers.graph.classes[work.back.target]
        raise TapeError(
            f"write: {work} overwrites the gradient of class {target.index} ({target.where}), to which its parts or "
            "rows are added one after the other"
        )


def _gradient(
    buffers: Buffers,
    target: int,
    adds: bool,
    begun: set[int],
    what: str,
    first: set[int] | None,
    clear: bool = False,
    delayed: bool = False,
) -> None:
    layout = buffers.gradients[target]
    index, cls = layout.storage.index, buffers.graph.classes[target]
    where = f"the gradient of class {target} ({cls.where})"
    known = index in begun or (first is not None and index in first)
    if adds and not known and not clear:
        raise TapeError(f"write: {what} adds to {where}, which nobody has begun")
    if not adds and delayed and first is not None:  # of the level before, to which this loop adds later
        index = -1 - index
    if not adds and index in (begun if first is None else first):
        raise TapeError(f"write: {what} overwrites {where}, to which something was added before")
    if not adds and index in begun and not delayed:
        raise TapeError(f"write: {what} overwrites {where}, which was begun before")
    (begun if first is None else first).add(index)


def _sums_whole(written: Written) -> None:
    """Every term of a sum is added once, the first of them overwriting."""
    graph = written.buffers.graph
    found: dict[int, list[int]] = {}
    begun: set[int] = set()
    for step in written.steps[: written.backward]:
        for work in step.work if isinstance(step, Loop) else (step,):
            if not isinstance(work, Work) or work.term is None:
                continue
            where = f"class {work.cls.index} ({work.cls.where})"
            if work.adds != (work.cls.index in begun):
                problem = "adds to what nobody has begun" if work.adds else "overwrites the terms before it"
                raise TapeError(f"write: a {work.term.kind} term of {where} {problem}")
            begun.add(work.cls.index)
            found.setdefault(work.cls.index, []).extend(id(t) for t in (work.term, work.begin) if t is not None)
    for i, terms in graph.sums.items():
        if sorted(found.get(i, [])) != sorted(id(t) for t in terms):
            where = f"class {i} ({graph.classes[i].where})"
            raise TapeError(f"write: {where} has {len(terms)} terms, {len(found.get(i, []))} are added")


def _all_back(written: Written) -> None:
    """Every contribution is passed on once, unless it lies where it should go already."""
    buffers = written.buffers
    every = [t for ts in buffers.schedule.tasks.back.values() for t in ts if not elided(buffers, t)]
    todo = {_name(t): t for task in every for t in (joined(buffers.graph, task.cls) if task.ref is None else [task])}
    for step in written.steps:
        for work in step.work if isinstance(step, Loop) else (step,):
            if isinstance(work, Work) and work.back is not None and todo.pop(_name(work.back), None) is None:
                raise TapeError(f"write: {work.back} is passed on twice, or needs not be passed on")
    if todo and buffers.graph.loss_class.index in buffers.graph.wants:
        raise TapeError(f"write: {next(iter(todo.values()))} is not passed on")


def _name(task: Back) -> tuple[int, int]:
    """What a contribution is known by: a call, which may be a part of a join made anew, by its input."""
    return (task.cls.index, task.position) if task.kind == "call" else (id(task), -1)


def joined(graph: Graph, cls: Class) -> list[Back]:
    """The contributions that a join outside cells stands for."""
    return [
        Back("call", cls, ref, j)
        for j, ref in enumerate(inputs_of(graph, cls))
        if differentiable(cls, j) and ref.source in graph.wants
    ]


def elided(buffers: Buffers, task: Back) -> bool:
    """Whether a contribution lies where it should go: of a view in what it shows, of a sum in a shared gradient."""
    if task.cls.index in buffers.views and task.cls.op in MIRRORED:
        return True
    if task.kind not in ("map", "value") or task.ref is None:
        return False
    return buffers.mirror.operand(task.cls, task.ref) == (buffers.gradients[task.cls.index], 0)
