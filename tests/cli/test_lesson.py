"""``tinyseq lesson``."""

from __future__ import annotations

import pytest

from tinyseq.viz import lessons
from tinyseq.viz.lessons import LESSONS


def test_the_list(run, tmp_path):
    done = run("lesson")
    assert done.exit_code == 0, done.output
    for number, one in LESSONS.items():
        assert f"{number:>3}  {one.question}" in done.output
    assert not list(tmp_path.iterdir())


def test_one(run, tmp_path):
    done = run("lesson", "9", "-o", "new/out")
    assert done.exit_code == 0, done.output
    answer = LESSONS[9](tmp_path)
    assert answer.table in done.output and all(s in done.output for s in answer.sentences)
    written = {p.name for p in (tmp_path / "new" / "out").iterdir()}
    assert written == {"lesson_09_first.svg", "lesson_09_second.svg"} and all(name in done.output for name in written)


def test_its_folder_and_its_seed(run, tmp_path):
    done = run("lesson", "3", "--seed", "5")
    assert done.exit_code == 0 and (tmp_path / "tinyseq-lessons" / "lesson_03.svg").exists()
    assert LESSONS[3](tmp_path, 5).sentences[2] in done.output


def test_all_on_one_page(run, tmp_path, monkeypatch):
    some = {n: LESSONS[n] for n in (1, 2, 3, 7, 9)}  # all twelve runs are those of tests/viz/test_lessons.py
    monkeypatch.setattr(lessons, "LESSONS", some)
    done = run("lesson", "all", "-o", "out")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    for number, one in some.items():
        assert f"{number}. {one.question}" in done.output and f'id="lesson-{number}"' in page
    assert "index.html" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"), [(("13",), "no lesson '13'; lessons are 1 to 12"), (("x",), "no lesson 'x'")]
)
def test_bad_input(run, arguments, message, tmp_path):
    done = run("lesson", *arguments)
    assert done.exit_code == 1 and message in done.output
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("lesson", "2", "-o", "file")
    assert done.exit_code == 1 and "is a file, not a folder" in done.output
