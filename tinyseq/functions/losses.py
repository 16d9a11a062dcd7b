"""Softmax, losses and layer normalisation."""

from __future__ import annotations

from sys import _getframe
from typing import Any, Never

import numpy as np

from tinyseq.errors import DataError, ShapeError, TinyseqError
from tinyseq.functions.call_sites import called, first, many
from tinyseq.functions.elementwise import exp, sqrt, where
from tinyseq.functions.picks import check_range, in_range, indices, one_hot
from tinyseq.functions.reductions import mean, sum
from tinyseq.functions.shapes import axis_number, reshape, transpose
from tinyseq.functions.vjps import Passing, recorded
from tinyseq.habits import strict, wrong_call
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.record import record
from tinyseq.tensor.source_lines import internal

internal(__file__)


def _over_an_axis(name: str, doc: str) -> Any:
    def long(x: Any) -> Tensor:
        return record(name, (x,))

    def along(x: Any, axis: int) -> Tensor:
        x = as_tensor(x)
        place = axis_number(axis, x.ndim, name)
        order = list(range(x.ndim))
        order[place], order[-1] = order[-1], order[place]
        return long(x) if place == x.ndim - 1 else transpose(long(transpose(x, order)), order)

    def function(x: Any, axis: int = -1, *extra: Never, **other: Never) -> Tensor:
        if extra or other:
            raise wrong_call(made, (x, axis, *extra), other)
        if type(x) is not Tensor or axis != -1:
            return along(x, axis)
        frame = _getframe(1)
        tape = x.tape
        place = (name, id(frame.f_code), frame.f_lasti, x.form)
        site = tape.sites.get(place)
        if site is not None:
            return site(tape, x.index)
        return first(place, frame, tape, (x.index,), long, (x,))

    made = strict(called(function, name, doc))
    return made


softmax = _over_an_axis("softmax", "softmax over an axis, by default the last.")
log_softmax = _over_an_axis("log_softmax", "log softmax over an axis, by default the last.")


@strict
def cross_entropy(
    logits: Any, target: Any, mask: Any = None, reduction: str = "mean", *extra: Never, **other: Never
) -> Tensor:
    """−log softmax(logits)[target] for integer targets: logits (…, C), target (…).

    ``reduction``: "mean", "sum", or "none" for one loss a row. ``mask`` (…) with 1 for rows that count, 0 for the
    others, which get the gradient 0 whatever they hold; the mean is over the rows that count, NaN where none does.
    """
    if extra or other:
        raise wrong_call(cross_entropy, (logits, target, mask, reduction, *extra), other)
    if mask is None and type(logits) is Tensor and type(target) is Tensor and in_range(target, logits.form.shape):
        frame = _getframe(1)
        tape = logits.tape
        place = ("cross_entropy", reduction, id(frame.f_code), frame.f_lasti, logits.form, target.form)
        site = tape.sites.get(place)
        if site is not None:
            return site(tape, logits.index, target.index)
        nodes = (logits.index, target.index)
        return first(place, frame, tape, nodes, lambda a, i: _cross_entropy(a, i, None, reduction), (logits, target))
    return _cross_entropy(logits, target, mask, reduction)


def _cross_entropy(logits: Any, target: Any, mask: Any, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise TinyseqError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
    logits, target = as_tensor(logits), indices(target, "targets")
    what = "cross_entropy: target" if mask is None else "cross_entropy: target (masked rows too need a class, write 0)"
    check_range(what, target, logits.shape[-1] if logits.ndim else 0)
    losses = record("cross_entropy", (logits, target))
    if mask is not None:
        if isinstance(mask, np.ndarray):
            if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
                raise DataError(
                    "a mask holds 0 and 1, this one holds other numbers too; for a weighted loss write "
                    "ts.sum(weights * ts.cross_entropy(logits, target, reduction='none')) / weights.sum()"
                )
            mask = mask.astype(logits.dtype)
        mask = as_tensor(mask)
        if mask.shape != target.shape:
            raise ShapeError(
                f"cross_entropy: the mask has shape {mask.shape}, it needs that of the targets, {target.shape}"
            )
        losses = where(mask, losses, 0.0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    return mean(losses) if mask is None else sum(losses) / sum(mask)


@strict
def layer_norm(x: Any, gain: Any, bias: Any, epsilon: float = 1e-5, *extra: Never, **other: Never) -> Tensor:
    """gain ⊙ (x − μ)/√(σ² + ε) + bias over the last axis (Ba et al. 2016), as a composition of ops."""
    if extra or other:
        raise wrong_call(layer_norm, (x, gain, bias, epsilon, *extra), other)
    key = ("layer_norm", epsilon)
    return many(key, lambda x, gain, bias: _layer_norm(x, gain, bias, epsilon), (x, gain, bias), _getframe(1))


def _layer_norm(x: Any, gain: Any, bias: Any, epsilon: float) -> Tensor:
    centred = x - mean(x, axis=-1, keepdims=True)
    variance = mean(centred * centred, axis=-1, keepdims=True)
    return centred / sqrt(variance + epsilon) * gain + bias


@recorded("softmax")
def _through_softmax(at: Passing) -> Tensor:
    return at.y * (at.g - sum(at.g * at.y, -1, keepdims=True))


@recorded("log_softmax")
def _through_log_softmax(at: Passing) -> Tensor:
    return at.g - exp(at.y) * sum(at.g, -1, keepdims=True)


@recorded("cross_entropy")
def _through_cross_entropy(at: Passing) -> Tensor:
    """g (softmax(o) − 1_y), equation 10.18."""
    logits, target = at.x
    hot = one_hot(target, logits.shape[-1], logits.dtype)
    return reshape(at.g, (*at.g.shape, 1)) * (softmax(logits) - hot)
