"""The examples with data of one's own run in their short form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.running import run_short
from tinyseq import data
from tinyseq.errors import FileError


@pytest.mark.parametrize("name", ["own_text.py", "own_csv.py", "own_sequences.py", "own_trees.py", "sweep.py"])
def test_short_form(name: str, tmp_path: Path) -> None:
    if name in ("own_sequences.py", "sweep.py"):  # their data is in a wheel of the extra [data]
        try:
            data.vowels()
        except FileError as error:
            pytest.skip(str(error))
    assert re.search(r"\d\.\d|\d%", run_short(name, tmp_path / "out"))
