"""The measuring process as its parent sees it: events, early ends, deaths."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tinyseq.bench import runner, worker
from tinyseq.bench.results.results import Row, Settings
from tinyseq.errors import TinyseqError

SETTINGS = Settings(("a", "b"), (), 1, 0.0)
LIMITS = {"flops_per_second_1": 2.0, "flops_per_second": 3.0, "bytes_per_second": 5.0}


def events(*rows: str) -> list[dict[str, Any]]:
    """What a worker says that measures these rows."""
    found: list[dict[str, Any]] = [{"event": "start", "machine": dict(LIMITS), "versions": {"numpy": "2"}}]
    for number, name in enumerate(rows):
        row = Row(name, "library", {"tinyseq compiled": [2.0], "torch nn": [3.0]})
        found += [{"event": "row", "name": name, "number": number}, {"event": "at", "what": "torch nn"}]
        found.append({"event": "measured", "row": asdict(row)})
    return found


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Make the worker a process that says these events and then runs this code; its number lands in a file."""

    def make(said: list[dict[str, Any]], then: str = "") -> Path:
        lines = "".join(f"print({json.dumps(event)!r}, flush=True)\n" for event in said)
        number = tmp_path / "number"
        code = f"import os, sys, time\nopen({str(number)!r}, 'w').write(str(os.getpid()))\n{lines}{then}"
        monkeypatch.setattr(runner, "_command", lambda settings: [sys.executable, "-c", code])
        return number

    return make


def test_rows_and_the_better_limits_are_kept(pretend: Any) -> None:
    heard: list[str] = []
    limits = {"flops_per_second_1": 1.0, "flops_per_second": 4.0, "bytes_per_second": 6.0}
    pretend([*events("a", "b"), {"event": "end", "limits": limits}])
    report = runner.measure(SETTINGS, ["jax"], lambda event: heard.append(event["event"]))
    assert [row.ratio for row in report.rows] == [1.5, 1.5]
    assert report.machine == {"flops_per_second_1": 2.0, "flops_per_second": 4.0, "bytes_per_second": 6.0}
    assert report.missing == ["jax"] and report.versions == {"numpy": "2"} and not report.interrupted
    assert heard == ["start", *["row", "at", "measured"] * 2, "end"]


def test_an_interrupt_keeps_what_was_measured_and_ends_the_process(pretend: Any) -> None:
    number = pretend(events("a"), "time.sleep(60)")

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "measured":
            raise KeyboardInterrupt

    report = runner.measure(SETTINGS, [], listen)
    assert report.interrupted and [row.row for row in report.rows] == ["a"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


def test_what_the_process_started_ends_with_it(pretend: Any, tmp_path: Path) -> None:
    child = tmp_path / "child"
    start = (
        "import subprocess\nc = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child)!r}, 'w').write(str(c.pid))\n"
    )
    then = start + f"print({json.dumps({'event': 'at', 'what': 'child'})!r}, flush=True)\ntime.sleep(60)"
    pretend(events("a"), then)

    def listen(event: dict[str, Any]) -> None:
        if event.get("what") == "child":
            raise KeyboardInterrupt

    runner.measure(SETTINGS, [], listen)
    for _ in range(100):
        try:
            state = Path(f"/proc/{child.read_text()}/stat").read_text().split()[2]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the grandchild is still running")


def test_a_death_before_anything_was_measured_is_an_error(pretend: Any) -> None:
    pretend(events(), "sys.exit('no such machine')")
    with pytest.raises(TinyseqError, match=r"ended with code 1:\nno such machine"):
        runner.measure(SETTINGS, [], lambda event: None)


def test_a_death_later_keeps_the_rows_before(pretend: Any) -> None:
    pretend(events("a"), "os.kill(os.getpid(), 9)")
    report = runner.measure(SETTINGS, [], lambda event: None)
    assert [row.row for row in report.rows] == ["a", "b"]
    assert report.rows[0].ratio == 1.5 and "ended with code -9" in report.rows[1].error


def test_the_worker_goes_on_after_a_row_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []

    def bad(settings: Settings, tell: Any) -> Row:
        tell("first")
        tell("too soon after")
        raise MemoryError("too long")

    monkeypatch.setattr(worker, "MEASURES", {"a": bad, "b": lambda settings, tell: Row("b", "library")})
    monkeypatch.setattr(worker.machine, "describe", lambda: {"cores": 1})
    monkeypatch.setattr(worker.machine, "limits", dict)
    worker.measure_all(SETTINGS, lambda event, **fields: said.append({"event": event} | fields))
    assert [e["event"] for e in said] == ["start", "row", "at", "measured", "row", "measured", "end"]
    assert said[3]["row"]["error"] == "MemoryError: too long" and said[5]["row"]["error"] == ""
    assert said[0]["versions"].keys() >= {"numpy"}
