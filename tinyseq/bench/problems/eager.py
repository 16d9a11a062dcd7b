"""Losses of whole problems for libraries that record plain Python loops: the equations as written, and by hand
for speed. The arrays are those of the library that `ops` belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyseq.bench.problems.cells import CELLS, Cell, Ops, Params, State, pack, tree_leaf, tree_node, unpack
from tinyseq.bench.problems.forest import Forest, Level
from tinyseq.bench.problems.problems import Problem

Zeros = Callable[[int, int], Any]


def under(params: Params, prefix: str) -> dict[str, Any]:
    """The parameters whose name begins with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in params.items() if name.startswith(prefix)}


def packed_params(problem: Problem, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters with the gates of every direction packed."""
    cell = CELLS[problem.cell]
    if not problem.stacked:
        return pack(cell, params)
    found = {name: params[name] for name in "Vc"}
    for prefix in (prefix for layer in problem.prefixes() for prefix in layer):
        found |= {prefix + name: array for name, array in pack(cell, under(params, prefix)).items()}
    return found


def unpacked_params(problem: Problem, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `packed_params`."""
    cell = CELLS[problem.cell]
    if not problem.stacked:
        return unpack(cell, params)
    found = {name: params[name] for name in "Vc"}
    for prefix in (prefix for layer in problem.prefixes() for prefix in layer):
        found |= {prefix + name: array for name, array in unpack(cell, under(params, prefix)).items()}
    return found


def _run(step: Callable[[Any, State], State], xs: list[Any], start: State, backward: bool) -> list[Any]:
    """Outputs of one direction over the steps of `xs`; the active batch shrinks with the rows of a step."""
    state, out = start, []
    rows = xs[0].shape[0]
    for x in reversed(xs) if backward else xs:
        if x.shape[0] != rows:
            rows = x.shape[0]
            state = tuple(part[:rows] for part in state)
        state = step(x, state)
        out.append(state[0])
    return out[::-1] if backward else out


def loop_loss(ops: Ops, problem: Problem, p: Params, xs: Sequence[Any], targets: Sequence[Any], zeros: Zeros) -> Any:
    """The equations in a loop, output and loss of each step in the step. `xs[t]` is (n_t, V)."""
    cell = CELLS[problem.cell]
    hs = list(xs)
    for layer in problem.prefixes():
        outs = []
        for prefix in layer:
            q = under(p, prefix) if prefix else p
            start = (zeros(hs[0].shape[0], problem.hidden),) * cell.states
            outs.append(_run(partial(cell.step, ops, q), hs, start, "backward" in prefix))
        hs = outs[0] if len(outs) == 1 else [ops.concat(list(parts)) for parts in zip(*outs, strict=True)]
    loss: Any = None
    for h, target in zip(hs, targets, strict=True):
        term = ops.cross_entropy(h @ p["V"] + p["c"], target)
        loss = term if loss is None else loss + term
    return loss / problem.batch


def hoisted_loss(
    ops: Ops,
    problem: Problem,
    q: Params,
    rows: Any,
    targets: Any,
    cut: Callable[[Any], list[Any]],
    join: Callable[[list[Any]], Any],
    zeros: Zeros,
) -> Any:
    """The same for speed: input product and output product for all steps at once, gates packed (`pack`).

    `rows` and `targets` hold all steps one after the other; `cut` cuts such an array into steps, `join` undoes it.
    """
    cell: Cell = CELLS[problem.cell]
    for layer in problem.prefixes():
        outs = []
        for prefix in layer:
            inner = cell.prepare(under(q, prefix) if prefix else q)
            steps = cut(cell.project(ops, inner, rows))
            start = (zeros(steps[0].shape[0], problem.hidden),) * cell.states
            outs.append(join(_run(partial(cell.recur, ops, inner), steps, start, "backward" in prefix)))
        rows = outs[0] if len(outs) == 1 else ops.concat(outs)
    return ops.cross_entropy(ops.addmm(q["c"], rows, q["V"]), targets) / problem.batch


def node_loss(
    ops: Ops, problem: Problem, forest: Forest, p: Params, leaves: Sequence[Any], targets: Any, join: Any
) -> Any:
    """Trees node by node: what one writes when every tree is different. `leaves[i]` is (1, V)."""
    states = [tree_leaf(ops, p, x) for x in leaves]
    for left, right in zip(forest.left.tolist(), forest.right.tolist(), strict=True):
        states.append(tree_node(ops, p, ops.concat([states[left], states[right]])))
    roots = join([states[root] for root in forest.roots.tolist()])
    return ops.cross_entropy(roots @ p["O"] + p["d"], targets) / problem.batch


def level_loss(
    ops: Ops, problem: Problem, plan: Sequence[Level], p: Params, x: Any, targets: Any, join: Any, take: Any
) -> Any:
    """Trees batched by hand, one product per depth. `take(array, indices)` picks rows."""
    leaves = tree_leaf(ops, p, x)
    states: Any = None
    for level in plan:
        parts = [] if states is None else [tree_node(ops, p, states.reshape(-1, 2 * problem.hidden))]
        if level.leaves.size == x.shape[0]:
            parts.append(leaves)
        elif level.leaves.size:
            parts.append(take(leaves, level.leaves))
        states = parts[0] if len(parts) == 1 else join(parts)
        if level.order is not None:
            states = take(states, level.order)
    return ops.cross_entropy(ops.addmm(p["d"], states, p["O"]), targets) / problem.batch


def small(problem: Problem) -> bool:
    """Whether a library that records in Python finishes the row in well under a second."""
    if problem.leaves is not None:
        return problem.batch * problem.leaves[1] <= 2048
    return problem.steps * problem.layers <= 200 and problem.batch <= 16
