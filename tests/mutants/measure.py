"""Mutation score: of a random sample of small wrong changes to the sources, how many do the tests notice?

    python -m tests.mutants.measure --sample 75 --groups ops tape unfolding plan --seed 0 --folder /tmp/mutants

Everything happens in a copy of the tree in FOLDER; each mutant runs in a child of one process that has imported NumPy,
Numba and pytest already, in its own process group, with a time limit. Results are kept as they come in
``FOLDER/results.json``, so that a measurement that was interrupted goes on. ``--again`` runs the survivors once more,
with more tests. ``--into tinyseq/checking/mutants.json`` puts results together with the explanations of survivors that
the file has.

Machine code is found by its content and not by the sources' stamp, so that a mutant compiles only what it reaches; what
writes machine code itself (`WRITES_CODE`) is not told apart by content: its mutants compile all that they run.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from tests.mutants.mutator import Mutant, of_folder

ROOT = Path(__file__).parents[2]
GROUPS: dict[str, tuple[str, list[str], list[str]]] = {
    # the sources, the tests that speak of them, more tests for what survives
    "ops": (
        "tinyseq/ops",
        ["ops/test_kernels.py", "ops/test_every_op.py", "ops/test_sums.py", "ops/test_masks.py", "ops/test_verify.py"],
        ["ops", "functions", "nn/test_cells.py", "engine/test_agreement.py", "test_bad_input.py"],
    ),
    "tape": (
        "tinyseq/tape",
        ["tape", "engine/test_backward.py", "tensor/test_other_tapes.py", "functions/test_call_sites.py"],
        ["tape", "engine/test_backward.py", "replay/test_compile.py", "tensor", "diagnose/test_ledger.py", "functions",
         "test_bad_input.py"],
    ),
    "unfolding": (
        "tinyseq/unfolding",
        ["unfolding"],
        ["unfolding", "nn/test_rnn.py", "nn/test_recursive.py", "nn/test_time_scales.py", "test_bad_input.py",
         "replay/test_segments.py"],
    ),
    "plan": (
        "tinyseq/engine/plan",
        ["engine/plan/test_golden.py", "engine/searching/test_search.py"],
        ["engine/plan/test_explain.py", "engine/plan/test_plan_mutations.py", "engine/plan/test_mends_undone.py",
         "engine/plan/test_joined_columns.py", "engine/plan/test_starts_and_picks.py", "engine/plan/test_unread.py",
         "engine/plan/test_shared_by_members.py", "engine/plan/test_members_differ.py", "engine/plan/test_free_form.py",
         "engine/plan/test_plan_memory.py", "engine/machine/test_sharing.py", "engine/test_agreement_tapes.py"],
    ),
}  # fmt: skip
SECONDS = 60
SLOW = "not without_the_jit and not random_programs_agree and not add_up"
WRITES_CODE = ("ops/elementary.py", "ops/float_bits.py", "ops/float_formats.py", "ops/op.py", "ops/elementwise.py")
COMPILING = 600  # the time limit of those
AGAIN = 400  # the time limit of more tests
FIRST = ["-k", f"not Planned and {SLOW}"]  # the reference alone; what survives meets the compiled executor too
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no"]


def sample(root: Path, group: str, count: int, seed: int) -> list[Mutant]:
    """So many changes of a group's sources, at random."""
    found = of_folder(root, GROUPS[group][0])
    return random.Random(f"{seed} {group}").sample(found, min(count, len(found)))


def copied(folder: Path) -> Path:
    """The tree's sources and tests, in the folder."""
    tree = folder / "tree"
    if not tree.exists():
        for name in ("tinyseq", "viz", "tests", "examples"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, tree / name)
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
        (folder / "commit").write_text(head.stdout.strip())
    return tree


def run_tests(tree: Path, tests: list[str], log: Path, seconds: float = SECONDS, stamp: str = "") -> str:
    """Run tests of a copied tree in a child process: "" when they pass, else what failed. Machine code is that of the
    stamp."""
    child = os.fork()
    if child == 0:
        os.setsid()
        _in_child(tree, tests, log, stamp)
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "time limit"
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", log.read_text(errors="replace"), re.MULTILINE)
    return failed[1] if failed else ("import" if code == 99 else f"exit {code}")


