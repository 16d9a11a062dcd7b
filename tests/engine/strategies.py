"""Random graphs: a random cell over a random structure, with losses here and there.

A ``Recipe`` is plain data drawn from anything that picks numbers (Hypothesis, or a seeded generator) and builds the
same graph in either precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tinyseq as ts
from tests.engine.random_cells import TOKENS, Instruction, Pool, RandomCell, uses_kinks

Pick = Callable[[int], int]  # a number below n
BIG = 60
SMALL, BATCHES = (1, 2, 3, 4, 5, 6, 7), (1, 2, 3, 4, 5)

STRUCTURES = (
    "chain", "reversed", "loop", "free", "ragged", "ragged reversed", "stack", "bidirectional", "twice", "encoder",
    "truncated", "tree", "forest", "shared tree", "ragged bidirectional", "ragged stack",
)  # fmt: skip
TREES = ("tree", "forest", "shared tree")


@dataclass(frozen=True)
class Recipe:
    """Everything that a graph is made from."""

    structure: str
    seed: int
    T: int
    B: int
    F: int
    widths: tuple[int, ...]
    states: tuple[int, ...]
    delays: tuple[int, ...]
    code: tuple[Instruction, ...]
    ends: tuple[Instruction, ...]
    outputs: int
    inputs: tuple[str, ...]
    initial: tuple[int, ...]
    losses: tuple[Instruction, ...]
    wanted: int
    lengths: tuple[int, ...]
    parents: tuple[tuple[int, ...], ...]
    memory: int
    arity: int

    @property
    def kinks(self) -> bool:
        """Whether gradients may jump, so that precisions can't be compared."""
        return uses_kinks(self.code) or self.structure in ("no",)


def instruction(pick: Pick) -> Instruction:
    return pick(BIG), pick(BIG), pick(BIG), pick(BIG)


def recipe(
    pick: Pick, structures: Sequence[str] = STRUCTURES, sizes: Sequence[int] = SMALL, batches: Sequence[int] = BATCHES
) -> Recipe:
    """Draw a recipe."""
    structure = structures[pick(len(structures))]
    n_states = 1 + (pick(3) == 2) + (pick(4) == 3)
    widths = tuple(sizes[pick(len(sizes))] for _ in range(2))
    states = tuple(widths[pick(2)] for _ in range(n_states))
    delays = ((1,), (1,), (1, 2), (2,), (1, 3), (3,))[pick(6)]
    if structure in ("loop", "free", "truncated", *TREES):
        delays = (1,)
    outputs = 1 + pick(2)
    inputs: tuple[str, ...] = (("x",), ("x", "tokens"), ("tokens",), ("x", "mask"), ("x", "x"))[pick(5)]
    if structure in ("ragged reversed", "ragged bidirectional"):
        inputs = tuple(what for what in inputs if what != "tokens") or ("x",)
    return Recipe(
        structure=structure,
        seed=pick(1000),
        T=(1, 2, 3, 4, 5, 7, 8, 9, 12)[pick(9)],
        B=batches[pick(len(batches))],
        F=sizes[pick(len(sizes))],
        widths=widths,
        states=states,
        delays=delays,
        code=tuple(instruction(pick) for _ in range(1 + pick(6))),
        ends=tuple(instruction(pick) for _ in range(n_states + outputs)),
        outputs=outputs,
        inputs=inputs,
        initial=tuple(pick(5) for _ in states),
        losses=tuple(instruction(pick) for _ in range(1 + pick(3))),
        wanted=pick(8),
        lengths=tuple(1 + pick(6) for _ in range(1 + pick(5))),
        parents=tuple(tuple(pick(BIG) for _ in range(1 + pick(8))) for _ in range(1 + pick(4))),
        memory=pick(3),
        arity=1 + pick(3),
    )


@st.composite
def recipes(draw: Any, **options: Any) -> Recipe:
    """Recipes that Hypothesis can shrink."""
    return recipe(lambda n: draw(st.integers(0, n - 1)), **options)


