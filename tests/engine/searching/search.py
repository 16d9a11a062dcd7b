"""A search for wrong plans: random programs on both executors, in one, two and three threads.

    python -m tests.engine.searching.search --minutes 10 --seed 0 --out found

Programs are those of ``tinyseq.checking.writer_nets`` from seed on; they run in a worker process, so that one that
dies or hangs is only one more find. What fails is made small and written to ``OUT/<seed>.py``, a script that says in
its first line what differs; of finds that look alike only the first is kept. At the end come the number of programs
by how they went, by why there was no plan (with an example of each in ``OUT/refusals.md``), and by feature;
``OUT/counts.json`` adds them up over searches.

--minutes M    how long (default 1)          --count N   how many programs at most
--seed S       the first program's number    --threads   1, 2, 3 or a list such as 1,2,3 (default 1,2,3)
--one SEED     only this program: print its text and how it went
--verbose      say each find as it comes
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.checking.numbered import kind_of, program_of, tried, ways, without_numbers
from tinyseq.checking.programs import Program
from tinyseq.checking.running import Outcome
from tinyseq.checking.shrinking import Choices, shrink, simplify
from tinyseq.checking.writer_nets import whole

FINDS = ("differs", "verifier", "error", "died")
STUCK = 900  # seconds after which a program hangs


def ops(program: Program) -> str:
    """Which functions a program calls: programs alike in these and in what differs have one cause, most likely."""
    return " ".join(sorted(set(re.findall(r"ts\.(\w+)", program.source))))


class Cases:
    """Finds of this search, by what they look like."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.known = folder, set()  # type: ignore[var-annotated]
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("[0-9]*.json"):
            self.known.add(json.loads(path.read_text())["looks"])

    def keep(self, seed: int, choices: list[int], how: dict[str, Any], found: Outcome) -> str:
        """Shrink a find and write it down, if it is of a new kind; the file, or ""."""

        def alike(program: Program) -> bool:
            seen = (in_a_child if found.kind == "died" else tried)(program, **how)
            return seen.kind == found.kind and kind_of(seen.what) == kind_of(found.what)

        def fails(numbers: list[int]) -> bool:
            try:
                return alike(whole(Choices(numbers)))
            except RecursionError:
                return False

        program = simplify(whole(Choices(shrink(choices, fails, 20))), alike, 40)
        seen = (in_a_child if found.kind == "died" else tried)(program, **how)
        looks = f"{found.kind} {kind_of(seen.what)} {ops(program)}"
        if looks in self.known:
            return ""
        self.known.add(looks)
        stem = self.folder / str(seed)
        single = how["dtype"] == np.float32
        what = f"{seen.kind}: {seen.what}{' in float32' if single else ''}".replace("\n", " ").replace('"', "'")
        stem.with_suffix(".py").write_text(program.script(what, seen.threads))
        stem.with_suffix(".json").write_text(json.dumps({"looks": looks, "seed": seed}))
        return f"{stem}.py: {what}"


def in_a_child(program: Program, **how: Any) -> Outcome:
    """How a program goes in a process of its own, that may die."""
    child = os.fork()
    if child == 0:
        for _ in range(5):  # what is overwritten is not always missed
            tried(program, **how)
        os._exit(0)
    end = time.monotonic() + 20
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    return Outcome("died", f"the process dies with {code}", max(how["threads"])) if code else Outcome("same")


def work(first: int, last: int, threads: tuple[int, ...], folder: Path, until: float) -> None:
    """Run the programs of some numbers, and print one line of JSON for each."""
    cases = Cases(folder)
    for seed in range(first, last):
        if time.time() > until:
            break
        print(json.dumps({"at": seed}), flush=True)
        program, choices = program_of(seed)
        how = ways(seed, threads)
        found = tried(program, **how)
        told: dict[str, Any] = {"seed": seed, "kind": found.kind, "what": found.what, "threads": how["threads"]}
        told["features"] = sorted(program.features) + (["float32"] if how["dtype"] == np.float32 else [])
        if found.kind in FINDS:
            told["file"] = cases.keep(seed, choices, how, found)
        print(json.dumps(told), flush=True)


