"""Fixed parameters, as the weights of a reservoir: their arrows are dashed and grey, and their shapes say "fixed"."""

from __future__ import annotations

from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram


def mark(diagram: Diagram, tape: Tape) -> None:
    """Mark each arrow whose parameters are all fixed, and each fixed parameter that is drawn as a node.

    An arrow knows its parameters by name only, so a name that a trainable parameter bears too counts as trainable.
    """
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for parameter in tape.parameters:
        names[parameter.trainable].add(parameter.name or "parameter")
    diagram.fixed = frozenset(names[False] - names[True])
    for link in diagram.links:
        link.fixed = bool(link.label) and diagram.fixed.issuperset(link.label)
    for vertex in diagram.vertices:
        if vertex.role == "parameter" and is_fixed(tape, vertex.node):
            vertex.dashed = True
            vertex.note = f"{vertex.note} fixed".strip()


def is_fixed(tape: Tape, index: int) -> bool:
    """Whether a node is a parameter that is not learned."""
    return ("fixed", True) in tape.kinds[int(tape.kind[index])].attrs
