"""Arrays that were given as sequences and targets, as ``Sequences`` keeps them: checked, in one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.checks import plain
from tinyseq.errors import DataError, DtypeError, ShapeError


def arrays_of(x: Any, what: str, dtype: Any) -> list[np.ndarray]:
    """A list of arrays, floats in one dtype."""
    if isinstance(x, np.ndarray):
        if x.ndim < 2 or x.ndim > 3:
            raise ShapeError(f"{what} is (T, B, F), or tokens (T, B), time first; or a list of arrays; got {x.shape}")
        x = list(x.swapaxes(0, 1))
    elif not isinstance(x, (list, tuple)):
        raise DataError(f"{what} is an array (T, B, …) or a list of arrays, got {type(x).__name__}")
    arrays = [plain(a, f"sequence {i} of {what}") for i, a in enumerate(x)]
    for i, a in enumerate(arrays):
        if a.dtype.kind not in "biuf":
            raise DtypeError(f"sequence {i} of {what} holds {a.dtype}, expected integers or floating point")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused where that is
        return [a.astype(dtype if a.dtype.kind == "f" else np.int64) for a in arrays]


def targets_of(y: Any, x: list[np.ndarray], together: bool, dtype: Any) -> Any:
    """Targets as ``Sequences`` keeps them."""
    if y is None:
        return None
    listed = isinstance(y, (list, tuple)) and len(y) > 0 and np.ndim(y[0]) > 0
    if listed or (together and np.ndim(y) > 1 and np.shape(y)[:2] == (len(x[0]), len(x))):
        rows = arrays_of(y if listed else np.asarray(y), "y", dtype)
        if listed and all(a.ndim == 1 and a.dtype.kind == "f" for a in rows) and not _steps_fit(rows, x):
            return targets_of(np.stack(rows), x, together, dtype)
        if len(rows) != len(x):
            raise DataError(f"{len(x)} sequences have {len(rows)} targets: one for each")
        for i, (a, b) in enumerate(zip(rows, x, strict=True)):
            if len(a) != len(b):
                raise DataError(f"sequence {i} has {len(b)} steps and {len(a)} targets: one for each step")
            if len(bad := np.argwhere(~np.isfinite(a)) if a.dtype.kind == "f" else np.argwhere(a < -1)):
                told = "leave the step out" if a.dtype.kind == "f" else "steps without a class have −1"
                raise DataError(f"the target of sequence {i} at step {bad[0][0]} is {a[tuple(bad[0])]}: {told}")
        return [a[:, None] if a.dtype.kind == "f" and a.ndim == 1 else a for a in rows]
    y = plain(y, "y")
    if y.dtype.kind not in "biuf":
        raise DtypeError(f"y holds {y.dtype}; classes are numbers from 0: names, y = np.unique(y, return_inverse=True)")
    with np.errstate(over="ignore"):
        y = y.astype(dtype if y.dtype.kind == "f" else np.int64)
    y = y[:, None] if y.dtype.kind == "f" and y.ndim == 1 else y
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise DataError(f"{len(x)} sequences have targets y {y.shape}: one for each sequence is the first axis")
    bad = np.argwhere(~np.isfinite(y)) if y.dtype.kind == "f" else np.argwhere(y < 0)
    if len(bad):
        raise DataError(f"the target of sequence {bad[0][0]} is {y[tuple(bad[0])]}: leave the sequence out")
    return y


def _steps_fit(y: Sequence[np.ndarray], x: list[np.ndarray]) -> bool:
    return len(y) == len(x) and all(len(a) == len(b) for a, b in zip(y, x, strict=True))


def with_names(more: dict[str, Any], first: np.ndarray) -> dict[str, Any]:
    """Names of features and classes as tuples of text; features are numbered where nobody names them."""
    named = dict(more)
    for name in ("classes", "features", "vocabulary"):
        if name in named:
            named[name] = tuple(map(str, named[name]))
    if first.ndim == 2 and not named.get("features"):
        named["features"] = tuple(f"feature {k}" for k in range(first.shape[1]))
    return named
