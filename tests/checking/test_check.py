"""``tinyseq check``: it finds a plan made wrong and writes a script that shows it; its oracles notice what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq.checking import check as module
from tinyseq.checking import oracles, running, smaller
from tinyseq.checking.numbered import program_of
from tinyseq.checking.oracles import beside_torch, by_differences, tied
from tinyseq.checking.programs import Array, Program
from tinyseq.checking.running import Run, gap
from tinyseq.engine import planned

LOOP = Program(
    "def program(x):\n"
    "    h = ts.zeros((2, 3), DTYPE)\n"
    "    for t in range(3):\n"
    "        h = ts.tanh(ts.linear(h, W) + x[t])\n"
    "    return ts.sum(h * V)\n",
    {"W": (3, 3), "V": (3,)},
    {"x": Array(((3, 2, 3),))},
)


def made_wrong(plan_tape: Callable[..., Any]) -> Callable[..., Any]:
    """A planner that decides wrongly who writes first: terms of a gradient are overwritten instead of added."""

    def wrong(*given: Any, **more: Any) -> Any:
        plan = plan_tape(*given, **more)
        for block in plan.blocks:
            for instruction in block.instructions:
                slot = 1 + len(instruction.operands)
                if "_vjp" in instruction.kernel.name and instruction.d[slot]:
                    instruction.d[slot] = 0
        return plan

    return wrong


@pytest.fixture
def wrong_planner(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (running, planned):
        monkeypatch.setattr(place, "plan_tape", made_wrong(place.plan_tape))


def exit_code(script: str) -> int:
    """What a script ends with, run in this process."""
    with pytest.raises(SystemExit) as ended:
        exec(compile(script, "script", "exec"), {"__name__": "__main__"})
    return int(ended.value.code or 0)


def test_a_decision_made_wrong_is_found_with_a_script_that_shows_it(
    run: Any, tmp_path: Path, wrong_planner: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smaller, "TRIES", 40)
    monkeypatch.setenv("TINYSEQ_CHECK", "0")
    result = run("check", "--minutes", "2", "--threads", "1", "--out", "wrong.py")
    assert result.exit_code == 1, result.output
    assert "FAILED: program" in result.stdout and "python wrong.py" in result.stdout
    script = (tmp_path / "wrong.py").read_text()
    assert exit_code(script) == 1
    monkeypatch.undo()
    assert exit_code(script) == 0


def test_a_few_programs_pass_and_are_counted(run: Any) -> None:
    result = run("check", "--programs", "4", "--threads", "2", "--minutes", "5")
    assert result.exit_code == 0, result.output
    assert "4 programs from number 0" in result.stdout and "central differences" in result.stdout
    assert "tile" in result.stdout and "processors" in result.stdout and "worst difference" in result.stdout


def test_a_process_that_dies_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*given: Any) -> Any:
        import os

        os._exit(7)

    monkeypatch.setattr(module, "look", dies)
    report = module.check(minutes=1, seed=3, threads=(1,))
    assert report.failure is not None and (report.failure.kind, report.failure.seed) == ("died", 3)
    assert "ended with 7" in report.failure.what and "def program" in report.script


def test_differences_and_torch_notice_a_wrong_derivative(monkeypatch: pytest.MonkeyPatch, torch: Any) -> None:
    run = Run(LOOP)
    right = run.reference(0)
    assert by_differences(run, right, 0) < 1e-8 and beside_torch(run, right) < 1e-14
    wrong = right | {"dW": 1.001 * right["dW"]}
    assert by_differences(run, wrong, 0) > 1e-5 and beside_torch(run, wrong) > 1e-5
    monkeypatch.setattr(module, "by_differences", lambda run, expected, seed: by_differences(run, wrong, seed))
    seen = module.look(LOOP, 0, {"threads": (1,), "dtype": np.float64, "twice": False}, torch=False)
    assert seen.kind == "differences"
    assert exit_code(module.script_of(LOOP, "w", seen)) == 0  # the derivative is right where nobody changes it


def test_a_script_beside_torch_runs(torch: Any) -> None:
    assert exit_code(LOOP.script("x", oracle="torch")) == 0


def test_ties_are_told_from_differences() -> None:
    """Of two numbers equal but for rounding, which is the larger is nobody's to say; of others it is."""
    text = (
        "def program(x):\n    h = ts.tanh(W * x)\n    return ts.sum(ts.maximum(ts.tanh(h), ts.tanh(OTHER).detach()))\n"
    )
    for other, expected in (("h", True), ("2.0 * h", False)):
        run = Run(Program(text.replace("OTHER", other), {"W": (3,)}, {"x": Array(((3,),))}))
        assert tied(run, run.reference(0), 1e-9) is expected
    largest = "def program(x):\n    return ts.sum(ts.max(x @ W, 0) * V)\n"
    run = Run(Program(largest, {"W": (3, 3), "V": (3,)}, {"x": Array(((4, 3),))}))
    assert not tied(run, run.reference(0), 1e-9)


