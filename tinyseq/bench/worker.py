"""The measuring process: `python -m tinyseq.bench.worker SETTINGS` writes one event a line to stdout, as JSON.

{"event": "start", "machine": {...}, "versions": {...}}
{"event": "row", "name": ..., "number": 1}        a row begins
{"event": "at", "what": "torch nn, 2 thr"}        what is being done for it
{"event": "measured", "row": {...}}               a row is done (`results.Row`)
{"event": "end", "limits": {...}}                 the machine's limits once more: the better figure counts
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

from tinyseq.bench.measuring import machine
from tinyseq.bench.results.results import Row, Settings
from tinyseq.bench.rows import MEASURES
from tinyseq.strict_json import dumps_exact, loads_exact

Emit = Callable[..., None]
TOLD_SECONDS = 0.2


def measure_all(settings: Settings, emit: Emit) -> None:
    """Measure the rows in turn; one that fails says so and the next goes on."""
    emit("start", machine=machine.describe(), versions=machine.versions())
    for number, name in enumerate(settings.rows):
        emit("row", name=name, number=number)
        try:
            row = MEASURES[name](settings, _told(emit))
        except Exception as error:
            row = Row(name, "failed", error=f"{type(error).__name__}: {error}"[-1000:])
        emit("measured", row=asdict(row))
    emit("end", limits=machine.limits())


def _told(emit: Emit) -> Callable[[str], None]:
    """Hands on what is being done, but not so often that telling it would disturb the measuring."""
    last = [-TOLD_SECONDS]

    def tell(what: str) -> None:
        if time.monotonic() - last[0] >= TOLD_SECONDS:
            last[0] = time.monotonic()
            emit("at", what=what)

    return tell


def _events() -> TextIO:
    """The real stdout; whatever else a library prints goes to stderr from now on."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def main(text: str) -> None:
    """Read settings, measure, write events."""
    given: dict[str, Any] = loads_exact(text)
    settings = Settings(**given | {"rows": tuple(given["rows"]), "peers": tuple(given["peers"])})
    events = _events()
    # told to end, leave through the finally clauses, which remove temporary folders
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def emit(event: str, **fields: Any) -> None:
        events.write(dumps_exact({"event": event, **fields}) + "\n")
        events.flush()

    measure_all(settings, emit)


if __name__ == "__main__":
    main(sys.argv[1])
