"""Overlays: what was measured on a tape, laid over any of its pictures as colour, a number beside each node, a legend.

value       root mean square of a node's value; computed if it was not yet
gradient    ‖∂L/∂node‖, after a backward pass
share       of the terms of ∂L/∂W, how much each time step gave: ‖term(t)‖ / Σ ‖term‖, after a backward pass
saturation  share of a unit's numbers at the flat ends of its function: |tanh| > 0.95, σ < 0.05 or > 0.95, relu at 0
bytes       held from the forward pass for the backward one
nonfinite   the node where NaN or infinity begins, and all that is not finite
levels      of a tree: positions of one height, which run together (levels.py)
cuts        edges that a detach cuts (✂), as in truncated BPTT, with the norm of the gradient that is lost there
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.diagnose.names import name_of
from tinyseq.diagnose.nonfinite import find_nonfinite
from tinyseq.errors import GradientError, TinyseqError
from tinyseq.ops import OPS
from tinyseq.ops.groups import CUTS, LEAVES, SATURATING
from tinyseq.tape import INT64, Tape
from tinyseq.viz.diagram import Diagram, Note
from tinyseq.viz.excerpt.owners import Owners
from tinyseq.viz.look import style
from tinyseq.viz.look.labels import Run
from tinyseq.viz.overlays import gradient_colours
from tinyseq.viz.overlays.bytes_held import held_bytes, memory
from tinyseq.viz.overlays.legends import Legend, by_log, by_share, drawn, percent
from tinyseq.viz.placing import arrow_names
from tinyseq.viz.views import levels

FLAT = 0.05  # distance from the end of its range at which a tanh (twice that) or a sigmoid counts as saturated


def measure(diagram: Diagram, tape: Tape, word: str, of: Any = None) -> Legend:
    """Measure before the layout: fills, badges and the names of cut arrows; returns the legend."""
    return MEASURES[word](diagram, tape, of)


def finish(diagram: Diagram, legend: Legend) -> None:
    """After the layout: numbers beside their nodes, and the legend under everything."""
    for v in diagram.vertices:
        if v.badge:
            diagram.notes.append(Note((Run(v.badge),), *arrow_names.badge_at(v), "left", style.BADGE_SIZE))
    gradient_colours.legend(diagram, (Run(legend.low),), (Run(legend.high),), legend.title, legend.lines)


# -- measures ---------------------------------------------------------------------------------------------------------
def _value(diagram: Diagram, tape: Tape, of: Any) -> Legend:
    found = {}
    for v in drawn(diagram):
        if tape.kinds[int(tape.kind[v.node])].dtype != INT64:
            value = np.asarray(tape.executor.value(v.node), np.float64)
            found[v.id] = float(np.sqrt(np.mean(value**2))) if value.size else 0.0
            v.tooltip += f" · {_numbers(value)}"
    return by_log(diagram, found, "root mean square of the value, log scale", lambda x: f"{x:.2g}")


def _gradient(diagram: Diagram, tape: Tape, of: Any) -> Legend:
    gradient_colours.measure(diagram, tape, True)
    found = {v.id: v.gradient for v in diagram.vertices if v.gradient is not None}
    return by_log(diagram, found, "gradient norm ‖∂L/∂node‖, log scale", lambda x: f"{x:.2g}")


def _share(diagram: Diagram, tape: Tape, of: Any) -> Legend:
    parameter = _parameter(diagram, tape, of)
    name = name_of(tape, parameter)
    terms = tape.executor.terms(parameter)
    sizes = {node: float(np.linalg.norm(np.asarray(term, np.float64))) for node, _, term in terms}
    total = sum(sizes.values())
    owners = Owners(tape, [v.node for v in drawn(diagram)])
    shares: dict[int, float] = {}
    for node, norm in sizes.items():
        owner = owners.below(node)
        if owner is not None:
            shares[owner] = shares.get(owner, 0.0) + (norm / total if total else 0.0)
    found = {v.id: shares[v.node] for v in drawn(diagram) if v.node in shares}
    title = f"share of the terms of ∂L/∂{name}, ‖term(t)‖ / Σ ‖term‖"
    seen = sum(found.values())
    left_out = [f"{percent(seen)} is in the steps shown"] if seen < 0.995 else []
    gradient = tape.executor.grad(tape.node_of(parameter))
    lines = [f"‖∂L/∂{name}‖ = {np.linalg.norm(gradient):.3g}, Σ ‖term‖ = {total:.3g}", *left_out]
    return by_share(diagram, found, title, lines)


def _saturation(diagram: Diagram, tape: Tape, of: Any) -> Legend:
    found = {}
    for v in drawn(diagram):
        op = tape.node(v.node).op
        saturates = OPS[op].saturates if op in OPS else None
        if saturates is not None:
            value = np.asarray(tape.executor.value(v.node))
            known = np.isfinite(value) | np.isinf(value)  # infinity is saturated, NaN is neither
            flat = float(saturates.flat(value).mean()) if value.size else 0.0
            found[v.id] = flat if known.all() else float("nan")
    if not found:
        raise TinyseqError(
            f"nothing drawn here saturates: there is no {' or '.join(SATURATING)} among the nodes; try detail='units'"
        )
    lines = [", ".join(op.saturates.words for op in OPS.values() if op.saturates)]
    return by_share(diagram, found, "share of the numbers of a unit that are saturated", lines)


def _bytes(diagram: Diagram, tape: Tape, of: Any) -> Legend:
    owners = Owners(tape, [v.node for v in drawn(diagram)])
    held = held_bytes(tape, owners.nodes)
    sums: dict[int, float] = {}
    known = set(owners.nodes.tolist())
    for node, size in held.items():
        owner = owners.below(node) if node in known else None
        if owner is not None:
            sums[owner] = sums.get(owner, 0.0) + size
    found = {v.id: sums.get(v.node, 0.0) for v in drawn(diagram) if tape.node(v.node).op not in LEAVES}
    total = sum(found.values())
    lines = [
        f"{memory(total)} in the nodes shown, each with the values that flow into it and are not drawn",
        "held: what a vjp of the backward pass reads; parameters, inputs and constants are not counted",
    ]
    return by_log(diagram, found, "bytes held for the backward pass, log scale", memory, lines)


def _nonfinite(diagram: Diagram, tape: Tape, of: Any) -> Legend:
    first = find_nonfinite(tape)
    values, gradients = [], []
    for v in drawn(diagram):
        gradient = tape.executor.grad(v.node)
        if not np.isfinite(tape.executor.value(v.node)).all():
            v.fill = style.NOT_FINITE
            values.append(v)
        elif gradient is not None and not np.isfinite(gradient).all():
            v.fill = style.GRADIENT_NOT_FINITE
            gradients.append(v)
    if first is None:
        return Legend(lines=["every value and every gradient is finite"])
    owner = Owners(tape, [v.node for v in drawn(diagram)]).below(first.node.index)
    if first.direction == "forward" and values and owner not in [v.node for v in values]:
        owner = min(v.node for v in values)  # a NaN in the data is first seen in the step that it is for
    for v in drawn(diagram):
        if v.node == owner:
            v.badge = f"{first.kind} begins here"
    file, number = first.node.line
    where = f", {file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{number}" if number else ""
    lines = [f"{str(first).splitlines()[0]}{where}"]
    lines += [f"dark orange: values that are not finite, {len(values)} of the nodes shown"] if values else []
    lines += [f"light orange: gradients that are not finite, {len(gradients)} more"] if gradients else []
    return Legend(lines=lines)


def _cuts(diagram: Diagram, tape: Tape, of: Any) -> Legend:
    owners = Owners(tape, [v.node for v in drawn(diagram)])
    lost: dict[tuple[int, int], float] = {}
    known, ops = False, tape.column("op")
    for i in owners.nodes[np.isin(ops[owners.nodes], list(CUTS))].tolist():
        source, reader = owners.above(i), owners.below(i)
        gradient = tape.executor.grad(i)
        if gradient is not None:
            known = True
        if source is not None and reader is not None:
            norm = 0.0 if gradient is None else float(np.linalg.norm(np.asarray(gradient, np.float64)))
            lost[source, reader] = float(np.hypot(lost.get((source, reader), 0.0), norm))
    at = {v.id: v.node for v in diagram.vertices}
    for link in diagram.links:
        there = lost.get((at[link.source], at[link.target]))
        if link.cut and known and there is not None:
            link.badge = f"{there:.2g}"
    count, shown = int(np.isin(ops, list(CUTS)).sum()), sum(e.cut for e in diagram.links)
    lines = [f"✂ {count:,} cut{'s' if count != 1 else ''} on the tape, {shown} shown: the value crosses, no gradient"]
    if known:
        lines.append("beside ✂: norm of the gradient that is lost there")
    elif count:
        lines.append("run loss.backward() to see the norms of the gradients lost there")
    return Legend(lines=lines)


MEASURES: dict[str, Callable[[Diagram, Tape, Any], Legend]] = {
    "value": _value,
    "gradient": _gradient,
    "share": _share,
    "saturation": _saturation,
    "bytes": _bytes,
    "nonfinite": _nonfinite,
    "cuts": _cuts,
    "levels": lambda diagram, tape, of: Legend(lines=levels.measure(diagram, tape)),
}


def _numbers(value: np.ndarray) -> str:
    if value.size <= 8:
        return "[" + ", ".join(f"{x:.3g}" for x in value.ravel()) + "]"
    return f"from {value.min():.3g} to {value.max():.3g}"


def _parameter(diagram: Diagram, tape: Tape, of: Any) -> Any:
    """The parameter asked for, by itself or by name; else the one that recurrent arrows carry."""
    if tape.executor is None or not any(p.grad is not None for p in tape.parameters):
        raise GradientError("overlay='share' shows terms of a gradient; there is none yet: run loss.backward() first")
    if of is None:
        names = [name for e in diagram.links if e.recurrent for name in e.label]
        of = max(names, key=names.count) if names else None
    for parameter in tape.parameters:
        if parameter is of or (isinstance(of, str) and of in (parameter.name, name_of(tape, parameter))):
            return parameter
    known = ", ".join(name_of(tape, p) for p in tape.parameters)
    raise TinyseqError(f"overlay='share' needs a parameter of this tape: of=W or of='W'; its parameters are {known}")
