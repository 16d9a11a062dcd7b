"""A table about a parameter says which: by its name, its place among those of that name, or its place on the tape."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.diagnose import contributions, gradient_flow
from tinyseq.diagnose.names import name_of
from tinyseq.viz import draw
from tinyseq.viz.stepper.run import Run


def tape_of(*names):
    """h(t) = tanh(A h(t−1) + B h(t−1)) over four steps, A and B named or not."""
    r = np.random.default_rng(0)
    A, B = (ts.Parameter(r.normal(0, 0.4, (3, 3)), *([name] if name else [])) for name in names)

    def step(h):
        h = ts.tanh(ts.linear(h, A) + ts.linear(h, B)).named("h")
        return h, h

    with ts.Tape() as tape:
        net = ts.unfold(step, ts.Chain(4), (), ts.tensor(np.ones((1, 3))))
        loss = ts.sum(net.final**2).named("L")
    return tape, loss, net, A, B


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("U", "V"), ("U", "V")),
        (("", ""), ("θ_1", "θ_2")),
        (("", "W"), ("θ_1", "W")),
        (("W", "W"), ("W (1 of 2)", "W (2 of 2)")),
    ],
)
def test_the_ledger_the_overlay_and_the_stepper_name_the_parameter(names, wanted):
    tape, loss, net, *both = tape_of(*names)
    for parameter, name in zip(both, wanted, strict=True):
        assert name_of(tape, parameter) == name
        text = str(ts.ledger(loss, parameter))
        total = sum(contributions(loss, parameter).values())
        assert f"‖term of ∂L/∂{name}‖" in text and f"‖∂L/∂{name}‖ = {np.linalg.norm(total):.4e}" in text
        notes = ["".join(r.text for r in n.text) for n in draw(tape, overlay="share", of=parameter).diagram.notes]
        assert f"share of the terms of ∂L/∂{name}, ‖term(t)‖ / Σ ‖term‖" in notes
        if names != ("W", "W"):
            assert draw(tape, overlay="share", of=name).svg == draw(tape, overlay="share", of=parameter).svg
    assert [ledger["name"] for ledger in Run(loss, "", 1000).json(0, True)["ledgers"]] == list(wanted)
    if names == ("", ""):
        assert {w.name for w in gradient_flow(loss, net).weights} == set(wanted)


def test_an_unknown_name_lists_those_there_are():
    tape, loss, *_ = tape_of("", "W")
    loss.backward()
    with pytest.raises(ts.TinyseqError, match=r"its parameters are θ_1, W"):
        draw(tape, overlay="share", of="Z")
