"""Long tapes: elided, and without walking what is left out. Counted in calls, not in seconds."""

from __future__ import annotations

import sys

import numpy as np

import tinyseq as ts
from tests.viz.pictures import loop_tape, rnn_tape
from tinyseq.viz import draw
from tinyseq.viz.placing import template


def calls(function):
    """Python and C calls that a function makes."""
    count = 0

    def tick(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_elided_steps_cost_nothing():
    short, long = rnn_tape(100), rnn_tape(20_000)
    for options in ({}, {"detail": "ops"}, {"view": "folded"}):
        _ = draw(short, **options).svg
        assert calls(lambda o=options: draw(long, **o).svg) < 1.1 * calls(lambda o=options: draw(short, **o).svg)


def test_elided_steps_of_a_users_loop_cost_nothing():
    short, long = loop_tape(300), loop_tape(1500)
    assert short.kinds and long.kinds  # names given while recording are settled once, whoever reads first
    for options in ({}, {"detail": "ops"}, {"view": "folded"}):
        _ = draw(short, **options).svg
        assert calls(lambda o=options: draw(long, **o).svg) < 1.1 * calls(lambda o=options: draw(short, **o).svg)


def test_drawing_is_linear_in_what_is_drawn():
    tape = rnn_tape(400)
    for detail in ("cell", "ops"):
        _ = draw(tape, steps=20, detail=detail).svg
        fixed, once, twice = (calls(lambda n=n, d=detail: draw(tape, steps=n, detail=d).svg) for n in (20, 60, 100))
        assert twice - once < 1.1 * (once - fixed)


def test_scattered_steps_are_linear_too():
    tape = rnn_tape(2000)
    counts = [calls(lambda n=n: draw(tape, steps=range(1, 20 * n, 20)).svg) for n in (20, 40, 60)]
    assert counts[2] - counts[1] < 1.15 * (counts[1] - counts[0])


def test_long_chain_of_bare_ops():
    with ts.Tape() as tape:
        v = ts.tensor(np.ones(3), "v")
        for _ in range(5000):
            v = ts.tanh(v)
    picture = draw(tape, detail="ops", steps=10).diagram
    assert [v.text for v in picture.vertices if v.dashed] == ["… 4,991 nodes …"]
    assert len(picture.vertices) == 11 and len(picture.links) == 10
    assert len(draw(tape).diagram.vertices) < 320
    assert len(draw(v).diagram.vertices) < 320


def test_own_layers_where_there_is_too_much_for_dot(monkeypatch):
    monkeypatch.setattr(template, "DOT_LIMIT", 0)
    monkeypatch.setattr(template, "_by_dot", None)
    with ts.Tape() as tape:
        v = x = ts.tensor(np.ones((2, 3)), "x")
        for _ in range(12):
            v = ts.tanh(v) * x + v
    picture = draw(tape, detail="ops").diagram
    at = {v.id: v for v in picture.vertices}
    assert len(picture.links) == 12 * 5
    for e in picture.links:
        assert at[e.source].y < at[e.target].y
    boxes = [(v.x, v.y, v.width, v.height) for v in picture.vertices]
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[:i]:
            assert abs(x - x2) >= (w + w2) / 2 - 0.01 or abs(y - y2) >= (h + h2) / 2 - 0.01  # none overlap


def test_no_two_nodes_overlap():
    for options in ({"steps": 8}, {"detail": "ops", "steps": 3}, {"view": "folded"}):
        boxes = [(v.x, v.y, v.width, v.height) for v in draw(rnn_tape(12), **options).diagram.vertices]
        for i, (x, y, w, h) in enumerate(boxes):
            for x2, y2, w2, h2 in boxes[:i]:
                assert abs(x - x2) >= (w + w2) / 2 - 0.01 or abs(y - y2) >= (h + h2) / 2 - 0.01
