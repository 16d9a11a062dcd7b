"""Replays heed what is read by code that no line of the user's names: what tinyseq calls, and what Python calls."""

from __future__ import annotations

import array
import collections
import contextlib
import functools
import itertools
import os
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import numpy as np
import pytest
import scipy.sparse

import tinyseq as ts
from tinyseq.errors import RecordingWarning
from tinyseq.nn.sequences import encode

H, V, T, B = 3, 2, 4, 2
X = np.random.default_rng(0).normal(size=(T, B, V))
ROWS = np.random.default_rng(1).normal(size=(4, V))
TREE = ts.Tree.balanced(4)
SCALE = {"now": 1.0}
FACTOR = 1.0


def _new(*shape: int) -> ts.Parameter:
    return ts.Parameter(np.random.default_rng(sum(shape)).normal(size=shape) * 0.5)


class Cell(ts.nn.Cell):
    """A cell whose methods, all called by tinyseq, read an attribute."""

    def __init__(self) -> None:
        self.U, self.W, self.scale = _new(V, H), _new(H, H), 1.0

    def step(self, x: Any, h: Any) -> Any:
        h = ts.tanh(x @ self.U + h @ self.W) * self.scale
        return h, h

    def leaf(self, x: Any) -> Any:
        return ts.tanh(x @ self.U) * self.scale

    def merge(self, left: Any, right: Any) -> Any:
        return ts.tanh((left + right) @ self.W) * self.scale


class Over(Cell):
    """The same through the class above."""

    def step(self, x: Any, h: Any) -> Any:
        return super().step(x, h)


class Plain:
    """A cell of no base class."""

    def __init__(self) -> None:
        self.U, self.W, self.scale = _new(V, H), _new(H, H), 1.0

    step, leaf, merge = Cell.step, Cell.leaf, Cell.merge


class Merging(Cell):
    def leaf(self, x: Any) -> Any:
        return ts.tanh(x @ self.U)


class Beginning(Cell):
    """Its first state, which tinyseq or a line of the user's asks for, reads the attribute."""

    def step(self, x: Any, h: Any) -> Any:
        h = ts.tanh(x @ self.U + h @ self.W)
        return h, h

    def initial_state(self, batch: int, *_: Any) -> Any:
        return ts.zeros((batch, H), "float64") + self.scale


class Showing:
    """What its net reads of its state, which tinyseq's encode asks for, reads the attribute."""

    input_size, dtype, __init__ = V, np.dtype("float64"), Cell.__init__

    def step(self, x: Any, h: Any) -> Any:
        h = ts.tanh(x @ self.U + h @ self.W)
        return h, h

    def initial_state(self, batch: int, *_: Any) -> Any:
        return ts.zeros((batch, H), "float64")

    def hidden(self, state: Any) -> Any:
        return state * self.scale


class Gated(ts.nn.LSTMCell):
    """A method that tinyseq's step calls is written over."""

    scale = 1.0

    def _gate(self, name: str, a: Any, s: Any) -> Any:
        return super()._gate(name, a, s) * self.scale


class Scaling(ts.nn.Module):
    def __init__(self) -> None:
        self.scale = 1.0

    def loss(self, x: Any) -> Any:
        return ts.sum(x) * self.scale


def _last(cell: Any) -> Callable[[Any], Any]:
    return lambda x: ts.sum(encode(cell, x).last)


def _chain(cell: Any) -> Callable[[Any], Any]:
    return lambda x: ts.sum(ts.unfold(cell, ts.Chain(T), x, ts.zeros((B, H), "float64")).outputs)


def _tree(cell: Any) -> Callable[[Any], Any]:
    return lambda x: ts.sum(ts.unfold(cell, TREE, x[: len(ROWS)]).root)


def _begun(cell: Any) -> Callable[[Any], Any]:
    return lambda x: ts.sum(ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B)).outputs)


def _set(thing: Any) -> Callable[[], None]:
    return lambda: setattr(thing, "scale", 3.0)


