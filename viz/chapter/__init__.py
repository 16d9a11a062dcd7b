"""The figures of chapter 10, drawn from live cells and tapes: ``figure("10.3").picture()``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyseq.errors import TinyseqError
from tinyseq.viz.chapter import deep, gated, graphical, memory, plotted, recurrent, recursive, unfolding, wider
from tinyseq.viz.chapter.figure import Figure, file_name
from tinyseq.viz.chapter.gallery import ending, page
from tinyseq.viz.output.render import write

_modules = (unfolding, recurrent, graphical, wider, deep, recursive, gated, memory, plotted)
FIGURES: dict[str, Any] = {
    f.number: f
    for f in sorted((f for module in _modules for f in module.FIGURES), key=lambda f: int(f.number.split(".")[1]))
}


def figure(number: str) -> Any:
    """A figure by its number, "10.3" or "3". Raises TinyseqError naming the figures there are."""
    wanted = str(number).strip().lower().removeprefix("figure").removeprefix("fig").strip(" .")
    found = FIGURES.get(wanted) or FIGURES.get(f"10.{wanted}")
    if found is None:
        raise TinyseqError(f"no figure {number!r}; figures are {', '.join(FIGURES)}")
    return found


def write_all(folder: Path) -> list[tuple[Path, str]]:
    """Draw every figure into a folder, and the gallery; returns what was written and what it is.

    Pictures are SVG; a plot whose SVG is large (a surface of thousands of polygons) is a PNG.
    """
    pictures = {number: found.picture() for number, found in FIGURES.items()}
    written = [
        (picture.save(folder / f"{file_name(number)}.{ending(picture)}"), f"figure {number}: {FIGURES[number].title}")
        for number, picture in pictures.items()
    ]
    return [
        *written,
        (write(folder / "index.html", page(FIGURES, pictures).encode()), "all of them with equations and code"),
    ]


__all__ = ["FIGURES", "Figure", "figure", "file_name", "write_all"]
