"""The look of every picture, in one place: sizes, fonts, colours that colour-blind readers can tell apart, dark mode.

Fills are paper tints and strokes carry the meaning, so that a picture survives a photocopier. Colours are from Okabe
and Ito's palette; the heat scale runs over lightness, monotonously.
"""

from __future__ import annotations

from math import log10
from unicodedata import combining

MATH_FONT = "Times,serif"
TEXT_FONT = "Helvetica,Arial,sans-serif"
LABEL_SIZE, SCRIPT_SIZE, NOTE_SIZE, BADGE_SIZE = 15.0, 9.5, 9.0, 8.5

CIRCLE = 40.0  # smallest diameter of a unit, points
SIGN, SIGN_SIZE = 27.0, 12.0  # of an op without a name
ROW_GAP, COLUMN_GAP = 34.0, 44.0  # clear space between units
OP_ROW_GAP, OP_COLUMN_GAP, OP_NODE_GAP = 26.0, 54.0, 14.0
DELAY_SQUARE, LOOP_REACH = 9.0, 30.0
GRID_CELL, GRID_GAP = 22.0, 5.0  # cells of a unit that is drawn as a grid
ARROW = 7.0
DPI = 192  # dots per inch of a PNG
MARGIN = 8.0

INK, PAPER, MUTED = "#1a1a1a", "#ffffff", "#5f6670"
RECURRENT = "#0072b2"
CUT = "#d55e00"
FIXED = "#7a818b"
FILLS = {
    "data": "#eef0f2",
    "state": "#dcebf7",
    "initial": "#ffffff",
    "unit": "#ffffff",
    "loss": "#fff3d6",
    "op": "#ffffff",
    "box": "#dcebf7",
    "parameter": "#fdebd9",
    "constant": "#f6f6f6",
    "ellipsis": "#ffffff",
}
STROKES = {"parameter": "#a65200", "ellipsis": "#5f6670", "constant": "#5f6670"}

# From light to dark, so that it also reads in grey: ColorBrewer's YlGnBu, safe for all common colour blindness.
HEAT = ("#ffffd9", "#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#0c2c84")
# White is kept for what was not computed: a number that is exactly 0 has a colour of its own, not one of the scale.
NO_GRADIENT, EXACTLY_ZERO, NOT_FINITE, GRADIENT_NOT_FINITE = "#ffffff", "#b4b8be", "#d55e00", "#f2b27c"

NUMERALS = """
.tinyseq text { font-variant-numeric: lining-nums; }
"""
STYLESHEET = """
.tinyseq text { font-variant-numeric: lining-nums; }
@media (prefers-color-scheme: dark) {
  .tinyseq .paper { fill: #14171c; }
  .tinyseq .ink text, .tinyseq .edge text { fill: #e8eaed; }
  .tinyseq .note text { fill: #a4abb5; }
  .tinyseq .ink ellipse, .tinyseq .ink path, .tinyseq .ink polygon { stroke: #e8eaed; }
  .tinyseq .edge path { stroke: #c9ced6; }
  .tinyseq .edge polygon { stroke: #c9ced6; fill: #c9ced6; }
  .tinyseq .recurrent path { stroke: #56b4e9; }
  .tinyseq .recurrent polygon { stroke: #56b4e9; fill: #56b4e9; }
  .tinyseq .fixed path { stroke: #8b939e; }
  .tinyseq .fixed polygon { stroke: #8b939e; fill: #8b939e; }
  .tinyseq .cut path { stroke: #f0a35e; }
  .tinyseq .cut polygon { stroke: #f0a35e; fill: #f0a35e; }
  .tinyseq .unit.ink ellipse, .tinyseq .unit.ink path, .tinyseq .op.ink path, .tinyseq .initial.ink ellipse,
  .tinyseq .initial.ink path, .tinyseq .ellipsis.ink ellipse, .tinyseq .ellipsis.ink path,
  .tinyseq .constant.ink path { fill: #14171c; }
  .tinyseq .data.ink ellipse, .tinyseq .data.ink path { fill: #2a2f37; }
  .tinyseq .state.ink ellipse, .tinyseq .state.ink path, .tinyseq .box.ink path { fill: #17344b; }
  .tinyseq .state.ink polygon { fill: #14171c; }
  .tinyseq .loss.ink ellipse, .tinyseq .loss.ink path { fill: #4a3a10; }
  .tinyseq .parameter.ink path { fill: #43290f; stroke: #e69f00; }
  .tinyseq .heat ellipse, .tinyseq .heat path { stroke: #e8eaed; }
  .tinyseq .delay polygon { fill: #e8eaed; stroke: #e8eaed; }
  .tinyseq .delay text { fill: #14171c; }
  .tinyseq .note path, .tinyseq .note polygon { stroke: none; }
  .tinyseq .frame path { stroke: #a4abb5; }
}
@media print { .tinyseq .paper { fill: #ffffff; } }
"""


def text_width(text: str, size: float) -> float:
    """Rough width in points of text in a proportional font; errs on the wide side."""
    em = 0.0
    for c in text:
        if combining(c):
            continue
        if c in "iljtfI.,:;|'!()[]{} ·":
            em += 0.36
        elif c in "mwMW—…⋯→∂" or ord(c) > 0x2E80:
            em += 0.98
        elif c.isupper() or c in "×+−=<>&%@#‖∞":
            em += 0.74
        else:
            em += 0.56
    return em * size


def heat_colour(norm: float, low: float, high: float) -> str:
    """Colour of a gradient norm on a log scale from ``low`` to ``high`` (both > 0)."""
    if norm != norm or norm in (float("inf"), float("-inf")):
        return NOT_FINITE
    if norm <= 0:
        return EXACTLY_ZERO
    span = log10(high) - log10(low)
    at = (log10(norm) - log10(low)) / span if span > 0 else 1.0
    return _between(min(max(at, 0.0), 1.0))


def share_colour(share: float) -> str:
    """Colour of a share, 0 to 1, on the same scale, linear; one that is exactly 0 or not a number has its own."""
    if share == 0:
        return EXACTLY_ZERO
    if share != share or share in (float("inf"), float("-inf")):
        return NOT_FINITE
    return _between(min(max(share, 0.0), 1.0))


def _between(at: float) -> str:
    place = at * (len(HEAT) - 1)
    i = min(int(place), len(HEAT) - 2)
    mix = place - i
    pairs = zip(_rgb(HEAT[i]), _rgb(HEAT[i + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * mix):02x}" for a, b in pairs)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def ink_on(fill: str) -> str:
    """Black or white text, whichever reads better on a fill (relative luminance of WCAG 2)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in _rgb(fill)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.2 else PAPER
