# ruff: noqa: E501 (one case, one line)
"""Bad input: every error says what was given, what was expected and, where it can, what to type instead."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, DtypeError, GradientError, OpError, ShapeError, TapeError, TinyseqError
from tinyseq.nn import RNN, Cell
from tinyseq.tape import Tape
from tinyseq.tensor import record

pytestmark = pytest.mark.usefixtures("executor")

NET = RNN(5, 4, 5, rng=np.random.default_rng(0))
CELL = ts.nn.RNNCell(5, 4, rng=np.random.default_rng(0))
WIDE = RNN(5, 4, 5, rng=np.random.default_rng(0), dtype=np.float64)
TOKENS = np.arange(6).reshape(3, 2) % 5
W = ts.Parameter(np.ones((2, 2)), "W")


def ones(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return np.ones(shape, dtype)


def t(*shape: int, dtype: Any = np.float64, name: str = "") -> ts.Tensor:
    return ts.tensor(np.ones(shape, dtype), name)


def identity(x: Any, h: Any) -> Any:
    return h * 1.0, h


def chained(step: Callable, steps: Any = 3, x: Any = None, h: Any = None, **options: Any) -> Any:
    chain = ts.Chain(steps)
    return ts.unfold(step, chain, ones(chain.T, 2, 5) if x is None else x, ones(2, 4) if h is None else h, **options)


CASES: dict[str, tuple[Callable[[], Any], type[TinyseqError], str]] = {
    # shapes that don't match
    "add": (lambda: t(2, 3) + t(2, 4), ShapeError, r"shapes \(2, 3\) and \(2, 4\) do not broadcast: counted from the right"),
    "matmul": (lambda: t(2, 3, name="x") @ t(2, 4), ShapeError, r"matmul of \(2, 3\) and \(2, 4\): inner sizes 3 and 2 must be equal\n  operands: x \(2, 3\), input %1 \(2, 4\)\n  at .*test_bad_input.py:\d+"),
    "linear": (lambda: ts.linear(t(2, 3), W), ShapeError, r"matmul of \(2, 3\) and \(2, 2\), transpose_b: inner sizes 3 and 2"),
    "matmul of vectors": (lambda: t(3) @ t(3), ShapeError, r"two 2-D or two 3-D operands, got \(3,\) and \(3,\)"),
    "matmul batches": (lambda: t(2, 1, 3) @ t(4, 3, 1), ShapeError, "so must the batch sizes 2 and 4"),
    "reshape": (lambda: t(2, 2).reshape(3), ShapeError, r"reshape of \(2, 2\) \(4 elements\) to \(3,\) \(3 elements\)"),
    "reshape -1": (lambda: t(2, 2).reshape(3, -1), ShapeError, r"reshape of \(2, 2\) \(4 elements\) to \(3, -1\)"),
    "reshape -1 -1": (lambda: t(2, 2).reshape(-1, -1), ShapeError, r"reshape of \(2, 2\)"),
    "transpose": (lambda: ts.transpose(t(2, 2), (0, 0)), ShapeError, r"each of the axes 0 to 1 once, got \(0, 0\)"),
    "transpose of many axes": (lambda: ts.transpose(t(1, 1, 1, 1, 1)), ShapeError, "at most 4 axes"),
    "T of a vector": (lambda: t(3).T, ShapeError, r".T needs at least two axes, got shape \(3,\)"),
    "concatenate": (lambda: ts.concatenate([t(2, 2), t(3, 2)]), ShapeError, r"all other axes must be equal, got \(2, 2\) and \(3, 2\)"),
    "concatenate a number with a vector": (
        lambda: ts.concatenate([t(2), t()], axis=0),
        ShapeError,
        r"concatenate along axis 0: all other axes must be equal, got \(2,\) and \(\)",
    ),
    "concatenate scalars": (lambda: ts.concatenate([t()]), ShapeError, "concatenate along axis -1: a scalar has no axes"),
    "concatenate nothing": (lambda: ts.concatenate([]), ShapeError, "needs at least one tensor, got none"),
    "stack": (lambda: ts.stack([t(2), t(3)]), ShapeError, r"stack needs equal shapes, got \(2,\) and \(3,\)"),
    "stack nothing": (lambda: ts.stack([]), ShapeError, "needs at least one tensor, got none"),
    "split": (lambda: ts.split(t(5), 2), ShapeError, r"axis 0 of shape \(5,\) into 2 equal parts: 5 is no multiple"),
    "split into none": (lambda: ts.split(t(5), 0), ShapeError, "into 0 equal parts"),
    "expand": (lambda: ts.expand(t(3), (4,)), ShapeError, r"\(3,\) does not broadcast to \(4,\)"),
    "expand below 0": (lambda: ts.expand(t(1), (-1,)), ShapeError, r"\(1,\) does not broadcast to \(-1,\)"),
    "zeros below 0": (lambda: ts.zeros((-1, 2)), ShapeError, r"sizes are at least 0, got zeros of shape \(-1, 2\)"),
    "axis": (lambda: ts.sum(t(2, 2), 2), ShapeError, "sum along axis 2 of a tensor with 2 axes; axes are 0 to 1"),
    "axis twice": (lambda: ts.sum(t(2, 2), (0, -2)), ShapeError, r"sum got axes \(0, -2\) .* each axis once"),
    "axis as text": (lambda: ts.mean(t(2, 2), "rows"), ShapeError, "mean along axis 'rows': an axis is a whole number"),
    "axis as float": (lambda: ts.max(t(2, 2), 1.0), ShapeError, "max along axis 1.0: an axis is a whole number"),
    "window": (lambda: ts.window(t(3, 2), 2, 2), ShapeError, r"rows 2 to 4 of a tensor of shape \(3, 2\)"),
    "slice": (lambda: ts.slice_axis(t(3, 2), 1, 5, 0), ShapeError, r"slice 1:5 on axis 0 of a tensor of shape \(3, 2\)"),
    "index": (lambda: t(2)[2], ShapeError, r"index 2 is outside 0 to 1, the first axis of shape \(2,\)"),
    "index of a later axis": (lambda: t(2, 3)[:, 5], ShapeError, r"index 5 is outside 0 to 2, axis 1 of shape \(2, 3\)"),
    "too many indices": (lambda: t(2)[0, 0], ShapeError, r"2 indices for a tensor of shape \(2,\)"),
    "index of a scalar": (lambda: t()[0], ShapeError, r"1 indices for a tensor of shape \(\)"),
    "length of a scalar": (lambda: len(t()), ShapeError, "a scalar has no length"),
    "slice with a step": (lambda: t(4)[::2], ShapeError, r"slices have step 1, got slice.*use ts.take\(x, np.arange"),
    "index by None": (lambda: t(4)[None], TinyseqError, "indexed by integers and slices, got None"),
    "new axis": (lambda: ts.zeros((3, 4))[:, :, None], TinyseqError, r"for a new axis write ts.reshape\(x, \(3, 4, 1\)\)"),
    "row and new axis": (lambda: ts.zeros((3, 4))[0, None], TinyseqError, "index first, then for a new axis"),
    "ellipsis": (lambda: ts.zeros((3, 4))[..., 1:2], TinyseqError, r"name every axis: x\[:, 1:2\]"),
    "one matrix times many": (lambda: ts.matmul(W, ts.zeros((3, 2, 2), np.float64)), ShapeError, r"expand\(A, \(3, 2, 2\)\), B"),
    "index by a float": (lambda: t(4)[1.0], TinyseqError, "indexed by integers and slices, got 1.0"),
    "index by True": (lambda: t(4)[True], TinyseqError, "indexed by integers and slices, got True"),
    "index by a mask": (lambda: t(2)[np.array([True, False])], TinyseqError, r"boolean mask; use ts.take\(x, np.flatnonzero\(mask\)\)"),
    "softmax of a scalar": (lambda: ts.softmax(t()), ShapeError, r"at least one class, got shape \(\)"),
    "gather": (lambda: ts.gather(W, [0]), ShapeError, r"x \(2, 2\) needs an index of shape \(2,\), got \(1,\)"),
    "take of columns": (lambda: ts.take(t(3), [0], axis=1), ShapeError, "take of columns needs a matrix"),
    "take axis": (lambda: ts.take(W, [0], axis=2), ShapeError, "axis 0 .rows. or 1 .columns of a matrix., got 2"),
    "cross-entropy": (lambda: ts.cross_entropy(W, [0, 1, 1]), ShapeError, r"needs integer targets of shape \(2,\) .* got \(3,\)"),
    "cross-entropy of a scalar": (lambda: ts.cross_entropy(t(), 0), ShapeError, "needs at least one class"),
    "cross-entropy of no classes": (lambda: ts.cross_entropy(t(2, 0), [0, 0]), ShapeError, "needs at least one class"),
    "mask": (lambda: ts.cross_entropy(W, [0, 1], mask=ones(2, 1)), ShapeError, r"mask has shape \(2, 1\), it needs that of the targets, \(2,\)"),
    "reduction": (lambda: ts.cross_entropy(W, [0, 1], reduction="avg"), TinyseqError, "'mean', 'sum' or 'none', got 'avg'"),
    "parameter's value": (lambda: setattr(W, "value", ones(3)), ShapeError, r"Parameter\(W, .*cannot hold float64 \(3,\)"),
    # batch-first data
    "batch-first": (lambda: ts.unfold(WIDE, ts.Chain(7), ones(3, 7, 5), ones(3, 4)), ShapeError, r"T = 7 first, got shape \(3, 7, 5\); yours looks batch-first.*x.transpose\(1, 0, 2\)"),
    "batch-first targets": (lambda: NET.loss(TOKENS, TOKENS.T), ShapeError, r"x has \(T, B\) = \(3, 2\), y \(2, 3\); y looks batch-first: write y.T"),
    "batch-first state": (lambda: NET.loss(TOKENS, TOKENS, ones(4, 2)), ShapeError, r"h is \(B, hidden\) = \(2, 4\), got \(4, 2\); sequences are \(T, B, F\)"),
    "features": (lambda: NET.loss(ones(3, 2, 6), TOKENS), ShapeError, r"\(T, B, F\) with F = 5 features, got shape \(3, 2, 6\)"),
    "tokens with features": (lambda: NET.loss(TOKENS[..., None], TOKENS), ShapeError, r"token sequences are \(T, B\), got shape \(3, 2, 1\)"),
    # mixed dtypes
    "mixed add": (lambda: t(3) + t(3, dtype=np.float32), DtypeError, "add got float32 and float64 together; make all operands one dtype"),
    "mixed matmul": (lambda: t(3, 3) @ t(3, 3, dtype=np.float32), DtypeError, "matmul got float32 and float64 together"),
    "mixed concatenate": (lambda: ts.concatenate([t(2), t(2, dtype=np.float32)]), DtypeError, "different dtypes"),
    "mixed stack": (lambda: ts.stack([t(2), t(2, dtype=np.float32)]), DtypeError, "different dtypes"),
    "mixed net and data": (lambda: NET.loss(ones(3, 2, 5), TOKENS), DtypeError, r"x is float64, the net is float32: write x.astype\('float32'\), or build the net with dtype=np.float64"),
    "mixed net and state": (lambda: NET.loss(TOKENS, TOKENS, ones(2, 4)), DtypeError, "h is float64, the net is float32"),
    "mixed state": (lambda: chained(lambda x, h: (x, h), h=ones(2, 5, dtype=np.float32)), DtypeError, r"dtypes of the state it gets: initial \['float32'\], returned \['float64'\]"),
    # integer where float is needed, and the other way round
    "tanh of integers": (lambda: ts.tanh(ts.tensor([1, 2])), DtypeError, r"tanh needs floating point, got integers; convert with array.astype\('float32'\)"),
    "integers plus 1": (lambda: ts.tensor([1, 2]) + 1, DtypeError, "arithmetic needs floating point, got integers"),
    "sum of integers": (lambda: ts.sum(ts.tensor([1, 2])), DtypeError, "sum needs floating point, got integers"),
    "matmul of integers": (lambda: ts.tensor([[1]]) @ ts.tensor([[1]]), DtypeError, r"by its number use ts.take\(W, index\)"),
    "integer parameter": (lambda: ts.Parameter([1, 2], "p"), DtypeError, r"parameter p needs float32 or float64, got int64; write Parameter\(array.astype\('float32'\)\)"),
    "integer logits": (lambda: ts.cross_entropy(ts.tensor([[1, 2]]), [0]), DtypeError, "floating-point logits, got integers"),
    "integer table": (lambda: ts.take(ts.tensor([1, 2]), [0]), DtypeError, "floating-point table, got an integer table"),
    "integer zeros": (lambda: ts.zeros((2,), int), DtypeError, "zeros are float32 or float64, got int64"),
    "integer one-hot": (lambda: ts.one_hot([0], 2, int), DtypeError, "one-hot rows are float32 or float64, got int64"),
    "integer mask tensor": (lambda: ts.where(ts.tensor([1, 0]), t(2), t(2)), DtypeError, "where needs floating point, got integers"),
    "float index": (lambda: ts.take(W, ones(2)), DtypeError, r"indices must be integers, got float64; write array.astype\('int64'\)"),
    "float index tensor": (lambda: ts.take(W, t(2)), DtypeError, "must be an integer, got float64"),
    "float tokens": (lambda: NET.loss(TOKENS.astype(np.float32), TOKENS), ShapeError, r"tokens \(T, B\) are integers, write x.astype\('int64'\)"),
    "NaN tokens": (lambda: NET.loss(ones(3, 2) * np.nan, TOKENS), ShapeError, "tokens .T, B. are integers"),
    "float targets": (lambda: NET.loss(TOKENS, TOKENS * 1.0), DtypeError, r"targets must be integers, got float64; write array.astype\('int64'\)"),
    "NaN targets": (lambda: NET.loss(TOKENS, TOKENS * np.nan), DtypeError, "targets must be integers, got float64"),
    "one-hot targets": (lambda: ts.cross_entropy(W, np.eye(2)), DtypeError, "targets must be integers, got float64"),
    # tokens and targets out of range
    "token": (lambda: NET.loss(TOKENS + 1, TOKENS), DataError, r"token \(vocabulary of 5\) 5 is out of range: x holds 1 to 5, expected 0 to 4"),
    "negative token": (lambda: NET.loss(TOKENS - 1, TOKENS), DataError, "token .* -1 is out of range: x holds -1 to 3, expected 0 to 4"),
    "target": (lambda: NET.loss(TOKENS, TOKENS + 1), DataError, "cross_entropy: target 5 is out of range: y holds 1 to 5, expected 0 to 4"),
    "ignored target": (lambda: NET.loss(TOKENS, TOKENS - 100), DataError, "target -100 is out of range"),
    "masked target": (lambda: ts.cross_entropy(W, np.array([0, -100]), mask=np.array([1, 0])), DataError, r"target \(masked rows too need a class, write 0\) -100 is out of range"),
    "embedding": (lambda: ts.take(W, [0, 2]), DataError, "number .token. 2 is out of range: the index array holds 0 to 2, expected 0 to 1"),
    "one-hot": (lambda: ts.one_hot([3], 3), DataError, "one_hot: class 3 is out of range"),
    "one-hot of no classes": (lambda: ts.one_hot([0], 0), ShapeError, "at least one class, got 0"),
    "element": (lambda: ts.gather(W, [0, 2]), DataError, "gather: index 2 is out of range"),
    "computed index": (lambda: ts.take(W, ts.concatenate([ts.tensor([0]), ts.tensor([7])])).value, DataError, r"index 7 at position \(1,\) is outside 0 to 1 \(1 of 2 indices are\)"),
    "token in a step": (lambda: chained(lambda i, h: (h + ts.take(W, i), h), x=np.array([[0, 1], [1, 0], [5, 0]]), h=ones(2, 2)), DataError, "number .token. 5 is out of range: the index array holds 0 to 5"),
    # empty sequences, T = 0
    "T = 0": (lambda: NET.loss(TOKENS[:0], TOKENS[:0]), ShapeError, r"empty sequence: x has shape \(0, 2\); T, B and F must be at least 1"),
    "B = 0": (lambda: NET.loss(TOKENS[:, :0], TOKENS[:, :0]), ShapeError, r"empty sequence: x has shape \(3, 0\)"),
    "chain of 0": (lambda: ts.Chain(0), ShapeError, "a chain needs at least one step, got T = 0"),
    "length −1": (lambda: ts.Chain([3, -1]), DataError, "sequence 1 has length -1; lengths are whole numbers from 0"),
    "mean of nothing": (lambda: ts.mean(t(0, 3)), ShapeError, "mean over no elements"),
    # outside a tape, across tapes
    "two tapes": (lambda: t(2) + _elsewhere(), TapeError, r"add got tensors of two tapes; .* ts.tensor\(other.value\)"),
    "two tapes in a list": (lambda: ts.stack([t(2), _elsewhere()]), TapeError, "stack got tensors of two tapes"),
    "loss of another tape": (lambda: Tape().backward(ts.sum(W)), TapeError, r"the loss is on another tape; .*loss.backward\(\)"),
    # backward
    "not a scalar": (lambda: (W * 2.0).backward(), GradientError, r"shape \(2, 2\) needs a seed .*\n.*ts.sum\(loss\).*seed=array"),
    "seed's shape": (lambda: (W * 2.0).backward(seed=ones(3)), ShapeError, r"the seed has shape \(3,\), the tensor \(2, 2\)"),
    "seed of text": (lambda: (W * 2.0).backward(seed="x"), GradientError, "a seed is an array of real numbers, got <U1"),
    "complex seed": (lambda: (W * 2.0).backward(seed=ones(2, 2) * 1j), GradientError, "real numbers, got complex128"),
    "no parameters": (lambda: ts.sum(t(3)).backward(), GradientError, r"depends on no parameter.*\n.*W = ts.Parameter\(array, 'W'\)"),
    "all detached": (lambda: ts.sum(ts.detach(W)).backward(), GradientError, r"the loss depends on no parameter through ops that pass gradients on.*: detach \(%1, test_bad_input.py:\d+\) lies on the way to W and passes nothing on, as its record has no vjp for input 0"),
    "only compared": (lambda: ts.sum(ts.where(W > 0, t(2, 2), 1.0) + ts.detach(W)).backward(), GradientError, r"detach .* on the way to W .*; where .* on the way to W .* no vjp for input 0$"),
    "all detached, compiled": (lambda: ts.compile(lambda: ts.sum(ts.detach(W))).backward(), GradientError, r"depends on no parameter through ops.*: detach \(%\d+, test_bad_input.py:\d+\) lies on the way to W"),
    "no parameters, compiled": (lambda: ts.compile(lambda x: ts.sum(x)).backward(ones(3)), GradientError, r"depends on no parameter, so .*\n.*W = ts.Parameter\(array, 'W'\)"),
    "gradcheck of a list": (lambda: ts.gradcheck(lambda: ts.sum(W), [W]), GradientError, r"argument 0 is a list of parameters: .* gradcheck\(f, \*parameters\)"),
    "gradcheck of a net": (lambda: ts.gradcheck(lambda: ts.sum(W), NET), GradientError, r"is a RNN: .*gradcheck\(f, \*net.parameters\(\)\)"),
    "stack of a tensor": (lambda: ts.stack(W * 2.0), ShapeError, r"stack puts a list of tensors together, got one of shape \(2, 2\): .*outputs of ts.unfold.*ts.stack\(\[a, b\]\)"),
    "concatenate of a parameter": (lambda: ts.concatenate(W), ShapeError, r"concatenate puts a list .* got one of shape \(2, 2\)"),
    # ops recorded by hand
    "an op that is not there": (lambda: record("tanhh", (W,)), OpError, "no op is called 'tanhh': did you mean 'tanh'?"),
    "an op without a likeness": (lambda: record("zzz", (W,)), OpError, r"no op is called 'zzz'; tinyseq.ops.register\(Op\(…\)\) makes one"),
    "an op of too many inputs": (lambda: record("tanh", (W, W)), OpError, r"tanh takes 1 input, got 2: write record\('tanh', \(x0,\)\)"),
    "an op of too few inputs": (lambda: record("add", (W,)), OpError, r"add takes 2 inputs, got 1: write record\('add', \(x0, x1\)\)"),
    "an op of no inputs": (lambda: record("add", ()), OpError, r"has no inputs"),
    "attributes that are no pairs": (lambda: record("softmax", (W,), ("axis", 1)), OpError, r"write pairs of name and value, as \(\('axis', 1\),\)"),
    "integers": (lambda: ts.tensor(3).backward(), GradientError, "gradients are of floating-point tensors"),
    "an array": (lambda: Tape.current().backward(ones(3)), GradientError, "needs the tensor to differentiate, got ndarray"),
    # unfolding
    "no structure": (lambda: ts.unfold(NET, 5, ones(5, 2, 5), ones(2, 4)), ShapeError, r"a structure such as ts.Chain\(T\).*got 5"),
    "no state": (lambda: ts.unfold(NET, ts.Chain(5), ones(5, 2, 5)), ShapeError, r"ts.unfold\(cell, chain, x, state\)"),
    "no state for a cell": (lambda: ts.unfold(CELL, ts.Chain(5), ones(5, 2, 5)), ShapeError, r"state = cell.initial_state\(batch\)"),
    "no step": (lambda: chained(3), TinyseqError, r"a cell or a function step\(x_t, state\) -> state, output, got 3"),  # type: ignore[arg-type]
    "another T": (lambda: chained(identity, 4, x=ones(5, 2, 5)), ShapeError, r"with T = 4 first, got shape \(5, 2, 5\)"),
    "delay 0": (lambda: chained(identity, delays=(0,)), ShapeError, r"whole steps of at least 1, got \(0,\)"),
    "no delay": (lambda: chained(identity, delays=()), ShapeError, r"whole steps of at least 1, got \(\)"),
    "one result": (lambda: chained(lambda x, h: h), ShapeError, r"a step returns \(state, output\), got Tensor; write return h, h"),
    "three results": (lambda: chained(lambda x, h: (h, h, h)), ShapeError, r"a step returns \(state, output\)"),
    "a growing state": (lambda: chained(lambda x, h: (x, h)), ShapeError, r"initial \[\(2, 4\)\], returned \[\(2, 5\)\]"),
    "an output that is a number": (lambda: chained(lambda x, h: (h * 1.0, 3.0)), TinyseqError, "expected a tensor, parameter or array, got float"),
    "a value inside a step": (lambda: chained(lambda x, h: (h * h.value.sum(), h)), TapeError, "a value or gradient was asked for inside a step .* after unfold"),
    "a gradient inside a step": (lambda: chained(lambda x, h: (h, h.grad)), TapeError, "a value or gradient was asked for inside a step"),
    "backward inside a step": (lambda: chained(lambda x, h: (h, ts.sum(h).backward())), TapeError, "backward inside a step that is being recorded"),
    "unfolding inside a step": (lambda: chained(lambda x, h: (h, chained(identity).final)), TapeError, "unfold inside a step that is itself being unfolded"),
    "rows of a ragged chain": (lambda: chained(identity, [2, 3], x=ones(6, 2)), ShapeError, r"2 sequences with 5 steps in all needs packed rows \(5, …\) from chain.pack\(list\)"),
    "state of a ragged chain": (lambda: chained(identity, [2, 3], x=ones(5, 2), h=ones(3, 2)), ShapeError, r"2 sequences needs initial states of 2 rows, got \(3, 2\)"),
    "padded tokens": (lambda: chained(identity, [2, 3], x=TOKENS), DtypeError, r"given packed: chain.pack\(list of arrays\)"),
    "a step that sees the batch size": (lambda: chained(lambda x, h: (h[:1] * x[:1] if x.shape[0] > 2 else h * 1.0, h), [2, 3], x=ones(5, 1), h=ones(2, 1)), ShapeError, "records other nodes for other batch sizes"),
    "step out of range": (lambda: chained(identity).output(3), ShapeError, r"step 3 asked for, Chain\(T=3\) has steps 0 to 2"),
    "state out of range": (lambda: chained(identity).state(-4), ShapeError, "step -4 asked for"),
    # what is no tensor
    "None": (lambda: ts.tanh(None), TinyseqError, "expected a tensor, parameter or array, got NoneType"),
    "text": (lambda: t(1) + "a", TinyseqError, "expected a tensor, parameter or array, got str"),
    "a list": (lambda: ts.tanh([1.0]), TinyseqError, r"got list; write ts.tensor\(x, dtype='float32'\)"),
    "a complex number": (lambda: t(1) * 1j, TinyseqError, "got complex"),
    "a NumPy complex number": (lambda: t(1) * np.complex64(1j), TinyseqError, "got complex64"),
    "two numbers": (lambda: ts.maximum(1, 2), TinyseqError, r"needs a tensor among its operands, got the numbers \(1, 2\)"),
    "division by 0": (lambda: t(1) / 0, TinyseqError, "division by the constant 0"),
    "truth": (lambda: bool(t(1)), TinyseqError, r"no truth value while recording.*ts.where\(mask, a, b\), or tensor.value"),
    "comparison in an if": (lambda: 1 if t(1) > 0 else 0, TinyseqError, "no truth value"),
    "iteration": (lambda: list(t(1)), TinyseqError, r"not iterable; use ts.steps\(x\)"),
    "iteration of a parameter": (lambda: [*W], TinyseqError, "not iterable"),
    "as an array": (lambda: np.array(t(1)), TinyseqError, "write x.value for its numbers"),
    "as an array with a dtype": (lambda: np.asarray(t(1), np.float32), TinyseqError, "write x.value for its numbers"),
    "as a number": (lambda: float(t()), TinyseqError, r"write x.value.item\(\)"),
    "a name that is no text": (lambda: t(1).named(None), TapeError, r"a name is text, got None; write tensor.named\('h'\)"),  # type: ignore[arg-type]
    # hostile arrays
    "objects": (lambda: ts.tensor(np.array([None, 1], object)), DtypeError, r"float32, float64 or int64, got object"),
    "None as an array": (lambda: ts.tensor(None), DtypeError, "got object"),
    "text as an array": (lambda: ts.tensor("abc"), DtypeError, "got <U3"),
    "rows of two lengths": (lambda: ts.tensor([[1.0, 2.0], [3.0]]), DataError, r"rows of one length .* ts.Chain\(lengths\).pack"),
    "parameter of rows of two lengths": (lambda: ts.Parameter([[1.0, 2.0], [3.0]], "p"), DataError, "parameter p needs an array with rows of one length"),
    "float16": (lambda: ts.tensor(ones(3, dtype=np.float16)), DtypeError, r"got float16; convert with array.astype\('float32'\)"),
    "float16 parameter": (lambda: ts.Parameter(ones(3, dtype=np.float16)), DtypeError, "got float16"),
    "long double": (lambda: ts.tensor(ones(3, dtype=np.longdouble)), DtypeError, r"convert with array.astype\('float32'\)"),
    "complex": (lambda: ts.tensor(ones(3, dtype=complex)), DtypeError, "got complex128"),
    "big-endian": (lambda: ts.tensor(ones(3, dtype=">f4")), DtypeError, r"got >f4; convert with array.astype\('float32'\)"),
    "big-endian parameter": (lambda: ts.Parameter(ones(3, dtype=">f8")), DtypeError, "got >f8"),
    "dates": (lambda: ts.tensor(np.array(["2020-01-01"], "M8[D]")), DtypeError, "got datetime64"),
    "an integer beyond 64 bits": (lambda: ts.tensor(2**70), DtypeError, "got object"),
    "an unsigned integer beyond 63 bits": (lambda: ts.tensor(np.array([2**64 - 1], np.uint64)), DataError, "up to 2⁶³ − 1; the array holds 18446744073709551615"),
}  # fmt: skip


def _elsewhere() -> ts.Tensor:
    with Tape():
        return t(2)


@pytest.mark.parametrize("case", CASES)
def test_the_error_says_what_was_given_and_expected(case: str) -> None:
    build, error, words = CASES[case]
    with warnings.catch_warnings(), Tape(), pytest.raises(TinyseqError) as caught:
        warnings.simplefilter("error")
        build()
    assert isinstance(caught.value, error), repr(caught.value)
    assert re.search(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "build",
    [lambda: W + W, lambda: ts.tensor([1.0]), lambda: ts.zeros((2,)), lambda: NET.loss(TOKENS, TOKENS), lambda: NET(1, 2)],
    ids=["operator", "tensor", "zeros", "loss", "cell"],
)  # fmt: skip
def test_an_op_outside_a_tape_shows_the_lines_to_write(build: Callable) -> None:
    with pytest.raises(TapeError, match=r"no tape is recording(.|\n)*with ts.Tape\(\) as tape:\n        y = "):
        build()


def test_the_line_of_the_user_is_named() -> None:
    with Tape(), pytest.raises(ShapeError) as caught:
        a, b = t(2, 3), t(4, 5)
        a @ b  # the line
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = next(i for i, text in enumerate(source, 1) if text.endswith("# the " + "line"))
    assert f"at {__file__}:{line}" in str(caught.value)


def test_errors_are_of_the_kinds_python_programmers_catch() -> None:
    assert issubclass(ShapeError, ValueError) and issubclass(DataError, ValueError)
    assert issubclass(DtypeError, TypeError) and issubclass(TapeError, RuntimeError)


# -- what is odd and allowed -----------------------------------------------------------------------------------------
def test_odd_arrays_that_are_fine() -> None:
    with Tape():
        assert ts.tensor(np.arange(3, dtype=">i4")).value.tolist() == [0, 1, 2]
        assert ts.tensor(np.array([True, False])).value.tolist() == [1, 0]
        assert ts.tensor(np.arange(3, dtype=np.uint8)).dtype == np.int64
        assert ts.tensor(np.array(5.0)).shape == () and ts.tensor(np.float32(2)).dtype == np.float32
        assert ts.tensor([1.0, 2.0]).dtype == np.float32 and ts.Parameter([1.0]).dtype == np.float32
        assert ts.tensor(np.ones((0, 3))).value.shape == (0, 3)
        assert ts.tensor([[]]).shape == (1, 0)
        strided = np.arange(12.0).reshape(3, 4)[::2, ::-1]
        np.testing.assert_array_equal((ts.tensor(strided) * 2.0).value, 2 * strided)
        assert (np.float64(2) * ts.tensor([1.0])).dtype == np.float32
        assert (np.ones(1, np.float32) * ts.tensor([1.0])).value == 1.0
        assert ts.sum(t(2, 2), np.int64(1)).shape == (2,) and t(2, 2).reshape(np.int64(4)).shape == (4,)
        assert np.isnan(ts.cross_entropy(W, [0, 1], mask=np.zeros(2)).value)


def test_numbers_out_of_range_that_are_not_used_are_no_error() -> None:
    padded = np.array([[0, 1], [1, -1]])
    with Tape():
        i = ts.tensor(padded)
        assert ts.take(W, i[0]).value.tolist() == [[1, 1], [1, 1]]
        with pytest.raises(DataError, match="-1 is out of range"):
            ts.take(W, i[1])


def test_masks_given_as_booleans_or_integers() -> None:
    logits, target = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([0, 1])
    with Tape():
        values = [
            ts.cross_entropy(ts.tensor(logits), target, mask=mask).value
            for mask in (np.array([True, False]), np.array([1, 0]), np.array([1.0, 0.0]))
        ]
    np.testing.assert_allclose(values, np.log(1 + np.e), rtol=1e-12)


# -- errors leave the tape usable --------------------------------------------------------------------------------------
def test_recording_goes_on_after_an_error() -> None:
    with Tape() as tape:
        a = t(2, 3)
        with pytest.raises(ShapeError):
            a @ a
        b = ts.sum(a * 2.0)
    ts.verify(tape)
    assert b.value == 12.0


class Leaky(Cell):
    """Keeps a tensor of its step, as one might to look at it later."""

    name = "leaky"

    def __init__(self) -> None:
        self.w = ts.Parameter(np.full(2, 0.5), "w")
        self.kept: Any = None
        self.fail = False

    def step(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ts.tanh(h * self.w + x + np.array([1.0, 2.0]))
        self.kept = h
        if self.fail:
            raise ZeroDivisionError
        return h, h


def test_a_step_that_fails_leaves_a_tape_that_works() -> None:
    cell, x = Leaky(), np.ones((3, 2))
    cell.fail = True
    with Tape() as tape:
        with pytest.raises(ZeroDivisionError):
            ts.unfold(cell, ts.Chain(3), x, np.zeros(2))
        cell.fail = False
        loss = ts.sum(ts.unfold(cell, ts.Chain(3), x, np.zeros(2)).final)
    ts.verify(tape)
    loss.backward()
    grad = np.array(cell.w.grad)
    with Tape():
        clean = ts.sum(ts.unfold(cell, ts.Chain(3), x, np.zeros(2)).final)
    clean.backward()
    np.testing.assert_array_equal(loss.value, clean.value)
    np.testing.assert_array_equal(grad, cell.w.grad)


def test_a_tensor_kept_from_a_recorded_step_is_refused_not_misread() -> None:
    cell, x = Leaky(), np.ones((3, 2))
    with Tape():
        unfolded = ts.unfold(cell, ts.Chain(3), x, np.zeros(2))
        for use in (
            lambda: cell.kept.value,
            lambda: cell.kept.grad,
            lambda: cell.kept * 2.0,
            lambda: unfolded.final + cell.kept,
            lambda: ts.unfold(lambda h: (h + cell.kept, h), ts.Chain(2), (), np.zeros(2)),
            lambda: ts.unfold(lambda h: (cell.kept, h), ts.Chain(2), (), np.zeros(2)),
        ):
            with pytest.raises(TapeError, match=r"made inside a step while it was recorded.*unfolded.output\(t\)"):
                use()
        h, _ = cell(ts.tensor(x[0]), ts.tensor(np.zeros(2)))
        np.testing.assert_array_equal(cell.kept.value, h.value)  # in a plain loop it is a node like others


def test_lists_that_do_not_fit_are_shown_in_part():
    from tinyseq.errors import DataError

    with pytest.raises(DataError, match="list of integers") as caught:
        ts.Tree.from_parents([0.5] * 10_000)
    assert len(str(caught.value)) < 200
    with pytest.raises(DataError, match="missing child") as caught:
        ts.Tree.from_children([["x"] * 10_000, []])
    assert len(str(caught.value)) < 200
    net = ts.nn.RNN(2, 2, 2, rng=np.random.default_rng(0))
    with pytest.raises(
        ts.TinyseqError, match=r"missing \['U', 'V', 'W', 'b', 'c'\], unknown .* and 992 more"
    ) as caught:
        net.load_state_dict({f"layer.{i}": np.zeros(1) for i in range(1000)})
    assert len(str(caught.value)) < 300
