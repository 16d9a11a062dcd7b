"""Recording: nodes one by one into a stream of integers, many at once, and where they are recorded.

Nodes that are recorded one by one are first written into a stream, and moved into the columns when somebody reads
them. A stream that a tape before had too is known with its columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from struct import pack
from typing import Any

import numpy as np

from tinyseq.errors import TapeError
from tinyseq.tape.columns import Columns
from tinyseq.tape.kinds import DTYPES, PARAMETER, Interned, Kind, Parameter
from tinyseq.tape.leaves import Integers, Leaf
from tinyseq.tape.places import Form, Places, Recording, give_back, take

MANY = 2000  # nodes: of more, NumPy is quicker to tell which kinds there are


class Recorder(Columns):
    """The columns with what writes them: the stream, the cell and step of what is recorded, folds, leaves."""

    __slots__ = (
        "_cell_calls",
        "_cell_names",
        "_made",
        "_new_names",
        "_numbers",
        "_parameter_nodes",
        "_scope",
        "_turns",
        "args",
        "folding",
        "folds",
        "leaves",
        "origin",
        "parameters",
        "places",
        "recording_known",
        "renamed",
        "sites",
        "structural",
    )

    def __init__(self) -> None:
        self.places: Places = take()
        super().__init__()
        self.parameters: list[Parameter] = []
        self._parameter_nodes: dict[int, int] = {}
        self._cell_names: dict[int, tuple[object, str]] = {}
        self._cell_calls: dict[str, int] = {}
        self.folding = 0  # number of the step being recorded to be stamped, 0 outside of one
        self.folds = 0
        self._made = self.places.made  # what is known where nodes are recorded now
        self.sites: dict[tuple, Any] = self._made.sites[""]  # those of the cell being recorded
        self.leaves: dict[Parameter, Leaf] = {}  # of parameters met since this tape became the current one
        self.origin: dict[int, Integers] = {}  # of nodes that hold the integers of a leaf
        self.structural: set[int] = set()  # leaves whose integers follow from the structure that is unfolded
        self.args: list[int] = []  # of nodes in the stream whose sort says that they have one
        self.renamed: list[tuple[int, str]] = []
        self._new_names: dict[tuple[int, str], int] = {}
        self._numbers: dict[int, int] = {}  # numbers of kinds, by those that they have among the places
        self._scope: tuple[str, int] = ("", -1)
        self._turns: list[int] = [0, -1]  # the nodes before which the step changed, each with what it changed to
        self.recording_known: Recording | None = None  # the recording that is all of this tape, if it is kept

    def __del__(self, give_back: Callable[[Places], None] = give_back) -> None:
        if hasattr(self, "places"):  # else its constructor was called with wrong arguments
            give_back(self.places)  # all tensors of this tape are gone too: they hold it

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TapeError("a tape is not copied or pickled: its tensors and its executor know it; record it again")

    def append(
        self,
        op: str,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: int,
        attrs: tuple = (),
        arg: int = 0,
        line: tuple[str, int] = ("", 0),
        name: str = "",
    ) -> int:
        """Append one node and return its index. Callers have checked shapes; ``verify`` checks again."""
        key = (op, shape, dtype, repr(attrs) if attrs else "", arg != 0, line, name, self._scope[0])
        known = self.places.appended
        sort = known.get(key)
        if sort is None:
            kind = self.places.kinds.number(Kind(op, attrs, shape[1:], dtype, name, self._scope[0], line))
            sort = known[key] = self.places.sort(kind, shape[0] if shape else -1, arg != 0)
        return self.push(sort, arg, inputs)

    def append_kind(self, kind: Kind, rows: int, arg: int, inputs: tuple[int, ...] = ()) -> int:
        """Append one node of a kind and return its index."""
        return self.push(self.places.sort(self.places.kinds.number(kind), rows, arg != 0), arg, inputs)

    def push(self, sort: int, arg: int, inputs: tuple[int, ...]) -> int:
        """Append one node of a known sort and return its index; an arg of 0 is for sorts without one."""
        self.stream += (sort, *inputs)
        if arg:
            self.args.append(arg)
        index = self.n
        self.n = index + 1
        return index

    def form(self, shape: tuple[int, ...], dtype_code: int, flipped: bool = False) -> Form:
        """The form of tensors made now; ``flipped`` tells those that stand for a transpose apart."""
        forms = self._made.forms
        key = (shape, dtype_code, flipped)
        found = forms.get(key)
        if found is None:
            found = forms[key] = Form(shape, dtype_code, self.folding)
        return found

    @property
    def scope(self) -> tuple[str, int]:
        """Cell and step of what is recorded now."""
        return self._scope

    @scope.setter
    def scope(self, scope: tuple[str, int]) -> None:
        self._scope = scope
        sites = self._made.sites.get(scope[0])
        if sites is None:
            sites = self._made.sites[scope[0]] = {}
        self.sites = sites
        self._turns += (self.n, scope[1])

    def fold(self, scope: tuple[str, int]) -> None:
        """Begin to record a step that is taken off the tape again. Its tensors have forms of their own, by the number
        of the fold, so that they find no site elsewhere."""
        self.folds += 1
        self.folding = self.folds
        self._made = self.places.made_in(self.folding)
        self.leaves, self.scope = {}, scope

    def unfold(self, scope: tuple[str, int], length: int | None) -> None:
        """End what ``fold`` began: back to a scope and, but for None, to the nodes before."""
        self.folding, self.leaves = 0, {}
        self._made = self.places.made
        if length is not None:
            self.stream.clear()
            self.args.clear()
            self.renamed.clear()
            self.recording_known = None
            self.cut(length)
            self._turns = [length, -1]
            self.structural = {i for i in self.structural if i < length}
            self.origin = {i: known for i, known in self.origin.items() if i < length}
            for parameter in [p for p, node in self._parameter_nodes.items() if node >= length]:
                self._parameter_nodes[parameter] = -1  # the caller gives it a new place
        self.scope = scope

    def extend(
        self,
        kind: np.ndarray,
        rows: np.ndarray,
        arg: np.ndarray,
        step: np.ndarray,
        n_inputs: np.ndarray,
        inputs: np.ndarray,
    ) -> int:
        """Append many nodes at once. Returns the index of the first."""
        self.flush()
        self.recording_known = None
        first = self.put(kind, rows, arg, step, n_inputs, inputs)
        self.n = self._n_flushed
        return first

    def written(self, since: int) -> tuple | None:
        """All that was recorded since a node, as a key; None where it has been moved into the columns meanwhile."""
        if self._n_flushed != since:
            return None
        return pack(f"{len(self.stream)}q", *self.stream), *self.args, *self._turns, *self.renamed

    def room(self, nodes: int, edges: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The columns of so many nodes more, (4, nodes); where the inputs of each end; the inputs. Whoever fills them
        (unfolding does) then calls ``grow``."""
        self.flush()
        self.recording_known = None
        return self._room(nodes, edges)

    def grow(self, nodes: int, edges: int) -> None:
        """Count the nodes that ``room`` was made for."""
        self.n = self._n_flushed = self.n + nodes
        self._n_edges += edges

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

    def settle(self, alone: bool = False) -> None:
        """Nothing more is to be recorded: what was learnt of the places that record is let go; the next tape has it
        if nobody has a tensor of this one (``alone``)."""
        self.flush()
        if alone:
            give_back(self.places)
        self.places, self._numbers = Places(kept=False), {}
        self._made = self.places.made
        self.sites, self.leaves = self._made.sites[""], {}

    def _write(self, stream: np.ndarray) -> None:
        lo, hi = self._n_flushed, self.n
        new = stream < 0
        places = np.flatnonzero(new)
        kinds, rows, with_arg = self.places.sort_array()[~stream[places]].T
        arg = np.zeros(hi - lo, np.int64)
        if self.args:
            arg[with_arg != 0] = self.args
        turns = np.array([*self._turns, hi])
        begins = np.maximum(turns[::2], lo)
        step = np.repeat(turns[1:-1:2], begins[1:] - begins[:-1])
        # a node's inputs are the numbers in the stream up to the next node
        counts = np.empty(len(places), np.int64)
        counts[:-1] = places[1:] - places[:-1] - 1
        counts[-1] = len(stream) - 1 - places[-1]
        self.put(self._numbered(kinds), rows, arg, step, counts, stream[~new])
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

    def parameter(self, parameter: Parameter, line: tuple[str, int] = ("", 0)) -> int:
        """The one leaf that stands for a parameter on this tape."""
        node = self._parameter_nodes.get(id(parameter))
        if node is None:
            inside = self._scope != ("", -1)
            if inside:
                scope, self.scope = self._scope, ("", -1)
            code = DTYPES.index(parameter.value.dtype)
            node = self.append(
                PARAMETER,
                (),
                parameter.value.shape,
                code,
                () if parameter.trainable else (("fixed", True),),
                len(self.parameters),
                ("", 0),
                parameter.name,
            )
            if inside:
                self.scope = scope
            self._parameter_nodes[id(parameter)] = node
            self.parameters.append(parameter)
        return node

    def node_of(self, parameter: Parameter) -> int | None:
        """Index of the parameter's leaf, or None where this tape does not use it."""
        return self._parameter_nodes.get(id(parameter))

    def name_of(self, cell: object) -> str | None:
        """The scope name of a cell, None if it has not been called on this tape."""
        known = self._cell_names.get(id(cell))
        return None if known is None else known[1]

    def cell_name(self, cell: object, wanted: str) -> str:
        """A scope name for this cell, unique on this tape."""
        known = self._cell_names.get(id(cell))
        if known is None:
            taken = {name for _, name in self._cell_names.values()}
            name = next(
                n for n in itertools.chain([wanted], (f"{wanted}_{i}" for i in itertools.count(2))) if n not in taken
            )
            known = self._cell_names[id(cell)] = (cell, name)
        return known[1]

    def next_step(self, cell: str, count: int = 1) -> int:
        """The step number of the next call of a cell, counting calls from 0."""
        step = self._cell_calls.get(cell, 0)
        self._cell_calls[cell] = step + count
        return step

    def enter(self, cell: str, at: int | None) -> tuple[tuple[str, int], dict[tuple, Any]]:
        """A cell is called: what is recorded now is its step. Returns what ``leave`` wants."""
        outer = self._scope, self.sites
        count = self._cell_calls.get(cell, 0)
        self._cell_calls[cell] = count + 1
        step = count if at is None else int(at)
        self._scope = (cell, step)
        sites = self._made.sites.get(cell)
        if sites is None:
            sites = self._made.sites[cell] = {}
        self.sites = sites
        self._turns += (self.n, step)
        return outer

    def leave(self, outer: tuple[tuple[str, int], dict[tuple, Any]]) -> None:
        """The call of a cell has ended."""
        self._scope, self.sites = outer
        self._turns += (self.n, self._scope[1])

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
