"""Gradients as colour: only after a backward pass, on a log scale, never computed for the picture."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.viz.pictures import rnn_tape
from tinyseq.engine.reference import Reference
from tinyseq.viz import draw
from tinyseq.viz.look import style


class Told(Reference):
    """An executor whose gradients of h are told: 10⁻⁶ at step 0, ten times more each step."""

    known = False

    def grad(self, index):
        node = self.tape.node(index)
        if not self.known or node.name != "h" or node.step < 0:
            return None
        grad = np.zeros(node.shape)
        grad.flat[0] = 10.0 ** (node.step - 6)
        return grad


@pytest.fixture
def tape():
    tape = rnn_tape(5, Told)
    tape.executor.known = True
    return tape


def test_no_colour_before_backward():
    tape = rnn_tape(3)
    picture = draw(tape)
    assert all(v.gradient is None and not v.fill for v in picture.diagram.vertices)
    assert "gradient norm" not in picture.svg
    assert tape.executor.grad(15) is None  # the picture has run nothing


def test_colours_follow_the_log_of_the_norm(tape):
    states = [v for v in draw(tape).diagram.vertices if v.role == "state"]
    assert [v.gradient for v in states] == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    assert states[0].fill == style.HEAT[0] and states[-1].fill == style.HEAT[-1]
    assert [v.fill for v in states] == [style.heat_colour(10.0**k, 1e-6, 1e-2) for k in range(-6, -1)]


def test_legend_says_the_range(tape):
    picture = draw(tape)
    words = ["".join(run.text for run in note.text) for note in picture.diagram.notes]
    assert {"10−6", "10−2"} <= set(words)
    assert [note.box[2] for note in picture.diagram.notes if note.box] == list(style.HEAT)
    assert "gradient norm 0.01" in picture.svg


def test_off_and_folded(tape):
    assert not any(v.fill for v in draw(tape, gradients=False).diagram.vertices)
    assert not any(v.fill for v in draw(tape, view="folded").diagram.vertices)
    assert any(v.fill for v in draw(tape, view="folded", gradients=True).diagram.vertices)


def test_real_backward_reaches_every_unit():
    tape = rnn_tape(4, Reference)
    total = next(i for i in range(len(tape)) if tape.node(i).op == "sum")
    tape.executor.backward(total)
    for v in draw(tape).diagram.vertices:
        wanted = tape.executor.grads.get(v.node)
        assert v.gradient == (None if wanted is None else pytest.approx(np.linalg.norm(wanted)))


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_not_finite_stands_out(norm):
    assert style.heat_colour(norm, 1e-3, 1.0) == style.NOT_FINITE
    assert style.heat_colour(0.0, 1e-3, 1.0) == style.EXACTLY_ZERO


def test_lightness_falls_steadily_and_ink_reads_on_every_fill():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    fills = [style.heat_colour(10**-e, 1e-6, 1.0) for e in np.linspace(6, 0, 60)]
    light = [luminance(f) for f in fills]
    assert all(a > b for a, b in pairwise(light))
    for fill in [*fills, *style.FILLS.values()]:
        a, b = sorted([luminance(fill), luminance(style.ink_on(fill))])
        assert (b + 0.05) / (a + 0.05) >= 4.1, fill
