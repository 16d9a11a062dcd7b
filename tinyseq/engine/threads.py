"""Threads of one run: a barrier that spins, and workers that wait for programs."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinyseq.jit import kernel


@intrinsic
def _fetch_add(typing_context, array, index, amount):  # type: ignore[no-untyped-def]
    signature = types.int64(array, types.int64, types.int64)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), arguments[2], "seq_cst")

    return signature, generate


@intrinsic
def _load(typing_context, array, index):  # type: ignore[no-untyped-def]
    signature = types.int64(array, types.int64)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return signature, generate


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """Let the operating system run another thread."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function_type = ir.FunctionType(ir.IntType(32), [])
        function = builder.module.globals.get("sched_yield") or ir.Function(
            builder.module, function_type, "sched_yield"
        )
        builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), generate


@kernel
def barrier(flags, thread, threads):
    """Wait until all threads of the run have come here. flags = [arrivals, ...], zero at the start of a run."""
    ticket = _fetch_add(flags, 0, 1)
    goal = (ticket // threads + 1) * threads
    spins = 0
    while _load(flags, 0) < goal:
        spins += 1
        if spins > 2000:
            _pause()


class Workers:
    """Threads that each run what they are given, one at a time."""

    def __init__(self) -> None:
        self._queues: list[queue.SimpleQueue] = []
        self._lock = threading.Lock()

    def run(self, tasks: list[Callable[[], None]]) -> None:
        """Run all tasks at once, the first in the caller's thread; returns when all have ended."""
        done = threading.Semaphore(0)
        failures: list[BaseException] = []
        with self._lock:
            while len(self._queues) < len(tasks) - 1:
                inbox: queue.SimpleQueue = queue.SimpleQueue()
                self._queues.append(inbox)
                threading.Thread(target=_serve, args=(inbox,), daemon=True, name="tinyseq-worker").start()
            for inbox, task in zip(self._queues, tasks[1:], strict=False):
                inbox.put((task, done, failures))
            tasks[0]()
            for _ in tasks[1:]:
                done.acquire()
        if failures:
            raise failures[0]

    def stop(self) -> None:
        """End the workers."""
        for inbox in self._queues:
            inbox.put(None)
        self._queues.clear()


def _serve(inbox: queue.SimpleQueue) -> None:
    while True:
        item = inbox.get()
        if item is None:
            return
        task, done, failures = item
        try:
            task()
        except BaseException as error:
            failures.append(error)
        finally:
            done.release()


class Pace:
    """Chooses between running together and running alone by the time they take.

    Threads that wait for each other lose when another process holds a processor: a run that takes milliseconds
    together can then take a hundred. Both give the same numbers, so the faster is taken, and the other is
    tried again from time to time: the more seldom, the more often it lost.
    """

    SOONEST, LATEST_ALONE, LATEST_TOGETHER = 8, 64, 16

    def __init__(self) -> None:
        self._together: deque[float] = deque(maxlen=5)  # seconds of the last runs: their median tells, as one of them
        self._alone: deque[float] = deque(maxlen=5)  # may have met a moment when a processor was away
        self.runs = 0
        self.wait, self.next_trial = self.SOONEST, 3

    @property
    def prefers_alone(self) -> bool:
        """Whether runs alone are the faster ones."""
        return len(self._together) == 5 and bool(self._alone) and median(self._together) > median(self._alone)

    def run(self, together: Callable[[], None], alone: Callable[[], None]) -> None:
        """Run one of the two."""
        self.runs += 1
        before, trial = self.prefers_alone, self.runs == self.next_trial
        pick_alone = before != trial
        start = time.perf_counter()
        (alone if pick_alone else together)()
        took = time.perf_counter() - start
        if pick_alone:
            self._alone.append(took)
        elif self.runs > 1:  # the first run meets cold memory
            if before and took < median(self._alone):
                self._together.clear()  # the others are back
            self._together.append(took)
        if self.prefers_alone != before:
            self.wait, self.next_trial = self.SOONEST, self.runs + self.SOONEST
        elif trial:
            # Whoever runs alone by mistake loses half the machine: look sooner if the others are back.
            self.wait = min(2 * self.wait, self.LATEST_TOGETHER if before else self.LATEST_ALONE)
            self.next_trial = self.runs + self.wait


WORKERS = Workers()
atexit.register(WORKERS.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS._queues.clear)


def available() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
