"""One step of a random net: states and what they are made of, what a step reads, its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyseq.checking.operations import grow, near
from tinyseq.checking.writer import Size, Sizes, Value, Writer, fixed, written


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
    if w.pick(6) == 5:
        w.note("states that pass nothing back")
        new = [w.let(f"{v.text}.detach()", v.shape) for v in new]
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
