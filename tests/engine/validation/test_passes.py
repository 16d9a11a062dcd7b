"""Decisions made wrong on purpose, one in a pass: the pass is named, by its own verifier or by that of the whole."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.validation.changes import CHANGES, list_source_dies, term_overwrites
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


ELSEWHERE = {"loop_overwrites", "seed_lost"}  # refused by the validation of the whole, not by the pass's own verifier
WHOLE = "emit"


@pytest.mark.parametrize(
    ("name", "change"),
    [pytest.param(name, change, id=f"{name}-{change.__name__}") for name, every in CHANGES.items() for change in every],
)
def test_the_pass_that_decided_wrongly_is_named(name: str, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = False
    for kind in ("chain", "tree"):
        tape, loss = tape_of(kind)
        with monkeypatch.context() as patched:
            wrong(patched, name, change)
            try:
                found, what = guilty_pass(tape, loss)
            except StopIteration:  # there is nothing of that kind to change in this net
                continue
        assert found == (WHOLE if change.__name__ in ELSEWHERE else name), (kind, found, what)
        assert found == WHOLE or what.startswith(f"{name}: "), what
        done = True
        break
    assert done


def test_what_a_list_of_addresses_names_must_live_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second state of leaves is read by nobody but lists of rows."""

    class Two(ts.nn.TreeCell):
        def leaf(self, x: Any) -> Any:
            return ts.tanh(x), x * 0.5

        def merge(self, left: Any, right: Any) -> Any:
            h = ts.tanh(left[0] + right[0])
            return h, ts.maximum(left[1], right[1]) * h

    w = ts.Parameter(np.arange(8.0).reshape(4, 2) / 8, "w")
    with ts.Tape(executor=ts.Reference) as tape:
        loss = ts.sum(ts.unfold(Two(), ts.Tree.balanced(4), w * 1.5).roots[1])
    assert guilty_pass(tape, loss) == ("", "")
    wrong(monkeypatch, "reuse", list_source_dies)
    assert re.match(r"reuse: block \d+ .* uses a list of addresses in ", guilty_pass(tape, loss)[1])


def test_there_are_sixty_of_them_and_every_pass_has_some() -> None:
    assert sum(map(len, CHANGES.values())) >= 60 and CHANGES.keys() == set(pipeline.PASSES)


def test_a_function_compiled_with_check_refuses_a_wrong_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_CHECK", "0")
    rng = np.random.default_rng(0)
    net = ts.nn.LSTM(3, 4, 3, rng=rng, dtype=np.float64)
    x, y = rng.normal(size=(5, 2, 3)), rng.integers(0, 3, (5, 2))
    expected = ts.compile(net.loss).backward(x, y)
    assert ts.compile(net.loss, check=True).backward(x, y) == expected
    wrong(monkeypatch, "write", term_overwrites)
    with pytest.raises(TapeError, match=r"write: .* class"):
        ts.compile(net.loss, check=True).backward(x, y)
