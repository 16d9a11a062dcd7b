"""Markov baselines against entropies worked out by hand and a plain-dictionary twin."""

from collections import Counter, defaultdict
from itertools import product
from math import log2

import numpy as np
import pytest

from tinyseq.errors import DataError, TinyseqError
from tinyseq.tasks import Markov, Vocabulary


def twin(train, held_out, context, V, order):
    """Witten–Bell by dictionaries, one token at a time."""
    after = defaultdict(Counter)
    for k in range(order + 1):
        for i in range(k, len(train)):
            after[tuple(train[i - k : i])][train[i]] += 1

    def p(x, c):
        lower = p(x, c[1:]) if c else 1 / V
        seen = after[c]
        n, d = sum(seen.values()), len(seen)
        return (seen[x] + d * lower) / (n + d) if n else lower

    text = [*context[len(context) - order :], *held_out]
    return [p(text[i], tuple(text[i - order : i])) for i in range(order, len(text))]


def test_order_0_by_hand():
    # aab: n(a) = 2, n(b) = 1, two kinds, V = 3: p(a) = (2 + 2/3)/5 = 8/15, p(b) = 1/3, p(c) = 2/15
    tokens = Vocabulary("abc").encode("aab")
    chain = Markov(tokens, 3, 0)
    np.testing.assert_allclose(chain.probabilities(np.array([0, 1, 2]), tokens), [8 / 15, 5 / 15, 2 / 15], rtol=1e-15)
    expected = -(log2(8 / 15) + log2(1 / 3) + log2(2 / 15)) / 3
    assert chain.bits_per_token(np.array([0, 1, 2]), tokens) == pytest.approx(expected, rel=1e-15)


def test_order_1_by_hand():
    # abab: order 0 has n(a) = n(b) = 2 of 4, two kinds: p₀ = (2 + 2·½)/6 = ½ each.
    # after a: b twice, one kind: p(b|a) = (2 + ½)/3 = 5/6; after b: a once: p(a|b) = (1 + ½)/2 = 3/4
    chain = Markov(np.array([0, 1, 0, 1]), 2, 1)
    np.testing.assert_allclose(
        chain.probabilities(np.array([1, 0, 0]), np.array([0])), [5 / 6, 3 / 4, 1 / 6], rtol=1e-15
    )


def test_entropy_of_a_fair_coin_is_one_bit_at_every_order():
    coin = np.random.default_rng(0).integers(0, 2, 200_000)
    for order in range(3):
        assert Markov(coin[:100_000], 2, order).bits_per_token(coin[100_000:], coin[:100_000]) == pytest.approx(
            1, abs=1e-3
        )


def test_entropy_rate_of_a_known_chain():
    # stay with 0.9: H = −.9 log₂ .9 − .1 log₂ .1 from order 1 on, 1 bit at order 0
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.random(300_000) < 0.1) % 2
    train, test = walk[:200_000], walk[200_000:]
    entropy = -(0.9 * log2(0.9) + 0.1 * log2(0.1))
    assert Markov(train, 2, 0).bits_per_token(test, train) == pytest.approx(1.0, abs=0.01)
    assert Markov(train, 2, 1).bits_per_token(test, train) == pytest.approx(entropy, abs=0.01)
    assert Markov(train, 2, 2).bits_per_token(test, train) == pytest.approx(entropy, abs=0.01)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_agrees_with_dictionaries_with_unseen_contexts_and_letters(order):
    rng = np.random.default_rng(order)
    train, held_out = rng.integers(0, 4, 60), rng.integers(0, 6, 80)  # letters 4 and 5 were never trained on
    ours = Markov(train, 6, order).probabilities(held_out, train)
    np.testing.assert_allclose(ours, twin(train.tolist(), held_out.tolist(), train.tolist(), 6, order), rtol=1e-14)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_probabilities_of_all_letters_add_up_to_one(order):
    chain = Markov(np.random.default_rng(0).integers(0, 3, 40), 5, order)
    for context in product(range(5), repeat=order):
        total = sum(chain.probabilities(np.array([x]), np.array(context, np.int64))[0] for x in range(5))
        assert total == pytest.approx(1.0, rel=1e-14)


def test_a_large_alphabet_needs_no_table_of_all_contexts():
    tokens = np.random.default_rng(0).integers(0, 50_000, 3_000)
    assert Markov(tokens, 50_000, 2).bits_per_token(tokens, tokens) < log2(50_000)


def test_bad_arguments():
    with pytest.raises(TinyseqError, match="order of a Markov chain is a whole number from 0, got -1"):
        Markov(np.zeros(3, np.int64), 2, -1)
    with pytest.raises(DataError, match="needs more than 2 characters, got 2"):
        Markov(np.zeros(2, np.int64), 2, 2)
    with pytest.raises(DataError, match="tokens must be 0 to 1, got 0 to 2"):
        Markov(np.array([0, 2]), 2, 0)
    with pytest.raises(DataError, match="needs 1 characters of context"):
        Markov(np.zeros(3, np.int64), 2, 1).probabilities(np.array([0]), np.array([], np.int64))
    with pytest.raises(DataError, match="no characters to predict"):
        Markov(np.zeros(3, np.int64), 2, 0).bits_per_token(np.array([], np.int64), np.array([0]))
    with pytest.raises(TinyseqError, match="order 4 is too high"):
        Markov(np.zeros(9, np.int64), 50_000, 4)
