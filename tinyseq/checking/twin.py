"""The functions of a program on PyTorch: its text runs there as it stands, where each of them has a twin.

Chains and trees are plain loops here, with nothing of the library's unfolding in them. What has no twin (truncation,
sequences of different lengths) raises `NoTwinError`, and such a program is not compared.
"""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinyseq.checking.programs import Program


class NoTwinError(Exception):
    """A program calls something that has no twin."""


def has_torch() -> bool:
    """Whether PyTorch can be imported."""
    return importlib.util.find_spec("torch") is not None


def by_torch(program: Program, number: int = 0) -> dict[str, np.ndarray | None]:
    """Results and gradients of a program by PyTorch, in float64, named as those of ``running.Run``."""
    import torch

    values, inputs, constants = program.numbers(number)
    parameters = {name: torch.tensor(v, requires_grad=True) for name, v in values.items()}
    fixed = {name: entered(v) for name, v in constants.items()}
    names = {"np": np, "ts": twins(), "DTYPE": torch.float64, **fixed, **parameters}
    exec(compile(program.source, "<program>", "exec"), names)
    try:
        result = names["program"](*[entered(x) for x in inputs])
    except (AttributeError, TypeError, NotImplementedError) as error:
        raise NoTwinError(str(error)) from error
    results = flat(result)
    if results[0].requires_grad:
        results[0].sum().backward()
    found: dict[str, np.ndarray | None] = {f"result {k}": r.detach().numpy() for k, r in enumerate(results)}
    return found | {f"d{n}": None if p.grad is None else p.grad.numpy() for n, p in parameters.items()}


def entered(value: Any) -> Any:
    """Arrays as tensors."""
    import torch

    return [entered(v) for v in value] if isinstance(value, list) else torch.as_tensor(value)


def flat(result: Any) -> list[Any]:
    """The tensors of nested tuples, lists and dicts."""
    if isinstance(result, dict):
        result = tuple(result.values())
    return [t for part in result for t in flat(part)] if isinstance(result, (tuple, list)) else [result]


def joined(parts: list[Any], how: Any) -> Any:
    """Several nested states as one, part by part."""
    if isinstance(parts[0], dict):
        return {k: joined([p[k] for p in parts], how) for k in parts[0]}
    if isinstance(parts[0], (tuple, list)):
        return tuple(joined(list(p), how) for p in zip(*parts, strict=True))
    return how(parts)


class Cell:
    """A step, called as a function."""

    def __call__(self, *given: Any) -> Any:
        return self.step(*given)  # type: ignore[attr-defined]


def chain(T: Any, backwards: bool = False) -> Any:
    """``ts.Chain(T)``; lengths have no twin."""
    if not isinstance(T, int):
        raise NoTwinError("sequences of different lengths")
    return SimpleNamespace(T=T, backwards=backwards)


def unfold(step: Any, structure: Any, inputs: Any, state: Any = None, delays: Any = (1,), **other: Any) -> Any:
    """``ts.unfold`` as plain loops over steps, or over nodes from the last to the root."""
    import torch

    if other:
        raise NoTwinError(", ".join(other))
    if isinstance(structure, list):
        return unfold_forest(step, structure, inputs)
    sequences = inputs if isinstance(inputs, tuple) else (inputs,)
    order = list(range(structure.T))[:: -1 if structure.backwards else 1]
    states, outputs = [state], {}
    for t in order:
        old = [states[max(len(states) - d, 0)] for d in delays]
        new, outputs[t] = step(*[x[t] for x in sequences], old[0] if len(old) == 1 else tuple(old))
        states.append(new)
    at = dict(zip(order, states[1:], strict=True))
    return SimpleNamespace(
        outputs=joined([outputs[t] for t in range(structure.T)], torch.stack), final=states[-1],
        output=outputs.__getitem__, state=at.__getitem__,
    )  # fmt: skip


