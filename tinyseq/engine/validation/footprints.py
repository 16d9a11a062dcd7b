"""Footprints: which elements a kernel's call reads and writes, one rule a family of kernels.

A rule takes the vector d of a call and says for each operand which elements it touches, counted from where the operand
begins, in the shape in which the kernel runs over them: (rows, columns) of an elementwise kernel, (m, k) and (k, n) of
a product. It needs no values but those of integers that say where to read or write; where they are not known, it names
every element that they may choose.
"""

from __future__ import annotations

from functools import cache

from tinyseq.engine.validation import footprints_of_lookups, footprints_of_products  # noqa: F401  rules of the table
from tinyseq.engine.validation.footprint_rules import RULES, Footprint, Known, Rule, grid, rule
from tinyseq.ops import OPS
from tinyseq.ops.op import Kernel


def footprint(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    """The footprint of one call."""
    return rule_of(kernel)(kernel, d, known)


@cache
def rule_of(kernel: Kernel) -> Rule:
    """The rule of a kernel's family; kernels without one are taken at their word: row r of an operand is the elements
    from r times its stride to the next."""
    name = kernel.name
    if name not in RULES and name.endswith("_integers"):
        return rule_of(Kernel.registry[name.removesuffix("_integers")])
    return RULES.get(name) or (_map if name in elementwise_kernels() else _by_contract)


def elementwise_kernels() -> frozenset[str]:
    """Names of kernels that compute each element from those at the same place."""
    maps = [op.elementwise for op in OPS.values() if op.elementwise]
    return frozenset({k.name for made in maps for k in (made.forward, *made.vjps) if k} | {"add_to"})


# -- elementwise, and what is known only by its contract
def _map(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    count = len(kernel.operands)
    columns = d[2 + count]
    operands = [
        grid((2, 1)) if role == "attr" else grid((d[0], d[1 + j]), (columns, 1))
        for j, role in enumerate(kernel.operands)
    ]
    return Footprint(tuple(operands), bool(d[1 + count]))


def _by_contract(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    count = len(kernel.operands)
    operands = [
        grid((2, 1)) if role == "attr" else grid((d[0], d[1 + j]), (max(d[1 + j], 1), 1))
        for j, role in enumerate(kernel.operands)
    ]
    return Footprint(tuple(operands), bool(d[1 + count]))


@rule("fill")
def _fill(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((grid((d[0], d[1]), (d[4], 1)), grid((1, 1))))


@rule("zero")
def _zero(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    return Footprint((grid((d[0], d[1]), (d[3], 1)),))


@rule("copy_block")
def _copy_block(kernel: Kernel, d: list[int], known: Known) -> Footprint:
    target, source = (grid((d[0], d[1 + j]), (d[4], 1), start=d[5 + j]) for j in range(2))
    return Footprint((target, source), bool(d[3]))


# -- products
# -- by integers
