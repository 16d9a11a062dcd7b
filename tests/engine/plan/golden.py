"""Plans as text: what the planner decides for many nets, so that a change of the planner shows what it changes.

``python -m tests.engine.plan.golden`` writes all digests anew; with the name of a program it prints the plan
of that one. Nothing in the text depends on the machine: packed weights, whose size does, are left without one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tinyseq as ts
from tests.engine.agreement import recorded
from tests.engine.found import FOUND
from tests.engine.searching.found_programs import FOUND as FOUND_PROGRAMS
from tests.engine.test_agreement_nets import NETS, H, Named, O, V
from tinyseq.bench.contestants import our_nets, ours
from tinyseq.bench.problems.nets import NETS as USERS_NETS
from tinyseq.bench.problems.problems import ROWS
from tinyseq.checking.running import Run
from tinyseq.engine.machine.assemble import Assembler
from tinyseq.engine.plan.pipeline import Plan, plan_tape

FOLDER = Path(__file__).parent / "golden_plans"
DIGESTS = FOLDER / "digests.json"
Recorded = tuple[ts.Tape, list[int], int]
CELLS = ["RNN", "LSTM", "GRU"]
TREES = ["RecursiveNet", "TreeLSTM", "ChildSumTreeLSTM", "RNTN"]


def _net(name: str, T: int) -> Recorded:
    with ts.Tape(executor=ts.Reference) as tape:
        loss = NETS[name](Named(1, np.float64), T, 4)
    return tape, [loss.index], loss.index


def _cell(name: str) -> Recorded:
    with ts.Tape(executor=ts.Reference) as tape:
        net = getattr(ts.nn, name)(4, 6, 4, rng=np.random.default_rng(0))
        x = np.random.default_rng(1).integers(0, 4, (7, 3))
        loss = net.loss(x, x)
    return tape, [loss.index], loss.index


def _tree(name: str) -> Recorded:
    forest = ts.Forest([ts.Tree.balanced(5), ts.Tree.chain(3), ts.Tree.balanced(1), ts.Tree.balanced(8)])
    pool = Named(1, np.float64)
    with ts.Tape(executor=ts.Reference) as tape:
        net = getattr(ts.nn, name)(V, H, O, rng=np.random.default_rng(3), dtype=np.float64)
        x = ts.tensor(pool.array((forest.n_leaves, V), 1))
        loss = net.loss(forest, x, pool.integers((forest.n_trees,), O, 2))
    return tape, [loss.index], loss.index


def _row(row: Any) -> Recorded:
    row = replace(row, steps=min(row.steps, 50))
    data = row.data()
    loss, x, y = ours._problem(row, ours.parameters(data.params), data)
    with ts.Tape(executor=ts.Reference) as tape:
        found = loss(ts.tensor(x), ts.tensor(y))
    return tape, [found.index], found.index


def _users_net(net: Any) -> Recorded:
    loss, x, y = our_nets._ours(net, net.model())
    with ts.Tape(executor=ts.Reference) as tape:
        found = loss(ts.tensor(x), ts.tensor(y))
    return tape, [found.index], found.index


def _program(name: str) -> Recorded:
    run = Run(FOUND_PROGRAMS[name])
    return run.tape, run.nodes, run.loss


def programs() -> dict[str, Callable[[], Recorded]]:
    """Every program by name."""
    found: dict[str, Callable[[], Recorded]] = {}
    for name in CELLS:
        found[f"cell {name}"] = lambda name=name: _cell(name)
    for name in TREES:
        found[f"tree {name}"] = lambda name=name: _tree(name)
    for name in NETS:
        for T in (2, 7):
            found[f"net {name} T={T}"] = lambda name=name, T=T: _net(name, T)
    for row in ROWS:
        found[f"row {row.row}"] = lambda row=row: _row(row)
    for net in USERS_NETS:
        found[f"row {net.row}"] = lambda net=net: _users_net(net)
    for name, recipe in FOUND.items():
        found[f"recipe {name}"] = lambda recipe=recipe: recorded(recipe, np.float64)
    for name in FOUND_PROGRAMS:
        found[f"program {name}"] = lambda name=name: _program(name)
    return found


class _Named(Assembler):
    """An assembler that writes a kernel's name where its address would be."""

    def kernel_number(self, instruction: Any) -> int:
        return int(hashlib.sha1(instruction.kernel.name.encode()).hexdigest()[:12], 16)


def text(plan: Plan) -> str:
    """A plan in lines: storages, blocks, instructions, and a digest of each thread's integers."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    number: dict[int, int] = {-1: -1}  # storages by their first use
    for block in plan.blocks:
        for storage in block.storages():
            number.setdefault(storage.index, len(number) - 1)
    for s in sorted((s for s in plan.storages if s.index in number), key=lambda s: number[s.index]):
        size = "-" if s.what == "packed weights" else s.size
        data = "" if s.data is None else " data " + hashlib.sha1(np.asarray(s.data).tobytes()).hexdigest()[:10]
        yield (
            f"s{number[s.index]} {s.space} {s.what!r} size {size} lead {s.lead} alive {s.first}-{s.last} "
            f"node {s.node}{data}"
        )
    for k, block in enumerate(plan.blocks):
        bounds = {g: np.asarray(b).tolist() for g, b in block.bounds.items()}
        shown = {g: b if len(b) < 12 else hashlib.sha1(repr(b).encode()).hexdigest()[:10] for g, b in bounds.items()}
        flags = "".join(f" {f}" for f in ("backwards", "recurrent", "by_members") if getattr(block, f))
        yield f"b{k} {block.phase} {block.note!r} levels {block.levels}{flags} bounds {shown}"
        for i in block.instructions:
            where = ", ".join(
                f"s{number[a.storage.index]}+{a.offset}{'' if a.vary is None else f'+{a.vary}'}" for a in i.operands
            )
            split = "" if i.split is None else f" split {i.split.slot}/{i.split.unit}/{i.split.strides}"
            sums = f" sums {i.sums}" if i.sums else ""
            yield f"  {i.kernel.name} [{where}] {list(map(int, i.d))} {i.vary}{split}{sums}"
    for threads in (1, 2):
        for k in range(threads):
            code, tables, moves = _Named(plan, (k,), threads).assemble()
            where = np.array([number.get(int(i), -2) for i in moves[1]] if len(moves[1]) else [], np.int64)
            parts = (code, tables, moves[0], where, moves[2])
            digest = hashlib.sha1(b"".join(np.ascontiguousarray(a).tobytes() for a in parts)).hexdigest()[:12]
            yield f"thread {k} of {threads}: {len(code)} {len(tables)} {digest}"


def texts(name: str) -> tuple[str, str]:
    """The plan of a program with and without gradients."""
    tape, wanted, loss = programs()[name]()
    return text(plan_tape(tape, wanted, loss)), text(plan_tape(tape, wanted))


def digest(name: str) -> str:
    return hashlib.sha1("".join(texts(name)).encode()).hexdigest()[:16]


def main() -> None:
    """Print one program's plan, or write all digests."""
    if len(sys.argv) > 1:
        print("\n".join(texts(sys.argv[1])))
        return
    FOLDER.mkdir(exist_ok=True)
    DIGESTS.write_text(json.dumps({name: digest(name) for name in programs()}, indent=1, ensure_ascii=False) + "\n")
    for name in (*CELLS, "TreeLSTM"):
        kind = "tree" if name in TREES else "cell"
        (FOLDER / f"{name}.txt").write_text("\n".join(texts(f"{kind} {name}")), encoding="utf-8")


if __name__ == "__main__":
    main()
