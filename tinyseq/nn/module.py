"""Modules: named parameters. Cells: one step, with a name on the tape."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyseq import display
from tinyseq.checks import plain
from tinyseq.errors import CallError, DtypeError, TinyseqError
from tinyseq.habits import advised, at_the_call, give_habits, shown
from tinyseq.nn.running import applied, evaluated, predicted
from tinyseq.nn.summary import summary, title, work
from tinyseq.replay.compiling import compile
from tinyseq.tape import Tape
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.parameter import Parameter


class Module:
    """Anything with parameters. Attributes that are parameters, modules, or lists of them are found by name.

    A parameter made without a name takes that of the first attribute that holds it: ``self.W = ts.Parameter(a)`` is W
    in pictures, ledgers and messages, the first of a list ``self.W`` is W.0. Files know parameters by their places,
    which such a name does not change.
    """

    __slots__ = ("__dict__", "__weakref__", "_made_with")
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *given: Any, **options: Any) -> Any:
        # The arguments are kept beside the attributes, so that a file can say how to make the model again; generators
        # as they are now, before the constructor draws from them. Tools would take a docstring here for every model's.
        module = super().__new__(cls)
        module._made_with = tuple(map(_as_now, given)), {name: _as_now(value) for name, value in options.items()}
        return module

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, (Parameter, list, tuple, dict)) and name != "_made_with":
            for _ in _named(value, name, set()):
                pass

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        advised(cls)

    def __call__(self, *given: Any, **options: Any) -> Any:
        """Run it: under a tape a tensor, a node of the graph; without one arrays, for lists of sequences a list."""
        if Tape.recording():
            return self.run(*given, **options)
        return applied(self, given, options)

    def run(self, *given: Any, **options: Any) -> Any:
        """What calling the model records: its outputs over a sequence or tree. Subclasses may define it."""
        outputs, encode = getattr(self, "outputs", None), getattr(self, "encode", None)
        if callable(outputs):
            return outputs(*given, **options)
        if callable(encode):
            return encode(*given, **options).outputs
        raise CallError(f"{shown(type(self))} is not called: {_runs(self)}")

    def predict(self, x: Any, *more: Any, **options: Any) -> Any:
        """What the model says of x: class numbers where it was trained on classes, else its outputs, as arrays.

        x is what ``model(x)`` takes, or data such as ``ts.data.csv(…)``: one prediction for each sequence or tree.
        """
        return predicted(self, x, more, options)

    def evaluate(self, data: Any, *, batch: int = 64) -> dict[str, float]:
        """Loss and metrics on data, ``ts.data.Sequences``, trees, a pair (x, y), a text: nothing is learned.

        Classes: loss in nats, perplexity, bits, accuracy, f1, and exact_match where each step or node has one. Reals:
        loss, mae, rmse. Texts: loss, perplexity, bits of the held-out part.
        """
        return evaluated(self, data, batch)

    each_step = False  # whether there is an output for each step

    def decide(self, o: np.ndarray) -> np.ndarray:
        """What outputs predict: themselves, where subclasses say nothing else."""
        return o

    def measured(self, inputs: tuple, y: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        """The loss, and the outputs that a measurement compares with the targets: () where there are none."""
        return self.loss(*inputs, y, **options), ()  # type: ignore[attr-defined]

    def _measure(self, inputs: Any, y: Any, options: Any) -> tuple[Any, Any]:
        return self.measured(inputs, y, options)

    def _apply(self, inputs: Any, options: Any) -> Any:
        return self.run(*inputs, **options)

    compiled_measure = compile(_measure)
    compiled_outputs = compile(_apply)

    def to_onnx(self, path: Any = None, **options: Any) -> Any:
        """Write it as an ONNX model for other programs; options are those of ``ts.exchange.to_onnx``."""
        return display.exchanged("to_onnx", self, path, **options)

    def to_numpy(self, path: Any = None, **options: Any) -> str:
        """Write it as a script that needs NumPy alone; options are those of ``ts.exchange.to_numpy``."""
        return display.exchanged("to_numpy", self, path, **options)

    def to_latex(self, path: Any = None, **options: Any) -> str:
        """Its equations as LaTeX; options are those of ``ts.exchange.to_latex``."""
        return display.exchanged("to_latex", self, path, **options)

    def summary(self, *inputs: Any) -> str:
        """Layers, shapes, how many numbers, what is tied or fixed; with inputs the FLOPs of a step forward and back."""
        return summary(self) + (f"\n{work(self, inputs)}" if inputs else "")

    def __repr__(self) -> str:
        return title(self)

    def __str__(self) -> str:
        return summary(self)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter), each parameter once."""
        yield from _named(self, prefix, set())

    def parameters(self) -> list[Parameter]:
        """All parameters, in the order of definition."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters' values by name, and of the arrays that say where a sparse one's elements stand."""
        found = {name: parameter.value.copy() for name, parameter in self.named_parameters()}
        for prefix, module in _modules(self, "", set()):
            found |= {prefix + name: array.copy() for name, array in module._structure().items()}
        return found

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Set all parameters. Raises TinyseqError naming what is missing, unknown, or of another shape or dtype; the
        module is then as it was."""
        if not isinstance(state, dict):
            raise TinyseqError(f"weights come by name, as model.state_dict() gives them; got {type(state).__name__}")
        undo: list[Callable[[], None]] = []
        try:
            for prefix, module in list(_modules(self, "", set())):
                part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
                undo.append(module._restructure(part))
            structure = {p + name for p, module in _modules(self, "", set()) for name in module._structure()}
            self._load({name: array for name, array in state.items() if name not in structure})
        except Exception:
            for back in undo:
                back()
            raise

    def _structure(self) -> dict[str, np.ndarray]:
        """Arrays beside the module's own parameters that its equations depend on; most have none."""
        return {}

    def _restructure(self, state: dict[str, np.ndarray]) -> Callable[[], None]:
        """Take the structure from a state, before the parameters are set; returns what takes it back."""
        return lambda: None

    def _load(self, state: dict[str, np.ndarray]) -> None:
        own = dict(self.named_parameters())
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            raise TinyseqError(
                f"these weights are for another model: missing {_some(missing)}, unknown {_some(unknown)}"
            )
        for name, parameter in own.items():
            array = plain(state[name], f"the weights for {name}")
            if array.shape != parameter.shape:
                raise TinyseqError(f"weights for {name} have shape {array.shape}, the model needs {parameter.shape}")
            if array.dtype != parameter.dtype:
                raise DtypeError(f"weights for {name} are {array.dtype}, the model is {parameter.dtype}")
        for name, parameter in own.items():
            parameter.value[...] = state[name]