def _cells() -> Iterator[tuple[str, Callable[[Any], Any], Callable[[], None], np.ndarray]]:
    for kind in (Cell, Over, Plain):
        cell = kind()
        yield f"step of {kind.__name__}", _chain(cell), _set(cell), X
        cell = kind()
        yield f"leaf of {kind.__name__}", _tree(cell), _set(cell), ROWS
    merging, beginning, showing = Merging(), Beginning(), Showing()
    yield "hidden", _last(showing), _set(showing), X
    other = Plain()
    other.step = lambda x, h: (h, x @ other.U)  # type: ignore[method-assign]
    yield (
        "a step that is an attribute",
        _chain(other),
        lambda: setattr(other, "step", lambda x, h: (h, 2.0 * (x @ other.U))),
        X,
    )
    gated = Gated(V, H, rng=np.random.default_rng(0), dtype="float64")
    yield "a method of tinyseq's written over", _begun(gated), _set(gated), X
    yield "merge", _tree(merging), _set(merging), ROWS
    yield "initial state", _begun(beginning), _set(beginning), X


# -- what Python calls: operators, and the making of objects
class Held:
    """A number behind operators."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __getitem__(self, _: Any) -> float:
        return self.scale

    def __float__(self) -> float:
        return self.scale

    def __iter__(self) -> Iterator[float]:
        yield self.scale

    def __len__(self) -> int:
        return int(self.scale)

    def __rmul__(self, x: Any) -> Any:
        return x * self.scale

    def __neg__(self) -> float:
        return -self.scale

    def __contains__(self, x: float) -> bool:
        return x < self.scale

    def __bool__(self) -> bool:
        return self.scale > 2

    def __enter__(self) -> float:
        return self.scale

    def __exit__(self, *_: Any) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        if name == "made_up":
            return self.scale
        raise AttributeError(name)

    @property
    def doubled(self) -> float:
        return 2 * self.scale


def _entered(held: Held) -> Callable[[Any], Any]:
    def loss(x: Any) -> Any:
        with held as scale:
            return ts.sum(x) * scale

    return loss


OPERATORS: dict[str, Callable[[Held], Callable[[Any], Any]]] = {
    "item": lambda held: lambda x: ts.sum(x) * held[0],
    "float": lambda held: lambda x: ts.sum(x) * float(held),
    "iteration": lambda held: lambda x: ts.sum(x) * sum(held),
    "length": lambda held: lambda x: ts.sum(x) * len(held),
    "right operand": lambda held: lambda x: ts.sum(x * 1.0) * (2.0 * held),
    "sign": lambda held: lambda x: ts.sum(x) * -held,
    "membership": lambda held: lambda x: ts.sum(x) * (2.0 if 1.5 in held else 1.0),
    "truth": lambda held: lambda x: ts.sum(x) * (2.0 if held else 1.0),
    "with": _entered,
    "made-up attribute": lambda held: lambda x: ts.sum(x) * held.made_up,
    "property": lambda held: lambda x: ts.sum(x) * held.doubled,
}


class Made:
    """Made anew where it is used; what it is made with is read in its constructor."""

    def __init__(self) -> None:
        self.scale = SCALE["now"]


@dataclass
class Posted:
    base: float

    def __post_init__(self) -> None:
        self.scale = self.base * SCALE["now"]


class Few(NamedTuple):
    base: float

    @property
    def scale(self) -> float:
        return self.base * SCALE["now"]


class Table(dict):
    factor = 1.0

    def __missing__(self, key: str) -> float:
        return self.factor


def _change_scale() -> None:
    SCALE["now"] = 3.0


def _others() -> Iterator[tuple[str, Callable[[Any], Any], Callable[[], None], np.ndarray]]:
    for name, make in OPERATORS.items():
        held = Held()
        yield name, make(held), _set(held), X
    few, table, row = Few(2.0), Table(), collections.deque([1.0, 2.0])
    numbers, raw = array.array("d", [1.0, 2.0]), bytearray(b"ab")
    yield "constructor", lambda x: ts.sum(x) * Made().scale, _change_scale, X
    yield "constructor of a dataclass", lambda x: ts.sum(x) * Posted(2.0).scale, _change_scale, X
    yield "property of a named tuple", lambda x: ts.sum(x) * few.scale, _change_scale, X
    yield "missing key", lambda x: ts.sum(x) * table["a"], lambda: setattr(table, "factor", 5.0), X
    yield "deque", lambda x: ts.sum(x) * row[0], lambda: row.appendleft(7.0), X
    yield "array of numbers", lambda x: ts.sum(x) * numbers[1], lambda: numbers.__setitem__(1, 9.0), X
    yield "bytes", lambda x: ts.sum(x) * float(raw[0]), lambda: raw.__setitem__(0, 5), X


# -- where names lead
def _module(name: str, **values: Any) -> types.ModuleType:
    """A module of the user's."""
    module = types.ModuleType(name)
    module.__file__ = __file__
    vars(module).update(values)
    return module


