"""What data is called: by the name of what it was taken from."""

from __future__ import annotations

from tinyseq.ops.groups import JOINS
from tinyseq.viz.excerpt.excerpt import Excerpt


def source_name(excerpt: Excerpt, index: int) -> str:
    """The nearest name among what a node is made of, its own first; "" if there is none."""
    waiting, seen = [index], {index}
    for j in waiting:  # which grows
        if excerpt.node(j).name:
            return excerpt.node(j).name
        new = [k for k in dict.fromkeys(excerpt.inputs(j)) if k not in seen]  # once, though many ways lead there
        seen.update(new)
        waiting += new
    return ""


def gathers(excerpt: Excerpt, index: int) -> bool:
    """Whether a source is made of rows of data put together: not the data, but something of all of it."""
    waiting, seen = [index], set()
    while waiting:
        j = waiting.pop()
        if excerpt.node(j).op in JOINS and len(set(excerpt.node(j).inputs)) > 1:
            return True
        new = [k for k in excerpt.inputs(j) if k not in seen and not excerpt.node(k).name]
        seen.update(new)
        waiting += new
    return False
