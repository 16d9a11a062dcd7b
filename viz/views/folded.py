"""The folded graph: one step, with a black square on every arrow that comes from an earlier one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.structure.chain import Chain
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, tensor
from tinyseq.unfolding.unfold import unfold
from tinyseq.viz.diagram import Diagram, Link, Vertex
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.excerpt.positions import Positions, is_tree
from tinyseq.viz.look import labels
from tinyseq.viz.units.primitives import Reduced, Unit
from tinyseq.viz.views import strips
from tinyseq.viz.views.trees import bare, parameters, reduce, vertex

AROUND = 6  # steps on both sides that tell a chain from a tree


def folded(
    tape: Tape,
    detail: str = "cell",
    keep: np.ndarray | None = None,
    through: Collection[str] = (),
    opened: Collection[str] = (),
) -> Diagram:
    """The folded graph of a tape: a middle step, its late inputs drawn as delayed arrows."""
    step = typical_step(tape, keep)
    if step is None:
        return bare(tape, None, detail, keep)
    total = int(tape.step.max(initial=-1)) + 1
    chained = not is_tree(tape, keep)
    if chained:
        chained = Excerpt(tape, range(max(0, step - AROUND), min(total, step + AROUND)), keep).is_chain
    shown = [step] if chained else sorted({step, *_kinds(tape, keep)})
    excerpt = Excerpt(tape, shown, keep, chained=chained)
    reduced = reduce(excerpt, detail, through, True, opened)
    diagram = Diagram("folded", detail, parameters=parameters(excerpt))
    diagram.repeats, diagram.counts = total, excerpt.counts
    diagram.repeated = "time step" if chained else "position"
    _fold(excerpt, reduced, diagram, chained)
    strips.assign(diagram, tape)
    loops = [f"{diagram.vertex(e.source).text} to {diagram.vertex(e.target).text}" for e in diagram.links if e.delay]
    diagram.description = (
        f"Folded graph: one time step with nodes {', '.join(v.text for v in diagram.vertices[:12])}; "
        f"delayed arrows: {', '.join(loops) or 'none'}."
    )
    return diagram


def _fold(excerpt: Excerpt, reduced: Reduced, diagram: Diagram, chained: bool) -> None:
    """Units that stand for one another become one, arrows between steps (or positions) late.

    On a tree what is called alike in leaves, inner nodes and root is drawn once; where that would lead round in a
    circle, leaves are drawn for themselves.
    """
    places: list[dict[str, tuple]] = [{u.id: u.key for u in reduced.units.values()}]
    if not chained:
        readers = _readers(reduced)
        alike = {u.id: _alike(u) for u in reduced.units.values()}
        leaves = {u.id: u.step not in readers for u in reduced.units.values()}
        places = [alike, {i: (*place, leaves[i]) for i, place in alike.items()}, {i: (i,) for i in alike}]
    for place in places:
        diagram.links = []
        _merge(excerpt, reduced, diagram, place, chained)
        graph: dict[str, set[str]] = {}
        for link in diagram.links:
            if not link.delay:
                graph.setdefault(link.target, set()).add(link.source)
        try:
            TopologicalSorter(graph).prepare()
            return
        except CycleError:
            continue


def _readers(reduced: Reduced) -> set[int | None]:
    """Steps that read others."""
    units = reduced.units
    return {units[w.target].step for w in reduced.wires if units[w.source].step != units[w.target].step}


def _merge(excerpt: Excerpt, reduced: Reduced, diagram: Diagram, place: dict[str, tuple], chained: bool) -> None:
    here: dict[tuple, Vertex] = {}
    for unit in reduced.units.values():
        drawn = unit.step is not None or not chained or excerpt.is_source(unit.node)
        if not unit.ghost and unit.initial is None and drawn:
            made = here.setdefault(place[unit.id], vertex(unit, 0, unit.label))
            made.key = place[unit.id]
    seen: set[tuple] = set()
    for wire in reduced.wires:
        source, target = reduced.units[wire.source], reduced.units[wire.target]
        if place[target.id] not in here:
            continue
        delay = _delay(excerpt, source, target)
        delay = 1 if delay and not chained else delay  # on a tree: the children's
        if place[source.id] not in here:
            other = here[place[source.id]] = vertex(source, 0, source.label)
            other.dashed, other.key = source.ghost, place[source.id]
            delay = 0
        start, end = here[place[source.id]].id, here[place[target.id]].id
        link = Link(start, end, wire.names, delay, recurrent=delay != 0, cut=wire.cut)
        same = (start, end, delay, link.label if delay and not chained else "")
        if (chained and source.initial is None) or (same not in seen and (delay or start != end)):
            diagram.links.append(link)
        seen.add(same)
    diagram.vertices = list(here.values())


def _delay(excerpt: Excerpt, source: Unit, target: Unit) -> int:
    """By how many steps a unit is read late."""
    if source.initial is not None:
        return target.step - source.time if source.time is not None and target.step is not None else 1
    in_steps = excerpt.tape.step[target.node] >= 0 and excerpt.tape.step[source.node] >= 0
    return target.step - source.step if in_steps and None not in (source.step, target.step) else 0  # type: ignore[operator]


def _alike(unit: Unit) -> tuple:
    named = any(run.style == labels.ITALIC for run in unit.label)
    return ("named", labels.text_of(unit.label)) if named and not unit.name else unit.key


def _kinds(tape: Tape, keep: np.ndarray | None) -> list[int]:
    """A leaf of a tree, an inner node, and the roots."""
    positions = Positions(tape, keep)
    leaves = [p for p in range(positions.total) if p not in positions.children]
    inner = [p for p in positions.children if p not in positions.roots]
    return [*leaves[:1], *inner[-1:], *positions.roots[:1]]


def typical_step(tape: Tape, keep: np.ndarray | None = None) -> int | None:
    """The step with the most late inputs, of several one made as most are; None on a tape without steps."""
    step, pointers, inputs = tape.step, tape.input_pointers, tape.input_indices
    if keep is not None:
        step = np.where(keep, step, -1)
    total = int(step.max(initial=-1)) + 1
    if total == 0:
        return None
    reader = np.repeat(step, np.diff(pointers))
    late = (reader >= 0) & (step[inputs] >= 0) & (reader != step[inputs])
    counts = np.bincount(reader[late], minlength=total)
    best = np.flatnonzero(counts == counts.max())
    middle = best[max(0, len(best) // 2 - AROUND) : len(best) // 2 + AROUND + 1]
    made = {int(s): tuple(tape.kind[step == s].tolist()) for s in middle}
    usual = max(dict.fromkeys(made.values()), key=list(made.values()).count)
    alike = [s for s, kinds in made.items() if kinds == usual]
    return alike[len(alike) // 2]


# -- cells ----------------------------------------------------------------------------------------------------------
BATCH = 1


def tape_of(cell: Any, delays: Sequence[int] = (1,), inputs: Any = None, state: Any = None) -> tuple[Tape, int]:
    """A scratch tape with the cell unfolded, and the step to call t.

    The step taken is ``loss_step`` where the cell has one. Shapes of inputs and state come from the cell's sizes
    (``input_size``, ``hidden_size``, ``output_size``, ``initial_state``), or are given: arrays of one step, (B, …).
    """
    reach = max(*delays, *own_delays(cell))
    chain = Chain(2 * reach + 3)
    tape = Tape()
    with tape:
        start = _state(cell, state)
        step, arguments = cell.step, _inputs(cell, inputs)
        if inputs is None and hasattr(cell, "loss_step") and hasattr(cell, "output_size"):
            step = cell.loss_step
            arguments = (*arguments, np.zeros(BATCH, np.int64))
        names = ("x", "y") if len(arguments) <= 2 else tuple(f"x_{i + 1}" for i in range(len(arguments)))
        sequences = tuple(
            tensor(np.broadcast_to(a, (chain.T, *np.shape(a))), name=n) for a, n in zip(arguments, names, strict=False)
        )
        unfold(_Step(cell, step), chain, sequences, start, delays=tuple(delays))
    return tape, reach + 1


def own_delays(cell: Any) -> tuple[int, ...]:
    """How far back a cell reads through a delay line of its own (nn.SkipCell)."""
    found = getattr(cell, "delays", ())
    whole = isinstance(found, (tuple, list)) and all(isinstance(d, int) and d > 0 for d in found)
    return tuple(found) if whole and found else (1,)


class _Step:
    """A step of a cell under the cell's own name."""

    def __init__(self, cell: Any, step: Any) -> None:
        self.name, self.step = getattr(cell, "name", type(cell).__name__), step
        self.parameters = cell.parameters


