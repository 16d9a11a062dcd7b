"""The table of results: intervals, verdicts, what is kept, the README's table against the stored rows."""

from __future__ import annotations

import json
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyseq.errors import DataError, FileError, TinyseqError
from tinyseq.results.experiment import Experiment, Figure
from tinyseq.results.registry import EXPERIMENTS
from tinyseq.results.report import BEGIN, END, from_readme, into_readme, lines, markdown, notes, reasons
from tinyseq.results.running import Job, Pace, chosen, jobs, run
from tinyseq.results.store import append, kept, write_experiment

ROOT = Path(__file__).parents[2]
STORED = ROOT / "examples" / "results"


def made_up(**options: object) -> Experiment:
    figures = (
        Figure("error", "error", "0.5", at_most=0.5, over="rms", shown=".2f", why="too few units"),
        Figure("right", "right", "90%", at_least=0.9, recalled=True),
        Figure("seen", "seen"),
    )
    return Experiment(
        "made-up", "others", "Made up", "Nobody 1900", figures, lambda seed: {}, "No budget.", "by nobody.", **options
    )


def rows(*errors: float) -> list[dict]:
    return [
        {"experiment": "made-up", "seed": k, "results": {"error": e, "right": 0.95, "seen": None}}
        for k, e in enumerate(errors)
    ]


def test_a_line_has_the_root_mean_square_its_interval_and_a_verdict() -> None:
    error, right = lines([made_up()], rows(0.3, -0.4))  # nothing was measured of the third figure
    assert error.value == pytest.approx(np.sqrt(0.125)) and error.seeds == 2 and error.verdict == "reached"
    assert error.low == pytest.approx(0.3) and error.high == pytest.approx(0.4) and error.ours == "0.35 (0.30 – 0.40)"
    assert right.cells() == ("made-up", "right", "90% (recalled)", "0.95", "2", "reached")
    (short, _) = lines([made_up()], rows(0.6))
    assert short.verdict == "short: too few units" and short.ours == "0.60"


def test_reasons_stand_once_for_all_figures_that_share_them() -> None:
    figures = tuple(Figure(key, key, at_least=1, why=why) for key, why in (("a", "few"), ("b", "few"), ("c", "")))
    short = replace(made_up(), figures=(*figures, Figure("d", "d", at_least=0, why="never seen")))
    made = lines([short], [{"experiment": "made-up", "seed": 0, "results": {"a": 0, "b": 0, "c": 0, "d": 0}}])
    assert [line.outcome for line in made] == ["short", "short", "short", "reached"]
    assert reasons(made) == [("made-up, a; b", "few"), ("made-up, c", "not known why")]
    assert notes(made) == [("made-up", "Made up. Nobody 1900. No budget. Chosen: by nobody.")]


def test_time_left_goes_by_what_jobs_took_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "slow", replace(made_up(), seconds=30.0))
    monkeypatch.setitem(EXPERIMENTS, "quick", replace(made_up(), seconds=10.0))
    slow, quick = Job("slow", 0), Job("quick", 0)
    pace = Pace([slow, quick, quick], workers=2)
    assert pace.now([]) == (0, 25) and pace.now([(slow, 15.0)]) == (pytest.approx(0.3), pytest.approx(17.5))
    pace.ended(quick, 20.0)  # twice as long as known
    share, left = pace.now([(slow, 30.0)])  # half of it, at this pace
    assert share == pytest.approx(0.5) and left == pytest.approx(2 * 15)  # the slow one's rest, not (15 + 10) / 2
    assert pace.now([(slow, 1e9)])[0] < 1


def test_a_process_that_is_killed_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*given: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr("tinyseq.results.running._rows", killed)
    with pytest.raises(TinyseqError, match=r"was killed.*goes on with the rest"):
        run([Job("bptt", 0)], tmp_path, workers=1)


def test_a_part_that_is_chance_is_taken_off_run_by_run() -> None:
    over = Figure("bits", "over the grammar's own", less="own")
    assert over.measured({"bits": 7.5, "own": 7.25}) == 0.25 and over.measured({"bits": 7.5}) is None
    assert over.measured({"own": 7.25}) is None and Figure("bits", "bits").measured({"bits": 0.0, "own": 7.0}) == 0.0


def test_no_row_no_line_and_failed_runs_do_not_count_as_numbers() -> None:
    assert lines([made_up()], []) == []
    assert [line.seeds for line in lines([made_up()], [*rows(0.1), {**rows(0.1)[0], "results": {"error": None}}])] == [
        1,
        1,
    ]


def test_rows_are_kept_as_they_end_and_a_line_that_was_cut_off_is_none(tmp_path: Path) -> None:
    for row in rows(0.1, 0.2):
        append(tmp_path, row)
    assert kept(tmp_path) == rows(0.1, 0.2)
    with (tmp_path / "results.jsonl").open("a") as out:
        out.write('{"experiment": "made-up", "se')
    assert kept(tmp_path) == rows(0.1, 0.2)
    write_experiment(tmp_path, "made-up", rows(0.1, 0.2, 0.3))
    assert len(kept(tmp_path)) == 3
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(FileError, match="holds no results of experiments"):
        kept(tmp_path)


