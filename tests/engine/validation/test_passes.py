"""Decisions made wrong on purpose, one in a pass: the pass is named, by its own verifier or by that of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.plan import pipeline
from tinyseq.engine.validation.passes import guilty_pass
from tinyseq.errors import TapeError


def tape_of(kind: str) -> tuple[ts.Tape, int]:
    rng = np.random.default_rng(0)
    with ts.Tape(executor=ts.Reference) as tape:
        if kind == "tree":
            forest = ts.Forest([ts.Tree.balanced(5), ts.Tree.chain(3)])
            net = ts.nn.RecursiveNet(3, 4, 3, rng=rng, dtype=np.float64)
            loss = net.loss(forest, ts.tensor(rng.normal(size=(8, 3))), rng.integers(0, 3, 2))
        else:
            cell = ts.nn.LSTM(3, 4, 3, rng=rng, dtype=np.float64)
            loss = cell.loss(ts.tensor(rng.normal(size=(5, 2, 3))), rng.integers(0, 3, (5, 2)))
    return tape, loss.index


@pytest.mark.parametrize("kind", ["chain", "tree"])
def test_no_pass_is_guilty_of_a_right_plan(kind: str) -> None:
    assert guilty_pass(*tape_of(kind)) == ("", "")


def wrong(monkeypatch: pytest.MonkeyPatch, name: str, change: Any) -> None:
    make = pipeline.MAKE[name]

    def changed(stages: Any) -> Any:
        value = make(stages)
        change(value)
        return value

    monkeypatch.setitem(pipeline.MAKE, name, changed)


def delay(folded: Any) -> None:
    ref = next(r for c in folded.classes for r in c.refs if r.kind == "delay" and r.start)
    ref.shift -= 1


def other_input(folded: Any) -> None:
    cls = next(c for c in folded.classes if c.op == "mul")
    cls.refs[0], cls.refs[1] = cls.refs[1], cls.refs[0]


def unread(graph: Any) -> None:
    graph.consumers[next(i for i, readers in graph.consumers.items() if readers)].pop()


def lost_term(graph: Any) -> None:
    next(iter(graph.sums.values())).pop()


def lost_contribution(tasks: Any) -> None:
    i = next(i for i, back in tasks.back.items() if back)
    tasks.back[i] = tasks.back[i][1:]


def doubled_contribution(tasks: Any) -> None:
    i = next(i for i, back in tasks.back.items() if back)
    tasks.back[i] += tasks.back[i][:1]


def one_level_too_few(buffers: Any) -> None:
    from dataclasses import replace

    kept = next(i for i in sorted(buffers.schedule.kept) if i in buffers.values and i not in buffers.views)
    buffers.values[kept] = replace(buffers.values[kept], level=True)


def two_in_one(buffers: Any) -> None:
    own = [i for i in sorted(buffers.values) if i not in buffers.views]
    buffers.values[own[-1]] = buffers.values[own[-2]]


def flipped(written: Any) -> None:
    for step in written.steps[written.backward :]:
        for work in getattr(step, "work", (step,)):
            if getattr(work, "back", None) is not None and not work.clear:
                object.__setattr__(work, "adds", not work.adds)
                return


def died_early(arena: Any) -> None:
    storage = next(s for s in arena.instructions.storages if s.space == "arena" and 0 <= s.first < s.last < 1 << 40)
    storage.last = storage.first


CHANGES = {
    "fold": [delay, other_input],
    "rewrite": [unread, lost_term],
    "differentiate": [lost_contribution, doubled_contribution],
    "place": [one_level_too_few, two_in_one],
    "write": [flipped],
    "reuse": [died_early],
}


@pytest.mark.parametrize(("name", "change"), [(name, change) for name, every in CHANGES.items() for change in every])
def test_the_pass_that_decided_wrongly_is_named(name: str, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tape, loss = tape_of("chain")
    wrong(monkeypatch, name, change)
    found, what = guilty_pass(tape, loss)
    assert found == name and what.startswith(f"{name}: "), (found, what)


def test_a_function_compiled_with_check_refuses_a_wrong_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_CHECK", "0")
    rng = np.random.default_rng(0)
    net = ts.nn.LSTM(3, 4, 3, rng=rng, dtype=np.float64)
    x, y = rng.normal(size=(5, 2, 3)), rng.integers(0, 3, (5, 2))
    expected = ts.compile(net.loss).backward(x, y)
    assert ts.compile(net.loss, check=True).backward(x, y) == expected
    wrong(monkeypatch, "write", flipped)
    with pytest.raises(TapeError, match=r"write: .* class"):
        ts.compile(net.loss, check=True).backward(x, y)
