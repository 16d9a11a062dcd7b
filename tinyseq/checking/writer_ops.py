"""What a line of a random program may compute from the values before it."""

from __future__ import annotations

from tinyseq.checking.operations import mate, near, operation
from tinyseq.checking.writer import LARGEST, Value, Writer, broadcasts, fixed, written


@operation(3)
def linear(w: Writer, values: list[Value]) -> Value | None:
    x = near(w, values)
    return w.linear(x, 1 + w.pick(4)) if w.can_multiply(x) else None


@operation(2)
def gate(w: Writer, values: list[Value]) -> Value | None:
    x, y = near(w, values), near(w, values)
    if not w.can_multiply(x) or not w.can_multiply(y) or x.shape[:-1] != y.shape[:-1]:
        return None
    n = 1 + w.pick(4)
    a, b = w.linear(x, n), w.linear(y, n)
    return w.let(f"ts.{w.of(['tanh', 'sigmoid'])}({a.text} + {b.text} + {w.parameter((n,))})", a.shape)


@operation(2)
def unary(w: Writer, values: list[Value]) -> Value | None:
    x = near(w, values)
    v = x.text
    ways = [f"ts.tanh({v})", f"ts.sigmoid({v})", f"ts.softplus({v})", f"-{v}", f"ts.exp(ts.tanh({v}))",
        f"1 - 0.5 * {v}",
        f"ts.log(ts.softplus({v}) + 0.2)", f"ts.sqrt(ts.softplus({v}) + 0.1)", f"0.3 * {v} ** 2", f"{v} + {v}",
        f"(ts.softplus({v}) + 0.5) ** 1.5", f"{v} * {v} + {v}"]  # fmt: skip
    return w.let(w.of(ways), x.shape)


@operation(4)
def combine(w: Writer, values: list[Value]) -> Value | None:
    x = near(w, values)
    y = mate(w, values, x)
    a, b = x.text, y.text
    ways = [f"{a} + {b}", f"{a} - {b}", f"{a} * {b}", f"{b} + {a}", f"{a} / (ts.softplus({b}) + 1.0)"]
    ways += [f"ts.sigmoid({a}) * {b} + (1 - ts.sigmoid({a})) * {a}"]
    if x.shape == y.shape:
        ways += [f"0.3 * ts.squared_error({a}, {b})", f"ts.bernoulli_cross_entropy({a}, ts.sigmoid({b}))"]
    else:
        w.note("broadcast")
    return w.let(w.of(ways), x.shape)


@operation(2)
def row(w: Writer, values: list[Value]) -> Value | None:
    """A parameter for the last axis: a bias, a peephole, the gain and bias of a layer norm."""
    x = near(w, values)
    if not x.shape or isinstance(x.shape[-1], str):
        return None
    p = (x.shape[-1],)
    how = w.pick(4)
    if how == 3:
        w.note("layer norm")
        return w.let(f"ts.layer_norm({x.text}, {w.parameter(p)}, {w.parameter(p)}, 1e-2)", x.shape)
    return w.let(f"{x.text} {'*' if how == 1 else '+'} {w.parameter(p)}", x.shape)


@operation(1)
def learned(w: Writer, values: list[Value]) -> Value | None:
    """A learned number, for all rows alike, or one for each place of some axes: a gain, a leak, a bias of a matrix."""
    x = near(w, values)
    if not x.shape or x.below:
        return None
    w.note("learned number")
    shapes: list[tuple[int, ...]] = [(), (1,), (1,) * len(x.shape)]
    if len(x.shape) > 2 and isinstance(x.shape[-2], int):
        shapes.append((int(x.shape[-2]), 1))
    p = w.parameter(w.of(shapes))
    return w.let(w.of([f"{p} * {x.text}", f"{x.text} + {p}", f"(1 - ts.sigmoid({p})) * {x.text}"]), x.shape)


@operation(1)
def made_of_weights(w: Writer, values: list[Value]) -> Value | None:
    """A product with a matrix that the step makes of weights."""
    x = near(w, values)
    if not w.can_multiply(x):
        return None
    w.note("matrix made of weights")
    n = 1 + w.pick(4)
    m = w.parameter((int(x.shape[-1]), n))  # type: ignore[call-overload]
    ways = [f"ts.tanh({m})", f"({m} / ts.norm({m}, 0, True))", f"ts.softmax({m})", f"(0.5 * {m})"]
    return w.let(f"{x.text} @ {w.of(ways)}", (*x.shape[:-1], n))


@operation(2)
def constant(w: Writer, values: list[Value]) -> Value | None:
    """An array of NumPy: a mask, a table of positions."""
    x = near(w, values)
    shape = tuple(n for n in x.shape[-1:] if isinstance(n, int))
    if not shape:
        return None
    if fixed(x.shape) and w.pick(2):
        shape = x.shape  # type: ignore[assignment]
    if w.pick(2):
        return w.let(f"{x.text} * {w.constant(shape)}", x.shape)
    return w.let(f"ts.where({w.constant(shape)} > 0, {x.text}, 0.5 * {x.text})", x.shape)


@operation(3)
def reduction(w: Writer, values: list[Value]) -> Value | None:
    x = near(w, values)
    if not x.shape:
        return None
    axis = None if w.chance(5) else w.pick(len(x.shape))
    made = w.reduce(x, axis, bool(w.pick(2)))
    w.note("reduction")
    if w.pick(2):
        return made
    if broadcasts(made.shape, x.shape):
        w.note("broadcast")
        return w.let(f"{x.text} {w.of(['-', '*', '+'])} ts.tanh({made.text})", x.shape)
    return made


@operation(2)
def soft(w: Writer, values: list[Value]) -> Value | None:
    x = near(w, values)
    if not x.shape:
        return None
    w.note("softmax")
    return w.let(w.of([f"ts.softmax({x.text})", f"0.3 * ts.log_softmax({x.text})"]), x.shape)


