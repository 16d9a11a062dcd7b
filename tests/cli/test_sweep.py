"""``tinyseq sweep``: a grid from a TOML file, cells kept and not run again, errors that name the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIG = """data = "q.jsonl"
steps = 6
batch = 8
seeds = 2
[grid]
hidden = [3, 4]
"""


def test_a_grid_is_trained_cell_by_cell(run: Any, tmp_path: Path) -> None:
    rows = [{"x": [k % 2, 1.0, 0.5], "y": "ab"[k % 2]} for k in range(20)]
    Path("q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("s.toml").write_text(CONFIG)
    result = run("sweep", "s.toml", "-o", "sw", "--workers", 1)
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in Path("sw/results.jsonl").read_text().splitlines()]
    assert sorted((row["hidden"], row["seed"]) for row in found) == [(3, 0), (3, 1), (4, 0), (4, 1)]
    first = json.loads(run("evaluate", "sw/hidden=3-seed=0", "--json").stdout)
    same = next(row for row in found if (row["hidden"], row["seed"]) == (3, 0))
    assert first["loss"] == pytest.approx(same["loss"], rel=1e-5)
    assert Path("sw/sweep.svg").stat().st_size > 1000
    again = run("sweep", "s.toml", "-o", "sw")
    assert "4 of 4 cells are done" in again.stdout and len(Path("sw/results.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("steps = 3", "has no table [grid] with values by name: a sweep of 0 cells"),
        ("[grid]\nhidden = []", "[grid] 'hidden' is [], expected a list of values: a sweep of 0 cells"),
        ("[grid]\nhiden = [1]", "unknown key 'hiden'; did you mean 'hidden'?"),
        ("[grid]\nhidden = ['x']", "the value of 'hidden' is 'x', expected a whole number"),
        ("seeds = 'x'\n[grid]\nhidden = [1]", "'seeds' is 'x'"),
        ("[grid", "is not TOML"),
        ("seed = 3\n[grid]\nhidden = [1]", "a sweep has no key 'seed': write how many"),
        ("[grid]\nout = ['a']", "a sweep has no key 'out': each cell has its own folder"),
        ("mpi = true\n[grid]\nhidden = [1]", "a sweep has no key 'mpi'"),
        ("[grid]\nhidden = [0]", "the value of 'hidden' is 0, expected at least 1"),
    ],
)
def test_what_is_no_sweep_is_named(run: Any, content: str, message: str) -> None:
    Path("s.toml").write_text(content)
    result = run("sweep", "s.toml")
    assert result.exit_code == 1 and message in result.stderr, result.output
