"""``tinyseq bench``: one small row end to end, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tinyseq as ts
from tinyseq.bench.contestants import peers
from tinyseq.bench.results.results import Report, Row
from tinyseq.cli import bench as module
from tinyseq.cli.bench import QUICK_REPEATS, REPEATS

ROW = "rnn 32,64,100,1"
ROOT = str(Path(ts.__file__).parent.parent)


@pytest.fixture
def measured(monkeypatch):
    """What the command asks for; nothing is run."""
    asked = []

    def measure(settings, missing, listen):
        asked.append(settings)
        listen({"event": "row", "name": settings.rows[0], "number": 0})
        listen({"event": "at", "what": "torch nn"})
        row = Row(settings.rows[0], "library", {"tinyseq compiled": [1.0], "torch nn": [2.0]})
        return Report({}, {}, settings, [row], missing, interrupted=len(settings.rows) > 1)

    monkeypatch.setattr("tinyseq.bench.runner.measure", measure)
    return asked


def test_one_row_from_start_to_end(run, tmp_path):
    result = run("bench", "--row", ROW, "--peers", "numpy", "--quick", "--json", "b.json", "--svg", "out/b.svg")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(ROW) and "numpy by hand" in line]
    assert "×" in line
    data = json.loads((tmp_path / "b.json").read_text())
    (row,) = data["rows"]
    assert row["row"] == ROW and row["error"] == row["fallback"] == "" and row["refused"] == {}
    assert len(row["samples"]["tinyseq compiled"]) == QUICK_REPEATS and min(row["samples"]["tinyseq compiled"]) > 0
    assert row["checked"]["tinyseq compiled"] < 1e-4 and row["nodes"] > 100 and row["plan_seconds"] > 0
    assert data["machine"]["flops_per_second"] > 1e9 and data["settings"]["peers"] == ["numpy"]
    assert (tmp_path / "out" / "b.svg").read_text().count("numpy by hand") == 1


def test_the_defaults_are_all_rows_and_peers_seven_times(run, measured, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda: ["torch", "numpy"])
    result = run("bench")
    (settings,) = measured
    assert settings.peers == ("torch", "numpy") and settings.rounds == REPEATS >= 7
    assert len(settings.rows) > 20 and settings.rows[0] == "rnn 65,128,100,32" and settings.rows[-1] == "first compile"
    assert (
        "left out: jax, autograd, mygrad, reservoirpy. To compare with them: pip install -e '.[bench]'" in result.stdout
    )
    assert result.exit_code == module.INTERRUPTED


def test_options_reach_the_measurement(run, measured):
    result = run("bench", "--row", ROW, "--row", "plan", "--repeats", "2", "--peers", " numpy ", "--torch-compile")
    assert result.exit_code == module.INTERRUPTED and "2.00×" in result.stdout
    (settings,) = measured
    assert settings.rows[0] == ROW and len(settings.rows) == 4
    assert settings.peers == ("numpy",) and settings.rounds == 2 and settings.torch_compile


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--row", "nonsense"), "no benchmark row has 'nonsense' in its name"),
        (("--peers", "numpy,keras"), "no peer keras; choose from torch,jax,autograd,mygrad,numpy"),
        (("--json", "text.txt/b.json"), "text.txt"),
    ],
)
def test_refusals_are_one_message(run, text, measured, arguments, message):
    result = run("bench", *arguments)
    assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output
    assert not measured


def test_ctrl_c_keeps_the_rows_that_are_done(tmp_path):
    """The terminal's Ctrl-C reaches the command alone; it ends the measuring process and shows the table."""
    path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    rows = ("--row", ROW, "--row", "memory rnn 8,32,100000,1")
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyseq", "bench", *rows, "--peers", "numpy", "--quick", "--json", "b.json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "TINYSEQ_CHECK": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # tests may run in the background
    )
    for line in process.stderr:
        if line.startswith("2/2"):
            process.send_signal(signal.SIGINT)
            break
    out, errors = process.communicate(timeout=120)
    assert process.returncode == module.INTERRUPTED, errors
    assert "Stopped early: 1 of 2 rows were not measured." in out and "Traceback" not in errors
    data = json.loads((tmp_path / "b.json").read_text())
    assert data["interrupted"] and [row["row"] for row in data["rows"]] == [ROW]
