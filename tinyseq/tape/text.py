"""A tape as text, and two tapes compared."""

from __future__ import annotations

import numpy as np

from tinyseq.tape.kinds import PARAMETER
from tinyseq.tape.recorder import Recorder


def dump(tape: Recorder, limit: int | None) -> str:
    """One line a node, up to a limit."""
    shown = len(tape) if limit is None else min(limit, len(tape))
    lines = []
    for node in tape.nodes(range(shown)):
        where = f"{node.cell}[{node.step}]" if node.cell else (f"[{node.step}]" if node.step >= 0 else "")
        arguments = ", ".join(
            [f"%{i}" for i in node.inputs]
            + [f"{key}={value}" for key, value in node.attrs]
            + ([f"arg={node.arg}"] if node.arg else [])
        )
        shape = "×".join(map(str, node.shape)) or "scalar"
        source = f"  # {node.line[0].rsplit('/', 1)[-1]}:{node.line[1]}" if node.line[1] else ""
        lines.append(
            f"%{node.index:<5} {where:<12} {node.name:<8} = {node.op}({arguments}): {node.dtype} {shape}{source}"
        )
    if shown < len(tape):
        lines.append(f"… {len(tape) - shown} more nodes")
    return "\n".join(lines)


def canonical(tape: Recorder) -> tuple:
    """What two tapes with the same graph have in common: source lines and places of parameters aside."""
    leaf = tape.column("op") == PARAMETER
    number = np.cumsum(~leaf) - 1
    number[leaf] = -1 - tape.arg[leaf]
    plain = [kind._replace(line=("", 0)) for kind in tape.kinds]
    kinds = [plain[k] for k in tape.kind[~leaf].tolist()]
    counts = np.diff(tape.input_pointers)[~leaf]
    names = [parameter.name for parameter in tape.parameters]
    return (
        (kinds, names),
        tape.rows[~leaf],
        tape.arg[~leaf],
        tape.step[~leaf],
        counts,
        number[tape.input_indices],
    )
