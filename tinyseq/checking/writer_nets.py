"""Whole random programs: chains, plain loops, trees and heads one after the other, each reading what came before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinyseq.checking.programs import Program
from tinyseq.checking.writer import Size, Sizes, Value, Writer, fixed, written
from tinyseq.checking.writer_ops import grow, near


@dataclass
class Cell:
    """A step that was written: how to call it, and the shapes of what it takes and gives."""

    call: str
    inputs: tuple[Sizes, ...]
    states: tuple[Sizes, ...]
    output: Sizes
    form: str
    second: Sizes | None = None  # the shape of its second output, where it has two

    def packed(self, parts: Sequence[str]) -> str:
        """The state of such parts, as text."""
        return packed(self.form, parts)

    def parts(self, text: str) -> list[str]:
        """The parts of a state, as text."""
        if self.form == "one":
            return [text]
        if self.form == "dict":
            return [f"{text}['s{k}']" for k in range(len(self.states))]
        if self.form == "nested" and len(self.states) > 1:
            return [f"{text}[0]", *[f"{text}[1][{k}]" for k in range(len(self.states) - 1)]]
        return [f"{text}[{k}]" for k in range(len(self.states))]


def packed(form: str, parts: Sequence[str]) -> str:
    """Parts of a state put together."""
    if form == "one":
        return parts[0]
    if form == "dict":
        return "{" + ", ".join(f"'s{k}': {p}" for k, p in enumerate(parts)) + "}"
    if form == "nested" and len(parts) > 1:
        return f"({parts[0]}, ({', '.join(parts[1:])},))"
    return f"({', '.join(parts)},)"


def small(w: Writer) -> int:
    """A width."""
    return int(w.of([3, 2, 1, 4, 5] if not w.large else [8, 3, 17, 16, 5]))


def batch(w: Writer) -> int:
    """A number of rows; many are shared among threads."""
    return int(w.of([2, 1, 3, 4] if not w.large else [8, 5, 9, 16]))


def state_shape(w: Writer, rows: Size) -> Sizes:
    """The shape of a state: mostly (B, H)."""
    shape: Sizes = w.of(
        [(rows, small(w)), (rows, small(w)), (rows, small(w)), (rows, 2, small(w)), (small(w),), (rows, 1), (1, 2), ()]
        if isinstance(rows, int)
        else [(rows, small(w)), (rows, small(w)), (rows, 2, small(w))]
    )
    if len(shape) != 2:
        w.note(f"state of rank {len(shape)}")
    return shape


def start(w: Writer, shape: Sizes) -> str:
    """An initial state."""
    assert fixed(shape)
    how = w.pick(6)
    found = [v for v in w.outside if v.shape == shape and not v.below]
    if how >= 4 and found:
        w.note("start from a value")
        return found[-1 - w.pick(len(found))].text
    if how == 1:
        return w.array(shape).text  # type: ignore[arg-type]
    if how == 2 and shape:
        return w.let(f"ts.expand({w.parameter(shape[-1:])}, {written(shape)})", shape).text  # type: ignore[arg-type]
    if how == 3:
        return w.let(f"{w.parameter(shape)} * 1.0", shape).text  # type: ignore[arg-type]
    return f"ts.zeros({written(shape)}, DTYPE)"


def starts(w: Writer, shapes: Sequence[Sizes]) -> list[str]:
    """Initial states; two of one shape may be one value."""
    made: list[str] = []
    for k, shape in enumerate(shapes):
        same = [made[j] for j in range(k) if shapes[j] == shape]
        if same and w.pick(2):
            w.note("one start for two states")
        made.append(w.of(same) if same and "one start for two states" in w.features else start(w, shape))
    return made


def new_state(w: Writer, values: list[Value], old: Value, inputs: list[Value]) -> str:
    """What a state becomes."""
    how = w.pick(8)
    same = [v for v in inputs if v.shape == old.shape and not v.below]
    if how >= 6 and same:
        w.note("state is the last input")
        return w.of(same).text
    x = w.fit(values[-1] if how < 4 else near(w, values), old.shape)
    if how == 1:
        w.note("leaky state")
        return f"0.5 * {old.text} + 0.5 * ts.tanh({x.text})"
    if how == 5:
        z = w.fit(near(w, values), old.shape)
        return f"ts.sigmoid({z.text}) * {old.text} + ts.tanh({x.text})"
    if how == 7:
        w.note("state unchanged")
        return old.text
    return f"ts.tanh({x.text})"


def renamed(w: Writer, shapes: Sequence[Sizes], names: Sequence[str]) -> list[Sizes]:
    """Shapes as a step sees them: a size that differs is read from the first argument that has it."""
    known: dict[str, str] = {}
    made = []
    for shape, name in zip(shapes, names, strict=True):
        for axis, n in enumerate(shape):
            if isinstance(n, str) and n not in known:
                known[n] = w.name("n")
                w.line(f"{known[n]} = {name}.shape[{axis}]")
        made.append(tuple(known.get(n, n) if isinstance(n, str) else n for n in shape))
    return made


def step(
    w: Writer, inputs: Sequence[Value], states: Sequence[Sizes], delays: int = 1, form: str = "", two: bool = False
) -> Cell:
    """Write a step, as a function or a cell: ``(inputs…, state) → state, output``."""
    form = form or w.of(["one"] if len(states) == 1 else ["tuple", "dict", "nested"])
    name = w.name("step")
    as_cell = w.pick(3) == 2
    names = [w.name("a") for _ in inputs]
    if as_cell:
        w.line(f"class {name.title()}(ts.nn.Cell):")
        w.line(f"    name = '{name}'")
        w.indent += 1
    w.line(f"def {'step' if as_cell else name}({', '.join([*(['self'] if as_cell else []), *names, 'state'])}):")
    w.indent += 1
    cell = Cell(name, tuple(v.shape for v in inputs), tuple(states), (), form)
    texts = []
    for d in range(delays):
        texts += cell.parts("state" if delays == 1 else f"state[{d}]")
    olds = [w.name("h") for _ in texts]
    for name_of_old, text in zip(olds, texts, strict=True):
        w.line(f"{name_of_old} = {text}")
    shapes = renamed(w, [*[v.shape for v in inputs], *(list(states) * delays)], [*names, *olds])
    given = [Value(n, s, v.below) for n, s, v in zip(names, shapes[: len(inputs)], inputs, strict=True)]
    old = [Value(n, s) for n, s in zip(olds, shapes[len(inputs) :], strict=True)]
    values = [*given, *old] if w.pick(2) else [*old, *given]
    values = grow(w, values, 1 + w.pick(5))
    new = [w.let(new_state(w, values, h, given), h.shape) for h in old[: len(states)]]
    out = output(w, values, new)
    text = out.text
    if two:
        w.note("two outputs")
        other = output(w, values, new)
        text, cell.second = f"({out.text}, {other.text})", other.shape
    w.line(f"return {cell.packed([v.text for v in new])}, {text}")
    w.indent -= 1
    if as_cell:
        w.indent -= 1
        w.line(f"{name} = {name.title()}()")
    back = {}
    for seen, outside in zip(shapes, [*[v.shape for v in inputs], *(list(states) * delays)], strict=True):
        back.update(dict(zip(seen, outside, strict=True)))
    cell.output = tuple(back.get(n, n) if isinstance(n, str) else n for n in out.shape)
    if delays == 1 and not two and not any(v.below for v in inputs):
        w.cells.append(cell)
    return cell


def output(w: Writer, values: list[Value], new: list[Value]) -> Value:
    """What a step gives: a state, or something else with its rows."""
    if w.pick(2) == 0:
        return new[0]
    x = near(w, values)
    rows = new[0].shape[:1]
    if rows and isinstance(rows[0], str) and x.shape[:1] != rows:
        return w.fit(x, (rows[0], small(w)))
    return x


def sequence(w: Writer, T: int, B: int) -> Value:
    """Something to read step by step: an input, tokens, or values from before."""
    found = [v for v in w.outside if len(v.shape) >= 2 and v.shape[0] == T and fixed(v.shape)]
    how = w.pick(6)
    if found and how in (0, 4, 5):
        w.note("layers")
        return found[-1 - w.pick(len(found))]
    if how == 2:
        return w.array((T, B), 4)
    if how == 3:
        return w.array(w.of([(T, small(w)), (T,), (T, B, 2, small(w)), (T, 1, small(w))]))
    return w.array((T, B, small(w)))


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


class Loop:
    """A plain Python loop, as its lines are written: states, what is kept, what differs from step to step."""

    def __init__(self, w: Writer) -> None:
        self.w = w
        self.T, self.B = w.of([3, 2, 4, 5, 6, 8]), batch(w)
        self.shrinks = w.chance(6)
        self.sizes = sorted((1 + w.pick(10 if w.large else 4) for _ in range(self.T)), reverse=True)
        self.states: list[Value] = []
        self.values: list[Value] = []
        self.inputs: list[Value] = []

    def write(self) -> None:
        """The loop, and what later lines may read of it."""
        w = self.w
        w.note("plain loop")
        rows: Size = self.B
        if self.shrinks:
            w.note("a batch that shrinks in a loop")
            self.B = self.sizes[0]
            rows = w.name("b")
        shapes: list[Sizes] = [(rows, small(w))] if self.shrinks else [state_shape(w, rows)]
        if w.pick(3) == 2:
            w.note("several states")
            shapes.append((rows, small(w)) if self.shrinks else state_shape(w, rows))
        for shape in shapes:
            name = w.name("h")
            w.line(f"{name} = {start(w, tuple(self.B if n == rows else n for n in shape) if self.shrinks else shape)}")
            self.states.append(Value(name, shape))
        self.keeps = w.pick(3) == 2
        self.history, self.outs = w.name("history"), w.name("outs")
        if self.keeps:
            w.line(f"{self.history} = []")
        w.line(f"{self.outs} = []")
        self.prepare(rows)
        w.line(f"for t in range({self.T}):")
        w.indent += 1
        if self.shrinks:
            w.line(f"{rows} = {self.sizes}[t]")
            for h in self.states:
                w.line(f"{h.text} = {h.text}[:{rows}]")
        self.read()
        self.body(rows)
        w.indent -= 1
        self.after(rows)

    def prepare(self, rows: Size) -> None:
        """What the loop reads at step t."""
        w = self.w
        self.reads: list[tuple[str, Sizes, int]] = []
        for _ in range(1 + (w.pick(3) == 2)):
            how = w.pick(7)
            if self.shrinks:
                n = small(w)
                self.reads.append((f"{w.arrays([(b, n) for b in self.sizes])}[t]", (rows, n), 0))
            elif how in (4, 5):
                self.reads.append(self.differing(how))
            elif how == 6:
                w.note("steps picked in another order")
                v = sequence(w, self.T, self.B)
                order = w.of([f"{self.T - 1} - t", f"{np.random.default_rng(self.T).permutation(self.T).tolist()}[t]",
                    "t // 2", "0 if t % 2 else t"])  # fmt: skip
                self.reads.append((f"{v.text}[{order}]", v.shape[1:], v.below))
            else:
                v = sequence(w, self.T, self.B)
                self.reads.append((f"{v.text}[t]", v.shape[1:], v.below))

    def differing(self, how: int) -> tuple[str, Sizes, int]:
        """A list of arrays whose first sizes differ: words of a bag, places of a memory."""
        w = self.w
        w.note("sizes differ from step to step")
        sizes = [1 + w.pick(3) for _ in range(self.T)]
        if w.pick(3) == 2:
            sizes = [1 + t % 2 for t in range(self.T)]
        m = w.name("m")
        if how == 4:
            w.note("bags of words")
            name = w.arrays([(n,) for n in sizes], 4)
            return f"{name}[t]", (m,), 4
        n = small(w)
        return f"{w.arrays([(s, n) for s in sizes])}[t]", (m, n), 0

    def read(self) -> None:
        """Write the lines that read the inputs of a step."""
        w = self.w
        for text, shape, below in self.reads:
            v = w.let(text, shape, below)
            if shape and isinstance(shape[0], str) and shape[0].startswith("m"):
                w.line(f"{shape[0]} = {v.text}.shape[0]")
            self.inputs.append(v)

    def body(self, rows: Size) -> None:
        """One step."""
        w = self.w
        values = [*self.inputs, *self.states]
        if self.keeps:
            values.append(self.remembered())
        if w.pick(5) == 4:
            values.append(self.through_a_cell())
        values = grow(w, values, 1 + w.pick(5))
        for h in self.states:
            w.line(f"{h.text} = {new_state(w, values, h, self.inputs)}")
        how = w.pick(9)
        h = self.states[0]
        if how == 6 and h.shape and isinstance(h.shape[-1], int) and len(h.shape) > 1:
            w.note("every other step")
            n = h.shape[-1]
            w.line("if t % 2:")
            w.line(f"    {h.text} = ts.tanh({h.text} @ {w.parameter((n, n))})")
        elif how == 7:
            w.note("detach at some steps")
            w.line("if t == 1:")
            w.line(f"    {h.text} = {h.text}.detach()")
        elif how == 8 and h.shape and len(h.shape) > 1 and isinstance(h.shape[-1], int):
            w.note("loop within a step")
            n = h.shape[-1]
            w.line(f"for k in range({1 + w.pick(3)}):")
            w.line(f"    {h.text} = 0.5 * {h.text} + ts.tanh({h.text} @ {w.parameter((n, n))})")
        # what is given out: without sizes that differ, but for the batch
        x = h if w.pick(2) == 0 else near(w, values)
        if any(isinstance(n, str) and n != rows for n in x.shape) or (self.shrinks and x.shape[:1] != (rows,)):
            x = w.fit(x, (rows, small(w)))
        self.out = x.shape
        w.line(f"{self.outs}.append({x.text})")

    def remembered(self) -> Value:
        """All states so far, or the last few, in one value."""
        w = self.w
        h = self.states[-1]
        cut = f"[v[:{h.shape[0]}] for v in {self.history}]" if self.shrinks else self.history
        w.line(f"{self.history}.append({h.text})")
        m = w.name("m")
        how = w.pick(5)
        if how == 4:
            w.note("a state some steps ago")
            return w.let(f"{cut}[-min({2 + w.pick(3)}, len({self.history}))]", h.shape)
        window = ""
        if how in (2, 3):
            w.note("window over the last states")
            window = f"[-{1 + w.pick(3)}:]"
        else:
            w.note("history of all states")
        if how == 3 and len(h.shape) >= 1 and fixed(h.shape):
            S = w.let(f"ts.concatenate({cut}{window}, 0)", (m, *h.shape[1:]))
        else:
            S = w.let(f"ts.stack({cut}{window})", (m, *h.shape))
        w.line(f"{m} = {S.text}.shape[0]")
        if len(S.shape) == 3 and w.pick(2):
            return self.attended(S, h)
        if len(S.shape) > 3:
            return w.reduce(S, 0, False)
        return S

    def attended(self, S: Value, h: Value) -> Value:
        """Attention of the state over the states so far."""
        w = self.w
        w.note("attention over a history")
        m, b, n = S.shape
        q = w.linear(h, int(n)) if w.pick(2) else h
        weights = w.let(f"ts.softmax(ts.transpose(ts.sum({S.text} * {q.text}, 2)))", (b, m))
        placed = f"ts.reshape(ts.transpose({weights.text}), {written((m, b, 1))})"
        return w.let(f"ts.sum({placed} * {S.text}, 0)", (b, n))

    def through_a_cell(self) -> Value:
        """A new cell, called with an input of the step: one cell at several sizes."""
        w = self.w
        x = self.inputs[0]
        rows = x.shape[0] if x.shape and isinstance(x.shape[0], str) else 2
        lines, w.lines, indent, w.indent = w.lines, [], w.indent, 1
        cell = step(w, [x], [(rows, small(w))] if rows == 2 or x.shape[1:] else [(small(w),)], form="one")
        made, w.lines, w.indent = w.lines, lines, indent
        w.head += made
        if not fixed(x.shape):
            w.note("one cell at several sizes")
        h = w.fit(self.states[0], cell.states[0]) if fixed(cell.states[0]) else None
        state = h.text if h else f"ts.zeros({written(cell.states[0])}, DTYPE)"
        s, o = w.name("s"), w.name("o")
        w.line(f"{s}, {o} = {cell.call}({x.text}, {state})")
        return Value(o, cell.output)

    def after(self, rows: Size) -> None:
        """What the loop leaves."""
        w = self.w
        if self.shrinks:
            w.outside.append(w.let(f"ts.concatenate({self.outs}, 0)", (sum(self.sizes), *self.out[1:])))
            for h in self.states:
                w.outside.append(Value(h.text, (self.sizes[-1], *h.shape[1:])))
            return
        how = w.pick(4)
        if how == 3:
            w.note("unread steps")
            k = w.pick(self.T)
            w.outside.append(w.let(f"{self.outs}[{k}]", self.out))
        elif how == 2 and self.T > 2:
            w.note("unread steps")
            w.outside.append(w.let(f"ts.stack({self.outs}[::2])", ((self.T + 1) // 2, *self.out)))
        else:
            w.outside.append(w.let(f"ts.stack({self.outs})", (self.T, *self.out)))
        w.outside += self.states


def loop(w: Writer) -> None:
    """A plain loop."""
    Loop(w).write()


def tree(w: Writer) -> None:
    """A cell over a tree or forest, over inputs or values from before."""
    w.note("tree")
    arity = w.of([2, 0, 3, 1])  # 0: mixed
    trees = [branches(w, arity) for _ in range(w.of([1, 1, 2, 3]))]
    forest = len(trees) > 1
    leaves = sum(not children for t in trees for children in t)
    nodes = sum(map(len, trees))
    inside = w.chance(4)
    count = nodes if inside else leaves
    shared = 2 if not forest and w.chance(4) else 0
    x = rows_for_leaves(w, count, shared)
    n = small(w)
    state: Sizes = (shared or 1, n)
    two = w.chance(4)
    name = w.name("Net")
    W = w.name("x")
    w.line(f"class {name}(ts.nn.Cell):")
    w.line(f"    name = '{name.lower()}'")
    w.indent += 1
    w.line(f"def leaf(self, {W}):")
    w.indent += 1
    row: Sizes = (shared or 1, *x.shape[(2 if shared else 1) :])
    given = Value(W, row, x.below)
    values = grow(w, [given], w.pick(3))
    parts = [w.bounded(w.fit(values[-1 - k % len(values)], state)).text for k in range(1 + two)]
    w.line(f"return {packed('tuple' if two else 'one', parts)}")
    w.indent -= 1
    merge(w, state, two, arity, row if inside else None, x.below)
    w.indent -= 1
    unfolded = w.name("u")
    shape = (
        f"ts.Forest([{', '.join(f'ts.Tree.from_children({t})' for t in trees)}])"
        if forest
        else (f"ts.Tree.from_children({trees[0]})")
    )
    if forest:
        w.note("forest")
    if inside:
        w.note("features inside trees")
    if shared:
        w.note("a tree shared by a batch")
    w.line(f"{unfolded} = ts.unfold({name}(), {shape}, {x.text})")
    pick = "[0]" if two else ""
    if w.pick(2):
        w.outside.append(w.let(f"{unfolded}.states{pick}", (nodes, shared, n) if shared else (nodes, n)))
    if w.chance(4):
        w.outside.append(w.let(f"{unfolded}.state({w.pick(nodes)}){pick}", state))
    w.outside.append(w.let(f"{unfolded}.roots{pick}", (len(trees), n) if forest else state))


def rows_for_leaves(w: Writer, count: int, shared: int) -> Value:
    """The inputs of a tree: an array, tokens, or the outputs of what came before."""
    found = [v for v in w.outside if len(v.shape) == (3 if shared else 2) and fixed(v.shape)]
    found = [v for v in found if isinstance(v.shape[0], int) and v.shape[0] >= count]
    found = [v for v in found if not shared or v.shape[1] == shared]
    if found and w.pick(2):
        w.note("tree over values from before")
        v = found[-1 - w.pick(len(found))]
        return w.let(f"{v.text}[:{count}]", (count, *v.shape[1:]))
    lead = (count, shared) if shared else (count,)
    if w.pick(4) == 3:
        return w.array(lead, 4)
    return w.array((*lead, small(w)))


def branches(w: Writer, arity: int) -> list[list[int]]:
    """Children of each node; ``arity`` 0 for mixed."""
    children: list[list[int]] = [[]]
    open_nodes = [0]
    for _ in range(w.pick(14 if w.large else 5)):
        node = open_nodes.pop(w.pick(len(open_nodes)))
        k = arity or 1 + w.pick(3)
        if arity == 0 and w.chance(3):
            w.note("mixed arity")
        for _ in range(k):
            children[node].append(len(children))
            open_nodes.append(len(children))
            children.append([])
    return children


def merge(w: Writer, state: Sizes, two: bool, arity: int, row: Sizes | None, below: int) -> None:
    """The merge of a tree's cell."""
    names = [w.name("c") for _ in range(arity or 1)]
    star = ", *rest" if arity == 0 else ""
    x = ", x" if row and not star else (", x=None" if row else "")
    w.line(f"def merge(self, {', '.join(names)}{star}{x}):")
    w.indent += 1
    values = []
    if row:
        values.append(Value("x", row, below))
    for name in names:
        for k in range(1 + two):
            values.append(w.let(f"{name}[{k}]" if two else f"{name} * 1.0", state))
    if arity == 0:
        n = state[-1]
        assert isinstance(n, int)
        pick = "[0]" if two else ""
        first = f"{names[0]}{pick}"
        how = w.pick(3)
        if how == 0:
            h = w.let(f"{first} * 0.5", state)
            w.line("for c in rest:")
            w.line(f"    {h.text} = {h.text} * c{pick} + ts.tanh(c{pick} @ {w.parameter((n, n))})")
            values.append(h)
        else:
            m = w.name("m")
            joined = f"[c{pick} for c in ({names[0]}, *rest)]"
            S = (
                w.let(f"ts.stack({joined})", (m, *state))
                if how == 1
                else (w.let(f"ts.concatenate({joined}, 0)", (m, n)))
            )
            w.note("sizes differ from step to step")
            w.line(f"{m} = {S.text}.shape[0]")
            values.append(S)
    values = grow(w, values, 1 + w.pick(4))
    parts = [w.bounded(w.fit(near(w, values), state)).text for _ in range(1 + two)]
    w.line(f"return {packed('tuple' if two else 'one', parts)}")
    w.indent -= 1


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
