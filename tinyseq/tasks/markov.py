"""Markov chains over characters: the baselines a recurrent net must beat."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import DataError, TinyseqError
from tinyseq.habits import advised


@advised
class Markov:
    """p(x(t) | the k characters before), k = ``order``, estimated from a text.

    Interpolated Witten–Bell smoothing (Bell, Cleary and Witten 1990), which has nothing to tune:

        p_k(x | c) = (n(c, x) + d(c) p_{k−1}(x | c′)) / (n(c) + d(c)),   p_{−1} = 1/V

    with n(c, x) how often x followed the context c, n(c) = Σ_x n(c, x), d(c) the number of different characters that
    followed c, and c′ the context without its oldest character. A context never seen leaves p_{k−1}.
    """

    def __init__(self, tokens: np.ndarray, vocabulary_size: int, order: int) -> None:
        if not isinstance(order, (int, np.integer)) or order < 0:
            raise TinyseqError(f"the order of a Markov chain is a whole number from 0, got {order!r}")
        if vocabulary_size ** (order + 1) > np.iinfo(np.int64).max:
            raise TinyseqError(f"order {order} is too high for {vocabulary_size} characters; use a smaller order")
        self.order, self.vocabulary_size = int(order), int(vocabulary_size)
        tokens = _checked(tokens, vocabulary_size)
        if len(tokens) <= order:
            raise DataError(f"a Markov chain of order {order} needs more than {order} characters, got {len(tokens)}")
        self._levels = [_Counts(tokens, vocabulary_size, k) for k in range(self.order + 1)]

    def probabilities(self, tokens: np.ndarray, context: np.ndarray) -> np.ndarray:
        """p of each token given those before it, (n,) float64; ``context`` comes before the first."""
        if len(context) < self.order:
            raise DataError(f"a Markov chain of order {self.order} needs {self.order} characters of context")
        tail = np.asarray(context)[len(context) - self.order :]
        whole = _checked(np.concatenate([tail, tokens]), self.vocabulary_size)
        p = np.full(len(tokens), 1.0 / self.vocabulary_size)
        for k, level in enumerate(self._levels):
            contexts, following = _codes(whole[self.order - k :], self.vocabulary_size, k)
            n_pair, n_context, kinds = level.look_up(contexts, following)
            seen = n_context > 0
            p[seen] = (n_pair[seen] + kinds[seen] * p[seen]) / (n_context[seen] + kinds[seen])
        return p

    def bits_per_token(self, tokens: np.ndarray, context: np.ndarray) -> float:
        """−(1/n) Σ log₂ p: cross-entropy on a text in bits per character."""
        if not len(tokens):
            raise DataError("no characters to predict")
        return float(-np.log2(self.probabilities(tokens, context)).mean())


class _Counts:
    """How often each context and each pair of context and next character occurred, sparse."""

    def __init__(self, tokens: np.ndarray, size: int, order: int) -> None:
        contexts, following = _codes(tokens, size, order)
        self.size = size
        self.pairs, self.n_pairs = np.unique(contexts * size + following, return_counts=True)
        self.contexts, first, self.kinds = np.unique(self.pairs // size, return_index=True, return_counts=True)
        self.n_contexts = np.add.reduceat(self.n_pairs, first)

    def look_up(self, contexts: np.ndarray, following: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n(c, x), n(c) and d(c) for each pair asked for."""
        pair, known_pair = _find(self.pairs, contexts * self.size + following)
        place, known = _find(self.contexts, contexts)
        return (
            np.where(known_pair, self.n_pairs[pair], 0),
            np.where(known, self.n_contexts[place], 0),
            np.where(known, self.kinds[place], 0),
        )


def _find(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return place, table[place] == wanted


def _codes(tokens: np.ndarray, size: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """(context as one number in base ``size``, next token) for each place that has a full context."""
    n = len(tokens) - order
    contexts = np.zeros(n, np.int64)
    for k in range(order):
        contexts = contexts * size + tokens[k : k + n]
    return contexts, tokens[order:]


def _checked(tokens: np.ndarray, size: int) -> np.ndarray:
    tokens = np.asarray(tokens, np.int64)
    if len(tokens) and not (tokens.min() >= 0 and tokens.max() < size):
        raise DataError(f"tokens must be 0 to {size - 1}, got {tokens.min()} to {tokens.max()}")
    return tokens
