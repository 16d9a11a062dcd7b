"""The twelve lessons: what each says is true of its run, by value; the page, the scripts and the notebook."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyseq.errors import TinyseqError
from tinyseq.viz import lessons
from tinyseq.viz.lessons import LESSONS, lesson

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "lessons"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lessons")
    return {n: one(folder) for n, one in LESSONS.items()}, folder


@pytest.fixture
def figures(answers):
    return lambda n: answers[0][n].figures


def test_each_has_a_table_three_sentences_and_pictures(answers):
    assert list(LESSONS) == list(range(1, 13))
    for answer in answers[0].values():
        assert len(answer.table.splitlines()) >= 3
        assert len(answer.sentences) == 3 and all(s.endswith(".") for s in answer.sentences)
        assert re.search(r"\d", " ".join(answer.sentences)), "no figure of the run is named"
        assert answer.pictures
        for path in answer.pictures:
            assert "<svg" in path.read_text("utf-8")


def test_another_seed_is_another_run(tmp_path):
    first, again, other = (lesson(3)(tmp_path, seed).sentences for seed in (0, 0, 1))
    assert first == again != other


def test_1_the_terms_add_up_to_the_gradient(figures):
    f = figures(1)
    parts = np.array(list(f["parts"].values()))
    assert parts.shape == (8, 4, 4)
    np.testing.assert_allclose(parts.sum(axis=0), f["gradient"], rtol=1e-12)
    norms = np.linalg.norm(parts, axis=(1, 2))
    assert f["share"] == pytest.approx(norms.max() / norms.sum())
    assert f["against"] == sum(np.vdot(p, f["gradient"]) < 0 for p in parts)
    assert f["ledger"].running[-1] == pytest.approx(np.linalg.norm(f["gradient"]))


def test_2_two_increments_make_the_difference_quotient(figures):
    f = figures(2)
    h = np.tanh(0.8 * 0.6)
    y = np.tanh(0.8 * h)
    np.testing.assert_allclose(f["into"], [2 * 1.5**2 * h, 2 * y * (1 - y**2) * 0.8], rtol=1e-12)
    assert f["total"] == pytest.approx(sum(f["into"]), rel=1e-12)
    assert f["slope"] == pytest.approx(f["total"], rel=1e-7)


def test_3_the_jacobian_times_what_arrives(figures):
    f = figures(3)
    np.testing.assert_allclose(f["J"], f["expected"], rtol=1e-12)
    np.testing.assert_allclose(f["J"].T @ f["g"], f["taken"], rtol=1e-12)
    np.testing.assert_allclose(f["made"], f["taken"], rtol=1e-12)


def test_4_what_is_left_is_the_product_of_the_rates(figures):
    f = figures(4)
    assert f["left"] == pytest.approx(f["flow"].rate ** f["flow"].last) and f["left"] < 1e-6
    assert 0 < f["slope"] < 1
    assert f["flow"].rate < f["slope"] * f["sigma"]
    assert f["radius"] < f["sigma"]


def test_5_early_terms_vanish_and_the_total_does_not(figures):
    f = figures(5)
    at_the_end, everywhere = f["shares"].values()
    assert at_the_end.sum() == pytest.approx(1) and everywhere.sum() == pytest.approx(1)
    assert np.all(np.diff(at_the_end) > 0) and f["early"] == at_the_end[0] < 1e-6
    assert everywhere[0] > 0.05
    assert f["totals"][0] > 0.1


def test_6_pairs_and_the_gradient_that_is_lost(figures):
    f = figures(6)
    assert f["counts"] == {"full": 5050, "window": 955, "chunk": 550}
    tau, t = np.indices((100, 100))
    np.testing.assert_array_equal(f["masks"]["full"], t <= tau)
    np.testing.assert_array_equal(f["masks"]["window"], (t <= tau) & (tau - t < 10))
    np.testing.assert_array_equal(f["masks"]["chunk"], (t <= tau) & (tau // 10 == t // 10))
    for name, gradient in f["gradients"].items():  # what backward gives is what the pairs inside the mask add up to
        np.testing.assert_allclose(gradient, f["kept"][name], rtol=1e-9, atol=1e-12)
    assert f["lost"]["full"] == 0 and f["lost"]["window"] > 0 and f["lost"]["chunk"] > 0
    lost = np.linalg.norm(f["kept"]["full"] - f["kept"]["chunk"])
    assert f["lost"]["chunk"] == pytest.approx(lost)


def test_7_same_value_another_gradient_fewer_bytes(figures):
    f = figures(7)
    assert f["losses"]["before"] == f["losses"]["after"]
    assert (
        f["gap"] == pytest.approx(np.linalg.norm(f["gradients"]["before"] - f["gradients"]["after"])) and f["gap"] > 0
    )
    state = 2 * 4 * 8  # one h(t) of two rows of four float64
    assert f["held"] == {"before": 6 * state, "after": 4 * state}


def test_8_bytes_by_hand(figures):
    f = figures(8)
    B, H = f["sizes"]
    unit = 4 * B * H
    assert f["by_op"] == {"sigmoid": 3 * unit, "tanh": 2 * unit, "mul": unit, "add": unit}  # i f o, g and tanh s, h, s
    assert f["step_bytes"] == sum(f["by_op"].values())
    np.testing.assert_allclose(np.diff(f["growth"]), f["slope"] * np.diff(f["lengths"]))
    live, top = f["live"], int(f["live"].argmax())
    assert live[0] == 0 and 0.4 < top / len(live) < 0.7
    assert f["kept"] == 4 * 4 * (H * H + 4 * H + H)
    assert f["kept"] <= live[-1] < f["kept"] + 2 * unit


def test_9_the_error_names_the_state_and_its_step(figures):
    f = figures(9)
    once, again, added = f["norms"]
    assert once == again and added == pytest.approx(2 * once)
    assert "h of time step 2 is of another graph" in f["message"] and "ts.tensor(other.value)" in f["message"]
    assert f["nodes"][0] == f["nodes"][1]


def test_10_doubts_add_up_only_where_outputs_are_fed_back(figures):
    f = figures(10)
    forced, free = f["curves"]["teacher forcing"], f["curves"]["free running"]
    assert forced[0] == pytest.approx(free[0])
    assert np.ptp(forced[1:]) < 0.2 * forced[1:].mean()
    assert free[-1] > 2 * forced[-1] and free[-1] > free[1] > forced[1]


def test_11_gates_shrink_more_slowly_and_never_grow(figures):
    f = figures(11)
    plain, gated, opened = f["rate"].values()
    assert plain < gated < opened < 1
    for name, product in f["products"].items():
        if name != "RNN":
            assert np.all(np.diff(product) < 0) and product[0] < 1
    strips = list(f["strips"].values())
    assert all(s[-1] == pytest.approx(1) for s in strips) and strips[0][0] < strips[1][0] < strips[2][0]


def test_12_depths_and_ratios(figures):
    f = figures(12)
    for leaves, (depth, long, near, far) in zip(f["counts"], f["ratios"], strict=True):
        assert depth == (leaves - 1).bit_length() and long == leaves - 1
        assert far < near < 1


# -- the page, the command, the scripts, the notebook -----------------------------------------------------------------
def test_the_page_needs_no_network(answers):
    found, folder = answers
    text = lessons.write_page(list(found.values()), folder).read_text("utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:|lesson_\d\d_live\.html)""", text)
    live = set(re.findall(r'href="(lesson_\d\d_live\.html)', text))  # beside it, one that computes for each
    assert len(live) == len(found) and all((folder / name).exists() for name in live)
    assert not re.search(r"<(?:script|link|iframe)\b|url\((?!#)|@import", text)
    for n in found:
        assert f'<section id="lesson-{n}">' in text and f'href="#lesson-{n}"' in text
    assert text.count("<figcaption>") == text.count("<svg") == sum(len(a.pictures) for a in found.values())
    assert "955" in text


