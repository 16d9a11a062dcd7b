# ruff: noqa: E501 (one door, one line)
"""A tensor of another tape, wherever a tape would take its number for a node of its own: always the TapeError that ops
give, and what to write instead works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.diagnose import gradient_flow
from tinyseq.diagnose.path_length import path_length
from tinyseq.errors import TapeError
from tinyseq.tape import Tape
from tinyseq.train import information_flow
from tinyseq.viz import draw

Door = Callable[[Callable[..., Any]], Any]  # gets what makes a tensor of an array: on this tape, or on another

RNG = np.random.default_rng(0)
W = ts.Parameter(0.3 * RNG.standard_normal((4, 4)), "W")
x, start, rows = RNG.standard_normal((6, 2, 4)), RNG.standard_normal((2, 4)), RNG.standard_normal((7, 4))
TOKENS = RNG.integers(0, 5, (6, 2))
LENGTHS = [4, 3]
OPTIONS: dict[str, Any] = {"rng": np.random.default_rng(1), "dtype": np.float64}
RNN, LSTM, GRU = nn.RNN(5, 4, 5, **OPTIONS), nn.LSTMCell(4, 4, **OPTIONS), nn.GRUCell(4, 4, **OPTIONS)
DEEP, BOTH = nn.Stack([LSTM, GRU]), nn.Bidirectional(LSTM, nn.LSTMCell(4, 4, **OPTIONS))
TREE_NET = nn.RecursiveNet(4, 3, 2, **OPTIONS)
MODEL = nn.SequenceModel(5, 4, context_size=3, context="both", **OPTIONS)
MANY_TO_ONE = nn.ManyToOne(LSTM, 3, rng=np.random.default_rng(2))
SEQ2SEQ = nn.EncoderDecoder(LSTM, 5, 4, rng=np.random.default_rng(3))


class Pair(NamedTuple):
    h: Any
    s: Any


def step(x: Any, h: Any) -> Any:
    h = ts.tanh(ts.linear(h, W) + x)
    return h, h


def pair(x: Any, state: Any) -> Any:
    h = ts.tanh(ts.linear(state.h, W) + x)
    return Pair(h, 0.5 * state.s + h), h


def mapping(x: Any, state: Any) -> Any:
    h = ts.tanh(ts.linear(state["h"], W) + x)
    return {"h": h, "rest": [state["rest"][0] * 0.5 + h]}, h


def late(x: Any, states: Any) -> Any:
    h = ts.tanh(ts.linear(states[0], W) + states[1] + x)
    return h, h


class Sum(nn.TreeCell):
    def leaf(self, x: Any) -> Any:
        return ts.tanh(x)

    def merge(self, left: Any, right: Any, *, x: Any = None) -> Any:
        return ts.tanh(left + right if x is None else left + right + x)


def unfolded(state: Any, step: Any = step, chain: Any = None, inputs: Any = x, **options: Any) -> Any:
    return ts.unfold(step, chain or ts.Chain(6), inputs, state, **options).outputs


DOORS: dict[str, Door] = {
    # the initial state, in every structure and form
    "state": lambda t: unfolded(t(start)),
    "state, reversed": lambda t: unfolded(t(start), chain=ts.Chain(6).reversed()),
    "state, chunks": lambda t: unfolded(t(start), truncate=ts.Chunk(2)),
    "state, windows": lambda t: unfolded(t(start), truncate=ts.Window(2)),
    "state, lengths": lambda t: unfolded(t(start), chain=ts.Chain(LENGTHS), inputs=rows),
    "state, lengths, reversed": lambda t: unfolded(t(start), chain=ts.Chain(LENGTHS).reversed(), inputs=rows),
    "state, lengths, chunks": lambda t: unfolded(t(start), chain=ts.Chain(LENGTHS), inputs=rows, truncate=ts.Chunk(2)),
    "state, lengths, windows": lambda t: unfolded(t(start), chain=ts.Chain(LENGTHS), inputs=rows, truncate=ts.Window(2)),
    "state, two delays": lambda t: unfolded(t(start), late, delays=(1, 2)),
    "one of a named tuple": lambda t: unfolded(Pair(ts.tensor(start), t(start)), pair),
    "one of a dict of lists": lambda t: unfolded({"h": ts.tensor(start), "rest": [t(start)]}, mapping),
    "state, handed on": lambda t: unfolded([t(start)], lambda x, s: (s, s[0] + x)),
    # the inputs
    "input": lambda t: unfolded(start, inputs=t(x)),
    "one of two inputs": lambda t: unfolded(start, lambda a, b, h: step(a + b, h), inputs=(x, t(x))),
    "input, windows": lambda t: unfolded(start, inputs=t(x), truncate=ts.Window(3)),
    "packed input": lambda t: unfolded(start, chain=ts.Chain(LENGTHS), inputs=t(rows)),
    "padded input": lambda t: unfolded(start, chain=ts.Chain([6, 4]), inputs=t(x)),
    "packed input, reversed": lambda t: unfolded(start, chain=ts.Chain(LENGTHS).reversed(), inputs=t(rows)),
    "input of leaves": lambda t: ts.unfold(Sum(), ts.Tree.balanced(4), t(rows[:4])).root,
    "input of all nodes": lambda t: ts.unfold(Sum(), ts.Tree.balanced(4), t(rows)).root,
    "input of a tree for a batch": lambda t: ts.unfold(Sum(), ts.Tree.balanced(6), t(x)).root,
    # from outside of the step
    "read inside a step": lambda t: (lambda c: unfolded(start, lambda x, h: step(x + c, h)))(t(start)),
    "output of a step": lambda t: (lambda c: unfolded(start, lambda x, h: (step(x, h)[0], c)))(t(start)),
    "state from outside": lambda t: (lambda c: unfolded(start, lambda x, h: (c, h + x)))(t(start)),
    "read inside a leaf": lambda t: (lambda c: ts.unfold(leafing(c), ts.Tree.balanced(4), rows[:4]).root)(t(start[:1])),
    "state of a leaf": lambda t: (lambda c: ts.unfold(leafing(c, True), ts.Tree.balanced(4), rows[:4]).root)(t(start[:1])),
    # cells and nets
    "cell, called": lambda t: LSTM(ts.tensor(x[0]), (t(start), ts.tensor(start)))[1],
    "cell.encode": lambda t: LSTM.encode(x, state=(ts.tensor(start), t(start))).last,
    "cell.encode of a tensor": lambda t: GRU.encode(t(x)).last,
    "cell.encode of a list": lambda t: GRU.encode([ts.tensor(x[:, 0]), t(x[:4, 0])]).last,
    "cell.encode with lengths": lambda t: GRU.encode(t(x), [6, 2]).last,
    "layers": lambda t: DEEP.encode(x, state=((ts.tensor(start), ts.tensor(start)), t(start))).last,
    "two directions": lambda t: BOTH.encode(x, state=(None, (ts.tensor(start), t(start)))).last,
    "net.loss, state": lambda t: RNN.loss(TOKENS, TOKENS, t(start)),
    "net.loss, tokens": lambda t: RNN.loss(t(TOKENS), TOKENS),
    "net.loss, targets": lambda t: RNN.loss(TOKENS, t(TOKENS)),
    "net.unfold": lambda t: RNN.unfold(TOKENS, t(start)).outputs,
    "tree net": lambda t: TREE_NET.loss(ts.Tree.balanced(4), t(rows[:4]), np.array([1])),
    "tree net, targets": lambda t: TREE_NET.loss(ts.Tree.balanced(4), rows[:4], t(np.array([1]))),
    "context": lambda t: MODEL.loss(TOKENS, context=t(start[:, :3])),
    "sequence model": lambda t: MODEL.loss(t(TOKENS), context=start[:, :3]),
    "many to one": lambda t: MANY_TO_ONE.loss(t(x), np.array([0, 1])),
    "many to one, targets": lambda t: MANY_TO_ONE.loss(x, t(np.array([0, 1]))),
    "encoder": lambda t: SEQ2SEQ.loss(t(x), TOKENS),
    "decoder": lambda t: SEQ2SEQ.loss(x, t(TOKENS)),
    "dropout mask": lambda t: nn.dropout(ts.tensor(start), t((start > 0) * 2.0)),
    # ops of several tensors
    "stack": lambda t: ts.stack([ts.tensor(start), t(start)]),
    "a long stack": lambda t: ts.stack([*[ts.tensor(start)] * 9, t(start)]),
    "concatenate": lambda t: ts.concatenate([t(start), ts.tensor(start)]),
    "take": lambda t: ts.take(ts.tensor(rows), t(np.array([1, 2]))),
    "indexing by a tensor": lambda t: ts.tensor(rows)[t(np.array([1, 2]))],
    "gather": lambda t: ts.gather(ts.tensor(start), t(np.array([1, 2]))),
    "where": lambda t: ts.where(t((start > 0) * 1.0), ts.tensor(start), 0.0),
    "cross-entropy": lambda t: ts.cross_entropy(ts.tensor(start), t(np.array([1, 2]))),
    "mask of a cross-entropy": lambda t: ts.cross_entropy(ts.tensor(start), np.array([1, 2]), t(np.ones(2))),
    "squared error": lambda t: ts.squared_error(ts.tensor(start), t(start)),
    "a parameter": lambda t: t(start) @ W,
    # gradients
    "gradients by it": lambda t: gradients_by(t(start)),
    "seed of gradients": lambda t: (lambda y: ts.gradients(y, [y], seed=t(start))[0])(ts.tensor(start) @ W),
}  # fmt: skip


def leafing(c: Any, alone: bool = False) -> Any:
    class Leafing(Sum):
        def leaf(self, x: Any) -> Any:
            return c if alone else ts.tanh(x + c)

    return Leafing()


def gradients_by(h: Any) -> Any:
    y = ts.sum(ts.tensor(start) @ W)
    return ts.gradients(y, [h])[0]


def elsewhere(array: Any) -> Any:
    with Tape():
        if array.dtype.kind == "i":
            return ts.tensor(array)
        return (ts.tensor(array) * 2.0) * 0.5


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_tensor_of_another_tape_is_refused_while_recording(door: Door) -> None:
    with Tape():
        right = door(ts.tensor)
    with Tape():
        other = ts.tensor(start)  # node 0, which a number of another tape would be taken for
        before = door(ts.tensor)
        with pytest.raises(TapeError, match=r"(?s)(another|two) (tape|tapes).*of another graph.*\.value") as error:
            door(elsewhere)
        assert isinstance(error.value, ts.TinyseqError)
        carried = door(lambda array: ts.tensor(elsewhere(array).value))
    np.testing.assert_array_equal(carried.value, right.value)
    np.testing.assert_array_equal(before.value, right.value)
    np.testing.assert_array_equal(other.value, start)


@pytest.mark.usefixtures("executor")
def test_of_an_outer_tape_or_one_that_is_still_open() -> None:
    with Tape() as outer:
        h = ts.tensor(start)
        with Tape(), pytest.raises(TapeError, match="another tape"):
            unfolded(h)
        np.testing.assert_array_equal(unfolded(h).value, unfolded(ts.tensor(start)).value)
    with outer:
        assert unfolded(h).shape == (6, 2, 4)


def test_a_compiled_function_that_reads_a_tensor_of_outside() -> None:
    with Tape():
        h = ts.tensor(start)
        functions = (
            lambda x: unfolded(h, inputs=x),
            lambda x: ts.sum(x * h),
            lambda x: h,
            lambda x: (ts.sum(x), {"h": [h * 2.0]}),
            lambda x: ts.gradients(ts.sum(x @ W), [h])[0],
        )
        for f in functions:
            for call in (ts.compile(f), ts.compile(f).backward):
                with pytest.raises(TapeError, match=r"(?s)of another graph.*\.value"):
                    call(x[:, :2] if f is functions[0] else start)


def test_what_a_compiled_function_made_is_of_no_use_outside() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x * 2.0)
        return ts.sum(kept[-1])

    ts.compile(f)(start)
    with Tape(), pytest.raises(TapeError, match="another tape"):
        unfolded(kept[-1])


@pytest.mark.usefixtures("executor")
def test_a_tensor_left_over_from_a_step_is_refused() -> None:
    left: list[Any] = []

    def leaking(x: Any, h: Any) -> Any:
        left.append(h * 2.0)
        return step(x, h)

    with Tape() as tape:
        out = ts.sum(unfolded(start, leaking))
        (h,) = left
        assert "Tensor" in repr(h)
        for use in (
            lambda: unfolded(h),
            lambda: h + 1.0,
            lambda: h.value,
            lambda: h.grad,
            lambda: h.named("h"),
            lambda: ts.gradients(out, [h]),
            lambda: tape.backward(h, seed=start),
            lambda: draw(h),
        ):
            with pytest.raises(TapeError, match="made inside a step"):
                use()


@pytest.mark.usefixtures("executor")
def test_looking_at_two_tapes_at_once_is_refused() -> None:
    def net() -> tuple[Any, Any]:
        with Tape():
            unfolded = ts.unfold(step, ts.Chain(6), x, start)
            return ts.sum(unfolded.outputs), unfolded

    (loss, mine), (_, other) = net(), net()
    states = [mine.state(t) for t in range(5)] + [other.state(5)]
    for look in (
        lambda: loss.tape.backward(ts.sum(other.outputs)),
        lambda: gradient_flow(loss, other),
        lambda: gradient_flow(loss, states),
        lambda: information_flow(loss, other),
        lambda: path_length(mine.state(0), other.state(5)),
        lambda: ts.gradients(loss, [mine.state(0), other.state(0)]),
        lambda: loss.tape.to_html("never.html", loss=ts.sum(other.outputs)),
    ):
        with pytest.raises(TapeError, match=r"another tape|two tapes|several tapes|different tapes"):
            look()


OF_ANOTHER_SIZE = """
import numpy as np, tinyseq as ts
W = ts.Parameter(np.eye(4) * 0.5, "W")
def step(x, h): h = ts.tanh(ts.linear(h, W) + x); return h, h
with ts.Tape(): h0 = ts.tensor(np.ones((2, 4)))
refused = 0
for _ in range(30):
    with ts.Tape():
        ts.tensor(np.zeros(7))  # smaller than h0, and at its number
        try:
            ts.unfold(step, ts.Chain(3), np.ones((3, 2, 4)), h0).final.value
        except ts.errors.TapeError:
            refused += 1
print(refused)
"""


def test_no_memory_is_read_that_is_not_the_tensors() -> None:
    """In a process of its own, which dies where the number of the node means another."""
    done = subprocess.run([sys.executable, "-c", OF_ANOTHER_SIZE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["30"]), done.stderr
