"""``to_html``: a tape as one offline HTML file that plays its backward pass."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.errors import GradientError, TapeError, TinyseqError
from tinyseq.tape import INT64, Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.viz.look import labels, style
from tinyseq.viz.output.render import write
from tinyseq.viz.stepper.order import MOST_NODES
from tinyseq.viz.stepper.pool import script_json
from tinyseq.viz.stepper.run import Run
from tinyseq.viz.stepper.scripts import ops_script, without_script
from tinyseq.viz.stepper.still import still

ONLY_COMPUTING = re.compile(r"<!--\(computes-->.*?<!--computes\)-->", re.DOTALL)
BUDGET = 2 * 1024 * 1024  # bytes of data on a page
ALWAYS = ("executor.js", "data.js", "gradient.js", "words.js", "graph.js", "panels.js")
SHOWING = ("now.js", "scenes.js", "paper.js", "inside.js", "cards.js", "address.js", "moving.js", "main.js")
COMPUTING = (  # of pages that compute; others get ``state.js`` alone
    "live.js", "state.js", "eigenvalues.js", "editor.js", "python.js", "counting.js", "sequences.js", "lengths.js",
    "knobs.js", "training.js", "bands.js", "tasks.js", "beside.js",
)  # fmt: skip


def to_html(
    tape: Tape,
    path: str | os.PathLike[str],
    *,
    loss: Tensor | str | None = None,
    title: str = "",
    compare: Tensor | Mapping[str, Tensor] | None = None,
    learning_rate: float = 0.1,
) -> Path:
    """Write the stepper of a tape: one HTML file, offline, to be walked forward, backward and through the update.

    The page computes: it holds the graph and the numbers of its leaves, and values, gradients and ledgers follow when
    they are changed. Where it cannot hold the whole, or an op has no JavaScript, it shows stored numbers and says so.

    loss           the scalar to differentiate, or its name; by default the one scalar that nothing else reads
    compare        another loss, or {title: loss}, on this or another tape: the page switches between the runs
    learning_rate  step of the update shown, θ ← θ − η ∂L/∂θ; the parameters themselves are not changed

    Runs ``backward`` of each loss, which sets the gradients. Raises TinyseqError for a loss that is not there, not a
    scalar or depends on no parameter, FileError for a path that cannot be written. Returns the path.
    """
    return write(path, step_page(tape, loss=loss, title=title, compare=compare, learning_rate=learning_rate).encode())


def step_page(
    tape: Tape,
    *,
    loss: Tensor | str | None = None,
    title: str = "",
    compare: Tensor | Mapping[str, Tensor] | None = None,
    learning_rate: float = 0.1,
    budget: int = BUDGET,
    notebook: bool = False,
) -> str:
    """The text of the page that ``to_html`` writes; ``budget`` bounds its data in bytes.

    In a ``notebook`` it tells the frame that it stands in what is changed.
    """
    if not np.isfinite(learning_rate):
        raise TinyseqError(f"learning_rate is a finite number, got {learning_rate!r}")
    wanted = [(title, find_loss(tape, loss)), *_others(compare)]
    most = MOST_NODES // len(wanted)
    page = _live(wanted, most, learning_rate, budget, notebook)
    if page is not None:
        return page
    while True:
        runs = [Run(each, name or _title(each), most) for name, each in wanted]
        bare = len(_assemble(runs, [1] * len(runs), learning_rate).encode())
        page = _within(runs, bare, learning_rate, budget)
        if page is not None:
            return page
        if most < 50:
            raise TinyseqError(
                f"even the smallest page of this tape is larger than {budget:,} bytes; give a larger budget"
            )
        most = min(most // 2, int(0.7 * max(len(run.nodes) for run in runs) * budget / bare))


def _live(wanted: list[tuple[str, Tensor]], most: int, learning_rate: float, budget: int, notebook: bool) -> str | None:
    """The page that computes, None where it cannot hold the whole of the graphs and all numbers of their leaves."""
    runs = []
    for name, each in wanted:
        runs.append(Run(each, name or _title(each), most, live=True))
        if not runs[-1].live or without_script(runs[-1].ops):
            return None
    page = _assemble(runs, [0] * len(runs), learning_rate, notebook)
    return page if len(page.encode()) <= budget else None


def _within(runs: list[Run], bare: int, learning_rate: float, budget: int) -> str | None:
    """The page with as many numbers as the budget allows, None where even one of each array is too much (``bare``)."""
    if bare > budget:
        return None
    for share in (1.0, 0.8, 0.6, 0.3, 0.0):  # the offsets of other caps may have more digits
        room = int((budget - bare) * share / len(runs))
        page = _assemble(runs, [run.pool.cap(room) for run in runs], learning_rate)
        if len(page.encode()) <= budget:
            return page
    return None


def _data(runs: list[Run], caps: list[int], learning_rate: float) -> str:
    return script_json(
        {
            "missing": without_script(op for run in runs for op in run.ops),
            "runs": [run.json(cap, run is runs[0]) for run, cap in zip(runs, caps, strict=True)],
            "rate": learning_rate,
            "heat": {"scale": style.HEAT, "zero": style.EXACTLY_ZERO, "bad": style.NOT_FINITE},
        }
    )


def find_loss(tape: Tape, loss: Tensor | str | None) -> Tensor:
    """The loss that is meant. Raises TinyseqError, GradientError or TapeError naming what could be meant."""
    if len(tape) == 0:
        raise TinyseqError("nothing to step through: the tape is empty; record a loss in it first")
    if isinstance(loss, Tensor):
        if loss.tape is not tape:
            raise TapeError("the loss is on another tape; call to_html on the tape that recorded it: loss.tape")
        loss._settled()
        if loss.shape:
            raise GradientError(f"a loss is one number, got shape {loss.shape}; reduce it first: ts.sum(loss)")
        return loss
    if isinstance(loss, str):
        named = np.flatnonzero(tape.column("name") == loss).tolist()
        scalars = [i for i in named if tape.shape(i) == ()]
        if not scalars:
            known = sorted({k.name for k in tape.kinds if k.name})
            raise TinyseqError(
                f"no scalar named {loss!r} on this tape; its names are {', '.join(known) or 'none'}. "
                "Give the loss itself: to_html(path, loss=loss)"
            )
        return _handle(tape, scalars[-1])
    if loss is not None:
        raise TinyseqError(f"loss is a tensor of this tape or its name, got {type(loss).__name__}")
    read = np.zeros(len(tape), bool)
    read[tape.input_indices] = True
    ends = [
        i for i in np.flatnonzero(~read).tolist()
        if tape.shape(i) == () and tape.inputs(i) and tape.kinds[int(tape.kind[i])].dtype != INT64
    ]  # fmt: skip
    if len(ends) == 1:
        return _handle(tape, ends[0])
    what = "no scalar that nothing else reads" if not ends else f"{len(ends)} scalars that nothing else reads"
    raise TinyseqError(f"which loss? This tape has {what}; say which: to_html(path, loss=loss)")


def _handle(tape: Tape, index: int) -> Tensor:
    return Tensor.at(tape, index)


def _others(compare: Any) -> list[tuple[str, Tensor]]:
    if compare is None:
        return []
    named = list(compare.items()) if isinstance(compare, Mapping) else [("", compare)]
    for _, each in named:
        if not isinstance(each, Tensor):
            raise TinyseqError(f"compare is a loss, or {{title: loss}}, got {type(each).__name__}")
    return [(str(name), find_loss(each.tape, each)) for name, each in named]


def _title(loss: Tensor) -> str:
    cells = list(dict.fromkeys(kind.cell for kind in loss.tape.kinds if kind.cell))
    return " + ".join(cells[:3]) or "tape"


def _asset(name: str) -> str:
    return files("tinyseq.viz.stepper").joinpath("assets", name).read_text("utf-8")


def _computes(runs: list[Run]) -> bool:
    return all(run.live for run in runs)


def _script(runs: list[Run], notebook: bool) -> str:
    """The page's script; without the lines that are comments alone, and without indentation."""
    names = (*ALWAYS, *(COMPUTING if _computes(runs) else ("state.js",)))
    names += (("notebook.js",) if notebook else ()) + SHOWING
    ops = {op for run in runs if run.whole for op in run.ops}  # of others no sum can be worked out anew
    lines = (line.strip() for line in "\n".join([ops_script(ops), *map(_asset, names)]).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _style() -> str:
    """The page's styles, without comments and what spaces can be spared."""
    text = re.sub(r"/\*.*?\*/", "", _asset("page.css"), flags=re.DOTALL)
    return re.sub(r"(?<=[\w-]): ", ":", re.sub(r"\s*([{};,])\s*", r"\1", text)).strip()


def _assemble(runs: list[Run], caps: list[int], learning_rate: float, notebook: bool = False) -> str:
    title = " and ".join(run.title for run in runs)
    page = "\n".join(line.strip() for line in _asset("page.html").splitlines())
    if not _computes(runs):
        page = ONLY_COMPUTING.sub("", page)
    parts = {
        "TITLE": escape(labels.clean(f"{title}, step by step")),
        "STYLE": _style(),
        "SCRIPT": _script(runs, notebook),
        "STILL": still(runs[0]),
        "DATA": _data(runs, caps, learning_rate),
    }
    page = page.replace("<!--(computes-->", "").replace("<!--computes)-->", "")
    for name, text in parts.items():  # the data comes last: nothing in it is taken for a place
        page = page.replace(f"<!--{name}-->", text, 1)
    return page
