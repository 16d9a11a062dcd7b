"""Random programs on this machine: compiled in every number of threads, against the reference, central differences and
PyTorch; what ``tinyseq check`` runs.

Programs run in a child process, so that one that takes its process with it is a failure like another. What counts as
one: results of the compiled executor that differ from the reference's by more than rounding can explain
(`oracles.tied` asks the reference with its values rounded otherwise), a plan that the verifier refuses, an exception, a
gradient that is not the derivative of the loss or not PyTorch's.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinyseq.checking.numbered import kind_of, program_of, tried, ways
from tinyseq.checking.oracles import DIFFERENCE, beside_torch, by_differences, differentiable, tied
from tinyseq.checking.programs import Program
from tinyseq.checking.running import Run, tolerance
from tinyseq.checking.smaller import smallest
from tinyseq.checking.twin import has_torch
from tinyseq.errors import TinyseqError

FAILURES = ("differs", "verifier", "error", "died", "differences", "torch")
TORCH = 1e-8
HANGS = 300  # seconds of silence


@dataclass(frozen=True)
class Seen:
    """How one program went: its kind, what was seen, in how many threads, the largest error by oracle."""

    seed: int
    kind: str
    what: str = ""
    threads: int = 1
    errors: dict[str, float] = field(default_factory=dict)
    features: tuple[str, ...] = ()


@dataclass
class Report:
    """Counts and worst errors of a check; ``script`` reproduces the failure, where there is one."""

    kinds: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    threads: Counter[int] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    failure: Seen | None = None
    script: str = ""

    @property
    def programs(self) -> int:
        """How many ran."""
        return sum(self.kinds.values())

    def add(self, seen: Seen) -> None:
        """Count one program."""
        self.kinds[seen.kind] += 1
        self.features.update(seen.features)
        if seen.kind == "same":
            self.threads[seen.threads] += 1
        for oracle, error in seen.errors.items():
            self.compared[oracle] += 1
            self.worst[oracle] = max(self.worst.get(oracle, 0.0), error)
        if seen.kind in FAILURES:
            self.failure = seen


def look(program: Program, seed: int, how: dict[str, Any], torch: bool) -> Seen:
    """Run one program everywhere."""
    errors: dict[str, float] = {}
    found = tried(program, **how, errors=errors)
    features = tuple(sorted(program.features))
    seen = Seen(seed, found.kind, found.what, how["threads"][0], errors, features)
    if found.kind in ("error", "verifier", "not recorded"):
        return seen
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return beside_oracles(program, seen, how, torch)
        except TinyseqError as error:
            return replace(seen, kind="error", what=f"{type(error).__name__}: {error}")


def beside_oracles(program: Program, seen: Seen, how: dict[str, Any], torch: bool) -> Seen:
    """What ran, and its reference beside differences and PyTorch; differences that rounding explains are ties."""
    run = Run(program, how["dtype"])
    expected = run.reference(0)
    tie = replace(seen, kind="tied", what="", errors={})
    if seen.kind == "differs":
        most = tolerance(how["dtype"])
        return tie if any(tied(run, run.reference(k), most, k) for k in (0, 1)) else seen
    if how["dtype"] == np.float32:
        return seen
    wrong = seen
    if differentiable(run) and (error := by_differences(run, expected, seen.seed)) is not None:
        seen.errors["central differences"] = error
        if error > DIFFERENCE:
            what = f"the gradient is off by {error:.3g} from central differences"
            wrong = replace(seen, kind="differences", what=what)
    if torch and (error := beside_torch(run, expected)) is not None:
        seen.errors["PyTorch"] = error
        if error > TORCH:
            wrong = replace(seen, kind="torch", what=f"off by {error:.3g} from PyTorch")
    return tie if wrong is not seen and tied(run, expected, tolerance(np.float64)) else wrong


def looked_at(first: int, threads: tuple[int, ...], until: float, count: int) -> Iterator[tuple[str, Any]]:
    """("at", seed) before each program, ("seen", Seen) after it; ("script", text) after a failure, which ends it."""
    torch = has_torch()
    for seed in range(first, first + count):
        if time.time() > until:
            return
        yield "at", seed
        program, choices = program_of(seed)
        how = ways(seed, threads)
        seen = look(program, seed, how, torch)
        yield "seen", seen
        if seen.kind in FAILURES:
            yield "script", reproduced(program, choices, seen, how, torch)
            return


def reproduced(program: Program, choices: list[int], seen: Seen, how: dict[str, Any], torch: bool) -> str:
    """The script of a failure, made small."""

    def fails(smaller: Program) -> bool:
        other = look(smaller, seen.seed, how, torch and seen.kind == "torch")
        return other.kind == seen.kind and (seen.kind != "error" or kind_of(other.what) == kind_of(seen.what))

    small = smallest(choices, fails) if fails(program) else program
    what = look(small, seen.seed, how, torch).what or seen.what
    return script_of(small, f"{seen.kind}: {what}", seen, how["dtype"])


def script_of(program: Program, what: str, seen: Seen, dtype: Any = np.float64) -> str:
    """A script that exits 1 where this failure is."""
    oracle = {"differences": "differences", "torch": "torch"}.get(seen.kind, "compiled")
    return program.script(what.replace('"', "'").replace("\n", " "), seen.threads, oracle, np.dtype(dtype).name)


def check(
    minutes: float = 1.0,
    seed: int = 0,
    threads: tuple[int, ...] = (1,),
    count: int = 10**9,
    listen: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Run programs from number ``seed`` on until the time is up or one fails; ``listen`` hears of each."""
    report, began = Report(), time.time()
    for kind, told in in_a_child(seed, threads, began + 60 * minutes, count):
        if kind == "seen":
            report.add(told)
        elif kind == "script":
            report.script = told
        elif kind == "died":
            at, code = told
            report.add(Seen(at, "died", f"the process ended with {code}", max(threads)))
            assert report.failure is not None
            report.script = script_of(program_of(at)[0], f"died: {report.failure.what}", report.failure)
        report.seconds = time.time() - began
        listen(report)
    return report


def in_a_child(first: int, threads: tuple[int, ...], until: float, count: int) -> Iterator[tuple[str, Any]]:
    """What `looked_at` says in a child process, and ("died", (seed, exit code)) if that one ends on its way."""
    if not hasattr(os, "fork"):
        yield from looked_at(first, threads, until, count)
        return
    context = multiprocessing.get_context("fork")
    ear, mouth = context.Pipe(duplex=False)

    def speak() -> None:
        ear.close()
        if "torch" in sys.modules:  # a forked process has none of the threads that PyTorch would wait for
            sys.modules["torch"].set_num_threads(1)
        for told in looked_at(first, threads, until, count):
            mouth.send(told)
        mouth.send(("end", None))

    child = context.Process(target=speak, daemon=True)
    child.start()
    mouth.close()
    guard = threading.Timer(max(until - time.time(), 0) + HANGS, child.kill)
    guard.daemon = True
    guard.start()
    at, ended = first, False
    try:
        while not ended:
            try:
                kind, told = ear.recv()
            except EOFError:
                child.join()
                yield "died", (at, child.exitcode)
                return
            at, ended = (told if kind == "at" else at), kind == "end"
            yield kind, told
    finally:
        guard.cancel()
        if child.is_alive() and not ended:
            child.kill()
        child.join()