def _dtype(cell: Any) -> np.dtype:
    return next((p.dtype for p in cell.parameters()), np.dtype(np.float32))


def _inputs(cell: Any, given: Any) -> tuple[np.ndarray, ...]:
    if given is not None:
        return tuple(np.asarray(a) for a in (given if isinstance(given, tuple) else (given,)))
    size = getattr(cell, "input_size", None)
    if size is None:
        raise TinyseqError(
            f"to draw {type(cell).__name__} tinyseq must know the shape of one input: give the cell an input_size, "
            "or draw(cell, inputs=array of shape (B, F))"
        )
    return (np.zeros((BATCH, int(size)), _dtype(cell)),)


def _state(cell: Any, given: Any) -> Any:
    if given is not None:
        return given
    if hasattr(cell, "initial_state"):
        start = cell.initial_state(BATCH)
        return start.named("h") if isinstance(start, Tensor) and not start.name else start
    size = getattr(cell, "hidden_size", None)
    if size is None:
        raise TinyseqError(
            f"to draw {type(cell).__name__} tinyseq must know the shape of its state: give the cell a hidden_size or "
            "initial_state(batch), or draw(cell, state=array of shape (B, H))"
        )
    return as_tensor(np.zeros((BATCH, int(size)), _dtype(cell)))


def any_batch(diagram: Diagram) -> None:
    """Write T and B for the length and the batch of 1 that a scratch tape has."""
    for v in diagram.vertices:
        if not v.shape or v.role == "parameter":
            continue
        text, axes = labels.shape(v.shape), ("B",) if v.shape[0] == BATCH else ()
        if v.role == "data" and v.shape[0] != BATCH and v.shape[1:2] == (BATCH,):
            axes = ("T", "B")  # type: ignore[assignment]
        v.shape = (*axes, *v.shape[len(axes) :])  # type: ignore[assignment]
        v.note = labels.shape(v.shape) if v.note == text else v.note


def relative_time(centre: int) -> Any:
    """Time steps written as t−1, t, t+1."""

    def write(t: int) -> str:
        return "t" if t == centre else f"t{'+' if t > centre else '−'}{abs(t - centre)}"

    return write
