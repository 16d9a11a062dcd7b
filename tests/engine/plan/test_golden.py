"""Today's plans are those written down: who changes the planner sees which plans that changes, and can say why."""

from __future__ import annotations

import json

import pytest

from tests.engine.plan.golden import CELLS, DIGESTS, FOLDER, TREES, digest, programs, texts

EXPECTED = json.loads(DIGESTS.read_text(encoding="utf-8"))


def test_every_program_is_written_down() -> None:
    assert list(programs()) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_plan_is_the_one_written_down(name: str) -> None:
    assert digest(name) == EXPECTED[name], (
        f"the plan of {name!r} changed; see how with python -m tests.engine.plan.golden {name!r} before and after, and "
        "where that is meant write the digests anew with python -m tests.engine.plan.golden"
    )


@pytest.mark.parametrize("name", [*CELLS, "TreeLSTM"])
def test_the_plans_to_read_are_those_of_today(name: str) -> None:
    kind = "tree" if name in TREES else "cell"
    assert "\n".join(texts(f"{kind} {name}")) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
