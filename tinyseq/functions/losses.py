"""Softmax, losses and layer normalisation."""

from __future__ import annotations

from sys import _getframe
from typing import Any, Never

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError, ShapeError, TinyseqError
from tinyseq.functions.call_sites import named, nary, record_first
from tinyseq.functions.elementwise import exp, sqrt, where
from tinyseq.functions.picks import check_range, in_range, indices, one_hot, take
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
        return record_first(place, frame, tape, (x.index,), long, (x,))

    made = strict(named(function, name, doc))
    return made


softmax = _over_an_axis("softmax", "softmax over an axis, by default the last.")
log_softmax = _over_an_axis("log_softmax", "log softmax over an axis, by default the last.")


@strict
def cross_entropy(
    logits: Any,
    target: Any,
    mask: Any = None,
    reduction: str = "mean",
    *extra: Never,
    ignore_index: int | None = None,
    weight: Any = None,
    label_smoothing: float = 0.0,
    **other: Never,
) -> Tensor:
    """−log softmax(logits)[target] for integer targets: logits (…, C), target (…).

    ``reduction``: "mean", "sum", or "none" for one loss a row. ``mask`` (…) with 1 for rows that count, 0 for the
    others, which get the gradient 0 whatever they hold; the mean is over the rows that count, NaN where none does.

    ``ignore_index``: rows with this target do not count; inside ts.compile, where targets are not known, it has to be a
    class. ``weight`` (C): each row counts as much as its class, and the mean is Σ w L / Σ w. ``label_smoothing`` ε: the
    target is (1 − ε) its class + ε/C each class, the loss (1 − ε) w_y L_y + ε/C Σ_c w_c L_c.
    """
    if extra or other:
        raise wrong_call(cross_entropy, (logits, target, mask, reduction, *extra), other)
    if ignore_index is not None or weight is not None or label_smoothing:
        return _weighed(logits, target, mask, reduction, ignore_index, weight, label_smoothing)
    if mask is None and type(logits) is Tensor and type(target) is Tensor and in_range(target, logits.form.shape):
        frame = _getframe(1)
        tape = logits.tape
        place = ("cross_entropy", reduction, id(frame.f_code), frame.f_lasti, logits.form, target.form)
        site = tape.sites.get(place)
        if site is not None:
            return site(tape, logits.index, target.index)
        nodes = (logits.index, target.index)
        return record_first(
            place, frame, tape, nodes, lambda a, i: _cross_entropy(a, i, None, reduction), (logits, target)
        )
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


def _weighed(
    logits: Any, target: Any, mask: Any, reduction: str, ignore_index: Any, weight: Any, smoothing: Any
) -> Tensor:
    """The cross-entropy of rows that count in other ways than one each."""
    if isinstance(smoothing, bool) or not isinstance(smoothing, (int, float)) or not 0 <= smoothing < 1:
        raise TinyseqError(f"label_smoothing is at least 0 and below 1, got {smoothing!r}")
    logits = as_tensor(logits)
    classes = logits.shape[-1] if logits.ndim else 0
    if ignore_index is not None:
        target, kept = _without(target, ignore_index, classes, logits.dtype)
        mask = kept if mask is None else as_tensor(mask if isinstance(mask, Tensor) else _as(mask, logits)) * kept
    losses = _cross_entropy(logits, target, mask, "none")
    counts = mask
    if weight is not None:
        weight = as_tensor(weight if isinstance(weight, Tensor) else _as(weight, logits))
        if weight.shape != (classes,):
            raise ShapeError(f"cross_entropy: one weight for each of the {classes} classes, got shape {weight.shape}")
        counts = take(weight.reshape((classes, 1)), target).reshape(losses.shape)
        losses = losses * counts
        counts = counts if mask is None else counts * as_tensor(mask)
    if smoothing:
        spread = -log_softmax(logits)
        spread = mean(spread if weight is None else spread * weight, axis=-1)
        spread = spread if mask is None else where(as_tensor(mask), spread, 0.0)
        losses = (1 - smoothing) * losses + smoothing * spread
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        raise TinyseqError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
    return sum(losses) if reduction == "sum" else mean(losses) if counts is None else sum(losses) / sum(counts)


def _as(values: Any, like: Tensor) -> np.ndarray:
    return plain(values, "cross_entropy: an argument").astype(like.dtype)


def _without(target: Any, ignored: Any, classes: int, dtype: Any) -> tuple[Any, Tensor]:
    """Targets with a class in the rows that are ignored, and 1 for the others, 0 for these."""
    if isinstance(ignored, bool) or not isinstance(ignored, (int, np.integer)):
        raise TinyseqError(f"ignore_index is a whole number, got {ignored!r}")
    if not isinstance(target, Tensor):
        given = np.asarray(target)
        kept = given != ignored
        return np.where(kept, given, 0), as_tensor(kept.astype(dtype))
    if not 0 <= ignored < classes:
        raise DataError(
            f"ignore_index={ignored} is no class, and inside ts.compile targets are looked up among the {classes} "
            "classes: give the loss mask=(y != ignored) and np.where(y == ignored, 0, y), as arrays"
        )
    table = np.ones((classes, 1), dtype)
    table[ignored] = 0
    return target, take(table, target).reshape(target.shape)


@strict
def layer_norm(x: Any, gain: Any, bias: Any, epsilon: float = 1e-5, *extra: Never, **other: Never) -> Tensor:
    """gain ⊙ (x − μ)/√(σ² + ε) + bias over the last axis (Ba et al. 2016), as a composition of ops."""
    if extra or other:
        raise wrong_call(layer_norm, (x, gain, bias, epsilon, *extra), other)
    key = ("layer_norm", epsilon)
    return nary(key, lambda x, gain, bias: _layer_norm(x, gain, bias, epsilon), (x, gain, bias), _getframe(1))


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
