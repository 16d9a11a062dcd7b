"""Sequences that an echo state network reads: what they must be, one by one where lists of them came, in segments."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from tinyseq.checks import check_plain
from tinyseq.errors import DataError, DtypeError, ShapeError, TinyseqError

LONGEST = 512  # steps of the segments that a long sequence is run in; shorter ones are powers of two


class EchoState(NamedTuple):
    """What goes on from one step to the next: h (B, hidden), and y (B, output), the last output or its teacher."""

    h: np.ndarray
    y: np.ndarray


class Net(Protocol):
    """What is asked of a network: its sizes, its dtype, whether outputs are fed back."""

    input_size: int
    hidden_size: int
    output_size: int
    dtype: Any

    @property
    def feeds_back(self) -> bool:
        """Whether the reservoir reads the last output."""


def checked(net: Net, x: Any, y: Any, state: Any, teacher: bool, target: bool = False) -> tuple[Any, Any, EchoState]:
    """x and y as they are run, and the state to start from."""
    if net.input_size == 0 and x is not None:
        raise ShapeError("this reservoir has no input: give None in place of x")
    x = None if net.input_size == 0 else _sequence(net, "x", x, net.input_size)
    if y is not None and (target or net.feeds_back):
        y = _sequence(net, "y", y, net.output_size)
        if x is not None and x.shape[:2] != y.shape[:2]:
            raise ShapeError(f"x and y go together step by step: x has (T, B) = {x.shape[:2]}, y {y.shape[:2]}")
    elif teacher and net.feeds_back:
        raise TinyseqError("outputs are fed back, so the run needs a teacher: give y too, the true outputs")
    elif target:
        raise TinyseqError("nothing to fit: give y, the targets")
    else:
        y = None
    if x is None and y is None:
        raise TinyseqError("without inputs nothing says how many steps to run: write net.free_run(steps, state)")
    batch = (y if x is None else x).shape[1]
    if state is None:
        return x, y, EchoState(*(np.zeros((batch, n), net.dtype) for n in (net.hidden_size, net.output_size)))
    if not isinstance(state, EchoState) or state.h.shape != (batch, net.hidden_size):
        raise ShapeError(f"a state goes on from a run with B = {batch}, as net.run or net.warm_up return it")
    return x, y, state


def _sequence(net: Net, name: str, a: Any, width: int) -> np.ndarray:
    check_plain(a, name)
    if not isinstance(a, np.ndarray):
        raise TinyseqError(f"{name} is an array (T, B, {width}), got {type(a).__name__}")
    if a.ndim != 3 or a.shape[2] != width or 0 in a.shape:
        hint = f"; one sequence is {name}[:, None] of shape (T, 1, {width})" if a.shape[1:] == (width,) else ""
        raise ShapeError(f"sequences are (T, B, F) with F = {width}, none of them 0; got {name} {a.shape}{hint}")
    if a.dtype != net.dtype:
        raise DtypeError(
            f"{name} is {a.dtype}, the reservoir {net.dtype}: write {name}.astype('{net.dtype}'), or make the "
            f"reservoir with dtype=np.{a.dtype}"
        )
    if not np.isfinite(a).all():
        t = int(np.flatnonzero(~np.isfinite(a).all(axis=(1, 2)))[0])
        raise DataError(f"{name} holds NaN or infinity, first at step {t}: a reservoir would never forget it")
    return a


def listed(x: Any, y: Any) -> bool:
    """Whether sequences came as lists of arrays."""
    return isinstance(y if x is None else x, (list, tuple))


def one_by_one(x: Any, y: Any, state: Any) -> list[tuple[Any, Any, Any]]:
    """(x, y, state) of one sequence after the other, each as a batch of one."""
    count = len(y if x is None else x)
    parts = []
    for name, given in (("x", x), ("y", y), ("state", state)):
        if given is not None and (not isinstance(given, (list, tuple)) or len(given) != count):
            got = f"{len(given)} of them" if isinstance(given, (list, tuple)) else type(given).__name__
            raise ShapeError(f"for a list of {count} sequences x, {name} is a list of as many; got {got}")
        parts.append([None] * count if given is None else given)
    return [(_alone(a), _alone(b), s) for a, b, s in zip(*parts, strict=True)]


def like_given(found: list[np.ndarray], x: Any, y: Any) -> list[np.ndarray]:
    """What was found of each sequence in its own form: (T, F) of one that came so."""
    return [a[:, 0] if one.ndim == 2 else a for a, one in zip(found, y if x is None else x, strict=True)]


def _alone(a: Any) -> Any:
    """One sequence (T, F) as a batch of one."""
    return a[:, None] if isinstance(a, np.ndarray) and a.ndim == 2 else a


def part_of(sequence: np.ndarray | None, part: slice) -> np.ndarray | None:
    return None if sequence is None else sequence[part]


def lengths(steps: int) -> list[int]:
    """Lengths of segments that add up: as many of the longest as fit, then falling powers of two."""
    rest = steps % LONGEST
    return [LONGEST] * (steps // LONGEST) + [1 << k for k in reversed(range(LONGEST.bit_length())) if rest >> k & 1]


def check_washout(washout: int, steps: int) -> None:
    if not isinstance(washout, (int, np.integer)) or washout < 0:
        raise TinyseqError(f"the washout is a whole number of steps, got {washout!r}")
    if washout >= steps:
        raise ShapeError(f"a washout of {washout} leaves nothing of a sequence of {steps} steps: make it shorter")
