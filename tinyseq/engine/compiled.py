"""The compiled executor: plans a tape, runs the plan, and falls back on the reference for all there is to look at.

A plan computes the loss and the gradients of the parameters and keeps nothing else. Whoever asks for another value
or gradient gets it from the reference executor, which then runs once and keeps everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.engine.planned import tell_fallback
from tinyseq.engine.reference import Reference

if TYPE_CHECKING:
    from tinyseq.engine.machine.program import Program
    from tinyseq.tape import Tape
from tinyseq.engine.plan_cache import CACHE
from tinyseq.engine.reasons import Later

SMALL = 64  # nodes: below, planning costs more than running node by node

MOST_TOLD = 1000

_told: set[str] = set()  # reasons for which somebody was warned


class Compiled:
    """Runs tapes by plans; the protocol is the reference executor's."""

    small = SMALL

    def __init__(self, tape: Tape) -> None:
        self.reference = Reference(tape)
        self.values = self.reference.values
        self._seed: tuple[int, Any] | None = None
        self._parameter_grads: dict[int, np.ndarray] = {}
        self._ends: dict[int, np.ndarray] = {}  # values that plans computed, without those they depend on
        self.fallback = ""

    @property
    def tape(self) -> Tape:
        """The tape that this executor runs."""
        return self.reference.tape

    def value(self, index: int) -> np.ndarray:
        """Value of a node; the tape's loss-like ends run by plan, all else by the reference."""
        if index in self._ends:
            return self._ends[index]
        planned = index not in self.values and index >= self.small and self._is_end(index)
        if planned and self._run(index, with_gradients=False) is not None:
            return self._ends[index]
        return self.reference.value(index)

    def known(self, index: int) -> np.ndarray | None:
        """Value of a node if it has been computed."""
        return self._ends.get(index, self.reference.known(index))

    def _is_end(self, index: int) -> bool:
        return self.tape.shape(index) == () and len(self.values) < index // 2

    def backward(self, index: int, seed: Any = None, accumulate: bool = False) -> None:
        """Set the gradients of the parameters that ``index`` depends on."""
        self._parameter_grads, self._seed = {}, None
        if seed is None and index >= self.small and self.tape.shape(index) == ():
            program = self._run(index, with_gradients=True)
            if program is not None and self._parameter_grads:
                self._seed, self.reference.grads = (index, seed), {}
                nodes = self.tape._parameter_nodes.values()
                self.reference.publish({i: self._parameter_grads.get(i) for i in nodes}, accumulate)
                return
        self.reference.backward(index, seed, accumulate)

    def _run(self, index: int, with_gradients: bool) -> Program | None:
        tape = self.tape
        for parameter, i in zip(tape.parameters, tape._parameter_nodes.values(), strict=True):
            if i not in self.values:
                self.values[i] = parameter.value.copy()
        program, lock = CACHE.program(tape, [index], index if with_gradients else -1)
        if isinstance(program, str):
            self._tell(program)
            return None
        with lock, program.alone():
            program.bind(self.values, tape)
            program.run()
            self._ends[index] = program.value(index).copy()
            if with_gradients:
                shapes = {i: p.shape for p, i in zip(tape.parameters, tape._parameter_nodes.values(), strict=True)}
                grads = program.gradients()
                self._parameter_grads = {i: g.reshape(shapes[i]).copy() for i, g in grads.items()}
        return program

    def _tell(self, reason: str) -> None:
        """Say once for each reason that there is no plan."""
        self.fallback = reason
        if reason not in _told and not isinstance(reason, Later):
            if len(_told) >= MOST_TOLD:
                _told.clear()
            _told.add(reason)
            tell_fallback("a tape", reason)

    # -- everything else is the reference's
    def bind(self, index: int, value: np.ndarray) -> None:
        """Give an input leaf its value."""
        self.reference.bind(index, value)

    def rebind(self, old: int, new: int) -> None:
        """A leaf has moved on the tape."""
        self.reference.rebind(old, new)

    def bounds(self, index: int) -> tuple[int, int]:
        """Smallest and largest number in an integer leaf."""
        return self.reference.bounds(index)

    def grad(self, index: int) -> np.ndarray | None:
        """Gradient of a node after ``backward``."""
        if index in self._parameter_grads:
            return self._parameter_grads[index]
        self._look()
        return self.reference.grad(index)

    @property
    def grads(self) -> dict[int, np.ndarray]:
        """Gradients of all nodes."""
        self._look()
        return self.reference.grads

    def terms(self, parameter: Any) -> list[tuple[int, int, np.ndarray]]:
        """The summands of a parameter's gradient."""
        self._look()
        return self.reference.terms(parameter)

    def _look(self) -> None:
        """Run the reference's backward pass once, for somebody who wants to see more than the parameters."""
        if self._seed is not None:
            (index, seed), self._seed = self._seed, None
            self.reference.differentiate(index, seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reference, name)
