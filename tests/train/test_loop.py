"""The loop: what is learned, what is carried between windows, how it stops, how a text is measured."""

from itertools import islice, pairwise
from math import log, log2

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, GradientError, TinyseqError
from tinyseq.replay.function import CompiledFunction
from tinyseq.tasks import Markov, Windows
from tinyseq.train import SGD, Adam, bits_per_token, cosine, fit, global_norm
from tinyseq.train.loop import window_loss


def net(vocabulary=4, hidden=8, seed=0, dtype=np.float64, **options):
    return ts.nn.RNN(vocabulary, hidden, vocabulary, rng=np.random.default_rng(seed), dtype=dtype, **options)


def naive_bits(model, text):
    """−log₂ p of each character but the first, by the equations 10.8 to 10.11, one stream from h = 0."""
    h, bits = np.zeros(model.hidden_size), []
    U, W, b, V, c = (getattr(model, n).value.astype(np.float64) for n in "UWbVc")
    for x, y in pairwise(text):
        h = np.tanh(b + W @ h + U[:, x])
        o = c + V @ h
        bits.append((np.log(np.exp(o - o.max()).sum()) - (o - o.max())[y]) / log(2))
    return np.array(bits)


def test_learns_a_sequence_that_needs_a_memory_of_three():
    # 0 0 0 1 repeated: no chain of order 0, 1 or 2 can know whether 0 or 1 comes next without counting
    tokens = np.tile([0, 0, 0, 1], 200)
    model = net(2, 12)
    optimiser = Adam(model.parameters(), 0.02)
    windows = Windows(tokens, T=12, B=4)
    history = fit(model, windows, optimiser, 150, clip=1.0, progress=False)
    assert history.bits[0] > 0.8
    assert bits_per_token(model, tokens[400:], tokens[:400], B=1) < 0.05
    assert Markov(tokens[:400], 2, 2).bits_per_token(tokens[400:], tokens[:400]) > 0.4
    assert history.tokens == sum(windows[k][0].size for k in range(150))
    assert len(history.bits) == len(history.norms) == 150


def test_the_same_seed_gives_the_same_weights():
    def train():
        model = net(seed=3, dtype=np.float32)
        tokens = np.random.default_rng(1).integers(0, 4, 200)
        fit(model, Windows(tokens, 5, 3), Adam(model.parameters(), 0.01), 6, progress=False)
        return model.state_dict()

    first, second = train(), train()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_loss_and_gradient_are_those_of_the_mean_over_time():
    model, rng = net(), np.random.default_rng(0)
    x, y = rng.integers(0, 4, (5, 3)), rng.integers(0, 4, (5, 3))
    nats, _ = window_loss(model).backward(x, y, None)
    mine = [p.grad.copy() for p in model.parameters()]
    with ts.Tape():
        loss = model.loss(x, y)
        loss.backward()
        assert nats == pytest.approx(loss.item() / 5, rel=1e-14)
    for grad, p in zip(mine, model.parameters(), strict=True):
        np.testing.assert_allclose(grad, p.grad / 5, rtol=1e-12, atol=1e-15)


def test_state_is_carried_as_a_constant():
    model, rng = net(), np.random.default_rng(0)
    x, y = rng.integers(0, 4, (6, 2)), rng.integers(0, 4, (6, 2))
    window = window_loss(model)
    _, carried = window.backward(x[:3], y[:3], None)
    second, _ = window.backward(x[3:], y[3:], carried)
    truncated = model.W.grad.copy()
    with ts.Tape():
        _, unfolded = model.losses(x, y)
        last = unfolded.outputs[1].value[3:]
        np.testing.assert_allclose(carried, unfolded.state(2).value, rtol=1e-14)
        assert second == pytest.approx(last.mean(), rel=1e-13)  # the value crossed the cut
    with ts.Tape():
        loss, _ = model.losses(x[3:], y[3:], carried)
        loss.backward()
        np.testing.assert_allclose(truncated, model.W.grad / 3, rtol=1e-12)  # and the gradient stopped there


