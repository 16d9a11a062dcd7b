"""The schedule of a tree as an overlay: positions of one height are computed together, in one GEMM for each weight."""

from __future__ import annotations

import numpy as np

from tinyseq.errors import TinyseqError
from tinyseq.tape import Tape
from tinyseq.viz.diagram import Diagram
from tinyseq.viz.look import style

DEEPEST, LISTED = 512, 6


def heights(tape: Tape) -> np.ndarray:
    """Height of each position: 0 where it reads no other position, else one more than the highest that it reads.

    By rounds over all edges at once, as many as the tree is high. Raises TinyseqError for a tape without positions, and
    where they are more than 512 high: that is a chain, each step a level of its own.
    """
    step, pointers = tape.step, tape.input_pointers
    count = int(step.max(initial=-1)) + 1
    reader = np.repeat(step, np.diff(pointers))
    source = step[tape.input_indices]
    between = (reader >= 0) & (source >= 0) & (reader != source)
    if count == 0 or not between.any():
        raise TinyseqError("overlay='levels' shows the schedule of a tree: this tape has no positions that read others")
    edges = np.unique(np.stack([reader[between], source[between]], axis=1), axis=0)
    height = np.zeros(count, np.int64)
    for _ in range(DEEPEST):
        new = height.copy()
        np.maximum.at(new, edges[:, 0], height[edges[:, 1]] + 1)
        if np.array_equal(new, height):
            return height
        height = new
    raise TinyseqError(f"overlay='levels': more than {DEEPEST} levels; on a chain each step is a level of its own")


def measure(diagram: Diagram, tape: Tape) -> list[str]:
    """Colour nodes by their level and number them; returns the schedule in words."""
    height = heights(tape)
    top = max(int(height.max()), 1)
    for v in diagram.vertices:
        at = int(tape.step[v.node]) if v.node >= 0 else -1
        if at >= 0 and v.role != "parameter":
            v.measure, v.badge = float(height[at]), f"level {height[at]}"
            v.fill = style.share_colour(height[at] / top)
    sizes = np.bincount(height)
    lines = [_line(level, int(size)) for level, size in enumerate(sizes)]
    if len(lines) > LISTED:
        rest = sizes[LISTED - 1 : -1]
        lines[LISTED - 1 : -1] = [f"levels {LISTED - 1} to {len(sizes) - 2}: {int(rest.sum()):,} positions"]
    return [f"{int(sizes.sum()):,} positions in {len(sizes)} batches, one after the other:", *lines]


def _line(level: int, size: int) -> str:
    return f"level {level}: {size:,} position{'s' if size != 1 else ''} in one GEMM for each weight"
