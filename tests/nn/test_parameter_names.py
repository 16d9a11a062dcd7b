"""Parameters are called by the attributes that hold them, in pictures, ledgers, checks and messages."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, train
from tinyseq.tape import Tape
from tinyseq.viz import draw


class Layer(nn.Module):
    def __init__(self, n: int = 2) -> None:
        self.W = ts.Parameter(np.eye(n))
        self.b = ts.Parameter(np.zeros(n), "bias")


class Net(nn.Cell):
    """A cell with parameters in every kind of place."""

    name = "net"

    def __init__(self) -> None:
        self.U = ts.Parameter(0.1 * np.eye(2))
        self.gates = {"f": ts.Parameter(np.ones(2)), "more": (ts.Parameter(np.ones(2)),)}
        self.layers = [Layer(), Layer()]
        self.late: list[Any] = []
        self.late.append(ts.Parameter(np.ones(2)))
        self.tied = self.U

    def step(self, x: Any, h: Any) -> Any:
        f = self.gates["f"] * self.gates["more"][0] * self.late[0]
        h = ts.tanh(ts.linear(x, self.U) + f * ts.linear(h, self.layers[0].W) + ts.linear(h, self.layers[1].W))
        return h, h


X, H = np.ones((4, 3, 2)), np.zeros((3, 2))


def test_names_come_from_attributes_lists_and_dicts() -> None:
    net = Net()
    assert [p.name for p in net.parameters()] == ["U", "gates.f", "gates.more.0", "W", "bias", "W", "bias", "late.0"]
    places = ["U", "gates.f", "gates.more.0", "layers.0.W", "layers.0.b", "layers.1.W", "layers.1.b", "late.0"]
    assert [name for name, _ in net.named_parameters()] == places
    assert Layer().W.name == "W" and "Parameter(W, (2, 2), float64)" in repr(Layer().W)


def test_an_explicit_name_and_the_first_attribute_win() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.encoder = ts.Parameter(np.ones(2))
            self.decoder = self.encoder
            self.named = ts.Parameter(np.ones(2), "γ")

    net = Tied()
    assert net.decoder.name == "encoder" and net.named.name == "γ"
    other = nn.Module()
    other.elsewhere = net.encoder
    other.free = p = ts.Parameter(np.ones(1))
    assert net.encoder.name == "encoder" and p.name == "free"
    p.name = "θ"
    other.again = p
    assert p.name == "θ" and [name for name, _ in other.named_parameters()] == ["elsewhere", "free"]


@pytest.mark.usefixtures("executor")
def test_they_are_seen_on_the_tape_in_ledgers_checks_and_pictures() -> None:
    net = Net()
    with Tape() as tape:
        loss = ts.sum(ts.unfold(net, ts.Chain(4), X, H).outputs)
    loss.backward()
    assert {"U", "gates.f", "gates.more.0", "late.0", "W"} <= {node.name for node in tape.nodes()}
    assert "∂L/∂U" in str(ts.ledger(loss, net.U)) and "∂L/∂gates.f" in str(ts.ledger(loss, net.gates["f"]))

    def again() -> Any:
        return ts.sum(ts.unfold(net, ts.Chain(4), X, H).outputs)

    report = ts.gradcheck(again, net.U, net.late[0])
    assert report and all(name in str(report) for name in ("U", "late.0"))
    assert "late.0" in draw(tape, detail="ops").dot


def test_a_loop_sees_them_before_anybody_asks_for_the_parameters() -> None:
    class Plain(nn.Cell):
        name = "plain"

        def __init__(self) -> None:
            self.W = ts.Parameter(np.eye(2))

        def step(self, x: Any, h: Any) -> Any:
            h = ts.tanh(ts.linear(h, self.W) + x)
            return h, h

    cell = Plain()
    with Tape() as tape:
        h = ts.tensor(H)
        for _, x in ts.steps(ts.tensor(X)):
            h, _ = cell(x, h)
        assert [node.name for node in tape.nodes() if node.op == "parameter"] == ["W"]


def test_files_and_copies_know_places_not_names(tmp_path: Path) -> None:
    class Made(nn.Module):
        def __init__(self, scale: float = 1.0) -> None:
            self.cells = [Layer(), Layer()]
            self.W = ts.Parameter(np.full(2, scale))

    made = Made(3.0)
    assert [p.name for p in copy.deepcopy(made).parameters()] == ["W", "bias", "W", "bias", "W"]
    net = Net()
    assert [p.name for p in pickle.loads(pickle.dumps(net)).parameters()] == [p.name for p in net.parameters()]
    before = made.state_dict()
    made.W.name = "renamed"
    made.cells[0].W.name = "another"
    assert made.state_dict().keys() == before.keys()
    made.cells[1].W.value *= 5
    train.save(tmp_path, made)
    again = train.load(tmp_path, [Made, Layer]).model
    np.testing.assert_array_equal(again.cells[1].W.value, 5 * np.eye(2))
    np.testing.assert_array_equal(again.W.value, [3.0, 3.0])
    fresh = Made()
    fresh.load_state_dict(made.state_dict())
    np.testing.assert_array_equal(fresh.cells[1].W.value, 5 * np.eye(2))


def test_the_nets_of_the_library_keep_the_names_of_the_book() -> None:
    net = nn.RNN(3, 4, 5, rng=np.random.default_rng(0))
    assert [p.name for p in net.parameters()] == ["U", "W", "b", "V", "c"]
    for cell in (nn.LSTMCell(2, 3, rng=np.random.default_rng(0)), nn.GRUCell(2, 3, rng=np.random.default_rng(0))):
        assert all(p.name for p in cell.parameters())
