"""``tinyseq results``: table, plots, what is kept, the README's table, names that are none."""

import json


def test_runs_keeps_and_shows(run, tmp_path):
    made = run("results", "bptt", "--seeds", "2", "--workers", "1", "-o", "out", "--json", "all.json")
    assert made.exit_code == 0, made.output
    assert "10.21 as printed in the book" in made.output and "reached" in made.output
    assert "Chosen: nothing to choose." in made.output
    assert "bptt seed 0: " in made.output and "(2 of 2, 0:00 left)" in made.output  # no terminal: a line for each seed
    assert (tmp_path / "out" / "bptt.svg").stat().st_size > 1000
    rows = json.loads((tmp_path / "out" / "bptt.json").read_text())["rows"]
    assert [row["seed"] for row in rows] == [0, 1] and rows[0]["results"]["by_hand"] < 1e-12
    written = json.loads((tmp_path / "all.json").read_text())
    assert written["rows"] == rows and written["table"][0]["verdict"] == "reached"
    before = (tmp_path / "out" / "results.jsonl").read_text()
    again = run("results", "bptt", "--seeds", "2", "-o", "out")
    assert again.exit_code == 0 and (tmp_path / "out" / "results.jsonl").read_text() == before
    shown = run("results", "--show", "-o", "out")
    assert shown.exit_code == 0 and "bptt" in shown.output


def test_writes_the_table_into_a_file(run, tmp_path):
    run("results", "bptt", "--seeds", "1", "--workers", "1", "-o", "out")
    marks = "<!-- results: written by `tinyseq results --readme` -->\n<!-- end of results -->\n"
    (tmp_path / "PAGE.md").write_text(marks)
    assert run("results", "-o", "out", "--readme", "PAGE.md").exit_code == 0
    assert "| bptt | autodiff against 10.17–10.28 by hand" in (tmp_path / "PAGE.md").read_text()


def test_a_name_that_is_none(run):
    made = run("results", "mackie")
    assert made.exit_code == 1 and "no experiment is called 'mackie'" in made.output


def test_ctrl_c_says_that_the_same_command_goes_on(run, monkeypatch):
    def interrupted(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyseq.results.running.run", interrupted)
    made = run("results", "bptt", "-o", "out")
    assert made.exit_code == 130 and "kept in out: the same command goes on" in made.output


def test_a_narrow_terminal_has_reasons_below_the_table(run, monkeypatch, tmp_path):
    monkeypatch.setattr("tinyseq.cli.results.WIDTH_WHEN_PIPED", 80)
    row = {"experiment": "legs", "seed": 0, "results": {"error": 0.01, "apart": 0.2}}
    (tmp_path / "legs.json").write_text(json.dumps({"experiment": "legs", "rows": [row]}))
    shown = run("results", "legs", "--show", "-o", ".").output
    assert max(map(len, shown.splitlines())) <= 80
    table, _, below = shown.partition("Short of the paper")
    assert "Euler" not in table.split("What was done")[0] and "the error of Euler's rule" in " ".join(below.split())
