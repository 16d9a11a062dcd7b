"""What truncation cuts, counted on the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import diagnose, nn
from tinyseq.errors import GradientError

T, B, F, H = 100, 2, 3, 4


def setup(rng: np.random.Generator, k: int = 10) -> tuple[Any, Any]:
    cell = nn.RNNCell(F, H, rng=rng, dtype=np.float64)
    x, u = rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))

    def losses(truncate: Any) -> Any:
        net = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B), truncate=truncate)
        return ts.sum(net.outputs * u), net

    return cell, losses


def test_pairs_gradients_and_table(rng: np.random.Generator) -> None:
    cell, losses = setup(rng)
    report = diagnose.truncation(losses, cell.a.W, 10)
    assert [cut.pairs for cut in report.cuts] == [5050, 955, 550]
    t, s = np.mgrid[:T, :T]
    np.testing.assert_array_equal(report["full"].grid, s <= t)
    np.testing.assert_array_equal(report["window"].grid, (s <= t) & (s > t - 10))
    np.testing.assert_array_equal(report["chunk"].grid, (s <= t) & (s // 10 == t // 10))
    assert len({round(cut.loss, 9) for cut in report.cuts}) == 1
    assert report["full"].lost == 0 < report["window"].lost
    assert report["chunk"].lost == pytest.approx(
        np.linalg.norm(report["chunk"].gradient - report["full"].gradient) / np.linalg.norm(report["full"].gradient)
    )
    assert "5,050" in str(report) and "955" in str(report) and "550" in str(report)


def test_detach_keeps_the_value_cuts_the_gradient_and_frees_bytes(rng: np.random.Generator) -> None:
    """One cut in the middle, the loss at the end: all before the cut need no longer be kept."""
    cell, x = nn.RNNCell(F, H, rng=rng, dtype=np.float64), rng.standard_normal((20, B, F))
    found = []
    for cut in (lambda h: h, ts.detach):
        with ts.Tape():
            h = cut(ts.unfold(cell, ts.Chain(10), x[:10], cell.initial_state(B)).final)
            loss = ts.sum(ts.unfold(cell, ts.Chain(10), x[10:], h).final)
            loss.backward()
            found.append((loss.item(), cell.a.W.grad.copy(), diagnose.kept_bytes(loss)))
    (value, grad, kept), (value_cut, grad_cut, kept_cut) = found
    assert value == value_cut
    assert not np.allclose(grad, grad_cut)
    # before: h(1) … h(20) and the two initial states' products read h; after: h(10) … h(20), and x(t) lie in arrays
    assert kept_cut < 0.6 * kept
    assert kept - kept_cut >= 9 * B * H * 8


def test_a_parameter_that_is_not_used(rng: np.random.Generator) -> None:
    _, losses = setup(rng)
    with ts.Tape(), pytest.raises(GradientError, match="not used on this tape"):
        diagnose.reaches(losses(None)[1], ts.Parameter(np.ones(2), "other"))
