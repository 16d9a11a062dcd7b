"""The tape: an append-only table of nodes in topological order.

The index of a node *is* its place in the order: every input of node i has an index below i. A tape holds
neither values nor gradients (those belong to the executor that is handed to it) and no closures, so it can be
stamped, checked, drawn and planned as arrays. A node is five numbers and its inputs:

    kind    an interned record of all that does not change from step to step: op, static attributes,
            shape without its first axis, dtype, name, cell and source line
    rows    length of the first axis, -1 for a scalar
    arg     one integer that may change from step to step (which row of x, how many rows)
    step    time step or tree position, -1 outside any cell
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinyseq import display
from tinyseq.checks import plain
from tinyseq.errors import GradientError, TapeError
from tinyseq.habits import advised, give_habits, retold
from tinyseq.tape.recorder import Recorder
from tinyseq.tape.text import canonical, dump

_current: ContextVar[tuple[Tape, ...]] = ContextVar("tinyseq_tapes", default=())


@advised
class Tape(Recorder):
    """A computational graph under construction: ``with ts.Tape() as tape: ...`` records into it.

    Nothing is computed while recording. ``tensor.value`` and ``tape.backward(loss)`` ask the executor, which
    is made from ``executor`` (a callable that takes the tape; by default ``Tape.default_executor``).
    """

    __slots__ = ("__weakref__", "executor", "starts", "words")

    default_executor: Callable[[Tape], Any] | None = None

    def __init__(self, executor: Callable[[Tape], Any] | None = None) -> None:
        super().__init__()
        # where an unfold is too short for a state to come back: initial state, the state it is read in place of, the
        # step that this would have had, the node that reads it (-1: any)
        self.starts: list[tuple[int, int, int, int]] = []
        self.words: dict[str, Any] = {}  # labels of the positions of a tree, by scope
        make = executor or type(self).default_executor
        self.executor: Any = make(self) if make is not None else None

    def __enter__(self) -> Tape:
        stack = _current.get()
        if stack:
            stack[-1].leaves = {}  # a parameter used from now on means its leaf on this tape
        _current.set((*stack, self))
        return self

    def __exit__(self, kind: Any = None, error: Any = None, traceback: Any = None) -> None:
        self._left()
        if kind is not None and (told := retold(error)):
            raise told.with_traceback(traceback) from None

    def _left(self) -> None:
        self.leaves = {}
        stack = list(_current.get())
        for place in range(len(stack) - 1, -1, -1):
            if stack[place] is self:
                del stack[place]
                break
        _current.set(tuple(stack))

    @staticmethod
    def current() -> Tape:
        """The innermost tape being recorded."""
        stack = _current.get()
        if not stack:
            raise TapeError(
                "no tape is recording: operations on tensors build a graph, and a graph needs a tape.\n"
                "Write:\n    with ts.Tape() as tape:\n        y = ...  # the operation"
            )
        return stack[-1]

    @staticmethod
    def recording() -> bool:
        """Whether a tape is recording."""
        return bool(_current.get())

    def backward(self, loss: Any, seed: Any = None, accumulate: bool = False) -> None:
        """Set the gradient of ``loss`` for every parameter and node it depends on.

        A second call gives the same gradients; ``accumulate=True`` adds to the parameters' gradients instead.
        ``seed`` is ∂L/∂loss, needed unless ``loss`` is a scalar.
        """
        if self.folding:
            raise TapeError("backward inside a step that is being recorded for unfolding; call it after unfold(...)")
        if getattr(loss, "tape", None) is None:
            raise GradientError(f"backward needs the tensor to differentiate, got {type(loss).__name__}")
        if loss.tape is not self:
            raise TapeError("the loss is on another tape; call backward on the tape that recorded it: loss.backward()")
        loss._settled()
        if loss.shape and seed is None:
            raise GradientError(
                f"backward of a tensor of shape {loss.shape} needs a seed of that shape: only a scalar loss has one "
                "gradient.\nReduce it first (ts.sum(loss)) or give tape.backward(loss, seed=array)"
            )
        if seed is not None and plain(seed, "the seed").dtype.kind not in "fiub":
            raise GradientError(f"a seed is an array of real numbers, got {np.asarray(seed).dtype}")
        self.executor.backward(loss.index, seed, accumulate)

    def dump(self, limit: int | None = None) -> str:
        """The tape as text, one line a node."""
        return dump(self, limit)

    def same_graph(self, other: Tape) -> bool:
        """Whether both tapes hold the same nodes in the same order; source lines and places of parameters aside."""
        mine, theirs = canonical(self), canonical(other)
        return mine[0] == theirs[0] and all(np.array_equal(a, b) for a, b in zip(mine[1:], theirs[1:], strict=True))

    def to_html(self, path: Any, **options: Any) -> Any:
        """Write one offline HTML file that steps through forward, backward and update, node by node.

        ``options`` are ``loss`` (the tensor or its name), ``title``, ``compare`` ({title: another loss}) and
        ``learning_rate``; see ``tinyseq.viz.stepper.to_html``. Sets gradients; returns the path.
        """
        return display.page(self, path, **options)

    def to_json(self) -> str:
        """The tape as text, with every bit of its numbers (``ts.exchange.to_json``); ``Tape.from_json`` reads it."""
        return display.exchanged("to_json", self)

    @staticmethod
    def from_json(text: str | bytes, executor: Callable[[Tape], Any] | None = None) -> Tape:
        """The tape that ``to_json`` wrote (``ts.exchange.from_json``). Raises DataError for text that holds none."""
        return display.exchanged("from_json", text, executor)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return display.bundle("tape", self)

    def __repr__(self) -> str:
        cells = sorted({kind.cell for kind in self.kinds if kind.cell})
        return f"Tape({self.n} nodes, {len(self.parameters)} parameters, cells: {', '.join(cells) or 'none'})"


give_habits(Tape, "Tape")
