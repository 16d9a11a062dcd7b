"""``tinyseq results``: table, plots, what is kept, the README's table, names that are none."""

import json


def test_runs_keeps_and_shows(run, tmp_path):
    made = run("results", "bptt", "--seeds", "2", "--workers", "1", "-o", "out", "--json", "all.json")
    assert made.exit_code == 0, made.output
    assert "10.21 as printed in the book" in made.output and "reached" in made.output
    assert "Chosen: nothing to choose." in made.output
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
