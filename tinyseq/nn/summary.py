"""A model in print: its parts, the shapes of its parameters, how many numbers they are, what is fixed or tied."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from tinyseq.ops.groups import MULTIPLYING
from tinyseq.tape import Tape
from tinyseq.tensor.nesting import flatten
from tinyseq.tensor.parameter import Parameter


def title(module: Any) -> str:
    """One line: LSTM(input_size=65, hidden_size=128, output_size=65): 107,201 numbers in 14 parameters."""
    sizes = ", ".join(
        f"{name}={value}"
        for name, value in vars(module).items()
        if isinstance(value, int) and not isinstance(value, bool) and not name.startswith("_")
    )
    return f"{type(module).__name__}({sizes}): {counted(module.parameters())}"


def summary(module: Any) -> str:
    """The title, and a line for each part and its own parameters."""
    return "\n".join([title(module), *_lines(module, "  ", {}, "")])


def counted(parameters: list[Parameter]) -> str:
    """1,234 numbers in 5 parameters, 100 of them fixed."""
    numbers, fixed = (sum(p.value.size for p in parameters if keep(p)) for keep in (lambda p: True, _fixed))
    many = f"{len(parameters)} parameter{'s' * (len(parameters) != 1)}"
    return f"{numbers:,} numbers in {many}" + (f", {fixed:,} of them fixed" if fixed else "")


def work(module: Any, inputs: tuple) -> str:
    """What one run over inputs takes: shapes of the inputs and outputs, FLOPs forward and back.

    A product of (m, k) and (k, n) is 2mkn, and 4mkn more on the way back; every other node one for each element.
    """
    with Tape() as tape:
        given = [leaf for leaf in flatten(inputs) if hasattr(leaf, "shape")]
        result = module.run(*inputs)
        shapes = [leaf.shape for leaf in flatten(result)]
        products = others = 0
        for node in (tape.node(i) for i in range(len(tape))):
            size = prod(node.shape)
            if node.op in MULTIPLYING:
                products += 2 * size * tape.node(node.inputs[0]).shape[-1]
            elif node.inputs:
                others += size
    forward, back = products + others, 2 * products + others
    told = ", ".join(str(tuple(leaf.shape)) for leaf in given)
    return (
        f"{told} → {', '.join(map(str, shapes))}: {forward:,} FLOPs forward, {back:,} back; "
        f"{products:,} of the first in products"
    )


def _fixed(parameter: Parameter) -> bool:
    return not parameter.trainable


def _lines(module: Any, indent: str, seen: dict[int, str], path: str) -> Iterator[str]:
    own, parts = [], []
    for name, thing in _held(vars(module)):
        where = f"{path}{name}"
        if isinstance(thing, Parameter):
            tied = seen.setdefault(id(thing), where)
            fixed = ", fixed" if not thing.trainable else ""
            own.append(f"{name} {thing.shape}{fixed}" if tied == where else f"{name} is {tied}")
        else:
            parts.append((name, thing, where))
    if own:
        yield indent + ", ".join(own)
    for name, thing, where in parts:
        if id(thing) in seen:
            yield f"{indent}{name} is {seen[id(thing)]}"
            continue
        seen[id(thing)] = where
        yield f"{indent}{name}: {type(thing).__name__}"
        yield from _lines(thing, indent + "  ", seen, where + ".")


def _held(things: Any) -> Iterator[tuple[str, Any]]:
    """Parameters and modules by name, those in lists and dicts too."""
    for name, thing in things.items():
        if isinstance(thing, Parameter) or hasattr(thing, "named_parameters"):
            yield name, thing
        elif isinstance(thing, (list, tuple)):
            yield from _held({f"{name}.{i}": each for i, each in enumerate(thing)})
        elif isinstance(thing, dict):
            yield from _held({f"{name}.{key}": each for key, each in thing.items()})
