"""Recording one op: shapes and dtypes checked, a node appended, its handle returned."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from tinyseq.errors import OpError, TapeError, TinyseqError
from tinyseq.ops import OPS
from tinyseq.tape import INT64, Form, Kind, Tape
from tinyseq.tensor.handles import Tensor, handle, leaked
from tinyseq.tensor.leaves import _called, as_tensor
from tinyseq.tensor.source_lines import _internal_files, internal, source_line

internal(__file__)


def record(
    op: str, inputs: Sequence[Any], attrs: tuple = (), arg: int = 0, rows: int | None = None, wanted_shape: tuple = ()
) -> Tensor:
    """Record one op on the inputs' tape: check shapes and dtypes, append the node, return its handle.

    ``rows`` replaces the first axis of the shape that the rule gives; ``wanted_shape`` is handed to the rule alone.
    """
    tensors = [x if type(x) is Tensor else as_tensor(x) for x in inputs]
    if not tensors:
        raise OpError(f"record({op!r}, ()) has no inputs: an op is recorded on the tape of its inputs")
    tape = tensors[0].tape
    frame: Any = sys._getframe(1)
    code = frame.f_code
    while code.co_filename in _internal_files and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    # a code object by its address, which is cheaper than its hash; and the instruction instead of the line
    key = (op, attrs, wanted_shape, id(code), frame.f_lasti, *[t.form for t in tensors])
    site = tape.sites.get(key)
    if site is None:
        site = _site(op, tensors, attrs, wanted_shape, frame)
        if len(tensors) <= 4 and not signed_zero(attrs):
            tape.sites[key] = site
    sort, form, kind = site
    if rows is not None:
        form = tape.form((rows, *form.shape[1:]), form.dtype_code)
    if rows is not None or arg:
        sort = tape.places.sort(kind, form.shape[0] if form.shape else -1, arg != 0)
    index = tape.push(sort, arg, tuple([t.index for t in tensors]))
    if form.dtype_code == INT64 and OPS[op].keeps_integers:
        known = tape.origin.get(tensors[0].index)
        if known is not None:
            tape.origin[index] = known
    return handle(tape, index, form)


def signed_zero(attrs: tuple) -> bool:
    """Whether there is a zero among attributes that ``==`` does not tell from the other one."""
    return any(value == 0.0 for _, value in attrs if type(value) is float)


def _site(op: str, tensors: list[Tensor], attrs: tuple, wanted_shape: tuple, frame: Any) -> tuple[int, Form, int]:
    """Sort, form and kind of an op at a place: what is the same when it is recorded there again."""
    tape = tensors[0].tape
    _taken(op, tensors, attrs)
    for other in tensors:
        if other.fold and other.fold != tape.folding:
            raise leaked()
        if other.tape is not tape:
            raise TapeError(
                f"{op} got tensors of two tapes; {_elsewhere(tensors)}record them on one tape, or carry the number "
                "over with ts.tensor(other.value)"
            )
    try:
        shape, code = OPS[op].shape(
            attrs + wanted_shape, tuple(t.shape for t in tensors), tuple(t.dtype_code for t in tensors)
        )
    except TinyseqError as error:
        raise _located(error, tensors) from None
    places = tape.places
    places.codes[id(frame.f_code)] = frame.f_code
    line = (frame.f_code.co_filename, frame.f_lineno)
    kind = places.kinds.number(Kind(op, attrs, shape[1:], code, "", tape.scope[0], line))
    return places.sort(kind, shape[0] if shape else -1, False), tape.form(shape, code), kind


def _taken(op: str, tensors: list[Tensor], attrs: tuple) -> None:
    """Refuse an op that nobody registered, the wrong number of inputs, attributes that are no pairs."""
    if op not in OPS:
        near = get_close_matches(str(op), OPS, 1)
        meant = f": did you mean {near[0]!r}?" if near else ""
        raise OpError(f"no op is called {op!r}{meant or '; tinyseq.ops.register(Op(…)) makes one'}")
    arity = OPS[op].arity
    if 0 <= arity != len(tensors):
        wanted = "x0," if arity == 1 else ", ".join(f"x{i}" for i in range(arity))
        many = f"{arity} input{'s' * (arity != 1)}"
        raise OpError(f"{op} takes {many}, got {len(tensors)}: write record({op!r}, ({wanted}))")
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in attrs):
        raise OpError(f"{op} got attributes {attrs!r}: write pairs of name and value, as (('axis', 1),)")


def _elsewhere(tensors: list[Tensor]) -> str:
    """Which of them is not of the tape being recorded, and of which time step."""
    known = Tape.current() if Tape.recording() else tensors[0].tape
    return f"{_called(next(t for t in tensors if t.tape is not known))} is of another graph; "


def _located(error: TinyseqError, tensors: list[Tensor]) -> TinyseqError:
    """The error again, with the operands' names and the line that asked for the op."""
    names = []
    for t in tensors[:4]:
        node = t.tape.node(t.index)
        names.append(f"{node.name or node.op + ' %' + str(t.index)} {t.shape}")
    file, line = source_line()
    return type(error)(f"{error}\n  operands: {', '.join(names)}\n  at {file}:{line}")
