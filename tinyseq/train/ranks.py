"""Data parallel: processes that train one model together, each on its share of every batch.

The gradient of a batch is Σ_r w_r g_r, with g_r that of the share of rank r and w_r its part of what the loss is a mean
over. Each step the ranks add these up in one Allreduce of one vector: the gradients of all parameters, the loss, and
what a rank wants of the others. Rank 0 alone validates and writes.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Never

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.habits import advised
from tinyseq.nn.packing import Packed
from tinyseq.structure.chain import Chain
from tinyseq.structure.tree import Forest
from tinyseq.tensor.parameter import Parameter
from tinyseq.train.place import nested, nesting_of

STOP, SAVE = range(2)  # what a rank may want of the others
WANTS = 2
EAGER, NAP = 1e-3, 1e-4  # seconds that a rank looks out for the others without rest, then between two looks


class Ranks:
    """One process by itself."""

    rank, size = 0, 1
    weight = 1.0  # of the share that was read last

    def __init__(self) -> None:
        self.wants = np.zeros(WANTS)

    @property
    def first(self) -> bool:
        """Whether it is rank 0, which writes."""
        return self.rank == 0

    def joined(self, parameters: Sequence[Parameter], loss: float) -> float:
        """Set the gradients to those of the whole batch, or of all its parts so far; returns its loss."""
        return loss

    def told(self, compute: Callable[[], Any]) -> Any:
        """What rank 0 computes, for all."""
        return compute()

    def gathered(self, state: Any) -> Any:
        """A state of the whole batch, on rank 0, from that of each share."""
        return state

    def own(self, count: int) -> np.ndarray:
        """The numbers of a batch that are this rank's share."""
        return np.arange(count)

    def wait(self) -> None:
        """Go on when all have come here."""

    def abort(self, error: BaseException) -> Never:
        """End all ranks because of an error in this one."""
        raise error


ALONE = Ranks()


class MpiRanks(Ranks):
    """The processes of an MPI communicator (mpi4py)."""

    def __init__(self, communicator: Any = None) -> None:
        super().__init__()
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise TinyseqError(
                "training by several processes needs mpi4py and an MPI library: pip install 'tinyseq[mpi]'; then "
                f"mpiexec -n 2 tinyseq train … --mpi ({error})"
            ) from None
        self._mpi = MPI
        self._comm = MPI.COMM_WORLD if communicator is None else communicator
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self._buffer: np.ndarray | None = None
        self._own_cores()

    def _own_cores(self) -> None:
        """Ranks on one machine share its cores out, where nobody has done so."""
        if not hasattr(os, "sched_setaffinity"):
            return
        here = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        cores = [sorted(os.sched_getaffinity(0))] if here.Get_size() > 1 else []
        everyone = here.allgather(cores[0]) if cores else []
        if everyone and all(set(one) == set(everyone[0]) for one in everyone):
            mine = everyone[0][here.Get_rank() % len(everyone[0]) :: here.Get_size()]
            os.sched_setaffinity(0, mine)
        here.Free()

    def joined(self, parameters: Sequence[Parameter], loss: float) -> float:
        """One Allreduce: Σ of gradients, losses (both times their weights already) and wants."""
        grads = [p.grad for p in parameters if p.grad is not None]
        count = sum(grad.size for grad in grads)
        dtype = np.result_type(np.float32, *grads)
        if self._buffer is None or self._buffer.size != count + 1 + WANTS or self._buffer.dtype != dtype:
            self._buffer = np.empty(count + 1 + WANTS, dtype)
        if grads:
            np.concatenate([grad.reshape(-1) for grad in grads], out=self._buffer[:count])
        self._buffer[count], self._buffer[count + 1 :] = loss, self.wants
        self.wait()
        self._comm.Allreduce(self._mpi.IN_PLACE, self._buffer)
        at = 0
        for grad in grads:
            grad[...] = self._buffer[at : at + grad.size].reshape(grad.shape)
            at += grad.size
        self.wants = self._buffer[count + 1 :].astype(np.float64)
        return float(self._buffer[count])

    def told(self, compute: Callable[[], Any]) -> Any:
        """What rank 0 computes, for all."""
        found = compute() if self.first else None
        self.wait()
        return self._comm.bcast(found)

    def gathered(self, state: Any) -> Any:
        """A state of the whole batch, on rank 0, from that of each share."""
        mine: list[np.ndarray] = []
        nesting = nesting_of(state, mine)
        self.wait()
        leaves = self._comm.gather(mine)
        if leaves is None:
            return state
        whole = []
        for parts in zip(*leaves, strict=True):
            joint = np.empty((sum(len(part) for part in parts), *parts[0].shape[1:]), parts[0].dtype)
            for rank, part in enumerate(parts):
                joint[rank :: self.size] = part
            whole.append(joint)
        return nested(nesting, iter(whole))

    def own(self, count: int) -> np.ndarray:
        """Every size-th of a batch, from the rank's own number on."""
        return np.arange(self.rank, count, self.size)

    def wait(self) -> None:
        """Go on when all have come here.

        MPI's own waiting keeps a processor busy, which on a machine that others use too is taken from those waited for.
        """
        here, began = self._comm.Ibarrier(), time.perf_counter()
        while not here.Test():
            if time.perf_counter() - began > EAGER:
                time.sleep(NAP)

    def abort(self, error: BaseException) -> Never:
        """Say what went wrong on this rank, and end all: the others would wait for it for ever."""
        if not isinstance(error, TinyseqError):
            traceback.print_exception(error)
        print(f"error on rank {self.rank} of {self.size}: {error}", file=sys.stderr, flush=True)
        self._comm.Abort(1)
        raise error


