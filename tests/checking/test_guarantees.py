"""The page of guarantees: tests that it names exist, and the README says what the command says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyseq.checking.guarantees import figures, markdown, promises

ROOT = Path(__file__).parents[2]


def test_each_promise_names_tests_that_there_are() -> None:
    named = [test for promise in promises() for test in promise.tests]
    assert all((ROOT / "tests" / test).is_file() for test in named), named
    assert {p.subject for p in promises()} >= {"bits", "tolerance", "NaN", "determinism", "threads", "fork"}


def test_the_readme_has_the_page_as_it_is_printed() -> None:
    assert "## What is promised\n\n" + markdown() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_figures_add_up() -> None:
    found = figures("searched")
    assert sum(found["kinds"].values()) == found["programs"] == sum(found["threads"].values())


def test_the_command_prints_and_writes_it(run: Any, tmp_path: Path) -> None:
    result = run("guarantees")
    assert result.exit_code == 0 and "bits: For a fixed number of threads" in result.stdout
    assert "Mutation score" in result.stdout and "Programs searched" in result.stdout
    assert run("guarantees", "-o", "g.md").exit_code == 0
    assert (tmp_path / "g.md").read_text(encoding="utf-8") == "# What is promised\n\n" + markdown()
