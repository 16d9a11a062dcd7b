"""States and outputs that are nested: tuples, lists and dicts of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tinyseq.errors import ShapeError
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.leaves import as_tensor, here
from tinyseq.tensor.source_lines import internal

internal(__file__)


def flatten(tree: Any) -> list[Tensor]:
    """The tensors of a state or output: a tensor, None, or nested tuples, lists and dicts of them, in the order in
    which they are written."""
    if tree is None:
        return []
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in flatten(branch)]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in flatten(branch)]
    return [as_tensor(tree)]


def entering(tree: Any, what: str) -> list[Tensor]:
    """``flatten``, for what the tape being recorded will know by its numbers: TapeError for tensors of another tape."""
    return [here(leaf, what) for leaf in flatten(tree)]


def rebuild(tree: Any, leaves: Sequence[Any]) -> Any:
    """The same nesting with other leaves."""
    return _rebuild(tree, iter(leaves))


def _rebuild(branch: Any, supply: Iterator[Any]) -> Any:  # no closure: one that calls itself would keep the leaves
    if branch is None:
        return None
    if isinstance(branch, tuple) and hasattr(branch, "_fields"):
        return type(branch)(*[_rebuild(b, supply) for b in branch])
    if isinstance(branch, (tuple, list)):
        return type(branch)(_rebuild(b, supply) for b in branch)
    if isinstance(branch, dict):
        return {key: _rebuild(value, supply) for key, value in branch.items()}
    return next(supply)


def matched(tree: Any, given: Any, what: str) -> Any:
    """The same state with the keys of its dicts in the order of another's, so that what has one key has one place.

    ``what`` names the state. Raises ShapeError where one has keys that the other has not.
    """
    if isinstance(given, dict):
        if not isinstance(tree, dict) or tree.keys() != given.keys():
            found = f"keys {list(tree)}" if isinstance(tree, dict) else f"a {type(tree).__name__}"
            raise ShapeError(f"{what} must be a dict with the keys of the state it gets, {list(given)}; got {found}")
        return {key: matched(tree[key], branch, what) for key, branch in given.items()}
    if isinstance(given, (tuple, list)) and isinstance(tree, (tuple, list)) and len(tree) == len(given):
        branches = [matched(mine, theirs, what) for mine, theirs in zip(tree, given, strict=True)]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return tree
