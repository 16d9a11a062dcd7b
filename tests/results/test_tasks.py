"""What experiments make themselves: sums of digits read from the end, trees in words, what a batch of strings is."""

from __future__ import annotations

import numpy as np

from tinyseq.results.experiments.clipping import CONNECTED, RADIUS, UNITS, sparse_tanh
from tinyseq.results.experiments.density import MANY_PROFILES, Strings, letters
from tinyseq.results.experiments.nets_1997 import plain_tanh
from tinyseq.results.experiments.others import SIGN, sums
from tinyseq.results.experiments.trees import in_words
from tinyseq.structure.tree import Tree
from tinyseq.tasks import reber
from tinyseq.tasks.logic import INFERENCE_VOCABULARY
from tinyseq.tasks.trees import LISTOPS_VOCABULARY


def number(digits: np.ndarray) -> int:
    return int("".join(map(str, digits)))


def test_sums_are_read_from_the_end_and_written_from_the_front() -> None:
    x, y = sums(np.random.default_rng(0), 3, 500)
    assert x.shape == (7, 500) and y.shape == (4, 500) and (x[3] == SIGN).all()
    for column, total in zip(x.T, y.T, strict=True):
        a, b = number(column[:3:-1]), number(column[2::-1])
        assert a + b == number(total)
    assert x[:3].max() == x[4:].max() == 9 and y[0].max() == 1


def test_trees_in_words_are_read_back_as_they_were() -> None:
    words = {**{v: k for k, v in INFERENCE_VOCABULARY.items()}, 9: "(", 10: ")"}
    tree = Tree.from_nested((("not", "a"), ("and", ("b", ("or", "c")))))
    assert "".join(words[w] + " " for w in in_words(tree, INFERENCE_VOCABULARY)) == (
        "( ( not a ) ( and ( b ( or c ) ) ) ) "
    )
    listed = Tree.from_parents([-1, 0, 0, 2, 2], ["MAX", 3, "MIN", 7, 5])
    names = {**{v: k for k, v in LISTOPS_VOCABULARY.items()}, 14: "(", 15: ")"}
    assert [names[w] for w in in_words(listed, LISTOPS_VOCABULARY)] == ["(", "MAX", 3, "(", "MIN", 7, 5, ")", ")"]


def test_batches_of_strings_have_one_of_a_few_profiles_and_are_legal() -> None:
    strings = Strings(np.random.default_rng(0), count=2000, batch=8)
    seen = set()
    for _ in range(60):
        batch = strings.batch()
        seen.add(tuple(map(len, batch)))
        assert all(reber.is_embedded_reber(reber.decode(s)) for s in batch)
        assert letters(batch).tolist() == [int(reber.decode(s)[1] == "P") for s in batch]
    assert len(seen) <= 16 and seen <= {tuple(p) for p in strings.profiles}


def test_lengths_of_many_profiles_are_spread_as_the_grammars() -> None:
    """Coding lengths by their shares in the profiles costs bits: few where P(τ) is learned from many."""
    pmf = np.append(reber.length_pmf(30), 1 - reber.length_pmf(30).sum())[6:]

    def cost(profiles: int) -> float:
        strings = Strings(np.random.default_rng(1), profiles=profiles)
        lengths = np.minimum(np.concatenate(strings.profiles), 31) - 6
        shares = (np.bincount(lengths, minlength=len(pmf)) + 0.5) / (len(lengths) + 0.5 * len(pmf))
        seen = pmf > 0
        return float((pmf[seen] * np.log2(pmf[seen] / shares[seen])).sum())

    assert 0 < cost(MANY_PROFILES) < 0.003 < 0.01 < cost(16)


def test_the_sparse_start_and_the_control_are_as_the_papers_say() -> None:
    W = sparse_tanh(np.random.default_rng(0)).encoder.a.W.value
    assert ((W != 0).sum(axis=1) == CONNECTED).all() and W.shape == (UNITS, UNITS)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(W)).max(), RADIUS, rtol=1e-4)
    assert plain_tanh(np.random.default_rng(0), 2, 2, 1).cell.hidden_size == 8
