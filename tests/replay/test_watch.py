"""What a recording depends on beside its arguments: replays heed every change of it."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import random
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import GradientError, RecordingWarning, TapeError
from tinyseq.train import SGD, TrainingStep

X = np.array([1.0, 2.0])
FACTOR = 2.0
WEIGHTS = np.array([1.0, 1.0])
SETTINGS = types.SimpleNamespace(scale=3.0)


def count(run: Any) -> int:
    return len(run.versions())


class Model(ts.nn.Module):
    size = 1.0

    def __init__(self) -> None:
        self.W, self.scale = ts.Parameter(np.ones(2), "W"), 1.0
        self.parts: Any = [ts.Parameter(np.ones(2), "a"), ts.Parameter(np.ones(2), "b")]
        self.table: Any = {"c": ts.Parameter(np.ones(2), "c")}
        self.constant = np.array([1.0, 1.0])
        self.settings = SETTINGS
        self.calls = 0

    def loss(self, x: Any) -> Any:
        parts = ts.sum(self.parts[0] * self.table["c"])
        return ts.sum(x * self.W * ts.tensor(self.constant)) * self.scale * self.size + parts * self.settings.scale

    def wanted(self) -> float:
        """The loss of X in NumPy."""
        own = (X * self.W.value * self.constant).sum() * self.scale * self.size
        return own + (self.parts[0].value * self.table["c"].value).sum() * self.settings.scale


@dataclass
class Setting:
    scale: float = 3.0


def new(value: float) -> ts.Parameter:
    return ts.Parameter(np.full(2, value), "new")


CHANGES: dict[str, Callable[[Model], Any]] = {
    "a parameter": lambda m: setattr(m, "W", new(5.0)),
    "a number": lambda m: setattr(m, "scale", 7.0),
    "the sign of zero": lambda m: setattr(m, "scale", -0.0),
    "a number to a bool": lambda m: setattr(m, "scale", True),
    "an attribute that hides its class's": lambda m: setattr(m, "size", 4.0),
    "an item of a list": lambda m: m.parts.__setitem__(0, new(6.0)),
    "a list": lambda m: setattr(m, "parts", [new(3.0)]),
    "an item inserted": lambda m: m.parts.insert(0, new(9.0)),
    "an item of a dict": lambda m: m.table.__setitem__("c", new(8.0)),
    "an array in place": lambda m: m.constant.__setitem__(0, 11.0),
    "an array": lambda m: setattr(m, "constant", np.array([3.0, 4.0])),
    "an attribute of an attribute": lambda m: setattr(m, "settings", Setting(12.0)),
    "a method": lambda m: setattr(m, "loss", None),
}


@pytest.mark.parametrize("change", [c for name, c in CHANGES.items() if name != "a method"], ids=list(CHANGES)[:-1])
def test_what_a_method_reads_may_change(change: Callable[[Model], Any]) -> None:
    model = Model()
    run = ts.compile(model.loss)
    assert run(X) == pytest.approx(model.wanted())
    change(model)
    for _ in range(3):
        assert run(X) == pytest.approx(model.wanted())
    assert np.signbit(run(X)) == np.signbit(model.wanted())
    assert count(run) == 2
    run.backward(X)
    np.testing.assert_allclose(model.W.grad, X * model.constant * model.scale * model.size)


def test_an_equal_number_or_another_attribute_records_nothing() -> None:
    model = Model()
    run = ts.compile(model.loss)
    for k in range(5):
        model.calls += 1
        model.scale = float("1." + "0" * k)
        model.history = [k]
        assert run(X) == pytest.approx(model.wanted())
    assert count(run) == 1


def test_a_switch_between_two_keeps_both() -> None:
    model = Model()
    run = ts.compile(model.loss)
    for k in range(10):
        model.scale = (1.0, 5.0)[k % 2]
        assert run(X) == pytest.approx(model.wanted())
    assert count(run) == 2


def test_variables_globals_defaults_and_module_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    w, k = ts.Parameter(np.ones(2), "w"), 3.0
    here = globals()

    def inner(x: Any) -> Any:
        return ts.sum(w * x * ts.tensor(WEIGHTS)) * k * FACTOR

    def outer(x: Any, more: float = 1.0, *, added: float = 0.0) -> Any:
        return inner(x) * more + added

    run = ts.compile(outer)
    assert run(X) == 18.0
    k = 4.0
    assert run(X) == 24.0
    monkeypatch.setitem(here, "FACTOR", 3.0)
    assert run(X) == 36.0
    monkeypatch.setitem(here, "WEIGHTS", np.array([1.0, 0.0]))
    assert run(X) == 12.0
    here["WEIGHTS"][1] = 2.0
    assert run(X) == 60.0
    outer.__defaults__ = (0.5,)
    assert run(X) == 30.0
    outer.__kwdefaults__ = {"added": 1.0}
    assert run(X) == 31.0
    w = ts.Parameter(np.zeros(2), "other")
    assert run(X) == 1.0


def test_class_attributes_and_methods_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    run = ts.compile(model.loss)
    run(X)
    monkeypatch.setattr(Model, "size", 6.0)
    assert run(X) == pytest.approx(model.wanted())

    class Other:
        def __init__(self) -> None:
            self.W = ts.Parameter(np.ones(2), "W")

        def part(self, x: Any) -> Any:
            return self.W * x

        def loss(self, x: Any) -> Any:
            return ts.sum(self.part(x))

    other = Other()
    run = ts.compile(other.loss)
    assert run(X) == 3.0
    Other.part = lambda self, x: self.W * x * 2.0  # type: ignore[method-assign]
    assert run(X) == 6.0


def test_slots_partials_and_callable_objects() -> None:
    class Slotted:
        __slots__ = ("scale", "w")

        def __init__(self) -> None:
            self.w, self.scale = ts.Parameter(np.ones(2), "w"), 2.0

        def __call__(self, x: Any, k: float) -> Any:
            return ts.sum(self.w * x) * self.scale * k

    thing = Slotted()
    run, part = ts.compile(thing), ts.compile(functools.partial(thing, k=10.0))
    assert run(X, 1.0) == 6.0 and part(X) == 60.0
    thing.scale = 3.0
    assert run(X, 1.0) == 9.0 and part(X) == 90.0


def test_trainable_may_change_both_ways() -> None:
    W, b = ts.Parameter(np.ones(2), "W"), ts.Parameter(np.ones(2), "b")
    run = ts.compile(lambda x: ts.sum(W * x * b))
    run.backward(X)
    W.trainable = False
    run.backward(X)
    assert W.grad is None
    np.testing.assert_array_equal(b.grad, X)
    W.trainable = True
    run.backward(X)
    np.testing.assert_array_equal(W.grad, X)
    fixed = ts.Parameter(np.ones(2), "f", trainable=False)
    run = ts.compile(lambda x: ts.sum(fixed * x * b))
    run.backward(X)
    assert fixed.grad is None
    fixed.trainable = True
    run.backward(X)
    np.testing.assert_array_equal(fixed.grad, X)
    optimiser, before = SGD([W, fixed], 0.1), W.value.copy()
    W.grad, W.trainable = np.ones(2), False
    optimiser.step()
    np.testing.assert_array_equal(W.value, before)
    np.testing.assert_allclose(fixed.value, 1 - 0.1 * X)
    fixed.trainable = False
    optimiser.step()
    np.testing.assert_allclose(fixed.value, 1 - 0.1 * X)


# -- random numbers
GENERATOR = np.random.default_rng(0)
DRAWS: dict[str, Callable[[], Any]] = {
    "Generator": lambda: GENERATOR.normal(size=2),
    "np.random": lambda: np.random.normal(size=2),  # noqa: NPY002
    "random": lambda: np.array([random.random(), random.random()]),
    "unseeded": lambda: np.random.default_rng().normal(size=2),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("as_number", [False, True])
def test_random_numbers_are_new_at_each_call_and_told(draw: Callable[[], Any], as_number: bool) -> None:
    w = ts.Parameter(np.ones(2), "w")
    drawn: list[Any] = []

    def loss(x: Any) -> Any:
        drawn.append(draw())
        noise = float(drawn[-1][0]) if as_number else ts.tensor(drawn[-1])
        return ts.sum(w * x * noise)

    run = ts.compile(loss)
    with pytest.warns(RecordingWarning, match=r"recorded anew at each call.*argument"):
        run(X)
    for _ in range(5):
        found = run.backward(X)
        noise = drawn[-1][0] if as_number else drawn[-1]
        assert found == pytest.approx((X * noise).sum())
        np.testing.assert_allclose(w.grad, X * noise)
    assert len({float(d[0]) for d in drawn[-5:]}) == 5
    assert count(run) == 1


def test_a_generator_given_as_an_argument_is_drawn_from_at_each_call() -> None:
    w, rng = ts.Parameter(np.ones(8), "w"), np.random.default_rng(3)
    run = ts.compile(lambda x, rng: ts.sum(ts.nn.dropout(x * w, ts.nn.dropout_mask(rng, (8,), 0.5, np.float64))))
    with pytest.warns(RecordingWarning, match="Generator"):
        found = [float(run(np.arange(8.0), rng)) for _ in range(4)]
    other = np.random.default_rng(3)
    assert found == [float((np.arange(8) * ts.nn.dropout_mask(other, (8,), 0.5, np.float64)).sum()) for _ in range(4)]


def test_seeded_inside_is_the_same_each_time_and_replayed() -> None:
    w = ts.Parameter(np.ones(2), "w")
    run = ts.compile(lambda x: ts.sum(w * x * ts.tensor(np.random.default_rng(7).normal(size=2))))
    expected = (X * np.random.default_rng(7).normal(size=2)).sum()
    assert [float(run(X)) for _ in range(3)] == pytest.approx([expected] * 3)


def test_a_function_that_changes_what_it_reads() -> None:
    class Counting:
        def __init__(self) -> None:
            self.w, self.n, self.seen = ts.Parameter(np.ones(2), "w"), 0.0, 0

        def used(self, x: Any) -> Any:
            self.n += 1.0
            return ts.sum(self.w * x) * self.n

        def unused(self, x: Any) -> Any:
            self.seen += 1
            return ts.sum(self.w * x)

    thing = Counting()
    run = ts.compile(thing.used)
    with pytest.warns(RecordingWarning, match="n of Counting"):
        run(X)
    start = thing.n
    assert [float(run(X)) for _ in range(3)] == [3 * (start + k) for k in (1, 2, 3)]
    run = ts.compile(thing.unused)
    assert [float(run(X)) for _ in range(3)] == [3.0] * 3
    assert count(run) == 1


def test_recording_again_and_again_is_told_once() -> None:
    model = Model()
    run = ts.compile(model.loss)
    with pytest.warns(RecordingWarning, match=r"scale of Model.*np\.asarray") as told:
        for k in range(20):
            model.scale = float(k)
            assert run(X) == pytest.approx(model.wanted())
    assert len(told) == 1
    assert told[0].filename == __file__
    assert count(run) <= 4


# -- arguments
def test_arguments_that_python_takes_for_equal_are_told_apart() -> None:
    w = ts.Parameter(np.ones(2), "w")

    def loss(x: Any, k: Any) -> Any:
        if isinstance(k, str):
            return ts.sum(w * x) + 100.0
        if isinstance(k, bool):
            return ts.sum(w * x) + 200.0
        if isinstance(k, int):
            return ts.sum(w * x) + 300.0
        return ts.sum(w * x) / ts.tensor(np.array(k, np.float64))

    run = ts.compile(loss)
    given = [1, True, "1", 1.0, np.float64(2.0), 0.0, -0.0, np.float64(-0.0), np.float64(0.0), 0, False]
    wanted = [303.0, 203.0, 103.0, 3.0, 1.5, np.inf, -np.inf, -np.inf, np.inf, 303.0, 203.0]
    for _ in range(2):
        assert [float(run(X, k)) for k in given] == wanted
    before = count(run)
    for _ in range(3):
        assert np.isnan(run(X, float("nan")))
    assert count(run) == before + 1
    keys = ts.compile(
        lambda x, d: ts.sum(w * x) * (2.0 if True in d else 3.0) * (1.0 if type(next(iter(d))) is int else 7.0)
    )
    assert [float(keys(X, d)) for d in ({1: "a"}, {True: "a"}, {1.0: "a"})] == [6.0, 42.0, 42.0]
    kinds = ts.compile(lambda x, t: ts.sum(w * x) * (2.0 if isinstance(t, list) else 3.0))
    assert kinds(X, [1]) == 6.0 and kinds(X, (1,)) == 9.0


def test_keywords_and_defaults() -> None:
    w = ts.Parameter(np.ones(2), "w")
    run = ts.compile(lambda x, y=None, *, k=1.0, z=None: ts.sum(w * x) * k + (0.0 if z is None else ts.sum(z * w)))
    assert run(X) == 3.0
    assert run(x=X) == 3.0
    assert run(X, k=3.0) == 9.0
    assert run(X, z=np.array([1.0, 10.0]), k=2.0) == 17.0
    assert run.backward(k=2.0, z=np.array([2.0, 10.0]), x=X) == 18.0
    np.testing.assert_array_equal(w.grad, 2 * X + [2.0, 10.0])
    with pytest.raises(TypeError, match="unexpected keyword"):
        run(X, q=1)
    assert run.program(X, k=3.0) is run.program(X, k=3.0)
    executor, node = run.reference(X, k=3.0)
    assert executor.value(node) == 9.0


# -- methods
class Learner(ts.nn.Module):
    def __init__(self, value: float) -> None:
        self.W = ts.Parameter(np.full(2, value), "W")

    @ts.compile
    def loss(self, x: Any, k: float = 1.0) -> Any:
        """The loss."""
        return ts.sum(x * self.W) * k

    @staticmethod
    @ts.compile
    def plain(x: Any) -> Any:
        return ts.sum(x * 2.0)

    @classmethod
    @ts.compile
    def named(cls, x: Any) -> Any:
        return ts.sum(x) * float(len(cls.__name__))


def test_a_method_is_compiled_for_each_instance() -> None:
    one, other = Learner(1.0), Learner(10.0)
    assert Learner(2.0).loss(X) == 6.0
    for _ in range(2):
        assert one.loss(X) == 3.0 and other.loss(X, k=2.0) == 60.0
        other.loss.backward(X)
        np.testing.assert_array_equal(other.W.grad, X)
    assert one.loss is one.loss and one.loss is not other.loss
    assert Learner.plain(X) == one.plain(X) == 6.0
    assert Learner.named(X) == one.named(X) == 21.0
    assert one.loss.__doc__ == "The loss." and one.loss.__name__ == "loss"
    other.W = ts.Parameter(np.zeros(2), "W")
    assert other.loss(X) == 0.0 and one.loss(X) == 3.0


def test_instances_go_with_their_recordings() -> None:
    model = Learner(1.0)
    model.loss(X)
    recording = weakref.ref(model.loss.versions()[0])
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None and recording() is None


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_an_instance_record_for_themselves(twin: Any) -> None:
    model = Learner(1.0)
    model.loss(X)
    other = twin(model)
    other.W = ts.Parameter(np.full(2, 5.0), "W")
    assert other.loss(X) == 15.0 and model.loss(X) == 3.0
    assert other.loss is not model.loss
    assert [name for name, _ in other.named_parameters()] == ["W"]


def test_methods_of_classes_with_slots_say_what_to_write() -> None:
    class Slotted:
        __slots__ = ()

        @ts.compile
        def loss(self, x: Any) -> Any:
            return ts.sum(x)

    with pytest.raises(TapeError, match=r"ts\.compile\(instance\.method\)"):
        Slotted().loss(X)


# -- training steps
def test_a_training_step_heeds_changes() -> None:
    model = Model()
    step = TrainingStep(model.loss, SGD(model.parameters(), 0.01))
    step(X)
    model.scale = 3.0
    wanted = model.wanted()
    before = model.W.value.copy()
    assert step(X) == pytest.approx(wanted)
    np.testing.assert_allclose(model.W.value, before - 0.01 * X * 3.0)
    model.W = ts.Parameter(np.full(2, 5.0), "W")
    with pytest.raises(TapeError, match=r"another parameter than before.*new TrainingStep"):
        step(x=X)


def test_a_training_step_leaves_alone_what_its_loss_does_not_read() -> None:
    a, b = ts.Parameter(np.ones(2), "a"), ts.Parameter(np.ones(2), "b")
    step = TrainingStep(lambda x, which: {"nll": ts.sum((a if which else b) * x), "count": ts.sum(x)}, SGD([a, b], 0.1))
    step(X, which=True)
    step(X, which=False)
    step(X, which=False)
    np.testing.assert_allclose(a.value, 1 - 0.1 * X)
    np.testing.assert_allclose(b.value, 1 - 0.2 * X)


def test_nothing_to_differentiate_is_still_an_error() -> None:
    fixed = ts.Parameter(np.ones(2), "f", trainable=False)
    with pytest.raises(GradientError):
        ts.compile(lambda x: ts.sum(fixed * x)).backward(X)
