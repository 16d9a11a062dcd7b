"""Random chains: a step unfolded over time, both ways, over sequences of several lengths."""

from __future__ import annotations

from tinyseq.checking.writer import Value, Writer
from tinyseq.checking.writer_steps import Cell, batch, sequence, small, start, starts, state_shape, step


def chain(w: Writer) -> None:
    """A step unfolded over a chain."""
    T, B = w.of([3, 2, 4, 5, 1, 6]), batch(w)
    w.note("unfolded chain")
    sequences = [sequence(w, T, B) for _ in range(1 + (w.pick(3) == 2) + (w.pick(5) == 4))]
    if w.chance(6):
        w.note("one sequence twice")
        sequences.append(sequences[0])
    delays, truncate = (1,), ""
    how = w.pick(6)
    if how == 4:
        delays = w.of([(2,), (1, 2), (1, 3), (4,), (1, 2, 4)])
        w.note("delays")
    elif how == 5:
        kind = w.of(["Chunk", "Window"])
        truncate = f", truncate=ts.{kind}({1 + w.pick(T + 2)})"
        w.note(f"truncated by {kind}")
    states = [state_shape(w, B) for _ in range(1 + (w.pick(3) == 2) + (w.pick(6) == 5))]
    if len(states) > 1:
        w.note("several states")
    given = [Value(v.text, v.shape[1:], v.below) for v in sequences]
    cell = step(w, given, states, len(delays), two=w.chance(6))
    initial = starts(w, states)
    unfolded = w.name("u")
    inputs = ", ".join(v.text for v in sequences)
    backwards = w.chance(4)
    if backwards:
        w.note("reversed")
    structure = f"ts.Chain({T}{', True' if backwards else ''})"
    more = f", delays={delays}" if delays != (1,) else ""
    w.line(f"{unfolded} = ts.unfold({cell.call}, {structure}, ({inputs},), {cell.packed(initial)}{more}{truncate})")
    outputs = w.let(f"{unfolded}.outputs{'[0]' if cell.second is not None else ''}", (T, *cell.output))
    if cell.second is not None:
        w.outside.append(w.let(f"{unfolded}.outputs[1]", (T, *cell.second)))
    w.outside.append(outputs)
    for part, shape in zip(cell.parts(f"{unfolded}.final"), states, strict=True):
        w.outside.append(w.let(part, shape))
    if w.pick(3) == 2 and cell.second is None:
        w.note("unread steps")
        w.outside.append(w.let(f"{unfolded}.output({w.pick(T)})", cell.output))
    if w.pick(4) == 3:
        w.outside.append(w.let(cell.parts(f"{unfolded}.state({w.pick(T)})")[0], states[0]))
    if w.pick(4) == 3 and delays == (1,) and not truncate and cell.second is None:
        both_ways(w, cell, sequences, initial, outputs, backwards)


def both_ways(w: Writer, cell: Cell, sequences: list[Value], initial: list[str], other: Value, backwards: bool) -> None:
    """The same cell over the same sequence in the other direction."""
    w.note("both directions")
    unfolded, T = w.name("u"), other.shape[0]
    structure = f"ts.Chain({T}{'' if backwards else ', True'})"
    inputs = ", ".join(v.text for v in sequences)
    w.line(f"{unfolded} = ts.unfold({cell.call}, {structure}, ({inputs},), {cell.packed(initial)})")
    w.outside.append(w.let(f"{unfolded}.outputs", other.shape))
    if cell.output:
        n = cell.output[-1]
        assert isinstance(n, int)
        w.outside.append(w.let(f"ts.concatenate([{other.text}, {w.outside[-1].text}])", (T, *cell.output[:-1], 2 * n)))


def lengths(w: Writer) -> None:
    """A step unfolded over sequences of different lengths."""
    w.note("sequences of different lengths")
    sizes = [1 + w.pick(4) for _ in range(1 + w.pick(10 if w.large else 4))]
    total, B = sum(sizes), len(sizes)
    sequences = [w.array((total,), 4) if w.pick(5) == 4 else w.array((total, small(w)))]
    if w.pick(4) == 3:
        sequences.append(w.array((total,) if w.pick(2) else (total, small(w))))
    if w.chance(8):
        w.note("one sequence twice")
        sequences.append(sequences[0])
    states = [state_shape(w, "rows") for _ in range(1 + (w.pick(3) == 2))]
    given = [Value(v.text, ("rows", *v.shape[1:]), v.below) for v in sequences]
    truncate, how = "", w.pick(6)
    if how == 5:
        kind = w.of(["Chunk", "Window"])
        truncate = f", truncate=ts.{kind}({1 + w.pick(4)})"
        w.note(f"truncated by {kind}")
    delays: tuple[int, ...] = (1, 2) if how == 4 else (1,)
    cell = step(w, given, states, len(delays))
    if how == 4:
        w.note("delays")
        truncate = f", delays={delays}"
    initial = [start(w, (B, *s[1:])) for s in states]
    unfolded = w.name("u")
    backwards = ", True" if w.chance(4) else ""
    if backwards:
        w.note("reversed")
    inputs = ", ".join(v.text for v in sequences)
    w.line(
        f"{unfolded} = ts.unfold({cell.call}, ts.Chain({sizes}{backwards}), ({inputs},), "
        f"{cell.packed(initial)}{truncate})"
    )
    if cell.output[:1] == ("rows",):
        w.outside.append(w.let(f"{unfolded}.outputs", (total, *cell.output[1:])))
    for part, shape in zip(cell.parts(f"{unfolded}.final"), states, strict=True):
        w.outside.append(w.let(part, (B, *shape[1:])))
