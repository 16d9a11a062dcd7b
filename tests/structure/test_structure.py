"""Chains as index arrays: packing, shrinking batches, reversal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyseq as ts
from tinyseq.errors import DataError, ShapeError

LENGTHS = [3, 5, 1, 5]


def test_packing_puts_the_longest_first_step_after_step() -> None:
    chain = ts.Chain(LENGTHS)
    sequences = [np.array([10 * i + t for t in range(n)]) for i, n in enumerate(LENGTHS)]
    assert chain.T == 5 and chain.order.tolist() == [1, 3, 0, 2]
    assert chain.batch_sizes.tolist() == [4, 3, 3, 2, 2]
    assert chain.pack(sequences).tolist() == [10, 30, 0, 20, 11, 31, 1, 12, 32, 2, 13, 33, 14, 34]


def test_a_reversed_chain_reads_each_sequence_from_its_own_end() -> None:
    chain = ts.Chain(LENGTHS).reversed()
    sequences = [np.array([10 * i + t for t in range(n)]) for i, n in enumerate(LENGTHS)]
    assert chain.pack(sequences).tolist() == [14, 34, 2, 20, 13, 33, 1, 12, 32, 0, 11, 31, 10, 30]
    assert chain.reversed().pack(sequences).tolist() == ts.Chain(LENGTHS).pack(sequences).tolist()


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.booleans())
def test_unpacking_undoes_packing(lengths: list[int], backwards: bool) -> None:
    chain = ts.Chain(lengths, backwards)
    sequences = [np.array([[100 * i + t] for t in range(n)]) for i, n in enumerate(lengths)]
    packed = chain.pack(sequences)
    np.testing.assert_array_equal(packed[chain.unpack_rows()], np.concatenate(sequences))
    last = [s[0 if backwards else -1] for s in sequences]
    np.testing.assert_array_equal(packed[chain.last_rows()], last)
    assert chain.batch_sizes.sum() == sum(lengths) and (np.diff(chain.batch_sizes) <= 0).all()


def test_positions_run_in_the_order_of_running() -> None:
    assert ts.Chain(3).positions.tolist() == [0, 1, 2]
    assert ts.Chain(3).reversed().positions.tolist() == [2, 1, 0]
    assert ts.Chain(LENGTHS, True).positions.tolist() == [0, 1, 2, 3, 4]


def test_repr_says_what_it_is() -> None:
    assert repr(ts.Chain(3, True)) == "Chain(T=3, reversed)"
    assert repr(ts.Chain(LENGTHS)) == "Chain(4 sequences of 1–5 steps)"


@pytest.mark.parametrize(
    ("steps", "error", "words"),
    [
        (0, ShapeError, "a chain needs at least one step, got T = 0"),
        (-3, ShapeError, "got T = -3"),
        ([], DataError, r"needs a list of integers, one for each sequence, got \[\]"),
        ([2, -1, 1], DataError, "sequence 1 has length -1; lengths are whole numbers from 0"),
        ([2.5], DataError, "needs a list of integers"),
        ([[1, 2]], DataError, "needs a list of integers"),
        (2.0, DataError, "needs a list of integers"),
        ("abc", DataError, "needs a list of integers"),
        (None, DataError, "needs a list of integers"),
        (True, DataError, "needs a list of integers"),
    ],
    ids=str,
)
def test_what_is_no_chain(steps: object, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        ts.Chain(steps)  # type: ignore[arg-type]


def test_what_cannot_be_packed() -> None:
    chain = ts.Chain([2, 1])
    with pytest.raises(DataError, match="3 sequences for a chain of 2 lengths"):
        chain.pack([np.ones(2)] * 3)
    with pytest.raises(DataError, match="sequence 1 has 2 steps, its length was given as 1"):
        chain.pack([np.ones(2), np.ones(2)])
    with pytest.raises(DataError, match=r"sequence 1 has features \(4,\), sequence 0 has \(3,\)"):
        chain.pack([np.ones((2, 3)), np.ones((1, 4))])
    with pytest.raises(DataError, match="packing is for chains of sequences with lengths"):
        ts.Chain(3).pack([np.ones(3)])
