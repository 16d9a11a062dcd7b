"""Exports to ONNX run by onnxruntime: the values of the reference, other lengths and batches, clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.exchange.nets import CELLS, LENGTHS, NETS, case, values
from tinyseq import nn
from tinyseq.errors import CallError, FileError, OpError, ShapeError, TinyseqError
from tinyseq.exchange import Input, to_onnx
from tinyseq.exchange.signatures import logits
from tinyseq.nn.module import modules

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}


def run(model: Any, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, given)


def close(found: list[np.ndarray], expected: list[np.ndarray], dtype: str) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [*CELLS, *NETS])
def test_every_net(kind: str, dtype: str, rng: np.random.Generator) -> None:
    made = case(kind, rng, np.dtype(dtype))
    model = to_onnx(made.model, **made.options)
    close(run(model, made.given), made.expected, dtype)


NOT_OVER_SEQUENCES = {
    "Attention", "Cell", "Decoded", "Dropout", "EchoState", "Embedding", "Encoded", "InContext", "LayerNorm", "Module",
    "Packed", "RecursiveLeastSquares", "Ridge", "Sequential", "Standardise",
    "ChildSumTreeLSTM", "RNTN", "RecursiveNet", "TreeCell", "TreeLSTM", "TreeNet",
}  # fmt: skip


def test_no_net_of_nn_is_left_out(rng: np.random.Generator) -> None:
    """Every class that runs over sequences is among the cases, as it is or inside of one."""
    there = set()
    for kind in [*CELLS, *NETS]:
        model = case(kind, rng, np.float32).model
        there |= {type(part).__name__ for part in modules(model)} if isinstance(model, nn.Module) else set()
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert classes - there - NOT_OVER_SEQUENCES == set()


@pytest.mark.parametrize("kind", ["lstm", "bidirectional", "memory", "skip", "delays", "own function", "reservoir"])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (40, 3)])
def test_other_lengths_and_batches(kind: str, size: tuple[int, int], rng: np.random.Generator) -> None:
    made = case(kind, rng, np.float32)
    exported = to_onnx(made.model, **made.options)
    x = rng.normal(size=(*size, 3)).astype(np.float32)
    if kind in ("delays", "own function"):
        expected = values(lambda: made.model(ts.tensor(x)))
    elif kind == "reservoir":
        expected = values(
            lambda: ts.unfold(made.model, ts.Chain(size[0]), x, made.model.initial_state(size[1])).outputs
        )
    else:
        encode = values(lambda: (lambda e: (e.outputs, e.last))(made.model.encode(x)))
        expected = encode
    close(run(exported, {"x": x}), expected, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", LENGTHS)
def test_lengths(kind: str, dtype: str, rng: np.random.Generator) -> None:
    """Sequences that end before T, one of them empty where that has a meaning."""
    made = case(kind, rng, np.dtype(dtype))
    lengths = np.array([9, 1 if kind == "attention" else 0, 5, 2])
    exported = to_onnx(made.model, lengths=True)
    found = run(exported, {**made.given, "lengths": lengths})
    apart = [made.given["x"][:n, i] for i, n in enumerate(lengths)]
    if kind == "embedding":
        apart = [a.astype(np.int64) for a in apart]
    if kind in ("many to one", "embedding"):
        close(found, [made.model(apart)], dtype)
        return
    if kind in ("encoder-decoder", "attention"):
        y = made.given["y"]
        log_prob = values(lambda: made.model.log_prob(apart, [y[:, i] for i in range(4)]))[0]
        o = found[0].astype(np.float64)
        o -= np.log(np.exp(o).sum(-1, keepdims=True))
        whole = np.concatenate([y, np.full((1, 4), 6)])
        np.testing.assert_allclose(np.take_along_axis(o, whole[..., None], -1).sum((0, 2)), log_prob, rtol=2e-5)
        return
    if kind == "many to many":
        expected = made.model(apart)
    else:
        with ts.Tape():
            encoded = made.model.encode(apart)
            expected = encoded.unpacked()
            close(found[1:], [encoded.last.value], dtype)
    for i, (n, one) in enumerate(zip(lengths, expected, strict=True)):
        close([found[0][:n, i]], [one], dtype)


def test_padding_does_not_matter(rng: np.random.Generator) -> None:
    made = case("bidirectional", rng, np.float32)
    exported, lengths = to_onnx(made.model, lengths=True), np.array([3, 9, 5, 1])
    other = made.given["x"].copy()
    for i, n in enumerate(lengths):
        other[n:, i] = 1e6
    first, second = (run(exported, {"x": x, "lengths": lengths}) for x in (made.given["x"], other))
    for i, n in enumerate(lengths):
        assert np.array_equal(first[0][:n, i], second[0][:n, i])
    assert np.array_equal(first[1], second[1])


def test_one_scan_for_each_unfolding(rng: np.random.Generator) -> None:
    made = case("own function", rng, np.float32)
    kinds = [node.op_type for node in to_onnx(made.model, **made.options).graph.node]
    assert kinds.count("Scan") == 2
    with pytest.raises(ShapeError, match="Python loop"):
        to_onnx(looped, inputs=[Input("x", ("T", "B", 3))])
    fixed = to_onnx(looped, inputs=[Input("x", ("T", "B", 3))], sizes={"T": 4})
    x = rng.normal(size=(4, 5, 3)).astype(np.float32)
    close(run(fixed, {"x": x}), [np.tanh(np.tanh(np.tanh(np.tanh(x[0]) + x[1]) + x[2]) + x[3])], "float32")


def looped(x: Any) -> Any:
    h = ts.tanh(x[0])
    for t in range(1, x.shape[0]):
        h = ts.tanh(h + x[t])
    return h


OPERATORS = {
    "rnn": ["RNN"], "relu": ["RNN"], "lstm": ["LSTM"], "peepholes": ["LSTM"], "gru": ["GRU"],
    "gru of the book": ["GRU"],
    "RNN": ["RNN", "Scan"], "LSTM": ["LSTM", "Scan"], "GRU": ["GRU", "Scan"], "bidirectional": ["GRU", "LSTM"],
    "layers": ["LSTM", "GRU"], "many to one": ["LSTM"] * 4, "normalised": ["Scan"], "lstm of the book": ["Scan"],
    "projection": ["Scan"], "stack": ["Scan"], "own cell": ["Scan"], "initial state": ["RNN", "Scan"],
}  # fmt: skip


@pytest.mark.parametrize("kind", OPERATORS)
def test_standard_operators_where_they_compute_the_same(kind: str, rng: np.random.Generator) -> None:
    """In float32; onnxruntime has them in no other."""
    for dtype, wanted in ((np.float32, OPERATORS[kind]), (np.float64, None)):
        made = case(kind, rng, dtype)
        exported = to_onnx(made.model, **made.options)
        found = [n.op_type for n in exported.graph.node if n.op_type in ("RNN", "LSTM", "GRU", "Scan")]
        assert found == wanted if wanted else set(found) == {"Scan"}
        close(run(exported, made.given), made.expected, np.dtype(dtype).name)


class Minimal(nn.Cell):
    """Steps of a user's that are, or nearly are, those of nn.RNNCell."""

    input_size, dtype = 3, np.dtype(np.float32)

    def __init__(self, how: str, rng: np.random.Generator) -> None:
        shapes = {"A": (4, 4), "B": (4, 3), "k": (1,) if how == "one bias" else (4,)}
        self.A, self.B, self.k = (ts.Parameter(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items())
        self.how = how

    def step(self, x: Any, h: Any) -> Any:
        seen = {"twice": x * 2, "square": x * x}.get(self.how, x)
        W = ts.tanh(self.A) if self.how == "made" else self.A
        before = h
        h = ts.tanh(self.k + ts.linear(h, W) + ts.linear(seen, self.B))
        if self.how == "both":
            return h, h + before
        return h, {"late": before, "own": h * x[:, :1] + 1, "double": h * h}.get(self.how, h)

    def initial_state(self, batch: int) -> Any:
        return ts.zeros((batch, 4))


HOW = {
    "same": ["RNN"], "double": ["RNN", "Scan"], "own": ["RNN", "Scan"], "twice": ["Scan"], "made": ["Scan"],
    "one bias": ["Scan"], "late": ["Scan"], "both": ["Scan"],
}  # fmt: skip


@pytest.mark.parametrize("how", HOW)
def test_a_users_cell_is_an_operator_only_where_it_is_the_same(how: str, rng: np.random.Generator) -> None:
    cell, x = Minimal(how, rng), rng.normal(size=(5, 2, 3)).astype(np.float32)
    exported = to_onnx(cell)
    assert [n.op_type for n in exported.graph.node if n.op_type in ("RNN", "Scan")] == HOW[how]
    expected = values(lambda: ts.unfold(cell, ts.Chain(5), x, cell.initial_state(2)).outputs)
    close(run(exported, {"x": x}), expected, "float32")


def test_weights_that_are_shared_are_written_once(rng: np.random.Generator) -> None:
    cell = nn.RNNCell(3, 3, rng=rng, dtype=np.float64)
    other = nn.RNNCell(3, 3, rng=rng, dtype=np.float64)
    other.a.W = cell.a.W
    exported = to_onnx(nn.Bidirectional(cell, other))
    assert len(exported.graph.initializer) == len({p.name for p in exported.graph.initializer})
    names = [i.name for i in exported.graph.initializer if len(i.dims) == 2]
    assert len(names) == 3, names


def test_it_is_the_net_as_it_predicts_before_it_saw_data_and_after(rng: np.random.Generator, tmp_path: Path) -> None:
    model = nn.ManyToOne(nn.recurrent("gru", 3, 4, dropout=0.5, rng=rng), 2, rng=rng)
    x, y = rng.normal(size=(6, 8, 3)).astype(np.float32), rng.integers(0, 2, 8)
    path = tmp_path / "model.onnx"
    before = run(model.to_onnx(path), {"x": x})
    assert onnxruntime.InferenceSession(str(path)).get_inputs()[0].shape == ["T", "B", 3]
    close(before, [model(x)], "float32")
    ts.train.fit(model, (list(x.swapaxes(0, 1)), y), epochs=1, rng=rng)
    after = run(model.to_onnx(), {"x": x})
    close(after, [model(x)], "float32")
    assert np.abs(after[0] - before[0]).max() > 1e-4


def test_trees_are_refused_by_name(rng: np.random.Generator) -> None:
    with pytest.raises(TinyseqError, match="TreeLSTM runs over trees"):
        to_onnx(nn.TreeLSTM(3, 4, 2, rng=rng))
    tree, cell = ts.Tree.balanced(4), nn.RecursiveNet(3, 4, 2, rng=rng)
    with pytest.raises(TinyseqError, match="is unfolded over trees"):
        to_onnx(lambda x: ts.unfold(cell, tree, x).root, inputs=[Input("x", (4, 3))])


@pytest.mark.parametrize(("length", "more"), [("halt", {}), ("count", {"max_length": 6})])
def test_a_number_of_steps_that_is_part_of_the_model_is_asked_for(
    length: str, more: dict[str, int], rng: np.random.Generator
) -> None:
    """Where sequences end is read from the graph's own length; the sizes that the message names do export."""
    model = nn.SequenceModel(4, 5, rng=rng, length=length, dtype=np.float64, **more)
    T = more.get("max_length", 20)
    for sizes in (None, {"B": 2}):
        with pytest.raises(
            TinyseqError, match=rf"length='{length}' reads which symbol is the last.*sizes={{'T': {T}}}"
        ):
            to_onnx(model, sizes=sizes)
    y = rng.integers(0, 4, (T, 3))
    close(run(to_onnx(model, sizes={"T": T}), {"y": y}), values(lambda: model.log_prob(y)), "float64")


def test_what_cannot_be_exported_says_what_to_type(rng: np.random.Generator, tmp_path: Path) -> None:
    x = Input("x", ("T", "B", 3))
    with pytest.raises(CallError, match="give its inputs"):
        to_onnx(lambda x: x)
    with pytest.raises(CallError, match="a model or a function"):
        to_onnx(nn.LSTM)
    with pytest.raises(CallError, match="one for each argument; got 3"):
        to_onnx(lambda x: x, inputs=[3])
    with pytest.raises(CallError, match="axes are numbers"):
        Input("x", ("T", 0))
    with pytest.raises(CallError, match="float32, float64 or int64"):
        Input("x", ("T",), "float16")
    with pytest.raises(CallError, match="no input has an axis 'Q'"):
        to_onnx(nn.RNN(3, 4, 2, rng=rng), sizes={"Q": 3})
    with pytest.raises(CallError, match="needs no lengths"):
        to_onnx(nn.RNN(3, 4, 2, rng=rng), lengths=True)
    with pytest.raises(ShapeError, match="lengths=True"):
        to_onnx(lambda x: nn.RNNCell(3, 4, rng=rng).encode(x, lengths=(3,) * x.shape[1]).outputs, inputs=[x])
    with pytest.raises(TinyseqError, match="truncation"):
        cell = nn.RNNCell(3, 4, rng=rng)
        to_onnx(
            lambda x: (
                ts.unfold(cell, ts.Chain(x.shape[0]), x, cell.initial_state(x.shape[1]), truncate=ts.Chunk(2)).outputs
            ),
            inputs=[x],
        )
    with pytest.raises(FileError, match="cannot be written"):
        to_onnx(nn.RNN(3, 4, 2, rng=rng), tmp_path / "no" / "model.onnx")


def test_an_op_without_a_form_is_named_with_its_cell_and_line(rng: np.random.Generator, monkeypatch: Any) -> None:
    from tinyseq.exchange import forms

    monkeypatch.delitem(forms.FORMS, "softplus")
    cell = nn.MemoryCell(nn.RNNCell(7, 4, rng=rng), 5, 4, rng=rng)
    with pytest.raises(
        OpError, match=r"op 'softplus'.* of the cell 'memory', .*explicit_memory.py:\d+ has no form in ONNX"
    ):
        to_onnx(cell)


def test_an_op_of_ones_own_brings_its_form(rng: np.random.Generator, monkeypatch: Any) -> None:
    from tinyseq.exchange import forms, to_numpy

    monkeypatch.setitem(forms.FORMS, "relu", forms.Form())
    inputs = [Input("x", ("B", 3))]
    with pytest.raises(OpError, match="no form in ONNX"):
        to_onnx(lambda x: ts.relu(x), inputs=inputs)
    with pytest.raises(OpError, match="has its forms already"):
        ts.exchange.form("relu", onnx="Relu")
    with pytest.raises(OpError, match="no op 'cumsun'"):
        ts.exchange.form("cumsun", onnx="CumSum")
    monkeypatch.delitem(forms.FORMS, "relu")
    ts.exchange.form(
        "relu", onnx=lambda w, o, x: w.node("Max", x[0], w.array(0.0, o.dtype)), numpy="np.maximum({0}, 0)"
    )
    x = rng.normal(size=(4, 3)).astype(np.float32)
    close(run(to_onnx(lambda x: ts.relu(x), inputs=inputs), {"x": x}), [np.maximum(x, 0)], "float32")
    assert "np.maximum" in to_numpy(lambda x: ts.relu(x), inputs=inputs)


def test_logits_of_an_encoder_decoder_are_those_of_its_log_prob(rng: np.random.Generator) -> None:
    made = case("attention", rng, np.float64)
    x, y = made.given.values()
    o = values(lambda: logits(made.model, ts.tensor(x), ts.tensor(y)))[0]
    o = o - np.log(np.exp(o).sum(-1, keepdims=True))
    whole = np.concatenate([y, np.full((1, y.shape[1]), 6)])
    expected = values(lambda: made.model.log_prob(x, y))[0]
    np.testing.assert_allclose(np.take_along_axis(o, whole[..., None], -1).sum((0, 2)), expected)
