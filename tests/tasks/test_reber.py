"""Reber strings: their entropy and lengths against enumeration of the grammar."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError
from tinyseq.tasks import reber


def enumerated(depth: int) -> dict[str, float]:
    """All Reber strings of up to ``depth`` choices with their probabilities, by walking the grammar."""
    found, waiting = {}, [("B", 0, 1.0)]
    while waiting:
        string, state, p = waiting.pop()
        if state == reber.END:
            found[string + "E"] = p
        elif len(string) <= depth:
            waiting += [(string + s, n, p / 2) for s, n in reber.WAYS[state]]
    return found


def test_entropy_and_mean_length() -> None:
    strings = enumerated(30)
    p = np.array(list(strings.values()))
    assert p.sum() == pytest.approx(1, abs=1e-3)
    assert -(p * np.log2(p)).sum() == pytest.approx(reber.REBER_BITS, abs=0.02)
    assert sum(len(s) * q for s, q in strings.items()) == pytest.approx(8, abs=0.03)
    assert all(reber.is_reber(s) for s in strings)


def test_lengths() -> None:
    pmf = reber.length_pmf(120)
    assert pmf.sum() == pytest.approx(1, abs=1e-9)
    assert (pmf * np.arange(121)).sum() == pytest.approx(12, abs=1e-6)
    by_length = np.zeros(35)
    for s, p in enumerated(20).items():
        by_length[len(s) + 4] += p
    np.testing.assert_allclose(pmf[:22], by_length[:22], atol=1e-12)


def test_drawn_strings_are_legal_and_have_these_lengths() -> None:
    strings = reber.embedded_reber(np.random.default_rng(0), 20_000)
    assert all(reber.is_embedded_reber(s) for s in strings)
    lengths = np.bincount([len(s) for s in strings], minlength=40)[:40] / 20_000
    np.testing.assert_allclose(lengths, reber.length_pmf(39), atol=0.01)
    assert np.mean([s[1] == "T" for s in strings]) == pytest.approx(0.5, abs=0.01)
    assert reber.decode(reber.encode(strings[0])) == strings[0]


@pytest.mark.parametrize("string", ["", "BE", "BTXSE", "BTTXSETEX", "BTBTXSEPE", "BTBTXSETET", "BTBTXXETE"])
def test_what_the_grammar_does_not_make(string: str) -> None:
    assert not reber.is_embedded_reber(string)
    assert reber.is_embedded_reber("BTBTXSETE") and reber.is_embedded_reber("BPBPVVEPE")


def test_unknown_symbols() -> None:
    with pytest.raises(ts.TinyseqError, match="got 'Q'"):
        reber.encode("BQ")


def test_what_may_follow(rng: np.random.Generator) -> None:
    assert reber.may_follow("BTBTXSETE") == [
        {"T", "P"}, {"B"}, {"T", "P"}, {"S", "X"}, {"X", "S"}, {"E"}, {"T"}, {"E"}
    ]  # fmt: skip
    for string in reber.embedded_reber(rng, 300):
        allowed = reber.may_follow(string)
        assert len(allowed) == len(string) - 1
        assert all(symbol in legal for symbol, legal in zip(string[1:], allowed, strict=True))
    with pytest.raises(DataError, match="is no embedded Reber string"):
        reber.may_follow("BTBTXSEPE")
