"""Labelled sequences: what a net is trained on, with the names that its files gave to features and classes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinyseq.checks import generator, plain
from tinyseq.data.batch import Batch, together
from tinyseq.data.inputs import Inputs, chosen_groups
from tinyseq.data.sequence_arrays import arrays_of, targets_of, with_names
from tinyseq.errors import DataError
from tinyseq.habits import advised


@dataclass(frozen=True)
class Sequences(Inputs):
    """N sequences of any lengths, and what is to be said of them.

    x           one array for each: (length, F) of floats, or (length,) of tokens
    y           None; (N,) class numbers; (N, K) floats; or one array for each sequence with a row for each step:
                (length,) class numbers or (length, K) floats
    classes     names of the classes, in the order of their numbers
    features    names of the F features
    vocabulary  what the tokens stand for
    groups      (N,) which sequences belong together, so that no split parts them
    times       (N,) when each was, for splits by time
    masks       one array (length,) for each: 1 where there is something to read, 0 where the state is held; or None
    paired      whether y has a sequence of tokens for each x, of a length of its own
    about       how it was read, as JSON holds it: what another file is read by

    ``Sequences.of(x, y)`` checks arrays and makes lists of them.
    """

    x: list[np.ndarray]
    y: Any = None
    name: str = "data"
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    masks: list[np.ndarray] | None = None
    paired: bool = False
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, x: Any, y: Any = None, name: str = "data", dtype: Any = np.float32, **more: Any) -> Sequences:
        """From a list of arrays (length, F) or tokens (length,), or from one array (T, B, F) or (T, B), time first.

        ``y``: one class number or row of reals for each sequence; or for each step, in the form of x. Raises DataError
        that names the sequence.
        """
        together = isinstance(x, np.ndarray)
        apart = arrays_of(x, "x", dtype)
        if not apart:
            raise DataError("there are no sequences: x is empty")
        first = apart[0]
        for i, a in enumerate(apart):
            if a.ndim not in (1, 2) or a.shape[1:] != first.shape[1:] or (a.dtype.kind == "f") != (a.ndim == 2):
                raise DataError(
                    f"sequence {i} of x is {a.dtype} {a.shape}; expected (length, F) of floats with the features of "
                    f"sequence 0, or (length,) of tokens, integers; sequence 0 is {first.dtype} {first.shape}"
                    + (
                        "; features that are whole numbers: x.astype('float32')"
                        if a.ndim == 2 and a.dtype.kind != "f"
                        else ""
                    )
                )
            if a.ndim == 1 and a.size and a.min() < 0:
                step = int(np.argmax(a < 0))
                raise DataError(f"sequence {i} of x holds {a[step]} at step {step}: tokens are whole numbers from 0")
            if a.dtype.kind == "f" and not np.isfinite(a).all():
                step, feature = (int(n) for n in np.argwhere(~np.isfinite(a))[0])
                raise DataError(
                    f"sequence {i} of x holds {a[step, feature]} at step {step}, feature {feature}: leave it out, or "
                    "mask the step, masks=[…] with 0 there and a number in its place"
                )
        return cls(apart, targets_of(y, apart, together, dtype), name, **with_names(more, first))

    @classmethod
    def pairs(cls, x: Any, y: Any, name: str = "pairs", dtype: Any = np.float32, **more: Any) -> Sequences:
        """Sequences x, each with a sequence of tokens y of any length: what an encoder–decoder net is trained on."""
        made = cls.of(x, None, name, dtype, **more)
        rows = [plain(a, f"target sequence {i}") for i, a in enumerate(y)]
        if len(rows) != len(made):
            raise DataError(f"{len(made)} sequences have {len(rows)} target sequences: one for each")
        for i, a in enumerate(rows):
            if a.ndim != 1 or (a.size and (a.dtype.kind not in "iu" or a.min() < 0)):
                raise DataError(
                    f"target sequence {i} is {a.dtype} {a.shape}; expected tokens (length,), integers from 0"
                )
        return replace(made, y=[a.astype(np.int64) for a in rows], paired=True)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        lengths = self.lengths
        span = str(lengths.min()) if lengths.min() == lengths.max() else f"{lengths.min()} to {lengths.max()}"
        read = _many(self.input_size, "different token" if self.tokens else "feature")
        return f"{self.name}: {_many(len(self), 'sequence')} of {span} steps, {read}; {self.said}"

    @property
    def lengths(self) -> np.ndarray:
        """(N,) steps of each sequence."""
        return np.array([len(a) for a in self.x], np.int64)

    @property
    def each_step(self) -> bool:
        """Whether there is a target for each step."""
        return isinstance(self.y, list) and not self.paired

    @property
    def gaps(self) -> bool:
        """Whether some steps have no class, −1."""
        return self.classified and self.each_step and any((a < 0).any() for a in self.y)

    @property
    def classified(self) -> bool:
        """Whether the targets are classes."""
        return self.y is not None and (self.y[0] if isinstance(self.y, list) else self.y).dtype.kind == "i"

    @property
    def output_size(self) -> int:
        """Classes, or numbers to predict."""
        if self.y is None:
            raise DataError(f"{self.name} has no targets")
        if self.classified:
            known = (int(a.max()) for a in (self.y if isinstance(self.y, list) else [self.y]) if a.size)
            return len(self.classes) or 1 + max(known, default=0)
        return int((self.y[0] if self.each_step else self.y).shape[-1])

    @property
    def said(self) -> str:
        """What is to be said of them, in words."""
        if self.y is None:
            return "no targets"
        if self.paired:
            return f"a sequence of {self.output_size} different tokens for each"
        what = f"one of {self.output_size} classes" if self.classified else _many(self.output_size, "real")
        return f"{what} for each {'step' if self.each_step else 'sequence'}"

    @property
    def digest(self) -> str:
        """A fingerprint: equal for the same sequences and targets in the same order."""
        total = hashlib.blake2b(digest_size=16)
        targets = [] if self.y is None else self.y if isinstance(self.y, list) else [self.y]
        for part in (*self.x, *targets, *(self.masks or ())):
            total.update(f"{part.dtype.str} {part.shape}".encode())
            total.update(np.ascontiguousarray(part).tobytes())
        return total.hexdigest()

    def __getitem__(self, rows: Any) -> Sequences:
        """Some of the sequences: data[:10], data[numbers], data[mask]."""
        numbers = np.arange(len(self))[rows]
        if numbers.ndim != 1:
            numbers = numbers.reshape(-1)
        if not len(numbers):
            raise DataError(f"none of the {len(self)} sequences of {self.name} is left")

        def some(column: Any) -> Any:
            if isinstance(column, list):
                return [column[int(i)] for i in numbers]
            return None if column is None else column[numbers]

        parts = {name: some(getattr(self, name)) for name in ("x", "y", "groups", "times", "masks")}
        return replace(self, **parts)

    @advised
    def split(
        self, held_out: float = 0.2, *, by: str | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Sequences, Sequences]:
        """(part to train on, part held out): at random, or ``by`` "group", "time" or "order" (the last part).

        What belongs to one group is never parted: where there are groups that is the default, and then time. A split
        at random needs ``rng``.
        """
        if isinstance(held_out, bool) or not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
            raise DataError(f"the held-out part must be above 0 and below 1, got {held_out!r}; a tenth is 0.1")
        several = self.groups is not None and len(np.unique(self.groups)) < len(self.groups)
        by = by or ("group" if several else "time" if self.times is not None else "chance")
        ways: dict[str, Callable[[], np.ndarray]] = {
            "group": lambda: chosen_groups(self.groups, self.name, held_out, rng),
            "time": lambda: self._in_order(held_out, self.times, "times"),
            "order": lambda: self._in_order(held_out, np.arange(len(self)), "order"),
            "chance": lambda: self._by_chance(held_out, rng),
        }
        if by not in ways:
            raise DataError(f"by is {', '.join(map(repr, ways))}, got {by!r}")
        out = ways[by]()
        if not out.any() or out.all():
            raise DataError(
                f"{self.name} has {_many(len(self), 'sequence')}: too few to hold out {held_out:.0%} and train on the "
                "rest" + self._advice()
            )
        return self[~out], self[out]

    def _advice(self) -> str:
        """What to do with one long sequence."""
        if len(self) > 1 or not self.each_step:
            return ""
        where = f"; all rows have the same {self.about['group']!r}" if self.about.get("group") else ""
        return f"{where}. One series is read in windows: data.windows(24), or without --group in the command"

    def _in_order(self, held_out: float, keys: np.ndarray | None, what: str) -> np.ndarray:
        if keys is None:
            raise DataError(f"{self.name} has no {what} to split by: read it with time='column'")
        ranks = np.argsort(np.argsort(keys, kind="stable"), kind="stable")
        return ranks >= len(self) - max(1, round(held_out * len(self)))

    def _by_chance(self, held_out: float, rng: Any) -> np.ndarray:
        out = np.zeros(len(self), bool)
        out[generator(rng).permutation(len(self))[: max(1, round(held_out * len(self)))]] = True
        return out

    @advised
    def windows(self, length: int, *, horizon: int = 1, stride: int = 1) -> Sequences:
        """Windows of so many steps, one every ``stride``; the target is that of ``horizon`` steps after the last.

        For targets at each step: window x(t−length+1 … t) has the target y(t + horizon); horizon 0 is that of its last
        step. Windows know the time of their target and the sequence they come from.
        """
        for what, size, least in (("length", length, 1), ("horizon", horizon, 0), ("stride", stride, 1)):
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < least:
                raise DataError(f"{what} must be a whole number of at least {least}, got {size!r}")
        if not self.each_step:
            raise DataError(f"windows need a target for each step; {self.name} has {self.said}")
        x, y, times, groups = list[Any](), list[Any](), list[int](), list[int]()
        masks: list[Any] = []
        for i, (a, target) in enumerate(zip(self.x, self.y, strict=True)):
            for end in range(length, len(a) - horizon + 1, stride):
                x.append(a[end - length : end])
                y.append(target[end - 1 + horizon])
                times.append(end - 1 + horizon)
                groups.append(i)
                masks.append(self.masks[i][end - length : end] if self.masks else None)
        if not x:
            longest = int(self.lengths.max())
            raise DataError(
                f"no window of {length} steps and a target {horizon} later fits: the longest sequence of {self.name} "
                f"has {longest} steps; "
                + (
                    f"give a length of at most {longest - horizon}"
                    if longest > horizon
                    else f"give a horizon below {longest}"
                )
            )
        one = len(self) == 1
        return replace(
            self,
            x=x,
            y=np.stack(y) if not self.classified else np.array(y, np.int64),
            times=np.array(times) if one else None,
            groups=None if one else np.array(groups),
            masks=masks if self.masks else None,
            about={**self.about, "windows": {"length": int(length), "horizon": int(horizon), "stride": int(stride)}},
        )

    def batch(self, rows: np.ndarray) -> Batch:
        """The sequences with these numbers, side by side."""
        numbers = rows.tolist()
        y = self.y
        if isinstance(self.y, list):
            y = [self.y[i] for i in numbers]
            y = y if self.paired else together(y)
        elif y is not None:
            y = y[rows]
        masks = together([self.masks[i] for i in numbers]) if self.masks else None
        return Batch(together([self.x[i] for i in numbers]), y, masks, rows, self.gaps)

    def targets(self) -> np.ndarray:
        """All targets as rows: (N, …), or (Σ lengths, …) where each step has one."""
        if self.y is None:
            raise DataError(f"{self.name} has no targets")
        return np.concatenate(self.y) if isinstance(self.y, list) else self.y


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
