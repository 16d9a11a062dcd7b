"""Contact sheets, to be looked at: each net in every view and detail as it comes out as PNG.

python -m tests.viz.sheets FOLDER [--theme print] [--nets LSTM "EncoderDecoder, attention"] writes two PNGs for each
net: one of its cells, units and boxes, one of its primitives.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

import tinyseq as ts
from tests.viz import own_nets, package_nets
from tinyseq.viz import draw

NETS = {**package_nets.NETS, **own_nets.NETS}
SHEETS = {
    "cells": (
        (("folded", "cell"), ("folded", "units"), ("folded", "box")),
        (("unfolded", "cell"), ("unfolded", "box")),
        (("unfolded", "units"),),
    ),
    "ops": ((("folded", "ops"),), (("unfolded", "ops"),)),
}
GAP, HEAD = 24, 20

Place = tuple[str, str]  # view, detail


def picture(tape: ts.Tape, place: Place, theme: str) -> Image.Image:
    """One picture under its name."""
    view, detail = place
    data = draw(tape, view=view, detail=detail, theme=theme, dpi=100).png
    image = Image.open(BytesIO(data)).convert("RGB")
    whole = Image.new("RGB", (image.width, image.height + HEAD), "white")
    whole.paste(image, (0, HEAD))
    ImageDraw.Draw(whole).text((2, 4), f"{view}, {detail}", fill="#b00")
    return whole


def sheet(tape: ts.Tape, rows: Sequence[Sequence[Place]], theme: str) -> Image.Image:
    """Rows of pictures."""
    made = [[picture(tape, place, theme) for place in row] for row in rows]
    width = max(sum(i.width + GAP for i in row) for row in made)
    whole = Image.new("RGB", (width, sum(max(i.height for i in row) + GAP for row in made)), "white")
    y = 0
    for row in made:
        x = 0
        for image in row:
            whole.paste(image, (x, y))
            x += image.width + GAP
        y += max(i.height for i in row) + GAP
    return whole


def main() -> None:
    """Read the command line, write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="light")
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS), metavar="NET")
    parser.add_argument("--sheets", nargs="+", choices=list(SHEETS), default=list(SHEETS))
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.nets:
        tape = NETS[name](7 if name == "delay_line" else given.steps)
        for kind in given.sheets:
            path = given.folder / f"{name.replace(', ', '_').replace(' ', '_')}-{kind}-{given.theme}.png"
            sheet(tape, SHEETS[kind], given.theme).save(path)


if __name__ == "__main__":
    main()
