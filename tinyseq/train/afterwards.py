"""What was done to a model after it was made, so that a file can do it again: weights tied, fixed, options changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.nn.module import Module
from tinyseq.tensor.parameter import Parameter
from tinyseq.train.recipes import PLAIN


@dataclass(frozen=True)
class Afterwards:
    """How a model differs from one that is made by the same arguments, but for its weights.

    tied        paths such as ["U", "V"] or ["encoder.cell", "decoder.cell"] that lead to one parameter or module
    trainable   by path, where it is not as made
    options     by a module's path: attributes that are numbers, texts, truth values or None, and not as made
    """

    tied: list[list[str]] = field(default_factory=list)
    trainable: dict[str, bool] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Module, twin: Module) -> Afterwards:
        """Compare a model with one made by the same arguments. Raises TinyseqError where it differs otherwise."""
        modules = {path: thing for path, thing in things(model) if isinstance(thing, Module)}
        made = {path: thing for path, thing in things(twin) if isinstance(thing, Module)}
        options = {path: _changed(path, module, made[path]) for path, module in modules.items() if path in made}
        fixed, fixed_made = ({p: x.trainable for p, x in m.named_parameters()} for m in (model, twin))
        return cls(
            [paths for paths in _groups(model) if len(paths) > 1],
            {path: trainable for path, trainable in fixed.items() if fixed_made.get(path, True) != trainable},
            {path: changed for path, changed in options.items() if changed},
        )

    @classmethod
    def from_json(cls, given: Any) -> Afterwards:
        """From a file's header; a file of an older tinyseq has none."""
        return cls(**given) if given else cls()

    def as_json(self) -> dict[str, Any]:
        """For a file's header."""
        return asdict(self)

    def put_on(self, model: Module) -> None:
        """Do to a model just made what was done to the one that was saved."""
        for first, *others in self.tied:
            thing = _at(model, first)
            for path in others:
                _put(model, path, thing)
        for path, options in self.options.items():
            vars(_at(model, path)).update(options)
        for path, trainable in self.trainable.items():
            _at(model, path).trainable = trainable


def check_rebuilt(model: Module, twin: Module, afterwards: Afterwards) -> None:
    """Make sure that ``load`` gives this model back: do with a twin what it would do. Raises TinyseqError."""
    advice = "A class of your own that makes it so in its constructor can be saved"
    try:
        afterwards.put_on(twin)
        twin.load_state_dict(model.state_dict())
    except (TinyseqError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise TinyseqError(
            f"this {type(model).__name__} was changed after it was made, and could not be loaded: {error}. {advice}"
        ) from None
    ours, made = _groups(model), _groups(twin)
    if ours != made:
        apart = next(paths for paths in made if paths not in ours)
        raise TinyseqError(
            f"this {type(model).__name__} was changed after it was made, and could not be loaded: "
            f"{' and '.join(apart)} would be one again. {advice}"
        )


def _changed(path: str, module: Module, made: Module) -> dict[str, Any]:
    """Plain attributes that are not as made. Raises TinyseqError for an array that is not."""
    changed = {}
    for name, value in vars(module).items():
        other = vars(made).get(name)
        if name.startswith("_"):
            continue
        if isinstance(value, np.ndarray) and not (
            isinstance(other, np.ndarray) and np.array_equal(value, other, equal_nan=value.dtype.kind == "f")
        ):
            where = f"{path}.{name}" if path else name
            raise TinyseqError(
                f"{where} of this {type(module).__name__} is an array that the constructor's arguments do not give "
                "again; make it a ts.Parameter(..., trainable=False), which is saved"
            )
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, PLAIN) and isinstance(other, PLAIN) and value != other and value == value:
            changed[name] = value
    return changed


def things(model: Module) -> Iterator[tuple[str, Any]]:
    """(path, parameter or module) for every path; what is met again is not gone into again."""
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [("", model)]
    while stack:
        path, thing = stack.pop()
        if isinstance(thing, (Parameter, Module)):
            yield path, thing
        if isinstance(thing, Parameter) or id(thing) in seen:
            continue
        items: Any = ()
        if isinstance(thing, Module):
            items = vars(thing).items()
        elif isinstance(thing, dict):
            items = thing.items()
        elif isinstance(thing, (list, tuple)):
            items = enumerate(thing)
        if items:
            seen.add(id(thing))
            stack += [(f"{path}.{key}" if path else str(key), value) for key, value in items][::-1]


def _groups(model: Module) -> list[list[str]]:
    """The paths that lead to each parameter and module, those to one thing together."""
    groups: dict[int, list[str]] = {}
    for path, thing in things(model):
        groups.setdefault(id(thing), []).append(path)
    return list(groups.values())


def _at(model: Any, path: str) -> Any:
    for key in path.split(".") if path else ():
        model = _step(model, key)
    return model


def _step(holder: Any, key: str) -> Any:
    if isinstance(holder, Module):
        return vars(holder)[key]
    if isinstance(holder, dict):
        return next(value for name, value in holder.items() if str(name) == key)
    return holder[int(key)]


def _put(model: Any, path: str, thing: Any) -> None:
    above, _, key = path.rpartition(".")
    holder = _at(model, above)
    if isinstance(holder, Module):
        setattr(holder, key, thing)
    elif isinstance(holder, dict):
        holder[next((name for name in holder if str(name) == key), key)] = thing
    elif holder[int(key)] is not thing:
        holder[int(key)] = thing
