"""``tinyseq step``: a net's forward pass, backward pass and update as a page to walk through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tinyseq.cli.console import check_output, files
from tinyseq.cli.look import Batch, Hidden, Inputs, Outputs, Seed, Target
from tinyseq.cli.targets import Example, find, users_code
from tinyseq.errors import TinyseqError
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.train.checkpoints import writable_folder


def step(
    target: Target,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("bptt.html"),
    compare: Annotated[
        str | None, typer.Option(help="A second net on inputs of the same sizes, to switch to.", metavar="TARGET")
    ] = None,
    steps: Annotated[int, typer.Option(help="Time steps.", min=1)] = 12,
    inputs: Inputs = None,
    hidden: Hidden = None,
    outputs: Outputs = None,
    batch: Batch = 1,
    seed: Seed = 0,
    learning_rate: Annotated[float, typer.Option(help="Step of the update that is shown.")] = 0.1,
) -> None:
    """Walk through backpropagation in time: one offline HTML page.

    Open the page in a browser: arrow keys step through forward, backward and update, with the numbers in every
    equation and a ledger of the terms of each weight's gradient. The page computes: change a weight, an input or a
    target, turn the spectral radius, cut an arrow, train, and everything follows.
    """
    from tinyseq.viz.stepper import to_html

    if out.suffix.lower() not in (".html", ".htm"):
        raise TinyseqError(f"the page is HTML: write a file name that ends in .html, e.g. bptt.html; got {out}")
    check_output(out)
    sizes = {"input_size": inputs, "hidden_size": hidden, "output_size": outputs}
    loss, what = _recorded(target, sizes, steps, batch, seed)
    other = None
    if compare is not None:
        other = {compare: _recorded(compare, sizes, steps, batch, seed)[0]}
    writable_folder(out.parent)
    to_html(loss.tape, out, loss=loss, title=target, compare=other, learning_rate=learning_rate)
    against = f" and {compare}" if compare else ""
    files([(out, f"{target}{against}, {steps} steps, {what}; open it in a browser")])


def _recorded(target: str, sizes: dict[str, int | None], steps: int, batch: int, seed: int) -> tuple[Tensor, str]:
    """The example loss of a target, recorded, and what the loss is in words."""
    rng = np.random.default_rng(seed)
    found = find(target, sizes, rng, np.float32)
    found.learned()
    example = Example(found, steps, batch, rng)
    with Tape(), users_code(target):
        return example.loss(), example.what
