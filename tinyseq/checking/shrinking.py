"""What is left of a program that fails when all is taken away that can be: first of its choices, then of its text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from tinyseq.checking.programs import Program


class Choices:
    """Answers ``pick(n)`` from a list, modulo n; 0 once the list has ended. ``taken`` is what was answered."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers, self.taken = list(numbers), []  # type: ignore[var-annotated]

    def __call__(self, n: int) -> int:
        place = len(self.taken)
        self.taken.append(self.numbers[place] % n if place < len(self.numbers) else 0)
        return int(self.taken[-1])


def seeded(seed: int) -> Callable[[int], int]:
    """``pick`` from a generator, keeping what it answers in ``taken``."""
    rng = np.random.default_rng(seed)
    taken: list[int] = []

    def pick(n: int) -> int:
        taken.append(int(rng.integers(n)))
        return taken[-1]

    pick.taken = taken  # type: ignore[attr-defined]
    return pick


def shrink(choices: Sequence[int], fails: Callable[[list[int]], bool], seconds: float = 60) -> list[int]:
    """A list of choices for which ``fails`` still holds, and none of the changes tried makes it smaller."""
    best, end = list(choices), time.monotonic() + seconds

    def better(tried: list[int]) -> bool:
        nonlocal best
        if time.monotonic() < end and (len(tried), tried) < (len(best), best) and fails(tried):
            best = tried
            return True
        return False

    size = 0
    while (len(best), sum(best)) != size and time.monotonic() < end:
        size = len(best), sum(best)  # type: ignore[assignment]
        for width in (32, 16, 8, 4, 2, 1):
            place = len(best) - width
            while place >= 0 and time.monotonic() < end:
                if not better(best[:place] + best[place + width :]):
                    better(best[:place] + [0] * width + best[place + width :])
                place -= max(width // 2, 1)
        for place in range(len(best)):
            for value in (0, best[place] // 2, best[place] - 1) if place < len(best) else ():
                if 0 <= value < best[place] and better([*best[:place], value, *best[place + 1 :]]):
                    break
    return best


ASSIGNED = re.compile(r"^(\s+)([a-zA-Z]\w*) = (.*)$")


def simplify(program: Program, fails: Callable[[Program], bool], seconds: float = 30) -> Program:
    """A program that still fails, with lines and terms taken out of its text."""
    end, again = time.monotonic() + seconds, True
    while again:
        again = False
        for source in simpler(program.source):
            if time.monotonic() > end:
                return program
            tried = trimmed(replace(program, source=source))
            if fails(tried):
                program, again = tried, True
                break
    return program


def simpler(source: str) -> Iterator[str]:
    """The text without one of its lines: dropped where nothing reads it, else with one of its operands in its place."""
    lines = source.split("\n")
    for place in range(len(lines) - 1, 0, -1):
        rest = lines[:place] + lines[place + 1 :]
        if lines[place].rstrip().endswith(":"):
            yield "\n".join(without_block(lines, place))
        if (found := ASSIGNED.match(lines[place])) is None:
            if not lines[place].strip().startswith(("return", "def", "class", "for")):
                yield "\n".join(rest)
            continue
        name, text = found[2], found[3]
        uses = re.compile(rf"\b{name}\b")
        if not any(uses.search(line) for line in rest):
            yield "\n".join(rest)
            continue
        if name == "loss":
            terms = text.split(" + ")
            for k in range(len(terms)):
                if len(terms) > 1:
                    shorter = f"{found[1]}loss = {' + '.join(terms[:k] + terms[k + 1 :])}"
                    yield "\n".join([*lines[:place], shorter, *lines[place + 1 :]])
            continue
        for other in dict.fromkeys(re.findall(r"(?<![\w.])[a-zA-Z]\w*\b(?!\s*[(=])", text)):
            if other not in ("ts", "np", "DTYPE", "reduction", name):
                yield "\n".join(uses.sub(other, line) for line in rest)


def without_block(lines: list[str], place: int) -> list[str]:
    """The lines without the one at a place and those that belong to it."""

    def depth(line: str) -> int:
        return len(line) - len(line.lstrip())

    last = place + 1
    while last < len(lines) and lines[last] and depth(lines[last]) > depth(lines[place]):
        last += 1
    return lines[:place] + lines[last:]


def trimmed(program: Program) -> Program:
    """The same without parameters, constants and arguments that its text does not read."""
    body = program.source.partition("\n")[2]
    words = set(re.findall(r"\w+", body))
    inputs = {k: v for k, v in program.inputs.items() if k in words}
    return replace(
        program,
        source=f"def program({', '.join(inputs)}):\n{body}",
        parameters={k: v for k, v in program.parameters.items() if k in words},
        constants={k: v for k, v in program.constants.items() if k in words},
        inputs=inputs,
    )