def test_streams_start_anew_at_each_epoch(monkeypatch):
    seen = []
    real = CompiledFunction.backward

    def spy(self, x, y, state):
        seen.append(state is None)
        return real(self, x, y, state)

    monkeypatch.setattr(CompiledFunction, "backward", spy)
    model = net()
    windows = Windows(np.random.default_rng(0).integers(0, 4, 25), T=4, B=2)
    assert windows.per_epoch == 3
    fit(model, windows, SGD(model.parameters(), 0.1), 7, progress=False)
    assert seen == [True, False, False, True, False, False, True]


def test_clipping_bounds_each_update():
    model, tokens = net(), np.random.default_rng(0).integers(0, 4, 200)
    before = [p.value.copy() for p in model.parameters()]
    history = fit(model, Windows(tokens, 5, 3), SGD(model.parameters(), 1.0), 1, clip=1e-3, progress=False)
    moved = np.sqrt(sum(((p.value - b) ** 2).sum() for p, b in zip(model.parameters(), before, strict=True)))
    assert moved == pytest.approx(1e-3, rel=1e-10)
    assert history.norms[0] > 1e-3


def test_norms_without_clipping_are_the_gradients():
    model, tokens = net(), np.random.default_rng(0).integers(0, 4, 200)
    history = fit(model, Windows(tokens, 5, 3), SGD(model.parameters(), 0.1), 1, progress=False)
    assert history.norms[0] == global_norm(model.parameters())


def test_schedule_sets_the_rate_of_each_step():
    model, tokens = net(), np.random.default_rng(0).integers(0, 4, 200)
    rates = []
    optimiser = SGD(model.parameters(), 9.0)
    real = optimiser.step
    optimiser.step = lambda: (rates.append(optimiser.rate), real())
    fit(model, Windows(tokens, 5, 3), optimiser, 3, schedule=lambda step: 0.1 / (step + 1), progress=False)
    assert rates == [0.1, 0.05, 0.1 / 3]


def test_cosine_falls_from_the_rate_to_its_last_part():
    rate = cosine(0.4, 101, last=0.1)
    assert rate(0) == pytest.approx(0.4)
    assert rate(50) == pytest.approx(0.22)
    assert rate(100) == pytest.approx(0.04)
    assert rate(500) == rate(100)
    assert cosine(0.4, 1)(0) == pytest.approx(0.4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(dtype):
    model = net(dtype=dtype)
    tokens = np.random.default_rng(0).integers(0, 4, 200)
    optimiser = SGD(model.parameters(), 0.1)
    real, kept = optimiser.update, {}

    def poisoned(w, g, v):
        if optimiser.steps == 3:
            kept.setdefault("all", [p.value.copy() for p in model.parameters()])
            w[...] = np.nan
        else:
            real(w, g, v)

    optimiser.update = poisoned
    with pytest.raises(
        GradientError, match=r"stopped at step 4 of 9: the loss is nan.*last good ones.\n(.*\n)*.*smaller rate"
    ):
        fit(model, Windows(tokens, 5, 3), optimiser, 9, progress=False)
    assert all(np.array_equal(p.value, k) for p, k in zip(model.parameters(), kept["all"], strict=True))


def test_a_gradient_that_is_not_finite_stops_before_it_is_used(monkeypatch):
    real = CompiledFunction.backward

    def overflowing(self, *window):
        result = real(self, *window)
        model.W.grad[0, 0] = np.inf
        return result

    monkeypatch.setattr(CompiledFunction, "backward", overflowing)
    model = net()
    before = model.state_dict()
    with pytest.raises(GradientError, match=r"stopped at step 1 of 2: the gradient's norm is inf"):
        fit(model, Windows(np.zeros(200, np.int64), 5, 3), SGD(model.parameters(), 0.1), 2, clip=1.0, progress=False)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())


def test_ctrl_c_keeps_what_was_learned():
    model, tokens = net(), np.random.default_rng(0).integers(0, 4, 200)

    def interrupt(step):
        if step == 2:
            raise KeyboardInterrupt
        return 0.1

    before = model.W.value.copy()
    history = fit(model, Windows(tokens, 5, 3), SGD(model.parameters(), 0.1), 50, schedule=interrupt, progress=False)
    assert history.interrupted
    assert len(history.bits) == 2
    assert not np.array_equal(before, model.W.value)


