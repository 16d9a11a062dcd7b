"""Ranks: which row of its step each node stands in, so that the lines from row to row are short (a linear program).

A net costs the rows from its source to its highest reader, however many read it: what is made of one thing and read
far above stands near its reader, and one line passes the rows between instead of many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np

from tinyseq.viz.placing.nets import Key, Nets

LOW = 1e-3  # how much a row higher up costs in itself
BESIDE = 0.5  # and for each thing that others read as well: gates of one input and one state stand in one row


def contracted(nets: Nets, of: dict[Key, Key]) -> dict[Key, set[Key]]:
    """Node → what it reads within its step; the nodes of a rail, which stand in one row, are one."""
    graph: dict[Key, set[Key]] = {of.get(k, k): set() for k in nets.sizes}
    for a, b in nets.inner:
        a, b = of.get(a, a), of.get(b, b)
        if a != b and a in graph and b in graph:
            graph[b].add(a)
    return graph


def is_acyclic(nets: Nets, of: dict[Key, Key]) -> bool:
    """Whether rails can stand in one row each."""
    try:
        TopologicalSorter(contracted(nets, of)).prepare()
    except CycleError:
        return False
    return True


def ranks(nets: Nets, of: dict[Key, Key]) -> dict[Key, int]:
    """The row of each node but of those that hang above others, strip after strip; inputs stand at the foot."""
    graph = contracted(nets, of)
    order = list(TopologicalSorter(graph).static_order())
    strip = {k: nets.strips[k] for k in graph}
    late: dict[Key, set[Key]] = {}
    for a, b, _ in nets.late:
        if b in nets.sizes:
            late.setdefault(of.get(a, a), set()).add(of.get(b, b))
    rank: dict[Key, int] = {}
    base = 0
    for group in _strips(graph, strip, order, nets.joined):
        rank |= _strip([k for k in order if strip[k] in group], graph, rank, base, nets, late)
        base = max(rank.values(), default=-1) + 1
    full = {k: rank[of.get(k, k)] for k in nets.sizes}
    full.update((k, base) for k in full if nets.roles[k] == "above")
    full.update((k, -1) for k in full if nets.roles[k] == "below")
    return {k: r for k, r in full.items() if k not in nets.hanging}


def _strip(
    keys: Sequence[Key],
    graph: dict[Key, set[Key]],
    below: dict[Key, int],
    base: int,
    nets: Nets,
    late: dict[Key, set[Key]],
) -> dict[Key, int]:
    """Ranks of one strip from ``base`` upwards, over ``below`` of those under it."""
    inside = set(keys)
    if not any(graph[k] & inside for k in keys):
        return dict.fromkeys(keys, base)
    number = {k: i for i, k in enumerate(keys)}
    program = _Differences(len(keys))
    for k in keys:
        foot = max([base, *[below[p] + 1 for p in graph[k] if p in below]])
        is_data = not graph[k] and nets.roles[k] in ("data", "below")
        program.between(number[k], foot, foot if is_data else None)
        program.cost[number[k]] += LOW
    readers: dict[Key, list[int]] = {}
    outside: dict[Key, list[int]] = {}  # the same of what comes from other strips, or from the step before
    for k in keys:
        for source in graph[k]:
            (readers if source in inside else outside).setdefault(source, []).append(number[k])
            if source in inside:
                program.above(number[k], number[source], 1.0)
    for source, found in readers.items():
        program.span([number[source]], found)
    come_in = [*outside.values(), *([number[k] for k in found if k in inside] for found in late.values())]
    come_in = [found for found in come_in if len(found) > 1]
    for found in come_in:
        program.span(found, found)
    shared = [found for found in readers.values() if len(found) > 1] + come_in
    for found in shared:
        for x in found:
            program.cost[x] += BESIDE
    solved = program.solve()
    return {k: round(solved[number[k]]) for k in keys}


class _Differences:
    """min Σ cost·x  subject to  x_b − x_a ≥ distance: its best solutions are whole numbers."""

    def __init__(self, count: int) -> None:
        self.cost = [0.0] * count
        self.limits: list[tuple[float | None, float | None]] = [(None, None)] * count
        self.apart: list[tuple[int, int, float]] = []

    def between(self, x: int, low: float, high: float | None) -> None:
        self.limits[x] = low, high

    def above(self, b: int, a: int, distance: float) -> None:
        self.apart.append((b, a, distance))

    def span(self, low: Sequence[int], high: Sequence[int]) -> None:
        """What reaches from the lowest of some to the highest of others costs its length."""
        top = self._extreme(high, 1)
        self.cost[top] += 1.0
        bottom = low[0] if len(low) == 1 else self._extreme(low, -1)
        self.cost[bottom] -= 1.0

    def _extreme(self, members: Sequence[int], sign: int) -> int:
        self.cost.append(0.0)
        self.limits.append((None, None))
        made = len(self.cost) - 1
        for x in members:
            self.above(*((made, x) if sign > 0 else (x, made)), 0.0)
        return made

    def solve(self) -> np.ndarray:
        from scipy.optimize import linprog
        from scipy.sparse import coo_array

        rows = np.repeat(np.arange(len(self.apart)), 2)
        columns = np.array([[b, a] for b, a, _ in self.apart]).ravel()
        values = np.tile([-1.0, 1.0], len(self.apart))
        matrix = coo_array((values, (rows, columns)), shape=(len(self.apart), len(self.cost))).tocsr()
        bounds = [-distance for _, _, distance in self.apart]
        return linprog(self.cost, A_ub=matrix, b_ub=bounds, bounds=self.limits, method="highs-ds").x


def _strips(
    graph: dict[Key, set[Key]], strip: dict[Key, str], order: Iterable[Key], joined: Iterable[tuple[str, str]]
) -> list[set[str]]:
    """Cells in the order in which they feed one another; those that feed each other are one."""
    between: dict[str, set[str]] = {name: set() for name in dict.fromkeys(strip[k] for k in order)}
    for key, sources in graph.items():
        between[strip[key]] |= {strip[s] for s in sources} - {strip[key]}
    for before, after in joined:
        if before != after and before in between and after in between:
            between[after].add(before)
    return _groups(between)


def _groups(between: dict[str, set[str]]) -> list[set[str]]:
    """Names in order, those that reach one another together."""
    reach: dict[str, set[str]] = {}
    for name in between:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            new = between[waiting.pop()] - seen
            seen |= new
            waiting += new
        reach[name] = seen
    of = {name: min([name, *[o for o in reach[name] if name in reach[o]]]) for name in between}
    graph: dict[str, set[str]] = {of[name]: set() for name in between}
    for name, before in between.items():
        graph[of[name]] |= {of[o] for o in before} - {of[name]}
    return [{name for name in between if of[name] == group} for group in TopologicalSorter(graph).static_order()]
