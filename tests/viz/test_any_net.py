"""Pictures of nets that nobody has seen: every node a node, every arrow from border to border, no two things in one
place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.viz import own_nets, package_nets
from tests.viz.geometry import problems
from tests.viz.random_nets import tape_of
from tinyseq.viz import draw

VIEWS = [(view, detail) for view in ("unfolded", "folded") for detail in ("cell", "units", "ops", "box")]
NETS = {**package_nets.NETS, **own_nets.NETS}


def check(tape, view, detail, **options):
    found = problems(draw(tape, view=view, detail=detail, **options).diagram, tape)
    assert not found, found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(VIEWS))
def test_random_nets(seed, how):
    check(tape_of(seed), *how)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(20))
def test_two_thousand_random_nets(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        check(tape_of(seed), *VIEWS[seed % len(VIEWS)])


@pytest.mark.parametrize(("view", "detail"), VIEWS)
@pytest.mark.parametrize("name", NETS)
def test_every_net(name, view, detail):
    check(NETS[name](3), view, detail)