def test_what_is_kept_is_not_run_again(tmp_path: Path) -> None:
    told: list[float] = []
    first = run([Job("bptt", 0)], tmp_path, workers=1, told=lambda share, left, text: told.append(share))
    assert [(r["experiment"], r["seed"]) for r in first] == [("bptt", 0)] and told[-1] == pytest.approx(1)
    assert first[0]["results"]["by_hand"] < 1e-12 < 1e-2 < first[0]["results"]["misprint"]
    assert first[0]["machine"]["cores"] >= 1 and "numpy" in first[0]["versions"] and first[0]["seconds"] > 0
    assert run([Job("bptt", 0)], tmp_path, told=pytest.fail) == first


def test_experiments_are_chosen_by_name_or_how_names_begin() -> None:
    assert [e.name for e in chosen(["adding-100", "mackey-30"])] == ["adding-100", "mackey-30"]
    assert {e.name for e in chosen(["order"])} >= {"order-6a", "order-6b", "order-6a-tanh"}
    assert len(chosen([])) == len(EXPERIMENTS)
    with pytest.raises(DataError, match="no experiment is called 'addin_g'; there are bptt"):
        chosen(["addin_g"])


def test_the_number_of_seeds() -> None:
    adding = EXPERIMENTS["adding-500"]
    assert jobs([adding], full=False, named=False, seeds=None) == []
    assert jobs([adding], full=False, named=True, seeds=None) == [Job("adding-500", 0)]
    assert len(jobs([adding], full=True, named=False, seeds=None)) == adding.full
    assert len(jobs(chosen([]), full=True, named=False, seeds=2)) == 2 * len(EXPERIMENTS)


def test_the_default_takes_less_than_half_an_hour_on_two_cores() -> None:
    assert sum(job.seconds for job in jobs(chosen([]), full=False, named=False, seeds=None)) / 2 < 30 * 60


def minutes(full: bool) -> float:
    return sum(job.seconds for job in jobs(chosen([]), full=full, named=False, seeds=None)) / 60


def test_the_readme_and_the_help_say_how_long_it_takes() -> None:
    default, full = round(minutes(False)), round(minutes(True))
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"the default takes about {default} minutes of one core, {round(default / 2)} of two idle ones" in text
    assert f"all seeds of all experiments, about {full} and {round(full / 2)} (" in text
    assert 15 < default < 25 and 45 < full < 65  # as the help of the command has it


def test_experiments_take_what_their_stored_seeds_took() -> None:
    """Within a third, all of them together: single rows vary with what had to be compiled first."""
    rows = kept(STORED)
    for full in (False, True):
        said = took = 0.0
        for job in jobs(chosen([]), full=full, named=False, seeds=None):
            mine = [row["cpu_seconds"] for row in rows if row["experiment"] == job.experiment]
            if mine:
                said, took = said + job.seconds, took + float(np.mean(mine))
        assert 0.75 < took / said < 1.33, (took, said)


def test_every_experiment_says_what_a_table_needs() -> None:
    for name, experiment in EXPERIMENTS.items():
        assert experiment.name == name and experiment.full >= experiment.seeds and experiment.full > 0, name
        assert experiment.setup and experiment.chosen and experiment.paper and experiment.figures, name


def test_a_table_is_put_between_the_markers(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    table = markdown(lines([made_up()], rows(0.1)))
    into_readme(path, table)
    assert (
        from_readme(path) == table and path.read_text().startswith("before\n") and path.read_text().endswith("after\n")
    )
    path.write_text("no markers")
    with pytest.raises(FileError, match="has no place for the table"):
        into_readme(path, table)


def test_the_readme_has_the_table_of_the_stored_rows() -> None:
    assert from_readme(ROOT / "README.md") == markdown(lines(chosen([]), kept(STORED)))


def test_stored_rows_say_when_where_and_on_what_they_were_run_and_nothing_private() -> None:
    stored = kept(STORED)
    assert stored
    for row in stored:
        assert row["experiment"] in EXPERIMENTS
        assert set(row["machine"]) == {"processor", "cores", "system"}
        assert {"seconds", "cpu_seconds", "date", "versions", "python"} <= row.keys()
        assert "/home" not in json.dumps(row) and "/work" not in json.dumps(row)


def test_a_row_is_kept_whole_behind_a_line_that_was_cut_off(tmp_path: Path) -> None:
    first, second, third = ({"experiment": "one", "seed": seed, "results": {"σ": seed}} for seed in range(3))
    append(tmp_path, first)
    append(tmp_path, second)
    file = tmp_path / "results.jsonl"
    file.write_bytes(file.read_bytes()[:-9])  # killed while the second was written
    assert kept(tmp_path) == [first]
    append(tmp_path, second)
    file.write_bytes(file.read_bytes()[:-1])  # killed before the end of the line was
    append(tmp_path, third)
    assert kept(tmp_path) == [first, second, third] and len(file.read_text("utf-8").splitlines()) == 3


def test_a_readme_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.md"):
        into_readme(tmp_path / "none.md", "table")
