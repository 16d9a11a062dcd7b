"""``fit`` for every model: what is learned equals plain loops and PyTorch; validation, stopping, schedules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import data, nn, train
from tinyseq.errors import CallError, DataError, ShapeError, TinyseqError
from tinyseq.train import schedules

F64 = np.float64


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sequences(n: int = 12, seed: int = 0, unequal: bool = True, steps: bool = False) -> data.Sequences:
    draw = rng(seed)
    x = [draw.normal(size=(int(draw.integers(2, 6)) if unequal else 4, 3)) for _ in range(n)]
    y: Any = np.array([int(a[0, 0] > 0) for a in x])
    if steps:
        y = [(a[:, 0] > 0).astype(int) for a in x]
    return data.Sequences.of(x, y, dtype=F64)


def head(seed: int = 1, kind: Any = nn.ManyToOne, **options: Any) -> Any:
    return kind(nn.GRUCell(3, 4, rng=rng(seed), dtype=F64), 2, rng=rng(seed + 1), **options)


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(p.value, q.value) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("unequal", [False, True])
def test_fit_is_the_plain_loop_over_the_batches(steps: bool, unequal: bool) -> None:
    made = sequences(unequal=unequal, steps=steps)
    kind = nn.ManyToMany if steps else nn.ManyToOne
    model, plain = head(kind=kind), head(kind=kind)
    history = train.fit(model, made, train.SGD(model.parameters(), 0.1), 7, batch=5, progress=False)
    optimiser, batches = train.SGD(plain.parameters(), 0.1), data.Batches(made, 5, 0)
    for k in range(7):
        batch = batches[k]
        with ts.Tape():
            loss = plain.loss(batch.x, batch.y)
            if steps:
                count = sum(len(made.x[i]) for i in batch.rows)
                loss = loss * (batch.count / count)
            loss.backward()
            assert history.losses[k] == pytest.approx(loss.item(), rel=1e-12)
        optimiser.step()
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(p.value, q.value, rtol=1e-9, atol=1e-13)
    assert history.per_epoch == 3 and history.tokens == sum(batches[k].count for k in range(7))


def test_an_epoch_reads_every_sequence_once_and_another_order_the_next_time() -> None:
    for made in (sequences(11), sequences(11, unequal=False)):
        batches = data.Batches(made, 4, 7)
        orders = [np.concatenate([batches[k].rows for k in range(e * 3, e * 3 + 3)]) for e in range(3)]
        assert all(sorted(order) == list(range(11)) for order in orders)
        assert any(not np.array_equal(orders[0], order) for order in orders[1:])
        again = data.Batches(made, 4, 7)
        assert all(np.array_equal(again[k].rows, batches[k].rows) for k in (8, 0, 4))
    lengths = sequences(11).lengths
    for batch in data.Batches(sequences(11), 4, None):
        assert np.ptp(lengths[batch.rows]) <= 2


def test_regression_learns_and_is_measured_in_the_units_of_the_targets() -> None:
    draw = rng()
    x = draw.normal(size=(5, 64, 2))
    y = 1000 + 50 * x.sum(axis=(0, 2))
    made = data.Sequences.of(x, y, dtype=F64)
    model = nn.ManyToOne(nn.RNNCell(2, 8, rng=draw, dtype=F64), 1, rng=draw, scaled=True)
    model.scaling.fit(made.targets())
    np.testing.assert_allclose(model.scaling.mean.value, y.mean())
    train.fit(model, made, "adam", epochs=120, rate=0.02, progress=False)
    metrics = model.evaluate(made)
    np.testing.assert_allclose(metrics["rmse"], np.sqrt(np.mean((model.predict(made)[:, 0] - y) ** 2)), rtol=1e-9)
    np.testing.assert_allclose(metrics["mae"], np.mean(np.abs(model.predict(x)[:, 0] - y)), rtol=1e-9)
    assert metrics["rmse"] < 0.2 * y.std()
    assert metrics["loss"] == pytest.approx((metrics["rmse"] / y.std()) ** 2, rel=1e-6)


def test_metrics_of_classes_are_those_of_plain_counting() -> None:
    made, model = sequences(30, steps=True), head(kind=nn.ManyToMany)
    metrics, predicted = model.evaluate(made, batch=7), model.predict(made)
    flat, y = np.concatenate(predicted), np.concatenate(made.y)
    assert metrics["accuracy"] == pytest.approx(np.mean(flat == y))
    exact = np.mean([np.array_equal(p, t) for p, t in zip(predicted, made.y, strict=True)])
    assert metrics["exact_match"] == pytest.approx(exact)
    f1 = [2 * np.sum((flat == c) & (y == c)) / (np.sum(flat == c) + np.sum(y == c)) for c in (0, 1)]
    assert metrics["f1"] == pytest.approx(np.mean(f1))
    o = np.concatenate(model(made.x))
    nats = np.log(np.exp(o).sum(axis=1)) - o[np.arange(len(y)), y]
    assert metrics["loss"] == pytest.approx(nats.mean(), rel=1e-9)
    assert metrics["perplexity"] == pytest.approx(np.exp(nats.mean()), rel=1e-9)


def test_trees_with_a_class_at_every_node() -> None:
    trees = [ts.Tree.balanced(n) for n in (2, 3, 5, 4, 3, 2)]
    x = [rng(i).integers(0, 4, t.n_leaves) for i, t in enumerate(trees)]
    y = [np.where(rng(i).random(len(t)) < 0.2, -1, (np.arange(len(t)) % 2)) for i, t in enumerate(trees)]
    made = data.Trees.of(trees, x, y)
    model = nn.RecursiveNet(4, 6, 2, rng=rng(), dtype=F64)
    with ts.Tape():
        total = 0.0
        for tree, row, target in zip(trees, x, y, strict=True):
            h = model.unfold(tree, row)
            for p in range(len(tree)):
                if target[p] >= 0:
                    o = model.c.value + model.V_o.value @ h.state(p).value[0]
                    total += np.log(np.exp(o).sum()) - o[target[p]]
        forest = ts.Forest(trees)
        loss = model.loss(forest, forest.pack(x), forest.pack(y))
        assert loss.item() == pytest.approx(total / len(trees), rel=1e-12)
    count = sum((target >= 0).sum() for target in y)
    assert model.evaluate(made, batch=4)["loss"] == pytest.approx(total / count, rel=1e-12)
    P = model.parameters()
    assert ts.gradcheck(lambda: model.loss(forest, forest.pack(x), forest.pack(y)), *P)
    history = train.fit(model, made, epochs=60, rate=0.03, batch=4, progress=False)
    assert history.losses[0] == pytest.approx(history.losses[0]) and model.evaluate(made)["root_accuracy"] > 0.9


def test_pairs_train_an_encoder_decoder() -> None:
    x = [np.array(a) for a in ([0, 1], [1], [2, 2, 0], [1, 0])]
    made = data.Sequences.pairs(x, [a[::-1] for a in x])
    model = nn.EncoderDecoder(nn.GRUCell(3, 12, rng=rng()), 3, 12, rng=rng(1), cell="gru")
    train.fit(model, made, epochs=150, rate=0.02, batch=4, progress=False)
    assert [a.tolist() for a in model.generate(x, max_length=5)] == [a[::-1].tolist() for a in x]
    found = model.evaluate(made)
    assert found["loss"] < 0.2 and found["exact_match"] == 1.0
    assert [a.tolist() for a in model.predict(made)] == [a[::-1].tolist() for a in x]


@pytest.mark.parametrize("length", [None, "end", "halt"])
def test_densities_of_sequences_are_trained_without_targets(length: str | None) -> None:
    made = data.Sequences.of([np.array(a) for a in ([0, 1, 0], [0, 1], [0, 1, 0, 1], [0])])
    model = nn.SequenceModel(2, 8, rng=rng(), cell="gru", length=length)
    with ts.Tape():
        before = model.loss(made.x).item()
    history = train.fit(model, made, epochs=60, rate=0.03, batch=4, progress=False)
    assert history.losses[0] == pytest.approx(before, rel=1e-5)
    with ts.Tape():
        assert model.loss(made.x).item() < 0.6 * before


def test_accumulated_batches_are_one_large_batch() -> None:
    made = sequences(8, unequal=False)
    model, whole = head(), head()
    rows = np.concatenate([data.Batches(made, 4, 0)[k].rows for k in (0, 1)])
    train.fit(model, made, train.SGD(model.parameters(), 0.1), 1, batch=4, accumulate=2, progress=False)
    with ts.Tape():
        whole.loss(np.stack([made.x[i] for i in rows], 1), made.y[rows]).backward()
    train.SGD(whole.parameters(), 0.1).step()
    for p, q in zip(model.parameters(), whole.parameters(), strict=True):
        np.testing.assert_allclose(p.value, q.value, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adamw_is_that_of_pytorch(torch: Any, decay: float) -> None:
    start, gradients = rng().normal(size=(3, 4)), rng(1).normal(size=(6, 3, 4))
    theirs = torch.tensor(start.copy(), requires_grad=True)
    other = torch.optim.AdamW([theirs], lr=0.05, weight_decay=decay)
    W = ts.Parameter(start.copy(), "W")
    ours = train.AdamW([W], 0.05, weight_decay=decay)
    for g in gradients:
        theirs.grad, W.grad = torch.tensor(g), g.copy()
        other.step(), ours.step()
        np.testing.assert_allclose(W.value, theirs.detach().numpy(), rtol=1e-12)


def test_schedules_are_those_of_pytorch(torch: Any) -> None:
    def theirs(make: Any, steps: int) -> list[float]:
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
        schedule, rates = make(optimiser), []
        for _ in range(steps):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step()
        return rates

    lr = torch.optim.lr_scheduler
    step = schedules.stepped(0.4, 3, 0.5)
    assert [step(k) for k in range(10)] == pytest.approx(theirs(lambda o: lr.StepLR(o, 3, 0.5), 10))
    cycle = schedules.one_cycle(0.4, 20)
    wanted = theirs(lambda o: lr.OneCycleLR(o, max_lr=0.4, total_steps=20, cycle_momentum=False), 20)
    assert [cycle(k) for k in range(20)] == pytest.approx(wanted)
    warm = schedules.warm_up(0.4, 4)
    assert [warm(k) for k in range(6)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    values = [3.0, 2.0, 2.1, 2.2, 1.9, 2.5, 2.5, 2.5, 1.0]
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    plateau, ours = lr.ReduceLROnPlateau(optimiser, factor=0.5, patience=1, threshold=0), schedules.Plateau(0.4, 0.5, 1)
    for k, value in enumerate(values):
        plateau.step(value)
        rows = [{"loss": v} for v in values[: k + 1]]
        assert ours(0, rows) == pytest.approx(optimiser.param_groups[0]["lr"])


@pytest.mark.parametrize("name", schedules.NAMES)
def test_every_schedule_has_a_name(name: str) -> None:
    model = head()
    history = train.fit(model, sequences(), rate=0.01, epochs=4, schedule=name, validation=0.3, progress=False)
    assert len(set(history.rates)) == (1 if name in ("constant", "plateau") else len(set(history.rates))) > 0
    assert all(0 <= r <= 0.0101 for r in history.rates)


def test_early_stopping_gives_the_best_weights_back() -> None:
    model, made = head(), sequences(20)
    held, best = sequences(8, seed=5), []

    def watch(history: Any) -> None:
        if history.validation and history.validation[-1]["step"] == history.step:
            best.append((history.validation[-1]["loss"], [p.value.copy() for p in model.parameters()]))

    history = train.fit(
        model, made, "adam", epochs=200, rate=0.1, validation=held, patience=3, callbacks=[watch], progress=False
    )
    assert history.stopped == "patience" and len(history.losses) < 200 * history.per_epoch
    losses = [loss for loss, _ in best]
    assert losses.index(min(losses)) == len(losses) - 4
    wanted = min(best, key=lambda item: item[0])[1]
    assert all(np.array_equal(p.value, w) for p, w in zip(model.parameters(), wanted, strict=True))
    assert history.best["loss"] == min(losses) == pytest.approx(model.evaluate(held)["loss"], rel=1e-9)


@pytest.mark.parametrize("result", [None, False, np.False_, [0.5], "done", {}, Path("model.safetensors")], ids=str)
def test_a_callback_that_does_not_say_true_does_not_end_the_training(result: Any) -> None:
    """A list that was appended to, or the path of a file that was saved, ended it at once."""
    history = train.fit(head(), sequences(), "adam", 3, callbacks=[lambda history: result], progress=False)
    assert len(history.losses) == 3 and not history.stopped


@pytest.mark.parametrize("result", [True, np.True_])
def test_a_callback_ends_the_training_by_true(result: Any) -> None:
    history = train.fit(head(), sequences(), "adam", 3, callbacks=[lambda history: result], progress=False)
    assert len(history.losses) == 1 and history.stopped == "callback"


@pytest.mark.parametrize("result", [1, 0, 0.5, np.float32(0), np.int64(3)])
def test_a_callback_that_returns_a_number_is_refused(result: Any) -> None:
    with pytest.raises(CallError, match=r"a callback returns True to end the training.*after step 1.*returned.*bool"):
        train.fit(head(), sequences(), "adam", 3, callbacks=[lambda history: result], progress=False)


def test_a_callback_may_stop_and_a_monitor_may_be_any_metric() -> None:
    history = train.fit(
        head(), sequences(), epochs=50, validation=0.25, monitor="accuracy", progress=False,
        callbacks=[lambda h: h.step == 5],
    )  # fmt: skip
    assert history.stopped == "callback" and len(history.losses) == 5
    assert history.best["accuracy"] == max(row["accuracy"] for row in history.validation)
    with pytest.raises(TinyseqError, match="the validation has no 'beauty' to monitor; it has step, epoch, loss"):
        train.fit(head(), sequences(), epochs=1, validation=0.25, monitor="beauty", progress=False)


def test_dropout_is_drawn_by_the_seed_and_evaluation_has_none() -> None:
    def made() -> Any:
        draw = rng(3)
        return nn.ManyToOne(nn.recurrent("gru", 3, 6, num_layers=2, dropout=0.5, rng=draw, dtype=F64), 2, rng=draw)

    a, b, c = made(), made(), made()
    for model, seed in ((a, 1), (b, 1), (c, 2)):
        train.fit(model, sequences(), epochs=2, rng=rng(seed), progress=False)
    assert same(a, b) and not same(a, c)
    assert a.evaluate(sequences()) == a.evaluate(sequences())


def test_history_as_arrays_lines_and_picture(tmp_path: Any) -> None:
    history = train.fit(head(), sequences(), epochs=2, validation=0.25, progress=False)
    arrays = history.arrays()
    assert arrays["step"].tolist() == list(range(1, len(history.losses) + 1))
    np.testing.assert_array_equal(arrays["validation_loss"], [row["loss"] for row in history.validation])
    rows = [json.loads(line) for line in history.save(tmp_path / "m.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == list(history.losses)
    assert rows[-1]["validation"]["accuracy"] == history.validation[-1]["accuracy"]
    assert b"<svg" in history.plot(tmp_path / "c.svg").read_bytes()
    assert np.allclose(history.bits, np.array(history.losses) / np.log(2))


def test_text_is_the_same_loop() -> None:
    corpus = data.Corpus.of("the cat sat on the mat. " * 40, "cats")
    V = len(corpus.vocabulary)
    model = nn.GRU(V, 16, V, rng=rng())
    history = train.fit(model, corpus, epochs=6, window=10, batch=4, rate=0.02, progress=False)
    assert history.validation[-1]["bits"] < history.validation[0]["bits"]
    assert model.evaluate(corpus)["bits"] == pytest.approx(
        train.bits_per_token(model, corpus.held_out, corpus.train), rel=1e-6
    )


def test_what_is_wrong_is_said() -> None:
    model, made = head(), sequences()
    other = data.Sequences.of(np.zeros((3, 4, 2)), np.zeros(4, int), "other")
    cases: dict[str, Any] = {
        "the model reads 3 features, other has 2": lambda: train.fit(model, other, epochs=1),
        "steps and epochs say the same": lambda: train.fit(model, made, steps=3, epochs=2),
        "epochs must be a number above 0": lambda: train.fit(model, made, epochs=0),
        "the optimiser is one, .* or 'sgd'": lambda: train.fit(model, made, "newton"),
        "the optimiser has its rate": lambda: train.fit(model, made, train.SGD(model.parameters()), 3, rate=0.1),
        "has 3 classes, the model tells 2 apart": lambda: train.fit(model, (made.x, np.arange(12) % 3), epochs=1),
        "patience is a whole number": lambda: train.fit(model, made, epochs=1, patience=0),
        "keep is 'last' or 'best'": lambda: train.fit(model, made, epochs=1, keep="first"),
        "the held-out part must be above 0": lambda: train.fit(model, made, epochs=1, validation=1.5),
        "has no targets to learn": lambda: train.fit(model, data.Sequences.of(made.x), epochs=1),
        r"fit\(..., run='folder', resume=True\)": lambda: train.fit(model, made, epochs=1, resume=True),
        "accumulate is a whole number": lambda: train.fit(model, made, epochs=1, accumulate=0),
        "schedule is a function of the step or 'constant'": lambda: train.fit(model, made, epochs=1, schedule="zigzag"),
    }  # fmt: skip
    for message, call in cases.items():
        with pytest.raises(TinyseqError, match=message):
            call()
    with pytest.raises(ShapeError, match="the model reads 3 features"):
        model.predict(data.Sequences.of(np.zeros((3, 4, 2))))
    with pytest.raises(DataError, match="has no targets to measure"):
        model.evaluate(data.Sequences.of(made.x, dtype=F64))