@pytest.mark.parametrize("length", [1, 7, 40])
def test_bits_of_one_stream_are_those_of_the_equations(length):
    model = net()
    text = np.random.default_rng(2).integers(0, 4, length + 3)
    ours = bits_per_token(model, text[3:], text[:3], T=6, B=1)
    assert ours == pytest.approx(naive_bits(model, text[2:]).mean(), rel=1e-12)


def test_bits_of_several_streams_count_every_character_once():
    model = net()
    text = np.random.default_rng(2).integers(0, 4, 24)  # 23 to predict: 4 streams of 5, and 3 left over
    streams = [text[i * 5 : i * 5 + 6] for i in range(4)] + [text[20:24]]
    expected = np.concatenate([naive_bits(model, s) for s in streams])
    assert len(expected) == 23
    assert bits_per_token(model, text[1:], text[:1], T=2, B=4) == pytest.approx(expected.mean(), rel=1e-12)


def test_a_model_that_knows_nothing_needs_log2_of_the_alphabet():
    model = net()
    for p in model.parameters():
        p.value[...] = 0
    assert bits_per_token(model, np.arange(4), np.array([0])) == pytest.approx(log2(4), rel=1e-14)


def test_nothing_to_measure():
    with pytest.raises(DataError, match="one character of context and one to predict"):
        bits_per_token(net(), np.array([], np.int64), np.array([0]))
    with pytest.raises(DataError, match="one character of context and one to predict"):
        bits_per_token(net(), np.array([0]), np.array([], np.int64))


@pytest.mark.parametrize(("steps", "clip", "message"), [(0, None, "steps must be"), (1, -1.0, "clip must be")])
def test_bad_settings(steps, clip, message):
    model = net()
    windows = Windows(np.zeros(50, np.int64), 5, 3)
    with pytest.raises(TinyseqError, match=message):
        fit(model, windows, SGD(model.parameters(), 0.1), steps, clip=clip, progress=False)


def test_an_unused_initial_state_does_not_stop_training():
    model = net(learn_initial_state=True)
    windows = Windows(np.random.default_rng(0).integers(0, 4, 100), 5, 2)
    before = model.h0.value.copy()
    fit(model, windows, SGD(model.parameters(), 0.1), 3, progress=False)
    assert not np.array_equal(before, model.h0.value)


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys):
    model, tokens = net(), np.random.default_rng(0).integers(0, 4, 200)
    history = fit(model, Windows(tokens, 5, 3), SGD(model.parameters(), 0.1), 20)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 10
    assert "\r" not in err and "\x1b" not in err
    assert lines[-1].startswith("training 20/20 steps, 0 s left, ")
    smoothed = history.bits[0]
    for bits in history.bits[1:]:
        smoothed += 0.05 * (bits - smoothed)
    assert f"{smoothed:.3f} bits/char" in lines[-1]
    assert "tokens/s" in lines[-1]


def test_windows_may_be_any_iterable_of_x_y_fresh():
    model = net()
    windows = Windows(np.random.default_rng(0).integers(0, 4, 100), 5, 2)
    history = fit(model, list(islice(windows, 2)), SGD(model.parameters(), 0.1), 2, progress=False)
    assert len(history.bits) == 2


def test_a_net_that_is_measured_again_records_nothing_anew():
    model, text = net(), np.random.default_rng(0).integers(0, 4, 103)
    first = bits_per_token(model, text[3:], text[:3], T=10, B=3)
    versions = list(model.compiled_window.versions())
    again = bits_per_token(model, text[3:], text[:3], T=10, B=3)
    assert again == first and versions and list(model.compiled_window.versions()) == versions
    for parameter in model.parameters():
        parameter.value[...] = 0.0
    assert bits_per_token(model, text[3:], text[:3], T=10, B=3) == pytest.approx(2.0)  # log₂ 4, with the weights of now
