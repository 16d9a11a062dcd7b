"""Rows of a step: inputs below, outputs above, each delayed state on a row that it enters left and leaves right.

A *rail* is the way of a state through its step, from where it is read late to where it is made: its nodes stand in
a row of their own, so that the state runs straight through all steps. A state that is read late by others only (the h
of an LSTM) gets an empty row under its lowest reader, its *port row*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key
from itertools import pairwise

from tinyseq.viz.placing.nets import Key, Net, Nets
from tinyseq.viz.placing.ranks import is_acyclic, ranks

LONGEST_RAIL = 6
SWEEPS = 8

Item = tuple[str, Key]  # ("node", key), ("lane", net), or ("riser", key): straight up from a node through a port row


@dataclass
class Rows:
    """Rows from below to above.

    rows    the items of each, from left to right; an empty one is a port row
    row     key → its row
    port    (key, sign) → the row at whose height a late arrow crosses from step to step
    rails   (key, sign) → the nodes of its rail, in the order of time
    lanes   inner net → (first, last) row that it passes on its way up
    """

    rows: list[list[Item]] = field(default_factory=list)
    row: dict[Key, int] = field(default_factory=dict)
    port: dict[tuple[Key, int], int] = field(default_factory=dict)
    rails: dict[tuple[Key, int], list[Key]] = field(default_factory=dict)
    lanes: dict[Net, tuple[int, int]] = field(default_factory=dict)
    flat: set[tuple[Key, Key]] = field(default_factory=set)  # inner arrows along a rail
    ports: frozenset[int] = frozenset()  # the port rows, once they are all there

    def is_port(self, row: int) -> bool:
        """Whether a row is there for a state that crosses: no node stands in it."""
        return row in self.ports

    def leaves(self, key: Key) -> int:
        """The row over which what a node feeds turns to its readers: its own, or the highest of the port rows on it."""
        row = self.row[key]
        while row + 1 < len(self.rows) and self.is_port(row + 1):
            row += 1
        return row

    def is_rail_entry(self, source: Key, target: Key, sign: int) -> bool:
        """Whether a late arrow runs straight along the rail of its source."""
        rail = self.rails.get((source, sign))
        return rail is not None and rail[0] == target


def make_rows(nets: Nets) -> Rows:
    """Rows, ports and lanes of a step."""
    rows = Rows()
    rows.rails = _rails(nets)
    for rail in rows.rails.values():
        rows.flat |= {pair for pair in pairwise(rail) if pair in nets.inner}
    of = {key: rail[0] for rail in rows.rails.values() for key in rail}
    rank = ranks(nets, of)
    number = -1
    for level in sorted(set(rank.values())):
        here = [k for k in nets.sizes if k in rank and rank[k] == level]
        plain = [k for k in here if k not in of]
        groups = [plain] if plain else []
        for (_, sign), rail in rows.rails.items():
            if rail[0] in here:
                groups.append(rail if sign > 0 else rail[::-1])
        for group in groups:
            number = _add(rows, group, number)
            above = [h for h, under in nets.hanging.items() if under in group]
            number = _add(rows, above, number) if above else number
    _ports(nets, rows)
    _lanes(nets, rows)
    _order(nets, rows, set(of))
    return rows


def _add(rows: Rows, group: Sequence[Key], number: int) -> int:
    rows.rows.append([("node", k) for k in group])
    rows.row.update((k, number + 1) for k in group)
    return number + 1


# -- rails ------------------------------------------------------------------------
def _rails(nets: Nets) -> dict[tuple[Key, int], list[Key]]:
    below: dict[Key, list[Key]] = {}
    for a, b in nets.inner:
        below.setdefault(a, []).append(b)
    found: list[tuple[tuple[Key, int], list[Key]]] = []
    for a, b, sign in nets.late:
        if a in nets.sizes and b in nets.sizes:
            path = _path(below, b, a, nets.signs)
            if path is not None and len(path) <= LONGEST_RAIL:
                found.append(((a, sign), path))
    rails: dict[tuple[Key, int], list[Key]] = {}
    for name, path in sorted(found, key=lambda one: len(one[1])):
        taken = {k for rail in rails.values() for k in rail}
        if name in rails or taken & set(path) or len({nets.strips[k] for k in path}) > 1:
            continue
        tried = {**rails, name: path}
        if is_acyclic(nets, {k: rail[0] for rail in tried.values() for k in rail}):
            rails = tried
    return rails


def _path(below: dict[Key, list[Key]], start: Key, end: Key, signs: set[Key]) -> list[Key] | None:
    """The shortest way from a late reader to the state, over ops written as signs alone: what has a name is no rail."""
    came: dict[Key, Key | None] = {start: None} if start in signs or start == end else {}
    waiting = deque(came)
    while waiting:
        key = waiting.popleft()
        if key == end:
            path = [key]
            while (before := came[path[-1]]) is not None:
                path.append(before)
            return path[::-1]
        for other in below.get(key, ()):
            if other not in came and (other in signs or other == end):
                came[other] = key
                waiting.append(other)
    return None


# -- ports and lanes ------------------------------------------------------------------------
def _ports(nets: Nets, rows: Rows) -> None:
    """A row for each late source without a rail, under its lowest reader."""
    wanted: dict[tuple[Key, int], int] = {}
    for a, sign in {(a, s): None for a, _, s in nets.late} | {
        e: None for e, why in nets.exits.items() if "port" in why
    }:
        if (a, sign) not in rows.rails:
            readers = [rows.row[b] for x, b, s in nets.late if (x, s) == (a, sign) and b in rows.row]
            wanted[a, sign] = min(readers, default=rows.row.get(a, 0))
    for (a, sign), under in sorted(wanted.items(), key=lambda one: -one[1]):
        rows.rows.insert(under, [])
        rows.row = {k: r + (r >= under) for k, r in rows.row.items()}
        rows.port = {k: r + (r >= under) for k, r in rows.port.items()}
        rows.port[a, sign] = under
    for (a, sign), rail in rows.rails.items():
        rows.port[a, sign] = rows.row[rail[0]]
    rows.ports = frozenset(range(len(rows.rows))) - frozenset(rows.row.values())


def _lanes(nets: Nets, rows: Rows) -> None:
    """Inner nets that pass whole rows get a place in each of them; through port rows right over it they go straight."""
    rising: dict[Key, None] = {}
    for key, taps in nets.taps.items():
        for tap in taps:
            a = tap.net.source
            if tap.net.kind != "inner" or ((a, key) in rows.flat and not tap.again):
                continue
            start, end = rows.leaves(a), rows.row[key]
            tap.top = end <= rows.row[a]
            if not tap.top:
                rising[a] = None
            if end > start + 1:
                first, last = rows.lanes.get(tap.net, (start + 1, end - 1))
                rows.lanes[tap.net] = (min(first, start + 1), max(last, end - 1))
    for net, (first, last) in rows.lanes.items():
        for r in range(first, last + 1):
            rows.rows[r].append(("lane", net))
    for key in rising:
        for r in range(rows.row[key] + 1, rows.leaves(key) + 1):
            rows.rows[r].append(("riser", key))


# -- order within rows ------------------------------------------------------------------------
def _order(nets: Nets, rows: Rows, on_rail: set[Key]) -> None:
    """Sweeps of barycentres; states that leave their step without a rail stand at its end, rails stay as they are."""
    near = _neighbours(nets, rows)
    ends = {k: s for (k, s) in rows.port if k not in on_rail and k in rows.row}
    place = {item: i - (len(row) - 1) / 2 for row in rows.rows for i, item in enumerate(row)}
    for sweep in range(SWEEPS):
        for row in rows.rows if sweep % 2 == 0 else rows.rows[::-1]:
            wish = {item: _mean([place[n] for n in near.get(item, ())], place[item]) for item in row}
            rail = [item for item in row if item[1] in on_rail]
            if rail:
                middle = _mean([wish[item] for item in rail], 0.0)
                wish.update((item, middle + 1e-6 * i) for i, item in enumerate(rail))
            if sweep >= SWEEPS - 2:
                wish.update((i, ends[i[1]] * 1e6) for i in row if i[1] in ends and i[0] == "node")
            wish.update((i, (i[1][1] - 0.5) * 1e5) for i in row if i[0] == "node" and nets.roles[i[1]] == "below")
            row.sort(key=lambda item: wish[item])
            place.update((item, i - (len(row) - 1) / 2) for i, item in enumerate(row))
    _same_lanes(rows)


def _same_lanes(rows: Rows) -> None:
    """A lane is one upright line: those that pass several rows stand in one order in all of them."""
    places: dict[Item, list[float]] = {}
    for row in rows.rows:
        for i, item in enumerate(row):
            if item[0] == "lane":
                places.setdefault(item, []).append(i - (len(row) - 1) / 2)
    order = sorted(places, key=lambda item: _mean(places[item], 0.0))
    for row in rows.rows:
        slots = [i for i, item in enumerate(row) if item[0] == "lane"]
        lanes = sorted((row[i] for i in slots), key=order.index)
        for i, lane in zip(slots, lanes, strict=True):
            row[i] = lane
    for row in rows.rows:
        if any(kind == "riser" for kind, _ in row):
            _risers(rows, row)


def _risers(rows: Rows, row: list[Item]) -> None:
    """What rises through a row stands in it as its nodes stand in theirs."""
    now = {item: i for i, item in enumerate(row)}

    def before(a: Item, b: Item) -> int:
        under = next((rows.rows[rows.row[key]] for kind, key in (a, b) if kind == "riser"), row)
        one, other = (("node", item[1]) if item[0] == "riser" else item for item in (a, b))
        if one in under and other in under:
            return under.index(one) - under.index(other)
        return now[a] - now[b]

    row.sort(key=cmp_to_key(before))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _neighbours(nets: Nets, rows: Rows) -> dict[Item, list[Item]]:
    near: dict[Item, list[Item]] = {}

    def join(a: Item, b: Item) -> None:
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)

    for key, taps in nets.taps.items():
        for tap in taps:
            if tap.net.kind == "inner":
                lane = rows.lanes.get(tap.net)
                far = lane and rows.row[key] > rows.leaves(tap.net.source) + 1
                join(("lane", tap.net) if far else ("node", tap.net.source), ("node", key))
    for net in rows.lanes:
        join(("node", net.source), ("lane", net))
    for row in rows.rows:
        for kind, key in row:
            if kind == "riser":
                join(("node", key), ("riser", key))
    for a, b in nets.hanging.items():
        join(("node", a), ("node", b))
    return near
