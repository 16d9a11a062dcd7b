"""Arrays whose meaning NumPy would drop are refused wherever numbers come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.checks import plain
from tinyseq.diagnose import gradcheck
from tinyseq.errors import DataError
from tinyseq.tape import Tape


class Metres(np.ndarray):
    """An array with a unit."""


X = np.array([[1.0], [-999.0], [2.0]])
KINDS = {
    "masked": np.ma.masked_equal(X, -999.0),
    "matrix": X.view(np.matrix),
    "units": X.view(Metres),
    "records": np.rec.fromarrays([X, X], names="a, b"),
    "structured": np.zeros((3, 1), [("a", float), ("b", float)]),
}
W = ts.Parameter(np.ones((3, 1)), "W")
compiled = ts.compile(lambda x: ts.sum(x))


def assign(a: Any) -> None:
    W.value = a


def on_tape(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(a: Any) -> Any:
        with Tape():
            return f(a)

    return run


def step(x: Any, h: Any) -> tuple[Any, Any]:
    return h * 0.5 + x, h


DOORS = {
    "tensor": on_tape(ts.tensor),
    "operator": on_tape(lambda a: ts.tensor(X) * a),
    "function": on_tape(lambda a: ts.sum(a)),
    "list": on_tape(lambda a: ts.tensor([a[0], a[1]])),
    "parameter": ts.Parameter,
    "value": assign,
    "pack": lambda a: nn.pack([X, a]),
    "padded": lambda a: nn.pack(a[:, None] if a.ndim == 2 and type(a) is not np.matrix else a, [3]),
    "chain": lambda a: ts.Chain([3]).pack([a]),
    "unfold": on_tape(lambda a: ts.unfold(step, ts.Chain(3), a, np.zeros(1))),
    "start": on_tape(lambda a: ts.unfold(step, ts.Chain(2), np.stack([X, X]), a)),
    "compile": compiled,
    "nested": lambda a: ts.compile(lambda x: ts.sum(x["a"][0]))({"a": (a,)}),
    "target": on_tape(lambda a: ts.squared_error(ts.tensor(X), a)),
    "mask": on_tape(lambda a: ts.where(a, ts.tensor(X), 0.0)),
    "gradcheck": lambda a: gradcheck(lambda x: ts.sum(x), a),
    "ridge": lambda a: nn.Ridge(1, 1).add(a, X),
    "online": lambda a: nn.RecursiveLeastSquares(1, 1).update(X, a),
    "plain": lambda a: plain([[a]], "x"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses(door: str, kind: str) -> None:
    before = W.value.copy()
    with pytest.raises(DataError, match=r"lost|fields"):
        DOORS[door](KINDS[kind])
    np.testing.assert_array_equal(W.value, before)


def test_plain_arrays_lists_and_files_in_memory_come_in(tmp_path) -> None:
    kept = np.memmap(tmp_path / "x", np.float64, "w+", shape=(3, 1))
    kept[:] = X
    with Tape():
        for given in (X, kept, X.tolist(), [np.float64(1.0), 2], np.asfortranarray(X), X[::-1]):
            np.testing.assert_allclose(ts.tensor(given).value, np.asarray(given))
