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


# -- state dicts as people have them -----------------------------------------------------------------------------------
def run_ours(net: Any, x: np.ndarray) -> np.ndarray:
    with Tape():
        return net.encode(x).outputs.value


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_projections(layers: int, both: bool, bias: bool, torch: Any, rng: np.random.Generator) -> None:
    torch.manual_seed(1)
    theirs = torch.nn.LSTM(F, H, num_layers=layers, bidirectional=both, bias=bias, proj_size=2, dtype=torch.float64)
    ours = from_torch(theirs.state_dict())
    x = rng.standard_normal((5, 3, F))
    given = torch.tensor(x, requires_grad=True)
    outputs, (h, _) = theirs(given)
    (outputs**2).sum().backward()
    with Tape():
        leaf = ts.tensor(x)
        encoded = ours.encode(leaf)
        loss = ts.sum(encoded.outputs * encoded.outputs)
        loss.backward()
        np.testing.assert_allclose(encoded.outputs.value, outputs.detach().numpy(), rtol=1e-10)
        np.testing.assert_allclose(leaf.grad, given.grad.numpy(), rtol=1e-9, atol=1e-12)
        last = h.detach().numpy()
        np.testing.assert_allclose(encoded.last.value, np.concatenate([last[-2], last[-1]], 1) if both else last[-1])
    back = to_torch(ours)
    for name, tensor in theirs.state_dict().items():
        if name.startswith("weight"):
            np.testing.assert_array_equal(back[name], tensor.numpy(), err_msg=name)
    assert back.keys() >= theirs.state_dict().keys()


def test_a_projected_lstm_by_its_equations_and_as_a_net(rng: np.random.Generator) -> None:
    net = nn.LSTM(F, H, 2, rng=rng, dtype=np.float64, projection_size=2)
    assert net.cell.output_size == 2 and net.V.shape == (2, 2)
    x = rng.standard_normal((3, 1, F))

    def sigmoid(a: Any) -> Any:
        return 1 / (1 + np.exp(-a))

    h, s, cell = np.zeros(2), np.zeros(H), net.cell
    expected = []
    for t in range(3):
        a, f, g, q = (p.b.value + p.U.value @ x[t, 0] + p.W.value @ h for p in (cell.a, cell.f, cell.g, cell.q))
        s = sigmoid(f) * s + sigmoid(g) * np.tanh(a)
        h = cell.P.value @ (np.tanh(s) * sigmoid(q))
        expected.append(net.c.value + net.V.value @ h)
    with Tape():
        unfolded = net.unfold(x)
        np.testing.assert_allclose(unfolded.outputs.value[:, 0], expected, rtol=1e-12)
    assert ts.diagnose.gradcheck(lambda: ts.sum(net.unfold(x).outputs ** 2), *net.parameters())
    with pytest.raises(ts.TinyseqError, match="projection_size must be"):
        nn.LSTMCell(F, H, rng=rng, projection_size=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_single_cells(kind: str, torch: Any, rng: np.random.Generator) -> None:
    theirs = getattr(torch.nn, f"{kind}Cell")(F, H, dtype=torch.float64)
    ours = from_torch(theirs.state_dict())
    x = rng.standard_normal((4, 2, F))
    state, outputs = None, []
    for t in range(4):
        state = theirs(torch.tensor(x[t]), state)
        outputs.append((state[0] if kind == "LSTM" else state).detach().numpy())
    np.testing.assert_allclose(run_ours(ours, x), outputs, rtol=1e-10)


def test_prefixes_beside_other_layers(torch: Any, rng: np.random.Generator) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.rnn = torch.nn.Embedding(9, F), torch.nn.GRU(F, H, num_layers=2, bidirectional=True)
            self.norm, self.fc = torch.nn.LayerNorm(8), torch.nn.Linear(8, 2)

    theirs = Net()
    x = rng.standard_normal((4, 2, F)).astype(np.float32)
    expected = theirs.rnn(torch.tensor(x))[0].detach().numpy()
    for state in (theirs.state_dict(), torch.nn.DataParallel(theirs).state_dict(), dict(theirs.named_parameters())):
        np.testing.assert_allclose(run_ours(from_torch(state), x), expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ts.TinyseqError, match=r"write from_torch\(state\['model'\]\)"):
        from_torch({"model": theirs.state_dict(), "epoch": 3})
    with pytest.raises(ts.TinyseqError, match=r"write from_torch\(module\.state_dict\(\)\)"):
        from_torch(theirs)


def test_of_several_nets_the_prefix_chooses(torch: Any, rng: np.random.Generator) -> None:
    theirs = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(F, H), "decoder": torch.nn.GRUCell(F, H)})
    state = theirs.state_dict()
    with pytest.raises(ts.TinyseqError, match=r"several.*'encoder\.', 'decoder\.'.*prefix='encoder\.'"):
        from_torch(state)
    assert isinstance(from_torch(state, prefix="encoder"), nn.LSTMCell)
    assert isinstance(from_torch(state, prefix="decoder."), nn.GRUCell)
    with pytest.raises(ts.TinyseqError, match=r"no recurrent net below the prefix 'x\.'"):
        from_torch(state, prefix="x")


@pytest.mark.parametrize("precision", ["half", "bfloat16", "float", "double"])
def test_precisions_and_tensors_that_want_gradients(precision: str, torch: Any, rng: np.random.Generator) -> None:
    theirs = getattr(torch.nn.LSTM(F, H), precision)()
    for state in (theirs.state_dict(), dict(theirs.named_parameters())):
        net = from_torch(state)
        assert net.dtype == (np.float64 if precision == "double" else np.float32)
        rows = theirs.weight_hh_l0.detach().double().numpy()[:H]
        np.testing.assert_array_equal(net.g.W.value, rows)
        assert np.isfinite(run_ours(net, np.ones((2, 1, F), net.dtype))).all()
    arrays16 = {k: v.astype(np.float16) for k, v in to_torch(nn.RNNCell(F, H, rng=rng)).items()}
    assert from_torch(arrays16).dtype == np.float32
    with pytest.raises(ts.TinyseqError, match="weight_ih_l0 is int64"):
        from_torch({k: v.astype(np.int64) for k, v in arrays16.items()})


def test_the_weights_are_copies(torch: Any) -> None:
    theirs = torch.nn.RNN(F, H)
    net = from_torch(theirs.state_dict())
    before = net.a.W.value.copy()
    with torch.no_grad():
        theirs.weight_hh_l0 += 1
    np.testing.assert_array_equal(net.a.W.value, before)


def test_names_of_a_large_model_do_not_fill_the_screen() -> None:
    with pytest.raises(ts.TinyseqError, match="and 488 more") as caught:
        from_torch({f"layer.{i}.weight": np.zeros(1) for i in range(500)})
    assert len(str(caught.value)) < 600
