"""Nodes of a tape as a picture reads them: the few that it shows, and at which time step each of them stands.

A picture of 100,000 steps touches the nodes of the few steps it shows; all the others are only ever masks. Nodes that
cells recorded know their time step. Nodes recorded outside (x[t], a loss in the user's loop) get the step of what they
read, or, if they read no step, of what reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyseq.ops.groups import JOINS, STACKS, TAKEN
from tinyseq.tape import Node, Tape

NONE, EVERYWHERE = -1, -2
WIDE = 64  # inputs beyond which a node is only looked at through masks
DEEP = 64


class Nodes:
    """Nodes of a tape, looked at one by one; ``keep`` masks those that may be shown.

    found   node → time step, or None for what belongs to no step (a total over all of them)
    member  the same as a mask
    contexts  nodes outside of all steps, made of a step that is not shown, that a shown one reads
    doubles  a number beyond those of the tape → the initial state that it is, as one reader reads it
    """

    def __init__(self, tape: Tape, keep: np.ndarray | None) -> None:
        self.tape = tape
        self.pointers, self.inputs_of_all = tape.input_pointers, tape.input_indices
        self.step = tape.step
        self.keep = np.ones(len(tape), bool) if keep is None else keep
        self.found: dict[int, int | None] = {}
        self.member = np.zeros(len(tape), bool)
        self.contexts: set[int] = set()
        self.doubles: dict[int, int] = {}
        self._read_as: dict[int, list[int]] = {}
        self._nodes: dict[int, Node] = {}
        self._memo: dict[int, int] = {}

    def double(self, pairs: Sequence[tuple[int, int]]) -> list[int]:
        """Let readers read initial states as nodes of their own, (reader, initial) by (reader, initial): one that is
        read for h(t − 2) and for h(t − 4) is two. Returns their numbers."""
        made: list[int] = []
        for reader, initial in pairs:
            inputs = self._read_as.setdefault(reader, self.inputs(reader))
            made.append(len(self.step) + len(made))
            inputs[inputs.index(initial)] = made[-1]
            self.doubles[made[-1]] = initial
        of = [self.doubles[i] for i in made]
        self.step = np.concatenate([self.step, self.step[of]])
        self.keep = np.concatenate([self.keep, self.keep[of]])
        self.member = np.concatenate([self.member, self.member[of]])
        return made

    def real(self, index: int) -> int:
        """The node of the tape."""
        return self.doubles.get(index, index)

    # -- reading --------------------------------------------------------------------------------------------------
    def node(self, index: int) -> Node:
        """A node of the tape (inputs of very wide nodes left out)."""
        index = self.doubles.get(index, index)
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
        if index in self._read_as:
            return self._read_as[index]
        index = self.doubles.get(index, index)
        block = self.inputs_of_all[self.pointers[index] : self.pointers[index + 1]]
        if len(block) <= WIDE:
            return block.tolist()
        return [j for j in block[self.member[block]].tolist() if j in self.found]

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
        index = self.doubles.get(index, index)
        block = self.inputs_of_all[self.pointers[index] : self.pointers[index + 1]]
        return [int(block[0]), int(block[-1])]

    def _combined(self, index: int, sources: list[int]) -> int:
        steps = {int(self.step[j]) if self.step[j] >= 0 else self._memo.get(j, NONE) for j in sources}
        if EVERYWHERE in steps:
            return EVERYWHERE
        if self._joins(index) and len(steps - {NONE}) > 1:
            return EVERYWHERE
        return max(steps, default=NONE)

    def is_source(self, index: int) -> bool:
        """Whether a node depends on no time step: data, constants, parameters and what is made of them."""
        return self.step[index] < 0 and self.step_of(index) == NONE
