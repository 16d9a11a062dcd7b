"""Replays heed changes wherever Python keeps things: slots, modules, metaclasses, patterns, caches, parameters."""

from __future__ import annotations

import collections
import contextvars
import dataclasses
import enum
import functools
import importlib.util
import operator
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import RecordingWarning

X = np.random.default_rng(0).normal(size=(4, 2, 2))
NOW = {"scale": 1.0}
ONE, TWO = types.ModuleType("one"), types.ModuleType("two")
ONE.__file__ = TWO.__file__ = __file__
ONE.scale, TWO.scale = 1.0, 7.0  # type: ignore[attr-defined]
MODULE: Any = ONE
VARIABLE: contextvars.ContextVar[float] = contextvars.ContextVar("VARIABLE", default=1.0)


class Thing:
    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale


class Base:
    scale = 1.0


class Below(Base):
    pass


class Named:
    """A descriptor that keeps its number by a name of its own making."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, thing: Any, owner: type) -> float:
        return getattr(thing, "_" + self.name)

    def __set__(self, thing: Any, value: float) -> None:
        setattr(thing, "_" + self.name, value)


class Described:
    scale = Named()

    def __init__(self) -> None:
        self.scale = 1.0


class Counted(type):
    @property
    def scale(cls) -> float:
        return cls._scale

    def __getitem__(cls, _: Any) -> float:
        return cls._scale


class OfMeta(metaclass=Counted):
    _scale = 1.0


class Act(str, enum.Enum):  # noqa: UP042 (its class is no str's)
    TANH = "tanh"

    def __call__(self, x: Any) -> Any:
        return ts.tanh(x) * NOW["scale"]


@dataclasses.dataclass(slots=True)
class Slotted:
    scale: float = 1.0


class BelowSlots(Slotted):
    pass


class OneSlot:
    __slots__ = "scale"


class Hidden:
    __slots__ = ("__scale",)

    def __init__(self) -> None:
        self.__scale = 1.0

    def set(self, value: float) -> None:
        self.__scale = value

    def get(self) -> float:
        return self.__scale


class Other(Thing):
    @property
    def doubled(self) -> float:
        return 3.0


class Usual(Thing):
    @property
    def doubled(self) -> float:
        return 2.0


class Tagged(np.ndarray):
    scale = 1.0


class Cell:
    """No cell of tinyseq's, inside one of tinyseq's nets."""

    name, input_size, hidden_size, output_size, dtype = "own", 2, 2, 2, np.dtype("float64")

    def __init__(self) -> None:
        self.W, self.scale = ts.Parameter(np.full((2, 2), 0.3)), 1.0

    def step(self, x: Any, h: Any) -> Any:
        h = ts.tanh(x + h @ self.W) * self.scale
        return h, h

    def initial_state(self, batch: int, *_: Any) -> Any:
        return ts.zeros((batch, 2), "float64")

    def hidden(self, state: Any) -> Any:
        return state

    def parameters(self) -> list[ts.Parameter]:
        return [self.W]


def of_attribute(x: Any) -> Any:
    return ts.sum(x) * of_attribute.scale  # type: ignore[attr-defined]


of_attribute.scale = 1.0  # type: ignore[attr-defined]


def scaled_by(settings: Any, x: Any) -> Any:
    return ts.sum(x) * settings.scale


@functools.lru_cache
def settings() -> Thing:
    return Thing()


def matched(thing: Any) -> Callable[[Any], Any]:
    def loss(x: Any) -> Any:
        match thing:
            case Thing(scale=value):
                return ts.sum(x) * value
        raise AssertionError

    return loss


def _set(thing: Any, value: Any = 3.0) -> Callable[[], None]:
    return lambda: setattr(thing, "scale", value)


def _cases() -> Iterator[tuple[str, Callable[[Any], Any], Callable[[], None]]]:
    here, p, thing = globals(), ts.Parameter(np.ones(2)), Thing()
    zero = np.array(2.0)
    yield "number in an array", lambda x: ts.sum(x) * float(zero), lambda: zero.__setitem__((), 3.0)
    yield "a parameter's numbers", lambda x: ts.sum(x) * float(p.value.sum()), lambda: p.value.__imul__(2.0)
    q = ts.Parameter(np.ones(2))
    yield (
        "a parameter frozen",
        lambda x: ts.sum(x) * (1.0 if q.trainable else 2.0),
        lambda: setattr(q, "trainable", False),
    )
    for name, read in {
        "getattr": lambda t: getattr(t, "scale", 1.0),
        "vars": lambda t: vars(t)["scale"],
        "all of vars": lambda t: sum(vars(t).values()),
        "attrgetter": operator.attrgetter("scale"),
    }.items():
        one = Thing()
        yield name, lambda x, read=read, one=one: ts.sum(x) * read(one), _set(one)
    yield "pattern", matched(thing), _set(thing)
    described = Described()
    yield "descriptor", lambda x: ts.sum(x) * described.scale, _set(described)
    yield "attribute of a function", of_attribute, _set(of_attribute)
    yield "module handed on", lambda x: scaled_by(ONE, x), lambda: setattr(ONE, "scale", 3.0)
    yield "another module", lambda x: ts.sum(x) * MODULE.scale, lambda: here.__setitem__("MODULE", TWO)
    bare = Thing()
    yield (
        "attribute that comes",
        lambda x: ts.sum(x) * (2.0 if hasattr(bare, "bias") else 1.0),
        lambda: setattr(bare, "bias", 1),
    )
    below = Below()
    yield "attribute of the class below", lambda x: ts.sum(x) * below.scale, lambda: setattr(Below, "scale", 3.0)
    slotted, one_slot, hidden = BelowSlots(), OneSlot(), Hidden()
    one_slot.scale = 1.0
    yield "slots and a dict", lambda x: ts.sum(x) * slotted.scale, _set(slotted)
    yield "one slot", lambda x: ts.sum(x) * one_slot.scale, _set(one_slot)
    yield "private slot", lambda x: ts.sum(x) * hidden.get(), lambda: hidden.set(3.0)
    cell = Cell()
    stack = ts.nn.StackedCells([cell])
    yield (
        "any cell in a net",
        lambda x: ts.sum(ts.unfold(stack, ts.Chain(4), x, stack.initial_state(2)).outputs),
        _set(cell),
    )
    lstm = ts.nn.LSTMCell(2, 2, rng=np.random.default_rng(0), dtype="float64")
    yield (
        "a method given to one of tinyseq's cells",
        lambda x: ts.sum(ts.unfold(lstm, ts.Chain(4), x, lstm.initial_state(2)).outputs),
        lambda: setattr(lstm, "_gate", lambda name, a, s: ts.sigmoid(a) * 0.5),
    )
    objects, numbers = np.array([Thing(), None], object), np.array([1.0, None], object)
    yield "object in an array", lambda x: ts.sum(x) * objects[0].scale, lambda: setattr(objects[0], "scale", 3.0)
    yield "item of an array of objects", lambda x: ts.sum(x) * numbers[0], lambda: numbers.__setitem__(0, 3.0)
    tagged = np.ones(2).view(Tagged)
    yield "attribute of an array", lambda x: ts.sum(x) * tagged.scale, _set(tagged)
    act, holder = Thing(), Thing()
    act.scale = Act.TANH  # type: ignore[assignment]
    yield "member of an enum", lambda x: ts.sum(act.scale(x)), lambda: NOW.__setitem__("scale", 3.0)  # type: ignore
    yield "metaclass", lambda x: ts.sum(x) * OfMeta.scale, lambda: setattr(OfMeta, "_scale", 3.0)
    usual = Usual()
    yield "class of an object", lambda x: ts.sum(x) * usual.doubled, lambda: setattr(usual, "__class__", Other)
    weak: Any = weakref.WeakKeyDictionary({holder: 1.0})
    yield "weak dict", lambda x: ts.sum(x) * weak[holder], lambda: weak.__setitem__(holder, 3.0)
    yield "cached function", lambda x: ts.sum(x) * settings().scale, lambda: setattr(settings(), "scale", 3.0)
    table: Any = collections.defaultdict(lambda: NOW["scale"])
    yield "default of a dict", lambda x: ts.sum(x) * table.copy()["a"], lambda: NOW.__setitem__("scale", 3.0)
    yield "context", lambda x: ts.sum(x) * VARIABLE.get(), lambda: VARIABLE.set(3.0) and None


CASES = {name: rest for name, *rest in _cases()}


def wanted(loss: Callable[[Any], Any]) -> float:
    with ts.Tape(executor=ts.Reference):
        return loss(ts.tensor(X)).item()


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_heeded(name: str) -> None:
    loss, change = CASES[name]
    NOW["scale"] = 1.0
    settings.cache_clear()
    run = ts.compile(loss)
    before = wanted(loss)
    for _ in range(2):
        assert run(X) == pytest.approx(before, rel=1e-12)
    assert len(run.versions()) == 1
    change()
    assert wanted(loss) != pytest.approx(before, rel=1e-6)
    for _ in range(2):
        assert run(X) == pytest.approx(wanted(loss), rel=1e-12)


def test_a_class_of_a_file_that_was_run_and_imports_from_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my-packages"
    (package / "upper" / "lower").mkdir(parents=True)
    for folder in ("upper", "upper/lower"):
        (package / folder / "__init__.py").touch()
    (package / "upper" / "types.py").write_text("scale = 1.0\n")
    (package / "upper" / "lower" / "net.py").write_text(
        "import tinyseq as ts\ndef loss(x):\n    from ..types import scale\n    return ts.sum(x) * scale\n"
    )
    (package / "plug.py").write_text(
        "import tinyseq as ts\nclass Model:\n    def __init__(self): self.scale = 1.0\n"
        "    def helped(self): return self.scale\n    def loss(self, x): return ts.sum(x) * self.helped()\n"
    )
    monkeypatch.syspath_prepend(package)
    spec = importlib.util.spec_from_file_location("plug", package / "plug.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # which nobody registers
    model = module.Model()
    net = importlib.import_module("upper.lower.net")
    for loss, change in ((model.loss, _set(model)), (net.loss, lambda: _set(sys.modules["upper.types"])())):
        run = ts.compile(loss)
        first = float(run(X))
        change()
        assert run(X) == pytest.approx(3 * first)


@pytest.mark.parametrize("numbers", [lambda: iter([1.0] * 3 + [0.5] * 3), lambda: (n for n in [1.0] * 3 + [0.5] * 3)])
def test_what_an_iterator_gives_is_asked_for_at_each_call(numbers: Callable[[], Any]) -> None:
    given = numbers()
    run = ts.compile(lambda x: ts.sum(x) * next(given))
    with pytest.warns(RecordingWarning, match="iterator"):
        found = [float(run(X)) for _ in range(5)]
    assert found[0] == found[1] == found[2] and found[4] == pytest.approx(found[0] / 2)


class Forwarding:
    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = {"scale": 1.0}

    def __getattr__(self, name: str) -> Any:
        return self.held[name]  # KeyError for what is not there


class Unbound:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("nothing is bound")


class Views(list):
    def __iter__(self) -> Iterator[Any]:
        return (Thing(n) for n in super().__iter__())


class Silent(dict):
    def values(self) -> Any:
        raise RuntimeError("asked for")


def test_things_that_answer_oddly_are_not_asked() -> None:
    odd: Any = {"a": 1.0, "proxy": weakref.proxy(target := Thing()), "unbound": Unbound(), "forwarding": Forwarding()}
    views, silent = Views([1.0, 2.0]), Silent(a=2.0)
    del target

    def loss(x: Any) -> Any:
        return ts.sum(x) * odd["a"] * odd["forwarding"].scale * silent["a"] * sum(v.scale for v in views)

    run = ts.compile(loss)
    first = float(run(X))
    for _ in range(3):
        assert run(X) == first
    assert len(run.versions()) == 1
    views[0] = 4.0
    assert run(X) == pytest.approx(2 * first)
    silent["a"] = 1.0
    assert run(X) == pytest.approx(first)


def test_an_array_too_large_to_watch_is_told() -> None:
    large = np.zeros(2_200_000)
    run = ts.compile(lambda x: ts.sum(x) * float(large[0]))
    with pytest.warns(RecordingWarning, match="16 megabytes"):
        run(X)
