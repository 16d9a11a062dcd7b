"""nn.LSTM and nn.GRU: a gated cell with outputs and a loss at each step, against PyTorch and the cell itself."""

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import DtypeError, ShapeError
from tinyseq.nn.torch_weights import to_torch
from tinyseq.tasks import Vocabulary
from tinyseq.train import load, sample_text, save

pytestmark = pytest.mark.usefixtures("executor")
T, B, F, H, OUT = 5, 3, 4, 6, 2
each = pytest.mark.parametrize("make", [nn.LSTM, nn.GRU], ids=["lstm", "gru"])


def net(make, **options):
    return make(F, H, OUT, rng=np.random.default_rng(2), dtype=np.float64, **options)


@each
def test_loss_and_gradients_are_pytorchs(make, rng, torch):
    ours = net(make)
    theirs = {nn.LSTM: torch.nn.LSTM, nn.GRU: torch.nn.GRU}[make](F, H, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in to_torch(ours.cell).items()})
    x, y = rng.normal(size=(T, B, F)), rng.integers(0, OUT, (T, B))
    V = torch.tensor(ours.V.value, requires_grad=True)
    c = torch.tensor(ours.c.value, requires_grad=True)
    o = theirs(torch.tensor(x))[0] @ V.T + c
    expected = torch.nn.functional.cross_entropy(o.reshape(-1, OUT), torch.tensor(y).reshape(-1), reduction="sum") / B
    expected.backward()
    with ts.Tape():
        loss = ours.loss(x, y)
        loss.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        np.testing.assert_allclose(ours.V.grad, V.grad.numpy(), rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(ours.c.grad, c.grad.numpy(), rtol=1e-10, atol=1e-13)
        rows = {nn.LSTM: "gfaq", nn.GRU: "rua"}[make]
        W = np.concatenate([getattr(ours.cell, gate).W.grad for gate in rows])
        np.testing.assert_allclose(W, theirs.weight_hh_l0.grad.numpy(), rtol=1e-10, atol=1e-13)


@each
def test_a_state_carried_on_gives_the_outputs_of_the_whole(make, rng):
    ours, x = net(make), rng.normal(size=(T, B, F))
    with ts.Tape():
        whole = ours.unfold(x).outputs.value
        first = ours.unfold(x[:2])
        rest = ours.unfold(x[2:], first.final).outputs.value
        np.testing.assert_allclose(rest, whole[2:], rtol=1e-13)


@each
def test_tokens_stand_for_one_hot_inputs(make, rng):
    ours, tokens = net(make), rng.integers(0, F, (T, B))
    with ts.Tape():
        a, b = ours.unfold(tokens).outputs.value, ours.unfold(np.eye(F)[tokens]).outputs.value
    np.testing.assert_allclose(a, b, rtol=1e-13)


@each
def test_gradcheck(make, rng):
    ours, x, y = net(make), rng.normal(size=(3, 2, F)), rng.integers(0, OUT, (3, 2))
    assert ts.gradcheck(lambda: ours.loss(x, y), *ours.parameters(), rng=rng)


def test_states_that_do_not_fit(rng):
    x = rng.normal(size=(T, B, F))
    with ts.Tape():
        with pytest.raises(ShapeError, match="the state of this net is 2 arrays"):
            net(nn.LSTM).unfold(x, np.zeros((B, H)))
        with pytest.raises(ShapeError, match=r"\(B, hidden\) = \(3, 6\), got \(3, 5\)"):
            net(nn.LSTM).unfold(x, (np.zeros((B, H)), np.zeros((B, 5))))
        with pytest.raises(DtypeError, match="h is float32, the net is float64"):
            net(nn.GRU).unfold(x, np.zeros((B, H), np.float32))


def test_options_reach_the_cell_and_come_back_from_a_file(tmp_path):
    model = nn.LSTM(5, 4, 5, rng=np.random.default_rng(0), squash="sigmoid", forget_bias=2.0)
    assert (model.cell.f.b.value == 2).all()
    found = load(save(tmp_path, model)).model
    assert found.cell.squash == "sigmoid"
    texts = [sample_text(m, Vocabulary("abcd\n"), 20, rng=np.random.default_rng(0)) for m in (model, found)]
    assert texts[0] == texts[1]
