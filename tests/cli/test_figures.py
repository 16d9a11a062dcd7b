"""``tinyseq figure`` and ``tinyseq figures``."""

from __future__ import annotations

import json

import pytest

from tinyseq.viz import chapter


@pytest.mark.parametrize(
    ("ending", "magic"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"dig")]
)
def test_one_figure_in_every_format(run, tmp_path, ending, magic):
    done = run("figure", "10.3", "-o", f"new/f.{ending}")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new" / f"f.{ending}").read_bytes().startswith(magic)
    assert "figure 10.3: Recurrence between hidden units" in done.output


def test_named_after_the_figure(run, tmp_path):
    assert run("figure", "4").exit_code == 0
    assert (tmp_path / "fig_10_04.svg").exists()


def test_json(run, tmp_path):
    done = run("figure", "10.1", "--json")
    data = json.loads(done.stdout)
    assert data == json.loads(chapter.figure("10.1").picture().json)
    assert [n["label"] for n in data["nodes"] if not n["dashed"]] == ["s(t−1)", "s(t)", "s(t+1)"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("10.99",), "no figure '10.99'; figures are 10.1, 10.2"),
        (("10.3", "-o", "f.bmp"), "known are svg, png, pdf, dot"),
    ],
)
def test_bad_input(run, arguments, message):
    done = run("figure", *arguments)
    assert done.exit_code == 1 and message in done.output


def test_all_figures_and_the_gallery(run, tmp_path):
    done = run("figures", "-o", "out")
    assert done.exit_code == 0, done.output
    written = {p.stem for p in (tmp_path / "out").iterdir()}
    assert written == {chapter.file_name(n) for n in chapter.FIGURES} | {"index"}
    assert all(p.name in done.output for p in (tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("figures", "-o", "file")
    assert done.exit_code == 1 and "is a file, not a folder" in done.output
