"""Symbols: what a run on them writes down gives for other numbers what plain numbers give, or gives up."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyseq.engine.instances import _compiled
from tinyseq.engine.plan.numbers import larger, meet, smaller
from tinyseq.engine.plan.symbols import Array, Num
from tinyseq.engine.plan.tracing import Trace

BINARY: dict[str, Any] = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "floordiv", "mod", "eq", "lt", "ge", "ne")},
    "larger": larger, "smaller": smaller,
}  # fmt: skip
ARRAYS: dict[str, Any] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": operator.floordiv, "eq": operator.eq,
    "maximum": np.maximum, "minimum": np.minimum,
}  # fmt: skip


def _written(array: Any) -> Any:
    copy = array.copy()
    copy[1] = 7
    return copy


REDUCED: dict[str, Any] = {
    "first": lambda a: a[0],
    "last": lambda a: a[-1],
    "max": lambda a: a.max(),
    "largest of 3": lambda a: a.max(initial=3),
    "min": lambda a: a.min(),
    "sum": lambda a: a.sum(),
    "any": lambda a: (a > 1).any(),
    "all": lambda a: (a > 1).all(),
    "length": lambda a: a.size,
    "but the first": lambda a: a[1:].sum() + a[1:][0],
    "between": lambda a: (a[1:] - a[:-1]).max() * (a[:1] + a[-1:]).min(),
    "larger ones": lambda a: np.maximum(a, a[0]).sum(),
    "written to a copy": lambda a: _written(a)[1] * 2 + _written(a)[1:].sum() + a.sum(),
    "steps": lambda a: (np.diff(a) * np.array([1, 3])).sum(),
    "places": lambda a: np.flatnonzero(a > 1).size + 2 * np.flatnonzero(a).size,
    "stacked": lambda a: (np.stack([a, a * a]) * np.array([[1], [5]])).max(),
}
numbers = st.integers(-3, 5)
three = st.lists(numbers, min_size=3, max_size=3)
steps = st.one_of(
    st.tuples(st.just("number"), st.sampled_from(sorted(BINARY)), st.integers(0, 30), st.integers(0, 30)),
    st.tuples(st.just("constant"), st.sampled_from(sorted(BINARY)), st.integers(0, 30), st.integers(-2, 2)),
    st.tuples(st.just("turned"), st.sampled_from(sorted(BINARY)), st.integers(-2, 2), st.integers(0, 30)),
    st.tuples(st.just("array"), st.sampled_from(sorted(ARRAYS)), st.integers(0, 30), st.integers(0, 30)),
    st.tuples(st.just("scaled"), st.sampled_from(sorted(ARRAYS)), st.integers(0, 30), st.integers(0, 30)),
    st.tuples(st.just("constants"), st.sampled_from(sorted(ARRAYS)), st.integers(0, 30), st.integers(0, 3)),
    st.tuples(st.just("reduced"), st.sampled_from(sorted(REDUCED)), st.integers(0, 30), st.just(0)),
)
FIXED = [np.array([1, 1, 1]), np.array([2, 2, 2]), np.array([0, 0, 0]), np.array([1, 0, 2])]


def run(program: list[tuple], scalars: list[Any], arrays: list[Any]) -> list[Any]:
    """The numbers that a program of small steps computes; a step that divides by zero is left out by all."""
    scalars, arrays = list(scalars), list(arrays)
    for kind, name, i, j in program:
        a, x = scalars[i % len(scalars)], arrays[i % len(arrays)]
        if kind == "number":
            scalars.append(_number(BINARY[name], a, scalars[j % len(scalars)]))
        elif kind == "constant":
            scalars.append(_number(BINARY[name], a, j))
        elif kind == "turned":
            scalars.append(_number(BINARY[name], i, scalars[j % len(scalars)]))
        elif kind == "array":
            arrays.append(_array(ARRAYS[name], x, arrays[j % len(arrays)]))
        elif kind == "scaled":
            arrays.append(_array(ARRAYS[name], x, scalars[j % len(scalars)]))
        elif kind == "constants":
            arrays.append(_array(ARRAYS[name], scalars[i % len(scalars)], FIXED[j]))
        else:
            scalars.append(REDUCED[name](x) * 1)
    return scalars


def _number(function: Any, a: Any, b: Any) -> Any:
    if function in (operator.floordiv, operator.mod) and b == 0:
        return a
    return function(a, b) * 1


def _array(function: Any, a: Any, b: Any) -> Any:
    if function is operator.floordiv:
        b = b * b + 1
    return function(a, b) * 1


@given(
    st.lists(steps, max_size=12), st.lists(numbers, min_size=3, max_size=3), st.lists(numbers, min_size=3, max_size=3)
)
@settings(deadline=None, max_examples=300)
def test_lines_give_what_plain_numbers_give(program: list, here: list[int], there: list[int]) -> None:
    trace = Trace()

    def given_arrays(v: list[int]) -> list[np.ndarray]:
        return [np.array(v), np.full(3, v[0]), np.full(3, v[1]), np.array([0, v[2], v[0]])]

    symbols = [Num(trace, trace.let(f"P[{i}]", ()), value) for i, value in enumerate(here)]
    listed = Array(trace, trace.let("C", ()), np.array(here))
    few = Array.listed(trace, [0, symbols[2], symbols[0]])
    found = run(program, symbols, [listed, *(Array.repeated(trace, 3, s) for s in symbols[:2]), few])
    again = _compiled(trace, found)
    plain = run(program, here, given_arrays(here))
    assert list(again(np.array(here), None, None, here)) == plain
    others = again(np.array(there), None, None, there)
    assert others is None or list(others) == run(program, there, given_arrays(there))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("sign", ["+", "-", "*", "//", "%", "/", "<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("constant", [0, 1, 2, -1, 0.0, 1.0])
def test_operations_with_simple_numbers(sign: str, constant: float, turned: bool) -> None:
    """Where nothing is written down the answer must hold for every number."""
    words = f"c {sign} x" if turned else f"x {sign} c"
    for here in (3, -2, 0):
        trace = Trace()
        symbol = Num(trace, trace.let("P[0]", ()), here)
        try:
            expected = eval(words, {"x": here, "c": constant})
        except ZeroDivisionError:
            with pytest.raises(ZeroDivisionError):
                eval(words, {"x": symbol, "c": constant})
            continue
        found = eval(words, {"x": symbol, "c": constant})
        again = _compiled(trace, [found])
        (same,) = again(None, None, None, [here])
        assert same == expected and isinstance(same, type(expected))
        for there in range(-4, 5):
            if there == 0 and turned and sign in ("/", "//", "%"):
                continue  # an error for both, and then the tape is planned anew
            if (others := again(None, None, None, [there])) is not None:
                assert others[0] == eval(words, {"x": there, "c": constant})


def _kinds(v: list[Any], symbols: bool) -> dict[str, Any]:
    """One of each kind of operand, by numbers or by symbols for them."""
    if not symbols:
        made = {"few": np.array([v[0], 2, v[1]]), "alike": np.full(3, v[2]), "list": np.array(v)}
        return {**made, "number": v[1], "constant": 4, "constants": np.array([1, 2, 3])}
    trace = v[0].trace
    few, listed = Array.listed(trace, [v[0], 2, v[1]]), Array(trace, trace.let("C", ()), np.array([n.value for n in v]))
    made = {"few": few, "alike": Array.repeated(trace, 3, v[2]), "list": listed}
    return {**made, "number": v[1], "constant": 4, "constants": np.array([1, 2, 3])}


@pytest.mark.parametrize("what", sorted(REDUCED))
@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum"])
@pytest.mark.parametrize("other", ["few", "alike", "list", "number", "constant", "constants"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_few_known_one_by_one_are_what_an_array_is(what: str, name: str, other: str, turned: bool) -> None:
    def found(v: list[Any], symbols: bool) -> list[Any]:
        kinds = _kinds(v, symbols)
        pair = (kinds[other], kinds["few"]) if turned else (kinds["few"], kinds[other])
        return [REDUCED[what](ARRAYS[name](*pair)) * 1]

    trace, here = Trace(), [3, 5, 2]
    again = _compiled(trace, found([Num(trace, trace.let(f"P[{i}]", ()), n) for i, n in enumerate(here)], True))
    assert list(again(np.array(here), None, None, here)) == found(here, False)
    told = 0
    for there in ([4, 6, 3], [7, 9, 1], [-2, 0, 5]):
        others = again(np.array(there), None, None, there)
        told += others is not None
        assert others is None or list(others) == found(there, False)
    assert told or what in ("any", "all", "places")  # which are decided by each tape


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(-9, 40), st.integers(0, 2)), max_size=12),
    st.integers(1, 9),
)
@settings(deadline=None, max_examples=500)
def test_two_members_that_write_one_element_are_seen(writes: list[tuple[int, int, int, int]], size: int) -> None:
    """A write is (member, group, place, level), of ``size`` elements; against all pairs."""
    expected = any(
        a[3] == b[3] and abs(a[2] - b[2]) < size and a[:2] != b[:2] for a in writes for b in writes if a is not b
    )
    assert meet([np.array([w[k] for w in writes], np.int64) for k in range(4)], size) == expected
