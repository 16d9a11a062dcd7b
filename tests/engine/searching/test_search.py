"""Random programs agree on both executors, past finds stay mended, and the search finds what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.searching.found_programs import FOUND
from tinyseq.checking.numbered import program_of, tried, ways
from tinyseq.checking.programs import Array, Program
from tinyseq.checking.running import Outcome, difference, outcome
from tinyseq.checking.shrinking import Choices, seeded, shrink, simplify
from tinyseq.checking.writer_nets import whole
from tinyseq.engine.plan.building import Building


def searched(seeds: range, **how: Any) -> dict[str, int]:
    """How many programs went which way; those that went wrong are told."""
    kinds: dict[str, int] = {}
    wrong = []
    for seed in seeds:
        seen = tried(program_of(seed)[0], **{**ways(seed, (1, 2, 3)), "dtype": np.float64, **how})
        kinds[seen.kind] = kinds.get(seen.kind, 0) + 1
        if seen.kind not in ("same", "no plan", "not recorded"):
            wrong.append(f"python -m tests.engine.searching.search --one {seed}: {seen.kind}, {seen.what}")
    assert not wrong, "\n".join(wrong)
    return kinds


def test_random_programs_agree() -> None:
    kinds = searched(range(250))
    assert kinds["same"] >= 200, kinds


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 20_000, 1000))
def test_many_random_programs_agree(first: int) -> None:
    searched(range(1_000_000 + first, 1_001_000 + first))


@pytest.mark.slow
def test_random_programs_agree_in_float32() -> None:
    searched(range(2_000_000, 2_001_000), dtype=np.float32)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", FOUND)
def test_what_the_search_found_agrees(name: str, threads: int) -> None:
    seen = outcome(FOUND[name], threads=(threads,), public=threads == 1)
    assert seen.kind in ("same", "no plan"), seen


def test_programs_have_what_users_write() -> None:
    """Of a few hundred programs, each feature that a plan once went wrong over is in some."""
    seen: set[str] = set()
    for seed in range(600):
        seen |= program_of(seed)[0].features
    assert seen >= {
        "a batch that shrinks in a loop", "attention", "attention by [query; place]", "attention over a history",
        "bags of words", "both directions", "broadcast", "cells on cells", "checkpoints", "comparison",
        "computed weights", "cross entropy", "delays", "detach", "features inside trees", "forest", "gather",
        "history of all states", "ignored rows", "int inputs", "larger sizes", "layer norm",
        "layers", "loop within a step",
        "loss is an element of a vector", "mixed arity", "NaN or inf inputs", "one cell at several sizes",
        "one member broadcast", "one sequence twice", "reduction over a size that differs", "reversed",
        "rows picked", "sequences of different lengths", "several results", "several states",
        "sizes differ from step to step", "state is the last input", "state of rank 0", "state of rank 1",
        "state of rank 3",
        "states that pass nothing back", "steps picked in another order", "tree over values from before",
        "truncated by Chunk", "truncated by Window", "unread steps", "weights computed at each step",
        "window over the last states",
    }  # fmt: skip


PLAIN = Program(
    "def program(x):\n"
    "    h = ts.zeros((2, 3), DTYPE)\n"
    "    other = ts.tanh(x[0] * 2.0)\n"
    "    for t in range(3):\n"
    "        a = ts.sigmoid(h)\n"
    "        h = ts.tanh(a @ W + x[t])\n"
    "    loss = ts.sum(h) + ts.sum(other * V)\n"
    "    return loss\n",
    {"W": (3, 3), "V": (3,)},
    {"x": Array(((3, 2, 3),))},
)


def test_a_plan_made_wrong_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(PLAIN, threads=(1, 2, 3), public=True) == Outcome("same")
    map_of = Building.elementwise

    def wrong(self: Any, kernel: Any, cls: Any, *rest: Any, **more: Any) -> Any:
        if cls.op == "sigmoid":
            return None
        return map_of(self, kernel, cls, *rest, **more)

    monkeypatch.setattr(Building, "elementwise", wrong)
    assert outcome(PLAIN).kind in ("differs", "verifier")
    small = simplify(PLAIN, lambda program: tried(program).kind in ("differs", "verifier"))
    assert "sigmoid" in small.source and "other" not in small.source and set(small.parameters) == {"W"}
    assert len(small.source.splitlines()) == 7


def test_differences_are_told() -> None:
    want = {"dW": np.array([1.0, np.nan]), "dU": None}
    assert difference({"dW": np.array([1.0, np.nan]), "dU": np.zeros(2)}, want, 1e-9) == ""
    assert "NaN" in difference({"dW": np.array([1.0, 2.0])}, want, 1e-9)
    assert "off by" in difference({"dW": np.array([1.1, np.nan])}, want, 1e-9)
    assert "infinite" in difference({"dW": np.array([np.inf, np.nan])}, want, 1e-9)
    assert "dU: off by 1" in difference({"dW": want["dW"], "dU": np.ones(2)}, want, 1e-9)


def test_a_program_is_its_choices_and_shrinks_to_the_plainest_that_fails() -> None:
    for seed in (3, 14, 15):
        pick = seeded(seed)
        program = whole(pick)
        assert whole(Choices(pick.taken)) == program  # type: ignore[attr-defined]
    best = shrink([9, 4, 7, 7, 1, 8, 3], lambda numbers: sum(numbers) >= 7)
    assert best == [7]


def test_a_find_is_a_script_that_runs(tmp_path: Any) -> None:
    exec(
        compile(PLAIN.script("nothing differs").replace("raise SystemExit(wrong > 0)", "assert not wrong"), "", "exec"),
        {},
    )


def test_searches_add_up_in_their_folder(tmp_path: Any) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.engine.searching.search",
        "--count",
        "2",
        "--seed",
        "5",
        "--out",
        str(tmp_path),
    ]
    for first in (2, 4):
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
        assert done.returncode == 0 and "2 programs in" in done.stdout and "0 finds" in done.stdout, done
        assert json.loads((tmp_path / "counts.json").read_text())["programs"] == first
