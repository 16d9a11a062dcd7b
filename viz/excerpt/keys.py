"""Keys: the same for the same place in every step; by how many steps inputs are late; what stands before the first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyseq.viz.excerpt.nodes import Nodes


@dataclass
class Keys:
    """What ``key_nodes`` finds.

    keys     node → key, the same for the same place in every step
    ghosts   node → time step, for nodes of steps not shown that shown ones read
    initial  node → (key of the state it stands in for, time step it would have had, None if several)
    delays   (key, input) → {by how many steps that input is late: key of what it reads}
    """

    keys: dict[int, tuple] = field(default_factory=dict)
    ghosts: dict[int, int] = field(default_factory=dict)
    initial: dict[int, tuple[tuple, int | None]] = field(default_factory=dict)
    delays: dict[tuple[tuple, int], dict[int, tuple]] = field(default_factory=dict)


def key_nodes(
    nodes: Nodes, behind: int, trees: Collection[str], starts: Sequence[tuple[int, int, int, int]] = ()
) -> Keys:
    """Keys of the nodes found, and of those of at most ``behind`` other steps that they read."""
    found = Keys()
    names = _Names(nodes)
    found.keys.update(names.keys(nodes.found))
    _look_behind(nodes, names, found, behind)
    _find_delays(nodes, found)
    _find_starts(nodes, found, starts)
    # the leaves of a tree read their data where inner nodes read children
    found.initial = {i: (key, time) for i, (key, time) in found.initial.items() if key[0] not in trees}
    return found


class _Names:
    """What the nodes of a place are called: a state that is given another name once, as the C that an encoder ends in,
    is still the same place of its step.

    Only where all the steps shown have as many nodes of each op; else names are all that there is to go by.
    usual   (cell, op, number) → what a node of a step is called in most steps
    agreed  the same, where all steps shown have one name; it tells places of steps that are not shown
    """

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        names: dict[tuple, list[str]] = {}
        counts: dict[tuple, int] = {}
        steps: dict[str, set[int]] = {}
        self.known: dict[str, set[str]] = {}
        for i in sorted(j for j in nodes.found if nodes.step[j] >= 0):
            node = nodes.node(i)
            steps.setdefault(node.cell, set()).add(node.step)
            self.known.setdefault(node.cell, set()).add(node.name)
            count = counts[node.cell, node.step, node.op] = counts.get((node.cell, node.step, node.op), -1) + 1
            names.setdefault((node.cell, node.op, count), []).append(node.name)
        odd = {cell for (cell, _, _), found in names.items() if len(found) != len(steps[cell])}
        even = {place: found for place, found in names.items() if place[0] not in odd}
        self.usual = {
            place: max(dict.fromkeys(found), key=found.count)
            for place, found in even.items()
            if len(set(found)) > 1 and len(found) > 2
        }
        self.agreed = {place: found[0] for place, found in even.items() if len(set(found)) == 1}

    def keys(self, places: Mapping[int, int | None], *, hidden: bool = False) -> dict[int, tuple]:
        """Keys of nodes, given the step of each (None for what belongs to none); ``hidden`` of steps not shown."""
        found: dict[int, tuple] = {}
        seen: dict[tuple, int] = {}
        ordinal: dict[tuple, int] = {}
        for i in sorted(places):
            node = self.nodes.node(i)
            cell = node.cell if node.step >= 0 else ""
            place = ordinal[cell, node.op, places[i]] = ordinal.get((cell, node.op, places[i]), -1) + 1
            name = self.usual.get((cell, node.op, place), node.name) if cell else node.name
            if hidden and name not in self.known.get(cell, (name,)):
                name = self.agreed.get((cell, node.op, place), name)
            sort = (cell, node.op, name)
            count = seen[(places[i], sort)] = seen.get((places[i], sort), -1) + 1
            found[i] = (*sort, count, places[i] is None)
        return found


def _look_behind(nodes: Nodes, names: _Names, found: Keys, most: int) -> None:
    """The steps not shown that shown nodes read, for the names of what they read."""
    readers = [i for i in nodes.found if nodes.step[i] >= 0 or i in nodes.contexts]
    sources = {j for i in readers for j in nodes.inputs(i) if j not in nodes.found and nodes.step[j] >= 0}
    for step in sorted({int(nodes.step[j]) for j in sources})[:most]:
        whole = dict.fromkeys(np.flatnonzero((nodes.step == step) & nodes.keep).tolist(), step)
        for i, key in names.keys(whole, hidden=True).items():
            found.keys.setdefault(i, key)
        found.ghosts.update((j, step) for j in sources if j in whole)


def _find_delays(nodes: Nodes, found: Keys) -> None:
    early = []
    for i, step in nodes.found.items():
        if nodes.step[i] < 0 or step is None:
            continue
        for place, j in enumerate(nodes.inputs(i)):
            if nodes.step[j] >= 0:
                if nodes.step[j] != step and j in found.keys and nodes.node(j).cell == nodes.node(i).cell:
                    late = found.delays.setdefault((found.keys[i], place), {})
                    late[step - int(nodes.step[j])] = found.keys[j]
            elif nodes.is_source(j):
                early.append((i, place, j, step))
    for i, place, j, step in early:
        for delay, key in found.delays.get((found.keys[i], place), {}).items():
            known = found.initial.get(j, (key, step - delay))
            found.initial[j] = (known[0], known[1] if known[1] == step - delay else None)


def _find_starts(nodes: Nodes, found: Keys, starts: Sequence[tuple[int, int, int, int]]) -> None:
    """Initial states that are read in place of states that no step is late enough to see (``Tape.starts``)."""
    at: dict[tuple[int, int], int] = {}
    for j, state, time, reader in starts:
        if j not in nodes.found or state not in found.keys or not nodes.is_source(j):
            continue
        for i in _readers(nodes, j) if reader < 0 else [reader] if reader in nodes.found else []:
            places = [place for place, source in enumerate(nodes.inputs(i)) if source == j]
            place = places[min(at.get((i, j), 0), len(places) - 1)]
            at[i, j] = at.get((i, j), 0) + 1
            late = found.delays.setdefault((found.keys[i], place), {})
            late.setdefault(int(nodes.step[i]) - time, found.keys[state])
        known = found.initial.get(j, (found.keys[state], time))
        found.initial[j] = (known[0], known[1] if known[1] == time else None)


def _readers(nodes: Nodes, j: int) -> Iterable[int]:
    return [i for i in nodes.found if nodes.step[i] >= 0 and j in nodes.inputs(i)]
