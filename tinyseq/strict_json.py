"""JSON as its standard has it: no word NaN or Infinity. Such numbers are written as null, or exactly where both ends
are tinyseq's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

NOT_FINITE = "not finite"  # the key of an object that stands for such a number: {"not finite": "inf"}


def dumps(thing: Any, **options: Any) -> str:
    """JSON text with null for numbers that are not finite; ``options`` are those of ``json.dumps``."""
    return json.dumps(_walked(thing, lambda value: None), allow_nan=False, **options)


def number(value: Any) -> float:
    """A number as ``dumps`` wrote it: NaN for null. Raises TypeError or ValueError where it is none."""
    return math.nan if value is None else float(value)


def dumps_exact(thing: Any) -> str:
    """JSON text that ``loads_exact`` reads back as it was, infinities and NaN too."""
    return json.dumps(_walked(thing, lambda value: {NOT_FINITE: str(value)}), allow_nan=False)


def loads_exact(text: str | bytes) -> Any:
    """What ``dumps_exact`` was given; the words NaN and Infinity of older files are read as well."""
    return json.loads(text, object_hook=_restored)


def _restored(found: dict[str, Any]) -> Any:
    return float(found[NOT_FINITE]) if found.keys() == {NOT_FINITE} else found


def _walked(thing: Any, instead: Callable[[float], Any]) -> Any:
    if isinstance(thing, dict):
        return {key: _walked(value, instead) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_walked(value, instead) for value in thing]
    return instead(thing) if isinstance(thing, float) and not math.isfinite(thing) else thing
