"""Tapes as JSON: the same graph with the same bits, and clear errors for text that is damaged or hostile."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyseq as ts
from tests.exchange.nets import CELLS, case
from tinyseq import nn
from tinyseq.errors import DataError, TapeError
from tinyseq.exchange import from_json, tensor_of, to_json

pytestmark = pytest.mark.usefixtures("executor")


def recorded(seed: int = 0) -> tuple[ts.Tape, Any]:
    rng = np.random.default_rng(seed)
    net, x = nn.LSTM(4, 3, 4, rng=rng, dtype=np.float64), rng.integers(0, 4, (3, 2))
    with ts.Tape() as tape:
        return tape, net.loss(x, x)


def test_a_tape_comes_back_with_the_same_values_and_gradients() -> None:
    tape, loss = recorded()
    text = tape.to_json()
    other = ts.Tape.from_json(text)
    again = tensor_of(other, "L")
    assert other.same_graph(tape) and to_json(other) == text
    assert again.value == loss.value
    loss.backward()
    again.backward()
    for mine, theirs in zip(tape.parameters, other.parameters, strict=True):
        assert mine is not theirs and mine.name == theirs.name
        assert mine.grad.tobytes() == theirs.grad.tobytes()
    assert [other.node(i).line for i in range(len(other))] == [tape.node(i).line for i in range(len(tape))]


@pytest.mark.parametrize("kind", CELLS)
def test_tapes_of_every_cell(kind: str, rng: np.random.Generator) -> None:
    made = case(kind, rng, np.float32, T=4, B=2)
    with ts.Tape() as tape:
        out = made.model.encode(made.given["x"]).last
    other = from_json(to_json(tape))
    assert np.array_equal(tensor_of(other, out.index).value, out.value)


def test_trees_lengths_and_labels(rng: np.random.Generator) -> None:
    tree = ts.Tree.parse("(S (NP he) (VP (V saw) (NP it)))") if hasattr(ts.Tree, "parse") else ts.Tree.balanced(4)
    net = nn.RecursiveNet(3, 4, 2, rng=rng)
    with ts.Tape() as tape:
        o = net.outputs(tree, rng.normal(size=(tree.n_leaves, 3)).astype(np.float32))
        h = nn.GRUCell(3, 4, rng=rng).encode([rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 0, 2)]).last
    other = from_json(to_json(tape))
    assert other.words == {k: list(v) for k, v in tape.words.items()}
    for x in (o, h):
        assert tensor_of(other, x.index).value.tobytes() == x.value.tobytes()


def test_numbers_that_are_hard_to_write() -> None:
    odd = np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324, 0.1], np.float64)
    odd.view(np.int64)[1] |= 12345  # NaN with a message
    W = ts.Parameter(odd, "W", trainable=False)
    with ts.Tape() as tape:
        y = ts.mul(W, -0.0) + ts.tensor(odd) * float("inf") - 1e-310
    other = from_json(to_json(tape))
    assert other.parameters[0].value.tobytes() == odd.tobytes() and not other.parameters[0].trainable
    assert tensor_of(other, y.index).value.tobytes() == y.value.tobytes()


def test_integers_are_checked_as_on_the_tape(rng: np.random.Generator) -> None:
    tape, _ = recorded()
    content = json.loads(to_json(tape))
    leaf = next(i for i, array in content["leaves"].items() if array["dtype"] == "int64")
    import base64

    content["leaves"][leaf]["base64"] = base64.b64encode(np.full((3, 2), 99).tobytes()).decode()
    other = from_json(json.dumps(content))
    with pytest.raises(DataError, match="99"):
        _ = tensor_of(other, "L").value


def test_an_empty_tape() -> None:
    assert len(from_json(to_json(ts.Tape()))) == 0


WRONG: list[tuple[Any, Any, str]] = [
    (("format",), "other", "its format is 'other'"),
    (("version",), 2, "its version is 2, this tinyseq reads 1"),
    (("kinds", 0, "op"), "system", "no op is called so"),
    (("kinds", 0, "dtype"), 7, "dtype"),
    (("kinds", 0, "dtype"), True, "expected a whole number"),
    (("kinds", 3, "tail"), [-1], "rules"),
    (("kinds", 3, "tail"), "no", "expected a list"),
    (("kinds", 3, "line"), ["f"], r"\[file, number\]"),
    (("rows", 5), 10**30, "expected a whole number"),
    (("rows", 5), 10**15, "rules|gives"),
    (("rows", 5), 2.0, "expected a whole number"),
    (("kind", 2), 999, "there are"),
    (("inputs", -1), [10**6], "does not come earlier|takes"),
    (("inputs", -1), [-1], "which is no node|takes"),
    (("arg",), [], "different lengths"),
    (("parameters", 0, "value", "base64"), "AAAA", "bytes"),
    (("parameters", 0, "value", "base64"), "!", "no base64"),
    (("parameters", 0, "value", "shape"), [1, 1], "bytes"),
    (("parameters", 0, "value", "shape"), [-1], "sizes from 0"),
    (("parameters", 0, "value", "dtype"), "object", "float32, float64 or int64"),
    (("parameters", 0, "trainable"), 1, "true or false"),
    (("parameters",), [], "stands for parameter"),
    (("leaves",), {}, "a value for each input"),
    (("leaves",), {"0": 3, "x": 4}, "a value for each input"),
    (("starts",), [[1, 2]], "initial state"),
    (("words",), {"lstm": [3]}, "labels"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG, ids=[str(path) for path, _, _ in WRONG])
def test_what_is_wrong_is_named(path: tuple, value: Any, said: str) -> None:
    content = json.loads(to_json(recorded()[0]))
    at = content
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(DataError, match=said):
        from_json(json.dumps(content))


def test_text_that_is_no_tape() -> None:
    text = to_json(recorded()[0])
    for wrong in (
        text[:-1],
        text[: len(text) // 2],
        "",
        "[]",
        "null",
        "3",
        b"\xff\xfe",
        "[" * 100_000,
        '{"format": 1}',
    ):
        with pytest.raises(DataError):
            from_json(wrong)
    with pytest.raises(DataError, match="read_text"):
        from_json(3)
    for key in ("kinds", "kind", "rows", "arg", "step", "inputs", "parameters", "leaves"):
        content = json.loads(text)
        del content[key]
        with pytest.raises(DataError, match=f"has no '{key}'"):
            from_json(json.dumps(content))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_part_replaced_by_anything(data: st.DataObject) -> None:
    """A tape that keeps its rules, or a DataError; nothing else."""
    content = json.loads(to_json(recorded()[0]))
    at: Any = content
    while True:
        keys = list(at) if isinstance(at, dict) else range(len(at))
        key = data.draw(st.sampled_from(list(keys)))
        inner = at[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        at = inner
    at[key] = data.draw(ANYTHING | st.just(inner))
    with contextlib.suppress(DataError):
        ts.verify(from_json(json.dumps(content)))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_any_bytes_overwritten(at: int, new: bytes) -> None:
    text = bytearray(to_json(recorded()[0]).encode())
    at %= len(text)
    text[at : at + len(new)] = new
    with contextlib.suppress(DataError):
        ts.verify(from_json(bytes(text)))


def test_what_is_no_tape_or_has_no_such_tensor() -> None:
    tape, _ = recorded()
    with pytest.raises(TapeError, match="writes a tape, got int"):
        to_json(3)
    with pytest.raises(TapeError, match="no node of this tape is called 'M'"):
        tensor_of(tape, "M")
    for wrong in (-1, 10**6, 1.5, True):
        with pytest.raises(TapeError, match="this tape has nodes 0 to"):
            tensor_of(tape, wrong)
