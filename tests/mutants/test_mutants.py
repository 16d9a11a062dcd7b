"""The mutator changes what it says, and the measurement that is stored says of each survivor what is known."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.mutator import mutants
from tinyseq.checking.guarantees import figures

SOURCE = b'''"""Text - 1 is left alone."""

def f(a: int, b):
    if not a < 1:
        raise ValueError(f"{a + 1}")
    for i in g(a, b):
        a += 1
        break
    return a - b if a and b else -b
'''


def test_every_kind_of_change_is_made_and_each_can_be_parsed() -> None:
    found = mutants("f.py", SOURCE)
    assert {(m.line, m.kind) for m in found} >= {
        (4, "not removed"), (4, "comparison flipped"), (4, "constant + 1"), (6, "arguments swapped"),
        (7, "statement left out"), (8, "break, continue exchanged"), (9, "returns nothing"), (9, "choice exchanged"),
        (9, "and, or exchanged"), (9, "operator replaced"), (9, "operands swapped"), (9, "minus removed"),
    }  # fmt: skip
    assert not any(m.line in (1, 3, 5) for m in found)
    texts = {m.applied(SOURCE) for m in found}
    assert len(texts) == len(found) and SOURCE not in texts
    for text in texts:
        ast.parse(text)


def test_one_change_is_made_in_its_place() -> None:
    found = {m.kind: m.applied(SOURCE).decode().split("\n") for m in mutants("f.py", SOURCE)}
    assert found["comparison flipped"][3] == "    if not (a <= 1):" and found["not removed"][3] == "    if (a < 1):"
    assert found["arguments swapped"][5] == "    for i in g(b, a):"
    assert found["operands swapped"][8].startswith("    return (b - a) if")
    assert found["and, or exchanged"][8] == "    return a - b if (a or b) else -b"


@pytest.mark.parametrize("group", ["ops", "tape", "unfolding", "plan"])
def test_the_stored_measurement_adds_up(group: str) -> None:
    found = figures("mutants")
    assert sum(g["mutants"] for g in found["groups"].values()) == found["mutants"]
    assert sum(g["killed"] for g in found["groups"].values()) == found["killed"]
    survivors = [s for s in found["survivors"] if s["group"] == group]
    counts = found["groups"][group]
    assert len(survivors) == counts["mutants"] - counts["killed"]
    assert all(s["why"] for s in survivors), [s for s in survivors if not s["why"]]
