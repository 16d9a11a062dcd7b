"""What the scripts of the lessons share: the options of all examples, and the answer printed with its pictures."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # of examples/common.py

from common import options

from tinyseq.viz.lessons import lesson


def answer(number: int, doc: str | None) -> None:
    """Answer a question by its run, which takes seconds in every form; print the table, sentences and pictures."""
    found = lesson(number)(options(doc).output)
    print(found)
    for path, what in found.pictures.items():
        print(f"{path}: {what}")