class Guard(threading.Thread):
    """Ends a worker that has said nothing for too long."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self.process, self.heard = process, time.time()
        self.start()

    def run(self) -> None:
        """Look once a second."""
        while self.process.poll() is None:
            time.sleep(1)
            if time.time() - self.heard > STUCK:
                self.process.kill()


class Search:
    """Workers one after the other, and the counts of what they say."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = Path(options.out)
        self.kinds: Counter[str] = Counter()
        self.features: Counter[str] = Counter()
        self.planned: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.examples: dict[str, int] = {}
        self.finds: list[str] = []
        self.threads: Counter[int] = Counter()

    def run(self) -> int:
        """Search until the time or the programs have run out; how many finds there are."""
        began = time.time()
        until = began + 60 * self.options.minutes
        seed, last = self.options.seed, self.options.seed + self.options.count
        while seed < last and time.time() < until:
            seed = self.worker(seed, min(seed + 5000, last), until)
        self.report(time.time() - began)
        return len(self.finds)

    def worker(self, first: int, last: int, until: float) -> int:
        """One process; the number after the last program that it was at."""
        command = [sys.executable, "-m", "tests.engine.searching.search", "--worker", str(first), str(last), str(until)]
        command += ["--threads", self.options.threads, "--out", str(self.folder)]
        at = first
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        ) as p:
            assert p.stdout is not None
            guard = Guard(p)
            done, begun = -1, False
            for told in map(json.loads, p.stdout):
                guard.heard = time.time()
                if "at" in told:
                    at, begun = told["at"], True
                else:
                    done = told["seed"]
                    self.count(told)
            code = p.wait()
        if code and not begun:
            raise SystemExit("a worker could not begin: see above")
        if code and done != at:
            self.died(at, code)
        return at + 1

    def count(self, told: dict[str, Any]) -> None:
        """Count what a worker said of a program."""
        self.kinds[told["kind"]] += 1
        self.features.update(told["features"])
        self.threads.update(told["threads"])
        if told["kind"] == "same":
            self.planned.update(told["features"])
        if told["kind"] in ("no plan", "not recorded"):
            key = f"{told['kind']}: {without_numbers(told['what'])[:100]}"
            self.refusals[key] += 1
            self.examples.setdefault(key, told["seed"])
        if told.get("file"):
            self.finds.append(told["file"])
            if self.options.verbose:
                print(told["file"], flush=True)

    def died(self, seed: int, code: int) -> None:
        """A program took its process with it: another makes it small."""
        what = "hangs" if code == -9 else f"the process dies with {code}"
        self.kinds["died"] += 1
        command = [
            sys.executable,
            "-m",
            "tests.engine.searching.search",
            "--died",
            str(seed),
            "--threads",
            self.options.threads,
        ]
        done = subprocess.run([*command, "--out", str(self.folder)], capture_output=True, text=True)
        told = done.stdout.strip()
        if not told:  # alone it lives: what it read or wrote beside its own lay elsewhere
            told = f"{self.folder / str(seed)}.py: {what}"
            (self.folder / f"{seed}.py").write_text(program_of(seed)[0].script(f"died: {what}, not when run alone", 2))
        self.finds.append(told)
        print(told, flush=True)

    def report(self, seconds: float) -> None:
        """Print the counts, and write those of the refusals down with examples."""
        total = sum(self.kinds.values())
        print(f"{total} programs in {seconds:.0f} s, from number {self.options.seed}")
        for kind, count in self.kinds.most_common():
            print(f"  {count:7d} {kind}")
        print("threads: " + ", ".join(f"{n}: {count}" for n, count in sorted(self.threads.items())))
        print("feature: programs, of these planned and the same")
        for feature, count in self.features.most_common():
            print(f"  {count:7d} {self.planned[feature]:7d} {feature}")
        print("not recorded or without a plan:")
        text = ["# Programs that were not recorded, or got no plan", ""]
        for key, count in self.refusals.most_common():
            print(f"  {count:7d} {key}")
            text += [f"## {count} of {total}: {key}", "", f"number {self.examples[key]}:", "```python"]
            text += [program_of(self.examples[key])[0].source, "```", ""]
        (self.folder / "refusals.md").write_text("\n".join(text))
        for line in self.finds:
            print(line)
        print(f"{len(self.finds)} finds")
        self.add_up(total)

    def add_up(self, total: int) -> None:
        """Add the counts of this search to those of searches before it, in ``OUT/counts.json``."""
        path = self.folder / "counts.json"
        sums: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        mine = {"kinds": self.kinds, "features": self.features, "planned": self.planned, "threads": self.threads}
        for key, counts in mine.items():
            sums[key] = dict(Counter(sums.get(key, {})) + Counter({str(k): n for k, n in counts.items()}))
        sums["programs"] = sums.get("programs", 0) + total
        path.write_text(json.dumps(sums, indent=1))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", default="1,2,3")
    parser.add_argument("--out", default="found")
    parser.add_argument("--one", type=int)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--died", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    threads = tuple(int(n) for n in options.threads.split(","))
    if options.worker:
        first, last, until = options.worker
        work(int(first), int(last), threads, Path(options.out), float(until))
        return 0
    if options.died is not None:
        program, choices = program_of(options.died)
        found = in_a_child(program, **ways(options.died, threads))
        if found.kind == "died":
            print(Cases(Path(options.out)).keep(options.died, choices, ways(options.died, threads), found))
        return 0
    if options.one is not None:
        program, _ = program_of(options.one)
        print(program.source, tried(program, **ways(options.one, threads)), sep="\n")
        return 0
    return int(Search(options).run() > 0)


if __name__ == "__main__":
    raise SystemExit(main())
