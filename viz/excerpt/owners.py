"""Which drawn node stands for a node that is not drawn: the first one it flows into, or comes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyseq.tape import Tape

FAR = 64  # nodes on the way beyond which nothing stands for a node


class Owners:
    """``nodes`` of the steps that a picture shows, and for each the drawn node below and above it.

    Looks only at the steps shown and at what belongs to no step, found by array work.
    """

    MOST = 50_000

    def __init__(self, tape: Tape, drawn: Sequence[int]) -> None:
        self.tape, self.drawn = tape, set(drawn)
        step = tape.step
        steps = np.unique(step[np.array(sorted(self.drawn), np.int64)]) if self.drawn else np.array([], np.int64)
        lookup = np.zeros(int(step.max(initial=-1)) + 2, bool)
        lookup[steps[steps >= 0]] = True
        near = np.flatnonzero(lookup[step] & (step >= 0))[: self.MOST]
        outside = np.flatnonzero(step < 0)
        if len(outside) > self.MOST:
            outside = np.concatenate([outside[: self.MOST // 2], outside[-self.MOST // 2 :]])
        self.nodes = np.unique(np.concatenate([near, outside, np.array(sorted(self.drawn), np.int64)]))
        self._readers: dict[int, list[int]] = {}
        for i in self.nodes.tolist():
            if tape.input_pointers[i + 1] - tape.input_pointers[i] <= FAR:
                for j in tape.inputs(i):
                    self._readers.setdefault(j, []).append(i)

    def below(self, node: int) -> int | None:
        """The drawn node that a node is part of: itself, or the first that reads it on the shortest way."""
        return self._walk(node, lambda i: self._readers.get(i, []))

    def above(self, node: int) -> int | None:
        """The drawn node that a node is made of: itself, or the last before it."""
        return self._walk(node, self.tape.inputs)

    def _walk(self, node: int, neighbours) -> int | None:
        seen, ring = {node}, [node]
        while ring and len(seen) < FAR * FAR:
            for i in ring:
                if i in self.drawn:
                    return i
            ring = [j for j in dict.fromkeys(j for i in ring for j in neighbours(i)) if j not in seen]
            seen.update(ring)
        return None
