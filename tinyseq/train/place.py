"""Where a training stands in its text, so that it goes on as if it had not stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.errors import TinyseqError

PREFIX = "place."


@dataclass(frozen=True)
class Place:
    """How many windows of which text are done, and the state that the last one left; an optimiser keeps it.

    done     windows trained on, over all epochs
    digest   of the windows (``Windows.digest``): another text, or the same cut otherwise, starts at its beginning
    state    what the next window starts from: an array, or nested tuples, lists and dicts of them
    """

    done: int
    digest: str
    state: Any

    def arrays(self) -> dict[str, np.ndarray]:
        """As arrays by name, for a file."""
        leaves: list[np.ndarray] = []
        text = json.dumps({"digest": self.digest, "nesting": nesting_of(self.state, leaves)}, allow_nan=False)
        return {
            f"{PREFIX}done": np.array([self.done], np.int64),
            f"{PREFIX}about": np.frombuffer(text.encode(), np.uint8).copy(),
            **{f"{PREFIX}state.{i}": leaf for i, leaf in enumerate(leaves)},
        }

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> Place | None:
        """Read from what ``arrays`` gave; None where there is none of it. Raises TinyseqError where it is broken."""
        if not arrays:
            return None
        try:
            about = json.loads(arrays[f"{PREFIX}about"].tobytes())
            leaves = [np.array(arrays[f"{PREFIX}state.{i}"]) for i in range(len(arrays) - 2)]
            return cls(int(arrays[f"{PREFIX}done"][0]), str(about["digest"]), nested(about["nesting"], iter(leaves)))
        except (KeyError, ValueError, TypeError, IndexError, StopIteration):
            raise TinyseqError(f"the place in the text cannot be read from {sorted(arrays)}") from None


def nesting_of(state: Any, leaves: list[np.ndarray]) -> Any:
    """How a state is nested, as JSON can hold it; its arrays are added to ``leaves``."""
    if state is None:
        return None
    if isinstance(state, (tuple, list)):
        return ["list" if type(state) is list else "tuple", *[nesting_of(part, leaves) for part in state]]
    if isinstance(state, dict):
        return {key: nesting_of(part, leaves) for key, part in state.items()}
    leaves.append(np.array(state))
    return 0


def nested(nesting: Any, leaves: Any) -> Any:
    """Arrays, nested so again."""
    if nesting is None:
        return None
    if isinstance(nesting, list):
        parts = [nested(part, leaves) for part in nesting[1:]]
        return parts if nesting[0] == "list" else tuple(parts)
    if isinstance(nesting, dict):
        return {key: nested(part, leaves) for key, part in nesting.items()}
    return next(leaves)
