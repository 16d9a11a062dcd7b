"""Weights computed of parameters: they name the arrows they multiply, as parameters do, and are no nodes."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.package_nets import NETS
from tinyseq.viz import draw


def tape_of(named: bool) -> ts.Tape:
    """h(t) = tanh(W h(t−1) + U x(t)) with W = A · diag(exp d), computed in every step."""
    A, d, U = (ts.Parameter(np.ones(s), n) for s, n in (((4, 4), "A"), ((4, 4), "d"), ((4, 3), "U")))

    def step(x, h):
        W = A * ts.exp(d)
        W = W.named("W") if named else W
        h = ts.tanh(ts.linear(h, W) + ts.linear(x, U)).named("h")
        return h, h

    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(3), ts.tensor(np.ones((3, 1, 3)), "x"), ts.tensor(np.zeros((1, 4)), "h"))
    return tape


@pytest.mark.parametrize("detail", ["cell", "units"])
@pytest.mark.parametrize("view", ["folded", "unfolded"])
def test_a_computed_weight_names_its_arrow(view, detail):
    for named, label in ((True, "W"), (False, "A, d")):
        diagram = draw(tape_of(named), view=view, detail=detail).diagram
        assert {v.name for v in diagram.vertices} == {"x", "h"}
        late = {",".join(e.label) for e in diagram.links if e.recurrent}
        assert late == {label.replace(", ", ",")}
        assert {e.label for e in diagram.links if not e.recurrent} == {("U",)}


@pytest.mark.parametrize("name", [*NETS])
def test_no_node_stands_without_an_arrow(name):
    for view in ("folded", "unfolded"):
        for detail in ("cell", "units", "ops"):
            diagram = draw(NETS[name](3), view=view, detail=detail).diagram
            ends = {id for e in diagram.links for id in (e.source, e.target)}
            assert not [v.text for v in diagram.vertices if v.id not in ends], (view, detail)


def test_a_weight_that_is_read_by_nothing_is_still_shown():
    W = ts.Parameter(np.ones((4, 4)), "W")

    def step(x, h):
        h = ts.tanh(ts.linear(h, W) + x).named("h")
        return h, ts.exp(W).named("E")

    with ts.Tape() as tape:
        ts.unfold(step, ts.Chain(2), ts.tensor(np.ones((2, 1, 4)), "x"), ts.tensor(np.zeros((1, 4)), "h"))
    assert "E" in {v.name for v in draw(tape).diagram.vertices}
