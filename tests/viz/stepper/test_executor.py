# ruff: noqa: E501  (a script)
"""The page's executor beside the reference in float64: every row of op samples, every net, random programs."""

from __future__ import annotations

import base64
import warnings
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests import naive
from tests.ops.samples import SAMPLES, Sample
from tests.viz.stepper.shaken import Bounds
from tinyseq import nn
from tinyseq.checking.numbered import program_of
from tinyseq.checking.running import Run
from tinyseq.ops import OPS
from tinyseq.tape import DTYPES
from tinyseq.viz.stepper.pool import script_json
from tinyseq.viz.stepper.scripts import ops_script, without_script

TESTER = """
window.tried = (text) => {
  const revived = (_, v) => (v === "NaN" ? NaN : v === "Infinity" ? Infinity : v === "-Infinity" ? -Infinity : v);
  const { nodes, leaves, loss, seed } = JSON.parse(text, revived), values = [];
  const unpacked = (t) => new Float64Array(Uint8Array.from(atob(t), (c) => c.charCodeAt(0)).buffer);
  const packed = (a) => {
    const bytes = new Uint8Array(Float64Array.from(a).buffer);
    let raw = "";
    for (const b of bytes) raw += String.fromCharCode(b);
    return btoa(raw);
  };
  for (const [n, t] of leaves) values[n] = ARRAYS[nodes[n].dtype].from(unpacked(t));
  const executor = new Executor(nodes, values);
  executor.forward((n) => leaves.some(([m]) => m === n));
  const grads = loss < 0 ? [] : executor.backward(loss, undefined, seed === null ? null : ARRAYS[nodes[loss].dtype].from(unpacked(seed)));
  return [values.map(packed), grads.map((g) => g && packed(g))];
};
"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Any:
    """An empty page with the executor and all ops."""
    opened = browser.new_page()
    executor = files("tinyseq.viz.stepper").joinpath("assets", "executor.js").read_text("utf-8")
    opened.set_content("<!doctype html><title>executor</title>")
    opened.add_script_tag(content=f"(() => {{\n'use strict';\n{ops_script(OPS)}\n{executor}\n{TESTER}}})();")
    yield opened
    opened.close()


def text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<f8").tobytes()).decode()


def array(given: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(given), "<f8")


def close(got: np.ndarray, want: np.ndarray, within: np.ndarray, what: str) -> None:
    """Each element within its bound of the reference's; NaN and infinities in the same places."""
    want = np.asarray(want, np.float64).reshape(-1)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=what)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=what)
    for i in np.flatnonzero(finite):
        assert abs(got[i] - want[i]) <= within[i], f"{what}: {got[i]!r}, not {want[i]!r} within {within[i]:.3g}"


def beside(page: Any, executor: ts.Reference, loss: int | None, seed: Any = None) -> int:
    """Compare all values and all gradients of a tape that the reference has run; how many arrays."""
    tape = executor.tape
    nodes, leaves = [], []
    for i in range(len(tape)):
        kind = tape.kind_of(i)
        nodes.append({
            "op": kind.op, "attrs": dict(kind.attrs), "arg": int(tape.arg[i]), "shape": tape.shape(i),
            "dtype": np.dtype(DTYPES[kind.dtype]).name, "inputs": tape.inputs(i),
        })  # fmt: skip
        executor.forward(i)
        if OPS[kind.op].leaf in ("data", "parameter"):
            leaves.append((i, text(executor.values[i])))
    packed = None if seed is None else text(seed)
    given = script_json({"nodes": nodes, "leaves": leaves, "loss": -1 if loss is None else loss, "seed": packed})
    values, grads = page.evaluate("(text) => window.tried(text)", given)
    data = {i: executor.values[i] for i in range(len(tape)) if OPS[tape.kind_of(i).op].leaf == "data"}
    bounds = Bounds(executor, data, loss, seed)
    for i, got in enumerate(values):
        close(array(got), executor.values[i], bounds.value(i), f"value of %{i}, {nodes[i]['op']}")
    for i, got in enumerate(grads):
        want = executor.grads.get(i)
        assert (got is None) == (want is None), f"gradient of %{i}, {nodes[i]['op']}"
        if want is not None:
            close(array(got), want, bounds.gradient(i), f"gradient of %{i}, {nodes[i]['op']}")
    return len(values) + len(executor.grads)


def test_every_op_of_the_package_has_a_script() -> None:
    assert without_script(OPS) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_row_of_the_samples(page: Any, sample: Sample) -> None:
    with ts.Tape(executor=ts.Reference) as tape:
        arrays = sample.draw()
        entered = naive.leaves(arrays)
        y = sample.f(*entered)
    executor = tape.executor
    value = executor.value(y.index)
    if not executor.parameters_below(y.index) or value.dtype == np.int64:
        assert beside(page, executor, None)
        return
    seed = np.random.default_rng(1).standard_normal(value.shape)
    executor.differentiate(y.index, seed)
    assert beside(page, executor, y.index, seed=seed)


