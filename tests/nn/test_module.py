"""Modules: finding parameters, copying weights, steps and scopes of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DtypeError, TinyseqError
from tinyseq.nn import RNN, Cell, Module
from tinyseq.tape import Tape


class Stack(Module):
    def __init__(self) -> None:
        shared = ts.Parameter(np.ones(2), "shared")
        self.first = RNN(2, 3, 4, rng=np.random.default_rng(0))
        self.layers = [RNN(3, 3, 3, rng=np.random.default_rng(1)), shared]
        self.by_name = {"again": shared, "scale": ts.Parameter(np.array(2.0), "scale")}
        self.size = 3


def test_parameters_are_found_by_name_and_each_once() -> None:
    names = [name for name, _ in Stack().named_parameters()]
    assert names == [
        *("first.U", "first.W", "first.b", "first.V", "first.c"),
        *("layers.0.U", "layers.0.W", "layers.0.b", "layers.0.V", "layers.0.c"),
        *("layers.1", "by_name.scale"),
    ]


def test_weights_are_copied_out_and_in() -> None:
    net, other = RNN(2, 3, 4, rng=np.random.default_rng(0)), RNN(2, 3, 4, rng=np.random.default_rng(1))
    state = net.state_dict()
    other.load_state_dict(state)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.value, q.value)
        assert p.value is not q.value
    state["W"][...] = 7.0
    assert not (net.W.value == 7).any() and not (other.W.value == 7).any()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("W"), TinyseqError, r"another model: missing \['W'\], unknown nothing"),
        (lambda s: s.update(R=np.ones(2)), TinyseqError, r"missing nothing, unknown \['R'\]"),
        (lambda s: s.update(b=np.ones(4, np.float32)), TinyseqError, r"b have shape \(4,\), the model needs \(3,\)"),
        (lambda s: s.update(b=np.ones(3)), DtypeError, "weights for b are float64, the model is float32"),
    ],
    ids=["missing", "unknown", "shape", "dtype"],
)  # fmt: skip
def test_weights_of_another_model_are_refused_as_a_whole(change: Any, error: type, words: str) -> None:
    net = RNN(2, 3, 4, rng=np.random.default_rng(0))
    before = net.state_dict()
    state = {name: value + 1 for name, value in net.state_dict().items()}
    change(state)
    with pytest.raises(error, match=words):
        net.load_state_dict(state)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


class Double(Cell):
    name = "double"

    def step(self, h: Any) -> tuple[Any, Any]:
        h = h * 2.0
        return h, h


def test_calls_of_a_cell_count_steps() -> None:
    cell, other = Double(), Double()
    with Tape() as tape:
        h: Any = ts.tensor([1.0])
        for _ in range(3):
            h, _ = cell(h)
        h, _ = other(h)
        h, _ = cell(h, at=10)
        outside = h * 1.0
    scopes = [(n.cell, n.step) for n in tape.nodes()]
    assert scopes == [("", -1), *[("double", t) for t in range(3)], ("double_2", 0), ("double", 10), ("", -1)]
    assert outside.value == 32.0


def test_a_step_that_fails_closes_its_scope() -> None:
    class Bad(Double):
        def step(self, h: Any) -> tuple[Any, Any]:
            raise ZeroDivisionError

    with Tape() as tape:
        h = ts.tensor([1.0])
        with pytest.raises(ZeroDivisionError):
            Bad()(h)
        assert (h * 2.0).value == 2.0
    assert tape.node(1).cell == ""


def test_a_cell_without_a_step_says_so() -> None:
    class Empty(Cell):
        pass

    with Tape(), pytest.raises(NotImplementedError, match="Empty must define step"):
        Empty()(ts.tensor([1.0]))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: RNN(0, 3, 4, rng=np.random.default_rng(0)), "input_size must be a whole number of at least 1, got 0"),
        (lambda: RNN(2, 2.5, 4, rng=np.random.default_rng(0)), "hidden_size must be a whole number .* got 2.5"),
        (lambda: RNN(2, 3, -1, rng=np.random.default_rng(0)), "output_size must be .* got -1"),
        (lambda: RNN(2, 3, 4, rng=0), r"rng must be a numpy Generator, got 0; write rng=np.random.default_rng\(0\)"),
        (lambda: RNN(2, 3, 4, rng=np.random.default_rng(0), dtype=np.float16), "needs float32 or float64, got float16"),
        (lambda: RNN(2, 3, 4, rng=np.random.default_rng(0), dtype=int), "needs float32 or float64, got int64"),
    ],
)  # fmt: skip
def test_a_net_is_built_from_whole_sizes_and_a_generator(build: Any, words: str) -> None:
    with pytest.raises(TinyseqError, match=words):
        build()
