"""What the bounds of an executor are: a share of each number, or of the terms that it is the small difference of."""

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.shaken import CLOSE, Bounds
from tinyseq.tensor.leaves import as_tensor


def bounds_of(x: np.ndarray, f: object) -> tuple[Bounds, int]:
    w = ts.Parameter(x, "w")
    with ts.Tape(executor=ts.Reference) as tape:
        y = f(as_tensor(w))  # type: ignore[operator]
    tape.executor.differentiate(y.index, np.ones(y.shape))
    return Bounds(tape.executor, {}, y.index, np.ones(y.shape)), y.index


def test_numbers_of_many_sizes_each_have_a_bound_of_their_own_size() -> None:
    x = np.array([1e-9, 1.0, 1e9])
    found, y = bounds_of(x, lambda w: ts.sigmoid(w * 1e-3) * w)
    y_numbers = found.executor.values[y]
    assert (found.value(y) <= 20 * CLOSE * np.abs(y_numbers)).all()
    assert (found.value(y) >= CLOSE * np.abs(y_numbers)).all()


@pytest.mark.parametrize("last", [-1e6, 1e6])
def test_a_sum_has_a_bound_of_the_size_of_its_terms(last: float) -> None:
    found, y = bounds_of(np.array([1e6, 0.5, last]), ts.sum)
    assert 0.1 * CLOSE * 2e6 <= found.value(y)[0] <= 10 * CLOSE * 2e6


def test_an_infinity_is_not_shaken_into_nan() -> None:
    """tanh(∞) = 1; a bound that came by way of NaN would be none at all."""
    w = ts.Parameter(np.array([0.5, 0.25]), "w")
    with ts.Tape(executor=ts.Reference) as tape:
        x = ts.tensor(np.array([np.inf, 1.0]))
        y = ts.sum(ts.tanh(x) * w) - ts.sum(w)
    tape.executor.differentiate(y.index)
    found = Bounds(tape.executor, {x.index: tape.executor.values[x.index]}, y.index, None)
    assert np.isfinite(found.others[0].values[y.index]).all() and found.value(y.index)[0] >= 0.1 * CLOSE
