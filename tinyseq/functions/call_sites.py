"""Calls that come again: a function called from the same place, on operands of the same forms, records the same nodes.

The first such call goes the long way, through every check. What it appended to the tape's stream is then kept as a
*site*, a function of the tape and the operands' indices that appends the same again, n being the next node's index,

    x @ W + b   (i, j) → matmul, i, j   then   (i, j) → expand, j, add, i, n   and a tensor for node n + 1

and later calls call it. A place is an instruction of the user's code, so the source line is right by construction,
and sites are kept apart by cell and by fold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from sys import _getframe
from typing import Any

import numpy as np

from tinyseq.functions.transposed import Transposed
from tinyseq.tape import INPUT, INT64, PARAMETER, Form, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.tensor.source_lines import internal, is_internal

internal(__file__)

Site = Callable[..., Tensor]
LONGEST = 40  # numbers in the stream: what records more is left to the long way
Number = (int, float, np.integer, np.floating)


def unary(key: str, long: Callable[[Any], Tensor], doc: str) -> Callable[[Any], Tensor]:
    """A function of a tensor that does ``long``, or what that did last time from the same place."""

    def function(x: Any) -> Tensor:
        if type(x) is not Tensor:
            return long(x)
        frame = _getframe(1)
        tape = x.tape
        place = (key, id(frame.f_code), frame.f_lasti, x.form)
        site = tape.sites.get(place)
        if site is not None:
            return site(tape, x.index)
        return record_first(place, frame, tape, (x.index,), long, (x,))

    return named(function, key, doc)


def binary(
    key: str, long: Callable[[Any, Any], Tensor], doc: str, names: tuple[str, str] = ("a", "b")
) -> Callable[[Any, Any], Tensor]:
    """The same for a function of two operands, of which one may be a number; ``names`` are theirs."""

    def function(a: Any, b: Any) -> Tensor:
        if type(a) is not Tensor:
            return replay(key, long, a, b, _getframe(1))
        tape = a.tape
        right: Any
        if type(b) is Tensor:
            right, j = b.form, b.index
        elif type(b) is Parameter:
            leaf = tape.leaves.get(b)
            if leaf is None:
                return long(a, b)
            right, j = leaf.form, leaf.index
        elif type(b) is float or type(b) is int:
            right, j = b, -1
        else:
            return replay(key, long, a, b, _getframe(1))
        frame = _getframe(1)
        place = (key, id(frame.f_code), frame.f_lasti, a.form, right)
        site = tape.sites.get(place)
        if site is not None:
            return site(tape, a.index, j)
        return record_first(place, frame, tape, (a.index, j), long, (a, b))

    function.__code__ = function.__code__.replace(co_varnames=(*names, *function.__code__.co_varnames[2:]))
    function.__annotations__ = {**dict.fromkeys(names, "Any"), "return": "Tensor"}
    return named(function, key, doc)


def named(function: Any, name: str, doc: str) -> Any:
    """The function with its name, for readers and in tracebacks, and its documentation."""
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)
    function.__name__ = function.__qualname__ = name
    function.__module__, function.__doc__ = sys._getframe(2).f_globals["__name__"], doc
    return function


def replay(key: str, long: Callable[[Any, Any], Tensor], a: Any, b: Any, frame: Any) -> Tensor:
    """``long(a, b)``, or what it recorded last time from this place, whatever the operands are."""
    if type(a) is Tensor:
        tape = a.tape
    elif type(b) is Tensor:
        tape = b.tape
    else:
        return long(a, b)
    left, i = _operand(tape, a, key)
    right, j = _operand(tape, b, key)
    if left is None or right is None:
        return long(a, b)
    place = (key, id(frame.f_code), frame.f_lasti, left, right)
    site = tape.sites.get(place)
    if site is not None:
        return site(tape, i, j)
    return record_first(place, frame, tape, (i, j), long, (a, b))


def _operand(tape: Tape, x: Any, key: str) -> tuple[Any, int]:
    """What a place says of an operand, and the operand's node; None where it has to go the long way."""
    if type(x) is Tensor:
        return x.form, x.index
    if type(x) is float or type(x) is int:
        return x, -1
    if type(x) is Parameter:
        leaf = tape.leaves.get(x)
        return (None, -1) if leaf is None else (leaf.form, leaf.index)
    if type(x) is Transposed and key == "matmul":
        return x.form, x.original.index
    if isinstance(x, Number):
        return float(x), -1
    return None, -1


