"""The tape verifier: every rule that a tape promises, checked again from its columns alone.

A rule of an op is asked once for each distinct (kind, rows, kinds and rows of the inputs), so that a million nodes
stamped from one cell cost array arithmetic and a handful of questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from tinyseq.errors import TapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.ops import OPS
from tinyseq.ops.groups import LEAVES, NUMBERED, RANGES
from tinyseq.tape import DTYPES, PARAMETER, Kind, Tape, shape_of


@advised
def verify(tape: Tape) -> None:
    """Raise TapeError, naming the first bad node, unless the tape keeps its rules.

    Inputs come earlier than the nodes that read them; every op is known and has the inputs it takes; shapes and
    dtypes are those that the ops' shape rules give; the positions of ``index`` and ``window`` lie inside what they
    read; every parameter has one leaf, of its own shape and dtype.
    """
    _columns(tape)
    bad = sorted([*_kinds(tape), *_order(tape), *_shapes(tape), *_positions(tape), *_parameters(tape)])
    if bad:
        _fail(tape, *bad[0])
    leaves = set(tape.arg[tape.column("op") == PARAMETER].tolist())
    for number, parameter in enumerate(tape.parameters):
        if number not in leaves:
            raise TapeError(f"the tape lists {parameter!r}, but no leaf stands for it")


def _fail(tape: Tape, index: int, problem: str) -> NoReturn:
    kind = tape.kinds[int(tape.kind[index])] if 0 <= int(tape.kind[index]) < len(tape.kinds) else None
    where = ""
    if kind is not None:
        name = f" {kind.name!r}" if kind.name else ""
        cell = f" of {kind.cell}[{int(tape.step[index])}]" if kind.cell else ""
        line = f", recorded at {kind.line[0]}:{kind.line[1]}" if kind.line[1] else ""
        where = f" ({kind.op}{name}{cell}{line})"
    raise TapeError(f"the tape breaks its rules at node %{index}{where}: {problem}")


def _columns(tape: Tape) -> None:
    """The columns must fit together before anything can be read from them."""
    n, pointers = len(tape), tape.input_pointers
    counts = np.diff(pointers)
    if len(pointers) != n + 1 or pointers[0] != 0 or pointers[-1] != len(tape.input_indices):
        raise TapeError(
            f"the tape's input pointers do not cover its {len(tape.input_indices)} inputs from 0 to the end"
        )
    for problem, wrong in (
        ("its input pointers run backwards", counts < 0),
        (f"its kind is none of the {len(tape.kinds)} kinds", (tape.kind < 0) | (tape.kind >= len(tape.kinds))),
        ("its first axis has fewer than no rows", tape.rows < -1),
        ("its step is below -1", tape.step < -1),
    ):
        if wrong.any():
            _fail(tape, int(np.argmax(wrong)), problem)


def _first_of(column: np.ndarray, count: int) -> np.ndarray:
    """The first node of each number in 0 … count − 1, -1 where there is none."""
    first = np.full(count, -1, np.int64)
    first[column[::-1]] = np.arange(len(column))[::-1]
    return first


def _kinds(tape: Tape) -> Iterator[tuple[int, str]]:
    scalar = _first_of(tape.kind[tape.rows < 0], len(tape.kinds)) >= 0
    for number, first in enumerate(_first_of(tape.kind, len(tape.kinds)).tolist()):
        if first < 0:
            continue
        problem = _kind_problem(tape.kinds[number], bool(scalar[number]))
        if problem:
            yield first, problem


def _kind_problem(kind: Kind, scalar: bool) -> str:
    if kind.op not in OPS:
        return f"there is no op {kind.op!r}"
    if not 0 <= kind.dtype < len(DTYPES):
        return f"dtype code {kind.dtype} is none of 0 to {len(DTYPES) - 1}"
    if any(n < 0 for n in kind.tail) or (scalar and kind.tail):
        return f"its shape {'() +' if scalar else '(rows, …) +'} {kind.tail} is no shape"
    try:
        keys = set(dict(kind.attrs))
    except (TypeError, ValueError):
        return f"its attributes {kind.attrs!r} are no (name, value) pairs"
    missing = [name for name in OPS[kind.op].floats if name not in keys]
    return f"it lacks the attributes {missing}" if missing else ""


def _order(tape: Tape) -> Iterator[tuple[int, str]]:
    reader = np.repeat(np.arange(len(tape)), np.diff(tape.input_pointers))
    for wrong, what in (
        (tape.input_indices >= reader, "which does not come earlier"),
        (tape.input_indices < 0, "which is no node"),
    ):
        if wrong.any():
            at = int(np.argmax(wrong))
            yield int(reader[at]), f"it reads node %{int(tape.input_indices[at])}, {what}"


def _shapes(tape: Tape) -> Iterator[tuple[int, str]]:
    code = tape.kind.astype(np.int64) * (int(tape.rows.max(initial=0)) + 2) + tape.rows + 1
    sorts, sort = np.unique(code, return_inverse=True)
    examples = _first_of(sort, len(sorts))
    counts = np.diff(tape.input_pointers)
    sources = np.clip(tape.input_indices, 0, max(len(tape) - 1, 0))
    for arity in np.unique(counts).tolist():
        nodes = np.flatnonzero(counts == arity)
        edges = tape.input_pointers[nodes][:, None] + np.arange(arity)
        reads = sort[sources[edges]] if arity else np.empty((len(nodes), 0), np.int64)
        for row in _distinct(sort[nodes], reads, len(sorts)).tolist():
            problem = _shape_problem(tape, int(nodes[row]), examples[reads[row]].tolist())
            if problem:
                yield int(nodes[row]), problem


def _distinct(sort: np.ndarray, reads: np.ndarray, base: int) -> np.ndarray:
    """The first row of each distinct row of (sort, reads)."""
    if len(sort) == 1:
        return np.zeros(1, np.int64)
    if reads.shape[1] > 8:
        return np.unique(np.column_stack([sort, reads]), axis=0, return_index=True)[1]
    code = sort
    for column in reads.T:  # numbered anew each time, so that the codes never overflow
        code = np.unique(code * base + column, return_inverse=True)[1]
    return np.unique(code, return_index=True)[1]


def _shape_problem(tape: Tape, index: int, examples: list[int]) -> str:
    kind, rows = tape.kinds[int(tape.kind[index])], int(tape.rows[index])
    op = OPS.get(kind.op)
    if op is None:
        return ""  # said by _kinds
    if len(examples) != op.arity and not (op.arity < 0 and examples):
        return f"{kind.op} takes {'one or more' if op.arity < 0 else op.arity} inputs, it has {len(examples)}"
    shape = shape_of(rows, kind.tail)
    beside: tuple = (("shape", shape),) if op.shape_is_given else ()
    if kind.op in LEAVES:
        beside += (("dtype", kind.dtype),)
    read = [tape.kinds[int(tape.kind[j])] for j in examples]
    shapes = tuple(shape_of(int(tape.rows[j]), k.tail) for j, k in zip(examples, read, strict=True))
    try:
        expected, dtype = op.shape(kind.attrs + beside, shapes, tuple(k.dtype for k in read))
    except TinyseqError as error:
        return str(error)
    except (LookupError, TypeError, ValueError) as error:
        return f"the shape rule of {kind.op} cannot read attributes {kind.attrs} and shapes {shapes}: {error!r}"
    if kind.op in RANGES and rows >= 0:
        expected = (rows, *expected[1:])
    if tuple(expected) != shape or dtype != kind.dtype:
        return (
            f"{kind.op} of {' and '.join(map(str, shapes)) or 'nothing'} gives {_dtype(dtype)} {tuple(expected)}, "
            f"the tape says {_dtype(kind.dtype)} {shape}"
        )
    return ""


def _dtype(code: int) -> str:
    return str(DTYPES[code]) if 0 <= code < len(DTYPES) else f"dtype {code}"


def _positions(tape: Tape) -> Iterator[tuple[int, str]]:
    op = tape.column("op")
    for name in NUMBERED:
        nodes = np.flatnonzero((op == name) & (np.diff(tape.input_pointers) == 1))
        sources = np.clip(tape.input_indices[tape.input_pointers[nodes]], 0, max(len(tape) - 1, 0))
        first, count = (
            tape.arg[nodes].astype(np.int64),
            (tape.rows[nodes] if name in RANGES else np.ones(len(nodes), np.int64)),
        )
        wrong = (first < 0) | (first + count > tape.rows[sources])
        if wrong.any():
            at = int(np.argmax(wrong))
            last = int(first[at] + count[at] - 1)
            yield int(nodes[at]), f"it reads rows {int(first[at])} to {last} of {int(tape.rows[sources[at]])}"


def _parameters(tape: Tape) -> Iterator[tuple[int, str]]:
    seen: dict[int, int] = {}
    for i in np.flatnonzero(tape.column("op") == PARAMETER).tolist():
        number = int(tape.arg[i])
        if not 0 <= number < len(tape.parameters):
            yield i, f"it stands for parameter {number} of {len(tape.parameters)}"
            continue
        parameter, node = tape.parameters[number], tape.node(i)
        if number in seen:
            yield i, f"{parameter!r} has a leaf already, %{seen[number]}"
        if node.shape != parameter.shape or node.dtype != parameter.dtype:
            yield i, f"{parameter!r} has a leaf of {node.dtype} {node.shape}"
        if tape.node_of(parameter) != i:
            yield i, f"the table of parameters has {parameter!r} at node {tape.node_of(parameter)}"
        seen.setdefault(number, i)
