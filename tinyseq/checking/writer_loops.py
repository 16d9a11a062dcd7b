"""Random plain loops: several states, delays, memories, members that differ, batches that shrink."""

from __future__ import annotations

import numpy as np

from tinyseq.checking.operations import grow, near
from tinyseq.checking.writer import Size, Sizes, Value, Writer, fixed, written
from tinyseq.checking.writer_steps import batch, new_state, sequence, small, start, state_shape, step


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