SAME_ROWS = Program(
    "def program(x):\n"
    "    h, passed = W0 * 1.0, []\n"
    "    for t in range(8):\n"
    "        h = h.detach() if t == 1 else h\n"
    "        passed.append(h)\n"
    "    some = ts.stack(passed[::2])\n"
    "    return ts.mean(ts.max(ts.linear(some, W1), 0)) + ts.sum(some[0]) + ts.sum(h @ W2) + ts.sum(x)\n",
    {"W0": (9, 8), "W1": (3, 8), "W2": (8, 16)},
    {"x": Array(((2,),))},
)
SAME_CHILDREN = Program(
    "def program(i):\n"
    "    class Net(ts.nn.Cell):\n"
    "        name = 'net'\n"
    "        def leaf(self, x):\n"
    "            return ts.tanh(ts.linear(ts.sigmoid(ts.take(W0, x) @ W1), W2))\n"
    "        def merge(self, a, b):\n"
    "            return ts.tanh(ts.where(a * 1.0 > b * 1.0, a, 0.5 * b))\n"
    "    return ts.mean(ts.max(ts.linear(ts.unfold(Net(), ts.Forest([ts.Tree.balanced(8)] * 2), i).roots, W3), 1))\n",
    {"W0": (4, 3), "W1": (3, 4), "W2": (17, 4), "W3": (17, 17)},
    {"i": Array(((16,),), below=1)},
)


@pytest.mark.parametrize("program", [SAME_ROWS, SAME_CHILDREN])
def test_what_differs_by_a_tie_alone_is_no_failure(program: Program) -> None:
    """Two finds of a long search: rows equal but for rounding, the largest of which is taken, or which are compared."""
    seen = module.look(program, 0, {"threads": (3,), "dtype": np.float64, "twice": True}, torch=False)
    assert seen.kind == "tied" and not seen.what, seen


def test_gap_tells_nan_from_numbers() -> None:
    assert gap({"a": np.array([1.0, np.nan])}, {"a": np.array([1.0, np.nan])}) == 0
    assert gap({"a": np.array([1.0, 2.0])}, {"a": np.array([1.0, np.nan])}) == float("inf")
    assert gap({"a": np.array([3.0])}, {"a": np.array([1.0])}) == 1.0 and gap({}, {"a": np.ones(1)}) == 0.5


def test_the_smallest_program_is_hypothesis_s_and_without_it_the_library_s(monkeypatch: pytest.MonkeyPatch) -> None:
    program, choices = program_of(20)
    assert "softmax" in program.source
    for there in (True, False):
        monkeypatch.setattr(smaller, "has_hypothesis", lambda there=there: there)
        small = smaller.smallest(choices, lambda p: "softmax" in p.source, 5)
        assert "softmax" in small.source and len(small.source) < len(program.source) / 2


def test_without_hypothesis_the_command_says_what_to_install(
    run: Any, wrong_planner: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smaller, "has_hypothesis", lambda: False)
    monkeypatch.setattr(module, "smallest", lambda choices, fails: program_of(0)[0])
    result = run("check", "--minutes", "2", "--threads", "1")
    assert result.exit_code == 1 and "pip install 'tinyseq[check]'" in result.stdout


def test_every_op_of_the_generator_has_a_twin_or_is_left_out_by_name(torch: Any) -> None:
    seen = {"ran": 0, "left out": 0}
    for seed in range(80):
        program = program_of(seed)[0]
        try:
            oracles.by_torch(program)
            seen["ran"] += 1
        except oracles.NoTwinError as error:
            assert any(word in str(error) for word in ("lengths", "Chunk", "Window")), error
            seen["left out"] += 1
    assert seen["ran"] > 50, seen
