"""The ledger of a gradient: terms per time step that add up to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import bptt
from tinyseq.diagnose import contributions, ledger
from tinyseq.errors import GradientError
from tinyseq.nn import RNN
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
T, B, F, H, O = 9, 2, 3, 4, 5  # noqa: E741


@pytest.fixture
def setting(rng: np.random.Generator) -> tuple[RNN, ts.Tensor, dict[str, np.ndarray]]:
    net = RNN(F, H, O, rng=rng, dtype=np.float64)
    x, y, h0 = rng.standard_normal((T, B, F)), rng.integers(0, O, (T, B)), rng.standard_normal((B, H))
    with Tape():
        loss = net.loss(x, y, h0)
    wanted = bptt.gradients({n: p.value for n, p in net.named_parameters()}, x, y, h0)
    return net, loss, wanted


def test_the_terms_are_those_of_equation_10_26(setting: Any) -> None:
    net, loss, wanted = setting
    terms = contributions(loss, net.W)
    assert list(terms) == list(range(T))[::-1]
    for t, term in terms.items():
        np.testing.assert_allclose(term, wanted["terms"][t], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(sum(terms.values()), net.W.grad, rtol=1e-12)


@pytest.mark.parametrize("name", ["U", "W", "b", "V", "c"])
def test_the_terms_of_every_parameter_add_up(setting: Any, name: str) -> None:
    net, loss, wanted = setting
    parameter = getattr(net, name)
    terms = contributions(loss, parameter)
    assert len(terms) == T and all(term.shape == parameter.shape for term in terms.values())
    np.testing.assert_allclose(sum(terms.values()), wanted[name], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(sum(terms.values()), parameter.grad, rtol=1e-12, atol=1e-15)


def test_the_ledgers_columns(setting: Any) -> None:
    net, loss, wanted = setting
    book = ledger(loss, net.W)
    assert len(book) == T and book.step.tolist() == list(range(T))[::-1]
    total = wanted["W"]
    running = np.zeros_like(total)
    for row, t in enumerate(book.step):
        term = wanted["terms"][t]
        running += term
        assert book.delta[row] == pytest.approx(np.linalg.norm(wanted["delta"][t]), rel=1e-12)
        assert book.term[row] == pytest.approx(np.linalg.norm(term), rel=1e-12)
        cosine = (term * total).sum() / np.linalg.norm(term) / np.linalg.norm(total)
        assert book.cosine[row] == pytest.approx(cosine, abs=1e-12)
        assert book.running[row] == pytest.approx(np.linalg.norm(running), rel=1e-12)
    assert book.running[-1] == pytest.approx(np.linalg.norm(net.W.grad), rel=1e-12)
    assert book.total == pytest.approx(np.linalg.norm(total), rel=1e-12)
    assert book.residual < 1e-14


def test_the_residual_is_measured(setting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net, loss, _ = setting
    executor = loss.tape.executor
    terms = executor.terms
    monkeypatch.setattr(executor, "terms", lambda W: terms(W)[:-1])
    loss.backward()
    last = terms(net.W)[-1][2]
    assert ledger(loss, net.W).residual == pytest.approx(np.linalg.norm(last) / np.linalg.norm(net.W.grad), rel=1e-9)


def test_as_text(setting: Any) -> None:
    net, loss, _ = setting
    lines = str(ledger(loss, net.W)).splitlines()
    assert lines[0].split("  ")[-1] == "‖running sum‖" and "‖term of ∂L/∂W‖" in lines[0]
    assert len(lines) == T + 3
    assert [line.split()[0] for line in lines[2:-1]] == [str(t) for t in range(T)][::-1]
    assert len({len(line) for line in lines[:-1]}) == 1
    total = f"{np.linalg.norm(net.W.grad):.4e}"
    assert lines[-2].endswith(total) and lines[-1].startswith(f"‖∂L/∂W‖ = {total}, residual of the sum ")


def test_long_ledgers_leave_out_the_middle(rng: np.random.Generator) -> None:
    net = RNN(F, H, O, rng=rng, dtype=np.float64)
    steps = 2000
    with Tape():
        loss = net.loss(rng.integers(0, F, (steps, 1)), rng.integers(0, O, (steps, 1)))
    book = ledger(loss, net.W)
    lines = str(book).splitlines()
    assert len(book) == steps and len(lines) == 2 + 8 + 1 + 8 + 1
    assert lines[10] == "… 1,984 more …"
    assert lines[2].split()[0] == "1999" and lines[9].split()[0] == "1992" and lines[11].split()[0] == "7"
    assert book.residual < 1e-12


@pytest.mark.parametrize(("rows", "shown"), [(1, 1), (16, 16), (17, 17), (18, 17), (19, 17)])
def test_what_is_left_out_is_at_least_two_rows(rows: int, shown: int) -> None:
    w = ts.Parameter(np.array([0.9]), "w")
    with Tape():
        loss = ts.sum(ts.unfold(lambda h: ((n := h * w), n), ts.Chain(rows), (), np.ones(1)).final)
    lines = ledger(loss, w).rows()
    assert len(lines) == shown
    elided = [line[0] for line in lines if "more" in line[0]]
    assert elided == ([] if rows <= 17 else [f"… {rows - 16} more …"])


def test_as_html_with_names_escaped(setting: Any) -> None:
    net, loss, _ = setting
    net.W.name = '<W> & "co"'
    page = ledger(loss, net.W)._repr_html_()
    assert page.count("<tr>") == T + 1 and page.startswith("<table>") and page.endswith("</table>")
    assert "&lt;W&gt; &amp; &quot;co&quot;" in page and "<W>" not in page


def test_uses_outside_any_cell_are_a_row_of_their_own() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    with Tape():
        h = ts.unfold(lambda h: ((n := h * w), n), ts.Chain(3), (), np.ones(2)).final
        loss = ts.sum(h * w) + ts.sum(w)
    terms = contributions(loss, w)
    assert list(terms) == [-1, 2, 1, 0]
    np.testing.assert_allclose(terms[-1], w.value**3 + 1)
    np.testing.assert_allclose(sum(terms.values()), 4 * w.value**3 + 1)
    assert str(ledger(loss, w)).splitlines()[2].split()[0] == "—"


def test_a_weight_used_twice_in_one_step_has_one_term_for_both() -> None:
    w = ts.Parameter(np.array([0.5]), "w")
    with Tape():
        loss = ts.sum(ts.unfold(lambda h: ((n := h * w + w * w), n), ts.Chain(4), (), np.ones(1)).final)
    terms = contributions(loss, w)
    assert len(terms) == 4
    np.testing.assert_allclose(sum(terms.values()), w.grad, rtol=1e-14)


def test_a_vanished_gradient_has_cosine_zero_not_nan() -> None:
    w = ts.Parameter(np.array([0.0]), "w")
    with Tape():
        loss = ts.sum(ts.unfold(lambda h: ((n := h * w), n), ts.Chain(3), (), np.ones(1)).final)
    book = ledger(loss, w)
    assert book.total == 0 and book.residual == 0
    np.testing.assert_array_equal(book.cosine, 0)


def test_where_there_is_nothing_to_put_into_a_ledger(setting: Any) -> None:
    net, loss, _ = setting
    stranger = ts.Parameter(np.ones(2), "stranger")
    with pytest.raises(GradientError, match=r"the loss does not depend on Parameter\(stranger, \(2,\), float64\)"):
        contributions(loss, stranger)
    with loss.tape:
        unrelated = ts.sum(stranger * 2.0)
    with pytest.raises(GradientError, match="does not depend on Parameter"):
        ledger(unrelated, net.W)


def test_terms_before_backward_are_refused(setting: Any) -> None:
    net, loss, _ = setting
    with pytest.raises(GradientError, match=r"run loss.backward\(\) first"):
        loss.tape.executor.terms(net.W)
