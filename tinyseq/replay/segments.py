"""Gradient checkpointing in time: the memory of √T steps, the same gradients, one forward pass more.

For ``f(*sequences, state) -> (loss, state)`` with a loss that is a sum over steps, the sequence is cut into segments of
k steps. The forward pass keeps the states between segments; the backward pass runs each segment again, last one first:

    λ(n) = 0,   λ(i) = ∂/∂s(i) [ L_i + ⟨λ(i+1), s(i+1)⟩ ],   ∂L/∂θ = Σ_i ∂/∂θ [ L_i + ⟨λ(i+1), s(i+1)⟩ ]

One segment is recorded, whatever T is, and run again and again (Griewank 1992; Chen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import GradientError, ShapeError, TinyseqError
from tinyseq.functions import sum as total_of
from tinyseq.replay.function import CompiledFunction
from tinyseq.replay.recordings import signature
from tinyseq.tensor.nesting import flatten, matched, rebuild
from tinyseq.tensor.parameter import Parameter
from tinyseq.tensor.source_lines import internal

internal(__file__)


def leaves(state: Any) -> list[np.ndarray]:
    """The arrays of a state, in the order of ``flatten``."""
    if state is None:
        return []
    if isinstance(state, (tuple, list)):
        return [leaf for branch in state for leaf in leaves(branch)]
    if isinstance(state, dict):
        return [leaf for branch in state.values() for leaf in leaves(branch)]
    array = plain(state, "a state")
    if array.dtype.kind != "f":
        raise TinyseqError(f"a state carried from segment to segment is of floating-point arrays, got {array.dtype}")
    return [array]


def links(state: Any) -> list[Parameter]:
    """A parameter for each array of a state, so that its gradient can be asked for."""
    return [Parameter(np.array(leaf), f"state {i}") for i, leaf in enumerate(leaves(state))]


class Segmented:
    """A compiled function that runs segment after segment; ``f(...)`` and ``f.backward(...)`` give (loss, state)."""

    def __init__(self, function: Callable[..., Any], k: bool | int = True) -> None:
        if not isinstance(k, (bool, int, np.integer)) or k < 1:
            raise TinyseqError(f"checkpoint is True (segments of √T steps) or a number of steps, got {k!r}")
        self.function, self.k = function, k
        self.__doc__, self.__name__ = function.__doc__, getattr(function, "__name__", "segmented")
        self._plain = CompiledFunction(self._checked)
        self._first = CompiledFunction(self._seeded)
        self._next: dict[Any, tuple[list[Parameter], CompiledFunction]] = {}
        self._known: set[Any] = set()

    def __call__(self, *arguments: Any) -> Any:
        sequences, state, parts = self._begin(arguments)
        total, dtype = 0.0, np.dtype(np.float32)
        for part in parts:
            loss, state = self._plain(*_cut(sequences, part), state)
            total, dtype = total + float(loss), loss.dtype
        return dtype.type(total), state

    def backward(self, *arguments: Any) -> Any:
        """(loss, final state), with the gradients of the loss set on the parameters."""
        sequences, state, parts = self._begin(arguments)
        states = [state]
        for part in parts[:-1]:
            states.append(self._plain(*_cut(sequences, part), states[-1])[1])
        total, final = 0.0, None
        seeds: Any = None
        sums: dict[Any, Any] = {}
        for i in range(len(parts) - 1, -1, -1):
            given = _cut(sequences, parts[i])
            if seeds is None:  # of what nobody reads after the last step
                seeds = (None,) * len(leaves(states[-1] if len(parts) > 1 else self._plain(*given, states[i])[1]))
            known: list[Parameter] = []
            if i == 0:
                run, arguments_ = self._first, (*given, states[0], seeds)
            else:
                known, run = self._linked(states[i])
                for parameter, leaf in zip(known, leaves(states[i]), strict=True):
                    parameter.value = leaf
                arguments_ = (*given, seeds)
            _, loss, state = run.backward(*arguments_)
            total += float(loss)
            final = (loss.dtype, state) if final is None else final
            for p in run.tape(*arguments_).parameters:
                if p.grad is not None and not any(p is q for q in known):
                    held = sums.setdefault(id(p), (p, np.zeros(p.shape, np.float64)))
                    held[1][...] += p.grad
            seeds = tuple(None if q.grad is None else q.grad.copy() for q in known)
        for p, grad in sums.values():
            p.grad = grad.astype(p.dtype)
        assert final is not None
        return final[0].type(total), final[1]

    def _linked(self, state: Any) -> tuple[list[Parameter], CompiledFunction]:
        key = signature(state)
        if key not in self._next:
            known = links(state)

            def resumed(*arguments: Any) -> Any:
                return self._seeded(*arguments[:-1], rebuild(state, known), arguments[-1])

            self._next[key] = known, CompiledFunction(resumed)
        return self._next[key]

    def _checked(self, *arguments: Any) -> Any:
        result = self.function(*arguments)
        if not isinstance(result, tuple) or len(result) != 2 or getattr(result[0], "shape", None) != ():
            raise ShapeError(
                "with checkpoint, a function returns (loss, state): a scalar that is a sum over steps, and the state "
                f"after the last step; got {type(result).__name__}. Write return ts.sum(net.outputs), net.final"
            )
        return result

    def _seeded(self, *arguments: Any) -> Any:
        """L + Σ ⟨λ, s⟩, L, s; without the states that no gradient comes back to, which may hold NaN."""
        *given, seeds = arguments
        loss, state = self._checked(*given)
        total = loss
        for leaf, seed in zip(flatten(state), seeds, strict=True):
            if seed is not None:
                total = total + total_of(leaf * seed)
        return total, loss, state

    def _begin(self, arguments: tuple) -> tuple[list[Any], Any, list[slice]]:
        *sequences, state = arguments
        lengths = {len(a) for a in sequences if isinstance(a, np.ndarray) and a.ndim}
        if len(lengths) != 1:
            raise ShapeError(
                "with checkpoint, f(*sequences, state) takes sequences (T, …) of one length T, and the state last "
                f"(None for the cell's own); got lengths {sorted(lengths) or 'of no array at all'}"
            )
        T = lengths.pop()
        k = min(max(isqrt(T - 1) + 1, 1) if self.k is True else int(self.k), T)
        key = signature(tuple(arguments))
        if key not in self._known:
            self._is_a_sum(sequences, state, T)
            self._known.add(key)
        return sequences, state, [slice(start, min(start + k, T)) for start in range(0, T, k)]

    def _is_a_sum(self, sequences: list[Any], state: Any, T: int) -> None:
        """Two steps at once must give what they give one after the other, at the start and at the end."""
        for start in {0, T - 2} if T > 1 else ():
            both = self._plain(*_cut(sequences, slice(start, start + 2)), state)
            one, between = self._plain(*_cut(sequences, slice(start, start + 1)), state)
            other, after = self._plain(*_cut(sequences, slice(start + 1, start + 2)), between)
            tolerance = 1e3 * float(np.finfo(both[0].dtype).eps)
            apart, scale = abs(float(both[0]) - float(one) - float(other)), abs(float(one)) + abs(float(other))
            same = all(
                a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
                for a, b in zip(leaves(both[1]), leaves(matched(after, both[1], "the state")), strict=True)
            )
            if apart > tolerance * max(scale, 1e-3) or not same:
                what = f"the loss of two steps is {float(both[0]):.6g}, of each {float(one):.6g} and {float(other):.6g}"
                raise GradientError(
                    "checkpoint needs a loss that is a sum over steps and a state that carries all that later steps "
                    f"know; here {what if same else 'the state after two steps differs from that of one and one'}.\n"
                    "Return the sum rather than the mean, and divide outside; a net that reads backwards cannot be cut"
                )


def _cut(sequences: list[Any], part: slice) -> list[Any]:
    return [a[part] if isinstance(a, np.ndarray) and a.ndim else a for a in sequences]