sys.modules["watched_settings"] = SETTINGS = _module("watched_settings", scale=1.0, inner=_module("inner", scale=1.0))
TABLE = {"a": 1.0, "b": 2.0}
FETCH = TABLE.get
DATA, VIEWED = collections.UserDict(a=1.0), types.MappingProxyType(TABLE)
MATRIX = scipy.sparse.csr_array(np.eye(V))


class Target:
    scale = 1.0

    @functools.cached_property
    def doubled(self) -> float:
        return 2 * SCALE["now"]


TARGET = Target()
WEAK = weakref.ref(TARGET)


@functools.singledispatch
def of_kind(_: Any) -> float:
    return SCALE["now"]


@contextlib.contextmanager  # whose wrapper is a library's
def _scaling() -> Iterator[float]:
    yield SCALE["now"]


exec(compile("def around(f):\n    return lambda *given: f(*given)", contextlib.__file__, "exec"))
exec(compile("def holding(model):\n    return lambda x: model.loss(x)", contextlib.__file__, "exec"))


@around  # type: ignore[name-defined]  # noqa: F821
def _wrapped_unmarked() -> float:
    return SCALE["now"]


def _decorated(x: Any) -> Any:
    with _scaling() as scale:
        return ts.sum(x) * scale


@of_kind.register
def _(_: int) -> float:
    return 2 * SCALE["now"]


@of_kind.register
def _(_: str) -> float:
    return TABLE["a"]


def _importing(x: Any) -> Any:
    import watched_settings

    return ts.sum(x) * watched_settings.scale


def _importing_a_part(x: Any) -> Any:
    from watched_settings import scale

    return ts.sum(x) * scale


def _unless_defined(x: Any) -> Any:
    try:
        return ts.sum(x) * LATER  # type: ignore[name-defined]
    except NameError:
        return ts.sum(x)


def _swap() -> None:
    TABLE.update({"a": TABLE["b"], "b": TABLE["a"]})


def _rename() -> None:
    """The same numbers in the same order, by other names."""
    a, b = TABLE.values()
    TABLE.clear()
    TABLE.update({"b": a, "a": b})


def _wheres() -> Iterator[tuple[str, Callable[[Any], Any], Callable[[], None], np.ndarray]]:
    here = globals()
    yield "import", _importing, lambda: setattr(SETTINGS, "scale", 3.0), X
    yield "import of a part", _importing_a_part, lambda: setattr(SETTINGS, "scale", 5.0), X
    yield (
        "module in a module",
        lambda x: ts.sum(x) * SETTINGS.inner.scale,
        lambda: setattr(SETTINGS.inner, "scale", 4.0),
        X,
    )
    yield "name defined later", _unless_defined, lambda: here.__setitem__("LATER", 6.0), X
    yield "name of Python's", lambda x: ts.sum(x) * max(1.0, 2.0), lambda: here.__setitem__("max", min), X
    yield "items swapped", lambda x: ts.sum(x) * TABLE["a"], _swap, X
    yield "keys renamed", lambda x: ts.sum(x) * TABLE["a"], _rename, X
    yield "bound method of Python's", lambda x: ts.sum(x) * FETCH("a"), _swap, X
    yield "user dict", lambda x: ts.sum(x) * DATA["a"], lambda: DATA.__setitem__("a", 8.0), X
    yield "view of a dict", lambda x: ts.sum(x) * VIEWED["a"], _swap, X
    yield "weak reference", lambda x: ts.sum(x) * WEAK().scale, lambda: setattr(TARGET, "scale", 2.5), X
    yield "function by the kind of its argument", lambda x: ts.sum(x) * of_kind(1.0), _change_scale, X
    yield "function registered for a kind", lambda x: ts.sum(x) * of_kind("a"), _swap, X
    yield (
        "environment",
        lambda x: ts.sum(x) * float(os.environ.get("TINYSEQ_TEST_SCALE", "1")),
        lambda: os.environ.__setitem__("TINYSEQ_TEST_SCALE", "3"),
        X,
    )
    yield (
        "getenv",
        lambda x: ts.sum(x) * float(os.getenv("TINYSEQ_TEST_SCALE", "1")),
        lambda: os.environ.__setitem__("TINYSEQ_TEST_SCALE", "4"),
        X,
    )
    yield (
        "array of a library's object",
        lambda x: ts.sum(x) * float(MATRIX.sum()),
        lambda: MATRIX.data.__setitem__(0, 7.0),
        X,
    )
    getenv, model = os.getenv, Scaling()
    yield "a net inside a library's function", holding(model), _set(model), X  # type: ignore[name-defined]  # noqa: F821
    yield "decorated by a library that does not say so", lambda x: ts.sum(x) * _wrapped_unmarked(), _change_scale, X
    yield (
        "getenv by itself",
        lambda x: ts.sum(x) * float(getenv("TINYSEQ_TEST_SCALE", "1")),
        lambda: os.environ.__setitem__("TINYSEQ_TEST_SCALE", "2"),
        X,
    )


