"""Weights both ways: PyTorch's modules and ours give the same outputs, states and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.nn.torch_weights import from_torch, to_torch
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
F, H = 3, 4
KINDS = ("RNN", "LSTM", "GRU")


def arrays(module: Any) -> dict[str, np.ndarray]:
    return {name: t.detach().numpy().copy() for name, t in module.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_the_same_net(kind: str, layers: int, both: bool, ragged: bool, torch: Any, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(F, H, num_layers=layers, bidirectional=both, dtype=torch.float64)
    ours = from_torch(arrays(theirs))
    lengths = (2, 5, 3) if ragged else (5, 5, 5)
    x = rng.standard_normal((5, 3, F))
    given = torch.tensor(x, requires_grad=True)
    if ragged:
        packed = torch.nn.utils.rnn.pack_padded_sequence(given, lengths, enforce_sorted=False)
        outputs, final = theirs(packed)
        outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs)
    else:
        outputs, final = theirs(given)
    (outputs**2).sum().backward()
    with Tape():
        leaf = ts.tensor(x)
        encoded = ours.encode(leaf, lengths) if ragged else ours.encode(leaf)
        loss = ts.sum(encoded.outputs * encoded.outputs)
        unpacked, last = encoded.unpacked(), encoded.last.value
    loss.backward()
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(unpacked[b], outputs.detach().numpy()[:n, b], rtol=1e-10)
    h = (final[0] if kind == "LSTM" else final).detach().numpy()
    np.testing.assert_allclose(last, np.concatenate([h[-2], h[-1]], axis=1) if both else h[-1], rtol=1e-10)
    np.testing.assert_allclose(leaf.grad, given.grad.numpy(), rtol=1e-9, atol=1e-12)
    for p in ours.parameters():
        p.value = p.grad.copy()  # to_torch of the gradients gives PyTorch's layout
    for name, grad in to_torch(ours).items():
        if not name.startswith("bias_hh"):
            np.testing.assert_allclose(grad, dict(theirs.named_parameters())[name].grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: str, torch: Any, rng: np.random.Generator) -> None:
    cells = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
    make: Any = cells[kind]
    layers = [
        nn.Bidirectional(make(F, H, rng=rng), make(F, H, rng=rng)),
        nn.Bidirectional(make(2 * H, H, rng=rng), make(2 * H, H, rng=rng)),
    ]
    net = twins.randomise(nn.Stack(layers), rng)
    theirs = getattr(torch.nn, kind)(F, H, num_layers=2, bidirectional=True)
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in to_torch(net).items()})
    again = from_torch(arrays(theirs))
    x = rng.standard_normal((4, 2, F)).astype(np.float32)
    with Tape():
        one, two = net.encode(x).outputs.value, again.encode(x).outputs.value
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(theirs(torch.tensor(x))[0].detach().numpy(), one, rtol=1e-4, atol=1e-6)
    stack = nn.StackedCells([make(F, H, rng=rng), make(H, H, rng=rng)])
    assert set(to_torch(stack)) == set(getattr(torch.nn, kind)(F, H, num_layers=2).state_dict())


def test_relu_units(torch: Any, rng: np.random.Generator) -> None:
    theirs = torch.nn.RNN(F, H, nonlinearity="relu", dtype=torch.float64)
    ours = from_torch(arrays(theirs), nonlinearity="relu")
    x = rng.standard_normal((4, 2, F))
    with Tape():
        outputs = ours.encode(x).outputs.value
    np.testing.assert_allclose(outputs, theirs(torch.tensor(x))[0].detach().numpy(), rtol=1e-10)
    np.testing.assert_array_equal(to_torch(ours)["weight_hh_l0"], arrays(theirs)["weight_hh_l0"])


def test_without_biases(torch: Any, rng: np.random.Generator) -> None:
    theirs = torch.nn.GRU(F, H, bias=False, dtype=torch.float64)
    x = rng.standard_normal((4, 2, F))
    with Tape():
        ours = from_torch(arrays(theirs)).encode(x).outputs.value
    np.testing.assert_allclose(ours, theirs(torch.tensor(x))[0].detach().numpy(), rtol=1e-10)


def test_errors_name_the_array(rng: np.random.Generator) -> None:
    state = to_torch(nn.LSTMCell(F, H, rng=rng))
    for message, act in {
        r"expected weight_hh_l0 and so on": lambda: from_torch({"U": np.zeros(3)}),
        r"has no weight_ih_l0": lambda: from_torch({"weight_hh_l0": np.zeros((4, 4))}),
        r"weight_hh_l0 has shape \(8, 4\)": lambda: from_torch({**state, "weight_hh_l0": np.zeros((8, 4))}),
        r"bias_hh_l0 has shape \(3,\), expected \(16,\)": lambda: from_torch({**state, "bias_hh_l0": np.zeros(3)}),
        r"\['weight_hr_l0'\]; projections": lambda: from_torch({**state, "weight_hr_l0": np.zeros((2, 4))}),
        r"squashes by tanh": lambda: to_torch(nn.LSTMCell(F, H, rng=rng, squash="sigmoid")),
        r"resets after the product": lambda: to_torch(nn.GRUCell(F, H, rng=rng, reset_after=False)),
        r"no counterpart of DeepTransition": lambda: to_torch(nn.DeepTransition(F, H, rng=rng)),
        r"has no peepholes": lambda: to_torch(nn.LSTMCell(F, H, rng=rng, peepholes="book")),
        r"no layer normalisation": lambda: to_torch(nn.RNNCell(F, H, rng=rng, layer_norm=True)),
        r"this net sums them": lambda: to_torch(
            nn.Bidirectional(nn.RNNCell(F, H, rng=rng), nn.RNNCell(F, H, rng=rng), merge="sum")
        ),
    }.items():
        with pytest.raises(ts.TinyseqError, match=message):
            act()
