"""All example scripts take the same options, and say so in the same words."""

from __future__ import annotations

import re
import runpy
import sys

import pytest

from tests.examples.running import EXAMPLES, run_short

HELPERS = ("common.py", "reber_strings.py", "answer.py", "notebook.py")
SCRIPTS = sorted(p for p in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("lessons/*.py")] if p.name not in HELPERS)


def ask(script, monkeypatch, capsys, *arguments):
    """(status, what is printed) of a script with some arguments that it ends on at once."""
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(script.parent))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr()
    return end.value.code, printed.out + printed.err


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_one_set_of_options(script, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    status, text = ask(script, monkeypatch, capsys, "--help")
    assert status == 0
    usage, shown, options = re.fullmatch(r"usage: \S+ (.*?)\n\n(.*?)\n\noptions:\n(.*)", text, re.DOTALL).groups()
    assert usage == "[-h] [--quick | --long] [-o OUTPUT]"
    assert script.read_text("utf-8").startswith(f'"""{shown}')
    assert (
        re.findall(r"^  (\S.*?)  ", options, re.MULTILINE)
        == [
            "-h, --help",
            "--quick, --short",
            "--long",
            "-o, --output OUTPUT",
        ]
        or "-o OUTPUT, --output OUTPUT" in options
    )
    refused, message = ask(script, monkeypatch, capsys, "--quick", "--long")
    assert refused == 2 and "not allowed with argument" in message
    refused, message = ask(script, monkeypatch, capsys, "--steps", "3")
    assert refused == 2 and "unrecognized arguments: --steps 3" in message
    assert not list(tmp_path.iterdir())  # help and refusals leave nothing behind


@pytest.mark.parametrize("name", ["vanilla_rnn.py", "recursive_net.py", "lessons/02_plus_equals.py"])
def test_short_form(name, tmp_path):
    out = run_short(name, tmp_path / "new" / "folder")
    assert re.search(r"\d\.\d|\d%", out)
