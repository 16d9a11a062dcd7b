"""Batches of labelled sequences or trees: the k-th of a reading that goes on epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyseq.checks import positive
from tinyseq.data.batch import Batch
from tinyseq.data.sequences import Sequences
from tinyseq.data.trees import Trees
from tinyseq.errors import DataError
from tinyseq.habits import advised


@advised
class Batches:
    """``batches[k]`` is the k-th batch of a reading without end: epoch ``k // per_epoch``, shuffled by ``seed``.

    It depends on nothing but k and the seed, so a training that stopped goes on with the batch that was next.

    Sequences of unequal lengths are put together by length, once, so that no batch is long for the sake of one, and
    that each is recorded once; each epoch reads these batches in another order. With equal lengths each epoch mixes
    anew. A sequence of length 0 is put beside others that have steps.
    ``seed=None`` shuffles nothing: batches by length, the shortest first. Trees are put together by their size.
    """

    def __init__(self, data: Sequences | Trees, size: int = 32, seed: int | None = 0) -> None:
        positive(size=size)
        self.data, self.size, self.seed = data, int(size), seed
        self.lengths = data.lengths
        self.mixed = bool((self.lengths == self.lengths[0]).all()) and isinstance(data, Sequences)
        self._some = np.flatnonzero(self.lengths > 0)  # the others have no step, and are dealt out among these
        if not len(self._some):
            raise DataError(f"all sequences of {data.name} have length 0; one at least needs a step")
        self.per_epoch = min(-(-len(data) // self.size), len(self._some))
        self._made: tuple[int, list[np.ndarray]] | None = None

    @property
    def digest(self) -> str:
        """A fingerprint of the data and of how they are put together."""
        return f"{self.data.digest} {self.size} {self.seed}"

    def rows(self, epoch: int) -> list[np.ndarray]:
        """The rows of each batch of an epoch."""
        if self._made is not None and self._made[0] == epoch:
            return self._made[1]
        n, first = len(self.data), self._generator(0)
        if self.mixed:
            order = np.arange(n) if self.seed is None else self._generator(epoch + 1).permutation(n)
            made = np.array_split(order, self.per_epoch)
        else:
            order = np.arange(n) if self.seed is None else first.permutation(n)
            order = order[np.argsort(self.lengths[order], kind="stable")]
            empty, some = np.split(order, [n - len(self._some)])
            dealt = zip(np.array_split(some, self.per_epoch), np.array_split(empty, self.per_epoch), strict=True)
            made = [np.concatenate(parts) for parts in dealt]
            if self.seed is not None:
                made = [made[int(i)] for i in self._generator(epoch + 1).permutation(self.per_epoch)]
        self._made = epoch, made
        return made

    def _generator(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, number])

    def __getitem__(self, k: int) -> Batch:
        epoch, place = divmod(int(k), self.per_epoch)
        return self.data.batch(self.rows(epoch)[place])

    def __iter__(self) -> Iterator[Batch]:
        """One epoch, the first."""
        return (self[k] for k in range(self.per_epoch))

    def __len__(self) -> int:
        return self.per_epoch
