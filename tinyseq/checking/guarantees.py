"""What is promised, and how it is tested: ``tinyseq guarantees``, and a section of the README.

The figures come from files beside this one: ``searched.json``, counts of the last long search for wrong plans, and
``mutants.json``, which ``python -m tests.mutants.measure`` writes.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from tinyseq.checking.running import tolerance


class Promise(NamedTuple):
    """What holds, in words, and the test files that fail where it does not."""

    subject: str
    words: str
    tests: tuple[str, ...]


def promises() -> tuple[Promise, ...]:
    """All promises."""
    double, single = tolerance(np.float64), tolerance(np.float32)
    return (
        Promise(
            "bits",
            "For a fixed number of threads a compiled function gives the same bits each time on one machine, in "
            "whatever order its threads come.",
            ("engine/test_agreement.py", "engine/machine/test_sharing.py", "engine/machine/test_program.py"),
        ),
        Promise(
            "tolerance",
            f"Compiled values and gradients are the reference's within {double:g} (float64) and {single:g} (float32) "
            "of 1 + the largest number of their array.",
            ("engine/test_agreement.py", "engine/test_agreement_nets.py", "engine/searching/test_search.py"),
        ),
        Promise(
            "gradients",
            "Each op's gradient is its derivative; gradients of whole nets are those of PyTorch, where installed.",
            ("ops/test_every_op.py", "diagnose/test_gradcheck.py", "checking/test_check.py", "nn/test_gated_nets.py"),
        ),
        Promise(
            "NaN",
            "NaN and infinity come out in the same places on both executors; what is masked away or padding that "
            "nobody reads has gradient 0, whatever it holds.",
            ("ops/test_extremes.py", "ops/test_masks.py", "unfolding/test_padding.py", "diagnose/test_nonfinite.py"),
        ),
        Promise(
            "determinism",
            "Nothing is random but by a generator that you give; a resumed training goes on with the same bits.",
            ("nn/test_initialisation.py", "train/test_resume.py", "train/test_run_folder.py"),
        ),
        Promise(
            "threads",
            "Several Python threads may run compiled functions; Ctrl-C at any moment leaves them usable.",
            ("engine/machine/test_workers.py", "engine/machine/test_interrupted.py"),
        ),
        Promise("fork", "A forked process has workers of its own, and its children too.", ("engine/test_forks.py",)),
        Promise(
            "plans",
            "With TINYSEQ_CHECK=1 every plan is shown equal to its tape, element by element, before it runs; what has "
            "no plan runs on the reference executor, and a warning says so.",
            (
                "engine/validation/test_elements.py", "engine/validation/test_meaning.py",
                "engine/plan/test_plan_mutations.py", "engine/plan/test_mends_undone.py", "engine/test_fallback.py",
            ),
        ),
        Promise(
            "replays",
            "A replay of ts.compile gives what recording anew would: what the function read beside its arguments is "
            "compared before each, also what cells' methods, operators, decorators and imports read. Not seen, and so "
            "to be given as arguments: names that are computed, the inside of containers of more than 256 items, what "
            "lies behind C or a clock, and what the function itself counts.",
            (
                "replay/test_watch.py", "replay/test_watch_called.py", "replay/test_watch_structures.py",
                "replay/test_new_structures.py",
            ),
        ),
        Promise("memory", "What is kept of recordings and plans is bounded.", ("replay/test_kept.py",)),
        Promise("machine code", "Cached kernels are never those of other sources.", ("jit/test_jit.py",)),
    )  # fmt: skip


def figures(name: str) -> dict[str, Any]:
    """The figures of a file beside this one."""
    return dict(json.loads((files("tinyseq.checking") / f"{name}.json").read_text(encoding="utf-8")))


def markdown() -> str:
    """The page."""
    lines = ["| | what is promised | tested by (in `tests/`) |", "|---|---|---|"]
    for promise in promises():
        tests = " ".join(f"`{test}`" for test in promise.tests)
        lines.append(f"| {promise.subject} | {promise.words} | {tests} |")
    return "\n".join([*lines, "", searched(), "", mutated(), ""])


def searched() -> str:
    """What the search has seen."""
    found = figures("searched")
    kinds = found["kinds"]
    return (
        f"Programs searched: the last long searches ({found['date']}) ran {found['programs']:,} random "
        f"programs in 1, 2 and 3 threads: {kinds['same']:,} the same on both executors, {kinds['no plan']:,} "
        f"without a plan, {kinds['not recorded']:,} refused while recording, {kinds['tied']} that "
        f"compare numbers equal but for rounding, {found['wrong']} wrong."
    )


def mutated() -> str:
    """What the tests notice of small wrong changes."""
    found = figures("mutants")
    groups = ", ".join(f"{name} {g['killed']} of {g['mutants']}" for name, g in found["groups"].items())
    share = found["killed"] / found["mutants"]
    unexplained = sum(survivor["why"].startswith("not ") for survivor in found["survivors"])
    why = f"{unexplained} are not explained yet in" if unexplained else "each is explained in"
    return (
        f"Mutation score: of {found['mutants']} random small changes to the sources (seed {found['seed']}, "
        f"{found['date']}, commits {found['commit']}) quick tests of the changed part notice {found['killed']}, "
        f"{share:.0%} ({found['by_time_limit']} of them by running out of time): {groups}. Of the "
        f"{len(found['survivors'])} survivors {why} `tinyseq/checking/mutants.json`."
    )
