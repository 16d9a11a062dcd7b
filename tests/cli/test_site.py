"""``tinyseq site``: what it hands to the builder, and what it says where that cannot be."""

from __future__ import annotations

import sys

import pytest

from tinyseq.cli.site import _measured


def test_the_benchmark_is_that_of_the_readme():
    assert "| row (V inputs, H hidden, T steps, B batch) |" in _measured() and "## " not in _measured()


def test_it_builds_into_a_folder_and_says_where(run, tmp_path, monkeypatch):
    pytest.importorskip("pdoc", reason="the site is made with the extra: pip install 'tinyseq[site]'")
    import tinyseq.viz.site as site

    given = {}

    def build(out, **texts):
        given.update(texts)
        (out / "index.html").write_text("")
        return [out / "index.html"]

    monkeypatch.setattr(site, "build", build)
    done = run("site", "-o", "pages")
    assert done.exit_code == 0, done.output
    assert "index.html" in done.output and (tmp_path / "pages" / "index.html").exists()
    assert "bits" in given["guarantees"] and "| row" in given["benchmark"]


def test_without_its_extra_it_says_how_to_install_it(run, tmp_path, monkeypatch):
    for name in ("markdown_it", "pdoc", "pdoc.doc", "latex2mathml.converter", "latex2mathml"):
        monkeypatch.setitem(sys.modules, name, None)
    done = run("site", "-o", "pages")
    assert done.exit_code == 1 and "pip install 'tinyseq[site]'" in done.output


def test_a_folder_that_cannot_be(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("site", "-o", "file")
    assert done.exit_code == 1 and "is a file, not a folder" in done.output
