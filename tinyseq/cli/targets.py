"""What ``tinyseq draw`` and ``tinyseq gradcheck`` are pointed at, and an example loss to run it with."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq import nn
from tinyseq.errors import FileError, TinyseqError
from tinyseq.nn.module import Cell, Module, modules
from tinyseq.structure.chain import Chain
from tinyseq.tape import INT64
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.nesting import flatten
from tinyseq.tensor.parameter import Parameter
from tinyseq.train.run_folder import reopened
from tinyseq.unfolding.unfold import unfold


def _from_sizes(made: Any) -> bool:
    """A cell that is made from its sizes, not from other cells."""
    return isinstance(made, type) and issubclass(made, Cell) and "input_size" in inspect.signature(made).parameters


SIZES = {"input_size": 4, "hidden_size": 3, "output_size": 4}
FEW_HIDDEN = {nn.ClockworkCell: 4}  # a unit for each of its groups
BUILT_IN = {name.lower(): getattr(nn, name) for name in nn.__all__ if _from_sizes(getattr(nn, name))}


@dataclass(frozen=True)
class Found:
    """A module and how it is called in messages."""

    module: Any
    title: str

    def learned(self) -> list[Parameter]:
        """Its parameters that are learned; where all are fixed, as a reservoir's, all, which then count as learned.

        An error where it has none.
        """
        parameters = self.module.parameters()
        if not parameters:
            raise TinyseqError(f"{self.title} has no parameters, so it has no gradients; keep ts.Parameter attributes")
        if not any(p.trainable for p in parameters):
            for p in parameters:
                p.trainable = True
        return [p for p in parameters if p.trainable]


def find(target: str, sizes: dict[str, int | None], rng: np.random.Generator, dtype: Any) -> Found:
    """The module a target names. Raises TinyseqError or FileError saying what a target can be."""
    if target.lower() in BUILT_IN:
        found = Found(_construct(BUILT_IN[target.lower()], sizes, rng, dtype), target.lower())
    elif ".py:" in target:
        file, _, name = target.rpartition(":")
        with users_code(target):
            found = Found(_construct(_class(Path(file), name), sizes, rng, dtype), name)
    elif Path(target).suffix == ".py":
        raise TinyseqError(f"which class of {target}? Write {target}:Class")
    elif Path(target).exists():
        found = Found(reopened(Path(target)).model, target)
    else:
        raise TinyseqError(
            f"{target!r} is neither a built-in cell ({', '.join(sorted(BUILT_IN))}), nor a saved model's folder, "
            "nor a cell of yours written file.py:Class"
        )
    return Found(in_dtype(found.module, dtype), found.title)


def in_dtype(module: Any, dtype: Any) -> Any:
    """The module itself, or a copy of it whose parameters, constants and own ``dtype`` are of this one."""
    parameters = module.parameters()
    if all(p.dtype == dtype for p in parameters):
        return module
    new = {id(p): Parameter(p.value.astype(dtype), p.name, p.trainable) for p in parameters}
    made = copy.deepcopy(module, new)
    for part in modules(made):
        for name, value in vars(part).items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                vars(part)[name] = value.astype(dtype)
            elif name == "dtype":
                vars(part)[name] = np.dtype(dtype)
    return made


def _class(file: Path, name: str) -> Any:
    if not file.is_file():
        raise FileError(f"no such file: {file}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent.resolve()))
    made = getattr(module, name, None)
    if not (isinstance(made, type) and issubclass(made, Module)):
        known = ", ".join(_own_classes(module)) or "none"
        raise TinyseqError(f"{file} has no ts.nn.Cell or ts.nn.Module named {name!r}; its own are: {known}")
    return made


def _own_classes(module: ModuleType) -> list[str]:
    return [
        name
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, Module) and thing.__module__ == module.__name__
    ]


def _construct(made: Any, sizes: dict[str, int | None], rng: np.random.Generator, dtype: Any) -> Any:
    given = {name: size for name, size in sizes.items() if size is not None}
    usual = {**SIZES, "hidden_size": FEW_HIDDEN.get(made, SIZES["hidden_size"])}
    known = {**usual, **given, "rng": rng, "dtype": dtype}
    arguments = {}
    for name, parameter in inspect.signature(made).parameters.items():
        if name in known:
            arguments[name] = known[name]
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise TinyseqError(
                f"{made.__name__} needs an argument {name!r} that the command line cannot give (it knows "
                f"{', '.join(known)}); give it a default, or subclass it with one"
            )
    return made(**arguments)


class Example:
    """Random inputs that fit a module, and a loss over them.

    A module with ``losses(x, y) -> (loss, …)`` gets tokens x, y (T, B). Any other cell gets x (T, B, input_size) and
    ``initial_state(B)``, and half the sum of its squared outputs stands in for a loss.
    """

    def __init__(self, found: Found, steps: int, batch: int, rng: np.random.Generator) -> None:
        self.found, self.module, self.title, self.steps, self.batch = found, found.module, found.title, steps, batch
        self.has_loss = callable(getattr(self.module, "losses", None))
        needed = ("input_size", "output_size") if self.has_loss else ("input_size", "initial_state")
        missing = [name for name in needed if not hasattr(self.module, name)]
        if missing or not (self.has_loss or isinstance(self.module, Cell)):
            raise TinyseqError(
                f"{self.title} cannot be run from here: it has no {' and no '.join(missing) or 'step'}. A cell needs "
                "step(x_t, state), an input_size, and initial_state(batch) -> state; or give it losses(x, y), an "
                "input_size and an output_size"
            )
        shape = (steps, batch)
        if self.has_loss:
            self.x: np.ndarray = rng.integers(0, self.module.input_size, shape)
            self.y = rng.integers(0, self.module.output_size, shape)
        else:
            parameters = self.module.parameters()
            dtype = parameters[0].dtype if parameters else np.float64
            self.x = rng.standard_normal((*shape, self.module.input_size)).astype(dtype)

    @property
    def what(self) -> str:
        """What the loss is, in words."""
        return "its own loss on random tokens" if self.has_loss else "½ Σ outputs² on random inputs"

    def unfold(self) -> list[Tensor]:
        """Record the net on the current tape: its own loss where it has one, else its outputs."""
        if self.has_loss:
            return [self.module.losses(self.x, self.y)[0]]
        unfolded = unfold(self.module, Chain(self.steps), tensor(self.x, "x"), self.module.initial_state(self.batch))
        outputs = [o for o in flatten(unfolded.outputs) if o.dtype_code != INT64]
        if not outputs:
            raise TinyseqError(f"{self.title}.step returns no output; return state, output")
        return outputs

    def loss(self) -> Tensor:
        """Record the net and a loss."""
        recorded = self.unfold()
        if self.has_loss:
            return recorded[0]
        total = F.sum(recorded[0] * recorded[0]) * 0.5
        for o in recorded[1:]:
            total = total + F.sum(o * o) * 0.5
        return total.named("L")


@contextmanager
def users_code(target: str) -> Iterator[None]:
    """An exception from the user's own file becomes a message that names its line."""
    try:
        yield
    except (TinyseqError, KeyboardInterrupt):
        raise
    except Exception as error:
        if ".py:" not in target:
            raise
        file = Path(target.rpartition(":")[0])
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == file.name]
        if isinstance(error, SyntaxError):
            where = f"{error.filename}:{error.lineno}"
        else:
            where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(file)
        raise TinyseqError(f"{where}: {type(error).__name__}: {error}") from None
