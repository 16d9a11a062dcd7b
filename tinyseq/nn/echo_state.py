"""Echo state networks, section 10.8: only the readout of a fixed reservoir is learned, in closed form or online."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import generator, positive
from tinyseq.errors import DataError, ShapeError, TinyseqError
from tinyseq.nn.echo_sequences import (
    EchoState,
    check_washout,
    checked,
    lengths,
    like_given,
    listed,
    one_by_one,
    part_of,
)
from tinyseq.nn.module import Module
from tinyseq.nn.reservoir import ACTIVATIONS, Reservoir
from tinyseq.nn.ridge import RecursiveLeastSquares, Ridge
from tinyseq.replay.compiling import compile as compiled
from tinyseq.structure.chain import Chain
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.chain import Unfolded
from tinyseq.unfolding.unfold import unfold


class EchoStateNetwork(Module):
    """A reservoir and its readout o(t) = c + V h(t), the only part that is learned.

        net = nn.EchoStateNetwork(nn.Reservoir(1, 300, rng=rng, leak=0.3), output_size=1, ridge=1e-6)
        net.fit(x, y, washout=100).predict(x)

    Sequences are (T, B, F), or lists of arrays (T, F) of different lengths. ``ridge`` is λ of ‖V‖²; ``method`` says how
    it is solved (``nn.Ridge``). ``direct`` lets the readout see x(t), and y(t−1) where outputs are fed back, beside h.
    With ``output_activation="tanh"``, o = tanh(c + V h): fitted as arctanh y, for targets between −1 and 1, so that a
    free run stays within ±1.

    Outputs are fed back where the reservoir has a ``feedback_size``: while fitting, y(t−1) is the target (teacher
    forcing), afterwards the output. A net without feedback whose outputs are like its inputs runs freely by reading
    its last output as its next input.
    """

    name = "echo state network"

    def __init__(
        self,
        reservoir: Reservoir,
        output_size: int,
        *,
        ridge: float = 1e-6,
        method: str = "normal",
        direct: bool = False,
        output_activation: str = "linear",
    ) -> None:
        if output_activation not in ACTIVATIONS:
            raise TinyseqError(f"output_activation is 'linear' or 'tanh', got {output_activation!r}")
        if not isinstance(reservoir, Reservoir):
            raise TinyseqError(f"expected an nn.Reservoir, got {type(reservoir).__name__}")
        positive(output_size=output_size)
        if reservoir.feedback_size not in (0, output_size):
            raise ShapeError(
                f"{output_size} outputs cannot be fed back to a feedback_size of {reservoir.feedback_size}"
            )
        self.reservoir, self.output_size, self.direct = reservoir, int(output_size), bool(direct)
        self.output_activation = output_activation
        self.input_size, self.hidden_size = reservoir.input_size, reservoir.hidden_size
        self.dtype = dtype = reservoir.dtype
        self.V = Parameter(np.zeros((output_size, self.hidden_size), dtype), "V")
        self.c = Parameter(np.zeros(output_size, dtype), "c")
        sees_x, sees_y = direct and self.input_size > 0, direct and self.feeds_back
        self.V_x = Parameter(np.zeros((output_size, self.input_size), dtype), "V_x") if sees_x else None
        self.V_y = Parameter(np.zeros((output_size, output_size), dtype), "V_y") if sees_y else None
        self._options = (sum(p.shape[1] for p in self._weights()), self.output_size, ridge, method)
        self._ridge = Ridge(*self._options)
        self._online: RecursiveLeastSquares | None = None
        self.fitted = False
        self._compile()

    def _compile(self) -> None:
        """Record anew; done again where W got other places since."""
        self._recorded = self.reservoir.places
        self._run_states, self._run_outputs = compiled(self._states), compiled(self._outputs)
        self._run_freely = compiled(self._freely)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: all but the recordings, which are made anew."""
        recorded = ("_run_states", "_run_outputs", "_run_freely", "_recorded")
        return {name: value for name, value in vars(self).items() if name not in recorded}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._compile()

    @property
    def feeds_back(self) -> bool:
        """Whether outputs are fed back into the reservoir."""
        return self.reservoir.feedback_size > 0

    # -- the graph ------------------------------------------------------------------------------------------------
    def step(self, *inputs_and_state: Any) -> tuple[Any, Tensor]:
        """One step on its own outputs: x(t) (if there is one), and h(t−1), or (h(t−1), y(t−1)) where y is read."""
        *x, state = inputs_and_state
        h, y = state if isinstance(state, tuple) else (state, None)
        given = x[0] if x else None if self.feeds_back else y
        h, _ = self.reservoir.step(given, h, y if self.feeds_back else None)
        o = self.output(given, h, y)
        return ((h, o), o) if isinstance(state, tuple) else (h, o)

    def output(self, x: Tensor | None, h: Tensor, y: Tensor | None) -> Tensor:
        """c + V h (+ V_x x + V_y y), or its tanh."""
        o = self.c + F.linear(h, self.V)
        o = o if self.V_x is None else o + F.linear(x, self.V_x)
        o = o if self.V_y is None else o + F.linear(y, self.V_y)
        return (F.tanh(o) if self.output_activation == "tanh" else o).named("o")

    def initial_state(self, batch: int) -> Any:
        """h(0), or (h(0), y(0)) where outputs are fed back: zeros."""
        h = self.reservoir.initial_state(batch)
        return (h, F.zeros((batch, self.output_size), self.dtype).named("o")) if self.feeds_back else h

    def _forced(self, x: Any, y: Any, noise: Any, h: Any) -> Unfolded:
        """The reservoir alone over x(t), given y(t−1) and noise ν(t), each a sequence or None."""
        given = [k for k, sequence in enumerate((x, y, noise)) if sequence is not None]
        sequences = tuple(a for a in (x, y, noise) if a is not None)

        def step(*arguments: Any) -> tuple[Tensor, Tensor]:
            *parts, h = arguments
            at: list[Any] = [None, None, None]
            for k, part in zip(given, parts, strict=True):
                at[k] = part
            return self.reservoir.step(at[0], h, at[1], at[2])

        return unfold(step, Chain(sequences[0].shape[0]), sequences, h, name=self.reservoir.name)

    def _states(self, x: Any, y: Any, noise: Any, h: Any) -> tuple[Tensor, Tensor]:
        unfolded = self._forced(x, y, noise, h)
        return unfolded.outputs, unfolded.final

    def _outputs(self, x: Any, y: Any, h: Any) -> tuple[Tensor, Tensor]:
        unfolded = self._forced(x, y, None, h)
        return self.output(x, unfolded.outputs, y), unfolded.final

    def _freely(self, x: Any, steps: int, h: Any, y: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        unfolded = unfold(self.step, Chain(steps), () if x is None else x, (h, y), name=self.name)
        return unfolded.outputs, unfolded.final

    # -- running --------------------------------------------------------------------------------------------------
    def run(self, x: Any, y: Any = None, state: Any = None, *, noise: float = 0.0, rng: Any = None) -> tuple[Any, Any]:
        """The states h (T, B, hidden) under x, with teacher y where outputs are fed back, and the state at the end.

        ``noise`` adds ν(t) ~ U[−noise, noise] to what the units sum, drawn from ``rng``. Of lists: lists of both.
        """
        if listed(x, y):
            found = [self.run(*one, noise=noise, rng=rng) for one in one_by_one(x, y, state)]
            return like_given([h for h, _ in found], x, y), [end for _, end in found]
        x, y, state = checked(self, x, y, state, teacher=True)
        pieces, end = [], state
        for _, h, end in self._segments(x, y, state, noise, rng):  # noqa: B007
            pieces.append(h)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces), end

    def warm_up(self, x: Any, y: Any = None, state: Any = None) -> Any:
        """The state after x, under teacher y where outputs are fed back; else with its own last output: where
        ``free_run`` goes on. Of lists: a list."""
        if listed(x, y):
            return [self.warm_up(*one) for one in one_by_one(x, y, state)]
        x, y, state = checked(self, x, y, state, teacher=True)
        if self.feeds_back:
            end = state
            for _, _, end in self._segments(x, y, state, 0.0, None):  # noqa: B007
                pass
            return end
        return self._predicted(x, y, state)[1]

    def predict(self, x: Any, y: Any = None, state: Any = None) -> Any:
        """The outputs o (T, B, output). Where outputs are fed back: under teacher y if it is given, else on its own.

        Of lists, a list.
        """
        if listed(x, y):
            return like_given([self.predict(*one) for one in one_by_one(x, y, state)], x, y)
        if self.feeds_back and y is None:
            x, _, state = checked(self, x, None, state, teacher=False)
            return self._free(x, len(x), state)
        x, y, state = checked(self, x, y, state, teacher=True)
        return self._predicted(x, y, state)[0]

    def free_run(self, steps: int, state: EchoState) -> np.ndarray:
        """``steps`` outputs (steps, B, output) after a state, each made from the one before."""
        positive(steps=steps)
        if not isinstance(state, EchoState):
            raise TinyseqError("a free run goes on from a state: write net.free_run(steps, net.warm_up(x, y))")
        if self.feeds_back and self.input_size:
            raise TinyseqError("this net reads an input beside its fed-back outputs: write net.predict(x, state=state)")
        if not self.feeds_back and self.input_size != self.output_size:
            raise TinyseqError(
                f"a net that runs freely reads its outputs as inputs, but it has {self.output_size} outputs and "
                f"{self.input_size} inputs; give the reservoir a feedback_size"
            )
        return self._free(None, steps, state)

    def _free(self, x: np.ndarray | None, steps: int, state: EchoState) -> np.ndarray:
        self._known()
        self._follow()
        (h, y), outputs, first = state, [], 0
        for length in lengths(steps):
            part = None if x is None else x[first : first + length]
            o, (h, y) = self._run_freely(part, length, h, y)
            outputs.append(o)
            first += length
        return np.concatenate(outputs)

    def _predicted(self, x: Any, y: Any, state: EchoState) -> tuple[np.ndarray, EchoState]:
        self._known()
        outputs = []
        for part, before, h in self._parts(x, y, state):
            o, state_h = self._run_outputs(part_of(x, part), before, h[0])
            h[0] = state_h
            outputs.append(o)
            state = EchoState(state_h, o[-1] if y is None else y[part][-1].copy())
        return np.concatenate(outputs), state

    def _segments(self, x: Any, y: Any, state: EchoState, noise: float, rng: Any) -> Iterator[Any]:
        """(steps, states, state at the end) of one segment after the other."""
        if noise:
            generator(rng)
        for part, before, h in self._parts(x, y, state):
            shape = (part.stop - part.start, *h[0].shape)
            nu = rng.uniform(-noise, noise, shape).astype(self.dtype) if noise else None
            states, h[0] = self._run_states(part_of(x, part), before, nu, h[0])
            yield part, states, EchoState(h[0], state.y if y is None else y[part][-1].copy())

    def _parts(self, x: Any, y: Any, state: EchoState) -> Iterator[tuple[slice, np.ndarray | None, list[np.ndarray]]]:
        """(steps, y(t−1) of these, [h before them]); who reads a part puts the h after it into the list."""
        self._follow()
        first, h = 0, [state.h]
        before = None if y is None or not self.feeds_back else np.concatenate([state.y[None], y[:-1]])
        for length in lengths(len(x if x is not None else y)):
            part = slice(first, first + length)
            yield part, part_of(before, part), h
            first += length

    # -- learning -------------------------------------------------------------------------------------------------
    def fit(self, x: Any, y: Any, washout: int = 0, *, noise: float = 0.0, rng: Any = None) -> EchoStateNetwork:
        """Ridge regression of y on the states under x, the first ``washout`` steps of each sequence left out.

        x (T, B, input) (or None for a reservoir without input) and y (T, B, output), or lists of arrays (T, F).
        """
        self._ridge = Ridge(*self._options)
        for one, target, _ in one_by_one(x, y, None) if listed(x, y) else [(x, y, None)]:
            self.accumulate(one, target, washout, noise=noise, rng=rng)
        return self.solve()

    def accumulate(
        self,
        x: Any,
        y: Any,
        washout: int = 0,
        state: EchoState | None = None,
        *,
        noise: float = 0.0,
        rng: Any = None,
    ) -> EchoState:
        """Add a stretch of any length to what ``solve`` fits, in memory that does not grow; returns the end state."""
        x, y, state = checked(self, x, y, state, teacher=True, target=True)
        check_washout(washout, len(y))
        targets, end = self._targets(y), state
        for part, z, end in self._features(x, y, state, washout, noise, rng):  # noqa: B007
            self._ridge.add(z, targets[part].reshape(-1, self.output_size))
        return end

    def solve(self) -> EchoStateNetwork:
        """Set V and c from all that was accumulated."""
        self._set(*self._ridge.solve())
        return self

    def learn(
        self,
        x: Any,
        y: Any,
        washout: int = 0,
        state: Any = None,
        *,
        forgetting: float = 1.0,
        delta: float = 1e-6,
    ) -> tuple[Any, Any]:
        """Learn online, step by step, by recursive least squares; goes on where an earlier call stopped.

        Returns what was predicted of each step after the washout before it was learned, (T − washout, B, output), and
        the state after the last. Of lists, which are learned one after the other: lists of both.
        """
        if listed(x, y):
            parts = [
                self.learn(a, b, washout, s, forgetting=forgetting, delta=delta) for a, b, s in one_by_one(x, y, state)
            ]
            return like_given([told for told, _ in parts], x, y), [end for _, end in parts]
        x, y, state = checked(self, x, y, state, teacher=True, target=True)
        check_washout(washout, len(y))
        size = self._options[:2]
        if self._online is None or (self._online.forgetting, self._online.delta) != (forgetting, delta):
            self._online = RecursiveLeastSquares(*size, forgetting, delta)
        targets, predicted, end = self._targets(y), [], state
        for part, z, end in self._features(x, y, state, washout, 0.0, None):  # noqa: B007
            predicted.append(self._online.update(z, targets[part].reshape(-1, self.output_size)))
        self._set(self._online.V, self._online.c)
        told = np.concatenate(predicted).reshape(-1, *y.shape[1:])
        return (np.tanh(told) if self.output_activation == "tanh" else told).astype(self.dtype), end

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """What c + V h is fitted to: y, or arctanh y."""
        if self.output_activation == "linear":
            return y
        if not (np.abs(y) < 1).all():
            raise DataError(
                f"a tanh output has targets between −1 and 1, got {y.min():g} to {y.max():g}: scale y, or leave "
                "output_activation out"
            )
        return np.arctanh(y.astype(np.float64))

    def _features(self, x: Any, y: Any, state: EchoState, washout: int, noise: float, rng: Any) -> Iterator[Any]:
        """(steps, rows that the readout sees at them, state at the end) after the washout."""
        last = state.y
        for part, h, end in self._segments(x, y, state, noise, rng):
            seen = [h]
            if self.V_x is not None:
                seen.append(x[part])
            if self.V_y is not None:
                seen.append(np.concatenate([last[None], y[part][:-1]]))
            last = y[part][-1]
            skip = min(max(washout - part.start, 0), len(h))
            if skip < len(h):
                rows = seen[0] if len(seen) == 1 else np.concatenate(seen, axis=2)
                yield slice(part.start + skip, part.stop), rows[skip:].reshape(-1, rows.shape[2]), end

    def _weights(self) -> list[Parameter]:
        """The readout's weights in the order of the features."""
        return [p for p in (self.V, self.V_x, self.V_y) if p is not None]

    def _set(self, V: np.ndarray, c: np.ndarray) -> None:
        weights = self._weights()
        parts = np.split(V, np.cumsum([p.shape[1] for p in weights])[:-1], axis=1)
        for parameter, value in zip([*weights, self.c], [*parts, c], strict=True):
            parameter.value[...] = value
        self.fitted = True

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Set all parameters, and the places of the elements of a sparse W."""
        super().load_state_dict(state)
        self.fitted = True

    def _follow(self) -> None:
        if self._recorded is not self.reservoir.places:
            self._compile()

    def _known(self) -> None:
        if not self.fitted:
            raise TinyseqError("this net's readout has not been fitted: write net.fit(x, y, washout=100) first")
