"""``ts.unfold``: a cell over a chain or a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.functions.picks import take_structural
from tinyseq.habits import advised
from tinyseq.structure.chain import Chain
from tinyseq.structure.tree import Forest
from tinyseq.structure.truncation import Truncation
from tinyseq.tape import Tape
from tinyseq.tensor.leaves import as_tensor
from tinyseq.tensor.nesting import entering
from tinyseq.tensor.source_lines import internal
from tinyseq.unfolding.chain import _NO_STATE, Unfolded, _sequence, _unfold_chain
from tinyseq.unfolding.tree import UnfoldedTree, unfold_tree

internal(__file__)


@overload
def unfold(
    step: Any,
    structure: Chain,
    inputs: Any,
    state: Any,
    *,
    delays: Sequence[int] = (1,),
    truncate: Truncation | None = None,
    name: str | None = None,
) -> Unfolded: ...


@overload
def unfold(step: Any, structure: Forest, inputs: Any, *, name: str | None = None) -> UnfoldedTree: ...


@advised
def unfold(
    step: Callable[..., Any],
    structure: Chain | Forest,
    inputs: Any,
    state: Any = _NO_STATE,
    *,
    delays: Sequence[int] = (1,),
    truncate: Truncation | None = None,
    name: str | None = None,
) -> Unfolded | UnfoldedTree:
    """Unfold ``step(x_t, state) -> state, output`` over a chain, or a tree cell over a tree (``unfold_tree``).

    inputs   a sequence (T, B, …) or a tuple of them, each giving one argument; for Chain(lengths) packed rows
             (Σ lengths, …) or a padded (T, B, …); () for a step without input
    state    the initial state: a tensor, parameter or array, or nested tuples and dicts of them
    delays   which earlier states the step gets; with several, it gets a tuple of states, one for each delay
    truncate ``ts.Chunk(k)`` detaches the state every k steps, ``ts.Window(k)`` gives each t a window of the k last
             steps: edges of the graph are cut by ``detach`` nodes; values stay the same
    """
    if truncate is not None and not isinstance(truncate, Truncation):
        raise ShapeError(f"truncate is ts.Chunk(k) or ts.Window(k), got {truncate!r}")
    if isinstance(structure, Forest):
        if state is not _NO_STATE or tuple(delays) != (1,):
            raise ShapeError("a tree starts from its leaves: it has no initial state and no delays")
        if truncate is not None:
            raise ShapeError("truncation cuts time, and a tree has none; give it a chain, or detach states in the cell")
        return unfold_tree(step, structure, inputs, name)
    if not isinstance(structure, Chain):
        raise ShapeError(f"unfold needs a structure such as ts.Chain(T) or ts.Tree.balanced(n), got {structure!r}")
    if state is _NO_STATE:
        made = "; this cell makes one: state = cell.initial_state(batch)" if hasattr(step, "initial_state") else ""
        raise ShapeError(f"a chain starts from an initial state: write ts.unfold(cell, chain, x, state){made}")
    if not delays or any(d < 1 for d in delays):
        raise ShapeError(f"delays are whole steps of at least 1, got {tuple(delays)}")
    tape = Tape.current()
    cell = getattr(step, "step", step)
    if not callable(cell):
        raise TinyseqError(f"unfold needs a cell or a function step(x_t, state) -> state, output, got {step!r}")
    named = getattr(step, "scope_cell", step)
    scope_name = tape.cell_name(named, str(name or getattr(named, "name", "") or getattr(named, "__name__", "cell")))
    for parameter in step.parameters() if hasattr(step, "parameters") else ():
        as_tensor(parameter)
    sequences = [_sequence(x, structure) for x in (inputs if isinstance(inputs, tuple) else (inputs,))]
    initial = entering(state, "unfold: the initial state")
    if structure.lengths is not None:
        count = len(structure.order)
        if any(h.shape[:1] != (count,) for h in initial):
            shapes = ", ".join(str(h.shape) for h in initial)
            raise ShapeError(f"a chain of {count} sequences needs initial states of {count} rows, got {shapes}")
        initial = [take_structural(h, structure.order) for h in initial]
    return _unfold_chain(tape, cell, scope_name, structure, sequences, state, initial, tuple(delays), truncate)
