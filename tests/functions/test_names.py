"""Names that a user sees: what is there for everybody, and what only stands beside it."""

from __future__ import annotations

import numpy as np

import tinyseq as ts


def test_plumbing_is_not_among_the_public_names() -> None:
    beside = {"Number", "Transposed", "check_range", "getitem", "indices", "transposed", "window"}
    assert not beside & set(ts.__all__) and all(hasattr(ts, name) for name in beside)
    assert len(set(ts.__all__)) == len(ts.__all__) and all(hasattr(ts, name) for name in ts.__all__)


def test_no_two_names_differ_by_a_capital_or_an_ending() -> None:
    names = sorted(name.lower() for name in ts.functions.__all__)
    assert len(set(names)) == len(names)
    assert not [(a, b) for a in names for b in names if b in (a + "d", a + "ed")]


def test_old_names_are_the_new_functions() -> None:
    x = np.arange(12.0).reshape(4, 3)
    with ts.Tape():
        np.testing.assert_array_equal(ts.window(x, 1, 2).value, x[1:3])
        np.testing.assert_array_equal(ts.rows(x, 1, 2).value, x[1:3])
        np.testing.assert_array_equal(ts.matmul(x, ts.matrix_transpose(x)).value, x @ x.T)
    assert ts.window is ts.rows and ts.transposed is ts.matrix_transpose
