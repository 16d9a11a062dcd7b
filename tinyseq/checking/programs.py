"""Programs as a user writes them: source text, the shapes of its parameters and inputs, and the numbers to run it on.

``Program`` is plain data: ``function()`` is what a user would give to ``ts.compile``, ``script()`` the same as a file
that runs by itself. What makes programs at random is in ``writer``; what runs them on both executors in ``search``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinyseq as ts

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Array:
    """Numbers to draw: one array, or with ``many`` a list of them, one for each shape.

    below   integers from 0 to below − 1; 0 for normal floating-point numbers
    blank   "nan first", "nan last", "nan some", "inf some": what is not a number, and where
    """

    shapes: tuple[Shape, ...]
    many: bool = False
    below: int = 0
    blank: str = ""
    scale: float = 1.0

    def draw(self, rng: np.random.Generator, dtype: Any) -> Any:
        """The array, or the list of arrays."""
        made = [self._one(shape, rng, dtype) for shape in self.shapes]
        if self.blank and self.many:
            made[-1] = self._blank(made[-1], rng)
        return made if self.many else self._blank(made[0], rng)

    def _one(self, shape: Shape, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        if self.below:
            return np.asarray(rng.integers(0, self.below, shape))
        # numbers of float32, so that both precisions start from the same
        return np.asarray(rng.normal(size=shape) * self.scale).astype(np.float32).astype(dtype)

    def _blank(self, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not self.blank or self.below or not a.size:
            return a
        what, where = self.blank.split()
        value = np.nan if what == "nan" else np.inf
        if where in ("first", "last") and a.ndim:
            a[0 if where == "first" else -1] = value
        else:
            a.reshape(-1)[rng.integers(a.size)] = value
        return a


@dataclass(frozen=True)
class Program:
    """The text of ``program(…) -> loss, or (loss, other results)``, and what its names stand for."""

    source: str
    parameters: dict[str, Shape]
    inputs: dict[str, Array]
    constants: dict[str, Array] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    checkpoint: int = 0

    def numbers(self, number: int, dtype: Any = np.float64) -> tuple[dict[str, np.ndarray], list[Any], dict[str, Any]]:
        """Values of parameters, inputs and constants; the constants are the same whatever the number."""
        rng = np.random.default_rng([7, number])
        values = {
            name: np.asarray(rng.normal(size=shape) / max(shape[-1] if shape else 1, 1) ** 0.5)
            .astype(np.float32)
            .astype(dtype)
            for name, shape in self.parameters.items()
        }
        inputs = [array.draw(rng, dtype) for array in self.inputs.values()]
        fixed = np.random.default_rng(11)
        return values, inputs, {name: array.draw(fixed, dtype) for name, array in self.constants.items()}

    def function(self, dtype: Any = np.float64) -> tuple[Any, dict[str, ts.Parameter]]:
        """The function, and the parameters it reads by name."""
        values, _, constants = self.numbers(0, dtype)
        parameters = {name: ts.Parameter(value, name) for name, value in values.items()}
        namespace: dict[str, Any] = {"np": np, "ts": ts, "DTYPE": np.dtype(dtype), **constants, **parameters}
        exec(compile(self.source, "<program>", "exec"), namespace)
        return namespace["program"], parameters

    def script(self, what: str, threads: int = 1, oracle: str = "compiled", dtype: str = "float64") -> str:
        """A file that exits 1 if anything differs, and prints what: both executors, or the reference and an oracle
        ("differences", "torch")."""
        if oracle == "torch":
            return f'"""{what}"""\n{BESIDE_TORCH.replace("PROGRAM", repr(self))}'
        values, inputs, constants = self.numbers(0)
        check = ["import os", "", 'os.environ["TINYSEQ_CHECK"] = "1"'] if what.startswith("verifier") else []
        strict = ["import warnings", "", 'warnings.simplefilter("error")'] if what.startswith("error") else []
        lines = [f'"""{what}"""', *check, *strict, "import numpy as np", "import tinyseq as ts", ""]
        lines.append(f"DTYPE = np.{dtype}")
        cast = ".astype(DTYPE)" if dtype != "float64" else ""
        lines += [f"{name} = ts.Parameter({literal(v)}{cast}, {name!r})" for name, v in values.items()]
        lines += [f"{name} = {literal(v, cast)}" for name, v in constants.items()]
        lines += [f"{name} = {literal(v, cast)}" for name, v in zip(self.inputs, inputs, strict=True)]
        names = ", ".join(self.inputs)
        end = (BESIDE_DIFFERENCES if oracle == "differences" else END).replace("ARGS", names)
        end = end.replace("PARAMETERS", ", ".join(self.parameters)).replace("1e-9", "3e-4" if cast else "1e-9")
        end = end.replace("THREADS", str(threads)).replace("CHECKPOINT", str(self.checkpoint or False))
        return "\n".join([*lines, "", self.source, end])


BESIDE_DIFFERENCES = """

def loss():
    result = program(*[[ts.tensor(part) for part in a] if isinstance(a, list) else ts.tensor(a) for a in [ARGS]])
    return result[0] if isinstance(result, tuple) else result


report = ts.gradcheck(loss, PARAMETERS)
print(report)
raise SystemExit(not report)
"""

BESIDE_TORCH = """
from tinyseq.checking.oracles import beside_torch
from tinyseq.checking.programs import Array, Program
from tinyseq.checking.running import Run

program = PROGRAM
print(program.source)
run = Run(program)
error = beside_torch(run, run.reference(0))
print("differs from PyTorch by", error)
raise SystemExit(not error < 1e-8)
"""

END = """
PARAMS = [PARAMETERS]
ARGUMENTS = [ARGS]


def entered(a):
    return [ts.tensor(part) for part in a] if isinstance(a, list) else ts.tensor(a)


with ts.Tape(executor=ts.Reference):
    result = program(*[entered(a) for a in ARGUMENTS])
    loss = result[0] if isinstance(result, tuple) else result
    loss.backward()
want = [np.array(loss.value), *[None if p.grad is None else np.array(p.grad) for p in PARAMS]]
for p in PARAMS:
    p.grad = None
fast = ts.compile(program, checkpoint=CHECKPOINT)
if THREADS > 1:
    import tinyseq.engine.machine.program as engine

    engine.wanted_threads = lambda plan: THREADS
got = fast.backward(*ARGUMENTS)
got = [np.array(got[0] if isinstance(got, tuple) else got), *[p.grad for p in PARAMS]]
wrong = 0
for name, g, w in zip(["loss", *[p.name for p in PARAMS]], got, want, strict=True):
    g, w = (np.zeros(()) if a is None else a for a in (g, w))
    if not np.allclose(g, w, rtol=1e-9, atol=1e-9, equal_nan=True):
        wrong += 1
        print(name, "got", g, "want", w, sep="\\n")
raise SystemExit(wrong > 0)
"""


def literal(value: Any, cast: str = "") -> str:
    """An array, or a list of arrays, as Python text; ``cast`` follows each array of floating point."""
    if isinstance(value, list):
        return "[" + ", ".join(literal(v, cast) for v in value) + "]"
    if value.dtype.kind == "i":
        return f"np.array({value.tolist()!r}, np.int64).reshape({value.shape})"
    text = repr([float(f"{v:.3g}") for v in value.reshape(-1).tolist()])
    text = text.replace("nan", "np.nan").replace("inf", "np.inf")
    return f"np.array({text}).reshape({value.shape}){cast}"