def nary(key: tuple, long: Callable[..., Tensor], operands: Any, frame: Any) -> Tensor:
    """``long(*operands)``, or what it recorded last time from this place; ``key`` tells one function from another."""
    tape = None
    forms, indices = [], []
    for x in operands:
        if type(x) is Tensor:
            tape = x.tape
            forms.append(x.form)
            indices.append(x.index)
    if tape is None:
        return long(*operands)
    if len(forms) < len(operands):
        forms, indices = [], []
        for x in operands:
            known = x if type(x) is Tensor else tape.leaves.get(x) if type(x) is Parameter else None
            if known is None:
                return long(*operands)
            forms.append(known.form)
            indices.append(known.index)
    place = (*key, id(frame.f_code), frame.f_lasti, *forms)
    site = tape.sites.get(place)
    if site is not None:
        return site(tape, *indices)
    return record_first(place, frame, tape, tuple(indices), long, operands)


def record_first(
    place: tuple, frame: Any, tape: Tape, indices: tuple[int, ...], long: Callable[..., Tensor], operands: Any
) -> Tensor:
    """Go the long way, and keep what it recorded if that depends on nothing but the place."""
    if is_internal(frame) or any(x != x or x == 0 for x in operands if isinstance(x, Number)):
        return long(*operands)  # numbers are told apart by ==, and 0.0 == -0.0
    tape.places.codes[id(frame.f_code)] = frame.f_code
    n, written, args, named = tape.n, len(tape.stream), len(tape.args), len(tape.renamed)
    made = long(*operands)
    stream = tape.stream[written:]
    if (
        type(made) is Tensor
        and made.index == tape.n - 1
        and made.form.dtype_code != INT64
        and 0 < len(stream) <= LONGEST
        and (len(tape.args), len(tape.renamed)) == (args, named)
        and sum(code < 0 for code in stream) == tape.n - n  # else the tape was flushed meanwhile
    ):
        site = _site(tape, stream, indices, n, made.form)
        if site is not None:
            tape.sites[place] = site
    return made


def _site(tape: Tape, stream: list[int], indices: tuple[int, ...], n: int, form: Form) -> Site | None:
    """The stream as a function of the operands' indices and of the next node's; None where it is not."""
    names = "ijklmopq"[: len(indices)]
    if len(indices) > len(names):
        return None
    known = [i for i in indices if i >= 0]
    words: list[str] = []
    constants: list[int] = []
    if len(set(known)) < len(known):  # one tensor twice: which is which is clear only where each is read in its turn
        if len(stream) != 1 + len(indices) or tuple(stream[1:]) != indices:
            return None
        words, constants = ["c0", *names], stream[:1]
    else:
        for number in stream:
            if number < 0:
                kind = tape.places.sorts[~number][0]
                if tape.places.kinds.kinds[kind].op in (INPUT, PARAMETER):
                    return None  # a leaf is bound to an array, or stands for a parameter, once
                words.append(f"c{len(constants)}")
                constants.append(number)
            elif number >= n:
                words.append(f"n + {number - n}" if number > n else "n")
            elif number in known:
                words.append(names[indices.index(number)])
            else:
                return None
    return _written(tuple(words), names, len(constants))(form, Tensor, *constants)


@cache
def _written(words: tuple[str, ...], names: str, nodes: int) -> Callable[..., Site]:
    """What makes sites of one pattern; sorts and form are a site's own, so that few texts are compiled."""
    text = f"""
def of(form, Tensor, {", ".join(f"c{k}" for k in range(nodes))}):
    def site(tape, {", ".join(names)}):
        n = tape.n
        tape.n = n + {nodes}
        tape.stream += ({", ".join(words)},)
        made = Tensor()
        made.tape = tape
        made.index = n + {nodes - 1}
        made.form = form
        return made
    return site
"""
    space: dict[str, Any] = {}
    exec(text, space)
    return space["of"]


def replay_row(x: Tensor, t: int, frame: Any, long: Callable[[Any, int], Tensor]) -> Tensor:
    """x[t] along the first axis, recorded again."""
    tape, given = x.tape, x.form
    place = ("pick", id(frame.f_code), frame.f_lasti, given)
    site = tape.sites.get(place)
    if site is None:
        made = long(x, t)
        if not is_internal(frame):
            places = tape.places
            places.codes[id(frame.f_code)] = frame.f_code
            kind, rows, _ = places.sorts[~tape.stream[-2]]
            tape.sites[place] = (places.sort(kind, rows, True), made.form, given.shape[0])
        return made
    sort, form, length = site
    if not -length <= t < length:
        return long(x, t)
    n = tape.n
    tape.n = n + 1
    tape.stream += (sort, x.index)
    tape.args.append(t if t >= 0 else t + length)
    if form.dtype_code == INT64:
        known = tape.origin.get(x.index)
        if known is not None:
            tape.origin[n] = known
    made = Tensor()
    made.tape, made.index, made.form = tape, n, form
    return made
