"""The exported file and what is worked out for it in Python: Jacobians, order, memory, words, size, errors."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

import tinyseq as ts
from tests.viz.stepper.pages import LOSSES, gated, loop, rnn, tree
from tinyseq.ops import OPS
from tinyseq.viz.excerpt.choose import ancestors
from tinyseq.viz.stepper.edges import Edges
from tinyseq.viz.stepper.memory import live_bytes
from tinyseq.viz.stepper.order import AFTER, order_of
from tinyseq.viz.stepper.page import find_loss, step_page
from tinyseq.viz.stepper.pool import Pool, sampled, script_json


def test_an_lstm_of_a_hundred_steps_fits_into_two_megabytes(tmp_path):
    loss = gated(ts.nn.LSTMCell, T=100, hidden=32, dtype=np.float32)
    path = loss.tape.to_html(tmp_path / "lstm.html", loss=loss)
    assert path.stat().st_size <= 2 * 1024 * 1024
    assert '"cap":0' in path.read_text("utf-8")  # every number of it


def test_long_chains_hold_their_ends_and_stay_within_the_budget():
    small, loss = rnn(T=2, hidden=2, batch=1), rnn(T=250, hidden=2, batch=1)
    budget = len(step_page(small.tape, loss=small).encode()) + 19_000  # what any page takes, and room for data
    text = step_page(loss.tape, loss=loss, budget=budget)
    assert len(text.encode()) <= budget
    assert f'"held":{len(loss.tape)}' not in text
    order = order_of(loss.tape, ancestors(loss.tape, loss.index), most=400)
    assert order.steps[0] == 0 and order.steps[-1] == 249 and 0 < order.kept.sum() < 600


@pytest.mark.parametrize("name", LOSSES)
def test_increments_of_all_arrows_add_up_to_each_gradient(name):
    loss = LOSSES[name]()
    loss.backward(seed=1.0)
    edges, tape = Edges(loss.tape), loss.tape
    sums: dict[int, np.ndarray] = {}
    for i in np.flatnonzero(ancestors(tape, loss.index)).tolist():
        for place, j in enumerate(tape.inputs(i)):
            increment = edges.edge(i, place).increment
            if increment is not None:
                sums[j] = sums.get(j, 0) + increment.astype(np.float64)
    assert len(sums) > 10
    for j, total in sums.items():
        np.testing.assert_allclose(total, tape.executor.grad(j), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_norms_of_local_jacobians_are_those_of_the_full_matrices(name):
    loss = LOSSES[name]()
    loss.backward(seed=1.0)
    edges, tape, seen = Edges(loss.tape), loss.tape, set()
    for i in np.flatnonzero(ancestors(tape, loss.index)).tolist():
        op = tape.node(i).op
        for place, j in enumerate(tape.inputs(i)):
            edge = edges.edge(i, place)
            if edge.increment is None or (op, place) in seen:
                continue
            seen.add((op, place))
            full = edges._dense(i, place, edges.values[i], edges.values[j])
            np.testing.assert_allclose(edge.norm, np.linalg.norm(full.astype(np.float64)), rtol=1e-5)
    assert len(seen) > 5


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_walk_is_topological(name):
    loss = LOSSES[name]()
    order = order_of(loss.tape, ancestors(loss.tape, loss.index))
    place = {i: n for n, i in enumerate(order.nodes.tolist())}
    assert order.nodes[-1] == loss.index and order.kept.all()
    assert all(place[j] < place[i] for i in place for j in loss.tape.inputs(i))


def test_a_tree_is_walked_by_height_and_a_chain_by_time():
    loss = tree()
    order = order_of(loss.tape, ancestors(loss.tape, loss.index))
    heights = order.group[order.group >= 0]
    assert order.kind == "tree" and (np.diff(heights) >= 0).all() and set(heights) == {0, 1, 2, 3}
    chain = rnn(T=5)
    order = order_of(chain.tape, ancestors(chain.tape, chain.index))
    times = order.group[order.group >= 0]
    assert order.kind == "chain" and (np.diff(times) >= 0).all() and times[-1] == 4
    assert order.group[-1] == AFTER
    bare = loop()
    assert order_of(bare.tape, ancestors(bare.tape, bare.index)).kind == "bare"


def test_memory_rises_forward_and_falls_backward():
    """y = tanh(w x), L = sum(y): y is held for its own vjp, and w x only until tanh has run."""
    w = ts.Parameter(np.ones(8), "w")
    with ts.Tape() as tape:
        loss = ts.sum(ts.tanh(w * ts.tensor(np.ones(8))))
    loss.backward(seed=1.0)
    nodes = np.flatnonzero(ancestors(tape, loss.index))
    needed = {i for i in nodes.tolist() if tape.node(i).op != "input"}
    # after: nothing, w x, tanh, sum | vjp of sum, of tanh, of mul; a number is 8 bytes
    assert live_bytes(tape, nodes, needed).tolist() == [0, 64, 128, 72, 136, 192, 128]


def test_every_op_has_words_with_a_slope_for_every_gradient():
    leaves = {"input", "parameter", "constant"}
    assert {name for name, op in OPS.items() if op.words} == OPS.keys() - leaves
    for name in OPS.keys() - leaves:
        gradients = {0} if OPS[name].joins else set(OPS[name].vjp)
        assert all(OPS[name].partials[place] for place in gradients), name


def test_the_pool_keeps_equal_arrays_once_and_samples_within_its_budget():
    pool = Pool()
    a = np.arange(100.0)
    assert pool.put(a) == pool.put(a.reshape(10, 10)) == 0
    assert pool.put(a.astype("f")) == 1 and pool.put(None) == -1
    assert pool.cap(4 * 1200) == 0 and pool.cap(700) == 32
    assert sampled(100, 4).tolist() == [0, 25, 50, 75]


def test_script_json_is_safe_and_knows_what_is_not_finite():
    import json

    text = script_json({"a": [np.nan, np.inf, -np.inf, 1.5, np.float32(2)], "b": "</script>&\u2028\ud800"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["a"] == ["NaN", "Infinity", "-Infinity", 1.5, 2.0]
    assert json.loads(text)["b"].startswith("</script>&\u2028")


def test_the_loss_is_found_by_tensor_by_name_and_alone(tmp_path):
    loss = rnn()
    assert find_loss(loss.tape, None).index == find_loss(loss.tape, "L").index == loss.index
    assert loss.tape.to_html(tmp_path / "x.html") == tmp_path / "x.html"


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: ts.Tape(), {}, "the tape is empty"),
        (lambda: rnn().tape, {"loss": "M"}, "no scalar named 'M' on this tape; its names are"),
        (lambda: rnn().tape, {"loss": 3}, "loss is a tensor of this tape or its name, got int"),
        (lambda: rnn().tape, {"loss": rnn()}, "the loss is on another tape"),
        (lambda: rnn().tape, {"compare": "lstm"}, "compare is a loss"),
        (lambda: rnn().tape, {"learning_rate": np.nan}, "learning_rate is a finite number"),
    ],
)
def test_what_cannot_be_stepped_through(tmp_path, make, options, message):
    with pytest.raises(ts.TinyseqError, match=message):
        make().to_html(tmp_path / "x.html", **options)
    assert not (tmp_path / "x.html").exists()


def test_losses_without_a_backward_pass(tmp_path):
    with ts.Tape() as tape:
        total = ts.sum(ts.tensor(np.ones(3)))
    with pytest.raises(ts.TinyseqError, match="depends on no parameter"):
        tape.to_html(tmp_path / "x.html", loss=total)
    w = ts.Parameter(np.ones(3), "w")
    with ts.Tape() as tape:
        y = w * w
        ts.sum(y)
        ts.mean(y)
    with pytest.raises(ts.TinyseqError, match=r"a loss is one number, got shape \(3,\)"):
        tape.to_html(tmp_path / "x.html", loss=y)
    with pytest.raises(ts.TinyseqError, match="This tape has 2 scalars that nothing else reads"):
        tape.to_html(tmp_path / "x.html")
    with pytest.raises(ts.TinyseqError, match="there is no folder"):
        rnn().tape.to_html(tmp_path / "gone" / "x.html")


def test_the_strip_has_the_states_of_encoder_and_decoder_the_last_under_another_name_too(tmp_path):
    r = np.random.default_rng(0)
    net = ts.nn.EncoderDecoder(ts.nn.RNNCell(3, 4, rng=r, dtype=np.float64), 5, 4, rng=r)
    with ts.Tape() as tape:
        loss = net.loss(r.normal(size=(4, 1, 3)), r.integers(0, 5, (3, 1)))
    text = tape.to_html(tmp_path / "a.html", loss=loss).read_text("utf-8")
    tracks = json.loads(re.search(r'"tracks":(\[.*?\])', text)[1])
    sizes = {track["name"]: len(base64.b64decode(track["node"])) // 4 for track in tracks}
    assert sizes == {"h1": 4, "h2": 4}  # of 4 inputs; of 3 words and the end
