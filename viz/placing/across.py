"""Places from left to right: lines as straight as they can be, nothing closer than it may be (a linear program)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tinyseq.viz.placing.nets import Key, Net, Nets, Tap
from tinyseq.viz.placing.rows import Item, Rows

LANE = 7.0  # clear space on both sides of a lane
ARRIVING = 8.0  # between two arrows that arrive side by side
NAME_GAP = 4.0
WIDE_FAN = 14.0  # from the middle of a node: arrows further out turn towards it, names stand under where they turn


@dataclass
class Across:
    """``x`` of each item, and how far each node reaches with the arrows and names under and over it."""

    x: dict[Item, float] = field(default_factory=dict)
    left: dict[Key, float] = field(default_factory=dict)
    right: dict[Key, float] = field(default_factory=dict)

    def node(self, key: Key) -> float:
        """Middle of a node."""
        return self.x["node", key]

    def start(self, nets: Nets, rows: Rows, tap: Tap) -> float | None:
        """Where the line from below to a tap comes up: at its source, or at the lane of its net; None from a side."""
        if tap.net.kind != "inner":
            return None
        high = rows.row[tap.target] > rows.leaves(tap.net.source) + 1
        return self.x[("lane", tap.net) if high and tap.net in rows.lanes else ("node", tap.net.source)]

    def rises(self, rows: Rows, tap: Tap) -> bool:
        """Whether a late net goes straight up from its port row to a node, past other port rows where they are free."""
        port, row = rows.port.get((tap.net.source, tap.net.sign)), rows.row[tap.target]
        if tap.net.kind != "late" or port is None or not is_below(rows, tap):
            return False
        x = self.node(tap.target) + tap.offset
        return port == row - 1 or all(abs(self.x[i] - x) > LANE for r in range(port, row) for i in rows.rows[r])


def is_below(rows: Rows, tap: Tap) -> bool:
    """Whether there are only port rows between a node and the port row of a net under it."""
    port, row = rows.port.get((tap.net.source, tap.net.sign)), rows.row[tap.target]
    return port is not None and port < row and all(rows.is_port(r) for r in range(port, row))


def place_across(nets: Nets, rows: Rows, gap: float) -> Across:
    """Twice: once to see from where lines come, then with their arrows in that order."""
    across = Across()
    _fans(nets, rows, across, None)
    across.x = _solve(nets, rows, across, gap)
    _fans(nets, rows, across, dict(across.x))
    across.x = _solve(nets, rows, across, gap)
    return across


def _fans(nets: Nets, rows: Rows, across: Across, x: dict[Item, float] | None) -> None:
    for key, (width, _) in nets.sizes.items():
        left = right = width / 2
        taps = [t for t in nets.taps.get(key, ()) if not straight(rows, t)]
        for top in (False, True):
            group = [t for t in taps if t.top == top]
            group.sort(key=lambda t: _from(nets, rows, across, t, x))
            low, high = _spread(group, width)
            left, right = max(left, -low), max(right, high)
        more = nets.loops.get(key, (0.0, 0.0))
        across.left[key], across.right[key] = max(left, width / 2 + more[0]), max(right, width / 2 + more[1])


def straight(rows: Rows, tap: Tap) -> bool:
    """Whether a net reaches a node level, along a rail."""
    if tap.again:
        return False
    if tap.net.kind == "late":
        return rows.is_rail_entry(tap.net.source, tap.target, tap.net.sign)
    return tap.net.kind == "inner" and (tap.net.source, tap.target) in rows.flat


def _from(nets: Nets, rows: Rows, across: Across, tap: Tap, x: dict[Item, float] | None) -> float:
    start = across.start(nets, rows, tap) if x is not None else 0.0
    if start is None:  # from the left side, or where time runs back from the right; the highest port furthest out
        port = rows.port.get((tap.net.source, tap.net.sign), 0)
        start = 1e6 + port * is_below(rows, tap)
        start *= 1 if tap.net.sign < 0 else -1
    return start


def _spread(taps: Sequence[Tap], width: float) -> tuple[float, float]:
    """Offsets of arrows that arrive side by side, names outside of the outer ones; what they take on both sides."""
    if not taps:
        return 0.0, 0.0
    if len(taps) == 1:
        taps[0].offset = 0.0
        return 0.0, taps[0].name + NAME_GAP if taps[0].name else 0.0
    offsets = [0.0]
    for before, _ in pairwise(taps):
        named = before.name if before is not taps[0] else 0.0
        offsets.append(offsets[-1] + max(ARRIVING * 1.5, named + 2 * NAME_GAP))
    middle = offsets[-1] / 2
    for tap, offset in zip(taps, offsets, strict=True):
        tap.offset = offset - middle
    low = -middle - (taps[0].name + NAME_GAP if taps[0].name else 3.0)
    return low, middle + (taps[-1].name + NAME_GAP if taps[-1].name else 3.0)


# -- the program ------------------------------------------------------------------------
class _Program:
    """min Σ weight·|Σ coefficient·x + constant|  subject to  x_b − x_a ≥ distance."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.number: dict[Item, int] = {}
        for item in items:  # what rises from a node does so over its middle
            place = ("node", item[1]) if item[0] == "riser" else item
            self.number[item] = self.number.setdefault(place, len(set(self.number.values())))
        self.apart: list[tuple[int, int, float]] = []
        self.terms: list[tuple[float, dict[int, float], float]] = []

    def separate(self, a: Item, b: Item, distance: float) -> None:
        self.apart.append((self.number[a], self.number[b], distance))

    def near(self, weight: float, parts: dict[Item, float], constant: float = 0.0) -> None:
        self.terms.append((weight, {self.number[i]: c for i, c in parts.items()}, constant))

    def solve(self) -> dict[Item, float]:
        from scipy.optimize import linprog
        from scipy.sparse import coo_array

        n, m = len(set(self.number.values())), len(self.terms)
        rows: list[int] = []
        cols: list[int] = []
        values: list[float] = []
        bounds: list[float] = []
        for a, b, distance in self.apart:
            r = len(bounds)
            rows += [r, r]
            cols += [a, b]
            values += [1.0, -1.0]
            bounds.append(-distance)
        for k, (_, parts, constant) in enumerate(self.terms):
            for sign in (1.0, -1.0):
                r = len(bounds)
                rows += [r] * (len(parts) + 1)
                cols += [*parts, n + k]
                values += [*(sign * c for c in parts.values()), -1.0]
                bounds.append(-sign * constant)
        cost = np.concatenate([np.zeros(n), [w for w, _, _ in self.terms]])
        matrix = coo_array((values, (rows, cols)), shape=(len(bounds), n + m)).tocsr()
        limits = [(None, None)] * n + [(0, None)] * m
        found = linprog(cost, A_ub=matrix, b_ub=bounds, bounds=limits, method="highs")
        if found.x is None and self._without_circles():
            return self.solve()
        return {item: float(found.x[i]) for item, i in self.number.items()}

    def _without_circles(self) -> bool:
        """Leave out distances of what stands in one order in one row and in another order in the next: two arrows
        that cross there. Whether there were any."""
        after: dict[int, set[int]] = {}
        kept = []
        for a, b, distance in self.apart:
            seen, stack = {b}, [b]
            while stack:
                for item in after.get(stack.pop(), ()):
                    if item not in seen:
                        seen.add(item)
                        stack.append(item)
            if a not in seen:
                after.setdefault(a, set()).add(b)
                kept.append((a, b, distance))
        fewer = len(kept) < len(self.apart)
        self.apart = kept
        return fewer