def unfold_forest(cell: Any, trees: list[list[list[int]]], x: Any) -> Any:
    """A tree cell over every node of every tree, numbered as ``ts.Forest`` numbers them."""
    import torch

    import tinyseq as ts

    made = [ts.Tree.from_children(children) for children in trees]
    forest = made[0] if len(made) == 1 else ts.Forest(made)
    total = len(forest)
    children = [list(map(int, forest.children_of(p))) for p in range(total)]
    leaves = [p for p in range(total) if not children[p]]
    inside = x.shape[0] == total and total > len(leaves)
    shared = False
    if x.ndim == 3 or (x.ndim == 2 and not x.is_floating_point()):
        shared = True
    row = {p: k for k, p in enumerate(range(total) if inside else leaves)}
    states: dict[int, Any] = {}
    waiting = list(range(total))
    while waiting:
        for p in [p for p in waiting if all(c in states for c in children[p])]:
            given = (x[row[p]] if shared else x[row[p] : row[p] + 1]) if p in row else None
            if not children[p]:
                states[p] = cell.leaf(given)
            else:
                below = [states[c] for c in children[p]]
                states[p] = cell.merge(*below, x=given) if inside else cell.merge(*below)
            waiting.remove(p)
    together = torch.stack if shared else torch.cat
    roots = [int(r) for r in forest.roots]
    return SimpleNamespace(
        state=states.__getitem__, states=joined([states[p] for p in range(total)], together),
        roots=states[roots[0]] if len(roots) == 1 else joined([states[r] for r in roots], together),
    )  # fmt: skip


def twins() -> Any:
    """What ``ts`` stands for."""
    import torch
    from torch.nn import functional as F

    def over(f: Any) -> Any:
        def reduced(x: Any, axis: Any = None, keep: bool = False) -> Any:
            return f(x, tuple(range(x.ndim)) if axis is None else axis, keep)

        return reduced

    def taken(x: Any, index: Any, axis: int = 0) -> Any:
        return x[index] if axis == 0 else x.movedim(axis, 0)[index]

    def cross_entropy(z: Any, target: Any, mask: Any = None, reduction: str = "mean") -> Any:
        losses = -torch.log_softmax(z, -1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
        if mask is not None:
            losses = torch.where(mask > 0, losses, torch.zeros_like(losses))
        if reduction == "mean":
            return losses.sum() / (losses.numel() if mask is None else mask.sum())
        return losses.sum() if reduction == "sum" else losses

    def layer_norm(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
        return F.layer_norm(x, x.shape[-1:], gain, bias, epsilon)

    def transpose(x: Any, axes: Any = None) -> Any:
        return x.permute(axes) if axes is not None else x.permute(*range(x.ndim)[::-1])

    def wanted(a: Any, b: Any) -> tuple[Any, Any]:
        return a, b if torch.is_tensor(b) else torch.full_like(a, b)

    def norm(x: Any, axis: Any, keep: bool) -> Any:
        return (x * x).sum(axis, keep).sqrt()

    return SimpleNamespace(
        tanh=torch.tanh, sigmoid=torch.sigmoid, softplus=lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        relu=torch.relu, abs=torch.abs, exp=torch.exp, log=torch.log, sqrt=torch.sqrt, where=torch.where,
        sum=over(torch.sum), mean=over(torch.mean), max=over(torch.amax), norm=over(norm),
        maximum=lambda a, b: torch.maximum(*wanted(a, b)), minimum=lambda a, b: torch.minimum(*wanted(a, b)),
        softmax=lambda x: torch.softmax(x, -1), log_softmax=lambda x: torch.log_softmax(x, -1),
        linear=F.linear, reshape=torch.reshape, expand=torch.broadcast_to, transpose=transpose,
        concatenate=lambda parts, axis=-1: torch.cat(list(parts), axis), stack=lambda parts: torch.stack(list(parts)),
        take=taken, gather=lambda x, i: x.gather(-1, i.unsqueeze(-1)).squeeze(-1),
        one_hot=lambda i, n, dtype: F.one_hot(i, n).to(dtype), cross_entropy=cross_entropy, layer_norm=layer_norm,
        squared_error=lambda a, b: (a - b) ** 2,
        bernoulli_cross_entropy=lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
        zeros=lambda shape, dtype: torch.zeros(shape, dtype=dtype), unfold=unfold, Chain=chain,
        Tree=SimpleNamespace(from_children=lambda c: [c]), Forest=lambda trees: [t for one in trees for t in one],
        nn=SimpleNamespace(Cell=Cell),
    )  # fmt: skip
