"""Where the units of one step stand: a layered drawing of the step alone, used again for every column.

Graphviz's ``dot`` places it while it is small; a step (or a tape without steps) beyond that is layered here, in linear
time: rows by longest path, two sweeps of barycentres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tinyseq.viz.diagram import Point

DOT_LIMIT = 300


@dataclass
class Template:
    """Positions of keys, and the curve of each arrow between two of them (points to the foot of the head, tip)."""

    at: dict[Any, Point] = field(default_factory=dict)
    curves: dict[tuple[Any, Any], tuple[list[Point], Point]] = field(default_factory=dict)


def place(
    sizes: dict[Any, tuple[float, float]],
    edges: Sequence[tuple[Any, Any]],
    hanging: set[Any],
    row_gap: float,
    node_gap: float,
    ordered: bool = False,
) -> Template:
    """Place keys of given sizes in rows, arrows running upwards; keys in ``hanging`` stand above what they feed."""
    if not sizes:
        return Template()
    if len(sizes) <= DOT_LIMIT:
        try:
            return _by_dot(sizes, edges, hanging, row_gap, node_gap, ordered)
        except ImportError:
            pass
    return _by_layers(sizes, edges, hanging, row_gap, node_gap)


def _by_dot(
    sizes: dict[Any, tuple[float, float]],
    edges: Sequence[tuple[Any, Any]],
    hanging: set[Any],
    row_gap: float,
    gap: float,
    ordered: bool,
) -> Template:
    from pygraphviz import AGraph

    name = {key: f"k{i}" for i, key in enumerate(sizes)}
    lines = [f'digraph {{ rankdir=BT; ranksep="{row_gap / 72:.4f}"; nodesep="{gap / 72:.4f}"; splines=true;']
    if ordered:
        lines.append("ordering=in;")
    lines.append('node [shape=box, fixedsize=true, label=""]; edge [arrowsize=0.7];')
    for key, (width, height) in sizes.items():
        shape = ", shape=circle" if width == height else ""
        lines.append(f'{name[key]} [width="{width / 72:.4f}", height="{height / 72:.4f}"{shape}];')
    unique = list(dict.fromkeys(edges))
    for source, target in unique:
        back = source in hanging
        first, last = (target, source) if back else (source, target)
        lines.append(f"{name[first]} -> {name[last]} [weight=2{', dir=back' if back else ''}];")
    lines.append("}")
    graph = AGraph(string="\n".join(lines))
    graph.layout("dot")
    result = Template()
    for key, known in name.items():
        x, y = graph.get_node(known).attr["pos"].split(",")
        result.at[key] = (float(x), float(y))
    for source, target in unique:
        back = source in hanging
        first, last = (target, source) if back else (source, target)
        position = graph.get_edge(name[first], name[last]).attr["pos"]
        result.curves[source, target] = _spline(position, back)
    graph.close()
    return _centred(result)


def _spline(text: str, back: bool) -> tuple[list[Point], Point]:
    tip: Point = (0.0, 0.0)
    points: list[Point] = []
    for piece in text.replace("\\\n", "").split():
        if piece[:2] in ("e,", "s,"):
            tip = _point(piece[2:])
        else:
            points.append(_point(piece))
    return (points[::-1] if back else points), tip


def _point(text: str) -> Point:
    x, y = text.split(",")
    return float(x), float(y)


def _centred(template: Template) -> Template:
    xs, ys = [x for x, _ in template.at.values()], [y for _, y in template.at.values()]
    dx, dy = (min(xs) + max(xs)) / 2, min(ys)

    def move(p: Point) -> Point:
        return p[0] - dx, p[1] - dy

    at = {key: move(p) for key, p in template.at.items()}
    curves = {pair: ([move(p) for p in points], move(tip)) for pair, (points, tip) in template.curves.items()}
    return Template(at, curves)


def _by_layers(
    sizes: dict[Any, tuple[float, float]],
    edges: Sequence[tuple[Any, Any]],
    hanging: set[Any],
    row_gap: float,
    gap: float,
) -> Template:
    """Rows by longest path from the sources (edges come in topological order of their targets)."""
    above: dict[Any, list[Any]] = {key: [] for key in sizes}
    below: dict[Any, list[Any]] = {key: [] for key in sizes}
    for source, target in dict.fromkeys((t, s) if s in hanging else (s, t) for s, t in edges):
        above[source].append(target)
        below[target].append(source)
    layer = _longest_paths(above, below)
    rows: list[list[Any]] = [[] for _ in range(max(layer.values()) + 1)]
    for key in sizes:
        rows[layer[key]].append(key)
    order = {key: float(i) for row in rows for i, key in enumerate(row)}
    for neighbours, sweep in ((below, rows), (above, rows[::-1])):
        for row in sweep:
            mean = {
                k: sum(order[n] for n in neighbours[k]) / len(neighbours[k]) if neighbours[k] else order[k] for k in row
            }
            row.sort(key=mean.__getitem__)
            order.update({key: float(i) for i, key in enumerate(row)})
    template, y = Template(), 0.0
    for row in rows:
        height = max(sizes[key][1] for key in row)
        x = -sum(sizes[key][0] + gap for key in row) / 2
        for key in row:
            template.at[key] = (x + sizes[key][0] / 2, y + height / 2)
            x += sizes[key][0] + gap
        y += height + row_gap
    return _centred(template)


def _longest_paths(above: dict[Any, list[Any]], below: dict[Any, list[Any]]) -> dict[Any, int]:
    layer = dict.fromkeys(above, 0)
    open_inputs = {key: len(sources) for key, sources in below.items()}
    ready = [key for key, count in open_inputs.items() if count == 0]
    while ready:
        key = ready.pop()
        for target in above[key]:
            layer[target] = max(layer[target], layer[key] + 1)
            open_inputs[target] -= 1
            if open_inputs[target] == 0:
                ready.append(target)
    return layer
