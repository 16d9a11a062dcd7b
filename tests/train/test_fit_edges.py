"""``fit`` at the edges of data: nothing to read, nothing that counts, batches of one, batches larger than the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyseq import data, nn, train
from tinyseq.errors import DataError, ShapeError, TinyseqError

F64 = np.float64
W = np.array([0.0, 0.5, 3.0])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def one(out: int = 2, **options: Any) -> Any:
    return nn.ManyToOne(nn.GRUCell(2, 4, rng=rng(), dtype=F64), out, rng=rng(1), **options)


def each(out: int = 2, **options: Any) -> Any:
    return nn.ManyToMany(nn.GRUCell(2, 4, rng=rng(), dtype=F64), out, rng=rng(1), **options)


def of_lengths(lengths: Any, steps: bool = False, classes: int = 2) -> data.Sequences:
    draw = rng(5)
    x = [draw.normal(size=(n, 2)) for n in lengths]
    y: Any = [draw.integers(0, classes, n) for n in lengths] if steps else draw.integers(0, classes, len(x))
    return data.Sequences.of(x, y, dtype=F64, classes=[str(k) for k in range(classes)])


def quiet(model: Any, given: Any, steps: int = 4, **options: Any) -> Any:
    return train.fit(model, given, "sgd", steps, progress=False, **options)


def nats(model: Any, made: data.Sequences) -> float:
    """Σ w L / Σ w over the sequences one by one, from the outputs by the definition."""
    weights = np.ones(model.output_size) if model.class_weights is None else model.class_weights.value
    total = count = 0.0
    for x, y in zip(made.x, made.y, strict=True):
        rows = np.atleast_2d(model([x])[0] if model.each_step else model([x]))
        for o, k in zip(rows, np.atleast_1d(y), strict=True):
            if k >= 0:
                total += weights[k] * (np.log(np.exp(o - o.max()).sum()) + o.max() - o[k])
                count += weights[k] if not model.each_step else 1
    return total / count


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("lengths", [[0, 0, 0, 0, 0, 3, 1, 2], [0, 0, 0, 4], [1, 1, 1], [0, 7, 0, 0, 0, 0, 0]])
def test_sequences_of_length_0_and_1_train_and_predict(lengths: list[int], steps: bool) -> None:
    """However many are empty no batch is only of such, and each is read once an epoch."""
    made = of_lengths(lengths, steps)
    for size in (1, 2, 3, 100):
        batches = data.Batches(made, size, 3)
        epoch = [batches[k].rows for k in range(len(batches))]
        assert sorted(np.concatenate(epoch).tolist()) == list(range(len(made)))
        assert all(made.lengths[rows].any() for rows in epoch)
    model = (each if steps else one)()
    history = quiet(model, made, 6, batch=2)
    assert np.isfinite(history.losses).all()
    predictions = model.predict(made)
    assert [np.shape(p) for p in predictions] == [(n,) if steps else () for n in lengths]
    alone = [n for n in range(len(made)) if lengths[n]]
    for i in alone:
        np.testing.assert_array_equal(predictions[i], model.predict([made.x[i]])[0])
    if not steps:  # an empty sequence ends in the initial state 0
        empty = [p for p, n in zip(predictions, lengths, strict=True) if not n]
        assert empty == [int(model.c.value.argmax())] * len(empty)


def test_only_empty_sequences_are_told() -> None:
    for steps in (False, True):
        with pytest.raises(DataError, match=r"all sequences of data have length 0|nothing to learn"):
            quiet((each if steps else one)(), of_lengths([0, 0], steps))


@pytest.mark.parametrize(("size", "accumulate"), [(3, 2), (100, 1), (3, 10), (1, 1)])
def test_batches_that_do_not_divide(size: int, accumulate: int) -> None:
    """7 sequences in batches of 3, steps of 2 batches: the mean gradient of the batches that come, by a plain loop."""
    made = of_lengths([3, 1, 4, 2, 5, 1, 7])
    model, plain = one(), one()
    history = quiet(model, made, 5, batch=size, accumulate=accumulate, rate=0.1)
    batches, k = data.Batches(made, size, 0), 0
    for step in range(5):
        total = [np.zeros_like(p.value) for p in plain.parameters()]
        losses = 0.0
        for _ in range(accumulate):
            batch, k = batches[k], k + 1
            loss = train.TrainingStep(plain.loss, train.SGD(plain.parameters(), 1e-300)).loss
            losses += float(loss.backward(nn.pack(batch.x) if isinstance(batch.x, list) else batch.x, batch.y))
            for sum_, p in zip(total, plain.parameters(), strict=True):
                sum_ += p.grad
        assert history.losses[step] == pytest.approx(losses / accumulate, rel=1e-12)
        for sum_, p in zip(total, plain.parameters(), strict=True):
            p.value -= 0.1 * sum_ / accumulate
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(p.value, q.value, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("size", [2, 7])
def test_the_loss_of_a_measurement_does_not_depend_on_the_batches(size: int) -> None:
    made = of_lengths([3, 1, 4, 2, 5, 1, 7, 2, 2], classes=3)
    for model in (one(3), one(3, class_weights=W)):
        quiet(model, made, 2, batch=4)
        assert model.evaluate(made, batch=size)["loss"] == pytest.approx(nats(model, made), rel=1e-9)
    steps = of_lengths([3, 1, 4, 2, 5], True, 3)
    model = each(3, class_weights=W)
    quiet(model, steps, 2, batch=4)
    assert model.evaluate(steps, batch=size)["loss"] == pytest.approx(nats(model, steps), rel=1e-9)


def test_a_batch_without_a_class_that_counts_changes_nothing() -> None:
    x = [rng(k).normal(size=(3, 2)) for k in range(4)]
    model = one(3, class_weights=W)
    before = [p.value.copy() for p in model.parameters()]
    history = quiet(model, data.Sequences.of(x, [0, 0, 0, 0], dtype=F64, classes="abc"), 3, batch=2)
    assert list(history.losses) == [0, 0, 0]
    assert all(np.array_equal(p.value, b) for p, b in zip(model.parameters(), before, strict=True))
    torch = pytest.importorskip("torch")
    y = np.array([0, 1, 2, 1])
    wanted = torch.nn.functional.cross_entropy(torch.tensor(model(x)), torch.tensor(y), weight=torch.tensor(W))
    history = quiet(model, data.Sequences.of(x, y, dtype=F64), 1, batch=4)
    assert history.losses[0] == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.parametrize("weights", [[0, 0], [np.inf, 1], [np.nan, 1], [1, 2, 3]])
def test_class_weights_that_weigh_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ShapeError, match="class_weights are"):
        one(class_weights=weights)


def test_steps_without_a_class() -> None:
    made = of_lengths([3, 4], True)
    some = data.Sequences.of(made.x, [np.full(3, -1), made.y[1]], dtype=F64, classes="ab")
    none = data.Sequences.of(made.x, [np.full(3, -1), np.full(4, -1)], dtype=F64, classes="ab")
    model = each()
    history = quiet(model, some, 4, batch=1)
    assert sorted(loss == 0 for loss in history.losses) == [False, False, True, True]  # a batch without any counts 0
    assert model.evaluate(some)["loss"] == pytest.approx(nats(model, some), rel=1e-9)
    with pytest.raises(DataError, match="nothing to learn: no target of data has a class"):
        quiet(model, none)
    with pytest.raises(DataError, match="nothing to measure: data has no target that counts"):
        model.evaluate(none)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 2}, "patience=2 goes by validations"),
        ({"keep": "best"}, "keep='best' goes by validations"),
        ({"monitor": "accuracy"}, "monitor='accuracy' goes by validations"),
        ({"schedule": "plateau"}, "schedule='plateau' goes by validations"),
    ],
)
def test_what_goes_by_validations_wants_some(options: dict[str, Any], message: str) -> None:
    made = of_lengths([3, 4, 2, 5])
    with pytest.raises(TinyseqError, match=message):
        quiet(one(), made, **options)
    assert quiet(one(), made, 2, validation=0.25, validate_every=1, **options).validation


def test_an_optimiser_of_another_model_and_classes_it_has_not_are_named() -> None:
    made = of_lengths([3, 4, 2])
    with pytest.raises(TinyseqError, match="the optimiser has no parameter of this model"):
        train.fit(one(), made, train.SGD(one().parameters(), 0.1), 2, progress=False)
    model = one()
    quiet(model, made, 1)
    more = data.Sequences.of(made.x, [0, 3, 1], dtype=F64)
    with pytest.raises(DataError, match="the target of data, number 1, is class 3; the model tells 2 apart, 0 to 1"):
        model.evaluate(more)
    with pytest.raises(DataError, match=r"features that are whole numbers: x.astype\('float32'\)"):
        data.Sequences.of([np.ones((3, 2), int)], [0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validate_every": 0, "validation": 0.3}, r"validate_every is a whole number of steps of at least 1, got 0"),
        ({"validate_every": 1.5, "validation": 0.3}, r"validate_every is a whole number .* got 1\.5"),
        ({"save_every": 0}, r"save_every is a whole number of steps of at least 1, got 0"),
        ({"save_seconds": float("nan")}, r"save_seconds must be a finite number from 0, got nan"),
    ],
)
def test_how_often_is_a_whole_number(options: Any, message: str, tmp_path: Any) -> None:
    draw = np.random.default_rng(0)
    model = nn.ManyToOne(nn.GRUCell(2, 3, rng=draw), 2, rng=draw)
    made = [draw.normal(size=(2, 2)) for _ in range(8)], draw.integers(0, 2, 8)
    with pytest.raises(TinyseqError, match=message):
        train.fit(model, made, "adam", 2, run=tmp_path / "run", progress=False, **options)
