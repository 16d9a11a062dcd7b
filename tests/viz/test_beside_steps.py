"""What stands beside the steps: totals of totals, and states that another chain starts from."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.viz.geometry import problems
from tests.viz.package_nets import NETS as PACKAGE
from tests.viz.untried_nets import NETS
from tinyseq.viz import draw


def is_level_and_upright(path) -> bool:
    """But for the roundings of corners."""
    long = [(a, b) for a, b in pairwise(path[::3]) if abs(a[0] - b[0]) + abs(a[1] - b[1]) > 16]
    return all(abs(a[0] - b[0]) < 0.6 or abs(a[1] - b[1]) < 0.6 for a, b in long)


@pytest.mark.parametrize("name", ["beam", "many_heads", "Bidirectional", "EncoderDecoder"])
def test_lines_between_what_stands_beside_the_steps_are_level_and_upright(name):
    tape = {**PACKAGE, **NETS}[name](3)
    for detail in ("cell", "ops"):
        diagram = draw(tape, detail=detail).diagram
        assert not problems(diagram, tape)
        at = {v.id: v for v in diagram.vertices}
        beside = [e for e in diagram.links if at[e.source].column is None and at[e.target].column is None]
        assert all(is_level_and_upright([*e.path, e.tip]) for e in beside)
    assert beside


def test_what_goes_back_to_an_earlier_column_leaves_where_no_state_comes_in():
    diagram = draw(NETS["beam"](3)).diagram
    at = {v.id: v for v in diagram.vertices}
    last = next(v for v in diagram.vertices if v.text == "h1(2)")
    comes_in = next(e for e in diagram.links if e.target == last.id and at[e.source].text == "h1(1)")
    starts = [e for e in diagram.links if e.source == last.id]
    assert {at[e.target].text for e in starts} == {"h2(0)", "h3(0)", "h4(0)"}
    for e in starts:
        assert abs(e.path[0][1] - comes_in.tip[1]) > 10 and e.path[0][1] > last.y  # over it, not at its left
