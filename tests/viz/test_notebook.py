"""Rich display in notebooks, asked for as IPython asks."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.pictures import rng, rnn, rnn_tape
from tinyseq.viz.notebook import axis_names, table

HOSTILE = "<script>alert(1)</script>&\"'"


@pytest.fixture
def show():
    """A thing → its HTML, by IPython's formatter where it is installed."""
    try:
        from IPython.core.formatters import DisplayFormatter
    except ImportError:
        return lambda thing: thing._repr_mimebundle_()["text/html"]
    formatter = DisplayFormatter()
    return lambda thing: formatter.format(thing)[0]["text/html"]


def cells(page):
    return re.findall(r"<td>([^<]*)</td>", page)


def test_axes_are_named():
    net, r = rnn(), rng()
    with ts.Tape() as tape:
        x = ts.tensor(r.integers(0, 4, (5, 2)), "x")
        loss, unfolded = net.losses(x, r.integers(0, 4, (5, 2)))
        assert axis_names(x) == ("T", "B")
        assert axis_names(unfolded.state(2)) == ("B", "F")
        assert axis_names(unfolded.states) == ("T", "B", "F")
        assert axis_names(loss) == ()
        assert axis_names(ts.tensor(np.ones((3, 4)))) == ("axis 0", "axis 1")
    assert len(tape) > 0


def test_tensor(show):
    net, r = rnn(), rng()
    with ts.Tape():
        h = net.unfold(r.integers(0, 4, (5, 2))).states
        page = show(h)
        assert "T = 5 × B = 2 × F = 3" in page and "of T = 0" in page and "B ↓ F →" in page
        assert cells(page) == [f"{x:.4g}" for x in h.value[0].ravel()]
        assert "overflow-x:auto" in page
        assert "scalar" in show(ts.sum(h)) and len(cells(show(ts.sum(h)))) == 1


def test_long_axes_are_elided(show):
    with ts.Tape():
        page = show(ts.tensor(np.arange(10_000.0).reshape(100, 100), "a"))
    assert len(cells(page)) == 81 and cells(page)[-1] == "9999" and len(page) < 12_000


def test_gradient_norm_only_after_backward(show):
    W = ts.Parameter(np.ones((2, 3)), "W")
    with ts.Tape():
        y = ts.tanh(ts.linear(ts.tensor(np.ones((1, 3)), "x"), W)).named("y")
        loss = ts.sum(y)
        assert "gradient" not in show(y)
        loss.backward()
        assert f"gradient norm {np.sqrt(2):.4g}" in show(y)


def test_tapes_small_and_large(show):
    small, large = show(rnn_tape(4)), show(rnn_tape(20_000))
    assert small.count("<svg") == large.count("<svg") == 1
    assert "left out" not in small and "are left out" in large
    assert len(large) < 3 * len(show(rnn_tape(10)))
    assert "Tape(" in small and "overflow-x:auto" in small


def test_cell(show):
    page = show(rnn())
    assert "Folded graph" in page and "<svg" in page


def test_plan(show):
    f = ts.compile(lambda x: rnn().loss(x, x))
    plan = f.program(rng().integers(0, 4, (30, 2))).plan
    page = show(plan)
    text = plan.explain()
    shown = re.sub(r"<[^>]*>", "\n", page)
    for line in text.splitlines():
        assert html.escape(line.strip()) in shown
    assert page.count("<details") == page.count("<summary>") >= 3
    assert plan._repr_mimebundle_()["text/plain"] == text


def test_ledger(show):
    net, r = rnn(), rng()
    with ts.Tape():
        page = show(ts.ledger(net.loss(r.integers(0, 4, (5, 2)), r.integers(0, 4, (5, 2))), net.W))
    assert page.count("<tr>") == 6


def test_hostile_names(show):
    with ts.Tape() as tape:
        a = ts.tensor(np.ones((2, 2)), HOSTILE)
        ts.tanh(a).named(HOSTILE)
        page = show(a) + show(tape) + table([HOSTILE], [[HOSTILE]], HOSTILE)
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
