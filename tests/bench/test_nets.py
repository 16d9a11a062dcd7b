"""Whole nets as rows: every peer and our compiled form compute what the reference executor computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinyseq.bench.contestants import our_nets
from tinyseq.bench.contestants.peers import net_variants
from tinyseq.bench.measuring.agree import BOUND, deviation
from tinyseq.bench.problems.net_equations import pack, unpack
from tinyseq.bench.problems.nets import NETS, Net


def small(net: Net) -> Net:
    return replace(net, inputs=5, hidden=7, outputs=3, steps=min(net.steps, 6), batch=4, leaves=(2, 9))


each_net = pytest.mark.parametrize("net", [small(net) for net in NETS], ids=lambda net: net.row)


@each_net
def test_ours_is_planned_and_agrees_with_the_reference_executor(net: Net) -> None:
    (way,) = our_nets.variants(net).values()
    assert deviation(way(), our_nets.reference(net)) < BOUND
    assert way.prepare().fallback == ""


@pytest.mark.parametrize("peer", ["torch", "jax"])
@each_net
def test_peers_run_the_same_equations(net: Net, peer: str) -> None:
    pytest.importorskip(peer)
    expected = our_nets.reference(net)
    found = net_variants(net, [peer])
    assert found
    for name, way in found.items():
        assert deviation(way(), expected) < BOUND, name
        way.run()
        assert deviation(way(), expected) < BOUND, f"{name}, again"


@each_net
def test_pack_and_unpack_are_inverse(net: Net) -> None:
    weights = net.model().state_dict()
    back = unpack(net, pack(net, weights))
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(back[name], value)


def test_products_of_a_tree_by_hand() -> None:
    net = next(small(net) for net in NETS if net.kind == "tree lstm")
    trees = net.data().trees
    assert trees is not None
    V, H, K, leaves, inner = net.inputs, net.hidden, net.outputs, trees.leaves, trees.left.size
    # a leaf: three gates of x (data), two products each with a gradient; an inner node: g, q, candidate, f_1, f_2 of z
    expected = leaves * 3 * 2 * V * H * 2 + inner * 5 * 2 * 2 * H * H * 3 + net.batch * 2 * H * K * 3
    assert our_nets.count(net).matmul == expected


def test_products_of_the_stack_by_hand() -> None:
    net = next(small(net) for net in NETS if net.kind == "skips")
    T, B, V, H, L, K = net.steps, net.batch, net.inputs, net.hidden, net.layers, net.outputs
    below = V * 2 + (L - 1) * (H + V) * 3  # of x itself there is no gradient
    recurrent = L * H * 3 * T - L * H  # h(0) is a constant: no gradient
    output = 2 * L * H * K * 3 * T * B
    assert our_nets.count(net).matmul == 2 * 4 * H * B * (below * T + recurrent) + output
