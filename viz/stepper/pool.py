"""The numbers of a page: every array once, in flat pools of float32 and float64, within a budget of bytes.

Bytes, not decimals, are put on the page: NaN, infinities and the last bit survive. What does not fit is sampled: an
array of n > cap numbers keeps those at ⌊j n / cap⌋, j = 0 … cap − 1.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np

CAPS = (1024, 256, 64, 32, 16, 8, 4, 2, 1)


class Pool:
    """Arrays by handle; equal ones share a handle."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._known: dict[tuple[str, bytes], int] = {}

    def put(self, array: np.ndarray | None) -> int:
        """The handle of an array (integers are kept as float64), -1 for None."""
        if array is None:
            return -1
        flat = np.ascontiguousarray(array).reshape(-1)
        if flat.dtype not in (np.float32, np.float64):
            flat = flat.astype(np.float64)
        key = (flat.dtype.str, flat.tobytes())
        handle = self._known.get(key)
        if handle is None:
            handle = self._known[key] = len(self.arrays)
            self.arrays.append(flat)
        return handle

    def cap(self, budget: int) -> int:
        """The most numbers of one array that can be kept within the budget, 0 if all of all."""
        sizes = np.array([a.size for a in self.arrays], np.int64)
        width = np.array([a.itemsize for a in self.arrays], np.int64)
        if 4 * int((sizes * width).sum()) <= 3 * budget:
            return 0
        return next((c for c in CAPS if 4 * int((np.minimum(sizes, c) * width).sum()) <= 3 * budget), CAPS[-1])

    def pack(self, cap: int) -> dict[str, Any]:
        """The pools as base64, and where each array is in them."""
        pools: dict[str, list[np.ndarray]] = {"<f4": [], "<f8": []}
        length = {"<f4": 0, "<f8": 0}
        offsets, wide = [], []
        for array in self.arrays:
            kept = array if not cap or array.size <= cap else array[sampled(array.size, cap)]
            kind = "<f8" if array.dtype == np.float64 else "<f4"
            offsets.append(length[kind])
            wide.append(kind == "<f8")
            pools[kind].append(kept)
            length[kind] += kept.size
        return {
            "cap": cap,
            "f4": binary(np.concatenate([np.zeros(0, "<f4"), *pools["<f4"]]), "<f4"),
            "f8": binary(np.concatenate([np.zeros(0, "<f8"), *pools["<f8"]]), "<f8"),
            "offset": binary(np.array(offsets), "<i4"),
            "size": binary(np.array([a.size for a in self.arrays]), "<i4"),
            "wide": binary(np.array(wide), "<i1"),
        }


def sampled(size: int, cap: int) -> np.ndarray:
    """Places of the numbers that are kept of an array."""
    return np.arange(size) if size <= cap else np.arange(cap) * size // cap


def binary(array: Any, dtype: str) -> str:
    """An array as base64 of little-endian numbers."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def script_json(thing: Any) -> str:
    """JSON that can stand inside a <script> element whatever its strings hold; NaN and infinities as strings."""
    text = json.dumps(_finite(thing), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _finite(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {str(key): _finite(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_finite(value) for value in thing]
    if isinstance(thing, np.generic):
        thing = thing.item()
    if isinstance(thing, float) and not math.isfinite(thing):
        return "NaN" if math.isnan(thing) else "Infinity" if thing > 0 else "-Infinity"
    return thing
