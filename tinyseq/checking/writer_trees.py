"""Random trees: leaves from rows, merges of any number of children."""

from __future__ import annotations

from tinyseq.checking.operations import grow, near
from tinyseq.checking.writer import Sizes, Value, Writer, fixed
from tinyseq.checking.writer_steps import packed, small


def tree(w: Writer) -> None:
    """A cell over a tree or forest, over inputs or values from before."""
    w.note("tree")
    arity = w.of([2, 0, 3, 1])  # 0: mixed
    trees = [branches(w, arity) for _ in range(w.of([1, 1, 2, 3]))]
    forest = len(trees) > 1
    leaves = sum(not children for t in trees for children in t)
    nodes = sum(map(len, trees))
    inside = w.chance(4)
    count = nodes if inside else leaves
    shared = 2 if not forest and w.chance(4) else 0
    x = rows_for_leaves(w, count, shared)
    n = small(w)
    state: Sizes = (shared or 1, n)
    two = w.chance(4)
    name = w.name("Net")
    W = w.name("x")
    w.line(f"class {name}(ts.nn.Cell):")
    w.line(f"    name = '{name.lower()}'")
    w.indent += 1
    w.line(f"def leaf(self, {W}):")
    w.indent += 1
    row: Sizes = (shared or 1, *x.shape[(2 if shared else 1) :])
    given = Value(W, row, x.below)
    values = grow(w, [given], w.pick(3))
    parts = [w.bounded(w.fit(values[-1 - k % len(values)], state)).text for k in range(1 + two)]
    w.line(f"return {packed('tuple' if two else 'one', parts)}")
    w.indent -= 1
    merge(w, state, two, arity, row if inside else None, x.below)
    w.indent -= 1
    unfolded = w.name("u")
    shape = (
        f"ts.Forest([{', '.join(f'ts.Tree.from_children({t})' for t in trees)}])"
        if forest
        else (f"ts.Tree.from_children({trees[0]})")
    )
    if forest:
        w.note("forest")
    if inside:
        w.note("features inside trees")
    if shared:
        w.note("a tree shared by a batch")
    w.line(f"{unfolded} = ts.unfold({name}(), {shape}, {x.text})")
    pick = "[0]" if two else ""
    if w.pick(2):
        w.outside.append(w.let(f"{unfolded}.states{pick}", (nodes, shared, n) if shared else (nodes, n)))
    if w.chance(4):
        w.outside.append(w.let(f"{unfolded}.state({w.pick(nodes)}){pick}", state))
    w.outside.append(w.let(f"{unfolded}.roots{pick}", (len(trees), n) if forest else state))


def rows_for_leaves(w: Writer, count: int, shared: int) -> Value:
    """The inputs of a tree: an array, tokens, or the outputs of what came before."""
    found = [v for v in w.outside if len(v.shape) == (3 if shared else 2) and fixed(v.shape)]
    found = [v for v in found if isinstance(v.shape[0], int) and v.shape[0] >= count]
    found = [v for v in found if not shared or v.shape[1] == shared]
    if found and w.pick(2):
        w.note("tree over values from before")
        v = found[-1 - w.pick(len(found))]
        return w.let(f"{v.text}[:{count}]", (count, *v.shape[1:]))
    lead = (count, shared) if shared else (count,)
    if w.pick(4) == 3:
        return w.array(lead, 4)
    return w.array((*lead, small(w)))


def branches(w: Writer, arity: int) -> list[list[int]]:
    """Children of each node; ``arity`` 0 for mixed."""
    children: list[list[int]] = [[]]
    open_nodes = [0]
    for _ in range(w.pick(14 if w.large else 5)):
        node = open_nodes.pop(w.pick(len(open_nodes)))
        k = arity or 1 + w.pick(3)
        if arity == 0 and w.chance(3):
            w.note("mixed arity")
        for _ in range(k):
            children[node].append(len(children))
            open_nodes.append(len(children))
            children.append([])
    return children


def merge(w: Writer, state: Sizes, two: bool, arity: int, row: Sizes | None, below: int) -> None:
    """The merge of a tree's cell."""
    names = [w.name("c") for _ in range(arity or 1)]
    star = ", *rest" if arity == 0 else ""
    x = ", x" if row and not star else (", x=None" if row else "")
    w.line(f"def merge(self, {', '.join(names)}{star}{x}):")
    w.indent += 1
    values = []
    if row:
        values.append(Value("x", row, below))
    for name in names:
        for k in range(1 + two):
            values.append(w.let(f"{name}[{k}]" if two else f"{name} * 1.0", state))
    if arity == 0:
        n = state[-1]
        assert isinstance(n, int)
        pick = "[0]" if two else ""
        first = f"{names[0]}{pick}"
        how = w.pick(3)
        if how == 0:
            h = w.let(f"{first} * 0.5", state)
            w.line("for c in rest:")
            w.line(f"    {h.text} = {h.text} * c{pick} + ts.tanh(c{pick} @ {w.parameter((n, n))})")
            values.append(h)
        else:
            m = w.name("m")
            joined = f"[c{pick} for c in ({names[0]}, *rest)]"
            S = (
                w.let(f"ts.stack({joined})", (m, *state))
                if how == 1
                else (w.let(f"ts.concatenate({joined}, 0)", (m, n)))
            )
            w.note("sizes differ from step to step")
            w.line(f"{m} = {S.text}.shape[0]")
            values.append(S)
    values = grow(w, values, 1 + w.pick(4))
    parts = [w.bounded(w.fit(near(w, values), state)).text for _ in range(1 + two)]
    w.line(f"return {packed('tuple' if two else 'one', parts)}")
    w.indent -= 1
