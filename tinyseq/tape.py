"""The tape: an append-only table of nodes in topological order.

The index of a node *is* its place in the order: every input of node i has an index below i. A tape holds
neither values nor gradients (those belong to the executor that is handed to it) and no closures, so it can be
stamped, checked, drawn and planned as arrays. A node is five numbers and its inputs:

    kind    an interned record of all that does not change from step to step: op, static attributes,
            shape without its first axis, dtype, name, cell and source line
    rows    length of the first axis, -1 for a scalar
    arg     one integer that may change from step to step (which row of x, how many rows)
    step    time step or tree position, -1 outside any cell
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from struct import pack
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinyseq.errors import GradientError, TapeError

if TYPE_CHECKING:
    from tinyseq.tensor import Parameter

FLOAT32, FLOAT64, INT64 = 0, 1, 2
DTYPES = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64))
NARROW = np.iinfo(np.int32).max  # columns are 32 bits wide until one of their numbers is above

_current: ContextVar[tuple[Tape, ...]] = ContextVar("tinyseq_tapes", default=())


class Kind(NamedTuple):
    """All that nodes of one place in one cell have in common."""

    op: str
    attrs: tuple
    tail: tuple[int, ...]
    dtype: int
    name: str
    cell: str
    line: tuple[str, int]


class Node(NamedTuple):
    """One node, gathered from the columns for reading."""

    index: int  # type: ignore[assignment]
    op: str
    inputs: tuple[int, ...]
    attrs: tuple
    arg: int
    shape: tuple[int, ...]
    dtype: np.dtype
    name: str
    cell: str
    step: int
    line: tuple[str, int]


class Form:
    """Shape and dtype of tensors, and the fold they were made in: one object on a tape for all that are alike.

    Sites are looked up by forms, which compare by identity; so a tensor of another tape, or one that leaked out of a
    fold, finds no site and comes to the checks.
    """

    __slots__ = ("dtype_code", "fold", "shape")

    def __init__(self, shape: tuple[int, ...], dtype_code: int, fold: int) -> None:
        self.shape, self.dtype_code, self.fold = shape, dtype_code, fold


class Leaf:
    """Where a parameter stands on a tape: what a tensor is without its tape."""

    __slots__ = ("form", "index")

    def __init__(self, index: int, form: Form) -> None:
        self.index, self.form = index, form


class Tape:
    """A computational graph under construction: ``with ts.Tape() as tape: ...`` records into it.

    Nothing is computed while recording. ``tensor.value`` and ``tape.backward(loss)`` ask the executor, which
    is made from ``executor`` (a callable that takes the tape; by default ``Tape.default_executor``).
    """

    default_executor: Callable[[Tape], Any] | None = None

    def __init__(self, executor: Callable[[Tape], Any] | None = None) -> None:
        make = executor or type(self).default_executor
        self._kinds: list[Kind] = []
        self.parameters: list[Parameter] = []
        self._kind_ids: dict[Kind, int] = {}
        self._parameter_nodes: dict[int, int] = {}
        self._cell_names: dict[int, tuple[object, str]] = {}
        self._cell_calls: dict[str, int] = {}
        self.folding = 0  # number of the step being recorded to be stamped, 0 outside of one
        self.folds = 0
        # what is known of places in the user's program, so that recording there again is quick
        self.sites: dict[tuple, Any] = {}  # those of the cell being recorded
        self.codes: dict[int, CodeType] = {}  # sites know a code object by its address: it has to stay
        self.leaves: dict[Parameter, Leaf] = {}  # of parameters met since this tape became the current one
        self.origin: dict[int, int] = {}  # for integers, the input leaf whose elements they are
        self._sites: dict[tuple[str, int], dict[tuple, Any]] = {("", 0): self.sites}
        self._forms: dict[tuple, Form] = {}
        # nodes not yet in the columns: for each its sort, inverted, then its inputs
        self.stream: list[int] = []
        self.args: list[int] = []  # of those whose sort says that they have one
        self.renamed: list[tuple[int, str]] = []
        self._sorts: dict[tuple[int, int, bool], int] = {}  # (kind, rows, with an arg): numbered as they come
        self._sort_list: list[tuple[int, int, bool]] = []
        self._scope: tuple[str, int] = ("", -1)
        self._turns: list[int] = [0]  # the nodes before which the step changed, and to what
        self._steps: list[int] = [-1]
        self._new_names: dict[tuple[int, str], int] = {}
        self.n = 0
        self._n_flushed = 0
        self._n_edges = 0
        self._integers: type[np.signedinteger[Any]] = np.int32
        self._table: np.ndarray = np.empty((4, 64), self._integers)  # kind, rows, arg, step
        self._ptr: np.ndarray = np.zeros(65, self._integers)
        self._edges: np.ndarray = np.empty(128, self._integers)
        self.executor: Any = make(self) if make is not None else None

    # -- recording ------------------------------------------------------------------------------------------
    def __enter__(self) -> Tape:
        stack = _current.get()
        if stack:
            stack[-1].leaves = {}  # a parameter used from now on means its leaf on this tape
        _current.set((*stack, self))
        return self

    def __exit__(self, *exc: object) -> None:
        self.leaves = {}
        stack = list(_current.get())
        for place in range(len(stack) - 1, -1, -1):
            if stack[place] is self:
                del stack[place]
                break
        _current.set(tuple(stack))

    @staticmethod
    def current() -> Tape:
        """The innermost tape being recorded."""
        stack = _current.get()
        if not stack:
            raise TapeError(
                "no tape is recording: operations on tensors build a graph, and a graph needs a tape.\n"
                "Write:\n    with ts.Tape() as tape:\n        y = ...  # the operation"
            )
        return stack[-1]

    @staticmethod
    def recording() -> bool:
        """Whether a tape is recording."""
        return bool(_current.get())

    def kind_id(self, kind: Kind) -> int:
        """The number of an interned kind."""
        found = self._kind_ids.get(kind)
        if found is None:
            found = self._kind_ids[kind] = len(self._kinds)
            self._kinds.append(kind)
        return found

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
        kind = self.kind_id(Kind(op, attrs, shape[1:], dtype, name, self.scope[0], line))
        return self.push(kind, shape[0] if shape else -1, arg, inputs)

    def push(self, kind: int, rows: int, arg: int, inputs: tuple[int, ...]) -> int:
        """Append one node of a known kind and return its index."""
        self.stream.append(self.sort(kind, rows, arg != 0))
        self.stream.extend(inputs)
        if arg:
            self.args.append(arg)
        index = self.n
        self.n = index + 1
        return index

    def sort(self, kind: int, rows: int, with_arg: bool = False) -> int:
        """What stands for a node in the stream, a negative number: its kind, its rows, whether it has an arg."""
        key = (kind, rows, with_arg)
        found = self._sorts.get(key)
        if found is None:
            if rows > NARROW:
                self._widen()
            found = self._sorts[key] = ~len(self._sorts)
            self._sort_list.append(key)
        return found

    def leaf_sort(self, sort: int) -> bool:
        """Whether a number in the stream stands for a leaf that the executor or the tape knows of."""
        return self._kinds[self._sort_list[~sort][0]].op in ("input", "parameter")

    def form(self, shape: tuple[int, ...], dtype_code: int, flipped: bool = False) -> Form:
        """The form of tensors made now; ``flipped`` tells those that stand for a transpose apart."""
        key = (shape, dtype_code, self.folding, flipped)
        found = self._forms.get(key)
        if found is None:
            found = self._forms[key] = Form(shape, dtype_code, self.folding)
        return found

    @property
    def scope(self) -> tuple[str, int]:
        """Cell and step of what is recorded now."""
        return self._scope

    @scope.setter
    def scope(self, scope: tuple[str, int]) -> None:
        self._scope = scope
        key = (scope[0], self.folding)
        sites = self._sites.get(key)
        if sites is None:
            sites = self._sites[key] = {}
        self.sites = sites
        self._turns.append(self.n)
        self._steps.append(scope[1])

    def fold(self, scope: tuple[str, int]) -> None:
        """Begin to record a step that is taken off the tape again: nothing known of it may outlive it."""
        self.folds += 1
        self.folding = self.folds
        self.leaves, self.scope = {}, scope

    def unfold(self, scope: tuple[str, int], length: int | None) -> None:
        """End what ``fold`` began: back to a scope and, but for None, to the nodes before."""
        self._sites = {key: sites for key, sites in self._sites.items() if key[1] != self.folding}
        self._forms = {key: form for key, form in self._forms.items() if key[2] != self.folding}
        self.folding, self.leaves = 0, {}
        if length is not None:
            self.flush()
            self.n = self._n_flushed = length
            self._turns, self._steps = [length], [-1]
            self._n_edges = int(self._ptr[length])
            self.origin = {i: leaf for i, leaf in self.origin.items() if i < length}
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
        first = self.n
        block, ends, edges = self.room(len(kind), len(inputs))
        block[0], block[1], block[2], block[3] = kind, rows, arg, step
        ends[:] = np.cumsum(n_inputs) + self._n_edges
        edges[:] = inputs
        self.grow(len(kind), len(inputs))
        return first

    def room(self, nodes: int, edges: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The columns of so many nodes more, (4, nodes); where the inputs of each end; the inputs. Whoever fills them
        (unfolding does) then calls ``grow``."""
        self.flush()
        n, m = self.n, self._n_edges
        self._reserve(n + nodes, m + edges)
        return self._table[:, n : n + nodes], self._ptr[n + 1 : n + nodes + 1], self._edges[m : m + edges]

    def grow(self, nodes: int, edges: int) -> None:
        """Count the nodes that ``room`` was made for."""
        self.n = self._n_flushed = self.n + nodes
        self._n_edges += edges

    def flush(self) -> None:
        """Move what was appended one by one into the columns."""
        if not self.stream:
            return
        lo, hi = self._n_flushed, self.n
        stream = np.frombuffer(pack(f"{len(self.stream)}q", *self.stream), np.int64)  # half the time of np.array
        new = stream < 0
        edges = stream[~new]
        places = np.flatnonzero(new)
        sorts = np.array(self._sort_list, np.int64).T
        which = ~stream[places]
        self._reserve(hi, self._n_edges + len(edges))
        block = self._table[:, lo:hi]
        block[:2] = sorts[:2, which]
        block[2] = 0
        if self.args:
            args = np.array(self.args, np.int64)
            if args.max() > NARROW:
                self._widen()
                block = self._table[:, lo:hi]
            block[2, sorts[2, which] != 0] = args
        turns = np.array([*self._turns, hi])
        block[3] = np.repeat(self._steps, np.diff(np.maximum(turns, lo)))
        # inputs of the nodes up to one: all numbers in the stream up to the next, but for those of the nodes
        ends = np.append(places[1:], len(stream)) - np.arange(1, hi - lo + 1)
        self._ptr[lo + 1 : hi + 1] = ends + self._n_edges
        self._edges[self._n_edges : self._n_edges + len(edges)] = edges
        self._n_edges += len(edges)
        self._n_flushed = hi
        self.stream.clear()
        self.args.clear()
        self._turns, self._steps = [hi], [self._scope[1]]
        if self.renamed:
            renamed, self.renamed = self.renamed, []
            for index, name in renamed:
                self.rename(index, name)

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

    def parameter(self, parameter: Parameter, line: tuple[str, int] = ("", 0)) -> int:
        """The one leaf that stands for a parameter on this tape."""
        node = self._parameter_nodes.get(id(parameter))
        if node is None:
            scope, self.scope = self._scope, ("", -1)
            code = DTYPES.index(parameter.value.dtype)
            node = self.append(
                "parameter",
                (),
                parameter.value.shape,
                code,
                () if parameter.trainable else (("fixed", True),),
                len(self.parameters),
                ("", 0),
                parameter.name,
            )
            self.scope = scope
            self._parameter_nodes[id(parameter)] = node
            self.parameters.append(parameter)
        return node

    def node_of(self, parameter: Parameter) -> int | None:
        """Index of the parameter's leaf, or None where this tape does not use it."""
        return self._parameter_nodes.get(id(parameter))

    def knows(self, cell: object) -> bool:
        """Whether a cell has been called on this tape."""
        return id(cell) in self._cell_names

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

    def rename(self, index: int, name: str) -> None:
        """Name a node, for pictures, dumps and errors."""
        if not isinstance(name, str):
            raise TapeError(f"a name is text, got {name!r}; write tensor.named('h')")
        if index >= self._n_flushed:
            self.renamed.append((index, name))
            return
        key = (int(self._table[0, index]), name)
        kind = self._new_names.get(key)
        if kind is None:
            kind = self._new_names[key] = self.kind_id(self._kinds[key[0]]._replace(name=name))
        self._table[0, index] = kind

    # -- reading --------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return self.n

    @property
    def kinds(self) -> list[Kind]:
        """The interned kinds, by their numbers."""
        if self.renamed:
            self.flush()
        return self._kinds

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

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of a node."""
        kind, rows, _, _ = self._row(index)
        return () if rows < 0 else (rows, *self.kinds[kind].tail)

    def node(self, index: int) -> Node:
        """One node with everything the tape knows of it."""
        if not 0 <= index < self.n:
            raise TapeError(f"node {index} asked for, but this tape has nodes 0 to {self.n - 1}")
        kind, rows, arg, step = self._row(index)
        k = self.kinds[kind]
        shape = () if rows < 0 else (rows, *k.tail)
        return Node(
            index,
            k.op,
            self.inputs(index),
            k.attrs,
            arg,
            shape,
            DTYPES[k.dtype],
            k.name,
            k.cell,
            step,
            k.line,
        )

    def nodes(self, indices: Iterable[int] | None = None) -> list[Node]:
        """Several nodes (all by default)."""
        return [self.node(i) for i in (range(self.n) if indices is None else indices)]

    def consumers(self, index: int) -> np.ndarray:
        """Indices of the nodes that read a node, once for each time they read it."""
        return np.searchsorted(self.input_pointers, np.flatnonzero(self.input_indices == index), "right") - 1

    # -- running --------------------------------------------------------------------------------------------
    def backward(self, loss: Any, seed: Any = None, accumulate: bool = False) -> None:
        """Set the gradient of ``loss`` for every parameter and node it depends on.

        A second call gives the same gradients; ``accumulate=True`` adds to the parameters' gradients instead.
        ``seed`` is ∂L/∂loss, needed unless ``loss`` is a scalar.
        """
        if self.folding:
            raise TapeError("backward inside a step that is being recorded for unfolding; call it after unfold(...)")
        if getattr(loss, "tape", None) is None:
            raise GradientError(f"backward needs the tensor to differentiate, got {type(loss).__name__}")
        if loss.tape is not self:
            raise TapeError("the loss is on another tape; call backward on the tape that recorded it: loss.backward()")
        if loss.shape and seed is None:
            raise GradientError(
                f"backward of a tensor of shape {loss.shape} needs a seed of that shape: only a scalar loss has one "
                "gradient.\nReduce it first (ts.sum(loss)) or give tape.backward(loss, seed=array)"
            )
        if seed is not None and np.asarray(seed).dtype.kind not in "fiub":
            raise GradientError(f"a seed is an array of real numbers, got {np.asarray(seed).dtype}")
        self.executor.backward(loss.index, seed, accumulate)

    def dump(self, limit: int | None = None) -> str:
        """The tape as text, one line a node."""
        shown = self.n if limit is None else min(limit, self.n)
        lines = []
        for node in self.nodes(range(shown)):
            where = f"{node.cell}[{node.step}]" if node.cell else (f"[{node.step}]" if node.step >= 0 else "")
            arguments = ", ".join(
                [f"%{i}" for i in node.inputs]
                + [f"{key}={value}" for key, value in node.attrs]
                + ([f"arg={node.arg}"] if node.arg else [])
            )
            shape = "×".join(map(str, node.shape)) or "scalar"
            source = f"  # {node.line[0].rsplit('/', 1)[-1]}:{node.line[1]}" if node.line[1] else ""
            lines.append(
                f"%{node.index:<5} {where:<12} {node.name:<8} = {node.op}({arguments}): {node.dtype} {shape}{source}"
            )
        if shown < self.n:
            lines.append(f"… {self.n - shown} more nodes")
        return "\n".join(lines)

    def same_graph(self, other: Tape) -> bool:
        """Whether both tapes hold the same nodes in the same order; source lines and places of parameters aside."""
        mine, theirs = self._canonical(), other._canonical()
        return mine[0] == theirs[0] and all(np.array_equal(a, b) for a, b in zip(mine[1:], theirs[1:], strict=True))

    def _canonical(self) -> tuple:
        leaf = self.column("op") == "parameter"
        number = np.cumsum(~leaf) - 1
        number[leaf] = -1 - self.arg[leaf]
        plain = [kind._replace(line=("", 0)) for kind in self.kinds]
        kinds = [plain[k] for k in self.kind[~leaf].tolist()]
        counts = np.diff(self.input_pointers)[~leaf]
        names = [parameter.name for parameter in self.parameters]
        return (
            (kinds, names),
            self.rows[~leaf],
            self.arg[~leaf],
            self.step[~leaf],
            counts,
            number[self.input_indices],
        )

    def to_html(self, path: Any, **options: Any) -> Any:
        """Write one offline HTML file that steps through forward, backward and update, node by node.

        ``options`` are ``loss`` (the tensor or its name), ``title``, ``compare`` ({title: another loss}) and
        ``learning_rate``; see ``tinyseq.viz.stepper.to_html``. Sets gradients; returns the path.
        """
        from tinyseq.viz.stepper import to_html

        return to_html(self, path, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from tinyseq.viz.notebook import tape_bundle

        return tape_bundle(self)

    def __repr__(self) -> str:
        cells = sorted({kind.cell for kind in self.kinds if kind.cell})
        return f"Tape({self.n} nodes, {len(self.parameters)} parameters, cells: {', '.join(cells) or 'none'})"


def shape_of(rows: int, tail: Sequence[int]) -> tuple[int, ...]:
    """Shape from the two columns that hold it."""
    return () if rows < 0 else (rows, *tail)
