"""One step of training, watched: a loss or gradient that is not finite stops it, and the last good weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from math import isfinite
from typing import Any

from tinyseq.diagnose.nonfinite import NonFinite, find_nonfinite
from tinyseq.errors import CallError, GradientError, TapeError
from tinyseq.habits import advised, wrong_call
from tinyseq.replay.compiling import compile
from tinyseq.replay.function import CompiledFunction
from tinyseq.tensor.parameter import Parameter
from tinyseq.train.clipping import clip_elements, clip_global_norm, global_norm
from tinyseq.train.data import unfit
from tinyseq.train.optimisers import Optimiser, positive_number
from tinyseq.train.ranks import ALONE, Ranks


class Diverged(GradientError):
    """Training met a loss or a gradient that is not finite, and has stopped before using it.

    step    the step at which it did, from 1
    found   the node where NaN or infinity begins (``ts.diagnose.find_nonfinite``); None where a run node by node on the
            same weights and data stays finite
    """

    def __init__(self, message: str, step: int, found: NonFinite | None) -> None:
        super().__init__(message)
        self.step, self.found = step, found


def first_of(result: Any) -> float:
    """The first of the results, which is the loss."""
    while isinstance(result, (tuple, list, dict)):
        result = next(iter(result.values() if isinstance(result, dict) else result))
    return float(result)


@advised
class TrainingStep:
    """``step(x, y)``: loss and gradients of a function, clipping, and an optimiser's update; returns the results.

    Arguments are given by place, or by name as the loss takes them.


    loss            a function of arrays whose first result is the loss, compiled or not
    clip            largest norm of the gradient (10.48, 10.49)
    clip_element    largest |element| of the gradient; done before ``clip``
    accumulate      calls that make a step: the mean of their gradients
    ranks           processes that share the batches (``train.mpi()``): the loss is that of this one's share
    steps           steps done; ``norm`` is ‖g‖ of the last one before clipping, ``value`` its loss

    The weights of the last step whose loss was finite are kept. Raises Diverged, with those weights put back, when the
    loss or the gradient's norm is not finite: it names the step, and the op, node, time step, direction and source line
    where NaN or infinity begins.
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        optimiser: Optimiser,
        *,
        clip: float | None = None,
        clip_element: float | None = None,
        planned: int | None = None,
        accumulate: int = 1,
        ranks: Ranks = ALONE,
    ) -> None:
        if hasattr(loss, "named_parameters"):
            raise CallError("a step needs the loss of the model: write train.TrainingStep(model.loss, optimiser)")
        self.loss = loss if isinstance(loss, CompiledFunction) else compile(loss)
        self.optimiser = optimiser
        self.clip = None if clip is None else positive_number("clip", clip)
        self.clip_element = None if clip_element is None else positive_number("clip_element", clip_element)
        self.planned = planned
        if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
            raise CallError(f"accumulate is a whole number of batches of at least 1, got {accumulate!r}")
        self.accumulate, self._waiting = accumulate, 0  # batches since the last step
        self._sums: list[Any] = []
        self._shares = 0.0  # of the loss of the step, where ranks share the batches
        self.steps, self.norm, self.value = 0, 0.0, 0.0
        self.ranks = ranks
        self._recording: Any = None  # of the last step
        self._first: set[int] = set()  # parameters that the loss read from the beginning, and are not to be learned
        self._kept: list[Parameter] = []  # those, so that they keep their identities
        self._unread: list[Parameter] = []  # parameters of the optimiser that the last step's loss did not read
        self._good = [p.value.copy() for p in optimiser.parameters]
        self._current = [p.value.copy() for p in optimiser.parameters]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if named:
            arguments = self._placed(arguments, named)
        for kept, p in zip(self._current, self.optimiser.parameters, strict=True):
            kept[...] = p.value
        result = self.loss.backward(*arguments)
        if self.loss.last is not self._recording:
            self._met(self.loss.last)
        for p in self._unread:
            p.grad = None  # that of an earlier step is not this one's
        loss = first_of(result)
        if self.ranks.size > 1:
            loss = self._weighted(loss)
        elif isfinite(loss):
            self._good, self._current = self._current, self._good
        if self.accumulate > 1 and (isfinite(loss) or self.ranks.size > 1) and not self._accumulated():
            return result
        if self.ranks.size > 1:
            loss = self.ranks.joined(self.optimiser.parameters, self._shares / self.accumulate)
            self._shares = 0.0
            if isfinite(loss):
                self._good, self._current = self._current, self._good
        self.value = loss
        self.norm = self._clipped()
        if not (isfinite(loss) and isfinite(self.norm)):
            what = f"the gradient's norm is {self.norm}" if isfinite(loss) else f"the loss is {loss}"
            raise self._diverged(what, arguments)
        self.optimiser.step()
        self.steps += 1
        return result

    def _weighted(self, loss: float) -> float:
        """Loss and gradients of this rank's share, each its part of those of the whole batch."""
        for p in self.optimiser.parameters:
            if p.grad is not None:
                p.grad *= p.dtype.type(self.ranks.weight)
        self._shares += self.ranks.weight * loss if self.ranks.weight else 0.0
        return loss

    def _accumulated(self) -> bool:
        """Add the gradients to those of the batches before; with the last of them take the means."""
        parameters = self.optimiser.parameters
        if not self._waiting:
            self._sums = [None] * len(parameters)
        self._waiting += 1
        for i, p in enumerate(parameters):
            if p.grad is not None:
                self._sums[i] = p.grad.copy() if self._sums[i] is None else self._sums[i] + p.grad
        if self._waiting < self.accumulate:
            return False
        self._waiting = 0
        for p, total in zip(parameters, self._sums, strict=True):
            p.grad = None if total is None else total / p.dtype.type(self.accumulate)
        return True

    def _placed(self, arguments: tuple, named: dict[str, Any]) -> tuple:
        """Arguments given by name, by place: as the loss would take them."""
        function = getattr(self.loss, "function", self.loss)
        try:
            bound = signature(function).bind(*arguments, **named)
        except TypeError:
            raise wrong_call(function, arguments, named) from None
        if bound.kwargs:
            raise CallError(f"a step cannot give {', '.join(bound.kwargs)} to its loss by name: take it by place")
        return bound.args

    def _clipped(self) -> float:
        parameters = self.optimiser.parameters
        if self.clip_element is None:
            return clip_global_norm(parameters, self.clip) if self.clip else global_norm(parameters)
        norm = global_norm(parameters)
        if isfinite(norm):
            clip_elements(parameters, self.clip_element)
            if self.clip:
                clip_global_norm(parameters, self.clip)
        return norm

    def _met(self, recording: Any) -> None:
        """Another recording than before: which of the optimiser's parameters it reads. Raises TapeError
        where it reads one that has come since the first recording, and that the optimiser lacks."""
        learned = {id(p) for p in self.optimiser.parameters}
        trainable = [p for _, p in recording.parameters if p.trainable]
        strangers = [p for p in trainable if id(p) not in learned and id(p) not in self._first]
        if self._recording is not None and strangers:
            raise TapeError(
                f"the loss depends on another parameter than before, {strangers[0]!r}, which the optimiser does not "
                "have: it would not be trained. Make a new TrainingStep, its optimiser with model.parameters() of now"
            )
        self._first.update(id(p) for p in strangers)
        self._kept += strangers
        read = {id(p) for _, p in recording.parameters}
        self._unread = [p for p in self.optimiser.parameters if id(p) not in read]
        self._recording = recording

    def _diverged(self, what: str, arguments: tuple) -> Diverged:
        found = find_nonfinite(self.loss, *arguments)
        for p, value in zip(self.optimiser.parameters, self._good, strict=True):
            p.value[...] = value
        where = str(found) if found else "Run again node by node on the same weights and data, every number is finite"
        rate = self.optimiser.rate
        slower = f"Try a smaller rate than {rate:g}" + ("" if self.clip else ", or clip the gradient's norm")
        advice = unfit(getattr(self.loss, "function", None), arguments) or slower
        of = f" of {self.planned}" if self.planned else ""
        return Diverged(
            f"training stopped at step {self.steps + 1}{of}: {what}. The weights are the last good ones.\n"
            f"{where}\n{advice}",
            self.steps + 1,
            found,
        )
