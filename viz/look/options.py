"""What an author can ask of the look of a picture, and the palettes of the themes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinyseq.errors import TinyseqError
from tinyseq.viz.look import style

THEMES = ("light", "dark", "auto", "print")


@dataclass(frozen=True)
class Palette:
    """The colours of a theme; ``edge`` of arrows, ``fills`` and ``strokes`` of nodes by role."""

    ink: str = style.INK
    paper: str = style.PAPER
    muted: str = style.MUTED
    edge: str = style.INK
    recurrent: str = style.RECURRENT
    cut: str = style.CUT
    fixed: str = style.FIXED
    fills: dict[str, str] = field(default_factory=lambda: dict(style.FILLS))
    strokes: dict[str, str] = field(default_factory=lambda: dict(style.STROKES))


_DARK = {"data": "#2a2f37", "state": "#17344b", "box": "#17344b", "loss": "#4a3a10", "parameter": "#43290f"}
_GREY = {"data": "#ececec", "state": "#d9d9d9", "box": "#d9d9d9", "loss": "#ececec"}
PALETTES = {
    "light": Palette(),
    "auto": Palette(),
    "dark": Palette(
        "#e8eaed", "#14171c", "#a4abb5", "#c9ced6", "#56b4e9", "#f0a35e", "#8b939e",
        {role: _DARK.get(role, "#14171c") for role in style.FILLS},
        {"parameter": "#e69f00", "ellipsis": "#a4abb5", "constant": "#a4abb5"},
    ),
    "print": Palette(
        "#000000", "#ffffff", "#404040", "#000000", "#000000", "#000000", "#6e6e6e",
        {role: _GREY.get(role, "#ffffff") for role in style.FILLS}, {},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Theme; whether notes, legend and shapes are written; font and size of the labels in points; dots per inch."""

    theme: str = "light"
    notes: bool = True
    legend: bool = True
    shapes: bool = True
    font: str = ""
    size: float = style.LABEL_SIZE
    dpi: int = style.DPI

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise TinyseqError(f"theme is {' or '.join(map(repr, THEMES))}, got {self.theme!r}")
        _number("size", self.size, 4, 100, "points of the labels, usually 15")
        _number("dpi", self.dpi, 20, 2400, "dots per inch of a PNG, usually 192")
        if not isinstance(self.font, str) or any(c in self.font for c in "\"'<>&;{}\\"):
            raise TinyseqError(f"font is the name of a font, as 'Georgia'; got {self.font!r}")

    @property
    def palette(self) -> Palette:
        """The colours of the theme."""
        return PALETTES[self.theme]

    @property
    def scale(self) -> float:
        """How much larger than usual everything is drawn."""
        return self.size / style.LABEL_SIZE


def _number(what: str, given: Any, low: float, high: float, words: str) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not low <= given <= high:
        raise TinyseqError(f"{what} is a number from {low} to {high}, {words}; got {given!r}")
