"""Decoding: drawing, the likeliest symbol after symbol (greedy), and beam search. On values, outside of any graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import DataError, TinyseqError
from tinyseq.habits import advised
from tinyseq.tape import Tape
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.nesting import flatten, rebuild

# (state, symbols of the step before or None at the start) → (log-probabilities of the next symbol (N, V), new state)
Advance = Callable[[Any, np.ndarray | None], tuple[np.ndarray, Any]]


class Decoded(NamedTuple):
    """A decoded sequence, its log-probability, and whether it ended or was cut at the greatest length."""

    tokens: np.ndarray
    log_prob: float
    ended: bool


@advised
def gumbel(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """Noise e with P(e ≤ z) = exp(−e⁻ᶻ): argmax(o + e) is a draw from softmax(o) (Gumbel 1954)."""
    return rng.gumbel(size=shape).astype(dtype)


def state_values(state: Any) -> Any:
    """The arrays of a state of tensors."""
    leaves = flatten(state)
    return rebuild(state, [leaf.value for leaf in leaves])


def state_tensors(state: Any) -> Any:
    """Tensors on the current tape for a state of arrays."""
    return _map(state, tensor)


def state_rows(state: Any, rows: np.ndarray) -> Any:
    """Some rows of a state of arrays."""
    return _map(state, lambda array: array[rows])


def _map(tree: Any, function: Callable[[np.ndarray], Any]) -> Any:
    with Tape():
        leaves = [leaf.value for leaf in flatten(tree)]
    return rebuild(tree, [function(leaf) for leaf in leaves])


def greedy(advance: Advance, state: Any, count: int, end: int, max_length: int) -> list[Decoded]:
    """The likeliest symbol at each step, for ``count`` sequences at once, until the end symbol."""
    return search_step_by_step(advance, state, count, end, max_length, lambda log_p: log_p.argmax(axis=1))


def drawn(
    advance: Advance, state: Any, count: int, end: int, max_length: int, rng: np.random.Generator
) -> list[Decoded]:
    """Ancestral sampling: each symbol is drawn given those before it."""

    def choose(log_p: np.ndarray) -> np.ndarray:
        return (log_p + gumbel(rng, log_p.shape)).argmax(axis=1)

    return search_step_by_step(advance, state, count, end, max_length, choose)


def search_step_by_step(
    advance: Advance, state: Any, count: int, end: int, max_length: int, choose: Callable[[np.ndarray], np.ndarray]
) -> list[Decoded]:
    """One symbol after the other by ``choose``; sequences that have ended are run no further."""
    check_length(max_length)
    tokens: list[list[int]] = [[] for _ in range(count)]
    log_prob, ended = np.zeros(count), np.zeros(count, bool)
    alive, last = np.arange(count), None
    for _ in range(max_length + 1):
        log_p, state = advance(state, last)
        chosen = choose(log_p)
        log_prob_step = log_p[np.arange(len(alive)), chosen]
        goes_on = (chosen != end) & (np.array([len(tokens[i]) for i in alive]) < max_length)
        taken = goes_on | (chosen == end)
        log_prob[alive[taken]] += log_prob_step[taken]
        ended[alive[chosen == end]] = True
        for i, symbol in zip(alive[goes_on].tolist(), chosen[goes_on].tolist(), strict=True):
            tokens[i].append(symbol)
        if not goes_on.any():
            break
        kept = np.flatnonzero(goes_on)
        alive, last, state = alive[kept], chosen[kept], state_rows(state, kept)
    return [Decoded(np.array(s, np.int64), float(p), bool(e)) for s, p, e in zip(tokens, log_prob, ended, strict=True)]


@advised
def beam_search(
    advance: Advance, state: Any, width: int, end: int, max_length: int, *, length_penalty: float = 0.0
) -> list[Decoded]:
    """The likeliest sequences, best first, keeping the ``width`` best beginnings of each length.

    ``length_penalty`` α orders what has ended by log p / ((5 + n)/6)^α, n symbols with the end (Wu et al. 2016): at 0
    the likeliest is first, above it longer ones win.

    The state is that of one sequence (one row). With a width of at least V^max_length the search is exhaustive.
    Where no sequence ends within ``max_length`` symbols, the beginnings of that length are returned.
    """
    check_length(max_length)
    if isinstance(width, bool) or not isinstance(width, (int, np.integer)) or width < 1:
        raise TinyseqError(f"the width of a beam is a whole number of at least 1, got {width!r}")
    if (
        isinstance(length_penalty, bool)
        or not isinstance(length_penalty, (int, float))
        or not 0 <= length_penalty < 100
    ):
        raise TinyseqError(f"length_penalty is a number from 0, got {length_penalty!r}")
    prefixes, scores, last = np.zeros((1, 0), np.int64), np.zeros(1), None
    done: list[Decoded] = []
    for length in range(max_length + 1):
        log_p, state = advance(state, last)
        total = scores[:, None] + log_p
        done += [Decoded(p, float(s), True) for p, s in zip(prefixes, total[:, end], strict=True)]
        done = sorted(done, key=lambda d: -d.log_prob / _longer(len(d.tokens) + 1, length_penalty))[:width]
        if length == max_length or (len(done) == width and _none_better(done[-1], scores, max_length, length_penalty)):
            break
        going = total.copy()
        going[:, end] = -np.inf
        best = np.argsort(-going, axis=None, kind="stable")[:width]
        best = best[np.isfinite(going.ravel()[best])]
        rows, symbols = np.unravel_index(best, going.shape)
        prefixes = np.concatenate([prefixes[rows], symbols[:, None]], axis=1)
        scores, last, state = going.ravel()[best], symbols, state_rows(state, rows)
    cut = [] if done else [Decoded(p, float(s), False) for p, s in zip(prefixes, scores, strict=True)]
    return done + sorted(cut, key=lambda d: -d.log_prob)


def _longer(n: int, penalty: float) -> float:
    return ((5 + n) / 6) ** penalty


def _none_better(worst: Decoded, scores: np.ndarray, max_length: int, penalty: float) -> bool:
    """Whether no beginning can end better than the worst that is kept: its log p only falls, its length may grow."""
    return worst.log_prob / _longer(len(worst.tokens) + 1, penalty) >= scores.max() / _longer(max_length + 1, penalty)


def check_length(max_length: Any) -> None:
    """A greatest length is a whole number from 1."""
    if isinstance(max_length, bool) or not isinstance(max_length, (int, np.integer)) or max_length < 1:
        raise TinyseqError(f"max_length must be a whole number of at least 1, got {max_length!r}")


def whole(decoded: list[Decoded], max_length: int, cut: bool) -> list[np.ndarray]:
    """The sequences; an error where one was cut, unless that is wanted."""
    for i, d in enumerate(decoded):
        if not d.ended and not cut:
            raise DataError(
                f"sequence {i} had not ended after max_length = {max_length} symbols; "
                "give a greater max_length, or cut=True to have such sequences cut off"
            )
    return [d.tokens for d in decoded]
