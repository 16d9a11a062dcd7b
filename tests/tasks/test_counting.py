"""aⁿbⁿ and aⁿbⁿcⁿ: strings, predictions, entropy."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks import counting as task


def test_strings() -> None:
    assert task.counting_string(3) == "aaabbb" and task.counting_string(2, 3) == "aabbcc"
    assert [task.is_counting(s) for s in ("ab", "aabb", "", "aab", "abab", "ba", "aabbb")] == [True, True, *[False] * 5]
    assert task.is_counting("abc", 3) and not task.is_counting("aabbc", 3) and not task.is_counting("aaa", 3)


@pytest.mark.parametrize("letters", [2, 3])
def test_pairs_predict_the_next_symbol(letters: int, rng: np.random.Generator) -> None:
    xs, ys = task.counting(rng, 2000, 5, letters)
    sizes = []
    for x, y in zip(xs, ys, strict=True):
        text = "".join(task.SYMBOLS[i] for i in x)
        assert text[0] == "S" and task.is_counting(text[1:], letters)
        np.testing.assert_array_equal(y[:-1], x[1:])
        assert y[-1] == task.END
        sizes.append((len(x) - 1) // letters)
    np.testing.assert_allclose(np.bincount(sizes)[1:] / 2000, 0.2, atol=0.03)


def test_the_entropy_is_what_the_true_distribution_costs() -> None:
    """p(another a | n ≥ k a's so far) = (N − k)/N′ of the uniform n; b and the end are certain."""
    N, nats = 7, []
    for n in range(1, N + 1):
        p_more = [(N - k) / (N - k + 1) for k in range(1, n)]  # after k a's there is another one
        nats.append(-np.log(np.prod(p_more) / (N - n + 1)))
    assert np.mean(nats) == pytest.approx(task.counting_entropy(N), rel=1e-12)


def test_accepted() -> None:
    a, b, end = 0, 1, task.END
    assert task.accepted([a, b, a, b, end], 2) and task.accepted([a, a, b, b, end], 2)
    assert not task.accepted([a, b, a, b, b], 2)  # the end was missed
    assert not task.accepted([a, b, a, a, end], 2)  # a b was missed
    assert not task.accepted([b, b, a, b, end], 2)  # a string begins with a
    assert not task.accepted([a, b, end, b, end], 2)


def test_errors(rng: np.random.Generator) -> None:
    for message, act in {
        r"letters is 2 \(aⁿbⁿ\) or 3 \(aⁿbⁿcⁿ\), got 4": lambda: task.counting(rng, 2, 3, 4),
        r"largest must be a whole number": lambda: task.counting(rng, 2, 0),
        r"n = 2 has 5 predictions, one for each symbol of x; got \(4,\)": lambda: task.accepted([0, 0, 1, 1], 2),
        r"write rng=np.random.default_rng": lambda: task.counting(0, 2),  # type: ignore[arg-type]
    }.items():
        with pytest.raises(ts.TinyseqError, match=message):
            act()
