"""What matters of each kind of node, as tables by the kinds' numbers, for the kernels that read a tape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from math import prod

import numpy as np

from tinyseq.ops import OPS
from tinyseq.ops.groups import GIVEN, JOINS, NUMBERED, PARAMETERS, RANGES
from tinyseq.tape import Kind

LOOSE, JOIN, STACK, PARAMETER, LOOSE_PICK, FREE = (1 << i for i in range(6))
"""Traits: outside cells; a join there; a stack; a parameter; a row taken, or anything else, outside cells."""

REACHED = 2
POSITIONS = 4  # of inputs; further ones are like the last


class KindTables:
    """Rows of all tables are kinds.

    given    whether it is a leaf whose values are arrays of the user's
    traits   bits of it
    passes   REACHED for each of the first positions that a vjp passes the gradient on to
    columns  cell, traits, shape without the first axis, its axes alone, their number, elements in a row, and how its
             rows go with those of its first input and of the others
    """

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.records = [OPS[k.op] for k in kinds]  # which have to live as long as this is known by their addresses
        self.given = np.array([k.op in GIVEN for k in kinds], bool)
        self.traits = np.array([_traits(k) for k in kinds], np.int64)
        self.passes = np.zeros((len(kinds), POSITIONS), np.uint8)
        for i, op in enumerate(self.records):
            self.passes[i, list(range(POSITIONS)) if op.joins else list(op.vjp)] = REACHED
        cells = _numbers(["", *(k.cell for k in kinds)])
        tails, shapes = _numbers([k.tail for k in kinds]), _numbers([(k.tail, k.dtype) for k in kinds])
        own = [(cells[k.cell], shapes[k.tail, k.dtype], tails[k.tail], len(k.tail), prod(k.tail)) for k in kinds]
        cell, shape, tail, rank, elements = np.array(own, np.int64).reshape(-1, 5).T
        self.columns = np.column_stack([cell, self.traits, shape, tail, rank, elements, rules_of(kinds)])


MOST_KNOWN = 64
_known: OrderedDict[tuple[int, ...], tuple[tuple[Kind, ...], KindTables]] = OrderedDict()


def tables_of(kinds: Sequence[Kind]) -> KindTables:
    """The tables of the kinds of a tape; those of tapes with the same kinds are made once.

    Kinds are known by their addresses, which are kept with them, and then by what they are.
    """
    records = tuple([id(OPS[k.op]) for k in kinds])
    key = *map(id, kinds), *records
    found = _known.get(key)
    if found is None:
        own = tuple(kinds)
        found = _known[key] = own, _made(own, records)
        while len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
    return found[1]


@lru_cache(maxsize=64)
def _made(kinds: tuple[Kind, ...], records: tuple[int, ...]) -> KindTables:
    return KindTables(kinds)


def _numbers(things: Sequence) -> dict:
    return {thing: i for i, thing in enumerate(dict.fromkeys(things))}


def rules_of(kinds: Sequence[Kind]) -> np.ndarray:
    """How the rows of a kind go with those of its first input, and of the others."""
    rules = [rows if len(rows) > 1 else rows * 2 for rows in (OPS[k.op].rows(k.attrs, k.tail) for k in kinds)]
    return np.array([rows[:2] for rows in rules], np.int64).reshape(-1, 2)


def _traits(k: Kind) -> int:
    loose = not k.cell
    return (
        LOOSE * (loose and k.op not in RANGES)
        + JOIN * (loose and k.op in JOINS)
        + STACK * (k.op in JOINS and not k.attrs)
        + PARAMETER * (k.op in PARAMETERS)
        + LOOSE_PICK * (loose and k.op in NUMBERED)
        + FREE * (loose and k.op not in NUMBERED)
    )