def seeded(seed: int, **options: Any) -> Recipe:
    """A recipe from a number."""
    rng = np.random.default_rng(seed)
    return recipe(lambda n: int(rng.integers(n)), **options)


class Graph:
    """A recipe on a tape: ``loss``, and the tensors whose values are ``wanted``."""

    def __init__(self, recipe: Recipe, dtype: Any) -> None:
        self.recipe, self.dtype = recipe, np.dtype(dtype)
        self.pool = Pool(recipe.seed, dtype)
        r = recipe
        self.cell = self.make_cell("cell")
        self.states: list[Any] = []  # tensors of (batch, width) somewhere inside
        self.outputs: list[ts.Tensor] = []  # tensors of (rows…, width)
        ragged = r.structure.startswith("ragged")
        self.batch = len(r.lengths) if ragged else r.B
        self.prepare()
        getattr(self, r.structure.split()[-1] if not ragged else "ragged")()
        self.loss = self.losses()
        self.wanted = [self.loss]
        if r.wanted & 1:
            self.wanted.append(self.outputs[0])
        if r.wanted & 2:
            self.wanted.append(self.states[-1])
        if r.wanted & 4:
            self.wanted += [self.states[len(self.states) // 2], self.outputs[-1]]

    def make_cell(self, name: str) -> RandomCell:
        r = self.recipe
        cell = RandomCell(self.pool, r.code, r.states, r.widths, r.ends, r.outputs, name)
        cell.shrinking = r.structure.startswith("ragged")
        return cell

    def prepare(self) -> None:
        """What a step may capture from outside."""
        r = self.recipe
        if r.structure.startswith("ragged"):
            return  # the batch shrinks, what lies outside doesn't
        if r.memory:
            base = ts.tensor(self.pool.array((self.batch, 3), 11))
            self.cell.outside = [ts.tanh(ts.linear(base, self.pool.parameter((r.widths[0], 3), 1)))]
            self.cell.outside.append(base)
        if r.memory == 2:
            self.cell.memory = ts.tensor(self.pool.array((self.batch, 3, r.widths[1]), 12))
            if r.seed % 2:
                self.cell.memory = ts.tanh(self.cell.memory * self.pool.parameter((r.widths[1],), 1))

    def sequences(self, lead: tuple[int, ...], slot: int = 0) -> tuple[Any, ...]:
        """Inputs of a step along given leading axes."""
        made = []
        for i, what in enumerate(self.recipe.inputs):
            if what == "tokens":
                made.append(ts.tensor(self.pool.integers(lead, TOKENS, slot + i)))
            elif what == "mask":
                made.append(ts.tensor((self.pool.array(lead, slot + i) > 0).astype(self.dtype)))
            else:
                made.append(ts.tensor(self.pool.array((*lead, self.recipe.F), slot + i), f"x{i or ''}"))
        return tuple(made)

    def initial(self, cell: RandomCell) -> tuple[ts.Tensor, ...]:
        """Initial states: zeros, an array, a learned row, from the context."""
        found = []
        for n, how in zip(cell.states, self.recipe.initial, strict=True):
            shape = (self.batch, n)
            if how == 1:
                found.append(ts.tensor(self.pool.array(shape, 21)))
            elif how == 2:
                found.append(ts.expand(self.pool.parameter((n,), 1), shape))
            elif how == 3 and cell.outside:
                found.append(ts.tanh(cell.fit(cell.outside[0], n)))
            elif how == 4 and n == self.recipe.states[0]:
                found.append(ts.tanh(self.leaf(shape)) if self.recipe.seed % 2 else self.leaf(shape))
            else:
                found.append(ts.zeros(shape, self.dtype))
        return tuple(found)

    def leaf(self, shape: tuple[int, ...]) -> ts.Tensor:
        return ts.reshape(self.pool.parameter(shape, 0), shape)

    def keep(self, unfolded: Any, T: int) -> None:
        """Note what losses may read."""
        outputs = unfolded.outputs
        self.outputs += list(outputs) if isinstance(outputs, tuple) else [outputs]
        self.states += [*unfolded.state(T // 2), *unfolded.final]

    # -- structures -------------------------------------------------------------------------------------------------
    def chain(self, backwards: bool = False) -> None:
        r = self.recipe
        chain = ts.Chain(r.T, backwards)
        self.keep(
            ts.unfold(self.cell, chain, self.sequences((r.T, r.B)), self.initial(self.cell), delays=r.delays), r.T
        )

    def reversed(self) -> None:
        self.chain(True)

    def loop(self, call: Any = None) -> None:
        r = self.recipe
        xs, state = self.sequences((r.T, r.B)), self.initial(self.cell)
        made: list[list[ts.Tensor]] = []
        for t in range(r.T):
            if r.structure == "truncated" and t % 3 == 2:
                state = tuple(h.detach() for h in state)
            state, out = (call or self.cell)(*[x[t] for x in xs], state)
            made.append(list(out) if isinstance(out, tuple) else [out])
            if t == r.T // 2:
                self.states += state
        self.states += state
        self.outputs += [ts.stack(column) for column in zip(*made, strict=True)]

    def free(self) -> None:
        self.loop(self.cell.step)

    def truncated(self) -> None:
        self.loop(self.cell if self.recipe.seed % 2 else self.cell.step)

    def second(self, name: str = "above") -> RandomCell:
        """Another cell, of the same code and other parameters."""
        cell = self.make_cell(name)
        cell.pool = Pool(self.recipe.seed + 1, self.dtype) if name == "above" else self.pool
        cell.outside, cell.memory = self.cell.outside, self.cell.memory
        self.pools = [self.pool, cell.pool]
        return cell

    def stack(self) -> None:
        r = self.recipe
        below = ts.unfold(
            self.cell, ts.Chain(r.T), self.sequences((r.T, r.B)), self.initial(self.cell), delays=r.delays
        )
        x = below.outputs[0] if r.outputs > 1 else below.outputs
        above = self.second()
        self.keep(ts.unfold(above, ts.Chain(r.T, r.seed % 3 == 0), x, self.initial(above)), r.T)
        self.states += below.final

    def bidirectional(self) -> None:
        r = self.recipe
        xs, back = self.sequences((r.T, r.B)), self.second()
        one = ts.unfold(self.cell, ts.Chain(r.T), xs, self.initial(self.cell), delays=r.delays)
        two = ts.unfold(back, ts.Chain(r.T).reversed(), xs, self.initial(back), delays=r.delays)
        ends = [u.outputs[0] if r.outputs > 1 else u.outputs for u in (one, two)]
        self.outputs.append(ts.concatenate(ends))
        self.states += [*one.final, *two.final]

    def twice(self) -> None:
        """One cell over two sequences, of one length or two, the second perhaps from the first one's end."""
        r = self.recipe
        one = ts.unfold(self.cell, ts.Chain(r.T), self.sequences((r.T, r.B)), self.initial(self.cell), delays=r.delays)
        T = r.T + r.seed % 3
        start = one.final if r.seed % 2 else self.initial(self.cell)
        self.keep(one, r.T)
        self.keep(ts.unfold(self.cell, ts.Chain(T), self.sequences((T, r.B), 40), start, delays=r.delays), T)

    def encoder(self) -> None:
        """The last state of one cell is every input of another, and perhaps its start."""
        r = self.recipe
        one = ts.unfold(self.cell, ts.Chain(r.T), self.sequences((r.T, r.B)), self.initial(self.cell), delays=r.delays)
        decoder = self.second()
        context = one.final[0]
        decoder.outside = [context]
        T = 1 + r.seed % 5
        x = (
            ts.expand(ts.reshape(context, (1, *context.shape)), (T, *context.shape))
            if r.seed % 2
            else self.sequences((T, r.B), 50)
        )
        self.keep(ts.unfold(decoder, ts.Chain(T), x, one.final if r.seed % 3 else self.initial(decoder)), T)

    def ragged(self) -> None:
        r = self.recipe
        chain = ts.Chain(list(r.lengths), r.structure == "ragged reversed")
        xs = self.sequences((sum(r.lengths),))
        one = ts.unfold(self.cell, chain, xs, self.initial(self.cell), delays=r.delays)
        outputs = one.outputs if r.outputs > 1 else (one.outputs,)
        self.outputs += outputs
        self.states += one.final
        if r.structure in ("ragged bidirectional", "ragged stack"):
            other = self.second()
            x = xs if r.structure == "ragged bidirectional" else outputs[0]
            two = ts.unfold(other, chain.reversed() if "bi" in r.structure else chain, x, self.initial(other))
            ends = two.outputs[0] if r.outputs > 1 else two.outputs
            self.outputs = [ts.concatenate([outputs[0], ends])]
            self.states += two.final

    def trees(self) -> list[ts.Tree]:
        made = []
        for numbers in self.recipe.parents:
            children: list[list[int]] = [[] for _ in range(len(numbers) + 1)]
            for node, number in enumerate(numbers, 1):
                room = [p for p in range(node) if len(children[p]) < self.recipe.arity]
                children[room[number % len(room)] if room else node - 1].append(node)
            made.append(ts.Tree.from_children(children))
        return made

    def forest(self) -> None:
        trees = self.trees()
        forest = ts.Forest(trees)
        self.grow(forest, (len(forest) if self.recipe.seed % 2 else forest.n_leaves,))

    def tree(self) -> None:
        tree, r = self.trees()[0], self.recipe
        rows = len(tree) if r.seed % 2 else tree.n_leaves
        self.grow(tree, (rows, r.B) if r.structure == "shared tree" else (rows,))

    def grow(self, forest: Any, lead: tuple[int, ...]) -> None:
        x = self.sequences(lead)[0]
        unfolded = ts.unfold(self.cell, forest, x)
        self.states += [*unfolded.state(len(forest) // 2), *unfolded.state(0), *unfolded.roots]
        self.outputs += list(unfolded.states) if self.recipe.seed % 3 else [unfolded.roots[0]]

    # -- losses -----------------------------------------------------------------------------------------------------
    def losses(self) -> ts.Tensor:
        """A sum of scalars from several places."""
        total = None
        for how, a, b, c in self.recipe.losses:
            out, state = self.outputs[a % len(self.outputs)], self.states[-1 - b % len(self.states)]
            term = self.term(how % 10, out, state, c)
            total = term if total is None else total + term
        if not self.reaches(total):
            total = total + ts.sum(self.pool.parameter((2,), 0) * 0.5)
        return total

    def reaches(self, loss: ts.Tensor) -> bool:
        return loss.tape.executor.parameters_below(loss.index)

    def term(self, how: int, out: ts.Tensor, state: ts.Tensor, c: int) -> ts.Tensor:
        width = out.shape[-1]
        match how:
            case 0:
                return ts.sum(out * self.pool.array(out.shape, 31))
            case 1:
                return ts.mean(state**2)
            case 2:
                return ts.cross_entropy(out, self.pool.integers(out.shape[:-1], width, 32))
            case 3:
                return ts.sum(ts.tanh(state))
            case 4:
                return ts.sum(out[c % len(out)] * 0.7)
            case 5:
                used = list(self.pool.parameters.values())
                return ts.norm(used[c % len(used)]) if used else ts.sum(state)
            case 6:
                return ts.mean(ts.squared_error(out, self.pool.array(out.shape, 33)))
            case 7:
                return ts.sum(ts.mean(out, axis=0) ** 2)
            case 8:
                flat = ts.reshape(out, (-1, width))
                logits = ts.linear(flat, self.pool.parameter((3, width), c)) + self.pool.parameter((3,), c)
                mask = (self.pool.array((flat.shape[0],), 34) > -0.5).astype(self.dtype)
                mask[0] = 1
                return ts.cross_entropy(logits, self.pool.integers((flat.shape[0],), 3, 35), mask)
        return ts.sum(ts.sigmoid(out[: 1 + c % len(out)])) + ts.sum(ts.detach(state) * state)
