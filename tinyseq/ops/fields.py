"""What each field of an op's record holds, so that a wrong one is told by its name before anything reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tinyseq.ops.op import Map, Op, Saturation

Holds = tuple[Callable[[Any], bool], str]


def _whole(n: Any) -> bool:
    return isinstance(n, int) and not isinstance(n, bool)


def _each(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and all(map(holds, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _maybe(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


def _example(value: Any) -> bool:
    if not isinstance(value, tuple) or len(value) != 3:
        return False
    attrs, shapes, codes = value
    pairs = isinstance(attrs, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in attrs)
    return pairs and _each(_each(_whole))(shapes) and _each(_whole)(codes) and len(shapes) == len(codes)


TEXT: Holds = (_text, "a text")
TEXTS: Holds = (_each(_text), "a tuple of texts, as in ('axis',)")
TRUTH: Holds = (lambda value: isinstance(value, bool), "True or False")
FUNCTION: Holds = (callable, "a function")
FIELDS: dict[str, Holds] = {
    "arity": (lambda value: _whole(value) and value >= -1, "a number of inputs, -1 for any number"),
    **dict.fromkeys(("symbol", "equation", "indices", "view", "leaf", "jacobian", "sign", "words"), TEXT),
    **dict.fromkeys(("shape", "forward", "rows"), FUNCTION),
    **dict.fromkeys(("limit", "written"), (_maybe(callable), "a function, or None")),
    **dict.fromkeys(("joins", "shape_is_given", "arranges", "keeps_integers"), TRUTH),
    **dict.fromkeys(("floats", "drawn"), TEXTS),
    **dict.fromkeys(("slopes", "partials"), (_each(_maybe(_text)), "a tuple of a text or None for each input")),
    "vjp": (
        lambda value: isinstance(value, dict) and all(map(_whole, value)),
        "a dict of rules by input, as in {0: vjp}",
    ),
    "reads": (
        lambda value: isinstance(value, dict) and all(map(_whole, value)) and all(map(_each(_text), value.values())),
        "a dict of roles by input, as in {0: ('x0', 'y')}",
    ),
    "elementwise": (lambda value: value is None or isinstance(value, Map), "Map(forward, vjps), or None"),
    "saturates": (lambda value: value is None or isinstance(value, Saturation), "Saturation(words, flat), or None"),
    "work": (lambda value: _each(_whole)(value) and len(value) == 2, "a pair of numbers, as in (2, 1)"),
    "example": (
        _maybe(_example),
        "(attributes, shapes, dtype codes), as in ((('axis', -1),), ((2, 3),), (0,)), with a code for each shape",
    ),
}


def wrong_fields(op: Op) -> Iterator[str]:
    """The fields that hold something else than they should."""
    for name, (holds, wanted) in FIELDS.items():
        value = getattr(op, name)
        if not holds(value):
            yield f"{name} must be {wanted}, got {value!r}"
    if op.example and len(op.example[1]) != op.arity >= 0:
        yield f"example has {len(op.example[1])} shapes; the op has {op.arity} inputs"