CASES = {name: rest for name, *rest in (*_cells(), *_others(), *_wheres())}


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    os.environ.pop("TINYSEQ_TEST_SCALE", None)
    for name in ("LATER", "max"):
        globals().pop(name, None)


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_heeded(name: str) -> None:
    loss, change, x = CASES[name]

    def wanted() -> float:
        with ts.Tape(executor=ts.Reference):
            return loss(ts.tensor(x)).item()

    SCALE["now"] = 1.0
    run = ts.compile(loss)
    before = wanted()
    for _ in range(2):
        assert run(x) == pytest.approx(before, rel=1e-12)
    assert len(run.versions()) == 1
    change()
    assert wanted() != pytest.approx(before, rel=1e-6)
    for _ in range(2):
        assert run(x) == pytest.approx(wanted(), rel=1e-12)


def test_a_module_that_nobody_has_imported_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_late.py").write_text("scale = 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)

    def loss(x: Any) -> Any:
        import imported_late

        return ts.sum(x) * imported_late.scale

    run = ts.compile(loss)
    first = float(run(X))
    sys.modules["imported_late"].scale = 3.0  # type: ignore[attr-defined]
    assert run(X) == pytest.approx(3 * first)
    del sys.modules["imported_late"]


def test_a_name_that_comes_while_a_number_is_written_anew_equal() -> None:
    cell = Cell()
    cell.scale = 1000.0

    def loss(x: Any) -> Any:
        return _unless_defined(ts.sum(ts.unfold(cell, ts.Chain(T), x, ts.zeros((B, H), "float64")).outputs))

    run = ts.compile(loss)
    first = float(run(X))
    cell.scale = float("1000")
    globals()["LATER"] = 6.0
    assert run(X) == pytest.approx(6 * first, rel=1e-12)