@operation(2)
def join(w: Writer, values: list[Value]) -> Value | None:
    x, y = near(w, values), near(w, values)
    if not x.shape or len(x.shape) != len(y.shape):
        return None
    axes = [
        k
        for k in reversed(range(len(x.shape)))
        if isinstance(x.shape[k], int) and isinstance(y.shape[k], int)
        if x.shape[:k] == y.shape[:k] and x.shape[k + 1 :] == y.shape[k + 1 :]
    ]
    if not axes:
        return None
    k = w.of(axes)
    size = int(x.shape[k]) + int(y.shape[k])
    if size > LARGEST:
        return None
    w.note("join")
    return w.let(f"ts.concatenate([{x.text}, {y.text}], {k})", (*x.shape[:k], size, *x.shape[k + 1 :]))


@operation(2)
def cut(w: Writer, values: list[Value]) -> Value | None:
    """A slice along an axis, or one row of the first axis."""
    x = near(w, values)
    axes = [k for k in reversed(range(len(x.shape))) if isinstance(x.shape[k], int) and int(x.shape[k]) > 1]
    if x.shape and (not axes or w.pick(3) == 2):
        w.note("one member broadcast")
        picked = w.let(f"{x.text}[{w.of([0, -1]) if isinstance(x.shape[0], int) else 0}]", x.shape[1:])
        return w.let(f"{x.text} {w.of(['+', '*'])} {picked.text}", x.shape) if w.pick(2) else picked
    if not axes:
        return None
    k = w.of(axes)
    n = int(x.shape[k])
    start = w.pick(n)
    stop = start + 1 + w.pick(n - start)
    w.note("slice")
    keys = ", ".join([":"] * k + [f"{start}:{stop}"])
    return w.let(f"{x.text}[{keys}]", (*x.shape[:k], stop - start, *x.shape[k + 1 :]))


@operation(2)
def reshaped(w: Writer, values: list[Value]) -> Value | None:
    """Axes in another order, one more, two made one."""
    x = near(w, values)
    how = w.pick(4)
    if how == 0 and len(x.shape) >= 2:
        w.note("transpose")
        if len(x.shape) == 2:
            return w.let(f"{w.of([f'ts.transpose({x.text})', f'({x.text}.T + 0.0)'])}", x.shape[::-1])
        axes = w.of([(1, 0, 2), (0, 2, 1), (2, 1, 0), (2, 0, 1)]) if len(x.shape) == 3 else (3, 1, 0, 2)
        return w.let(f"ts.transpose({x.text}, {axes})", tuple(x.shape[a] for a in axes))
    if how == 1 and len(x.shape) < 3:
        at = w.pick(len(x.shape) + 1)
        shape = (*x.shape[:at], 1, *x.shape[at:])
        return w.let(f"ts.reshape({x.text}, {written(shape)})", shape)
    if how == 2 and len(x.shape) >= 2 and all(isinstance(n, int) for n in x.shape[-2:]):
        n = int(x.shape[-2]) * int(x.shape[-1])
        if n <= LARGEST:
            return w.let(f"ts.reshape({x.text}, {written((*x.shape[:-2], n))})", (*x.shape[:-2], n))
    if how == 3 and x.shape and len(x.shape) < 3 and x.shape[-1] in (2, 4, 6):
        shape = (*x.shape[:-1], 2, int(x.shape[-1]) // 2)
        return w.let(f"ts.reshape({x.text}, {written(shape)})", shape)
    return None


@operation(2)
def product(w: Writer, values: list[Value]) -> Value | None:
    """Products of two values: with its own transpose, batched, or with whatever fits."""
    x = near(w, values)
    if len(x.shape) not in (2, 3):
        return None
    w.note("product of values")
    fits = [v for v in values if not v.below and len(v.shape) == len(x.shape)]
    fits = [v for v in fits if v.shape[:-2] == x.shape[:-2] and v.shape[-2] == x.shape[-1]]
    if fits and w.pick(2):
        y = fits[-1 - w.pick(len(fits))]
        return w.let(f"{x.text} @ {y.text}", (*x.shape[:-1], y.shape[-1]))
    if len(x.shape) == 2:
        both = w.of([(f"{x.text} @ {x.text}.T", 0), (f"{x.text}.T @ {x.text}", 1)])
        n = x.shape[both[1]]
        return w.bounded(w.let(both[0], (n, n)))
    axes = (0, 2, 1)
    return w.bounded(w.let(f"{x.text} @ ts.transpose({x.text}, {axes})", (x.shape[0], x.shape[1], x.shape[1])))


@operation(1)
def detached(w: Writer, values: list[Value]) -> Value | None:
    x = near(w, values)
    w.note("detach")
    y = mate(w, values, x)
    return w.let(w.of([f"{x.text}.detach()", f"{x.text} * ts.sigmoid({y.text}).detach()"]), x.shape)


@operation(2)
def kinked(w: Writer, values: list[Value]) -> Value | None:
    """Choices: relu, the larger, comparisons, all but the largest."""
    x = near(w, values)
    y = mate(w, values, x)
    a, b = x.text, y.text
    w.note("comparison")
    ways = [f"ts.relu({a})", f"ts.abs({a})", f"ts.maximum({a}, {b})", f"ts.minimum({a}, 0.3)",
        f"ts.where({a} > {b}, {a}, 0.5 * {b})", f"{a} * ({a} > 0.1)"]  # fmt: skip
    if x.shape and isinstance(x.shape[-1], int):
        ways.append(f"{a} * ({a} > ts.max({a}, -1, True) - 0.25)")
    return w.let(w.of(ways), x.shape)
