"""Code that a page or a notebook shows is text to be pasted: as a reader copies it, it runs and does what it says."""

from __future__ import annotations

import ast
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tinyseq.viz import chapter, lessons

EXAMPLES = Path(__file__).parents[2] / "examples"


class Blocks(HTMLParser):
    """The text of every <pre> that holds code, as a browser hands it to the clipboard."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.open = 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "code" and self.get_starttag_text():
            self.open += 1
            self.found.append("")

    def handle_endtag(self, tag):
        self.open -= tag == "code"

    def handle_data(self, data):
        if self.open:
            self.found[-1] += data


def run(text, folder, monkeypatch):
    """Paste into a new interpreter: nothing is defined there, and files go to the current folder."""
    monkeypatch.chdir(folder)
    tree = ast.parse(text)
    names = {"__name__": "__main__"}
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<pasted>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<pasted>", "eval"), names) if last else None


def tour():
    """{lesson: the code under "the run" as the notebook's Markdown is rendered}"""
    cells = json.loads((EXAMPLES / "bptt_tour.ipynb").read_text("utf-8"))["cells"]
    found = {}
    for cell in cells:
        if cell["id"].startswith("question-"):
            (code,) = Blocks(MarkdownIt("commonmark", {"html": True}).render("".join(cell["source"]))).found
            found[int(cell["id"].removeprefix("question-"))] = code
    return found


def gallery():
    """{figure: the code beside it in the committed page}"""
    return dict(
        zip(chapter.FIGURES, Blocks((EXAMPLES / "figures" / "index.html").read_text("utf-8")).found, strict=True)
    )


@pytest.mark.parametrize("number", list(lessons.LESSONS))
def test_the_run_of_a_lesson_runs_where_it_is_pasted(number, tmp_path, monkeypatch):
    answer = run(tour()[number], tmp_path, monkeypatch)
    assert answer.question == lessons.LESSONS[number].question and len(answer.sentences) == 3
    assert answer.pictures and all((tmp_path / path).stat().st_size > 1000 for path in answer.pictures)


def test_a_pasted_run_can_be_changed(tmp_path, monkeypatch):
    text = tour()[1]
    assert "Chain(8)" in text and "(8, 1, 3)" in text
    answer = run(text.replace("Chain(8)", "Chain(5)").replace("(8, 1, 3)", "(5, 1, 3)"), tmp_path, monkeypatch)
    assert "W is used at 5 time steps" in answer.sentences[0]


@pytest.mark.parametrize("number", list(chapter.FIGURES))
def test_the_code_beside_a_figure_draws_it(number, tmp_path, monkeypatch):
    run(gallery()[number], tmp_path, monkeypatch)
    (drawn,) = tmp_path.iterdir()
    assert drawn.name == f"{chapter.file_name(number)}.svg"
    wanted = chapter.figure(number).picture()
    if isinstance(chapter.FIGURES[number], chapter.Figure):
        assert drawn.read_text("utf-8") == wanted.svg
    else:
        assert "<svg" in drawn.read_text("utf-8")


def test_a_pasted_figure_can_be_changed(tmp_path, monkeypatch):
    text = gallery()["10.3"]
    run(text.replace("nn.RNN(3, 4, 2,", "nn.RNN(3, 7, 2,"), tmp_path, monkeypatch)
    assert (tmp_path / "fig_10_03.svg").read_text("utf-8") != chapter.figure("10.3").picture().svg


def test_the_page_of_lessons_shows_programs_that_print(tmp_path, monkeypatch, capsys):
    answers = [lessons.lesson(2)(tmp_path)]
    page = lessons.write_page(answers, tmp_path).read_text("utf-8")
    (code,) = Blocks(page).found
    run(code, tmp_path, monkeypatch)
    assert str(answers[0]).splitlines()[0] in capsys.readouterr().out


def test_no_line_is_lost_or_read_as_markup():
    for number, code in tour().items():
        assert code == lessons.LESSONS[number].code() + "\n"
    for number, code in gallery().items():
        assert code == chapter.FIGURES[number].code
