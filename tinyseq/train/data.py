"""Whether the data a training step was given are numbers at all: the first thing to ask where the loss is not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

AXES = {1: ("row",), 2: ("row", "column"), 3: ("time step", "sequence", "feature")}


def unfit(function: Any, arguments: tuple) -> str:
    """What is wrong with the first array among the arguments that holds NaN or infinity; "" where none does."""
    for name, array in _named(function, arguments):
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        bad = ~np.isfinite(array)
        first = tuple(int(n) for n in np.argwhere(bad)[0])
        axes = AXES.get(array.ndim, tuple(f"axis {k}" for k in range(array.ndim)))
        place = ", ".join(f"{axis} {n}" for axis, n in zip(axes, first, strict=True))
        where = f"{name}[{', '.join(map(str, first))}] is {array[first]}" + (f" ({place})" if place else "")
        return (
            f"The data are not finite: {where}; {int(bad.sum()):,} of the {array.size:,} numbers of {name} "
            f"{array.shape} are so. Mend the data, or leave these rows out: no rate and no clipping helps.\n"
            f"To find them all: np.argwhere(~np.isfinite({name}))"
        )
    return ""


def _named(function: Any, arguments: tuple) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays among the arguments, those in lists, tuples and dicts too, as the function calls them."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    for i, argument in enumerate(arguments):
        yield from _arrays(names[i] if i < len(names) else f"argument {i + 1}", argument)


def _arrays(name: str, thing: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(thing, np.ndarray):
        yield name, thing
    elif isinstance(thing, dict):
        for key, part in thing.items():
            yield from _arrays(f"{name}[{key!r}]", part)
    elif isinstance(thing, (list, tuple)):
        for i, part in enumerate(thing):
            yield from _arrays(f"{name}[{i}]", part)