give_habits(Module, "Module")


def _runs(module: Module) -> str:
    """What runs a module over its input."""
    ways = {
        "losses": "model.unfold(x).outputs runs it over a sequence, model.loss(x, y) gives its loss",
        "outputs": "model.outputs(x) runs it over a sequence, model.loss(x, y) gives its loss",
        "encode": "model.encode(x).outputs runs it over a sequence, model.encode(x).last is its last output",
        "loss": "model.loss(...) gives its loss",
    }
    found = next((way for name, way in ways.items() if callable(getattr(module, name, None))), "")
    return found or "call one of its methods"


def _some(names: list[str], few: int = 8) -> str:
    """The first names of a list, all where they are few."""
    return f"{names[:few]} and {len(names) - few} more" if len(names) > few else f"{names or 'nothing'}"


def _as_now(value: Any) -> Any:
    return copy.deepcopy(value) if isinstance(value, np.random.Generator) else value


def _named(thing: Any, prefix: str, seen: set[int], within: str | None = None) -> Iterator[tuple[str, Parameter]]:
    """(dotted name, parameter), each once; ``within`` is its name in the module that holds it, which it takes if it
    has none of its own."""
    within = prefix if within is None else within
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Parameter):
        thing.name = thing.name or within
        yield prefix, thing
        return
    if isinstance(thing, Module):
        items: Any = vars(thing).items()
        within = ""
    elif isinstance(thing, dict):
        items = thing.items()
    elif isinstance(thing, (list, tuple)):
        items = enumerate(thing)
    else:
        return
    for key, value in items:
        yield from _named(value, _dotted(prefix, key), seen, _dotted(within, key))


def _dotted(before: str, key: Any) -> str:
    return f"{before}.{key}" if before else str(key)


def _modules(thing: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
    """(prefix of its parameters' names, module), each module once."""
    if id(thing) in seen or isinstance(thing, Parameter):
        return
    seen.add(id(thing))
    if isinstance(thing, Module):
        yield prefix, thing
        items: Any = vars(thing).items()
    elif isinstance(thing, dict):
        items = thing.items()
    elif isinstance(thing, (list, tuple)):
        items = enumerate(thing)
    else:
        return
    for key, value in items:
        yield from _modules(value, f"{prefix}{key}.", seen)


def modules(model: Module) -> list[Module]:
    """The module and all in it, each once."""
    return [module for _, module in _modules(model, "", set())]


class Cell(Module):
    """One step of a network: subclasses define ``step(x_t, state) -> state, output``.

    Calling a cell records one step: ``state, output = cell(x_t, state)``. Each call on a tape is the next time
    step; ``at=t`` says which one.
    """

    name = "cell"

    def step(self, *inputs_and_state: Any) -> tuple[Any, Any]:
        """One step. Subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} must define step(x_t, state) -> state, output")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return display.bundle("cell", self)

    each_step = True

    def __call__(self, *inputs_and_state: Any, at: int | None = None) -> Any:
        if len(inputs_and_state) == 1 and not Tape.recording():
            return applied(self, inputs_and_state, {})
        tape = Tape.current()
        name = tape.name_of(self)
        if name is None:
            for parameter in self.parameters():  # its leaves come before its first step, in the order of definition
                as_tensor(parameter)
            name = tape.cell_name(self, self.name)
        outer = tape.enter(name, at)
        try:
            return self.step(*inputs_and_state)
        except (TypeError, AttributeError) as error:
            if not isinstance(error, TypeError) or not at_the_call(error):
                if not any(given is None or isinstance(given, np.ndarray) for given in inputs_and_state):
                    raise
                raise CallError(
                    f"{shown(type(self))} takes tensors, state, output = cell(x_t, state), and {error}: write "
                    "ts.tensor(x_t) for an array, cell.initial_state(batch) for the state before the first step"
                ) from error
            raise CallError(
                f"{shown(type(self))} is called for one step, state, output = cell(x_t, state), and got "
                f"{len(inputs_and_state)} arguments; {_runs(self)}"
            ) from None
        finally:
            tape.leave(outer)


def uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, dtype: Any) -> np.ndarray:
    """U(−1/√n, 1/√n) with n the number of inputs of a unit."""
    bound = 1.0 / np.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape).astype(dtype)
