"""The lessons as a notebook: for each its question, the code of its run to unfold, and a cell that runs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tinyseq.viz.lessons.lesson import Lesson

INTRODUCTION = """# Backpropagation through time: twelve questions

Each cell answers one question by a short run on a real tape: a table, what is seen in three sentences, and pictures.
Unfold *the run* to read the code; change it by copying it into a cell of your own."""
START = "from tempfile import mkdtemp\n\nfrom tinyseq.viz.lessons import lesson\n\nfolder = mkdtemp()  # for pictures"


def notebook(lessons: Sequence[Lesson]) -> str:
    """The text of an .ipynb file (nbformat 4.5), without outputs."""
    cells = [_cell("markdown", "introduction", INTRODUCTION), _cell("code", "start", START)]
    for one in lessons:
        code = f"<details><summary>the run</summary>\n\n```python\n{one.code()}\n```\n\n</details>"
        cells.append(_cell("markdown", f"question-{one.number}", f"## {one.number}. {one.question}\n\n{code}"))
        cells.append(_cell("code", f"answer-{one.number}", f"lesson({one.number})(folder)"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(kind: str, name: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
