"""Programs by number: the program of a seed, how it is run, and what its outcome looks like."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tinyseq.checking.programs import Program
from tinyseq.checking.running import Outcome, outcome
from tinyseq.checking.shrinking import seeded
from tinyseq.checking.writer_nets import whole


def program_of(seed: int) -> tuple[Program, list[int]]:
    """The program of a number, and its choices."""
    pick = seeded(seed)
    return whole(pick), pick.taken  # type: ignore[attr-defined]


def ways(seed: int, threads: tuple[int, ...]) -> dict[str, Any]:
    """How a program is run: in as many threads as its number says; some in float32, some as a user would."""
    single = seed % 64 == 15
    return {
        "threads": (threads[seed % len(threads)],), "dtype": np.float32 if single else np.float64,
        "public": seed % 16 == 3, "twice": seed % 4 == 1, "verify": seed % 16 == 5,
    }  # fmt: skip


def tried(program: Program, **how: Any) -> Outcome:
    """How a program went; an exception that is none of the library's is a find."""
    try:
        return outcome(program, **how)
    except Exception as error:
        return Outcome("error", f"{type(error).__name__}: {error}", max(how.get("threads", (1,))))


def without_numbers(text: str) -> str:
    """A text in which numbers don't count."""
    return re.sub(r"\s+", " ", re.sub(r"[-+]?\d[\d.e+-]*", "#", text))


def kind_of(what: str) -> str:
    """What a difference is, without its numbers and names."""
    return without_numbers(re.sub(r"dW\d+|result \d+", "x", what)).split("(")[0][:60]
