"""Recording again from the same place gives the nodes that the long way gives, and no others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, ShapeError, TapeError
from tinyseq.functions import call_sites
from tinyseq.tape import Tape, places


@pytest.fixture
def w() -> ts.Parameter:
    return ts.Parameter(np.arange(9.0).reshape(3, 3) / 9, "w")


def recorded(build: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, short: bool) -> Tape:
    """The tape of ``build``, with or without what is known of places."""
    with monkeypatch.context() as patch:
        if not short:
            patch.setattr(call_sites, "_site", lambda *_: None)
            patch.setattr(places, "_kept", [])
            patch.setattr(call_sites, "replay_row", lambda x, t, frame, long: long(x, t))
        with Tape() as tape:
            build()
    return tape


STEPS: dict[str, Callable[[ts.Tensor, ts.Tensor, Any, Any, ts.Tensor], Any]] = {
    "sums": lambda x, h, w, b, i: x + h - b + (b - x),
    "numbers": lambda x, h, w, b, i: 2 * x + 1.5 - (1 - h) / 3 + x * 0.0 + x * -0.0 + 2.0 / (h + 3) + x**2,
    "one tensor twice": lambda x, h, w, b, i: x * x + ts.maximum(h, h) + ts.minimum(x, x) + x @ w @ w,
    "products": lambda x, h, w, b, i: x @ w + h @ w.T + ts.linear(x, w) + ts.linear(h, w),
    "a transpose of its own": lambda x, h, w, b, i: x + w.T[0] + (w.T + w)[1],
    "functions": lambda x, h, w, b, i: ts.sigmoid(ts.tanh(x)) * ts.exp(-h) + ts.relu(x) + ts.detach(h),
    "minima": lambda x, h, w, b, i: ts.minimum(x, h) + ts.minimum(h, b),
    "joins": lambda x, h, w, b, i: ts.concatenate([x, h])[:, 1:4] + ts.stack([x, h])[1] * ts.concatenate([h, x])[1, :3],
    "parts": lambda x, h, w, b, i: h + ts.concatenate(ts.split(x, 3)[::-1]) + ts.split(ts.concatenate([h, x]), 2)[0],
    "joined with a weight": lambda x, h, w, b, i: ts.concatenate([x, w[:2]])[:, 3:] + ts.concatenate([w, x], 0)[3:],
    "NumPy's numbers": lambda x, h, w, b, i: x * np.float32(0.5) + np.int64(2) * h - np.float64(0.0),
    "reductions": lambda x, h, w, b, i: h * ts.sum(x) + ts.mean(h, axis=1, keepdims=True) + ts.max(x, -1)[0],
    "layer norm": lambda x, h, w, b, i: ts.layer_norm(x + h, b, b) + ts.layer_norm(h, b, x[0]),
    "where": lambda x, h, w, b, i: ts.where(ts.greater(x, h), x, h) + ts.where(ts.greater(x, h), x, 0.0),
    "losses": lambda x, h, w, b, i: h + ts.cross_entropy(x, i, reduction="sum") + ts.cross_entropy(h, i),
    "takes": lambda x, h, w, b, i: x + ts.take(w, i) + ts.take(w, i, axis=1) + w[1] + x[-1] + x[0],
    "leaves": lambda x, h, w, b, i: x + np.ones(3) + h * np.float64(2.0),
    "powers": lambda x, h, w, b, i: x**0.5 + h**3 + 2.0**x,
    "names": lambda x, h, w, b, i: ts.tanh((x + h).named("a")).named("h"),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_short_way_records_what_the_long_way_does(
    name: str, w: ts.Parameter, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = ts.Parameter(np.ones(3), "b")
    rng = np.random.default_rng(0)
    xs, ys = rng.uniform(0.1, 1, (7, 2, 3)), rng.integers(0, 3, (7, 2))

    def build() -> None:
        x, i = ts.tensor(xs), ts.tensor(ys)
        h: Any = ts.tensor(np.ones((2, 3)))
        for t in range(7):
            h = STEPS[name](x[t], h, w, b, i[t])

    short = recorded(build, monkeypatch, short=True)
    ts.verify(short)
    long = recorded(build, monkeypatch, short=False)
    assert short.same_graph(long)
    assert [n.line for n in short.nodes()] == [n.line for n in long.nodes()]


def test_one_instruction_that_calls_several_functions_or_lines() -> None:
    with Tape() as tape:
        x = ts.tensor(np.ones((2, 2)))
        for _ in range(3):
            for f in (ts.tanh, ts.sigmoid, lambda a: ts.exp(a) + ts.log(a)):
                f(x)
        first = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
        for _ in range(2):
            x = (
                x
                + ts.exp(x)
                - ts.tanh(
                    x
                )
            )  # fmt: skip
    ops = [n.op for n in tape.nodes()[1:]]
    assert ops == ["tanh", "sigmoid", "exp", "log", "add"] * 3 + ["exp", "add", "tanh", "sub"] * 2
    assert [n.line[1] - first for n in tape.nodes()[-4:]] == [n.line[1] - first for n in tape.nodes()[-8:-4]]
    assert len({n.line[1] for n in tape.nodes()[-4:]}) > 1


def test_other_operands_at_the_same_place_are_told_apart() -> None:
    """Shapes, which operand is which, signs of zero, parameters and numbers."""
    two, three = ts.Parameter(np.full(2, 2.0), "p"), ts.Parameter(np.full(2, 3.0), "q")
    with Tape():
        x, y = ts.tensor(np.array([5.0, 7.0])), ts.tensor(np.array([[1.0, 2.0]]))
        pairs: list[tuple[Any, Any]] = [
            (x, x),
            (x, y),
            (y, x),
            (x, two),
            (x, three),
            (three, x),
            (x, 2),
            (3.0, x),
            (x, x),
        ]
        got = [(a - b).value.tolist() for _ in range(2) for a, b in pairs]
    want = [[0, 0], [[4, 5]], [[-4, -5]], [3, 5], [2, 4], [-2, -4], [3, 5], [-2, -4], [0, 0]] * 2
    assert got == want


def test_what_is_wrong_is_still_said_at_a_known_place(w: ts.Parameter) -> None:
    with Tape():
        x = ts.tensor(np.ones((4, 2, 3)))
        i = ts.tensor(np.array([[0, 1], [2, 2], [0, 7]]))

        def product(a: Any, b: Any) -> Any:
            return a @ b

        def loss(t: int) -> Any:
            return ts.cross_entropy(x[t], i[t])

        def row(t: int) -> Any:
            return x[t]

        assert product(x[0], w).shape == (2, 3) and row(3).shape == row(-4).shape == (2, 3)
        with pytest.raises(ShapeError, match="matmul"):
            product(w, ts.tensor(np.ones((2, 3))))
        for t in (4, -5):
            with pytest.raises(ShapeError, match=f"index {t} is outside 0 to 3"):
                row(t)
        assert loss(0).shape == loss(1).shape == ()
        with pytest.raises(DataError, match="7 is out of range"):
            loss(2)
        with Tape(), pytest.raises(TapeError, match="two tapes"):
            product(x[0], w)
        assert product(x[0], w).shape == (2, 3)
    with pytest.raises(TapeError, match="no tape is recording"):
        product(x[1], w)


def test_a_cell_is_known_apart_from_another_and_from_its_fold() -> None:
    class Tanh(ts.nn.Cell):
        def __init__(self, name: str) -> None:
            self.name, self.w = name, ts.Parameter(np.eye(2), "w")

        def step(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = ts.tanh(x + h @ self.w)
            return h, h

    one, other = Tanh("one"), Tanh("other")
    with Tape() as tape:
        x, h = ts.tensor(np.ones((3, 1, 2))), ts.zeros((1, 2), np.float64)
        for t in range(3):
            h, _ = one(x[t], h)
            h, _ = other(x[t], h)
        h = ts.unfold(one, ts.Chain(3), x, h).final
        for t in range(2):
            h, _ = one(x[t], h)
    ts.verify(tape)
    cells = [(n.cell, n.step) for n in tape.nodes() if n.op == "tanh"]
    assert cells == [(c, t) for t in range(3) for c in ("one", "other")] + [("one", t) for t in range(3, 8)]
    weights = [n.inputs[1] for n in tape.nodes() if n.op == "matmul"]
    leaves = [tape.node_of(one.w), tape.node_of(other.w)]
    assert weights == leaves * 3 + leaves[:1] * 5


def test_a_step_may_read_the_tape_while_it_is_folded() -> None:
    def step(x: Any, h: Any) -> tuple[Any, Any]:
        h = ts.tanh(x + h).named("h")
        assert h.name == "h" and x.tape.rows[-1] == 2
        return h * 2.0, h

    with Tape() as tape:
        h = ts.unfold(step, ts.Chain(3), np.ones((3, 2)), np.zeros(2)).final
    ts.verify(tape)
    want = np.zeros(2)
    for _ in range(3):
        want = 2 * np.tanh(1 + want)
    np.testing.assert_allclose(h.value, want, rtol=1e-12)