def _in_child(tree: Path, tests: list[str], log: Path, stamp: str) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 99
    try:
        os.chdir(tree)
        sys.path[:] = [str(tree), *[p for p in sys.path if p and Path(p) != ROOT]]
        for name in [n for n in sys.modules if n.split(".")[0] in ("tests", "tinyseq")]:
            del sys.modules[name]
        sys.dont_write_bytecode = "baseline" not in log.name
        import pytest

        import tinyseq.jit.cache as cache

        assert str(tree) in str(cache.__file__)
        cache.source_stamp = lambda: stamp or "0" * 24  # type: ignore[assignment]
        code = int(pytest.main([*OPTIONS, *tests]))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def tried(tree: Path, mutant: Mutant, tests: list[str], folder: Path, seconds: float = SECONDS) -> str:
    """What notices a mutant, or "" when it survives."""
    path = tree / mutant.path
    source = path.read_bytes()
    for old in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        old.unlink()
    changed = mutant.applied(source)
    path.write_bytes(changed)
    log = folder / "mutant.log"
    try:
        if mutant.path.endswith(WRITES_CODE):
            return run_tests(tree, tests, log, COMPILING, hashlib.sha256(changed).hexdigest()[:24])
        return run_tests(tree, tests, log, seconds)
    finally:
        path.write_bytes(source)


class Results:
    """Results as they come, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def has(self, mutant: Mutant) -> bool:
        """Whether a mutant was tried before."""
        return any(
            r["path"] == mutant.path and (r["start"], r["text"]) == (mutant.start, mutant.text) for r in self.found
        )

    def add(self, group: str, mutant: Mutant, by: str, seconds: float) -> None:
        """Keep one."""
        self.found.append({"group": group, **asdict(mutant), "by": by, "seconds": round(seconds, 1)})
        self.save()

    def save(self) -> None:
        """Write all."""
        self.path.write_text(json.dumps(self.found, indent=1))


def measure(folder: Path, groups: list[str], count: int, seed: int) -> None:
    """Try a sample of each group."""
    tree, results = copied(folder), Results(folder / "results.json")
    for group in groups:
        tests = [f"tests/{t}" for t in GROUPS[group][1]]
        failed = run_tests(tree, tests + FIRST, folder / "baseline.log", 900)
        if failed:
            raise SystemExit(f"without any change the tests of {group} fail: {failed}; see {folder / 'baseline.log'}")
        for mutant in sample(tree, group, count, seed):
            if not results.has(mutant):
                began = time.monotonic()
                by = tried(tree, mutant, tests + FIRST, folder)
                results.add(group, mutant, by, time.monotonic() - began)
                print(group, f"{mutant.path}:{mutant.line}", mutant.kind, by or "SURVIVES", flush=True)


def again(folder: Path) -> None:
    """Try survivors with more tests."""
    tree, results = copied(folder), Results(folder / "results.json")
    for found in [r for r in results.found if not r["by"]]:
        mutant = Mutant(**{k: found[k] for k in Mutant.__dataclass_fields__})
        tests = [f"tests/{t}" for t in GROUPS[found["group"]][2]]
        found["by"] = tried(tree, mutant, [*tests, "-k", "not without_the_jit and not add_up"], folder, AGAIN)
        results.save()
        print(f"{mutant.path}:{mutant.line}", mutant.kind, found["by"] or "SURVIVES", flush=True)


def store(folders: list[Path], into: Path, seed: int) -> None:
    """Put results into a file of the tree, beside the explanations that it has."""
    found = [r for folder in folders for r in Results(folder / "results.json").found]
    before = json.loads(into.read_text()) if into.exists() else {}
    explained = {key(s): s["why"] for s in before.get("survivors", ()) if s.get("why")}
    survivors = [
        {k: r[k] for k in ("group", "path", "line", "kind", "before", "text")} | {"why": explained.get(key(r), "")}
        for r in found
        if not r["by"]
    ]
    commits = dict.fromkeys((f / "commit").read_text() for f in folders)
    totals, killed = Counter(r["group"] for r in found), Counter(r["group"] for r in found if r["by"])
    into.write_text(
        json.dumps(
            {
                "date": date.today().isoformat(),
                "commit": ", ".join(commits),
                "seed": seed,
                "mutants": len(found),
                "killed": sum(killed.values()),
                "by_time_limit": sum(r["by"] == "time limit" for r in found),
                "groups": {g: {"mutants": totals[g], "killed": killed[g]} for g in totals},
                "kinds": dict(Counter(r["kind"] for r in found).most_common()),
                "survivors": survivors,
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def key(found: dict[str, Any]) -> str:
    """What a survivor is known by: its place may move."""
    return " ".join(str(found[k]) for k in ("path", "kind", "before", "text"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=75, help="mutants of each group")
    parser.add_argument("--groups", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, nargs="+", help="several only with --into")
    parser.add_argument("--into", type=Path)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    folder = options.folder[0]
    folder.mkdir(parents=True, exist_ok=True)
    import numba  # noqa: F401  what every child needs is imported once
    import numpy  # noqa: F401
    import pytest  # noqa: F401

    if options.into:
        store(options.folder, options.into, options.seed)
    elif options.again:
        again(folder)
    else:
        measure(folder, options.groups, options.sample, options.seed)


if __name__ == "__main__":
    main()
