"""Threads that wait for parts of a run.

Waking a thread takes as long as a small run, so a worker that has done its part looks for the next one for a while
before it sleeps. Who leads a run speaks with the workers within one kernel: no Python code, and so no exception, can
come between the beginning of a run and its end. One run at a time has the workers, which the kernel sees to as well.

A worker sleeps on a plain lock that whoever wakes it releases: one step, in which no exception can come. An event has a
lock inside, which Ctrl-C may leave held: nobody would wake the worker again, and who leads would wait for ever.
"""

from __future__ import annotations

import atexit
import threading
import time
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from tinyseq.engine.forks import owned
from tinyseq.engine.machine.atomics import fetch_add, load, pause
from tinyseq.engine.machine.vm import int64_view, run
from tinyseq.jit.decorators import inlined, kernel

# A worker's numbers lie in a row of these; what two threads write lies in cache lines of its own.
_ASKED, _DONE, _AWAKE, _HELD, _PART, _LENGTH = 0, 8, 16, 24, 32, 40
_LOOKS = 3000  # a millisecond
_LOOKS_FOR_WAKING = 100_000
_RAN, _ASLEEP, _LED = 0, 1, 2
_PAUSE = 2e-5  # seconds until who found another leader tries again


@inlined
@kernel
def _ask(boxes, parts, others, patience):
    """Ask the workers for their parts, unless one of them sleeps."""
    awake = True
    for k in range(others):
        fetch_add(int64_view(boxes[k], 0), _HELD, 1)
    for k in range(others):
        box, looks = int64_view(boxes[k], 0), 0
        while fetch_add(box, _AWAKE, 0) == 0 and looks < patience:
            looks += 1
            pause()
        awake = awake and load(box, _AWAKE) > 0
    for k in range(others):
        box = int64_view(boxes[k], 0)
        if awake:
            box[_PART] = parts[k + 1]
            fetch_add(box, _ASKED, 1)
        fetch_add(box, _HELD, -1)
    return awake


@inlined
@kernel
def _asked(box, patience):
    """Look until somebody asks this worker, or for so long that it may sleep."""
    looks = 0
    asked = False
    while not asked:
        asked = load(box, _ASKED) > load(box, _DONE)
        looks += 1
        if not asked and looks > patience:
            fetch_add(box, _AWAKE, -1)
            # who holds this worker from now on sees that it sleeps; who did before may rely on it
            if fetch_add(box, _HELD, 0) == 0 and fetch_add(box, _ASKED, 0) == load(box, _DONE):
                break
            fetch_add(box, _AWAKE, 1)
            looks = 0
        if not asked:
            pause()
    return asked


@kernel
def _together(leaders, boxes, parts, number, others, patience):
    """Lead a run of parts[0] and, by workers, parts[1 :] (number 0), or be worker `number` until nobody asks.

    boxes[k]: address of worker k + 1's row of numbers; leaders[0]: how many lead, or try to. Returns _RAN, or for a
    leader who met a worker asleep or another leader _ASLEEP or _LED: nothing was run then.
    """
    if number == 0 and others > 0:
        led = fetch_add(leaders, 0, 1) > 0
        if led or not _ask(boxes, parts, others, patience):
            fetch_add(leaders, 0, -1)
            return _LED if led else _ASLEEP
    if number > 0:
        fetch_add(int64_view(boxes[number - 1], 0), _AWAKE, 1)
    while True:
        part = parts[0]
        if number > 0:
            box = int64_view(boxes[number - 1], 0)
            if not _asked(box, patience):
                return _RAN
            part = box[_PART]
        run(part)
        if number == 0:
            break
        fetch_add(int64_view(boxes[number - 1], 0), _DONE, 1)
    for k in range(others):
        box, looks = int64_view(boxes[k], 0), 0
        while load(box, _DONE) < load(box, _ASKED):
            looks += 1
            if looks > _LOOKS:
                pause()
    if number == 0 and others > 0:
        fetch_add(leaders, 0, -1)
    return _RAN


class Crew(NamedTuple):
    """Workers that run: their rows of numbers, the addresses of those, what each sleeps on, their threads."""

    rows: tuple[np.ndarray, ...] = ()
    boxes: np.ndarray = np.zeros(0, np.int64)
    wake: tuple[threading.Lock, ...] = ()
    threads: tuple[threading.Thread, ...] = ()


class Workers:
    """The threads besides the caller's, started when first needed."""

    def __init__(self) -> None:
        self.after_fork()
        owned.add(self)

    def after_fork(self) -> None:
        """Begin without workers: a forked process has none."""
        self._starting = threading.RLock()  # left held by an exception between two lines, its thread may still go on
        self._leaders = np.zeros(8, np.int64)  # counted by the kernel: no exception leaves it held
        self._crew = Crew()  # one assignment: whatever interrupts the start of a worker leaves those that there were
        self._ended = False

    def run(self, parts: np.ndarray) -> None:
        """Run all parts (addresses of `vm.Part`s) at once, the first in the caller's thread."""
        others = len(parts) - 1
        if not others:
            _together(self._leaders, self._crew.boxes, parts, 0, 0, 0)
            return
        if len(self._crew.rows) < others:
            with self._starting:
                while len(self._crew.rows) < others:
                    self._start()
        crew, patience = self._crew, 0
        while (met := _together(self._leaders, crew.boxes, parts, 0, others, patience)) != _RAN:
            if met == _LED:
                time.sleep(_PAUSE)
                continue
            for sleeping in crew.wake[:others]:
                _wake(sleeping)
            patience = _LOOKS_FOR_WAKING

    def _start(self) -> None:
        crew, row, wake = self._crew, np.zeros(_LENGTH + 8, np.int64), threading.Lock()
        wake.acquire()
        rows = (*crew.rows, row)
        given = (len(rows), row, wake)
        thread = threading.Thread(target=self._serve, args=given, daemon=True, name="tinyseq-worker")
        thread.start()
        boxes = np.array([r.ctypes.data for r in rows], np.int64)
        self._crew = Crew(rows, boxes, (*crew.wake, wake), (*crew.threads, thread))

    def _serve(self, number: int, row: np.ndarray, wake: threading.Lock) -> None:
        boxes = np.zeros(number, np.int64)
        boxes[number - 1] = row.ctypes.data
        while not self._ended:
            wake.acquire()
            _together(boxes, boxes, boxes, number, 0, _LOOKS)

    def stop(self) -> None:
        """End the workers."""
        self._ended = True
        for sleeping in self._crew.wake:
            _wake(sleeping)


def _wake(sleeping: threading.Lock) -> None:
    """Let go of the lock on which a worker sleeps, unless it is awake or about to be."""
    with suppress(RuntimeError):
        sleeping.release()


WORKERS = Workers()
atexit.register(WORKERS.stop)
