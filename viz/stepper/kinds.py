"""What nodes made alike have in common, as a page holds it: op, shape, names, equation, the line that recorded them."""

from __future__ import annotations

import linecache
from typing import Any

from tinyseq.ops import OPS
from tinyseq.tape import Tape
from tinyseq.viz.look import labels
from tinyseq.viz.stepper.inside import symbol


def kind_json(tape: Tape, kind: Any, shape: tuple[int, ...], first: int) -> dict[str, Any]:
    """A kind of nodes, of which ``first`` is one."""
    file, line = kind.line
    op = OPS[kind.op]
    node = tape.node(first) if op.arity >= 0 else None
    return {
        "op": kind.op, "shape": shape, "dtype": str(("float32", "float64", "int64")[kind.dtype]),
        "symbol": symbol(node) if node is not None else op.symbol,
        "name": labels.clean(kind.name), "runs": labels.name(kind.name) if kind.name else (),
        "cell": labels.clean(kind.cell), "step": bool(tape.step[first] >= 0),
        "attrs": dict(kind.attrs),
        "equation": op.equation,
        "value": op.words, "partials": op.partials,
        "line": labels.clean(f"{file.rsplit('/', 1)[-1]}:{line}") if line else "",
        "code": labels.clean(linecache.getline(file, line).strip())[:400] if line else "",
    }  # fmt: skip
