"""Tapes as JSON and back: the table of nodes, parameters and input leaves, every number with all its bits."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from math import isfinite, prod
from typing import Any

import numpy as np

from tinyseq.errors import DataError, TapeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.ops import OPS
from tinyseq.ops.op import DATA
from tinyseq.ops.verify import verify
from tinyseq.tape import DTYPES, INT64, PARAMETER, Integers, Kind, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.folding import handles

FORMAT, VERSION = "tinyseq tape", 1
COLUMNS = ("kind", "rows", "arg", "step")
WIDEST = 2**62  # whole numbers in a file lie below


@advised
def to_json(tape: Tape) -> str:
    """A tape as text: nodes by columns as they stand in memory, values of parameters and inputs.

    Arrays are {"dtype", "shape", "base64"} of their little-endian bytes, floats among attributes {"float": text in
    hexadecimal}, so that no bit is lost. Values and gradients that were computed are not kept: they come again.
    """
    if not isinstance(tape, Tape):
        raise TapeError(f"to_json writes a tape, got {type(tape).__name__}; write with ts.Tape() as tape: …")
    if tape.folding:
        raise TapeError("a tape is not written while a step is being recorded for unfolding")
    tape.flush()
    leaves = [i for i, op in enumerate(tape.column("op")) if OPS[op].leaf == DATA]
    missing = next((i for i in leaves if tape.executor.known(i) is None), None)
    if missing is not None:
        raise TapeError(f"input %{missing} has no value, so this tape says nothing that could be read back")
    content = {
        "format": FORMAT,
        "version": VERSION,
        "kinds": [_kind(kind) for kind in tape.kinds],
        **{name: getattr(tape, name).tolist() for name in COLUMNS},
        "inputs": [list(tape.inputs(i)) for i in range(len(tape))],
        "parameters": [
            {"name": p.name, "trainable": bool(p.trainable), "value": _array(p.value)} for p in tape.parameters
        ],
        "leaves": {str(i): _array(tape.executor.known(i)) for i in leaves},
        "starts": [list(map(int, start)) for start in tape.starts],
        "words": {scope: [None if w is None else str(w) for w in words] for scope, words in tape.words.items()},
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _kind(kind: Kind) -> dict[str, Any]:
    attrs = [[name, _attribute(value)] for name, value in kind.attrs]
    return {**kind._asdict(), "attrs": attrs, "tail": list(kind.tail), "line": list(kind.line)}


def _attribute(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return {"float": float(value).hex()}
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (tuple, list)):
        return [_attribute(one) for one in value]
    if value is None or isinstance(value, str):
        return value
    raise TapeError(f"an attribute that is a {type(value).__name__} has no form in JSON: {value!r}")


def _array(value: Any) -> dict[str, Any]:
    array = np.asarray(value)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(little.tobytes()).decode("ascii"),
    }


@advised
def from_json(text: str | bytes, executor: Callable[[Tape], Any] | None = None) -> Tape:
    """The tape that ``to_json`` wrote: the same graph, parameters of its own with the same bits, the same inputs.

    ``ts.exchange.tensor_of(tape, "L")`` is a tensor of it. Raises DataError that says where the text is damaged, or
    which rule the tape breaks.
    """
    if not isinstance(text, (str, bytes, bytearray)):
        raise DataError(f"a tape is read from text, got {type(text).__name__}; write from_json(path.read_text())")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is no tape as JSON, or only a part of one: {error}") from None
    try:
        return Reader(content).tape(executor)
    except (TinyseqError, OverflowError, MemoryError, RecursionError) as error:
        raise DataError(f"the tape in this JSON cannot be used: {error}") from None


@advised
def tensor_of(tape: Tape, which: int | str) -> Tensor:
    """A tensor of a tape, by the number of its node, or by its name: the last node that has it."""
    if isinstance(which, str):
        places = [i for i, name in enumerate(tape.column("name")) if name == which]
        if not len(places):
            names = sorted({kind.name for kind in tape.kinds if kind.name})
            raise TapeError(f"no node of this tape is called {which!r}; there are {', '.join(names) or 'no names'}")
        which = int(places[-1])
    if isinstance(which, bool) or not isinstance(which, (int, np.integer)) or not 0 <= which < len(tape):
        raise TapeError(f"node {which!r} asked for, but this tape has nodes 0 to {len(tape) - 1}")
    return handles(tape, [int(which)])[0]


class Reader:
    """What was read, taken apart with a check of each part."""

    def __init__(self, content: Any) -> None:
        self.content = self.object(content, "the whole")
        said = self.content.get("format"), self.content.get("version")
        if said[0] != FORMAT:
            raise DataError(f"its format is {said[0]!r}, expected {FORMAT!r}")
        if said[1] != VERSION:
            raise DataError(f"its version is {said[1]!r}, this tinyseq reads {VERSION}")

    # -- parts
    def wrong(self, where: str, value: Any, expected: str) -> DataError:
        """The error for a part that is none."""
        text = repr(value)
        return DataError(f"{where} is {text if len(text) < 60 else text[:57] + '…'}, expected {expected}")

    def object(self, value: Any, where: str) -> dict[str, Any]:
        """An object of JSON."""
        if not isinstance(value, dict):
            raise self.wrong(where, value, "an object {…}")
        return value

    def array(self, value: Any, where: str) -> list[Any]:
        """A list of JSON."""
        if not isinstance(value, list):
            raise self.wrong(where, value, "a list")
        return value

    def part(self, thing: dict[str, Any], key: str, where: str = "") -> Any:
        """A part by its name."""
        if key not in thing:
            raise DataError(f"{where or 'the tape'} has no {key!r}")
        return thing[key]

    def whole(self, value: Any, where: str) -> int:
        """A whole number."""
        if type(value) is not int or not -WIDEST < value < WIDEST:
            raise self.wrong(where, value, "a whole number")
        return value

    def wholes(self, value: Any, where: str) -> list[int]:
        """A list of whole numbers."""
        return [self.whole(n, f"{where}[{i}]") for i, n in enumerate(self.array(value, where))]

    def text(self, value: Any, where: str) -> str:
        """Text."""
        if not isinstance(value, str):
            raise self.wrong(where, value, "text")
        return value

    # -- the tape
    def tape(self, executor: Callable[[Tape], Any] | None) -> Tape:
        """The tape, verified."""
        content = self.content
        given = self.array(self.part(content, "kinds"), "kinds")
        kinds = [self.kind(one, f"kinds[{i}]") for i, one in enumerate(given)]
        columns = {name: self.wholes(self.part(content, name), name) for name in COLUMNS}
        inputs = [
            self.wholes(one, f"inputs[{i}]") for i, one in enumerate(self.array(self.part(content, "inputs"), "inputs"))
        ]
        lengths = {**{name: len(column) for name, column in columns.items()}, "inputs": len(inputs)}
        if len(set(lengths.values())) > 1:
            raise DataError(f"its columns have different lengths: {lengths}")
        outside = next((i for i, k in enumerate(columns["kind"]) if not 0 <= k < len(kinds)), None)
        if outside is not None:
            raise DataError(f"kind[{outside}] is {columns['kind'][outside]}, and there are {len(kinds)} kinds")
        tape = Tape(executor)
        numbers = [tape.kind_id(kind) for kind in kinds]
        kind = np.array([numbers[k] for k in columns["kind"]], np.int64)
        rows, arg, step = (np.array(columns[name], np.int64) for name in COLUMNS[1:])
        counts = np.array([len(one) for one in inputs], np.int64)
        tape.extend(kind, rows, arg, step, counts, np.array([j for one in inputs for j in one], np.int64))
        self._parameters(tape)
        verify(tape)
        self._leaves(tape)
        self._labels(tape)
        return tape

    def kind(self, value: Any, where: str) -> Kind:
        """What nodes of one place have in common."""
        one = self.object(value, where)
        op = self.text(self.part(one, "op", where), f"{where}.op")
        if op not in OPS:
            raise DataError(
                f"{where}.op is {op!r}, and no op is called so; one of your own is registered before reading"
            )
        attrs = []
        for i, pair in enumerate(self.array(self.part(one, "attrs", where), f"{where}.attrs")):
            if not isinstance(pair, list) or len(pair) != 2:
                raise self.wrong(f"{where}.attrs[{i}]", pair, "a pair [name, value]")
            attrs.append((self.text(pair[0], f"{where}.attrs[{i}]"), self.attribute(pair[1], f"{where}.attrs[{i}]")))
        for key in OPS[op].floats:
            found = dict(attrs).get(key)
            if type(found) not in (int, float):
                raise self.wrong(f"{where}: the attribute {key} of {op}", found, "a number")
        tail = tuple(self.wholes(self.part(one, "tail", where), f"{where}.tail"))
        dtype = self.whole(self.part(one, "dtype", where), f"{where}.dtype")
        if not 0 <= dtype < len(DTYPES):
            raise self.wrong(f"{where}.dtype", dtype, f"the number of a dtype, 0 to {len(DTYPES) - 1}")
        line = self.array(self.part(one, "line", where), f"{where}.line")
        if len(line) != 2:
            raise self.wrong(f"{where}.line", line, "[file, number]")
        name, cell = (self.text(self.part(one, key, where), f"{where}.{key}") for key in ("name", "cell"))
        recorded = self.text(line[0], f"{where}.line"), self.whole(line[1], f"{where}.line")
        return Kind(op, tuple(attrs), tail, dtype, name, cell, recorded)

    def attribute(self, value: Any, where: str) -> Any:
        """The value of an attribute."""
        if isinstance(value, dict):
            text = value.get("float")
            try:
                return float.fromhex(self.text(text, where))
            except (ValueError, OverflowError):
                raise self.wrong(where, value, '{"float": a hexadecimal number}') from None
        if isinstance(value, list):
            return tuple(self.attribute(one, where) for one in value)
        if isinstance(value, float):
            if not isfinite(value):
                raise self.wrong(where, value, "a number")
            return value
        return value if value is None or isinstance(value, (bool, str)) else self.whole(value, where)

    def numbers(self, value: Any, where: str) -> np.ndarray:
        """An array with its bits."""
        one = self.object(value, where)
        dtype = self.text(self.part(one, "dtype", where), f"{where}.dtype")
        if dtype not in [d.name for d in DTYPES]:
            raise self.wrong(f"{where}.dtype", dtype, "float32, float64 or int64")
        shape = self.wholes(self.part(one, "shape", where), f"{where}.shape")
        if any(n < 0 for n in shape):
            raise self.wrong(f"{where}.shape", shape, "sizes from 0")
        try:
            data = base64.b64decode(self.text(self.part(one, "base64", where), f"{where}.base64"), validate=True)
        except (binascii.Error, ValueError):
            raise DataError(f"{where}.base64 is no base64") from None
        wanted = prod(shape) * np.dtype(dtype).itemsize
        if len(data) != wanted:
            raise DataError(f"{where} has {len(data)} bytes, {dtype} {tuple(shape)} needs {wanted}")
        little = np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))
        return little.astype(np.dtype(dtype)).reshape(shape)

    def _parameters(self, tape: Tape) -> None:
        for i, value in enumerate(self.array(self.part(self.content, "parameters"), "parameters")):
            where = f"parameters[{i}]"
            one = self.object(value, where)
            trainable = self.part(one, "trainable", where)
            if not isinstance(trainable, bool):
                raise self.wrong(f"{where}.trainable", trainable, "true or false")
            array = self.numbers(self.part(one, "value", where), f"{where}.value")
            tape.parameters.append(
                Parameter(array, self.text(self.part(one, "name", where), f"{where}.name"), trainable)
            )
        op, arg = tape.column("op"), tape.arg
        for i in np.flatnonzero(op == PARAMETER).tolist() if len(tape) else []:
            if 0 <= arg[i] < len(tape.parameters):
                tape._parameter_nodes.setdefault(id(tape.parameters[arg[i]]), i)
        tape._parameter_nodes = {id(p): tape._parameter_nodes.get(id(p), -1) for p in tape.parameters}

    def _leaves(self, tape: Tape) -> None:
        given = self.object(self.part(self.content, "leaves"), "leaves")
        op = tape.column("op") if len(tape) else np.empty(0, object)
        wanted = [i for i, name in enumerate(op) if OPS[name].leaf == DATA]
        if set(given) != {str(i) for i in wanted}:
            odd = sorted(set(given) ^ {str(i) for i in wanted})[0]
            raise DataError(f"leaves has a value for each input and for nothing else; %{odd} is wrong")
        for i in wanted:
            array = self.numbers(given[str(i)], f"leaves[{i}]")
            node = tape.node(i)
            if array.shape != node.shape or array.dtype != node.dtype:
                raise DataError(f"leaves[{i}] is {array.dtype} {array.shape}, its node is {node.dtype} {node.shape}")
            tape.executor.bind(i, array)
            if tape.kind_of(i).dtype == INT64:
                tape.origin[i] = Integers(i)
        for i, name in enumerate(op):
            if OPS[name].keeps_integers and tape.kind_of(i).dtype == INT64:
                known = tape.origin.get(tape.inputs(i)[0])
                if known is not None:
                    tape.origin[i] = known

    def _labels(self, tape: Tape) -> None:
        for i, value in enumerate(self.array(self.content.get("starts", []), "starts")):
            start = self.wholes(value, f"starts[{i}]")
            start += [-1] * (len(start) == 3)  # as they were written before they named their readers
            if len(start) != 4 or not all(0 <= n < len(tape) for n in start[:2]) or not -1 <= start[3] < len(tape):
                raise self.wrong(f"starts[{i}]", value, "[initial state, state, step, node that reads it]")
            tape.starts.append((start[0], start[1], start[2], start[3]))
        for scope, value in self.object(self.content.get("words", {}), "words").items():
            words: Sequence[Any] = self.array(value, f"words[{scope}]")
            if not all(word is None or isinstance(word, str) for word in words):
                raise self.wrong(f"words[{scope}]", value, "labels")
            tape.words[scope] = list(words)