X = np.random.default_rng(1).standard_normal((5, 2, 3))
TOKENS = np.random.default_rng(2).integers(0, 3, (5, 2))
FOREST = ts.Forest([ts.Tree.from_brackets("((a b) (c d))"), ts.Tree.from_brackets("(a (b c))")])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def unfolded(cell: Any) -> ts.Tensor:
    return ts.sum(ts.tanh(ts.unfold(cell, ts.Chain(5), ts.tensor(X), cell.initial_state(2)).outputs))


def tree(made: Any) -> Any:
    return lambda: made(3, 4, 2, rng=rng(), dtype=F64).loss(
        FOREST, np.concatenate([X[:4, 0], X[:3, 1]]), np.array([1, 0])
    )


F64 = np.float64
NETS: dict[str, Any] = {
    "RNN": lambda: nn.RNN(3, 4, 3, rng=rng(), dtype=F64, learn_initial_state=True).loss(TOKENS, TOKENS),
    "LSTM": lambda: nn.LSTM(3, 4, 3, rng=rng(), dtype=F64, projection_size=2).loss(TOKENS, TOKENS),
    "GRU": lambda: nn.GRU(3, 4, 3, rng=rng(), dtype=F64, reset_after=False).loss(TOKENS, TOKENS),
    "RNNCell": lambda: unfolded(nn.RNNCell(3, 4, rng=rng(), dtype=F64, layer_norm=True)),
    "LSTMCell": lambda: unfolded(nn.LSTMCell(3, 4, rng=rng(), dtype=F64, peepholes="book")),
    "GRUCell": lambda: unfolded(nn.GRUCell(3, 4, rng=rng(), dtype=F64, squash="sigmoid")),
    "LeakyCell": lambda: unfolded(nn.LeakyCell(3, 4, rng=rng(), dtype=F64, learn_alpha=True)),
    "SkipCell": lambda: unfolded(nn.SkipCell(3, 4, rng=rng(), dtype=F64, delays=(1, 3))),
    "ClockworkCell": lambda: unfolded(nn.ClockworkCell(3, 4, rng=rng(), dtype=F64)),
    "DeepTransition": lambda: unfolded(nn.DeepTransition(3, 4, rng=rng(), dtype=F64, skip=True)),
    "MemoryCell": lambda: unfolded(nn.MemoryCell(nn.LSTMCell(5, 4, rng=rng(), dtype=F64), 3, 2, rng=rng())),
    "StackedCells": lambda: unfolded(
        nn.StackedCells([nn.GRUCell(3, 4, rng=rng(), dtype=F64), nn.RNNCell(4, 4, rng=rng(), dtype=F64)])
    ),
    "Bidirectional": lambda: ts.sum(
        nn.Bidirectional(nn.LSTMCell(3, 4, rng=rng(), dtype=F64), nn.GRUCell(3, 4, rng=rng(), dtype=F64))
        .encode(X, np.array([5, 3]))
        .last
    ),
    "OutputRecurrence": lambda: nn.OutputRecurrence(3, 4, 3, rng=rng(), dtype=F64).loss(X, TOKENS, teacher=False),
    "FeedbackRNN": lambda: nn.FeedbackRNN(3, 4, 3, rng=rng(), cell="gru", dtype=F64).loss(X, TOKENS),
    "SequenceModel": lambda: nn.SequenceModel(4, 5, rng=rng(), dtype=F64, length="halt").loss(TOKENS),
    "ManyToOne": lambda: nn.ManyToOne(nn.LSTMCell(3, 4, rng=rng(), dtype=F64), 2, rng=rng()).loss(X, np.array([0, 1])),
    "ManyToMany": lambda: nn.ManyToMany(nn.GRUCell(3, 4, rng=rng(), dtype=F64), 3, rng=rng()).loss(
        X, TOKENS, np.array([5, 3])
    ),
    "EncoderDecoder": lambda: nn.EncoderDecoder(
        nn.LSTMCell(3, 4, rng=rng(), dtype=F64), 6, 5, rng=rng(), attention=True
    ).loss(X, TOKENS),
    "RecursiveNet": tree(nn.RecursiveNet),
    "TreeLSTM": tree(nn.TreeLSTM),
    "ChildSumTreeLSTM": tree(nn.ChildSumTreeLSTM),
    "RNTN": tree(nn.RNTN),
}


@pytest.mark.parametrize("net", NETS)
def test_every_net(page: Any, net: str) -> None:
    with ts.Tape(executor=ts.Reference) as tape:
        loss = NETS[net]()
    assert loss.dtype == np.float64
    tape.executor.differentiate(loss.index)
    assert beside(page, tape.executor, loss.index)


def test_programs_at_random(page: Any) -> None:
    assert sum(program_runs(page, seed) for seed in range(60)) > 50


@pytest.mark.slow
def test_a_thousand_programs_at_random(page: Any) -> None:
    assert sum(program_runs(page, seed) for seed in range(1100)) >= 1000


def program_runs(page: Any, seed: int) -> bool:
    program, _ = program_of(seed)
    try:
        run = Run(program)
    except ts.errors.TinyseqError:  # a program that is refused when it is recorded
        return False
    executor = ts.Reference(run.tape)
    executor.values.update({i: v.copy() for i, v in run.leaves(0).items()})
    loss: int | None = run.loss
    try:
        executor.differentiate(run.loss)
    except ts.errors.GradientError:  # a loss that depends on no parameter
        loss = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return beside(page, executor, loss) > 0
