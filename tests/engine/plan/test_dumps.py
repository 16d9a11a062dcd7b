"""What passes have made, as text: everything in it has a name or a number."""

from __future__ import annotations

import re

import pytest

from tests.engine.plan.golden import programs
from tinyseq.engine.plan.pipeline import PASSES, Plan, plan_tape

NETS = [name for name in programs() if name.startswith(("cell", "tree"))]


def planned(name: str) -> Plan:
    return plan_tape(*programs()[name]())


@pytest.mark.parametrize("name", NETS)
def test_every_part_of_a_dump_is_said(name: str) -> None:
    plan = planned(name)
    for stage in PASSES:
        text = plan.dump(stage)
        assert text.strip() and not re.search(r"\bNone\b|object at 0x", text), stage


def test_reads_name_the_class_that_they_read() -> None:
    """An RNN: of its own class a step back, of weights, of what is made for the same step."""
    text = planned("cell RNN").dump("fold")
    numbers = {int(n) for n in re.findall(r"^class (\d+)\b", text, re.MULTILINE)} or set(range(text.count("\n") + 1))
    read = [int(n) for n in re.findall(r"class (\d+)", text)]
    assert read and set(read) <= numbers
    assert re.search(r"class \d+ -1 after class \d+\[\d+\]", text), "h(t−1), and the state before the first step"


def test_what_is_written_before_a_loop_is_said() -> None:
    text = "\n".join(planned(name).dump("write") for name in NETS)
    for words in (r"forward start -?\d+ of class \d+",  r"pack the weights of class",
                  r"∂L/∂L = 1", r": adds", r": overwrites"):  # fmt: skip
        assert re.search(words, text, re.MULTILINE), words


def test_every_block_is_somebodys() -> None:
    """Whose rows, members and chunks are whose, for as many threads as are asked for."""
    for threads in (1, 2, 3):
        plan = planned("cell RNN")
        assert plan.stages is not None
        plan.stages.threads = threads
        first, *lines = plan.dump("share").splitlines()
        assert first == f"{threads} thread{'s' * (threads > 1)}"
        told = [re.match(r"blocks? (\d+)(?: to (\d+))? ", line) for line in lines]
        places = [k for m in told if m for k in range(int(m[1]), int(m[2] or m[1]) + 1)]
        assert places == list(range(len(plan.blocks)))
        if threads == 1:
            assert not any(": rows" in line or ": members" in line for line in lines)
