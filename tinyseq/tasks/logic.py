"""Logical inference (Bowman, Potts & Manning 2015): which of seven relations holds between two formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.checks import generator
from tinyseq.errors import DataError
from tinyseq.structure.tree import Tree

VARIABLES = ("a", "b", "c", "d", "e", "f")
RELATIONS = ("≡", "⊏", "⊐", "^", "|", "⌣", "#")
INFERENCE_VOCABULARY: dict[Any, int] = {word: i for i, word in enumerate((*VARIABLES, "and", "or", "not"))}
WORLDS = 1 << len(VARIABLES)
EVERYWHERE = (1 << WORLDS) - 1
TRUTH = {v: sum(1 << world for world in range(WORLDS) if world >> i & 1) for i, v in enumerate(VARIABLES)}


@dataclass(frozen=True)
class InferencePair:
    """Two formulas and the number (in ``RELATIONS``) of the relation that holds between them.

    ``operators`` is the number of operators in the longer one, the size by which Bowman et al. split their data.
    """

    left: Tree
    right: Tree
    relation: int
    operators: int


def worlds(formula: Tree) -> int:
    """The worlds where a formula holds, as the bits of a number: world w gives the i-th variable bit i of w."""
    values: list[Any] = []
    for position, label in enumerate(formula.labels.tolist()):
        below = [values[child] for child in formula.children_of(position)]
        if not below:
            values.append(TRUTH.get(label, label))
            continue
        left, right = below
        if left == "not":
            values.append(EVERYWHERE ^ right)
        elif isinstance(left, str):  # "(and b)", waiting for its left operand
            values.append((left, right))
        else:
            values.append(left & right[1] if right[0] == "and" else left | right[1])
    return values[-1]


def relation(left: int, right: int) -> int:
    """The relation between two sets of worlds, as its number in ``RELATIONS``.

    ≡ equal, ⊏ within, ⊐ around, ^ complements, | disjoint, ⌣ cover everything together, # none of these
    (MacCartney's seven relations; Bowman, Potts & Manning 2015, table 1).
    """
    disjoint, cover = not left & right, left | right == EVERYWHERE
    if left == right:
        return 0
    if left & right == left:
        return 1
    if left & right == right:
        return 2
    return 3 if disjoint and cover else 4 if disjoint else 5 if cover else 6


def random_formula(rng: np.random.Generator, operators: int, variables: Sequence[str] = VARIABLES) -> Tree:
    """A formula of exactly so many operators, each *and*, *or* or *not*, as the binary tree (A (and B)) or (not A).

    Begins with one variable more than there are ands and ors; each operator then joins two neighbours or negates one.
    """
    kinds = rng.integers(3, size=operators)
    pool: list[Any] = [str(v) for v in rng.choice(variables, size=int((kinds < 2).sum()) + 1)]
    for kind in kinds:
        if kind == 2:
            at = int(rng.integers(len(pool)))
            pool[at] = ("not", pool[at])
        else:
            at = int(rng.integers(len(pool) - 1))
            pool[at : at + 2] = [(pool[at], (("and", "or")[kind], pool[at + 1]))]
    return Tree.from_nested(pool[0])


def inference_pairs(
    n: int, rng: np.random.Generator, *, max_operators: int = 12, variables: int = 4
) -> list[InferencePair]:
    """n different pairs of formulas over at most ``variables`` of the six variables, without tautologies and
    contradictions; each formula has 0 to ``max_operators`` operators, all numbers alike often.

    Raises DataError where 10,000 pairs in a row were known already or had to be dropped.
    """
    generator(rng)
    if not 1 <= variables <= len(VARIABLES) or max_operators < 0:
        raise DataError(
            f"pairs need variables = 1 to {len(VARIABLES)} and max_operators ≥ 0, got {variables} and {max_operators}"
        )
    pairs: list[InferencePair] = []
    seen: set[str] = set()
    missed = 0
    while len(pairs) < n:
        names = rng.choice(VARIABLES, variables, replace=False).tolist()
        counts = rng.integers(0, max_operators + 1, 2).tolist()
        left, right = (random_formula(rng, count, names) for count in counts)
        sets, key = (worlds(left), worlds(right)), f"{left.brackets()} {right.brackets()}"
        if key in seen or {0, EVERYWHERE} & set(sets):
            missed += 1
            if missed == 10_000:
                raise DataError(f"only {len(pairs)} different pairs were found, {n} were asked for")
            continue
        missed = 0
        seen.add(key)
        pairs.append(InferencePair(left, right, relation(*sets), max(counts)))
    return pairs


def inference_split(
    pairs: Sequence[InferencePair], rng: np.random.Generator, *, share: float = 0.85, train_operators: int = 6
) -> tuple[list[InferencePair], list[InferencePair]]:
    """(training, test) pairs: in every bin of equal ``operators`` a share for training, of which only pairs of up to
    ``train_operators`` are used, and the rest of every bin for test: up to 12 operators, longer than any trained on."""
    generator(rng)
    train: list[InferencePair] = []
    test: list[InferencePair] = []
    for size in sorted({pair.operators for pair in pairs}):
        binned = [pair for pair in pairs if pair.operators == size]
        order = rng.permutation(len(binned)).tolist()
        cut = round(share * len(binned))
        train += [binned[i] for i in order[:cut] if size <= train_operators]
        test += [binned[i] for i in order[cut:]]
    return train, test
