"""What a function records as a ``Net`` for other programs: sizes are found by recording at several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.engine.reference import Reference
from tinyseq.errors import CallError
from tinyseq.exchange.net import Net, pruned
from tinyseq.exchange.reading import Reader
from tinyseq.exchange.sizes import Differs, Sizes, merged, probes
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.nesting import flatten
from tinyseq.unfolding.watching import watched

BASES = (13, 3, 5, 4)  # sizes of the first recording; those of the others differ from these and from each other


@dataclass(frozen=True)
class Input:
    """An input of a net for other programs: its name, its axes (numbers, or names of sizes that are free) and dtype.

    Integers are tokens from 0 to ``below`` − 1.
    """

    name: str
    axes: tuple[Any, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise CallError(f"an input is called by a name such as 'x', got {self.name!r}")
        if self.dtype not in ("float32", "float64", "int64"):
            raise CallError(f"an input is float32, float64 or int64, got {self.dtype!r}")
        for axis in self.axes:
            if not (isinstance(axis, str) and axis.isidentifier()) and not (type(axis) is int and axis > 0):
                raise CallError(f"axes are numbers from 1, or names such as 'T' of sizes that are free; got {axis!r}")


def net_of(
    run: Callable[..., Any],
    inputs: Sequence[Input],
    names: dict[int, str],
    fixed: Sizes,
    called: str = "net",
    outputs: Sequence[str] = ("y",),
) -> Net:
    """The net that ``run(*tensors)`` records.

    names   names of parameters by their ids
    fixed   sizes by name that are no longer free
    Raises Differs where the graph depends on a free size other than through unfoldings and shapes.
    """
    known = list(dict.fromkeys(a for one in inputs for a in one.axes if isinstance(a, str)))
    free = [name for name in known if name not in fixed]
    if len(free) > len(BASES):
        raise CallError(f"at most {len(BASES)} sizes are free, got {', '.join(free)}; fix some: sizes={{'T': 20}}")
    at = probes(free, dict(zip(free, BASES, strict=False)))
    recordings = [_recorded(run, inputs, names, {**fixed, **sizes}, called, outputs) for sizes in at]
    try:
        return pruned(merged(recordings, at, _one_array))
    except Differs as error:
        said, *where = error.args
        raise Differs(
            f"the graph of {called} depends on {' and '.join(free)} in a way that no exported net can follow"
            f"{f', at {where[0]}' if where else ''}: {said}. Run time steps by ts.unfold, not by a Python loop; or fix "
            f"the sizes: sizes={{{', '.join(f'{name!r}: {at[0][name]}' for name in free)}}}"
        ) from None


def _recorded(
    run: Callable[..., Any], inputs: Sequence[Input], names: dict[int, str], sizes: Sizes, called: str,
    outputs: Sequence[str],
) -> Net:  # fmt: skip
    with watched() as seen, Tape(Reference) as tape:
        given = {}
        for one in inputs:
            shape = [sizes[axis] if isinstance(axis, str) else axis for axis in one.axes]
            given[one.name] = tensor(np.zeros(shape, one.dtype), one.name)
        made = flatten(run(*given.values()))
        if not made or not all(isinstance(x, Tensor) for x in made):
            raise CallError(f"what is exported returns tensors, {called} returned {type(made[0] if made else None)}")
        labels = list(outputs) if len(outputs) == len(made) else [f"{outputs[0]}{i}" for i in range(len(made))]
        if len(made) == 1:
            labels = [outputs[0]]
        reader = Reader(tape, seen, {x.index: name for name, x in given.items()}, names)
        return reader.read(called, list(zip(labels, [x.index for x in made], strict=True)))


def _one_array(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays that a program makes at several sizes as one: equal, or repeated along the axes that differ."""
    first = parts[0]
    if any(part.ndim != first.ndim or part.dtype != first.dtype for part in parts):
        raise Differs("an array made in it has other axes")
    small = []
    for part in parts:
        for axis in range(first.ndim):
            if any(other.shape[axis] != first.shape[axis] for other in parts):
                one = part.take([0], axis)
                if not np.array_equal(np.broadcast_to(one, part.shape), part, equal_nan=part.dtype.kind == "f"):
                    raise Differs(f"an array made in Python has shapes {first.shape}, {parts[-1].shape} and no rule")
                part = one
        small.append(part)
    if not all(np.array_equal(part, small[0], equal_nan=part.dtype.kind == "f") for part in small):
        raise Differs("an array made in Python holds other numbers")
    return small[0]
