"""What one call of a kernel touches, as spans of elements and how: footprints made ready for events."""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn

import numpy as np

from tinyseq.engine.validation.footprint_rules import Known
from tinyseq.engine.validation.footprints import footprint
from tinyseq.engine.validation.spans import Spans
from tinyseq.ops.op import Kernel

READ, ADD, SET = 0, 1, 2
Touched = tuple[int, Spans, int, tuple[int, int] | None]


@lru_cache(maxsize=1024)
def spans_of(kernel: Kernel, d: tuple[int, ...], width: int) -> list[Touched]:
    """What a call touches, where it is known without the sizes of storages; LookupError where it is not."""
    return spans_within(kernel, d, Known(width, _unknown))


def spans_within(kernel: Kernel, d: tuple[int, ...], known: Known) -> list[Touched]:
    """(operand, elements, kind, (operand that lists rows, elements of a row) or None) of a call's operands."""
    found, none = footprint(kernel, list(d), known), np.zeros(0, np.int64)
    touched: list[Touched] = []
    for slot, elements in enumerate(found.operands):
        kind = READ if slot else (ADD if found.adds else SET)
        if found.lists is not None and slot == found.lists[0]:
            touched.append((slot, Spans(none, none), kind, found.lists[1:]))
        elif elements is not None and elements.size:
            touched.append((slot, Spans.of(elements), kind, None))
    return touched


@lru_cache(maxsize=1024)
def overwrites_itself(kernel: Kernel, d: tuple[int, ...], width: int) -> bool:
    """Whether rows of one call overwrite each other: they write the same elements and do not add."""
    if d[0] < 2:
        return False
    try:
        found = footprint(kernel, list(d), Known(width, _unknown))
    except LookupError:
        return False
    target = found.operands[0]
    if found.adds or found.lists is not None or target is None or len(target) != d[0] or not target[0].size:
        return False
    if abs(d[1]) > target[0].max() - target[0].min():  # one row behind the other
        return False
    return len(np.unique(target)) < target.size


def _unknown(slot: int) -> NoReturn:
    raise LookupError(slot)
