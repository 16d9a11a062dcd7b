"""The table of what a line of a random program may compute, and steps grown from it."""

from __future__ import annotations

from collections.abc import Callable

from tinyseq.checking.writer import Value, Writer, broadcasts

Maker = Callable[[Writer, list[Value]], Value | None]
OPERATIONS: list[Maker] = []


def operation(times: int = 1) -> Callable[[Maker], Maker]:
    """Put a maker into the table, so many times."""

    def enter(maker: Maker) -> Maker:
        OPERATIONS.extend([maker] * times)
        return maker

    return enter


def grow(w: Writer, values: list[Value], count: int) -> list[Value]:
    """Write some operations on the values, and add what they make."""
    for _ in range(count):
        made = w.of(OPERATIONS)(w, values)
        if made is None:
            made = w.bounded(near(w, values))
        values.append(made)
    return values


def near(w: Writer, values: list[Value]) -> Value:
    """One of the values, of floating point; late ones are nearer."""
    x = values[-1 - w.pick(min(len(values), 6))]
    return w.embed(x)


def mate(w: Writer, values: list[Value], x: Value) -> Value:
    """Another value of the shape of x, or one that broadcasts to it."""
    found = [v for v in values if not v.below and broadcasts(v.shape, x.shape)]
    if found and w.pick(3) < 2:
        return found[-1 - w.pick(len(found))]
    return w.fit(near(w, values), x.shape)
