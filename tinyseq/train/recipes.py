"""How a model was made, as JSON: its class, the arguments of its constructor, the models among them.

    {"model": "ManyToOne", "arguments": {"encoder": {"model": "LSTMCell", "arguments": {...}}, "output_size": 3, ...}}

What JSON cannot say stands under a tag: {"generator": {…}}, {"dtype": "float32"}, {"tuple": [...]}, {"dict": {...}},
{"class": "LSTMCell"}, {"array": [...], "dtype": "int64"}. A model given in two places is written once, then
{"again": k}.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.errors import TinyseqError
from tinyseq.nn.module import Module

PLAIN = (str, int, float, bool, type(None))


def recipe(model: Module) -> dict[str, Any]:
    """How to make this model again. Raises TinyseqError naming the argument that a file cannot hold."""
    return _Writer().model(model)


def recipe_and_twin(model: Module) -> tuple[dict[str, Any], Any]:
    """How to make this model again, and a model that was made so."""
    writer = _Writer()
    made = writer.model(model)
    return made, make(made, list(writer.classes.values()))


def make(description: Any, classes: Sequence[type[Module]] = ()) -> Any:
    """The model of a recipe, with weights of its own; ``classes`` are the user's, beside those of tinyseq.nn."""
    return _Reader({cls.__name__: cls for cls in classes}).value(description)


def arguments_of(model: Module) -> dict[str, Any]:
    """The arguments a model was made with, by their names."""
    given, options = model._made_with
    bound = inspect.signature(type(model)).bind(*given, **options)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            if not value:
                continue
            raise TinyseqError(
                f"{type(model).__name__} cannot be saved: its constructor takes *{name}; take one sequence instead"
            )
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        else:
            found[name] = value
    return found


class _Writer:
    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.classes: dict[str, type[Module]] = {}
        self.where = ""

    def model(self, model: Module) -> dict[str, Any]:
        if id(model) in self.seen:
            return {"again": self.seen[id(model)]}
        outer, arguments = self.where, {}
        for name, value in arguments_of(model).items():
            self.where = f"{type(model).__name__}({name}=…)"
            arguments[name] = self.value(value)
        self.where = outer
        self.seen[id(model)] = len(self.seen)
        self.classes[type(model).__name__] = type(model)
        return {"model": type(model).__name__, "arguments": arguments}

    def value(self, value: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, Module):
            return self.model(value)
        if isinstance(value, np.random.Generator):
            return {"generator": _numbers(value.bit_generator.state)}
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
            return {"dtype": np.dtype(value).name}
        if isinstance(value, type) and issubclass(value, Module):
            self.classes[value.__name__] = value
            return {"class": value.__name__}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            return {"array": value.tolist(), "dtype": value.dtype.name}
        if type(value) is list:
            return [self.value(v) for v in value]
        if type(value) is tuple:
            return {"tuple": [self.value(v) for v in value]}
        if type(value) is dict and all(isinstance(key, str) for key in value):
            return {"dict": {key: self.value(v) for key, v in value.items()}}
        raise TinyseqError(
            f"{self.where} cannot be saved: a file cannot hold {value!r}; it holds numbers, texts, lists, dicts, "
            "arrays, models and their classes. Keep model.state_dict() with numpy.savez instead"
        )


GENERATORS = {name: getattr(np.random, name) for name in ("PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937")}


def _numbers(state: Any) -> Any:
    """A generator's state as JSON holds it."""
    if isinstance(state, dict):
        return {key: _numbers(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _generator(state: Any) -> np.random.Generator:
    """The generator in the state in which the model was made with it; a file of an older tinyseq does not say it."""
    if not isinstance(state, dict) or state.get("bit_generator") not in GENERATORS:
        return np.random.default_rng(0)
    bits = GENERATORS[state["bit_generator"]]()
    inner = {key: np.asarray(v, bits.state["state"][key].dtype) if isinstance(v, list) else v
             for key, v in state["state"].items()}  # fmt: skip
    more = {key: np.asarray(v, bits.state[key].dtype) if isinstance(v, list) else v for key, v in state.items()}
    bits.state = {**more, "state": inner}
    return np.random.Generator(bits)


class _Reader:
    def __init__(self, classes: dict[str, type]) -> None:
        self.classes, self.made = classes, []  # type: tuple[dict[str, type], list[Any]]

    def value(self, given: Any) -> Any:
        if isinstance(given, list):
            return [self.value(v) for v in given]
        if not isinstance(given, dict):
            return given
        match given:
            case {"model": str(name), "arguments": dict(arguments)}:
                model = self.named(name)(**{key: self.value(v) for key, v in arguments.items()})
                self.made.append(model)
                return model
            case {"again": int(place)} if 0 <= place < len(self.made):
                return self.made[place]
            case {"generator": state}:
                return _generator(state)
            case {"array": values, "dtype": str(dtype)}:
                return np.array(values, dtype)
            case {"dtype": str(name)}:
                return np.dtype(name)
            case {"class": str(name)}:
                return self.named(name)
            case {"tuple": list(values)}:
                return tuple(self.value(v) for v in values)
            case {"dict": dict(values)}:
                return {key: self.value(v) for key, v in values.items()}
        raise TinyseqError(f"its header describes no model: {str(given)[:60]}")

    def named(self, name: str) -> Any:
        made = self.classes.get(name) or (getattr(nn, name, None) if name in nn.__all__ else None)
        if not (isinstance(made, type) and issubclass(made, Module)):
            raise TinyseqError(
                f"tinyseq.nn has no model named {name!r}; where it is a class of yours, "
                f"write load(path, classes=[{name}])"
            )
        return made
