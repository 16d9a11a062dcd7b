"""Fixed weights are told from learned ones; a sparse product is an arrow W; a delay line is drawn to its end."""

from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.viz.look import style

RNG = np.random.default_rng(0)
each_density = pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])


def network(density: float) -> nn.EchoStateNetwork:
    reservoir = nn.Reservoir(
        1, 20, rng=np.random.default_rng(0), density=density, leak=0.3, bias_scaling=0.1, feedback_size=1
    )
    assert (reservoir.places is None) == (density == 1)
    return nn.EchoStateNetwork(reservoir, 1)


@each_density
def test_a_reservoir_is_drawn_with_its_fixed_weights_marked(density: float) -> None:
    diagram = viz.draw(network(density), view="folded").diagram
    assert diagram.edges() == {("x", "h", "U", 0), ("h", "h", "W", 1), ("h", "o", "V", 0), ("o", "h", "R", 1)}
    assert {(e.label, e.fixed) for e in diagram.links} == {
        (("U",), True), (("W",), True), (("R",), True), (("V",), False)
    }  # fmt: skip
    assert diagram.fixed == {"W", "U", "R", "b"}


@each_density
def test_arrows_of_each_step_are_grey_and_dashed_where_they_are_fixed(density: float) -> None:
    picture = viz.draw(network(density), format="dot")
    fixed = {name: {e.fixed for e in picture.diagram.links if e.label == (name,)} for name in "WURV"}
    assert fixed == {"W": {True}, "U": {True}, "R": {True}, "V": {False}}
    assert {v.name for v in picture.diagram.vertices} == {"x", "h", "o"}
    drawn = [line for line in picture.dot.splitlines() if "->" in line and style.FIXED in line]
    assert len(drawn) == 3 + 4 + 4 and all("style=dashed" in line for line in drawn)


@each_density
def test_the_note_says_which_parameters_are_fixed(density: float) -> None:
    diagram = viz.draw(network(density), view="folded").diagram
    text = " ".join("".join(run.text for run in note.text) for note in diagram.notes)
    for words in ("U 20×1 fixed", "b 20 fixed", "R 20×1 fixed"):
        assert words in text
    assert "V 1×20" in text and "V 1×20 fixed" not in text and "c 1 fixed" not in text


def test_every_primitive_shows_fixed_parameters_and_no_structure_of_a_sparse_matrix() -> None:
    diagram = viz.draw(network(0.1), view="folded", detail="ops").diagram
    marked = {v.name: (v.dashed, "fixed" in v.note) for v in diagram.vertices if v.role == "parameter"}
    assert marked == dict.fromkeys("WURb", (True, True)) | dict.fromkeys("Vc", (False, False))
    assert not {"columns", "starts"} & {v.name for v in diagram.vertices}


def test_a_name_that_a_learned_parameter_bears_too_is_not_marked() -> None:
    fixed, learned = ts.Parameter(np.eye(2), "W", trainable=False), ts.Parameter(np.eye(2), "W")

    class Two(nn.Cell):
        input_size, hidden_size = 2, 2

        def __init__(self) -> None:
            self.first, self.second = fixed, learned

        def step(self, x: ts.Tensor, h: ts.Tensor) -> tuple[ts.Tensor, ts.Tensor]:
            h = ts.tanh(x @ self.first + h @ self.second).named("h")
            return h, h

    diagram = viz.draw(Two(), view="folded").diagram
    assert not diagram.fixed and not any(e.fixed for e in diagram.links)


@pytest.mark.parametrize("delays", [(1, 3), (2,), (1, 10)])
def test_a_skip_cell_is_drawn_with_all_its_delays(delays: tuple[int, ...]) -> None:
    diagram = viz.draw(nn.SkipCell(2, 3, rng=RNG, delays=delays), view="folded").diagram
    assert diagram.edges() == {("x", "h", "U", 0), *(("h", "h", f"W_{d}", d) for d in delays)}


def test_one_input_feature_is_no_axis_of_time() -> None:
    shapes = {v.name: v.shape for v in viz.draw(nn.RNNCell(1, 3, rng=RNG), view="folded").diagram.vertices}
    assert shapes["x"] == ("B", 1)
