"""What a line of a random program may look up: memories, integers; what is called, stacked or turned around."""

from __future__ import annotations

from tinyseq.checking import writer_ops  # noqa: F401  its operations come first in the table
from tinyseq.checking.operations import near, operation
from tinyseq.checking.writer import Value, Writer, broadcasts, fixed, written


@operation(2)
def outside(w: Writer, values: list[Value]) -> Value | None:
    """A value from outside the loop: joined, added, or a memory to look something up in."""
    found = [v for v in w.outside if fixed(v.shape) and not v.below and 1 <= len(v.shape) <= 3]
    x = near(w, values)
    if not found:
        return None
    m = found[-1 - w.pick(len(found))]
    w.note("value from outside")
    if broadcasts(m.shape, x.shape):
        return w.let(f"{x.text} {w.of(['+', '*'])} {m.text}", x.shape)
    if len(m.shape) == 2 and w.pick(2):
        return attend_by_pairs(w, x, m)
    if len(m.shape) == 3:
        return attend(w, x, m)
    return w.let(f"{x.text} + {w.fit(m, x.shape).text}", x.shape)


def attend(w: Writer, x: Value, memory: Value) -> Value:
    """x asks a memory (places, B, H) or (B, places, H): what it finds is (B, H)."""
    w.note("attention")
    p, b, h = memory.shape
    if w.pick(2):
        q = w.fit(x, (p, 1, h))
        scores = w.let(f"ts.reshape({memory.text} @ ts.transpose({q.text}, (0, 2, 1)), {written((p, b))})", (p, b))
        weights = w.let(f"ts.reshape(ts.softmax({scores.text}), {written((p, 1, b))})", (p, 1, b))
        return w.let(f"ts.reshape({weights.text} @ {memory.text}, {written((p, h))})", (p, h))
    q = w.fit(x, (b, h))
    scores = w.let(f"ts.softmax(ts.sum({memory.text} * {q.text}, 2).T + 0.0)", (b, p))
    placed = f"ts.reshape(ts.transpose({scores.text}), {written((p, b, 1))})"
    return w.let(f"ts.sum({placed} * {memory.text}, 0)", (b, h))


def attend_by_pairs(w: Writer, x: Value, memory: Value) -> Value:
    """One question beside each place of a memory (places, H): [query; place] V."""
    w.note("attention by [query; place]")
    p, h = memory.shape
    q = w.fit(x, (1, 2))
    pairs = w.let(f"ts.concatenate([ts.expand({q.text}, {written((p, 2))}), {memory.text}])", (p, 2 + int(h)))
    hidden = w.bounded(w.linear(pairs, 1 + w.pick(3)))
    weights = w.let(f"ts.softmax(ts.reshape(ts.sum({hidden.text}, 1), {written((1, p))}))", (1, p))
    return w.let(f"{weights.text} @ {memory.text}", (1, h))


@operation(4)
def integers(w: Writer, values: list[Value]) -> Value | None:
    """Integers among the values: picked elements, losses of rows, rows of a table."""
    found = [v for v in values if v.below]
    if not found:
        return None
    i = found[-1 - w.pick(len(found))]
    x = near(w, values)
    how = w.pick(4)
    if how == 0:
        return w.embed(i)
    x = w.fit(x, (*i.shape, i.below))
    if how == 1:
        w.note("gather")
        return w.let(f"ts.gather({x.text}, {i.text})", i.shape)
    if how == 3:
        return w.let(f"{x.text} * ts.one_hot({i.text}, {i.below}, DTYPE)", x.shape)
    w.note("cross entropy inside")
    if w.pick(2):
        return w.let(f"ts.cross_entropy({x.text}, {i.text})", ())
    return w.let(f"ts.cross_entropy({x.text}, {i.text}, reduction='none')", i.shape)


@operation(1)
def permuted(w: Writer, values: list[Value]) -> Value | None:
    """Rows in another order, some of them twice."""
    x = near(w, values)
    if not x.shape or not isinstance(x.shape[0], int):
        return None
    w.note("rows picked")
    n = 1 + w.pick(4)
    order = w.constant((n,), int(x.shape[0]))
    return w.let(f"ts.take({x.text}, {order})", (n, *x.shape[1:]))


@operation(1)
def stacked(w: Writer, values: list[Value]) -> Value | None:
    x = near(w, values)
    y = w.fit(near(w, values), x.shape)
    if len(x.shape) > 2:
        return None
    both = w.let(f"ts.stack([{x.text}, {y.text}])", (2, *x.shape))
    return both if w.pick(2) else w.reduce(both, 0, False)


@operation(1)
def scaled(w: Writer, values: list[Value]) -> Value | None:
    """One number for all: the mean of a value times another."""
    x, y = near(w, values), near(w, values)
    w.note("broadcast")
    return w.let(f"{x.text} * ts.tanh(ts.{w.of(['mean', 'sum'])}({y.text}))", x.shape)


@operation(1)
def thought(w: Writer, values: list[Value]) -> Value | None:
    """A few inner steps."""
    x = near(w, values)
    if not x.shape or not w.can_multiply(x):
        return None
    w.note("loop within a step")
    n = int(x.shape[-1])
    v = w.let(f"ts.tanh({x.text})", x.shape)
    W = w.parameter((n, n))
    w.line(f"for _ in range({1 + w.pick(3)}):")
    w.line(f"    {v.text} = ts.tanh({v.text} @ {W}) + 0.5 * {v.text}")
    return v


@operation(1)
def called(w: Writer, values: list[Value]) -> Value | None:
    """A cell from before, called once: cells on cells, weights shared."""
    if not w.cells:
        return None
    cell = w.of(w.cells[::-1])
    if not all(fixed(s) for s in (*cell.inputs, *cell.states)):
        return None
    w.note("cells on cells")
    given = [w.fit(near(w, values), s).text for s in cell.inputs]
    states = [w.fit(near(w, values), s).text for s in cell.states]
    state, out = w.name("s"), w.name("o")
    w.line(f"{state}, {out} = {cell.call}({', '.join([*given, cell.packed(states)])})")
    return Value(out, cell.output)
