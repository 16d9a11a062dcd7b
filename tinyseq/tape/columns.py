"""Nodes by columns: kind, rows, arg and step of each, and all inputs one after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinyseq.errors import TapeError
from tinyseq.tape.kinds import DTYPES, Interned, Kind, Node, shape_of

NARROW = np.iinfo(np.int32).max  # columns are 32 bits wide until one of their numbers is above


class Columns:
    """A table of nodes that grows in bulk, and what can be read of it."""

    __slots__ = ("_edges", "_integers", "_kinds", "_n_edges", "_n_flushed", "_ptr", "_table", "n", "stream")

    def __init__(self) -> None:
        self._kinds = Interned()
        # nodes not yet in the columns: for each its sort, a negative number, then its inputs
        self.stream: list[int] = []
        self.n = 0
        self._n_flushed = 0
        self._n_edges = 0
        self._integers: type[np.signedinteger[Any]] = np.int32
        self._table: np.ndarray = np.empty((4, 0), self._integers)  # kind, rows, arg, step
        self._ptr: np.ndarray = np.zeros(1, self._integers)
        self._edges: np.ndarray = np.empty(0, self._integers)

    def flush(self) -> None:
        """Move what was recorded into the columns."""
        raise NotImplementedError

    def kind_id(self, kind: Kind) -> int:
        """The number of an interned kind."""
        return self._kinds.number(kind)

    def put(
        self,
        kind: np.ndarray,
        rows: np.ndarray,
        arg: np.ndarray,
        step: Any,
        n_inputs: np.ndarray,
        inputs: np.ndarray,
    ) -> int:
        """Write nodes into the columns, behind those that are there. Returns the index of the first."""
        first, n, m = self._n_flushed, len(n_inputs), len(inputs)
        if n and max(rows.max(), arg.max()) > NARROW:
            self._widen()
        block, ends, edges = self._room(n, m)
        block[0], block[1], block[2], block[3] = kind, rows, arg, step
        ends[:] = np.cumsum(n_inputs) + self._n_edges
        edges[:] = inputs
        self._n_flushed = first + n
        self._n_edges += m
        return first

    def _room(self, nodes: int, edges: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The columns of so many nodes more, (4, nodes); where the inputs of each end; the inputs."""
        n, m = self._n_flushed, self._n_edges
        self._reserve(n + nodes, m + edges)
        return self._table[:, n : n + nodes], self._ptr[n + 1 : n + nodes + 1], self._edges[m : m + edges]

    def _reserve(self, nodes: int, edges: int) -> None:
        """Room for so many in all, and an eighth more."""
        if max(nodes, edges) > NARROW:
            self._widen()
        if nodes > self._table.shape[1]:
            grown = np.empty((4, nodes + nodes // 8 + 64), self._integers)
            grown[:, : self._n_flushed] = self._table[:, : self._n_flushed]
            ptr = np.zeros(grown.shape[1] + 1, self._integers)
            ptr[: self._n_flushed + 1] = self._ptr[: self._n_flushed + 1]
            self._table, self._ptr = grown, ptr
        if edges > len(self._edges):
            wider = np.empty(edges + edges // 8 + 64, self._integers)
            wider[: self._n_edges] = self._edges[: self._n_edges]
            self._edges = wider

    def _widen(self) -> None:
        """Columns of 64 bits from now on."""
        if self._integers is not np.int64:
            self._integers = np.int64
            self._table, self._ptr = self._table.astype(np.int64), self._ptr.astype(np.int64)
            self._edges = self._edges.astype(np.int64)

    def cut(self, length: int) -> None:
        """Take all nodes off again but for the first."""
        self.n = self._n_flushed = length
        self._n_edges = int(self._ptr[length])

    def __len__(self) -> int:
        return self.n

    @property
    def kinds(self) -> list[Kind]:
        """The interned kinds, by their numbers."""
        self.flush()
        return self._kinds.kinds

    @property
    def kind(self) -> np.ndarray:
        """Kind of each node, (n,)."""
        self.flush()
        return self._table[0, : self.n]

    @property
    def rows(self) -> np.ndarray:
        """Length of each node's first axis, -1 for scalars, (n,)."""
        self.flush()
        return self._table[1, : self.n]

    @property
    def arg(self) -> np.ndarray:
        """The varying integer attribute of each node, (n,)."""
        self.flush()
        return self._table[2, : self.n]

    @property
    def step(self) -> np.ndarray:
        """Time step or tree position of each node, -1 outside any cell, (n,)."""
        self.flush()
        return self._table[3, : self.n]

    @property
    def input_pointers(self) -> np.ndarray:
        """Inputs of node i are ``input_indices[input_pointers[i]:input_pointers[i + 1]]``."""
        self.flush()
        return self._ptr[: self.n + 1]

    @property
    def input_indices(self) -> np.ndarray:
        """All inputs, node after node."""
        self.flush()
        return self._edges[: self._n_edges]

    def column(self, field: str) -> np.ndarray:
        """A field of ``Kind`` (op, name, cell ...) for every node, as an object array."""
        table = np.empty(len(self.kinds), object)
        table[:] = [getattr(kind, field) for kind in self.kinds]
        return table[self.kind]

    def inputs(self, index: int) -> tuple[int, ...]:
        """Indices of a node's inputs."""
        if index >= self._n_flushed:
            self.flush()
        return tuple(self._edges[self._ptr[index] : self._ptr[index + 1]].tolist())

    def _row(self, index: int) -> tuple[int, int, int, int]:
        if index >= self._n_flushed:
            self.flush()
        return tuple(self._table[:, index].tolist())  # type: ignore[return-value]

    def kind_of(self, index: int) -> Kind:
        """Kind of a node."""
        number = self._row(index)[0]  # first: reading it may bring the kind
        return self._kinds.kinds[number]

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of a node."""
        kind, rows, _, _ = self._row(index)
        return shape_of(rows, self._kinds.kinds[kind].tail)

    def node(self, index: int) -> Node:
        """One node with everything the tape knows of it."""
        if not 0 <= index < self.n:
            raise TapeError(f"node {index} asked for, but this tape has nodes 0 to {self.n - 1}")
        kind, rows, arg, step = self._row(index)
        k = self._kinds.kinds[kind]
        shape, dtype = shape_of(rows, k.tail), DTYPES[k.dtype]
        return Node(index, k.op, self.inputs(index), k.attrs, arg, shape, dtype, k.name, k.cell, step, k.line)

    def nodes(self, indices: Iterable[int] | None = None) -> list[Node]:
        """Several nodes (all by default)."""
        return [self.node(i) for i in (range(self.n) if indices is None else indices)]

    def consumers(self, index: int) -> np.ndarray:
        """Indices of the nodes that read a node, once for each time they read it."""
        return np.searchsorted(self.input_pointers, np.flatnonzero(self.input_indices == index), "right") - 1
