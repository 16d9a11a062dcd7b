"""Commands run in a folder of their own."""

import pytest
from typer.testing import CliRunner

from tinyseq.cli import app

TEXT = "the cat sat on the mat; the dog ate the hat.\n" * 40


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return call


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    return "text.txt"


@pytest.fixture
def corpus():
    """What ``text`` holds."""
    return TEXT