@pytest.mark.parametrize("wrong", ["0", "13", "two", "-1", "1.5"])
def test_no_such_lesson(wrong):
    with pytest.raises(TinyseqError, match="lessons are 1 to 12"):
        lesson(wrong)


@pytest.mark.parametrize("number", range(1, 13))
def test_there_is_a_script_for_each(number, tmp_path, monkeypatch, capsys):
    (script,) = EXAMPLES.glob(f"{number:02d}_*.py")
    assert LESSONS[number].question in script.read_text("utf-8")
    if number in (2, 9):  # the runs themselves are tested above
        monkeypatch.setattr(sys, "argv", [str(script)])
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(EXAMPLES))
        runpy.run_path(str(script), run_name="__main__")
        assert LESSONS[number](tmp_path).sentences[0] in capsys.readouterr().out


def test_the_notebook_is_current():
    text = (ROOT / "examples" / "bptt_tour.ipynb").read_text("utf-8")
    assert text == lessons.tour(), "write it anew: python examples/lessons/notebook.py"


def test_the_notebook_runs(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.reads(lessons.tour(), as_version=4)
    nbformat.validate(book)
    client = nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [c["outputs"] for c in book.cells if c.cell_type == "code" and c["source"].startswith("lesson(")]
    assert len(shown) == 12
    for outputs in shown:
        html = "".join(o["data"].get("text/html", "") for o in outputs if o["output_type"] == "execute_result")
        assert "<svg" in html and "<pre>" in html and not [o for o in outputs if o["output_type"] == "error"]
    assert "5,050" in json.dumps(shown[5])
