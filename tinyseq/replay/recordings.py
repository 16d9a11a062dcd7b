"""Recordings of compiled functions: what one is made of, when it still holds, and how many are kept."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.checks import check_plain
from tinyseq.engine.environment import wishes
from tinyseq.engine.forks import Guard
from tinyseq.engine.limits import LIMITS
from tinyseq.engine.no_gradient import nothing_to_differentiate
from tinyseq.engine.reasons import Later
from tinyseq.engine.reference import Reference
from tinyseq.errors import GradientError, TapeError
from tinyseq.replay.watch import Watch
from tinyseq.replay.watched_things import unwatched
from tinyseq.replay.watched_values import global_states
from tinyseq.tape import DTYPES, Tape, set_gradients
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import borrowed
from tinyseq.tensor.nesting import entering, rebuild
from tinyseq.tensor.source_lines import internal

if TYPE_CHECKING:
    from tinyseq.engine.machine.program import Program

internal(__file__)
NOT_INSTALLED = "the compiled executor is not part of this installation"


class _Recording(Reference):
    """The executor while a function is being recorded: leaves have values, nothing else has."""

    def value(self, index: int) -> np.ndarray:
        raise TapeError(
            "a function given to ts.compile cannot read values while it is recorded: the next call would not "
            "read them again. Return the tensor instead; its value comes back from the call"
        )


class Recorded:
    """A function recorded once: its tape, where its arguments are, what was constant."""

    def __init__(self, function: Callable[..., Any], arguments: tuple, keywords: dict[str, Any]) -> None:
        self.slots: list[int] = []
        with Tape(executor=_Recording) as tape:
            holders = getrefcount(tape)
            result = function(
                *[self._enter(a) for a in arguments], **{key: self._enter(keywords[key]) for key in sorted(keywords)}
            )
            self.nodes = [t.index for t in entering(result, "the result of a compiled function")]
            self.nesting = rebuild(result, self.nodes)
            del result
            alone = getrefcount(tape) == holders  # a tensor that somebody kept would hold the tape
        if not self.nodes:
            raise TapeError("a compiled function must return a tensor (the loss first), or a tuple of tensors")
        self.tape = tape
        values = tape.executor.values
        for slot in self.slots:
            values.pop(slot)  # the caller's, who may change it
        self.frozen = dict(values)
        tape.settle(alone)

    def _enter(self, argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            made = borrowed(argument)
            self.slots.append(made.index)
            return made
        if isinstance(argument, (tuple, list)) and any(True for _ in arrays_in(argument)):
            entered = [self._enter(a) for a in argument]
            return type(argument)(*entered) if hasattr(argument, "_fields") else type(argument)(entered)
        if isinstance(argument, dict):
            return {key: self._enter(a) for key, a in argument.items()}
        return argument

    def same(self, other: Recorded) -> bool:
        """Whether two recordings are one graph with the same constants."""
        if self.frozen.keys() != other.frozen.keys() or not self.tape.same_graph(other.tape):
            return False
        pairs = [(array, other.frozen[i]) for i, array in self.frozen.items()]
        return all(a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def record(
    function: Callable[..., Any], arguments: tuple, keywords: dict[str, Any], before: Watch | None = None
) -> tuple[Recorded, Watch, str]:
    """Record a function. What watched it ``before`` goes on where it sees all that there is to see.

    Returns the recording, what watches all that it depends on, and, of a function that no replay can stand for, why:
    it draws random numbers, or is not the same when it is recorded once more, which is tried where that is in doubt.
    """
    beside = [a for a in (*arguments, *keywords.values()) if not unwatched(a)]
    roots = function, *[a for a in beside if not isinstance(a, np.ndarray)]
    watch = before if before is not None and not beside and before.serves() else Watch(roots, not beside)
    states = global_states()
    made = Recorded(function, arguments, keywords)
    drew = _drew(watch, states)
    if drew:
        return made, watch, f"it draws random numbers ({drew})"
    if watch.draws_on:
        return made, watch, "it reads from an iterator"
    if watch.holds() and made.frozen.keys() <= made.tape.structural and not watch.in_doubt:
        return made, Watch(roots, not beside) if watch.incomplete else watch, ""
    again, changed = Recorded(function, arguments, keywords), watch.changed
    if made.same(again):
        return made, watch if watch.holds() and not watch.incomplete else Watch(roots, not beside), ""
    what = f"it changes what it reads, {changed}" if changed else "it computes with numbers that are new each time"
    return again, watch, what


def _drew(watch: Watch, states: tuple[Any, Any]) -> str:
    now = global_states()
    return watch.drew() or ("np.random" if now[0] != states[0] else "random" if now[1] != states[1] else "")


class Version(Recorded):
    """One recording of the function with its programs."""

    clock = itertools.count()

    def __init__(self, made: Recorded, watch: Watch, owner: Any, key: Any, fresh: str = "") -> None:
        self.__dict__.update(vars(made))
        self.watch, self.key = watch, key
        self.fresh = fresh  # why each call has to record anew, '' where replays will do
        self.owner = weakref.ref(owner)
        tape = self.tape
        self.nbytes = 24 * len(tape) + 8 * len(tape.input_indices) + sum(v.nbytes for v in self.frozen.values())
        self.dtypes = [DTYPES[tape.kind_of(slot).dtype] for slot in self.slots]
        self.parameters = [(node, p) for p in tape.parameters if (node := tape.node_of(p)) is not None]
        self.fixed = [p for node, p in self.parameters if tape.kind_of(node).attrs]
        self.keep: list[Any] = []  # what the key knows by identity
        self.guard = Guard()  # a program has one memory
        self.earlier: tuple[Version, ...] = ()  # of the same key, for other states of what is watched
        self.used = next(self.clock)
        self._programs: dict[tuple[bool, tuple[str, str]], Program | str] = {}
        self.compared: set[bool] = set()  # with and without gradients: compared with the reference once

    def anew(self, made: Recorded) -> Version:
        """The version of another recording; of the same graph it runs the same programs with other constants."""
        version = Version(made, self.watch, self.owner(), self.key, self.fresh)
        version.keep, version.earlier = self.keep, ()
        if version.slots == self.slots and version.nodes == self.nodes and version.tape.same_graph(self.tape):
            version.guard, version._programs, version.nbytes = self.guard, self._programs, self.nbytes
        return version

    def holds(self) -> bool:
        """Whether a replay does what recording anew would do."""
        if self.fresh:
            return False
        for p in self.fixed:
            if p.trainable:
                return False
        return self.watch.holds()

    def program(self, backward: bool, apart: bool = False) -> Program | str:
        """The program, planned when first wanted; or the reason why there is none. What has a plan for its members one
        by one alone gets it the second time, or at once with ``apart``."""
        key = backward, wishes()
        known = self._programs.get(key)
        if known is None or isinstance(known, Later):
            loss = self.nodes[0] if backward else -1
            if backward and self.tape.shape(loss) != ():
                raise GradientError(
                    "backward needs a scalar loss first among the results, "
                    f"got shape {self.tape.shape(loss)}; return ts.sum(...)"
                )
            check = getattr(self.owner(), "check", False)
            program = _planned(self.tape, self.nodes, loss, check, apart or known is not None)
            self._programs[key] = program
            self.nbytes += 0 if isinstance(program, str) else program.nbytes
            trim(self)
        return self._programs[key]

    def leaves(self, arrays: list[np.ndarray]) -> dict[int, np.ndarray]:
        """Arrays of all leaves for a run."""
        found = dict(self.frozen)
        for slot, array, dtype in zip(self.slots, arrays, self.dtypes, strict=True):
            fits = array.dtype is dtype and array.flags.carray
            found[slot] = array if fits else np.require(array, dtype, ["C", "ALIGNED"])
        for node, parameter in self.parameters:
            found[node] = parameter.value
        return found

    def publish(self, program: Program) -> None:
        """Hand the gradients of a program that has run to the parameters, in memory that no later run writes."""
        found = program.kept_gradients()
        if not found:
            raise GradientError(nothing_to_differentiate(self.tape, self.nodes[0], "the first result"))
        grads = [
            None if (grad := found.get(node)) is None or not parameter.trainable else grad.reshape(parameter.shape)
            for node, parameter in self.parameters
        ]
        set_gradients([parameter for _, parameter in self.parameters], grads)


@cache
def _installed() -> bool:
    """Whether the compiled executor is there."""
    return find_spec("tinyseq.engine.plan_cache") is not None


def _planned(tape: Tape, nodes: list[int], loss: int, check: bool, apart: bool) -> Program | str:
    if not _installed():
        return NOT_INSTALLED
    from tinyseq.engine.planned import planned

    return planned(tape, nodes, loss, check, apart)


VERSIONS: weakref.WeakSet[Version] = weakref.WeakSet()  # those that have been planned, of all functions
AT_MOST = [0]  # bytes that they take, or more: what is gone is not taken off before they are added up again


def trim(newest: Version) -> None:
    """Drop what was not used for longest, of all functions, until the rest is within the limit; the newest stays.

    What there is is added up when it may be too much: looking at each takes longer than many a batch.
    """
    VERSIONS.add(newest)
    AT_MOST[0] += newest.nbytes
    if AT_MOST[0] <= LIMITS.bytes:
        return
    kept = list(VERSIONS)
    total = sum([version.nbytes for version in kept])
    for version in sorted(kept, key=lambda v: v.used):
        if total <= LIMITS.bytes:
            break
        if version is not newest:
            owner = version.owner()
            if owner is not None:
                owner.drop(version)
            VERSIONS.discard(version)
            total -= version.nbytes
    AT_MOST[0] = total


# -- arguments
def arrays_in(argument: Any) -> Any:
    """The arrays of an argument, in the order in which they are entered."""
    if isinstance(argument, np.ndarray):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for a in argument:
            yield from arrays_in(a)
    elif isinstance(argument, dict):
        for a in argument.values():
            yield from arrays_in(a)


def signature(argument: Any) -> Any:
    """What a recording depends on: shapes and dtypes of arrays, type and value of numbers and texts, the identity of
    anything else."""
    kind = type(argument)
    if kind is np.ndarray:
        return argument.shape, argument.dtype
    if isinstance(argument, np.ndarray):
        check_plain(argument, "an argument of a compiled function")
        return kind, argument.shape, argument.dtype
    if isinstance(argument, Tensor):
        raise TapeError("a compiled function takes arrays, not tensors of another tape: give it tensor.value")
    if isinstance(argument, (tuple, list)):
        return kind, tuple([signature(a) for a in argument])
    if isinstance(argument, dict):
        return kind, tuple([(type(key), key, signature(a)) for key, a in argument.items()])
    if argument is None or isinstance(argument, (int, str, bool, bytes)):
        return kind, argument
    if isinstance(argument, (float, complex)):
        return kind, repr(argument)  # which tells 0.0 from -0.0, and takes one NaN for another
    if isinstance(argument, np.generic):
        return argument.dtype.str, argument.tobytes()
    if hasattr(argument, "signature"):
        return argument.signature()
    return id(argument)


def known_by_identity(argument: Any) -> list[Any]:
    """What `signature` knows by its identity, which has to live as long."""
    if isinstance(argument, np.ndarray):
        return []
    if isinstance(argument, (tuple, list, dict)):
        items = argument.values() if isinstance(argument, dict) else argument
        return [found for item in items for found in known_by_identity(item)]
    return [argument]
