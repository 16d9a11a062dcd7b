"""What print shows of models, optimisers and unfolded nets."""

from __future__ import annotations

import numpy as np

import tinyseq as ts
from tinyseq import nn, train

RNG = np.random.default_rng(0)


class Tied(nn.Module):
    def __init__(self) -> None:
        self.reader, self.E = nn.RNNCell(3, 4, rng=RNG), ts.Parameter(np.ones((3, 4)), "E")
        self.V = self.E
        self.maps = [ts.Parameter(np.ones(2), trainable=False)]
        self.writer = self.reader


def test_a_model_shows_parts_shapes_counts_and_what_is_tied_or_fixed() -> None:
    assert str(Tied()).splitlines() == [
        "Tied(): 46 numbers in 5 parameters, 2 of them fixed",  # 12 + 16 + 4 of the cell, 12 of E, 2
        "  E (3, 4), V is E, maps.0 (2,), fixed",
        "  reader: RNNCell",
        "    a: Affine",
        "      U (4, 3), W (4, 4), b (4,)",
        "  writer is reader",
    ]


def test_a_model_in_a_message_is_one_line() -> None:
    net = nn.LSTM(3, 4, 2, rng=RNG)
    numbers = 4 * (4 * 3 + 4 * 4 + 4) + 2 * 4 + 2
    assert repr(net) == f"LSTM(input_size=3, hidden_size=4, output_size=2): {numbers} numbers in 14 parameters"
    assert str(net).startswith(repr(net) + "\n  V (2, 4), c (2,)\n  cell: LSTMCell\n")


def test_an_optimiser_shows_its_rate_and_parameters() -> None:
    net = nn.RNN(3, 4, 2, rng=RNG)
    optimiser = train.Adam(net.parameters(), 0.01)
    start = "Adam(rate=0.01, decay1=0.9, decay2=0.999, delta=1e-08) of 5 parameters (U, W, b, V, c), 42 numbers; "
    assert repr(optimiser) == start + "0 steps done"
    optimiser.rate = 0.5
    net.b.grad = np.ones(4, np.float32)
    optimiser.step()
    assert repr(optimiser).startswith("Adam(rate=0.5, ") and repr(optimiser).endswith("1 steps done")


def test_an_unfolded_net_shows_its_structure_and_shapes_and_records_nothing() -> None:
    net = nn.LSTM(3, 4, 2, rng=RNG)
    with ts.Tape() as tape:
        unfolded = net.unfold(np.zeros((5, 2, 3), np.float32))
        nodes = len(tape)
        text = repr(unfolded)
        assert len(tape) == nodes
    assert text == "Unfolded(lstm over Chain(T=5): outputs (5, 2, 2), states ((5, 2, 4), (5, 2, 4)))"
    assert unfolded.outputs.shape == (5, 2, 2) and unfolded.states[0].shape == (5, 2, 4)


def test_unfolded_over_lengths_and_trees() -> None:
    cell = nn.GRUCell(3, 4, rng=RNG)
    with ts.Tape():
        chain = ts.Chain([2, 3])
        packed = ts.unfold(cell, chain, np.zeros((5, 3), np.float32), cell.initial_state(2))
        assert "2 sequences" in repr(packed) and "outputs (5, 4), states (5, 4)" in repr(packed)
        assert packed.outputs.shape == (5, 4)
        tree = ts.unfold(nn.RecursiveNet(3, 4, 2, rng=RNG), ts.Tree.balanced(3), np.zeros((3, 3), np.float32))
        assert repr(tree).startswith("UnfoldedTree(") and f"states {tree.states.shape}" in repr(tree)