@advised
def mpi(communicator: Any = None) -> Ranks:
    """The processes that ``mpiexec -n 2 python train.py`` starts, for ``fit(…, ranks=ts.train.mpi())``.

    Raises TinyseqError where mpi4py or an MPI library is missing.
    """
    return MpiRanks(communicator)


def share_of_masks(masks: Any, x: Any, rows: np.ndarray, own: Any = None) -> Any:
    """The dropout masks of some sequences or trees of a batch, cut out of those that were drawn for all of it; ``own``
    are these trees."""
    if masks is None:
        return None
    if isinstance(x, tuple) and not isinstance(x, Packed):
        return [_share_of_trees(mask, x[0], rows, own[0]) for mask in masks]
    return [None if mask is None else _share(np.asarray(mask), x, rows) for mask in masks]


def _share_of_trees(mask: np.ndarray, forest: Forest, rows: np.ndarray, own: Forest) -> np.ndarray:
    if len(mask) == forest.n_trees:
        return mask[rows]
    cut = np.empty((len(own), mask.shape[1]), mask.dtype)
    for number, row in enumerate(rows.tolist()):
        cut[own.tree_of == number] = mask[forest.tree_of == row]
    return cut


def _share(mask: np.ndarray, x: Any, rows: np.ndarray) -> np.ndarray:
    if isinstance(x, Packed):
        if len(mask) == len(x.lengths) and mask.ndim == 2 and len(mask) != int(np.sum(x.lengths)):
            return mask[rows]
        place = np.empty((max(x.lengths, default=0), len(x.lengths)), np.int64)
        sequence, time = x.chain.packed_rows().T
        place[time, sequence] = np.arange(len(sequence))
        own = Chain([x.lengths[i] for i in rows.tolist()]).packed_rows()
        cut = mask[place[own[:, 1], rows[own[:, 0]]]]
        one = len({x.lengths[i] for i in rows.tolist()}) == 1  # of one length, they are no longer packed
        return cut.reshape(-1, len(rows), cut.shape[1]) if one else cut
    return mask[rows] if mask.ndim == 2 else mask[:, rows]
