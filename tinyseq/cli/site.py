"""``tinyseq site``: the chapter, the lessons and the reference as static pages that compute."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Annotated

import typer

from tinyseq.cli.console import check_output, files, say
from tinyseq.train.checkpoints import writable_folder

RESULTS = Path(__file__).parents[2] / "examples" / "results"  # in a copy of the sources


def site(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pages.")] = Path("site"),
) -> None:
    """Write the whole site: chapter 10 by sections, lessons, gallery, guides, API, benchmark, results, guarantees.

    Static pages from live code, for a browser without a network: every block of code is run, every link is checked.
    Takes some minutes; needs the extra [site].
    """
    from tinyseq.checking.guarantees import markdown
    from tinyseq.viz.site import build

    writable_folder(check_output(out, folder=True))
    pages = build(out, benchmark=_measured(), guarantees=markdown(), results=_results, told=say)
    files([(out / "index.html", f"{len(pages)} pages: open it in a browser")])


def _results(names: Sequence[str]) -> str:
    """What is kept of experiments whose names begin so, or of all, with their notes; "" where nothing is."""
    from tinyseq.results.registry import EXPERIMENTS
    from tinyseq.results.report import lines, markdown, notes
    from tinyseq.results.store import kept

    chosen = [each for name, each in EXPERIMENTS.items() if not names or name.startswith(tuple(names))]
    made = lines(chosen, kept(RESULTS) if RESULTS.is_dir() else [])
    if not made:
        return ""
    told = "" if names else "\n\n" + "\n".join(f"- {name}: {note}" for name, note in notes(made))
    return markdown(made) + told


def _measured() -> str:
    """The benchmark as the README tells it, "" where there is none."""
    beside = Path(__file__).parents[2] / "README.md"
    try:
        text = beside.read_text("utf-8") if beside.exists() else str(metadata("tinyseq").json.get("description", ""))
    except PackageNotFoundError:
        return ""
    found = re.search(r"^## How fast\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""
