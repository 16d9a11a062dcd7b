"""The ops of a tape as the text of a script: what a page computes with."""

from __future__ import annotations

from collections.abc import Iterable

from tinyseq.ops import OPS
from tinyseq.ops.page_scripts import script
from tinyseq.viz.stepper.pool import script_json


def without_script(names: Iterable[str]) -> list[str]:
    """The ops that a page cannot compute, since their records hold no JavaScript."""
    return sorted({name for name in names if not OPS[name].javascript})


def ops_script(names: Iterable[str]) -> str:
    """``OPS`` with the scripts of some ops and what else the page's executor asks of their records."""
    lines = [script("prelude"), "const OPS = {};"]
    for name in sorted(set(names)):
        op = OPS[name]
        if not op.javascript:
            continue
        said = {
            "floats": op.floats, "joins": op.joins, "arranges": op.arranges, "drawn": op.drawn, "reads": op.reads,
        }  # fmt: skip
        lines.append(f"OPS[{script_json(name)}] = Object.assign({op.javascript}, {script_json(said)});")
    return "\n".join(lines).replace("</", "<\\/")
