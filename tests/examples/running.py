"""A script of examples/ run in its short form, and what holds for all of them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_short(name: str, folder: Path, option: str = "--quick") -> str:
    """What it prints: first what it shows, in the end each file that it wrote to the folder. No warnings."""
    script = EXAMPLES / name
    command = [sys.executable, str(script), option, "-o", str(folder)]
    environment = {
        **os.environ,
        "TINYSEQ_CHECK": "0",
    }  # plans of this size take long to verify; small ones are elsewhere
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in re.sub("Fontconfig warning", "", done.stderr), done.stderr
    shown = (ast.get_docstring(ast.parse(script.read_text("utf-8"))) or "").splitlines()[0]
    first, *rest = done.stdout.splitlines()
    assert first == shown and rest, done.stdout
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert written, "no picture was written"
    for path in written:
        assert str(path) in done.stdout, f"{path} is not named in what is printed:\n{done.stdout}"
        assert path.stat().st_size > 500
    return done.stdout
