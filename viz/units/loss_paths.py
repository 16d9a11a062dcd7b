"""From a loss to what stands for it: losses of a batch are summed and scaled, perhaps under their own name."""

from __future__ import annotations

from tinyseq.ops.groups import CARRYING, LOSSES, SCALES
from tinyseq.viz.excerpt.excerpt import Excerpt


class LossPaths:
    """Ways on from the losses of an excerpt; ``readers`` says of a node which others read it."""

    def __init__(self, excerpt: Excerpt, readers: dict[int, list[int]]) -> None:
        self.excerpt, self.readers = excerpt, readers

    def ends(self) -> set[int]:
        """For each unnamed loss the node that stands for it: the last before losses are added up."""
        ends = {self._end(i) for i in self.excerpt.found if self.excerpt.node(i).op in LOSSES}
        return {i for i in ends if i is not None}

    def goes_on(self, i: int) -> bool:
        """Whether a node is losses that are only read to be summed or scaled under their own name, as those of a batch
        to L."""
        readers = self.readers.get(i, [])
        if len(readers) != 1 or self.excerpt.found.get(readers[0]) != self.excerpt.found.get(i):
            return False
        reader = self.excerpt.node(readers[0])
        return reader.name == self.excerpt.node(i).name and _sums_up(reader.op) and self._made_of_losses(i)

    def _made_of_losses(self, i: int) -> bool:
        while _sums_up(self.excerpt.node(i).op):
            i = self.excerpt.inputs(i)[0]
        return self.excerpt.node(i).op in LOSSES

    def _end(self, i: int) -> int | None:
        step = self.excerpt.found[i]
        while not self.excerpt.node(i).name:
            readers = self.readers.get(i, [])
            if len(readers) != 1 or self.excerpt.found.get(readers[0]) != step:
                return i
            op = self.excerpt.node(readers[0]).op
            scales = op in SCALES and bool(self.excerpt.node(readers[0]).name)
            if op not in CARRYING and not scales:
                return i
            i = readers[0]
        return None


def _sums_up(op: str) -> bool:
    return op in CARRYING or op in SCALES
