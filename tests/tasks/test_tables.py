"""Tables: probabilities of all strings, parameter counts, and what each order can know."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks.tables import Table


def strings(k: int, T: int) -> np.ndarray:
    return np.array(list(itertools.product(range(k), repeat=T))).T


@pytest.mark.parametrize("order", [None, 0, 1, 2])
def test_probabilities_sum_to_one(rng: np.random.Generator, order: int | None) -> None:
    table = Table(3, 4, order, smoothing=0.5).fit(rng.integers(0, 3, (4, 20)))
    assert np.exp(table.log_prob(strings(3, 4))).sum() == pytest.approx(1, abs=1e-12)


def test_the_full_table_is_the_frequencies(rng: np.random.Generator) -> None:
    y = rng.integers(0, 2, (3, 50))
    p = np.exp(Table(2, 3).fit(y).log_prob(strings(2, 3)))
    for probability, string in zip(p, strings(2, 3).T, strict=True):
        assert probability == pytest.approx((string == y.T).all(1).mean(), abs=1e-12)


def test_counts_of_parameters() -> None:
    assert Table(4, 5).size == 4**5 - 1
    assert [Table(4, 5, n).size for n in range(3)] == [3, 3 + 12, 3 + 12 + 48]
    assert Table(4, 500, 2).size == Table(4, 5, 2).size


def test_samples_have_the_tables_frequencies(rng: np.random.Generator) -> None:
    table = Table(2, 3, 1, smoothing=1.0).fit(rng.integers(0, 2, (3, 7)))
    drawn = table.sample(np.random.default_rng(2), 40_000)
    seen = [(s == drawn.T).all(1).mean() for s in strings(2, 3).T]
    np.testing.assert_allclose(seen, np.exp(table.log_prob(strings(2, 3))), atol=0.01)


def test_bad_input(rng: np.random.Generator) -> None:
    for message, act in {
        "that is why there are recurrent nets": lambda: Table(10, 20),
        r"\(τ, B\) = \(3, B\), got int64 \(4, 2\)": lambda: Table(2, 3).fit(np.zeros((4, 2), int)),
        "symbols are 0 to 1, got 0 to 2": lambda: Table(2, 3).fit(np.array([[0], [1], [2]])),
        "None or a whole number": lambda: Table(2, 3, -1),
    }.items():
        with pytest.raises(ts.TinyseqError, match=message):
            act()
