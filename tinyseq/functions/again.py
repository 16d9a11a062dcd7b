"""Calls that come again: a function called from the same place, on operands of the same forms, records the same nodes.

The first such call goes the long way, through every check. What it appended to the tape's stream is then kept as a
*turn*, a function of the operands' indices and of the index of the next node,

    x @ W + b   (i, j, n) → (matmul, i, j),   then   (i, j, n) → (expand, j, add, i, n)

and later calls append what it gives. A place is an instruction of the user's code, so the source line is right by
construction, and the sites of a tape are kept apart by cell and by fold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from tinyseq.functions.transposed import Transposed
from tinyseq.tape import INT64, Form, Tape
from tinyseq.tensor import Parameter, Tensor, internal, is_internal

internal(__file__)

Turn = Callable[..., tuple[int, ...]]
LONGEST = 40  # numbers in the stream: what records more is left to the long way

_new = object.__new__


def one(key: Any, long: Callable[..., Any], x: Any, frame: Any) -> Any:
    """``long(x)``, or the nodes that it recorded last time from this place; ``key`` says which function it is."""
    if type(x) is not Tensor:
        return long(x)
    tape, form = x.tape, x.form
    place = (key, id(frame.f_code), frame.f_lasti, form)
    site = tape.sites.get(place)
    if site is None:
        return _first(place, frame, tape, (x.index,), long, (x,))
    turn, form, count = site
    n = tape.n
    tape.stream += turn(x.index, n)
    tape.n = n = n + count
    made = _new(Tensor)
    made.tape, made.index, made.form = tape, n - 1, form
    return made


def two(key: Any, long: Callable[..., Any], a: Any, b: Any, frame: Any) -> Any:
    """``long(a, b)``, or the nodes that it recorded last time from this place. One of the two may be a number."""
    left: Any
    right: Any
    if type(a) is Tensor:
        tape, left, i = a.tape, a.form, a.index
        if type(b) is Tensor:
            right, j = b.form, b.index
        elif type(b) is Parameter:
            leaf = tape.leaves.get(b)
            if leaf is None:
                return long(a, b)
            right, j = leaf.form, leaf.index
        elif type(b) is float or type(b) is int:
            right, j = b, -1
        elif type(b) is Transposed and key == "matmul":
            right, j = b.form, b.original.index
        else:
            return long(a, b)
    elif type(b) is Tensor:
        tape, right, j = b.tape, b.form, b.index
        if type(a) is Parameter:
            leaf = tape.leaves.get(a)
            if leaf is None:
                return long(a, b)
            left, i = leaf.form, leaf.index
        elif type(a) is float or type(a) is int:
            left, i = a, -1
        else:
            return long(a, b)
    else:
        return long(a, b)
    place = (key, id(frame.f_code), frame.f_lasti, left, right)
    site = tape.sites.get(place)
    if site is None:
        return _first(place, frame, tape, (i, j), long, (a, b))
    turn, form, count = site
    n = tape.n
    tape.stream += turn(i, j, n)
    tape.n = n = n + count
    made = _new(Tensor)
    made.tape, made.index, made.form = tape, n - 1, form
    return made


def many(key: Any, long: Callable[..., Any], operands: tuple, frame: Any) -> Any:
    """``long(*operands)``, or the nodes that it recorded last time from this place."""
    tape = next((x.tape for x in operands if type(x) is Tensor), None)
    if tape is None:
        return long(*operands)
    places: Any = [x if type(x) is Tensor else tape.leaves.get(x) if type(x) is Parameter else None for x in operands]
    if None in places:
        return long(*operands)
    place = (key, id(frame.f_code), frame.f_lasti, *[x.form for x in places])
    indices = tuple([x.index for x in places])
    site = tape.sites.get(place)
    if site is None:
        return _first(place, frame, tape, indices, long, operands)
    turn, form, count = site
    n = tape.n
    tape.stream += turn(*indices, n)
    tape.n = n = n + count
    made = _new(Tensor)
    made.tape, made.index, made.form = tape, n - 1, form
    return made


def _first(
    place: tuple, frame: Any, tape: Tape, indices: tuple[int, ...], long: Callable[..., Any], operands: tuple
) -> Any:
    """Go the long way, and keep what it recorded if that depends on nothing but the place."""
    if is_internal(frame) or 0.0 in place[3:]:  # numbers are told apart by ==, and 0.0 == -0.0
        return long(*operands)
    tape.codes[id(frame.f_code)] = frame.f_code
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
        turn = _turn(tape, stream, indices, n)
        if turn is not None:
            tape.sites[place] = (turn, made.form, tape.n - n)
    return made


def _turn(tape: Tape, stream: list[int], indices: tuple[int, ...], n: int) -> Turn | None:
    """The stream as a function of the operands' indices and of the next node's."""
    names = "ijklmopq"
    if len(indices) > len(names):
        return None
    known = [i for i in indices if i >= 0]
    if len(set(known)) < len(known):  # one tensor twice: which is which is clear only where each is read in its turn
        if len(stream) != 1 + len(indices) or tuple(stream[1:]) != indices:
            return None
        return _compiled((stream[0], *names[: len(indices)]), names[: len(indices)])
    words: list[int | str] = []
    for number in stream:
        if number < 0:
            if tape.leaf_sort(number):  # a leaf is bound to an array, or stands for a parameter, once
                return None
            words.append(number)
        elif number >= n:
            words.append(f"n + {number - n}" if number > n else "n")
        elif number in known:
            words.append(names[indices.index(number)])
        else:
            return None
    return _compiled(tuple(words), names[: len(indices)])


@cache
def _written(words: tuple[str, ...], arguments: str, constants: int) -> Callable[..., Turn]:
    outer = ", ".join(f"c{k}" for k in range(constants))
    return eval(f"lambda {outer}: lambda {', '.join([*arguments, 'n'])}: ({', '.join(words)},)")


def _compiled(words: tuple[int | str, ...], arguments: str) -> Turn:
    """A function that gives the words; those that are numbers are its constants, so that few texts are compiled."""
    constants = [word for word in words if isinstance(word, int)]
    place = iter(range(len(constants)))
    texts = tuple(f"c{next(place)}" if isinstance(word, int) else word for word in words)
    return _written(texts, arguments, len(constants))(*constants)


def pick(x: Tensor, t: int, frame: Any, long: Callable[[Any, int], Tensor]) -> Tensor:
    """x[t] along the first axis, recorded again."""
    tape, given = x.tape, x.form
    place = ("pick", id(frame.f_code), frame.f_lasti, given)
    site = tape.sites.get(place)
    if site is None:
        made = long(x, t)
        if not is_internal(frame):
            tape.codes[id(frame.f_code)] = frame.f_code
            tape.sites[place] = (*_pick_site(tape, made), given.shape[0])
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
    made = _new(Tensor)
    made.tape, made.index, made.form = tape, n, form
    return made


def _pick_site(tape: Tape, made: Tensor) -> tuple[int, Form]:
    kind, rows, _ = tape._sort_list[~tape.stream[-2]]
    return tape.sort(kind, rows, True), made.form
