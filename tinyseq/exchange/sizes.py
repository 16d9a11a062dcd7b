"""Sizes that are not known yet: T, B and what follows from them, found by recording a net at several sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np

from tinyseq.errors import ShapeError


class Size:
    """A whole number that follows from sizes by name: Σ coefficient · product of names, as in 2·B·T + 1."""

    __slots__ = ("terms",)

    def __init__(self, terms: dict[tuple[str, ...], int]) -> None:
        self.terms = {names: count for names, count in sorted(terms.items()) if count}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(tuple(self.terms.items()))

    def __str__(self) -> str:
        def written(names: tuple[str, ...], count: int) -> str:
            return " * ".join([*([] if abs(count) == 1 and names else [str(abs(count))]), *names])

        found = ""
        for names, count in sorted(self.terms.items(), key=lambda term: (not term[0], term)):
            sign = " - " if count < 0 else " + " if found else ""
            found += (sign if found else sign.strip()) + written(names, count)
        return found or "0"

    __repr__ = __str__


class Value(int):
    """The number of a value in a net: no size, though it is a whole number."""


class Differs(ShapeError):
    """Recordings at different sizes that are no one graph."""


Sizes = dict[str, int]


def probes(names: Sequence[str], bases: Sizes) -> list[Sizes]:
    """Sizes to record at: all corners of a box, and a point outside of it for a check."""
    steps = {name: 2 + i for i, name in enumerate(names)}
    corners = [
        {name: bases[name] + steps[name] * up for name, up in zip(names, ups, strict=True)}
        for ups in product((0, 1), repeat=len(names))
    ]
    return [*corners, {name: bases[name] + 3 * steps[name] + 1 for name in names}] if names else corners


def fitted(values: Sequence[int], at: list[Sizes]) -> Size:
    """The multilinear polynomial of the names that takes these values. Raises Differs where there is none."""
    names = list(at[0])
    corners, bases = at[:-1], at[0]
    known = dict(zip([tuple(c.values()) for c in corners], values, strict=False))
    terms: dict[tuple[str, ...], Fraction] = {}
    for count in range(len(names) + 1):
        for chosen in combinations(names, count):
            slope = Fraction(0)
            for ups in product((0, 1), repeat=count):
                raised = {name: up for name, up in zip(chosen, ups, strict=True) if up}
                corner = next(c for c in corners if all((c[n] != bases[n]) == (n in raised) for n in names))
                slope += (-1) ** (count - sum(ups)) * known[tuple(corner.values())]
            for name in chosen:
                slope /= next(c[name] for c in corners if c[name] != bases[name]) - bases[name]
            for kept in product((0, 1), repeat=count):  # Π (x − base), multiplied out
                factor = slope
                for name, keep in zip(chosen, kept, strict=True):
                    factor *= 1 if keep else -bases[name]
                key = tuple(name for name, keep in zip(chosen, kept, strict=True) if keep)
                terms[key] = terms.get(key, Fraction(0)) + factor
    value = sum(f * Fraction(int(np.prod([at[-1][n] for n in key], dtype=object))) for key, f in terms.items())
    if any(f.denominator != 1 for f in terms.values()) or value != values[-1]:
        raise Differs(f"a whole number in it is {list(values)} for sizes {at}")
    return Size({key: int(f) for key, f in terms.items()})


def merged(parts: Sequence[Any], at: list[Sizes], arrays: Callable[[Sequence[Any]], Any]) -> Any:
    """One structure of recordings at several sizes, in which whole numbers that differ have become ``Size``.

    ``arrays`` merges arrays. Raises Differs where anything else differs; it names the innermost thing that says of
    itself what it is, by ``where``.
    """
    first = parts[0]
    if any(type(part) is not type(first) for part in parts):
        raise Differs(f"it has {type(first).__name__} here, {type(parts[-1]).__name__} there")
    if type(first) is int:
        return first if all(part == first for part in parts) else fitted(parts, at)
    if isinstance(first, np.ndarray):
        return arrays(parts)
    if type(first) in (list, tuple):
        if any(len(part) != len(first) for part in parts):
            raise Differs(f"it has {len(first)} nodes at {at[0]}, {len(parts[-1])} at {at[-1]}")
        return type(first)(merged(each, at, arrays) for each in zip(*parts, strict=True))
    if type(first) is dict:
        if any(part.keys() != first.keys() for part in parts):
            raise Differs("its parts have other names")
        return {key: merged([part[key] for part in parts], at, arrays) for key in first}
    if is_dataclass(first) and not isinstance(first, type):
        try:
            made = {f.name: merged([getattr(p, f.name) for p in parts], at, arrays) for f in fields(first)}
        except Differs as error:
            where = getattr(first, "where", "")
            raise Differs(str(error), where) if where and len(error.args) == 1 else error from None
        return replace(first, **made)
    if any(part != first and not (part != part and first != first) for part in parts):
        raise Differs(f"a number or name in it is {first!r} at {at[0]}, {parts[-1]!r} at {at[-1]}")
    return first
