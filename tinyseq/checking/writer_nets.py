"""Whole random programs: chains, plain loops, trees and heads one after the other, each reading what came before."""

from __future__ import annotations

from collections.abc import Callable

from tinyseq.checking import writer_lookups  # noqa: F401  its operations are in the table
from tinyseq.checking.operations import grow
from tinyseq.checking.programs import Program
from tinyseq.checking.writer import Value, Writer, fixed
from tinyseq.checking.writer_chains import chain, lengths
from tinyseq.checking.writer_loops import loop
from tinyseq.checking.writer_steps import batch, small, start, step
from tinyseq.checking.writer_trees import tree


def head(w: Writer) -> None:
    """Operations on whole values, outside any loop."""
    w.note("operations outside loops")
    found = [v for v in w.outside if fixed(v.shape)]
    values = found[-6:] or [w.array((2, small(w)))]
    before = len(values)
    values = grow(w, list(values), 1 + w.pick(3))
    w.outside += [v for v in values[before:] if fixed(v.shape)]


def again(w: Writer) -> None:
    """A cell from before, over another sequence."""
    found = [c for c in w.cells if all(fixed(s) for s in (*c.inputs, *c.states))]
    if not found:
        return chain(w)
    w.note("a cell used twice")
    cell, T = found[-1 - w.pick(len(found))], w.of([3, 2, 4, 1])
    inputs = ", ".join(w.array((T, *s)).text for s in cell.inputs)
    unfolded = w.name("u")
    state = cell.packed([start(w, s) for s in cell.states])
    w.line(f"{unfolded} = ts.unfold({cell.call}, ts.Chain({T}), ({inputs},), {state})")
    w.outside.append(w.let(f"{unfolded}.outputs", (T, *cell.output)))
    w.outside.append(w.let(cell.parts(f"{unfolded}.final")[0], cell.states[0]))
    return None


SECTIONS: list[Callable[[Writer], None]] = [loop, chain, loop, chain, lengths, tree, head, again]


def losses(w: Writer) -> str:
    """A sum of terms that read some of what there is."""
    terms = []
    found = [v for v in w.outside if fixed(v.shape) and not v.below]
    for place in range(1 + w.pick(3)):
        v = found[-1 - w.pick(min(len(found), 5))]
        if place == 0 or w.pick(3) == 2:  # through a weight of its own, so that there always is one
            v = w.linear(v, small(w)) if w.can_multiply(v) else w.let(f"{v.text} * {w.parameter(())}", v.shape)
        t, how = v.text, w.pick(9)
        if how == 1:
            terms.append(f"ts.mean({t} ** 2)")
        elif how == 2 and v.shape:
            terms.append(f"ts.sum({t} * {w.constant(v.shape)})")  # type: ignore[arg-type]
        elif how in (3, 4) and len(v.shape) >= 2:
            w.note("cross entropy")
            target = w.array(v.shape[:-1], int(v.shape[-1])).text  # type: ignore[arg-type]
            mask = ""
            if how == 4:
                w.note("ignored rows")
                mask = f", {w.constant(v.shape[:-1], 2)}"  # type: ignore[arg-type]
            terms.append(f"ts.cross_entropy({t}, {target}{mask}, reduction='sum')")
        elif how == 5 and v.shape:
            w.note("loss reads some rows")
            terms.append(f"ts.sum({t}[{w.of([0, -1])}])")
        elif how == 6 and len(v.shape) == 1:
            w.note("loss is an element of a vector")
            terms.append(f"{t}[0]")
        elif how == 7 and w.parameters:
            terms.append(f"0.1 * ts.norm({w.of(list(w.parameters))})")
        elif how == 8 and v.shape:
            terms.append(f"ts.mean(ts.max({t}, {w.pick(len(v.shape))}))")
        else:
            terms.append(f"ts.sum(ts.tanh({t}))")
    return " + ".join(terms)


def whole(pick: Callable[[int], int]) -> Program:
    """A program."""
    w = Writer(pick)
    w.blanks, w.computed, w.large = w.chance(10), w.of([4, 4, 2]), w.chance(4)
    if w.large:
        w.note("larger sizes")
    if w.chance(25):
        return checkpointed(w)
    for _ in range(w.of([1, 1, 2, 2, 3])):
        w.of(SECTIONS)(w)
    w.line(f"loss = {losses(w)}")
    result = "loss"
    if w.pick(3) == 2:
        w.note("several results")
        extra = [v.text for v in w.outside if fixed(v.shape) and not v.below][-1 - w.pick(2) :]
        result = ", ".join(["loss", *extra])
    w.line(f"return {result}")
    return finished(w)


def checkpointed(w: Writer) -> Program:
    """A loss summed over steps, run segment by segment."""
    w.note("checkpoints")
    T, B = w.of([3, 4, 5, 7]), batch(w)
    x, state = w.array((T, B, small(w))), w.array((B, small(w)))
    cell = step(w, [Value(x.text, x.shape[1:])], [state.shape])
    W = w.parameter(cell.output[-1:])  # type: ignore[arg-type]
    w.line(f"u = ts.unfold({cell.call}, ts.Chain({x.text}.shape[0]), {x.text}, {state.text})")
    w.line(f"return ts.sum({w.of([f'ts.tanh(u.outputs * {W})', f'u.outputs * u.outputs * {W}'])}), u.final")
    return finished(w, 1 + w.pick(3))


def finished(w: Writer, checkpoint: int = 0) -> Program:
    """The program, as a function of its inputs."""
    source = f"def program({', '.join(w.inputs)}):\n" + "\n".join([*w.head, *w.lines]) + "\n"
    return Program(source, w.parameters, w.inputs, w.constants, frozenset(w.features), checkpoint)
