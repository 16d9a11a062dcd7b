"""``tinyseq draw`` and ``tinyseq gradcheck``: look into a cell, built in, saved, or the user's own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tinyseq import diagnose
from tinyseq.cli.console import check_output, files, say
from tinyseq.cli.targets import Example, find, users_code
from tinyseq.errors import TinyseqError
from tinyseq.tape import Tape
from tinyseq.train.checkpoints import writable_folder


class View(StrEnum):
    """How a net is drawn."""

    folded = "folded"
    unfolded = "unfolded"


class Detail(StrEnum):
    """What becomes a node of the picture."""

    box = "box"
    cell = "cell"
    units = "units"
    ops = "ops"


class Theme(StrEnum):
    """The colours of the picture."""

    light = "light"
    dark = "dark"
    auto = "auto"
    print = "print"


class Overlay(StrEnum):
    """What is measured and laid over the picture."""

    value = "value"
    gradient = "gradient"
    share = "share"
    saturation = "saturation"
    bytes = "bytes"
    nonfinite = "nonfinite"
    cuts = "cuts"
    levels = "levels"


class Moving(StrEnum):
    """What an animation shows."""

    unfolding = "unfolding"
    backward = "backward"


BACKWARD = (Overlay.gradient, Overlay.share, Overlay.nonfinite, Overlay.cuts)

Target = Annotated[
    str,
    typer.Argument(
        help="A built-in cell (rnn), a saved model's folder, or a cell of yours as file.py:Class.", metavar="TARGET"
    ),
]
Targets = Annotated[
    list[str],
    typer.Argument(
        help="A built-in cell (rnn), a saved model's folder, or a cell of yours as file.py:Class; of several, the "
        "graphs stand side by side.",
        metavar="TARGET",
    ),
]
Inputs = Annotated[
    int | None, typer.Option("--inputs", help="Input features of a cell that is built for this (default: 4).", min=1)
]
Hidden = Annotated[
    int | None, typer.Option("--hidden", help="Its hidden units (default: 3, or a unit for each group).", min=1)
]
Outputs = Annotated[int | None, typer.Option("--outputs", help="Its outputs (default: 4).", min=1)]
Batch = Annotated[int, typer.Option(help="Sequences side by side.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of weights and inputs.", min=0)]


def draw(
    targets: Targets,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File: .svg, .png, .pdf, .tex (TikZ) or .dot (default: VIEW.svg)."),
    ] = None,
    view: Annotated[View, typer.Option(help="One step with its delayed edges, or all steps.")] = View.unfolded,
    detail: Annotated[
        Detail,
        typer.Option(
            help="The cell as one box; its named nodes (cell); with gates and sums between them (units); or every "
            "primitive (ops).",
            metavar="box|cell|units|ops",
        ),
    ] = Detail.cell,
    steps: Annotated[int, typer.Option(help="Time steps; the middle of many is left out.", min=1)] = 5,
    gradients: Annotated[bool, typer.Option(help="Run backward, and colour by the gradients.")] = False,
    overlay: Annotated[
        Overlay | None,
        typer.Option(help=f"Colour and number the nodes by what is measured: {', '.join(Overlay)}.", metavar="WHAT"),
    ] = None,
    animate: Annotated[
        Moving | None, typer.Option(help="An SVG that moves: step after step, or back from the loss.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long it takes each time.", min=0.1, max=600)] = 6.0,
    title: Annotated[str, typer.Option(help="Words over the picture.")] = "",
    theme: Annotated[
        Theme, typer.Option(help="light; dark; print, black and grey on white; auto, as the reader's page.")
    ] = Theme.light,
    notes: Annotated[
        bool, typer.Option(help="Words beside the graph: shapes, parameters, how much is left out.")
    ] = True,
    legend: Annotated[bool, typer.Option(help="The legend of colours.")] = True,
    shapes: Annotated[bool, typer.Option(help="Shapes of values and parameters.")] = True,
    font: Annotated[str, typer.Option(help="A font for the labels (default: Times).")] = "",
    size: Annotated[float, typer.Option(help="Size of the labels in points; all else grows with it.")] = 15.0,
    dpi: Annotated[int, typer.Option(help="Dots per inch of a PNG.")] = 192,
    inputs: Inputs = None,
    hidden: Hidden = None,
    outputs: Outputs = None,
    batch: Batch = 1,
    seed: Seed = 0,
) -> None:
    """Draw a net's graph, folded or unfolded in time; of several nets their graphs side by side.

    Examples:

    tinyseq draw lstm --detail units -o lstm.pdf · tinyseq draw mine.py:Cell --view folded -o cell.tex

    tinyseq draw rnn lstm gru --view folded -o three.svg

    tinyseq draw rnn --animate unfolding -o steps.svg · tinyseq draw rnn --animate backward --seconds 8
    """
    from tinyseq import viz
    from tinyseq.viz.output.render import format_of, write

    path = check_output(out or Path(f"{view}.svg"))
    if format_of(path, None) != "svg" and animate:
        raise TinyseqError(f"--animate makes an SVG that moves, not {path.suffix}; write -o {path.with_suffix('.svg')}")
    backward = gradients or overlay in BACKWARD or animate == Moving.backward
    sizes = {"input_size": inputs, "hidden_size": hidden, "output_size": outputs}
    examples = [_example(t, sizes, steps, batch, np.random.default_rng(seed), view) for t in targets]
    tapes = [_recorded(target, example, backward) for target, example in zip(targets, examples, strict=True)]
    writable_folder(path.parent)
    things = tapes[0] if len(tapes) == 1 else _titled(examples, tapes)
    picture = viz.draw(
        things, view=view.value, detail=detail.value, overlay=overlay and overlay.value, title=title,
        gradients=gradients or (None if animate is None else False), theme=theme.value, notes=notes, legend=legend,
        shapes=shapes, font=font, size=size, dpi=dpi,
    )  # fmt: skip
    if animate:
        write(path, picture.animation(animate.value, seconds).encode())
    else:
        picture.save(path)
    what = f"{', '.join(e.title for e in examples)}, {view}"
    what += f", {examples[0].steps} steps" if view == View.unfolded else ""
    more = f", gradients of {examples[0].what}" if gradients else ""
    files([(path, what + (f", {animate}" if animate else f", {overlay}" if overlay else more))])


def _example(
    target: str, sizes: dict[str, int | None], steps: int, batch: int, rng: np.random.Generator, view: View
) -> Example:
    from tinyseq.viz.views.scratch import own_delays

    found = find(target, sizes, rng, np.float32)
    longest = max(own_delays(found.module))
    if view == View.folded and longest > 1:  # the step shown reads each of its delayed values from an earlier step
        steps = max(steps, 2 * longest + 3)
    return Example(found, steps, batch, rng)


def _recorded(target: str, example: Example, backward: bool) -> Tape:
    if backward:
        example.found.learned()
    with Tape() as tape, users_code(target):
        if backward:
            example.loss().backward()
        else:
            example.unfold()
    return tape


def _titled(examples: list[Example], tapes: list[Tape]) -> dict[str, Tape]:
    """Title → tape; the same net twice is numbered."""
    titled: dict[str, Tape] = {}
    for example, tape in zip(examples, tapes, strict=True):
        same = sum(title.split(" (")[0] == example.title for title in titled)
        titled[f"{example.title} ({same + 1})" if same else example.title] = tape
    return titled


def gradcheck(
    target: Target,
    steps: Annotated[int, typer.Option(help="Time steps.", min=1)] = 4,
    inputs: Inputs = None,
    hidden: Hidden = None,
    outputs: Outputs = None,
    batch: Batch = 2,
    seed: Seed = 0,
) -> None:
    """Check a net's gradients against central differences in float64. Exit code 1 if one is wrong."""
    rng = np.random.default_rng(seed)
    found = find(target, {"input_size": inputs, "hidden_size": hidden, "output_size": outputs}, rng, np.float64)
    example = Example(found, steps, batch, rng)
    with users_code(target):
        report = diagnose.gradcheck(example.loss, *found.learned(), rng=rng)
    say(f"{found.title}, {steps} steps, batch {batch}, {example.what}")
    say(str(report))
    if not report:
        raise typer.Exit(1)
