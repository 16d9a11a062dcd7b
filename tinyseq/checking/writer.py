"""Programs at random: a writer of the text that a user might type.

Everything is decided by ``pick(n)``, a number below n, where 0 is the plainest choice; a program is thus a list of
numbers, and shorter and smaller lists are simpler programs. The writer knows the shape of every value it writes down.
A size is an integer, or the name of a variable in the program where it differs from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tinyseq.checking.programs import Array

Size = int | str
Sizes = tuple[Size, ...]
LARGEST = 24


class Value(NamedTuple):
    """A variable of the program: its name or expression, its shape, and for integers the number they are below."""

    text: str
    shape: Sizes
    below: int = 0


def written(shape: Sequence[Size]) -> str:
    """A shape as Python text."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def fixed(shape: Sizes) -> bool:
    """Whether no size differs from step to step."""
    return all(isinstance(n, int) for n in shape)


def broadcasts(shape: Sizes, wanted: Sizes) -> bool:
    """Whether a value of one shape can be repeated to the other."""
    return len(shape) <= len(wanted) and all(
        a in (1, b) for a, b in zip(shape, wanted[len(wanted) - len(shape) :], strict=True)
    )


class Writer:
    """Lines of a program as they are written, with what they need: parameters, inputs, constants."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        self.pick = pick
        self.head: list[str] = []  # what is computed before all else
        self.lines: list[str] = []
        self.indent = 1
        self.count = 0
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.inputs: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}
        self.features: set[str] = set()
        self.outside: list[Value] = []  # what every later line may read
        self.cells: list[Any] = []
        self.blanks, self.computed = False, 4  # whether inputs may be NaN; of how many weights one is computed
        self.large = False  # whether sizes go beyond a vector of the machine, and rows are many enough to share

    # -- choices
    def chance(self, n: int) -> bool:
        """True once in n."""
        return self.pick(n) == n - 1

    def of(self, choices: Sequence[Any]) -> Any:
        """One of several; the first is the plainest."""
        return choices[self.pick(len(choices))]

    def note(self, feature: str) -> None:
        """Say that the program has this."""
        self.features.add(feature)

    # -- text
    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.indent + text)

    def name(self, stem: str) -> str:
        """A name that is not used yet."""
        self.count += 1
        return f"{stem}{self.count}"

    def let(self, text: str, shape: Sizes, below: int = 0) -> Value:
        """Write an assignment."""
        name = self.name("v")
        self.line(f"{name} = {text}")
        return Value(name, shape, below)

    # -- leaves
    def parameter(self, shape: Sequence[int]) -> str:
        """A parameter of a shape: one that there is, or a new one."""
        same = [name for name, known in self.parameters.items() if known == tuple(shape)]
        if same and self.pick(3) < 2:
            return str(self.of(same[::-1]))
        name = f"W{len(self.parameters)}"
        self.parameters[name] = tuple(shape)
        return name

    def array(self, shape: Sequence[int], below: int = 0) -> Value:
        """An argument of the program."""
        name = f"{'i' if below else 'x'}{len(self.inputs)}"
        self.inputs[name] = Array((tuple(shape),), below=below, blank="" if below else self.blank())
        if below:
            self.note("int inputs")
        return Value(name, tuple(shape), below)

    def arrays(self, shapes: Sequence[Sequence[int]], below: int = 0) -> str:
        """An argument that is a list of arrays."""
        name = f"{'i' if below else 'x'}{len(self.inputs)}s"
        blank = "" if below else self.blank()
        self.inputs[name] = Array(tuple(tuple(s) for s in shapes), True, below, blank)
        return name

    def blank(self) -> str:
        """Whether an input has something that is not a number."""
        if not self.blanks or self.pick(2) == 0:
            return ""
        self.note("NaN or inf inputs")
        return str(self.of(["nan last", "nan some", "inf some", "nan first"]))

    def constant(self, shape: Sequence[int], below: int = 0) -> str:
        """An array of NumPy that the program reads from outside."""
        name = f"C{len(self.constants)}"
        self.constants[name] = Array((tuple(shape),), below=below)
        return name

    # -- weights
    def matrix(self, rows: int, columns: int) -> str:
        """A matrix: a parameter, or one computed from parameters."""
        if self.pick(self.computed) < self.computed - 1:
            return self.parameter((rows, columns))
        self.note("computed weights")
        W = self.parameter((rows, columns))
        ways = [f"{W} * 2.0", f"{W} * {self.constant((rows, columns))}", f"ts.tanh({W})", f"{W} / (1.0 + ts.norm({W}))"]
        ways += [f"{W} / (0.5 + ts.norm({W}, 1, True))", f"{W}.detach() * 0.5 + {W}"]
        ways.append(f"{self.parameter((rows, 1))} @ {self.parameter((1, columns))}")
        ways.append(f"{self.parameter((rows, 2))} @ {self.parameter((2, columns))} + {W}")
        ways.append(f"ts.reshape({self.parameter((rows * columns,))}, ({rows}, {columns}))")
        ways.append(f"ts.transpose({self.parameter((columns, rows))})")
        if rows == columns:
            ways.append(f"{W} - ts.transpose({W})")
            ways.append(f"{W} - {W}.T")
        if rows > 1:
            ways.append(f"ts.concatenate([{self.parameter((1, columns))}, {self.parameter((rows - 1, columns))}], 0)")
        text = str(self.of(ways))
        if self.chance(3):
            self.note("weights computed at each step")
            return self.let(text, (rows, columns)).text
        name = self.name("M")
        self.head.append(f"    {name} = {text}")
        return name

    def linear(self, x: Value, n: int) -> Value:
        """x times a matrix: the last size becomes n."""
        d = x.shape[-1]
        assert isinstance(d, int)
        if self.pick(2):
            return self.let(f"{x.text} @ {self.matrix(d, n)}", (*x.shape[:-1], n))
        return self.let(f"ts.linear({x.text}, {self.matrix(n, d)})", (*x.shape[:-1], n))

    def can_multiply(self, x: Value) -> bool:
        """Whether x can be multiplied by a matrix."""
        return 1 <= len(x.shape) <= 3 and isinstance(x.shape[-1], int) and not x.below

    # -- shapes
    def embed(self, i: Value) -> Value:
        """Integers as floating-point numbers, with one more axis."""
        if not i.below:
            return i
        n = 1 + self.pick(4)
        if self.pick(4) < 3:
            if self.pick(4) == 3:
                return self.let(f"ts.take({self.matrix(n, i.below)}, {i.text}, 1)", (*i.shape, n))
            return self.let(f"ts.take({self.matrix(i.below, n)}, {i.text})", (*i.shape, n))
        return self.let(f"ts.one_hot({i.text}, {i.below}, DTYPE)", (*i.shape, i.below))

    def fit(self, x: Value, shape: Sizes) -> Value:
        """x reduced, multiplied and repeated until it has a shape."""
        x = self.embed(x)
        while not broadcasts(x.shape, shape):
            if len(x.shape) > len(shape):
                axis = self.pick(len(x.shape))
                x = self.reduce(x, axis, False)
                continue
            back = next(k for k in range(1, len(x.shape) + 1) if x.shape[-k] not in (1, shape[-k]))
            if back == 1 and self.can_multiply(x) and isinstance(shape[-1], int):
                x = self.linear(x, shape[-1])
            else:
                x = self.reduce(x, len(x.shape) - back, True)
        if x.shape == shape:
            return x
        self.note("broadcast")
        return self.let(f"ts.expand({x.text}, {written(shape)})", shape)

    def reduce(self, x: Value, axis: int | None, keep: bool) -> Value:
        """A sum, mean, largest number or norm over one axis or all."""
        how = self.of(["sum", "mean", "max", "norm"])
        text = f"{x.text} + 3.0" if how == "norm" else x.text
        if axis is not None and isinstance(x.shape[axis], str):
            self.note("reduction over a size that differs")
        rest = () if axis is None else x.shape[:axis] + ((1,) if keep else ()) + x.shape[axis + 1 :]
        if axis is None:
            return self.let(f"ts.{how}({text})", ())
        return self.let(f"ts.{how}({text}, {axis}, {keep})", rest)

    def bounded(self, x: Value) -> Value:
        """tanh of x."""
        return self.let(f"ts.tanh({x.text})", x.shape)
