"""``ts.compile``: record a function once for each signature of its arguments, then only run it."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.engine.forks import Guard
from tinyseq.engine.limits import LIMITS
from tinyseq.engine.reasons import Later
from tinyseq.engine.reference import Reference
from tinyseq.errors import TapeError
from tinyseq.replay.compared import compare
from tinyseq.replay.recordings import (
    Recorded,
    Version,
    arrays_in,
    known_by_identity,
    record,
    signature,
)
from tinyseq.replay.told import Told
from tinyseq.tape import Tape
from tinyseq.tensor.nesting import rebuild
from tinyseq.tensor.source_lines import internal

if TYPE_CHECKING:
    from tinyseq.engine.machine.program import Program

internal(__file__)

MOST_DROPPED = 1000  # kinds of arguments that are remembered when their recording is gone
MOST_EARLIER = 3  # recordings kept for other states of what a function reads, as of a switch between two


class CompiledFunction:
    """A function of arrays that is recorded once and replayed.

    ``f(x, y)`` gives its results as arrays; ``f.backward(x, y)`` does so too and sets ``grad`` of every parameter
    that the first result, a scalar, depends on. Results and gradients are the caller's: no later call changes
    them. Threads may call it at once; one runs at a time.

    It is recorded again where what it reads beside its arguments has changed: attributes, variables of enclosing
    functions, globals, arrays, which parameters are trainable. On a class it is a method: each instance has recordings
    of its own, which go with it.
    """

    def __init__(self, function: Callable[..., Any], check: bool = False) -> None:
        if not callable(function):
            raise TapeError(f"ts.compile takes a function, got {type(function).__name__}: write ts.compile(model.loss)")
        self.function, self.check = function, check
        for name in ("__doc__", "__module__", "__qualname__"):
            setattr(self, name, getattr(function, name, None))
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__wrapped__ = function
        self.last: Version | None = None  # the recording of the last call
        self._versions: dict[Any, Version] = {}
        self._guard = Guard()
        self.told = Told(self.__name__)
        self._dropped: set[Any] = set()  # kinds of arguments whose recordings had no room

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._run(arguments, keywords, False)

    def backward(self, *arguments: Any, **keywords: Any) -> Any:
        """The results, with the gradients of the first set on the parameters."""
        return self._run(arguments, keywords, True)

    def tape(self, *arguments: Any, **keywords: Any) -> Tape:
        """The tape recorded for arguments like these."""
        return self._version(arguments, keywords).tape

    def program(self, *arguments: Any, **keywords: Any) -> Program | str:
        """The program for arguments like these, or the reason why there is none."""
        return self._version(arguments, keywords).program(True, apart=True)

    def reference(self, *arguments: Any, **keywords: Any) -> tuple[Reference, int]:
        """The reference executor with the leaves of a call, and the first result's node: to look at every value."""
        version = self._version(arguments, keywords)
        executor = Reference(version.tape)
        leaves = version.leaves(_arrays(arguments, keywords))
        executor.values.update({i: v.copy() for i, v in leaves.items()})
        return executor, version.nodes[0]

    def versions(self) -> list[Version]:
        """All recordings that are kept."""
        return [v for version in list(self._versions.values()) for v in (version, *version.earlier)]

    def drop(self, version: Version) -> bool:
        """Forget a recording, if it is kept, as all together take more than they may."""
        if len(self._dropped) < MOST_DROPPED:
            self._dropped.add(version.key)
        current = self._versions.get(version.key)
        if current is version:
            return self._versions.pop(version.key, None) is not None
        if current is not None:
            current.earlier = tuple(v for v in current.earlier if v is not version)
        return current is not None

    # -- as a method
    def __get__(self, instance: Any, owner: type | None = None) -> CompiledFunction:
        """The function of an instance; it is kept with the instance, and so goes with it."""
        target = instance if instance is not None else owner
        bind = getattr(type(self.function), "__get__", None)
        bound = self.function if bind is None else bind(self.function, instance, owner)
        if bound is self.function:
            return self
        if isinstance(self.function, staticmethod):
            return self._kept_with(self, "static", lambda: CompiledFunction(bound, self.check))
        return self._kept_with(target, f"ts.compile {self.__name__}", lambda: CompiledFunction(bound, self.check))

    def _kept_with(self, target: Any, key: str, make: Callable[[], CompiledFunction]) -> CompiledFunction:
        own = getattr(target, "__dict__", None)
        if own is None:
            raise TapeError(
                f"a compiled method needs instances with a __dict__, which {type(target).__name__} has not (__slots__):"
                " write run = ts.compile(instance.method)"
            )
        held = own.get(key)
        if held is None or held.of() is not target or held.made_by is not self:
            held = _Held(target, self, make())
            (type.__setattr__ if isinstance(target, type) else object.__setattr__)(target, key, held)
        return held.function

    def __copy__(self) -> CompiledFunction:
        return CompiledFunction(self.function, self.check)

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        from copy import deepcopy

        return CompiledFunction(deepcopy(self.function, memo), self.check)

    def __reduce__(self) -> Any:
        return CompiledFunction, (self.function,)  # recordings stay behind

    # -- recording and running
    def _version(self, arguments: tuple, keywords: dict[str, Any] | None = None) -> Version:
        keywords = keywords or {}
        key: Any = tuple([signature(a) for a in arguments])
        if keywords:
            key = (key, tuple([(name, signature(keywords[name])) for name in sorted(keywords)]))
        version = self._versions.get(key)
        if version is None or not version.holds():
            with self._guard.lock:
                version = self._earlier(key) or self._record(key, arguments, keywords)
        version.used = next(Version.clock)
        self.last = version
        return version

    def _earlier(self, key: Any) -> Version | None:
        """A recording of this key that holds now, made the current one."""
        current = self._versions.get(key)
        if current is None:
            return None
        kept = (current, *current.earlier)
        for version in kept:
            if version.holds():
                version.earlier = tuple(v for v in kept if v is not version)
                self._versions[key] = version
                return version
        return None

    def _record(self, key: Any, arguments: tuple, keywords: dict[str, Any]) -> Version:
        before = self._versions.get(key)
        if before is not None and before.fresh:
            version = self._versions[key] = before.anew(Recorded(self.function, arguments, keywords))
            return version
        if before is None and key in self._dropped:
            self.told.bytes()
        last = None if self.last is None else self.last.watch
        made, watch, fresh = record(self.function, arguments, keywords, last)
        version = Version(made, watch, self, key, fresh)
        version.keep = [found for a in (*arguments, *keywords.values()) for found in known_by_identity(a)]
        if watch.cut:
            self.told.cut()
        if fresh:
            self.told.fresh(fresh)
        elif before is not None:
            version.earlier = (before, *before.earlier)[:MOST_EARLIER]
            before.earlier = ()
            self.told.changes(before.watch.changed)
        self._versions[key] = version
        while len(self._versions) > LIMITS.number:
            oldest = min(list(self._versions.values()), key=attrgetter("used"))
            self.told.number()
            self._versions.pop(oldest.key, None)
        return version

    def _run(self, arguments: tuple, keywords: dict[str, Any], backward: bool) -> Any:
        version = self._version(arguments, keywords)
        with version.guard.lock:
            program = version.program(backward)
            leaves = version.leaves(_arrays(arguments, keywords))
            if isinstance(program, str):
                if not isinstance(program, Later):
                    self.told.fallback(program)
                return self._plain(version, leaves, backward)
            with program.alone():
                program.bind(leaves, version.tape)
                program.run()
                if self.check and backward not in version.compared:
                    compare(version.tape, version.nodes, program, leaves, backward)
                    version.compared.add(backward)
                if backward:
                    version.publish(program)
                values = [program.value(i).copy() for i in version.nodes]
            return rebuild(version.nesting, _handed_back(values, leaves, version.slots))

    def _plain(self, version: Version, leaves: dict[int, np.ndarray], backward: bool) -> Any:
        """Without a plan: the reference executor on the recorded tape."""
        executor = Reference(version.tape)
        executor.values.update({i: v.copy() for i, v in leaves.items()})
        if backward:
            executor.backward(version.nodes[0])
        values = [executor.value(i) for i in version.nodes]
        return rebuild(version.nesting, _handed_back(values, leaves, version.slots))


class _Held:
    """A compiled method kept among the attributes of its instance; a copy of the instance makes its own."""

    def __init__(self, target: Any, made_by: CompiledFunction, function: CompiledFunction) -> None:
        try:
            self.of: Callable[[], Any] = weakref.ref(target)
        except TypeError:
            self.of = lambda: target
        self.made_by, self.function = made_by, function

    def __reduce__(self) -> Any:
        return types.NoneType, ()


def _arrays(arguments: tuple, keywords: dict[str, Any]) -> list[np.ndarray]:
    """All arrays in the order in which they are entered: those of keywords by name."""
    if not keywords:
        return list(arrays_in(arguments))
    return list(arrays_in((arguments, [keywords[name] for name in sorted(keywords)])))


def _handed_back(values: list[np.ndarray], leaves: dict[int, np.ndarray], slots: list[int]) -> list[Any]:
    """Results as the caller gets them: the first, a loss, as a number of NumPy's, unless an argument has no axes either
    and so may be a state; all others as arrays, which the next call takes."""
    if values[0].ndim or not all(leaves[slot].ndim for slot in slots):
        return list(values)
    return [values[0][()], *values[1:]]