def _solve(nets: Nets, rows: Rows, across: Across, gap: float) -> dict[Item, float]:
    items = list(dict.fromkeys(item for row in rows.rows for item in row))
    if not items:
        return {}
    program = _Program(items)
    for row in rows.rows:
        last = row[0] if row else None
        for a, b in pairwise(row):
            last = a if a[0] == "node" else last
            ports = a[0] == b[0] == "node" and {nets.roles[a[1]], nets.roles[b[1]]} <= {"below", "above"}
            clear = min(gap, ARRIVING) if ports else gap
            program.separate(a, b, _distance(rows, across, a, b, clear) + _rail_name(nets, rows, last, b))
    for item in items:
        program.near(0.02, {item: 1.0})
    for a, b in nets.hanging.items():
        program.near(20.0, {("node", a): 1.0, ("node", b): -1.0})
    ends: dict[Item, list[tuple[Item, float]]] = {}
    for key, taps in nets.taps.items():
        for tap in taps:
            if tap.net.kind == "inner" and not straight(rows, tap) and not tap.top:
                high = rows.row[key] > rows.leaves(tap.net.source) + 1
                start: Item = ("lane", tap.net) if high else ("node", tap.net.source)
                ends.setdefault(start, []).append((("node", key), tap.offset))
    for net in rows.lanes:
        ends.setdefault(("node", net.source), []).append((("lane", net), 0.0))
    for start, found in ends.items():
        for end, offset in found:
            program.near(2.0 if len(found) == 1 else 0.4, {start: 1.0, end: -1.0}, -offset)
        if len(found) > 1:
            share = 1.0 / len(found)
            parts: dict[Item, float] = {start: 1.0}
            for end, _ in found:
                parts[end] = parts.get(end, 0.0) - share
            program.near(1.5, parts, -share * sum(o for _, o in found))
    for rail in rows.rails.values():
        for a, b in pairwise(rail):
            program.near(0.5, {("node", a): 1.0, ("node", b): -1.0})
    return program.solve()


def _distance(rows: Rows, across: Across, a: Item, b: Item, gap: float) -> float:
    if "node" not in (a[0], b[0]):
        return 2 * LANE
    if a[0] != "node" or b[0] != "node":
        return (across.left[b[1]] if a[0] != "node" else across.right[a[1]]) + LANE + 3.0
    return across.right[a[1]] + across.left[b[1]] + gap


def _rail_name(nets: Nets, rows: Rows, a: Item, b: Item) -> float:
    """Space for a name on the arrow between two nodes of a rail: before the second, after what rises between them."""
    pair = (a[1], b[1]) if (a[1], b[1]) in rows.flat else (b[1], a[1])
    if a[0] != "node" or b[0] != "node" or pair not in rows.flat:
        return 0.0
    names = [t.name for t in nets.taps[pair[1]] if t.net == Net("inner", pair[0]) and not t.again]
    return max([0.0, *names]) + 4.0
