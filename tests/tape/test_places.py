"""What a tape learnt of places serves the next one, and nothing of its own does."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.engine.plan_cache import structure_key
from tinyseq.errors import DataError, TapeError
from tinyseq.replay.recordings import Recorded
from tinyseq.tape import Tape, places


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    gc.collect()
    places.forget()
    yield
    places.forget()


class Tanh(ts.nn.Cell):
    name = "tanh"

    def __init__(self) -> None:
        self.w, self.b = ts.Parameter(np.eye(2), "w"), ts.Parameter(np.ones(2), "b")

    def step(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ts.tanh(x + h @ self.w + self.b).named("h")
        return h, h


def loop(cell: Tanh, steps: int = 4, other: bool = False) -> ts.Tensor:
    """A loss recorded step by step on a tape of its own."""
    with Tape():
        xs, h = ts.tensor(np.ones((steps, 1, 2))), ts.zeros((1, 2), np.float64)
        for t in range(steps):
            h, _ = cell(xs[t], h)
            if other and t == 1:
                h = h * 2.0
        return ts.sum(h)


def test_the_next_tape_records_the_same_from_what_the_last_one_learnt() -> None:
    cell = Tanh()
    first = loop(cell).tape
    known, nodes = first.places, first.nodes()
    dumped = first.dump()
    del first
    second = loop(cell).tape
    assert second.places is known
    assert second.nodes() == nodes and second.dump() == dumped
    ts.verify(second)


def test_tapes_that_live_at_once_share_nothing() -> None:
    cell = Tanh()
    one, two = loop(cell), loop(cell)
    assert one.tape.places is not two.tape.places
    assert one.tape.same_graph(two.tape)

    def add(a: Any, b: Any) -> Any:
        return a + b

    with one.tape:
        add(one, one)
    for a, b in ((one, two), (two, one)):
        with pytest.raises(TapeError, match="two tapes"):
            add(a, b)


def test_a_tensor_keeps_the_places_of_its_tape() -> None:
    left = loop(Tanh())
    gc.collect()
    assert loop(Tanh()).tape.places is not left.tape.places


def test_a_tape_is_not_copied() -> None:
    tape = loop(Tanh()).tape
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TapeError, match="record it again"):
            way(tape)


def test_a_recording_known_whole_is_a_copy() -> None:
    cell = Tanh()
    tape = loop(cell).tape
    tape.flush()
    before = tape.nodes()
    del tape
    for change in (
        lambda t: t.rename(3, "another"),
        lambda t: t.append("input", (), (1,), 1),
        lambda t: t.extend(t.kind[-1:], t.rows[-1:], t.arg[-1:], t.step[-1:], np.array([1]), np.array([0])),
        lambda t: t._table.fill(7),
    ):
        tape = loop(cell).tape
        tape.flush()
        assert tape.recording_known is not None and tape.nodes() == before
        change(tape)
        tape.flush()
        del tape
    assert loop(cell).tape.nodes() == before


def test_what_differs_is_told_apart() -> None:
    """Another branch, length, name, argument, or step."""
    cell = Tanh()

    def at(steps: tuple[int, ...], rows: tuple[int, ...], name: str) -> list[Any]:
        with Tape() as tape:
            x, h = ts.tensor(np.ones((3, 1, 2))), ts.zeros((1, 2), np.float64)
            for t, row in zip(steps, rows, strict=True):
                h, _ = cell(x[row], h, at=t)
                h.named(name)
        return tape.nodes()

    for _ in range(2):
        assert [len(loop(cell, other=other).tape) for other in (False, True, False)] == [29, 30, 29]
        assert [n.step for n in at((0, 1), (0, 1), "h") if n.op == "tanh"] == [0, 1]
        assert [n.step for n in at((0, 5), (0, 1), "h") if n.op == "tanh"] == [0, 5]
        assert [n.arg for n in at((0, 1), (0, 2), "h") if n.op == "index"] == [0, 2]
        assert [n.name for n in at((0, 1), (0, 1), "g") if n.op == "tanh"] == ["g", "g"]
        assert [n.name for n in at((0, 1), (0, 1), "h") if n.op == "tanh"] == ["h", "h"]


def test_a_tape_has_only_its_own_kinds() -> None:
    loop(Tanh())
    with Tape() as tape:
        ts.exp(ts.tensor(np.ones(2)))
    assert [k.op for k in tape.kinds] == ["input", "exp"]
    assert "cells: none" in repr(tape)


def test_zeros_keep_their_signs_on_every_tape() -> None:
    for _ in range(2):
        with Tape():
            x = ts.tensor(np.array([1.0]))
            made = [x * 0.0, x * -0.0, x + -0.0, x + 0.0, *[x * z for z in (-0.0, 0.0)]]
            attrs = [dict(t.tape.node(t.index).attrs) for t in made]
            assert [bool(np.signbit(a["k"])) for a in attrs] == [False, True, False, False, True, False]
            assert [bool(np.signbit(a["c"])) for a in attrs] == [False, False, True, False, False, False]


def test_lines_are_right_after_the_source_of_another_function_is_gone() -> None:
    def run(source: str) -> list[int]:
        space: dict[str, Any] = {}
        exec(compile(source, "user.py", "exec"), space)
        with Tape() as tape:
            space["f"](ts.tensor(np.ones(2)), ts)
        return [n.line[1] for n in tape.nodes()[1:]]

    for lines in range(1, 30):
        assert run("\n" * lines + "def f(x, ts):\n return ts.exp(x) + x\n") == [lines + 2] * 2


def test_too_much_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Tanh()
    monkeypatch.setattr(places, "MOST_NODES", 40)
    for steps in (4, 3, 4, 2, 20):
        tape = loop(cell, steps).tape
        tape.flush()
        kept = tape.places._recordings.values()
        assert sum(r.columns[0].shape[1] for r in kept) <= 40
        assert (tape.recording_known is None) == (steps == 20)
        del tape
    known = loop(cell).tape.places
    monkeypatch.setattr(places, "MOST_KNOWN", known.known() - 1)
    loop(cell)
    assert loop(cell).tape.places is not known


def test_many_tapes_that_end_at_once_leave_few_places() -> None:
    tapes = [loop(Tanh()).tape for _ in range(20)]
    tapes.clear()
    assert 1 <= len(places._kept) <= places.MOST_KEPT


def test_plans_are_found_by_structure_and_results() -> None:
    cell = Tanh()
    keys = []
    for other in (False, True, False):
        loss = loop(cell, other=other)
        keys.append(structure_key(loss.tape, [loss.index], loss.index))
        keys.append(structure_key(loss.tape, [loss.index], -1))
        del loss
    assert keys[0] == keys[4] and hash(keys[0]) == hash(keys[4]) and keys[1] == keys[5]
    assert len({keys[0], keys[1], keys[2], keys[3]}) == 4
    loss = loop(cell)
    loss.tape.append("input", (), (1,), 1)
    assert structure_key(loss.tape, [loss.index], -1) != keys[1]


def test_integers_are_checked_on_every_tape() -> None:
    table = ts.Parameter(np.ones((3, 2)), "E")

    def look(numbers: list[int]) -> None:
        with Tape():
            i = ts.tensor(np.array([numbers]))
            ts.take(table, i[0]) + ts.take(table, i[0])

    look([0, 2])
    for wrong in ([0, 3], [-1, 0]):
        with pytest.raises(DataError, match="out of range"):
            look(wrong)
    look([1, 1])


def test_threads_record_at_once() -> None:
    cell, wrong = Tanh(), []
    want = loop(cell, 6).value

    def work(number: int) -> None:
        for i in range(60):
            got = loop(cell, 4 + (i + number) % 3)
            if len(got.tape) != 5 + 6 * (4 + (i + number) % 3) or not np.isfinite(got.value):
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert loop(cell, 6).value == want


def test_a_step_that_fails_leaves_the_next_tape_right() -> None:
    def broken(x: Any, h: Any) -> tuple[Any, Any]:
        ts.tanh(x + h)
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError), Tape():
            ts.unfold(broken, ts.Chain(3), np.ones((3, 2)), np.zeros(2))
    line = inspect.getsourcelines(Tanh.step)[1] + 1
    assert {n.line[1] for n in loop(Tanh()).tape.nodes() if n.op == "tanh"} == {line}


@pytest.mark.parametrize("read", [False, True])
def test_what_is_unfolded_after_a_known_beginning_is_part_of_the_structure(read: bool) -> None:
    """The beginning was recorded before, and what is known of it holds no longer once a step has been stamped."""

    def key(activation: Any) -> Any:
        def step(x: Any, h: Any) -> Any:
            h = activation(x + h)
            return h, h

        with Tape() as tape:
            x, h = ts.tensor(np.ones((4, 1, 2))), ts.zeros((1, 2), np.float64) + 1.0
            if read:
                tape.flush()
            last = ts.unfold(step, ts.Chain(4), x, h).output(-1)
        return structure_key(tape, [last.index], -1)

    first = key(ts.tanh)
    assert key(ts.tanh) == first and key(ts.tanh) == first
    assert key(ts.sigmoid) != first


def chain_of(x: Any, W: Any) -> Any:
    def step(x_t: Any, h: Any) -> Any:
        h = ts.tanh(x_t + h @ W).named("h")
        return h, ts.sum(h * h).named("L")

    return ts.sum(ts.unfold(step, ts.Chain(len(x)), ts.tensor(x), ts.zeros((2, 3), "float64")).outputs)


def lengths_of(x: Any, W: Any) -> Any:
    lengths = [4, 2, 1]

    def step(x_t: Any, h: Any) -> Any:
        h = ts.sigmoid(x_t @ W) * h + x_t
        return h, h

    out = ts.unfold(step, ts.Chain(lengths), ts.tensor(x.reshape(-1, 3)[:7]), ts.zeros((3, 3), "float64"))
    return ts.sum(out.outputs) + ts.sum(out.final)


def tree_of(x: Any, W: Any) -> Any:
    class Cell:
        def leaf(self, x: Any) -> Any:
            return ts.tanh(x @ W)

        def merge(self, *children: Any) -> Any:
            return ts.tanh(sum(children[1:], children[0]) @ W)

    tree = ts.Tree.from_nested((("a", "b"), ("c", "d", "e")))
    return ts.sum(ts.unfold(Cell(), tree, ts.tensor(x.reshape(-1, 3)[:5])).root)


def window_of(x: Any, W: Any) -> Any:
    def step(x_t: Any, h: Any) -> Any:
        h = ts.tanh(x_t + h @ W)
        return h, h

    state = ts.zeros((2, 3), "float64")
    return ts.sum(ts.unfold(step, ts.Chain(len(x)), ts.tensor(x), state, truncate=ts.Window(2)).outputs)


@pytest.mark.parametrize("record", [chain_of, lengths_of, tree_of, window_of])
def test_what_is_known_of_places_records_the_same_tape(record: Any, rng: np.random.Generator) -> None:
    """Kinds in their order, columns, names, parameters: whether nothing, the same or another program was before."""
    W, x = ts.Parameter(rng.normal(size=(3, 3)), "W"), rng.normal(size=(5, 2, 3))

    def recorded(record: Any = record) -> tuple:
        made = Recorded(lambda: record(x, W), (), {})
        tape = made.tape
        table = [tape.kind, tape.rows, tape.arg, tape.step, tape.input_pointers, tape.input_indices]
        return list(tape.kinds), [column.tolist() for column in table], made.nodes

    cold = recorded()
    assert len(places._kept) == 1 and places._kept[0].steps
    assert recorded() == cold
    for other in (chain_of, lengths_of, tree_of, window_of):
        recorded(other)
    assert recorded() == cold and len(places._kept) == 1


@pytest.mark.parametrize("inside", [False, True])
def test_a_tensor_kept_from_a_recording_is_refused_by_the_next_from_the_same_place(inside: bool) -> None:
    kept: list[Any] = []
    W = ts.Parameter(np.eye(3), "W")

    def step(x_t: Any, h: Any) -> Any:
        h = ts.tanh(x_t + h @ W)
        if inside:
            kept.append(h)
            h = h * kept[0]
        return h, h

    def f(x: Any) -> Any:
        total = ts.sum(ts.unfold(step, ts.Chain(4), x, ts.zeros((2, 3), "float64")).outputs)
        if not inside:
            kept.append(total)
            total = total + kept[0]
        return total

    x = np.ones((4, 2, 3))
    first = Recorded(f, (x,), {})
    assert not places._kept
    with pytest.raises(TapeError):
        Recorded(f, (x,), {})
    kept.clear()
    assert first.same(Recorded(f, (x,), {}))
