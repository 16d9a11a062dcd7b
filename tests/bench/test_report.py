"""What follows from the figures, and how it is shown: JSON, table, chart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from tinyseq.bench.results.report import INSTALL, figure, render
from tinyseq.bench.results.results import Report, Row, Settings, geometric_mean
from tinyseq.cli.bench_chart import chart
from tinyseq.errors import DataError, FileError

MACHINE = {
    "processor": "A processor",
    "cores": 2,
    "system": "Linux 6",
    "python": "3.11",
    "load": 0.1,
    "busy": False,
    "vector_floats": 16,
    "threads": 2,
    "flops_per_second_1": 1e11,
    "flops_per_second": 2e11,
    "bytes_per_second": 2e10,
}
COUNTS = {"matmul": 200_000_000, "elementwise": 50_000_000, "transcendental": 1, "bytes": 1_000}


def row(name: str = "rnn 1,2,3,4", kind: str = "library", **more: object) -> Row:
    """Ours 2 ms, torch 6 ms at its best, jax 8 ms; floor 1 ms."""
    samples = {
        "tinyseq compiled": [2e-3, 1e-3, 9e-3],
        "torch nn, 1 thr": [6e-3, 6e-3, 6e-3],
        "torch nn, 2 thr": [7e-3, 1e-3, 9e-3],
        "jax jit scan": [8e-3, 8e-3, 8e-3],
    }
    first = {"tinyseq compiled": 0.5, "torch nn, 1 thr": 0.25, "jax jit scan": 4.0}
    made = Row(name, kind, samples, counts=COUNTS, nodes=1000, record_seconds=3e-3, plan_seconds=5e-3, first=first)
    return replace(made, **more)  # type: ignore[arg-type]


def report(*rows: Row, **more: object) -> Report:
    """A report of these rows."""
    settings = Settings(tuple(r.row for r in rows), ("torch", "jax", "numpy"), 3, 0.0)
    return replace(Report(dict(MACHINE), {"tinyseq": "0", "torch": "2"}, settings, list(rows)), **more)  # type: ignore[arg-type]


def shown(given: Report, width: int = 200) -> str:
    """The report as plain text."""
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        for part in render(given):
            console.print(part)
    return capture.get()


def test_medians_best_forms_ratio_and_floor() -> None:
    found = row()
    assert found.ours == 2e-3
    assert found.best("torch") == ("torch nn, 1 thr", 6e-3) and found.best("numpy") is None
    assert found.best_peer == ("torch nn, 1 thr", 6e-3)
    assert found.ratio == pytest.approx(3)
    assert found.floor(MACHINE) == pytest.approx(1e-3)
    assert found.floor({**MACHINE, "bytes_per_second": 1e5}) == pytest.approx(1e-2)


def test_geometric_mean_counts_the_rows_with_a_ratio() -> None:
    mean, count = geometric_mean([2.0, None, 8.0]) or (0, 0)
    assert mean == pytest.approx(4) and count == 2
    assert geometric_mean([None]) is None


@pytest.mark.parametrize(
    "value, text",
    [(None, "–"), (0.012345, "0.0123"), (1.2345, "1.23"), (12.345, "12.3"), (123.45, "123"), (12345.6, "12,346")],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_a_line_shows_ours_each_peer_ratio_flops_and_floor() -> None:
    text = shown(report(row()))
    (line,) = [line for line in text.splitlines() if line.startswith("rnn 1,2,3,4") and "×" in line]
    assert " ".join(line.split()) == "rnn 1,2,3,4 2.00 6.00 8.00 3.00× 250 1.00 2.00 torch nn, 1 thr"
    assert "200 GFLOP/s" in text and "100 on one" in text and "20.0 GB/s" in text
    assert "A processor, 2 cores" in text and "torch 2" in text and "Load average at the start: 0.10" in text
    assert "WARNING" not in text and "Notes" not in text and "pip install" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("rnn 1,2,3,4") and "×" not in line]
    assert " ".join(line.split()) == "rnn 1,2,3,4 1,000 3.00 5.00 0.500 0.250 4.00"


def test_geometric_means_of_known_and_users_cells() -> None:
    user = row("user: minimal gated unit 1,2,3,4", "user")
    user.samples["tinyseq compiled"] = [1e-3]
    text = shown(report(row("gru 1,2,3,4"), user))
    assert "Geometric mean of the ratios: 4.24× (all rows, 2)" in text
    assert "3.00× (known nets' rows, 1)" in text and "6.00× (users' cells' rows, 1)" in text
    assert "user: minimal gated unit: 0.500× the time of gru 1,2,3,4 for each FLOP" in text


def test_tokens_memory_planning_and_compiling_are_shown() -> None:
    memory = Row("memory", "memory", {"tinyseq compiled": [2**21], "jax jit scan": [2**22]})
    plan = Row("plan", "plan", {"tinyseq record": [2e-3], "tinyseq plan": [1e-3]}, nodes=10_000)
    compiling = Row("first compile", "compile", {"tinyseq cold": [9.0], "tinyseq warm": [0.5]})
    text = shown(report(row(tokens=4), memory, plan, compiling))
    assert "tokens per second: tinyseq 2,000, torch 667, jax 500" in text
    assert ["memory", "2.00", "4.00", "2.00×"] in [line.split() for line in text.splitlines()]
    assert ["plan", "10,000", "0.200", "0.100"] in [line.split() for line in text.splitlines()]
    assert "take 9.00 s; in the next process 0.500 s" in text
    assert "Geometric mean of the ratios: 3.00× (all rows, 1)" in text


def test_what_went_wrong_is_told_under_the_table() -> None:
    text = shown(
        report(
            row(fallback="odd index", refused={"jax jit scan": 0.5}, failed={"torch loop": "OSError: gone"}),
            Row("lost", "library", error="gradients differ", refused={"tinyseq compiled": 0.5}),
            missing=["autograd", "mygrad"],
            interrupted=True,
        )
    )
    assert "* rnn 1,2,3,4: run by the reference executor, no plan: odd index" in text
    assert "* rnn 1,2,3,4: jax jit scan differs from  by 5.0e-01, not timed" in text
    assert "* rnn 1,2,3,4: torch loop failed: OSError: gone" in text
    assert text.count("lost: gradients differ") == 1 and "lost *" in text
    assert f"left out: autograd, mygrad. To compare with them: {INSTALL}" in text
    assert "Stopped early: 0 of 2 rows" in text


def test_a_busy_machine_is_warned_of() -> None:
    found = report(row())
    found.machine |= {"busy": True, "load": 4.0}
    assert "WARNING: this machine is busy" in shown(found)


def test_nothing_measured_is_no_error() -> None:
    empty = Report({}, {}, Settings(("a",), (), 7, 0.0), interrupted=True)
    assert "Stopped early: 1 of 1 rows" in shown(empty)


def test_json_has_raw_figures_and_what_the_table_shows(tmp_path: Path) -> None:
    failed = Row("lost", "library", refused={"tinyseq compiled": float("inf")}, error="gradients differ")
    report(row(), failed).write_json(tmp_path / "b.json")
    data = json.loads((tmp_path / "b.json").read_text(), parse_constant=pytest.fail)
    assert data.keys() == {
        "schema", "machine", "versions", "settings", "missing", "interrupted", "rows", "geometric_mean"
    }  # fmt: skip
    assert data["schema"] == 1 and data["machine"] == MACHINE and data["settings"]["rounds"] == 3
    first, second = data["rows"]
    assert first.keys() == second.keys() == {*Row.__dataclass_fields__} | {
        "ours", "peers", "best_peer", "ratio", "floor_seconds", "over_floor"
    }  # fmt: skip
    assert first["samples"]["torch nn, 2 thr"] == [7e-3, 1e-3, 9e-3]
    assert first["peers"] == {
        "torch": {"variant": "torch nn, 1 thr", "median": 6e-3},
        "jax": {"variant": "jax jit scan", "median": 8e-3},
    }
    assert first["ratio"] == pytest.approx(3) and first["over_floor"] == pytest.approx(2)
    assert second["ours"] is None and second["ratio"] is None and second["refused"] == {"tinyseq compiled": None}
    assert data["geometric_mean"]["all"] == {"ratio": pytest.approx(3), "rows": 1}


def test_the_chart_has_a_bar_for_each_peer(tmp_path: Path) -> None:
    slower = row("lstm $1,2_3", samples={"tinyseq compiled": [4e-3], "jax jit scan": [1e-3]})
    path = chart(report(row(), slower, row("plan", "plan")), tmp_path / "b.svg")
    words = [element.text or "" for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    for wanted in ("rnn 1,2,3,4", "3.00× torch nn, 1 thr", "4.00× jax jit scan", "0.250× jax jit scan"):
        assert wanted in words, wanted
    assert any("1,2_3" in word for word in words) and "plan" not in words and "tinyseq" in words
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_chart_of_nothing_and_a_path_that_is_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to draw"):
        chart(report(Row("lost", "library")), tmp_path / "b.svg")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="cannot write"):
        report(row()).write_json(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_decisions_bring_is_shown_beside_the_plan_with_all_of_them() -> None:
    samples = {"tinyseq all": [2e-3, 1e-3, 9e-3], "tinyseq hoist": [3e-3], "tinyseq reuse": [1.8e-3]}
    one = Row("without rnn", "choices", samples, bytes={"all": 1 << 20, "hoist": 1 << 20, "reuse": 3 << 19})
    other = Row("without lstm", "choices", {"tinyseq all": [1e-3]}, bytes={"all": 2 << 20})
    lines = [" ".join(line.split()) for line in shown(report(one, other)).splitlines()]
    assert "without rnn lstm" in lines and "– (all on) 2.00 ms, 1.00 MB 1.00 ms, 2.00 MB" in lines
    assert "hoist 1.50, 1.00 –" in lines and "reuse 0.90, 1.50 –" in lines


def test_checking_is_shown_in_times_of_planning() -> None:
    samples = {"tinyseq plan": [2e-3, 2e-3, 8e-3], "tinyseq passes": [1e-3], "tinyseq elements": [9e-3]}
    short = Row("checking lstm", "checking", samples, nodes=1500)
    whole = Row("checking rnn", "checking", samples | {"tinyseq meaning": [4e-3]}, nodes=100)
    lines = [" ".join(line.split()) for line in shown(report(short, whole)).splitlines()]
    assert "lstm 1,500 2.00 0.500× 4.50× – 5.00×" in lines
    assert "rnn 100 2.00 0.500× 4.50× 2.00× 7.00×" in lines
