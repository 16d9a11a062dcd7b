"""The part of a tape that a picture shows, found by array work on the tape's columns.

A picture of 100,000 steps touches the nodes of the few steps it shows; all the others are only ever masks. Nodes that
cells recorded know their time step. Nodes recorded outside (x[t], a loss in the user's loop) get the step of what they
read, or, if they read no step, of what reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.ops.groups import JOINS, PARAMETERS, STACKS, TAKEN
from tinyseq.tape import Node, Tape

NONE, EVERYWHERE = -1, -2
WIDE = 64  # inputs beyond which a node is only looked at through masks
ROUNDS, DEEP = 32, 64
MOST = 20_000  # nodes beyond which no picture goes


def choose_steps(count: int, steps: int | Sequence[int] | None, default: int) -> list[int]:
    """Which of ``count`` steps to show: all, or the first and last of a number of them, or those given."""
    if steps is None:
        steps = default
    if isinstance(steps, (bool, str)) or not (
        isinstance(steps, (int, np.integer)) or (isinstance(steps, Iterable) and all(_whole(s) for s in steps))
    ):
        raise TinyseqError(f"steps is a number of steps or the steps to show, as range(10, 20); got {steps!r}")
    if isinstance(steps, (int, np.integer)):
        if steps < 1:
            raise TinyseqError(f"steps must be at least 1, got {steps}")
        if count <= steps + 1:
            return list(range(count))
        last = int(steps) // 2
        return [*range(int(steps) - last), *range(count - last, count)]
    chosen = sorted({int(s) for s in steps})
    if not chosen:
        raise TinyseqError("steps is empty: give at least one step to show")
    if chosen[0] < 0 or chosen[-1] >= count:
        raise TinyseqError(f"steps {chosen[0]} to {chosen[-1]} asked for, this tape has steps 0 to {count - 1}")
    return chosen


def _whole(step: Any) -> bool:
    return isinstance(step, (int, np.integer)) and not isinstance(step, bool)


class Excerpt:
    """Nodes of some time steps, with what enters and leaves them.

    found     node → time step, or None for what belongs to no step (a total over all of them)
    ghosts    node → time step, for nodes of steps not shown that shown ones read
    keys      node → key, the same for the same place in every step
    initial   node → (key of the state it stands in for, time step it would have had, None if several)
    delays    (key, input) → {by how many steps that input is late: key of what it reads}
    """

    def __init__(self, tape: Tape, shown: Sequence[int], keep: np.ndarray | None = None, chained: bool = True) -> None:
        self.tape, self.shown = tape, set(shown)
        self.pointers, self.inputs_of_all = tape.input_pointers, tape.input_indices
        self.step = tape.step
        self.keep = np.ones(len(tape), bool) if keep is None else keep
        self.found: dict[int, int | None] = {}
        self.ghosts: dict[int, int] = {}
        self.keys: dict[int, tuple] = {}
        self.initial: dict[int, tuple[tuple, int | None]] = {}
        self.delays: dict[tuple[tuple, int], dict[int, tuple]] = {}
        self._nodes: dict[int, Node] = {}
        self._memo: dict[int, int] = {}
        self._gather(sorted(self.shown))
        self._place_sources()
        self.usual = self._usual_names()
        self._number(self.found)
        self._look_behind(16 if chained else 4 * len(self.shown))
        self._find_delays()
        self._find_starts()
        if not chained:  # the leaves of a tree read their data where inner nodes read children
            self.initial.clear()

    # -- reading --------------------------------------------------------------------------------------------------
    def node(self, index: int) -> Node:
        """A node of the tape (inputs of very wide nodes left out)."""
        node = self._nodes.get(index)
        if node is None:
            if self._width(index) > WIDE:
                kind = self.tape.kinds[int(self.tape.kind[index])]
                node = Node(index, kind.op, (), kind.attrs, 0, self.tape.shape(index), None, kind.name, kind.cell,  # type: ignore[arg-type]
                            int(self.step[index]), kind.line)  # fmt: skip
            else:
                node = self.tape.node(index)
            self._nodes[index] = node
        return node

    def _width(self, index: int) -> int:
        return int(self.pointers[index + 1] - self.pointers[index])

    def inputs(self, index: int) -> list[int]:
        """Inputs; of a very wide node only those that are in the excerpt."""
        block = self.inputs_of_all[self.pointers[index] : self.pointers[index + 1]]
        if len(block) <= WIDE:
            return block.tolist()
        return [j for j in block[self._member[block]].tolist() if j in self.found]

    def through(self, index: int) -> list[int]:
        """Inputs, looking through x[t] of a stack to the very tensor that was stacked."""
        node = self.node(index)
        if node.op in TAKEN:
            source = node.inputs[0]
            if self.node(source).op in STACKS:
                return [int(self.inputs_of_all[self.pointers[source] + node.arg])]
        return self.inputs(index)

    # -- which step --------------------------------------------------------------------------------------------
    def step_of(self, index: int) -> int:
        """Time step of a node, NONE for sources, EVERYWHERE for what reads many steps at once."""
        waiting = [(index, 0)]
        while waiting:
            i, depth = waiting[-1]
            if i in self._memo:
                waiting.pop()
                continue
            if self.step[i] >= 0:
                self._memo[i] = int(self.step[i])
                continue
            sources = self._ends(i) if self._joins(i) else self.through(i)
            unknown = [j for j in sources if j not in self._memo and self.step[j] < 0] if depth < DEEP else []
            if unknown:
                waiting.extend((j, depth + 1) for j in unknown)
                continue
            self._memo[i] = self._combined(i, sources)
        return self._memo[index]

    def _joins(self, index: int) -> bool:
        return self.node(index).op in JOINS

    def _ends(self, index: int) -> list[int]:
        block = self.inputs_of_all[self.pointers[index] : self.pointers[index + 1]]
        return [int(block[0]), int(block[-1])]

    def _combined(self, index: int, sources: list[int]) -> int:
        steps = {int(self.step[j]) if self.step[j] >= 0 else self._memo.get(j, NONE) for j in sources}
        if EVERYWHERE in steps:
            return EVERYWHERE
        if self._joins(index) and len(steps - {NONE}) > 1:
            return EVERYWHERE
        return max(steps, default=NONE)

    # -- gathering ------------------------------------------------------------------------------------------------
    def _gather(self, shown: list[int]) -> None:
        """Nodes of the steps shown, then what is recorded outside: what they read, then, in rounds, what reads them."""
        lookup = np.zeros(int(self.step.max(initial=-1)) + 2, bool)
        lookup[shown] = True
        member = self._member = lookup[self.step] & (self.step >= 0) & self.keep
        core = np.flatnonzero(member)[:MOST].tolist()
        self.found.update((i, int(self.step[i])) for i in core)
        fresh = member.copy()
        self._gather_sources(core)
        for _ in range(ROUNDS):
            edges = np.flatnonzero(fresh[self.inputs_of_all])
            readers = np.unique(np.searchsorted(self.pointers, edges, "right") - 1)
            readers = readers[(self.step[readers] < 0) & ~member[readers] & self.keep[readers]]
            new = [i for i in readers.tolist() if self._take(i)]
            if not new or len(self.found) > MOST:
                break
            fresh = np.zeros(len(member), bool)
            fresh[new] = member[new] = True
            self._gather_sources(new)

    def _take(self, index: int) -> bool:
        step = self.step_of(index)
        if step == NONE or (step >= 0 and step not in self.shown):
            return False
        self.found[index] = None if step == EVERYWHERE else step
        return True

    def _gather_sources(self, start: list[int]) -> None:
        waiting = list(start)
        while waiting and len(self.found) <= MOST:
            for j in self.inputs(waiting.pop()):
                if j in self.found or self.step[j] >= 0 or not self.keep[j]:
                    continue
                if self.step_of(j) == NONE:
                    self.found[j] = NONE
                    self._member[j] = True
                    waiting.append(j)
                elif self._take(j):
                    self._member[j] = True
                    waiting.append(j)

    def _place_sources(self) -> None:
        """Sources stand at the step that reads them; parameters and what several steps read stand at none."""
        readers: dict[int, set[int | None]] = {}
        for i in sorted(self.found, reverse=True):
            step = self.found[i]
            if step == NONE:
                steps = readers.get(i, set())
                step = next(iter(steps)) if len(steps) == 1 and self.node(i).op not in PARAMETERS else None
                self.found[i] = step
            for j in self.inputs(i):
                if self.found.get(j) == NONE:
                    readers.setdefault(j, set()).add(step)

    # -- keys and delays ------------------------------------------------------------------------------------------
    def _usual_names(self) -> dict[tuple, str]:
        """(cell, op, number) → what a node of a step is called in most steps.

        A state that is given another name once, as the C that an encoder ends in, is still the same place of its step.
        Only where all the steps shown have as many nodes of each op; else names are all that there is to go by.
        """
        names: dict[tuple, list[str]] = {}
        counts: dict[tuple, int] = {}
        steps: dict[str, set[int]] = {}
        for i in sorted(j for j in self.found if self.step[j] >= 0):
            node = self.node(i)
            steps.setdefault(node.cell, set()).add(node.step)
            count = counts[node.cell, node.step, node.op] = counts.get((node.cell, node.step, node.op), -1) + 1
            names.setdefault((node.cell, node.op, count), []).append(node.name)
        odd = {cell for (cell, _, _), found in names.items() if len(found) != len(steps[cell])}
        return {
            place: max(dict.fromkeys(found), key=found.count)
            for place, found in names.items()
            if len(set(found)) > 1 and len(found) > 2 and place[0] not in odd
        }

    def _number(self, places: dict[int, int | None] | dict[int, int]) -> None:
        seen: dict[tuple, int] = {}
        ordinal: dict[tuple, int] = {}
        for i in sorted(places):
            node = self.node(i)
            cell = node.cell if node.step >= 0 else ""
            place = ordinal[cell, node.op, places[i]] = ordinal.get((cell, node.op, places[i]), -1) + 1
            name = self.usual.get((cell, node.op, place), node.name) if cell else node.name
            sort = (cell, node.op, name)
            count = seen[(places[i], sort)] = seen.get((places[i], sort), -1) + 1
            self.keys[i] = (*sort, count, places[i] is None)

    def _look_behind(self, most: int) -> None:
        """The steps not shown that shown nodes read, for the names of what they read."""
        sources = {
            j for i in self.found if self.step[i] >= 0 for j in self.inputs(i)
            if j not in self.found and self.step[j] >= 0
        }  # fmt: skip
        for step in sorted({int(self.step[j]) for j in sources})[:most]:
            whole = dict.fromkeys(np.flatnonzero((self.step == step) & self.keep).tolist(), step)
            self._number(whole)
            self.ghosts.update((j, step) for j in sources if j in whole)

    def _find_delays(self) -> None:
        early = []
        for i, step in self.found.items():
            if self.step[i] < 0 or step is None:
                continue
            for place, j in enumerate(self.inputs(i)):
                if self.step[j] >= 0:
                    if self.step[j] != step and j in self.keys and self.node(j).cell == self.node(i).cell:
                        late = self.delays.setdefault((self.keys[i], place), {})
                        late[step - int(self.step[j])] = self.keys[j]
                elif self.is_source(j):
                    early.append((i, place, j, step))
        for i, place, j, step in early:
            for delay, key in self.delays.get((self.keys[i], place), {}).items():
                known = self.initial.get(j, (key, step - delay))
                self.initial[j] = (known[0], known[1] if known[1] == step - delay else None)

    def _find_starts(self) -> None:
        """Initial states of unfolds over a single step."""
        for j, state, time in self.tape.starts:
            if j in self.found and state in self.keys and self.is_source(j):
                self.initial.setdefault(j, (self.keys[state], time))
                for i in [i for i in self.found if self.step[i] >= 0 and j in self.inputs(i)]:
                    place = self.inputs(i).index(j)
                    self.delays.setdefault((self.keys[i], place), {}).setdefault(
                        abs(time - int(self.step[i])), self.keys[state]
                    )

    @property
    def counts(self) -> tuple[int, int]:
        """Nodes in the excerpt, nodes there are."""
        return len(self.found), int(self.keep.sum())

    @property
    def is_chain(self) -> bool:
        """Whether each late input is always late by the same number of steps; on a tree it is not."""
        return all(len(late) == 1 for late in self.delays.values())

    def is_source(self, index: int) -> bool:
        """Whether a node depends on no time step: data, constants, parameters and what is made of them."""
        return self.step[index] < 0 and self.step_of(index) == NONE


class Bare(Excerpt):
    """A tape without time steps: all of it, or its first and last nodes."""

    def __init__(self, tape: Tape, limit: int, keep: np.ndarray | None = None) -> None:
        super().__init__(tape, (), keep)
        kept = np.flatnonzero(self.keep)
        self.elided = max(0, len(kept) - limit)
        if self.elided:
            kept = np.concatenate([kept[: limit - limit // 2], kept[len(kept) - limit // 2 :]])
        for i in kept.tolist():
            self.found[i] = None
            self._member[i] = True
            self.keys[i] = ("", self.node(i).op, self.node(i).name, i, True)

    def is_source(self, index: int) -> bool:
        """Leaves."""
        return self.pointers[index + 1] == self.pointers[index]


def ancestors(tape: Tape, index: int) -> np.ndarray:
    """Mask of the nodes that a node depends on, itself included."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order

    pointers, inputs = tape.input_pointers[: index + 2], tape.input_indices
    edges = inputs[: pointers[-1]]
    graph = csr_array((np.ones(len(edges)), edges, pointers), shape=(index + 1, index + 1))
    mask = np.zeros(len(tape), bool)
    mask[breadth_first_order(graph, index, return_predecessors=False)] = True
    return mask
