"""Starting the measuring process in a fair environment and listening to it; Ctrl-C keeps what was measured."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from tinyseq.bench.measuring.processes import environment
from tinyseq.bench.results.results import Report, Row, Settings
from tinyseq.errors import TinyseqError
from tinyseq.strict_json import dumps_exact, loads_exact

Listener = Callable[[dict[str, Any]], object]


def measure(settings: Settings, missing: list[str], listen: Listener) -> Report:
    """Measure in a new process; `listen` gets its events (see `worker`).

    Raises TinyseqError with the process's last words where it dies before it has measured anything.
    """
    report = Report({}, {}, settings, missing=missing)
    with tempfile.TemporaryFile() as errors, _worker(settings, errors) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                event = loads_exact(line)
                if event["event"] == "start":
                    report.machine, report.versions = event["machine"], event["versions"]
                elif event["event"] == "measured":
                    report.rows.append(Row(**event["row"]))
                elif event["event"] == "end":
                    better = {name: max(report.machine[name], found) for name, found in event["limits"].items()}
                    report.machine |= better
                listen(event)
            died = process.wait() != 0
        except KeyboardInterrupt:
            report.interrupted, died = True, False
        if died:
            errors.seek(0)
            words = errors.read().decode("utf-8", "replace").strip()[-2000:]
            unfinished = ", ".join(name for name in settings.rows if name not in {row.row for row in report.rows})
            if not report.rows:
                raise TinyseqError(f"the measuring process ended with code {process.returncode}:\n{words}")
            reason = f"the measuring process ended with code {process.returncode}: {words}"
            report.rows.append(Row(unfinished, "failed", error=reason))
    return report


def _command(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "tinyseq.bench.worker", dumps_exact(asdict(settings))]


@contextlib.contextmanager
def _worker(settings: Settings, errors: Any) -> Iterator[subprocess.Popen[str]]:
    """The process, ended with all that it started when we leave, whatever the reason.

    It has a session of its own, so that the terminal's Ctrl-C reaches us alone and we decide.
    """
    process = subprocess.Popen(
        _command(settings), env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            _end(process)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, number)
            else:
                process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
            return
