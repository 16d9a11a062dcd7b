"""Optimisers: SGD with momentum, RMSprop, Adam, as chapter 8 of the book writes them.

An optimiser moves its parameters into one flat vector (each ``value`` becomes a view of it) and holds its slots as
such vectors too, so that a step is one kernel. Its rule, ``update``, works in place, element by element, on contiguous
arrays of any shape: it serves parameters that were taken out of the vector, or lack a gradient, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from tinyseq.errors import DtypeError, GradientError, ShapeError, TinyseqError
from tinyseq.habits import advised, give_habits
from tinyseq.tensor.parameter import Parameter
from tinyseq.train import update_kernels
from tinyseq.train.flat_parameters import Flat
from tinyseq.train.place import PREFIX, Place


@advised
class Optimiser:
    """Base: checks its parameters, keeps their slots, counts steps. ``rate`` may be set between steps.

    ``place`` is where ``fit`` stands in its text, None before it has run.

    A parameter whose gradient is None (the loss does not depend on it) stays as it is; fixed ones are left out.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    weight_decay = 0.0  # λ: w ← (1 − ελ) w before each step, apart from the rule (Loshchilov and Hutter 2019)

    def __init__(self, parameters: Sequence[Parameter], rate: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise TinyseqError("no parameters to learn: give the optimiser model.parameters()")
        strangers = [p for p in self.parameters if not isinstance(p, Parameter)]
        if strangers:
            raise TinyseqError(
                f"an optimiser needs Parameters, got {type(strangers[0]).__name__}; write model.parameters()"
            )
        if len({id(p) for p in self.parameters}) != len(self.parameters):
            raise TinyseqError("a parameter was given twice; it would be updated twice at each step")
        self.parameters = [p for p in self.parameters if p.trainable]
        if not self.parameters:
            raise TinyseqError("all these parameters are fixed: an optimiser needs one without trainable=False")
        self.rate = positive_number("rate", rate)
        self.steps = 0
        self.place: Place | None = None
        self.state: dict[str, list[np.ndarray]] = {}
        self._lay_out()

    def _lay_out(self) -> None:
        """Move the parameters into one vector, where they are of one dtype, and make the slots beside it."""
        self._flat = Flat(self.parameters) if len({p.dtype for p in self.parameters}) == 1 else None
        self._vectors: list[np.ndarray] = []
        if self._flat is not None:
            self._vectors = [np.zeros_like(self._flat.values) for _ in self.slots]
            self.state = {slot: self._flat.split(v) for slot, v in zip(self.slots, self._vectors, strict=True)}
        else:
            self.state = {slot: [np.zeros_like(p.value) for p in self.parameters] for slot in self.slots}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the vectors, of which a copy's parameters would be no views."""
        return {name: value for name, value in vars(self).items() if name not in ("_flat", "_vectors")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Lay out vectors of its own, and put the slots' values there."""
        vars(self).update(state)
        slots = self.state
        self._lay_out()
        self._fill(slots)

    def _fill(self, slots: dict[str, list[np.ndarray]]) -> None:
        for slot, group in self.state.items():
            for array, value in zip(group, slots[slot], strict=True):
                array[...] = value

    def __repr__(self) -> str:
        settings = {k: v for k, v in vars(self).items() if isinstance(v, float) and not k.startswith("_")}
        names = ", ".join(p.name or "?" for p in self.parameters)
        told = names if len(names) <= 80 else f"{names[:80].rpartition(', ')[0]}, …"
        size = sum(p.value.size for p in self.parameters)
        return (
            f"{type(self).__name__}({', '.join(f'{k}={v:g}' for k, v in settings.items())}) of "
            f"{len(self.parameters)} parameters ({told}), {size:,} numbers; {self.steps} steps done"
        )

    def step(self) -> None:
        """Update all parameters from their gradients. Raises GradientError where there are none at all."""
        if not any(p.trainable for p in self.parameters):  # all were fixed since: they stay as they are
            return
        if all(p.grad is None for p in self.parameters if p.trainable):
            raise GradientError("no parameter has a gradient: run loss.backward() before optimiser.step()")
        self.steps += 1
        self._decay()
        if self._flat is not None and self._flat.whole():
            self.update(self._flat.values, self._flat.gather(), *self._vectors)
            return
        for i, p in enumerate(self.parameters):
            if p.grad is not None and p.trainable:
                self.update(p.value, p.grad, *[self.state[slot][i] for slot in self.slots])

    def _decay(self) -> None:
        """w ← (1 − ελ) w, for what has a gradient."""
        if self.weight_decay:
            for p in self.parameters:
                if p.grad is not None and p.trainable:
                    p.value *= p.dtype.type(1 - self.rate * self.weight_decay)

    def update(self, w: np.ndarray, g: np.ndarray, *state: np.ndarray) -> None:
        """Change ``w`` and its state in place. Subclasses define it."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the step count, of every slot, as ``slot.number``, and after ``fit`` of the place in the text."""
        place = self.place.arrays() if self.place is not None else {}
        return {"steps": np.array([self.steps], np.int64), **self._slots(), **place}

    def _slots(self) -> dict[str, np.ndarray]:
        return {f"{slot}.{i}": a.copy() for slot, group in self.state.items() for i, a in enumerate(group)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Set what ``state_dict`` gave. Raises TinyseqError, and changes nothing, where it does not fit."""
        place = Place.of({name: array for name, array in state.items() if name.startswith(PREFIX)})
        state = {name: array for name, array in state.items() if not name.startswith(PREFIX)}
        own = {"steps": np.array([self.steps], np.int64), **self._slots()}
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            raise TinyseqError(
                f"this state is of another optimiser than {type(self).__name__}: "
                f"missing {missing or 'nothing'}, unknown {unknown or 'nothing'}"
            )
        for name, array in own.items():
            if state[name].shape != array.shape:
                raise ShapeError(f"optimiser state {name} has shape {state[name].shape}, expected {array.shape}")
            if state[name].dtype != array.dtype:
                raise DtypeError(f"optimiser state {name} is {state[name].dtype}, expected {array.dtype}")
        self.steps, self.place = int(state["steps"][0]), place
        self._fill({slot: [state[f"{slot}.{i}"] for i in range(len(group))] for slot, group in self.state.items()})


give_habits(Optimiser, "Optimiser")


@advised
class SGD(Optimiser):
    """Stochastic gradient descent with momentum α (algorithm 8.2): v ← αv − εg, w ← w + v."""

    slots = ("velocity",)

    def __init__(self, parameters: Sequence[Parameter], rate: float = 0.1, momentum: float = 0.0) -> None:
        super().__init__(parameters, rate)
        self.momentum = fraction("momentum", momentum)

    def update(self, w: np.ndarray, g: np.ndarray, *state: np.ndarray) -> None:
        """v ← αv − εg, w ← w + v."""
        update_kernels.sgd(*[a.reshape(-1) for a in (w, g, *state)], self.rate, self.momentum)


@advised
class RMSprop(Optimiser):
    """RMSprop with decay ρ (algorithm 8.5): r ← ρr + (1−ρ) g⊙g, w ← w − ε g / √(δ + r)."""

    slots = ("square",)

    def __init__(
        self, parameters: Sequence[Parameter], rate: float = 1e-3, decay: float = 0.9, delta: float = 1e-6
    ) -> None:
        super().__init__(parameters, rate)
        self.decay = fraction("decay", decay)
        self.delta = positive_number("delta", delta)

    def update(self, w: np.ndarray, g: np.ndarray, *state: np.ndarray) -> None:
        """r ← ρr + (1−ρ) g⊙g, w ← w − ε g / √(δ + r)."""
        update_kernels.rmsprop(*[a.reshape(-1) for a in (w, g, *state)], self.rate, self.decay, self.delta)


@advised
class Adam(Optimiser):
    """Adam (algorithm 8.7; Kingma and Ba 2015).

    s ← ρ₁s + (1−ρ₁) g,  r ← ρ₂r + (1−ρ₂) g⊙g,  w ← w − ε ŝ / (√r̂ + δ)  with  ŝ = s/(1−ρ₁ᵗ),  r̂ = r/(1−ρ₂ᵗ).
    """

    slots = ("mean", "square")

    def __init__(
        self,
        parameters: Sequence[Parameter],
        rate: float = 1e-3,
        decay1: float = 0.9,
        decay2: float = 0.999,
        delta: float = 1e-8,
    ) -> None:
        super().__init__(parameters, rate)
        self.decay1, self.decay2 = fraction("decay1", decay1), fraction("decay2", decay2)
        self.delta = positive_number("delta", delta)

    def update(self, w: np.ndarray, g: np.ndarray, *state: np.ndarray) -> None:
        """One step of algorithm 8.7."""
        unbias1, unbias2 = 1 - self.decay1**self.steps, sqrt(1 - self.decay2**self.steps)
        flat = [a.reshape(-1) for a in (w, g, *state)]
        update_kernels.adam(*flat, self.rate / unbias1, self.decay1, self.decay2, unbias2, self.delta)


@advised
class AdamW(Adam):
    """Adam with weights that decay apart from the gradient (Loshchilov and Hutter 2019): w ← (1 − ελ) w, then Adam."""

    def __init__(
        self,
        parameters: Sequence[Parameter],
        rate: float = 1e-3,
        decay1: float = 0.9,
        decay2: float = 0.999,
        delta: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, rate, decay1, decay2, delta)
        self.weight_decay = number_from_0("weight_decay", weight_decay)


OPTIMISERS: dict[str, type[Optimiser]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}


def positive_number(name: str, value: float) -> float:
    """Check that a setting is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < float("inf"):
        raise TinyseqError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)


def number_from_0(name: str, value: float) -> float:
    """Check that a setting is a finite number, 0 or above."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < float("inf"):
        raise TinyseqError(f"{name} must be a finite number from 0, got {value!r}")
    return float(value)


def fraction(name: str, value: float) -> float:
    """Check that a setting lies in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
        raise TinyseqError(f"{name} must be at least 0 and below 1, got {value!r}")
    return float(value)
