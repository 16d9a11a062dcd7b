"""What a page shows without scripts and on paper: the picture, the ledgers and the memory curve, all standing still."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.diagnose.names import name_of
from tinyseq.viz.look import labels

if TYPE_CHECKING:
    from tinyseq.viz.stepper.run import Run

SHOWN = 8  # rows at each end of a long ledger
ROW = {"chain": "t", "tree": "height", "bare": "line"}


def still(run: Run) -> str:
    """HTML of a run as it ends: graph, a ledger for each parameter, memory."""
    tables = f'<div class="ledgers">{"".join(_table(run, ledger) for ledger in run.ledgers)}</div>'
    fixed = " Dashed grey arrows: fixed parameters, they are not learned." if run.overview.fixed else ""
    return (
        f'<figure class="still"><figcaption>The graph of {_text(run.title)}, unfolded. With scripts switched on, this '
        f'page plays its backward pass.{fixed}</figcaption><div class="scroll">{run.overview.svg}</div></figure>'
        f"{_memory(run)}{tables}"
    )


def _text(text: str) -> str:
    return escape(labels.clean(text))


def _name(text: str) -> str:
    """A name as the book sets it."""
    tags = {labels.ITALIC: "i", labels.SUB: "sub", labels.SUPER: "sup"}
    return "".join(
        f"<{tags[run.style]}>{_text(run.text)}</{tags[run.style]}>" if run.style in tags else _text(run.text)
        for run in labels.name(text)
    )


def _number(x: float) -> str:
    return f"{x:.3e}".replace("-", "−")


def _table(run: Run, ledger: dict[str, Any]) -> str:
    name = _name(name_of(run.tape, run.tape.parameters[ledger["parameter"]]))
    rows = ledger["rows"]
    body = []
    for n, (step, _, delta, term, cosine, running, _) in enumerate(rows):
        if SHOWN <= n < len(rows) - SHOWN and len(rows) > 2 * SHOWN + 1:
            if n == SHOWN:
                body.append(f'<tr><td colspan="5">… {len(rows) - 2 * SHOWN:,} more …</td></tr>')
            continue
        cells = [run.row_text(step), _number(delta), _number(term), f"{cosine:+.3f}".replace("-", "−"),
                 _number(running)]  # fmt: skip
        body.append(f"<tr>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    head = "".join(f"<th>{h}</th>" for h in (ROW[run.order.kind], "‖δ‖", "‖term‖", "cos to total", "‖running sum‖"))
    foot = f"‖∂L/∂{name}‖ = {_number(ledger['total'])}, residual of the sum {_number(ledger['residual'])}"
    return (
        f"<table><caption>Where ∂L/∂{name} comes from: {foot}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _memory(run: Run) -> str:
    live = np.asarray(run.events["live"], np.float64)
    places = np.unique(np.linspace(0, len(live) - 1, 400).astype(int))
    peak = max(float(live.max()), 1.0)
    points = " ".join(f"{600 * p / max(len(live) - 1, 1):.1f},{80 - 76 * live[p] / peak:.1f}" for p in places.tolist())
    return (
        '<figure class="still"><figcaption>Bytes that must be held: they rise while forward runs and fall while '
        f"backward uses them up; at most {int(peak):,}.</figcaption>"
        f'<svg class="curve" viewBox="0 0 600 84" role="img" aria-label="memory"><polyline points="{points}"/></svg>'
        "</figure>"
    )
