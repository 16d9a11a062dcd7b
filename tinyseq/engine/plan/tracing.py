"""The lines that a run of the planner on symbols writes down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq.engine.plan.arithmetic import Arithmetic


class Line(NamedTuple):
    """``name = text``; a guard has no name: its text says when to give up. ``uses`` are the names it reads."""

    name: str
    text: str
    uses: tuple[str, ...]


class Trace:
    """The lines written down so far, and the objects that they name."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.objects: dict[str, Any] = {}
        self.pins: list[str] = []  # what was pinned, for whoever wonders why a tape is planned anew
        self._names: dict[str, str] = {}  # of what was computed before
        self._guards: set[str] = set()
        self._of_object: dict[int, str] = {}
        self.arrays: list[Any] = []  # whose values are those of the tape at hand

    def forget(self) -> None:
        """Forget what arrays were for the tape at hand: only their names count from now on."""
        for array in self.arrays:
            array.name  # noqa: B018 (it may not have one yet)
        for array in self.arrays:
            array.value = np.zeros(0, np.int64)
        self.arrays.clear()

    def let(self, text: str, uses: Sequence[str]) -> str:
        """The name of an expression; the same for the same."""
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = f"v{len(self._names)}"
            self.lines.append(Line(name, text, tuple(uses)))
        return name

    def guard(self, wrong: str, uses: Sequence[str]) -> None:
        """Give up where an expression is true."""
        if wrong not in self._guards:
            self._guards.add(wrong)
            self.lines.append(Line("", wrong, tuple(uses)))

    def named(self, thing: Any) -> str:
        """The name of an object that is the same for all tapes."""
        name = self._of_object.get(id(thing))
        if name is None:
            name = self._of_object[id(thing)] = f"k{len(self.objects)}"
            self.objects[name] = thing  # which keeps its id
        return name

    def text(self, thing: Any, uses: list[str]) -> str:
        """A value as it stands in a line; the names it reads are added to ``uses``."""
        if isinstance(thing, Arithmetic):
            uses.append(thing.name)
            return thing.name
        if isinstance(thing, bool | str) or thing is None or thing is Ellipsis:
            return repr(thing)
        if isinstance(thing, int | np.integer):
            return repr(int(thing))
        if type(thing) is float:
            return repr(thing)
        if isinstance(thing, slice):
            return f"slice({', '.join(self.text(part, uses) for part in (thing.start, thing.stop, thing.step))})"
        if isinstance(thing, tuple):
            return f"({''.join(self.text(part, uses) + ', ' for part in thing)})"
        if isinstance(thing, list):
            return f"[{', '.join(self.text(part, uses) for part in thing)}]"
        if isinstance(thing, dict):
            return f"{{{', '.join(f'{self.text(key, uses)}: {self.text(v, uses)}' for key, v in thing.items())}}}"
        return self.named(thing)


def value_of(thing: Any) -> Any:
    """What a symbol, or what holds some, is for the tape at hand."""
    if isinstance(thing, Arithmetic):
        return thing.value
    if isinstance(thing, tuple | list):
        return type(thing)([value_of(part) for part in thing])
    if isinstance(thing, slice):
        return slice(value_of(thing.start), value_of(thing.stop), value_of(thing.step))
    return thing


def trace_in(things: Any) -> Trace | None:
    for thing in things:
        if isinstance(thing, Arithmetic):
            return thing.trace
        if isinstance(thing, tuple | list) and (found := trace_in(thing)) is not None:
            return found
    return None
