"""What a plan is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinyseq.engine.plan.graph import Graph
from tinyseq.engine.plan.layout import Block, Storage, View

# (storages, the list of addresses, the class of each, layout of each class picked from)
Pointers = tuple[list[Storage], Storage, np.ndarray, dict[int, View]]


@dataclass
class Parts:
    """A program before it is bound to arrays."""

    graph: Graph
    dtype: np.dtype
    blocks: list[Block]
    storages: list[Storage]
    values: dict[int, View]
    gradients: dict[int, View]
    arena: int = 0
    without_reuse: int = 0
    pointers: list[Pointers] = field(default_factory=list)