class Counting(Cell):
    """What no recording reads may change as often as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def count(self) -> int:
        self.calls += 1
        return self.calls


class Stepping:
    """Counts of its own by names that tinyseq and NumPy have too."""

    def __init__(self) -> None:
        self.cell, self.step, self.sum, self.terms = Cell(), 0, 0.0, 0

    def loss(self, x: Any) -> Any:
        return ts.sum(ts.unfold(self.cell, ts.Chain(T), x, ts.zeros((B, H), "float64")).outputs)


def test_counts_by_the_names_of_methods_record_nothing_again() -> None:
    model = Stepping()
    run = ts.compile(model.loss)
    for _ in range(4):
        run(X)
        model.step += 1
        model.terms += 1
        model.sum += 0.5
    assert len(run.versions()) == 1


class Descent:
    """An optimiser of the user's, and a schedule: their steps are no cell's."""

    def __init__(self, parameters: list[ts.Parameter]) -> None:
        self.parameters, self.taken, self.rate = parameters, 0, 0.01

    def step(self) -> None:
        self.taken += 1
        self.rate *= 0.9
        for p in self.parameters:
            p.value -= self.rate * p.grad


class Schedule:
    def __init__(self) -> None:
        self.t = 0

    def step(self) -> int:
        self.t += 1
        return self.t


class Trained(ts.nn.Module):
    def __init__(self) -> None:
        self.W, self.taken = _new(V, H), 0
        self.optimiser, self.schedule = Descent([self.W]), Schedule()

    def loss(self, x: Any) -> Any:
        return ts.sum(ts.tanh(x @ self.W))

    def step(self, x: np.ndarray, run: Any) -> None:
        run.backward(x)
        self.taken += 1
        self.optimiser.step()
        self.schedule.step()


def test_steps_that_train_are_no_reason_to_record_again() -> None:
    net = Trained()
    run = ts.compile(net.loss)
    losses = []
    for _ in range(4):
        net.step(X, run)
        losses.append(float(run(X)))
    assert len(run.versions()) == 1
    assert losses == sorted(losses, reverse=True) and losses[0] != losses[-1]


def test_what_is_not_read_records_nothing_again() -> None:
    cell = Counting()
    run = ts.compile(_chain(cell))
    for _ in range(4):
        run(X)
        cell.count()
        cell.note = object()
    assert len(run.versions()) == 1


class Exponential(ts.nn.SLSTMCell):
    """A cell of the user's whose step is tinyseq's."""


def test_an_option_that_tinyseqs_own_methods_read_of_a_users_class() -> None:
    cell = Exponential(V, H, rng=np.random.default_rng(0), dtype="float64")

    def loss(x: Any) -> Any:
        return ts.sum(ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B)).outputs)

    run = ts.compile(loss)
    first = float(run(X))
    cell.mixing = False
    with ts.Tape(executor=ts.Reference):
        wanted = loss(ts.tensor(X)).item()
    assert wanted != pytest.approx(first, rel=1e-6)
    assert run(X) == pytest.approx(wanted, rel=1e-12)


def test_numbers_from_an_iterator_are_new_at_each_call() -> None:
    numbers = itertools.count(1)
    run = ts.compile(lambda x: ts.sum(x) * float(next(numbers)))
    with pytest.warns(RecordingWarning):
        found = [float(run(X)) for _ in range(4)]
    assert len(set(found)) == 4


class Unhashable(type):
    def __eq__(cls, other: object) -> bool:
        return cls is other

    __hash__ = None  # type: ignore[assignment]


class Odd(metaclass=Unhashable):
    scale = 1.0


class Raising:
    def __getattr__(self, name: str) -> Any:
        if name == "scale":
            return SCALE["now"]
        raise AttributeError(name)


class Shy:
    scale = 1.0

    @property
    def secret(self) -> Any:
        raise RuntimeError("asked for")


def test_odd_objects_are_watched_without_asking_them_anything() -> None:
    odd, raising, shy, mock, cycle = Odd(), Raising(), Shy(), MagicMock(), Cell()
    cycle.me, cycle.again = cycle, [cycle]
    objects = np.array([odd, None], object)

    def loss(x: Any) -> Any:
        mock.note(x.shape)
        return ts.sum(x) * odd.scale * raising.scale * shy.scale * cycle.scale * (1.0 + (objects[1] is not None))

    SCALE["now"] = 1.0
    run = ts.compile(loss)
    first = float(run(X))
    assert run(X) == first
    shy.scale = SCALE["now"] = odd.scale = 2.0
    assert run(X) == pytest.approx(8 * first)


def test_more_than_can_be_watched_is_told_and_what_is_near_is_watched() -> None:
    class Link:
        def __init__(self, after: Any) -> None:
            self.after, self.scale = after, 1.0

    chain: Any = None
    for _ in range(30_000):
        chain = Link(chain)

    before, then = Link(None), Link(None)

    def loss(x: Any) -> Any:
        return ts.sum(x) * before.scale * (chain.scale if chain.after else 0.0) * then.scale

    run = ts.compile(loss)
    with pytest.warns(RecordingWarning, match="more than 20,000 things"):
        first = float(run(X))
    for near in (before, chain, then):
        near.scale = 2.0
        first *= 2
        assert run(X) == pytest.approx(first)
