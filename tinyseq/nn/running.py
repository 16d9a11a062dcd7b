"""Models run without a tape in sight: over arrays, over data in batches, to predict and to measure."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.data.batch import Batch
from tinyseq.data.batches import Batches
from tinyseq.data.metrics import Classified, Measured, of_nats
from tinyseq.data.sequences import Sequences
from tinyseq.data.trees import Trees
from tinyseq.engine.limits import LIMITS
from tinyseq.errors import CallError, DataError, ShapeError
from tinyseq.nn.packing import Packed, pack, unpack
from tinyseq.tape import Tape
from tinyseq.tasks.text import Corpus
from tinyseq.tensor.nesting import flatten, rebuild

Arguments = tuple[tuple[Any, ...], Any, dict[str, Any]]  # inputs, targets, options of a loss


def applied(model: Any, given: tuple, options: dict[str, Any]) -> Any:
    """What a model gives for arrays, as arrays; for sequences of unequal lengths a list of them. Floats are taken in
    the dtype of the model."""
    dtype = getattr(model, "dtype", None)
    cast = given if dtype is None else [_cast_all(part, dtype) for part in given]
    with Tape():
        result = model.run(*cast, **options)
        values = [leaf.value for leaf in flatten(result)]
    lengths = _lengths(given, options)
    if lengths is not None and model.each_step:
        return rebuild(result, [unpack(value, lengths) for value in values])
    return rebuild(result, values)


def _cast_all(x: Any, dtype: Any) -> Any:
    """Floats in the dtype of the model, in lists too."""
    if type(x) in (list, tuple):
        return type(x)(_cast_all(part, dtype) for part in x)
    return _cast(x, dtype)


def _lengths(given: tuple, options: dict[str, Any]) -> Any:
    """Lengths of the sequences given, where they are given as such."""
    x = given[0] if given else options.get("x")
    if isinstance(x, Packed):
        return x.lengths
    if isinstance(x, (list, tuple)):
        return [len(a) for a in x]
    return options.get("lengths", given[1] if len(given) > 1 else None)


def predicted(model: Any, x: Any, more: tuple, options: dict[str, Any]) -> Any:
    """Predictions for arrays in the form of the outputs; for data a list, or an array, in their order."""
    if not isinstance(x, (Sequences, Trees)):
        found = applied(model, (x, *more), options)
        return [model.decide(o) for o in found] if isinstance(found, list) else model.decide(found)
    fits(model, x)
    rows: list[Any] = [None] * len(x)
    batches = Batches(x, 64, None)
    with LIMITS.at_least(len(batches) + 8):
        for batch in batches:
            inputs, _, given = arguments(batch, model)
            given.pop("counts", None)
            outputs = model.decide(model.compiled_outputs(inputs, given))
            for row, prediction in zip(batch.rows.tolist(), _apart(outputs, batch, model), strict=True):
                rows[row] = prediction
    return rows if model.each_step else np.stack(rows)


def _apart(outputs: np.ndarray, batch: Batch, model: Any) -> list[np.ndarray]:
    """One prediction for each sequence or tree of a batch."""
    if not model.each_step:
        return list(outputs)
    return unpack(outputs, [len(a) for a in batch.x]) if isinstance(batch.x, list) else list(outputs.swapaxes(0, 1))


def arguments(batch: Batch, model: Any) -> Arguments:
    """What a model's loss takes of a batch: unequal lengths are packed; classes −1 become 0 that do not count."""
    if isinstance(batch.x, tuple):
        inputs: tuple = batch.x
    elif batch.y is None and isinstance(batch.x, list) and hasattr(model, "pack"):
        inputs = (model.pack(batch.x),)
    else:
        inputs = (pack(batch.x) if isinstance(batch.x, list) else batch.x,)
    options: dict[str, Any] = {}
    dtype = getattr(model, "dtype", np.float32)
    if batch.masks is not None:
        masks = pack(batch.masks) if isinstance(batch.masks, list) else batch.masks
        options["mask"] = _cast(masks, dtype)
    y = batch.y
    if isinstance(y, list):
        y = model.pack(y) if hasattr(model, "pack") else pack(y)
    if batch.gaps:
        rows = y.rows if isinstance(y, Packed) else y
        counts, classes = (rows >= 0).astype(dtype), np.maximum(rows, 0)
        options["counts"] = Packed((counts, y.lengths)) if isinstance(y, Packed) else counts
        y = Packed((classes, y.lengths)) if isinstance(y, Packed) else classes
    return tuple(_cast(part, dtype) for part in inputs), _cast(y, dtype), options


def _cast(x: Any, dtype: Any) -> Any:
    """Floats in the dtype of the model."""
    if isinstance(x, Packed):
        return Packed((_cast(x.rows, dtype), x.lengths))
    return x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.dtype != dtype else x


