"""Whole models from and to PyTorch's state dicts: the same outputs both ways, and clear errors for other dicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import DtypeError, TinyseqError
from tinyseq.exchange import from_torch, load_torch, to_torch

KINDS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def tensors(torch: Any, state: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in state.items()}


def changed(model: Any, rng: np.random.Generator) -> Any:
    for parameter in model.parameters():
        parameter.value[...] = rng.normal(0, 0.4, parameter.shape)
    return model


class Classifier:
    """A model as one writes it in PyTorch: names of its own before the arrays."""

    def __init__(self, torch: Any, kind: str, layers: int, both: bool, tokens: bool) -> None:
        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = torch.nn.Embedding(7, 3) if tokens else None
                self.body = getattr(torch.nn, KINDS[kind])(3, 4, layers, bidirectional=both)
                self.body2 = torch.nn.Linear(3, 3)  # a stranger whose name begins alike
                self.fc = torch.nn.Linear(8 if both else 4, 2)

            def forward(self, x: Any) -> Any:
                return self.fc(self.body(x if self.table is None else self.table(x))[0])

        self.net = Net().double()


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_both_ways(
    kind: str, layers: int, both: bool, tokens: bool, torch: Any, rng: np.random.Generator
) -> None:
    embedding = {"embedding": 3} if tokens else {}
    encoder = nn.recurrent(
        kind, 7 if tokens else 3, 4, num_layers=layers, bidirectional=both, dropout=0.5, rng=rng, dtype=np.float64,
        **embedding,
    )  # fmt: skip
    model = changed(nn.ManyToMany(encoder, 2, rng=rng), rng)
    prefix = {**({"embedding": "table"} if tokens else {}), "encoder": "body", "output": "fc"}
    theirs = Classifier(torch, kind, layers, both, tokens).net
    theirs.load_state_dict(tensors(torch, to_torch(model, prefix)), strict=False)
    x = rng.integers(0, 7, (6, 5)) if tokens else rng.normal(size=(6, 5, 3))
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model(x), expected, atol=1e-12)
    torch.manual_seed(1)
    other = Classifier(torch, kind, layers, both, tokens).net
    load_torch(model, other.state_dict(), prefix)
    np.testing.assert_allclose(model(x), other(torch.from_numpy(x)).detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_nets_with_an_output_and_cells(kind: str, torch: Any, rng: np.random.Generator) -> None:
    model = changed(getattr(nn, KINDS[kind])(3, 4, 2, rng=rng, dtype=np.float64), rng)
    state = to_torch(model)
    assert {name.split(".")[0] for name in state} == {"encoder", "output"}
    theirs = getattr(torch.nn, KINDS[kind])(3, 4).double()
    theirs.load_state_dict(tensors(torch, {k[8:]: v for k, v in state.items() if k.startswith("encoder.")}))
    fc = torch.nn.Linear(4, 2).double()
    fc.load_state_dict(tensors(torch, {k[7:]: v for k, v in state.items() if k.startswith("output.")}))
    x = rng.normal(size=(5, 2, 3))
    np.testing.assert_allclose(model(x), fc(theirs(torch.from_numpy(x))[0]).detach().numpy(), atol=1e-12)
    cell = getattr(torch.nn, f"{KINDS[kind]}Cell")(3, 4).double()
    mine = (
        type(model.cell)(3, 4, rng=rng, dtype=np.float64)
        if kind != "rnn"
        else nn.RNNCell(3, 4, rng=rng, dtype=np.float64)
    )
    load_torch(mine, cell.state_dict())
    h = cell(torch.from_numpy(x[0]))
    h = h[0] if isinstance(h, tuple) else h
    np.testing.assert_allclose(mine(x)[0], h.detach().numpy(), atol=1e-12)


def test_layers_by_themselves(torch: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 3))
    for mine, theirs in (
        (nn.Linear(3, 5, rng=rng, dtype=np.float64), torch.nn.Linear(3, 5)),
        (nn.Linear(3, 5, rng=rng, dtype=np.float64, bias=False), torch.nn.Linear(3, 5, bias=False)),
        (nn.LayerNorm(3, dtype=np.float64), torch.nn.LayerNorm(3)),
    ):
        changed(mine, rng)
        theirs.double().load_state_dict(tensors(torch, to_torch(mine)))
        np.testing.assert_allclose(mine(x), theirs(torch.from_numpy(x)).detach().numpy(), atol=1e-12)


def test_without_biases_and_with_projections(torch: Any, rng: np.random.Generator) -> None:
    theirs = torch.nn.LSTM(3, 4, bias=False, proj_size=2).double()
    mine = nn.LSTMCell(3, 4, projection_size=2, rng=rng, dtype=np.float64)
    load_torch(mine, {f"m.{k}": v for k, v in theirs.state_dict().items()}, "m")
    x = rng.normal(size=(5, 2, 3))
    np.testing.assert_allclose(mine(x), theirs(torch.from_numpy(x))[0].detach().numpy(), atol=1e-12)
    assert not mine.f.b.value.any()


def test_a_relu_net_stays_one(torch: Any, rng: np.random.Generator) -> None:
    theirs = torch.nn.RNN(3, 4, 2, nonlinearity="relu").double()
    mine = nn.Stack([nn.RNNCell(n, 4, squash="relu", rng=rng, dtype=np.float64) for n in (3, 4)])
    load_torch(mine, theirs.state_dict())
    x = rng.normal(size=(5, 2, 3))
    np.testing.assert_allclose(mine(x), theirs(torch.from_numpy(x))[0].detach().numpy(), atol=1e-12)


def state_of(rng: np.random.Generator) -> tuple[Any, dict[str, np.ndarray]]:
    model = nn.ManyToOne(nn.LSTMCell(3, 4, rng=rng), 2, rng=rng)
    return model, to_torch(model, {"encoder": "rnn", "output": "fc"})


def test_wrong_state_dicts_are_refused_whole(rng: np.random.Generator) -> None:
    model, state = state_of(rng)
    prefix = {"encoder": "rnn", "output": "fc"}
    before = model.state_dict()
    hh = state["rnn.weight_hh_l0"]
    for wrong, said in (
        ({k: v for k, v in state.items() if "weight_hh" not in k}, r"lacks \['rnn.weight_hh_l0'\] for the encoder"),
        ({**state, "rnn.weight_hh_l1": hh}, r"has \['rnn.weight_hh_l1'\].*more layers"),
        ({**state, "rnn.weight_hh_l0": hh.T}, "looks transposed"),
        (
            {**state, "fc.weight": np.zeros((3, 4), np.float32)},
            r"fc.weight has shape \(3, 4\), the model needs \(2, 4\)",
        ),
        ({**state, "fc.weight": state["fc.weight"].T}, "looks transposed"),
        ({f"model.{k}": v for k, v in state.items()}, r"there is model.rnn.bias_hh_l0: prefix 'model.rnn.'"),
        ({k: v.astype(np.float64) for k, v in state.items()}, "float64, the model is float32"),
        ({**state, "fc.bias": np.array(["a", "b"])}, "fc.bias is"),
        ({**state, "fc.bias": np.array([1, 2])}, "fc.bias is int64"),
    ):
        with pytest.raises((TinyseqError, DtypeError), match=said):
            load_torch(model, wrong, prefix)
        assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
    with pytest.raises(TinyseqError, match="a dict of arrays by name"):
        load_torch(model, 3, prefix)
    with pytest.raises(TinyseqError, match="has 2 parts; give a prefix for each"):
        load_torch(model, state, "rnn")
    with pytest.raises(TinyseqError, match="prefixes are given by part"):
        load_torch(model, state, {"encoder": "rnn", "head": "fc"})
    load_torch(model, state, prefix)


def test_what_pytorch_has_not_is_named(rng: np.random.Generator) -> None:
    for model, said in (
        (nn.ClockworkCell(3, 4, rng=rng), "no counterpart of ClockworkCell"),
        (nn.TreeLSTM(3, 4, 2, rng=rng), "no counterpart of TreeLSTM"),
        (nn.LSTMCell(3, 4, peepholes="gers", rng=rng), "no peepholes"),
        (nn.GRUCell(3, 4, reset_after=False, rng=rng), "resets after"),
        (nn.RNN(3, 4, 2, learn_initial_state=True, rng=rng), "no initial state"),
        (nn.StackedCells([nn.RNNCell(3, 4, rng=rng), nn.RNNCell(7, 4, rng=rng)], skip=True), "skip"),
        (nn.recurrent("gru", 3, 4, layer_norm=True, rng=rng), "layer 1, LayerNorm"),
        (nn.Bidirectional(nn.RNNCell(3, 4, rng=rng), nn.RNNCell(3, 4, rng=rng), merge="sum"), "concatenates"),
    ):
        with pytest.raises(TinyseqError, match=said):
            to_torch(model)


def test_shared_weights_are_written_for_each_that_reads_them(rng: np.random.Generator) -> None:
    cell, other = nn.RNNCell(3, 3, rng=rng), nn.RNNCell(3, 3, rng=rng)
    other.a.W = cell.a.W
    state = to_torch(nn.Stack([cell, other]))
    assert np.array_equal(state["weight_hh_l0"], state["weight_hh_l1"])
    assert from_torch(state).layers[0].a.W is not from_torch(state).layers[1].a.W
    assert ts.exchange.from_torch is from_torch
