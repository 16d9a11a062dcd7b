"""States and results that are dicts: in the order in which they are written, and matched by their keys."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import GradientError, ShapeError
from tinyseq.tensor.nesting import flatten, matched, rebuild

State = namedtuple("State", "z a")


@pytest.mark.parametrize(
    "result",
    [
        lambda loss, other: {"loss": loss, "accuracy": other},
        lambda loss, other: {"z": {"z": loss, "b": other}, "a": other},
        lambda loss, other: OrderedDict([("total", loss), ("aside", other)]),
        lambda loss, other: ({"nll": loss, "count": other}, other),
        lambda loss, other: {2: loss, 1: other},
        lambda loss, other: State(loss, {"b": other}),
    ],
)
def test_the_first_is_the_first_as_written(result: Any) -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    run = ts.compile(lambda x: result(ts.sum(w * x), ts.sum(w * w * x)))
    x = np.array([3.0, 4.0])
    found = run.backward(x)
    np.testing.assert_array_equal(w.grad, x)  # of the second it would be 2 w x
    first, *_ = flat(found)
    assert first == 11.0
    assert structure(found) == structure(result(0, 0))


def flat(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return [leaf for branch in tree for leaf in flat(branch)] if isinstance(tree, (tuple, list)) else [tree]


def structure(tree: Any) -> Any:
    """Keys in their order, nested."""
    if isinstance(tree, dict):
        return [(key, structure(branch)) for key, branch in tree.items()]
    return [structure(branch) for branch in tree] if isinstance(tree, (tuple, list)) else "leaf"


def test_a_scalar_loss_is_wanted_first_as_written() -> None:
    w = ts.Parameter(np.array([1.0, 2.0]), "w")
    with pytest.raises(GradientError, match="scalar loss first"):
        ts.compile(lambda x: {"z": w * x, "a": ts.sum(w * x)}).backward(np.ones(2))


def numpy_lstm(x: np.ndarray, W: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A recurrence in which both states have one shape and other meanings."""
    for x_t in x:
        c = 0.5 * c + np.tanh(x_t + h @ W)
        h = np.tanh(c)
    return h, c


def dict_step(W: Any, swapped: bool) -> Any:
    def step(x: Any, s: Any) -> Any:
        c = 0.5 * s["c"] + ts.tanh(x + s["h"] @ W)
        h = ts.tanh(c)
        return ({"c": c, "h": h} if swapped else {"h": h, "c": c}), h

    return step


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("start", ["hc", "ch"])
@pytest.mark.parametrize("way", ["unfold", "ragged", "truncated", "compile"])
def test_states_are_matched_by_key(swapped: bool, start: str, way: str, rng: np.random.Generator) -> None:
    W = ts.Parameter(rng.normal(size=(3, 3)), "W")
    x, h, c = rng.normal(size=(4, 2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    initial = {key: {"h": h, "c": c}[key] for key in start}
    wanted = numpy_lstm(x, W.value, h, c)

    def run(x: Any, initial: Any) -> Any:
        chain = ts.Chain([4, 4]) if way == "ragged" else ts.Chain(4)
        truncate = ts.Chunk(2) if way == "truncated" else None
        x = x.reshape((8, 3)) if way == "ragged" else x
        final = ts.unfold(dict_step(W, swapped), chain, x, initial, truncate=truncate).final
        return ts.sum(final["h"]), final

    if way == "compile":
        final = ts.compile(run)(x, initial)[1]
    else:
        with ts.Tape():
            final = run(ts.tensor(x), initial)[1]
            final = {key: tensor.value for key, tensor in final.items()}
    assert list(final) == list(start)  # as the state was given
    np.testing.assert_allclose(final["h"], wanted[0], rtol=1e-12)
    np.testing.assert_allclose(final["c"], wanted[1], rtol=1e-12)


@pytest.mark.parametrize("swapped", [False, True])
def test_segments_match_states_by_key(swapped: bool, rng: np.random.Generator) -> None:
    W = ts.Parameter(rng.normal(size=(3, 3)), "W")
    x, h, c = rng.normal(size=(7, 2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))

    def f(x: Any, state: Any) -> Any:
        net = ts.unfold(dict_step(W, swapped), ts.Chain(len(x)), x, state)
        return ts.sum(net.outputs), net.final

    whole = ts.compile(f)
    loss, final = whole.backward(x, {"h": h, "c": c})
    grad = W.grad.copy()
    found, end = ts.compile(f, checkpoint=3).backward(x, {"h": h, "c": c})
    np.testing.assert_allclose(found, loss, rtol=1e-12)
    np.testing.assert_allclose(W.grad, grad, rtol=1e-10)
    for key in "hc":
        np.testing.assert_allclose(end[key], final[key], rtol=1e-12)


class Cell:
    """A tree cell whose merge writes its state the other way round than its leaf."""

    name = "cell"

    def leaf(self, x: Any) -> Any:
        return {"v": x, "n": x * 0.0 + 1.0}

    def merge(self, a: Any, b: Any) -> Any:
        return {"n": a["n"] + b["n"], "v": a["v"] * 2.0 + b["v"]}


def test_trees_match_states_by_key() -> None:
    x = np.array([[1.0], [10.0], [100.0]])
    with ts.Tape():
        root = ts.unfold(Cell(), ts.Tree.chain(3), ts.tensor(x)).root
        assert root["n"].value == 3.0
        assert root["v"].value == (1.0 * 2 + 10) * 2 + 100


def test_other_keys_are_an_error_that_names_them() -> None:
    W = ts.Parameter(np.eye(3), "W")

    def step(x: Any, s: Any) -> Any:
        return {"hidden": s["h"] @ W, "c": s["c"]}, x

    start = {"h": np.ones((1, 3)), "c": np.ones((1, 3))}
    with (
        ts.Tape(),
        pytest.raises(ShapeError, match=r"keys of the state it gets, \['h', 'c'\]; got keys \['hidden', 'c'\]"),
    ):
        ts.unfold(step, ts.Chain(2), np.ones((2, 1, 3)), start)


def test_nesting_comes_back_as_it_was() -> None:
    tree = {"b": (np.ones(1), {"z": np.ones(2), "a": [np.ones(3)]}), "a": State(np.ones(4), None)}
    with ts.Tape():
        leaves = flatten(tree)
        assert [t.shape for t in leaves] == [(1,), (2,), (3,), (4,)]
        back = rebuild(tree, [t.shape[0] for t in leaves])
    assert back == {"b": (1, {"z": 2, "a": [3]}), "a": State(4, None)}
    assert list(back) == ["b", "a"] and list(back["b"][1]) == ["z", "a"]
    assert list(matched({"a": 1, "b": (2, {"x": 3, "y": 4})}, {"b": (0, {"y": 0, "x": 0}), "a": 0}, "it")) == ["b", "a"]