def units(batch: Batch, model: Any) -> int:
    """What a loss is summed over: steps or nodes with a target, where each has one; else sequences or trees."""
    y = batch.y
    if y is None or isinstance(batch.x, tuple):
        return int((y >= 0).sum()) if batch.gaps else batch.count
    if batch.gaps:
        return int(sum((a >= 0).sum() for a in y))
    if not model.each_step:
        return batch.count
    return sum(len(a) for a in y) if isinstance(y, list) else int(y.shape[0] * y.shape[1])


def weight(batch: Batch, model: Any) -> float:
    """What the mean loss of a batch counts as beside that of others: its units, or the weights of their classes."""
    by_class = getattr(model, "class_weights", None)
    if by_class is None or model.each_step or batch.y is None or batch.y.dtype.kind != "i":
        return units(batch, model)
    return float(by_class.value[batch.y].sum(dtype=np.float64))


def as_data(data: Any, dtype: Any = np.float32) -> Any:
    """Data as they come: ``Sequences``, ``Trees``, or a pair (x, y) of arrays or lists."""
    if isinstance(data, (Sequences, Trees)):
        return data
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return Sequences.of(data[0], data[1], dtype=dtype)
    raise DataError(
        f"data are ts.data.Sequences, ts.data.Trees, or a pair (x, y); got {type(data).__name__}: read a file with "
        "ts.data.csv('file.csv'), ts.data.treebank('file.txt') …"
    )


def fits(model: Any, data: Any) -> None:
    """Check that data have the features that a model reads. Raises ShapeError that names them."""
    wanted = getattr(model, "input_size", None)
    if wanted is None or data.input_size == wanted or (data.tokens and data.input_size < wanted):
        return
    what = "different tokens" if data.tokens else "features"
    named = getattr(data, "features", ())
    names = f" ({', '.join(map(str, named[:12]))})" if named else ""
    raise ShapeError(f"the model reads {wanted} {what}, {data.name} has {data.input_size}{names}")


def evaluated(model: Any, data: Any, batch: int = 64) -> dict[str, float]:
    """Loss and metrics of a model on data."""
    if isinstance(data, Corpus):
        from_text = getattr(model, "text_nats", None)
        if from_text is None:
            raise CallError(f"a {type(model).__name__} reads no text: nn.LSTM(V, H, V, rng=rng) does")
        return of_nats(from_text(data.held_out, data.train))
    data = as_data(data, getattr(model, "dtype", np.float32))
    fits(model, data)
    if data.y is None:
        raise DataError(f"{data.name} has no targets to measure a prediction by; model.predict(data) needs none")
    _classes_known(model, data)
    total, count, found = 0.0, 0.0, _metrics(data, model)
    batches = Batches(data, batch, None)
    with LIMITS.at_least(len(batches) + 8):
        for part in batches:
            inputs, y, options = arguments(part, model)
            loss, outputs = model.compiled_measure(inputs, y, options)
            total, count = total + float(loss) * part.count, count + weight(part, model)
            if found is not None and isinstance(outputs, np.ndarray) and outputs.ndim:
                _add(found, part, outputs, model)
    if not count:
        raise DataError(f"nothing to measure: {data.name} has no target that counts")
    loss = total / count
    if found is None:
        written = zip(model.predict(data), data.y, strict=True)
        return {"loss": loss, "exact_match": float(np.mean([np.array_equal(a, b) for a, b in written]))}
    return {**(of_nats(loss) if isinstance(found, Classified) else {"loss": loss}), **found.result()}


def _classes_known(model: Any, data: Any) -> None:
    """Raises DataError naming a target that is no class of the model."""
    wanted = getattr(model, "output_size", None)
    if wanted is None or not data.classified or getattr(data, "paired", False):
        return
    for i, y in enumerate(data.y):
        if np.size(y) and np.max(y) >= wanted:
            raise DataError(
                f"the target of {data.name}, number {i}, is class {np.max(y)}; the model tells {wanted} apart, 0 to "
                f"{wanted - 1}"
            )


def _metrics(data: Any, model: Any) -> Any:
    if getattr(data, "paired", False):
        return None
    if not data.classified:
        return Measured()
    return Classified(max(data.output_size, getattr(model, "output_size", 0)))  # data may lack the model's last classes


def _add(found: Classified | Measured, part: Batch, outputs: np.ndarray, model: Any) -> None:
    """Add outputs and targets of a batch to the metrics."""
    y, of = part.y, None
    if isinstance(part.x, tuple):
        forest = part.x[0]
        of = forest.tree_of if part.gaps else None
    elif model.each_step:
        lengths = [len(a) for a in y] if isinstance(y, list) else [y.shape[0]] * part.count
        of = np.repeat(np.arange(part.count), lengths)
        outputs = np.concatenate(_apart(outputs, part, model))
        y = np.concatenate(list(y) if isinstance(y, list) else list(y.swapaxes(0, 1)))
    if isinstance(found, Measured):
        found.add(outputs, y)
        return
    classes = outputs.argmax(axis=-1)
    found.add(classes, y, of)
    if of is not None and isinstance(part.x, tuple):
        roots = part.x[0].roots
        found.add_roots(classes[roots], y[roots])
