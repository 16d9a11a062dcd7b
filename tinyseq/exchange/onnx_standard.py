"""Loops that are what ONNX has an operator for: RNN, LSTM and GRU, found by comparing graphs, not names.

A step is compared, node by node, with that of a cell of ``nn``; whatever reads its output at the same step, such as
o = c + V h, becomes a loop of its own behind the operator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinyseq import nn
from tinyseq.exchange.net import Leaf, Loop, Net, Operation
from tinyseq.exchange.recording import Input
from tinyseq.exchange.signatures import net
from tinyseq.exchange.sizes import Size, Value


class Standard(NamedTuple):
    """An operator: its name, its attributes, the cell that it is, and its gates in their order there."""

    kind: str
    attributes: dict[str, Any]
    cell: Callable[..., Any]
    gates: tuple[str, ...]
    peepholes: tuple[str, ...] = ()


def _cell(made: Any, **options: Any) -> Callable[[int, int], Any]:
    return lambda inputs, hidden: made(inputs, hidden, rng=np.random.default_rng(0), **options)


def _hidden_units(inputs: int, hidden: int) -> Callable[[Any], Any]:
    """Those of the net of figure 10.3, which adds up in another order than the cell."""
    model = nn.RNN(inputs, hidden, 1, rng=np.random.default_rng(0))
    return lambda x: model.unfold(x).states


STANDARDS = (
    Standard("RNN", {"activations": ["Tanh"]}, _hidden_units, ("",)),
    Standard("RNN", {"activations": ["Tanh"]}, _cell(nn.RNNCell), ("a",)),
    Standard("RNN", {"activations": ["Relu"]}, _cell(nn.RNNCell, squash="relu"), ("a",)),
    Standard("LSTM", {}, _cell(nn.LSTMCell), ("g", "q", "f", "a")),
    Standard("LSTM", {}, _cell(nn.LSTMCell, peepholes="gers"), ("g", "q", "f", "a"), ("p.g", "p.q", "p.f")),
    Standard("GRU", {"linear_before_reset": 1}, _cell(nn.GRUCell), ("u", "r", "a")),
    Standard("GRU", {"linear_before_reset": 0}, _cell(nn.GRUCell, reset_after=False), ("u", "r", "a")),
)


@lru_cache(maxsize=64)
def _template(number: int, inputs: int, hidden: int) -> tuple[Loop, dict[Value, str]]:
    """The loop of a cell, and the names of its parameters."""
    cell = STANDARDS[number].cell(inputs, hidden)
    made: Net = net(cell, None if isinstance(cell, nn.Module) else [Input("x", ("T", "B", inputs))])
    (loop,) = (item for item in made.body if isinstance(item, Loop))
    return loop, {leaf.out: leaf.name for leaf in made.leaves if leaf.kind == "parameter"}


class Match(NamedTuple):
    """A loop that begins with a standard cell: its parameters by name there, its output h, and what comes after."""

    standard: Standard
    parameters: dict[str, np.ndarray]
    h: Value
    rest: list[Operation]


def matched(loop: Loop, whole: Net, leaves: dict[Value, Leaf]) -> Match | None:
    """The standard cell that a loop is, or begins with; None where there is none."""
    if not loop.sequences or not loop.after or tuple(map(int, loop.delays)) != (1,):
        return None
    x, h = whole.shapes[loop.sequences[0][1]], whole.shapes[loop.initial[0]]
    sizes = (x[0][-1:], h[0][-1:])
    if x[1] != "float32" or len(x[0]) != 2 or len(h[0]) != 2 or any(isinstance(n[0], Size) for n in sizes):
        return None
    for number, standard in enumerate(STANDARDS):
        found = _same(standard, *_template(number, int(x[0][1]), int(h[0][1])), loop, leaves)
        if found is not None:
            return found
    return None


def _same(
    standard: Standard, template: Loop, names: dict[Value, str], loop: Loop, leaves: dict[Value, Leaf]
) -> Match | None:
    count = len(template.body)
    if len(loop.body) < count or len(loop.after) != len(template.after):
        return None
    here: dict[Value, Value] = {template.sequences[0][1]: loop.sequences[0][1]}
    here.update(zip(template.before[0], loop.before[0], strict=True))
    parameters: dict[str, np.ndarray] = {}
    for theirs, mine in zip(template.body, loop.body, strict=False):
        if (theirs.op, theirs.attrs, len(theirs.reads)) != (mine.op, mine.attrs, len(mine.reads)):
            return None
        for a, b in zip(theirs.reads, mine.reads, strict=True):
            if a in names and a not in here:
                leaf = leaves.get(b)
                if leaf is None or leaf.kind != "parameter":
                    return None
                parameters[names[a]], here[a] = np.asarray(leaf.value), b
            if here.get(a) != b:
                return None
        here[theirs.out] = mine.out
    if [here.get(value) for value in template.after] != list(loop.after):
        return None
    h, rest = here[template.outputs[0][0]], loop.body[count:]
    hidden = {o.out for o in loop.body[:count]} - {h} | set(loop.before[0])
    read = {value for o in rest for value in o.reads} | {inner for inner, _ in loop.outputs}
    fits = not read & hidden and all(len(a) for a in parameters.values())
    return Match(standard, parameters, h, rest) if fits and _shapes_fit(standard, parameters) else None


def _shapes_fit(standard: Standard, parameters: dict[str, np.ndarray]) -> bool:
    """Whether the parameters have the shapes of a cell, and not others that broadcast to them."""
    W, U = (_of_gates(standard, parameters, name) for name in "WU")
    vectors = [p for name, p in parameters.items() if not name.endswith(("W", "U"))]
    same = all(w.shape == W[0].shape for w in W) and all(u.shape == U[0].shape for u in U)
    return same and all(p.shape == W[0].shape[:1] for p in vectors)


def _of_gates(standard: Standard, parameters: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """U, W or b of each gate."""
    return [parameters[f"{gate}.{name}" if gate else name] for gate in standard.gates]


def write(graph: Any, loop: Loop, found: Match) -> None:
    """Add the operator to a graph, and behind it a loop of what reads its output."""
    standard, given = found.standard, found.parameters
    W, R, bias = (np.concatenate(_of_gates(standard, given, name)) for name in ("U", "W", "b"))
    inside = np.zeros_like(bias)
    hidden = R.shape[1]
    if "b_h" in given:
        inside[-hidden:] = given["b_h"]
    front = graph.array([0], "int64")
    states = [graph.node("Unsqueeze", graph.name_of(value), front) for value in loop.initial]
    reads = [graph.name_of(loop.sequences[0][0]), graph.array(W[None]), graph.array(R[None]),
             graph.array(np.concatenate([bias, inside])[None]), "", *states]  # fmt: skip
    if standard.peepholes:
        reads.append(graph.array(np.concatenate([given[name] for name in standard.peepholes])[None]))
    direction = "reverse" if loop.backwards else "forward"
    made = [graph.fresh(name) for name in ("Y", "Y_h", "Y_c")[: 1 + len(loop.after)]]
    graph.nodes.append(
        graph.helper.make_node(
            standard.kind, reads, made, hidden_size=hidden, direction=direction, **standard.attributes
        )
    )
    for state, value in loop.finals:
        graph.names[value] = graph.node("Squeeze", made[1 + int(state)], front)
    steps = graph.node("Squeeze", made[0], graph.array([1], "int64"))
    _behind(graph, loop, found, steps)


def _behind(graph: Any, loop: Loop, found: Match, steps: str) -> None:
    """Outputs of the operator as they are, and a loop for those that are computed from it at each step."""
    later = []
    for inner, outer in loop.outputs:
        if inner == found.h:
            graph.names[outer] = steps
        else:
            later.append((inner, outer))
    if not later:
        return
    whole = Value(-1 - len(graph.names))
    graph.names[whole] = steps
    rows = [(whole, found.h), *loop.sequences]
    read = {value for o in found.rest for value in o.reads} | {inner for inner, _ in later}
    used = [pair for pair in rows if pair[1] in read] or rows[:1]
    graph.scan(Loop(loop.cell, loop.steps, loop.backwards, (), used, [], [], [], found.rest, later))
