"""Recording: nodes one by one, many at once, and where they are recorded."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.errors import TapeError
from tinyseq.tape.kinds import DTYPES, PARAMETER, Kind, Parameter
from tinyseq.tape.leaves import Integers, Leaf
from tinyseq.tape.places import Form, Places, give_back
from tinyseq.tape.stream import Stream


class Recorder(Stream):
    """What writes the columns: the cell and step of what is recorded, folds, leaves."""

    __slots__ = (
        "_cell_calls",
        "_cell_names",
        "_made",
        "_parameter_nodes",
        "folding",
        "folds",
        "leaves",
        "origin",
        "parameters",
        "sites",
        "structural",
    )

    def __init__(self) -> None:
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

    def settle(self, alone: bool = False) -> None:
        """Nothing more is to be recorded: what was learnt of the places that record is let go; the next tape has it
        if nobody has a tensor of this one (``alone``)."""
        self.flush()
        if alone:
            give_back(self.places)
        self.places, self._numbers = Places(kept=False), {}
        self._made = self.places.made
        self.sites, self.leaves = self._made.sites[""], {}

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
