"""The stream: nodes recorded one by one as integers, and moved into the columns when somebody reads them.

A stream that a tape before had too is known with its columns.
"""

from __future__ import annotations

from struct import pack

import numpy as np

from tinyseq.errors import TapeError
from tinyseq.tape.columns import NARROW, Columns
from tinyseq.tape.instances import write_stream
from tinyseq.tape.kinds import Interned
from tinyseq.tape.places import Places, Recording, take

MANY = 2000  # nodes: of more, NumPy is quicker to tell which kinds there are


class Stream(Columns):
    """The columns with what is not yet in them: of each node its sort and inputs; args, steps and names beside."""

    __slots__ = ("_new_names", "_numbers", "_scope", "_turns", "args", "places", "recording_known", "renamed")

    def __init__(self) -> None:
        self.places: Places = take()
        super().__init__()
        self.args: list[int] = []  # of nodes in the stream whose sort says that they have one
        self.renamed: list[tuple[int, str]] = []
        self._new_names: dict[tuple[int, str], int] = {}
        self._numbers: dict[int, int] = {}  # numbers of kinds, by those that they have among the places
        self._scope: tuple[str, int] = ("", -1)
        self._turns: list[int] = [0, -1]  # the nodes before which the step changed, each with what it changed to
        self.recording_known: Recording | None = None  # the recording that is all of this tape, if it is kept

    def push(self, sort: int, arg: int, inputs: tuple[int, ...]) -> int:
        """Append one node of a known sort and return its index; an arg of 0 is for sorts without one."""
        self.stream += (sort, *inputs)
        if arg:
            self.args.append(arg)
        index = self.n
        self.n = index + 1
        return index

    def written(self, since: int) -> tuple | None:
        """All that was recorded since a node, as a key; None where it has been moved into the columns meanwhile."""
        if self._n_flushed != since:
            return None
        return pack(f"{len(self.stream)}q", *self.stream), *self.args, *self._turns, *self.renamed

    def flush(self) -> None:
        """Move what was recorded one by one into the columns."""
        if not self.stream:
            return
        whole = self._n_flushed == 0 and not self._kinds.kinds
        stream = pack(f"{len(self.stream)}q", *self.stream)  # half the time of np.array
        self.recording_known = None
        if whole:
            beside = pack(f"{len(self.args)}q{len(self._turns)}q", *self.args, *self._turns)
            key = (stream, len(self.args), beside, tuple(self.renamed))
            known = self.places.recording(key)
            if known is None:
                self._write(np.frombuffer(stream, np.int64))
                columns = (self._table[:, : self.n], self._ptr[: self.n + 1], self._edges[: self._n_edges])
                known = self.places.remember(key, self._kinds.kinds, columns)
            else:
                self._kinds = Interned(known.kinds)
                self._table, self._ptr, self._edges = [column.copy() for column in known.columns]
                self._integers = self._table.dtype.type
                self._n_flushed, self._n_edges = self.n, len(self._edges)
            self.recording_known = known
        else:
            self._write(np.frombuffer(stream, np.int64))
        self.stream.clear()
        self.args.clear()
        self.renamed.clear()
        self._turns = [self.n, self._scope[1]]

    def _write(self, stream: np.ndarray) -> None:
        nodes, sorts = self.n - self._n_flushed, self.places.sort_array()
        args, turns = np.array(self.args, np.int64), np.array([*self._turns, self.n], np.int64)
        if max(sorts[:, 1].max(), args.max(initial=0)) > NARROW:
            self._widen()
        block, ends, inputs = self._room(nodes, len(stream) - nodes)
        write_stream(stream, sorts, args, turns, self._n_flushed, self._n_edges, block, ends, inputs)
        block[0] = self._numbered(block[0])
        self._n_flushed, self._n_edges = self.n, self._n_edges + len(inputs)
        self.stream.clear()
        for index, name in self.renamed:
            self.rename(index, name)

    def _numbered(self, kinds: np.ndarray) -> np.ndarray:
        """Kinds by their numbers on this tape, given in the order in which they appear, from those among the places."""
        numbers = np.empty(len(self.places.kinds.kinds), np.int64)
        if len(kinds) > MANY:
            present, first = np.unique(kinds, return_index=True)
            ordered = present[np.argsort(first)].tolist()
        else:
            ordered = list(dict.fromkeys(kinds.tolist()))
        numbers[ordered] = self.numbered(ordered)
        return numbers[kinds]

    def met(self) -> list[int]:
        """Kinds of what is not yet in the columns, by their numbers among the places, in the order in which moving it
        there numbers them."""
        nodes = [self.places.sorts[~code][0] for code in self.stream if code < 0]
        found = list(nodes)
        for index, name in self.renamed:
            i = index - self._n_flushed
            nodes[i] = self.places.kinds.number(self.places.kinds.kinds[nodes[i]]._replace(name=name))
            found.append(nodes[i])
        return list(dict.fromkeys(found))

    def numbered(self, kinds: list[int]) -> list[int]:
        """The numbers on this tape of kinds that are given by those among the places."""
        known = self._numbers
        for kind in kinds:
            if kind not in known:
                known[kind] = self.kind_id(self.places.kinds.kinds[kind])
        return [known[kind] for kind in kinds]

    def rename(self, index: int, name: str) -> None:
        """Name a node, for pictures, dumps and errors."""
        if not isinstance(name, str):
            raise TapeError(f"a name is text, got {name!r}; write tensor.named('h')")
        if index >= self._n_flushed:
            self.renamed.append((index, name))
            return
        self.recording_known = None
        key = (int(self._table[0, index]), name)
        kind = self._new_names.get(key)
        if kind is None:
            kind = self._new_names[key] = self.kind_id(self._kinds.kinds[key[0]]._replace(name=name))
        self._table[0, index] = kind
