"""A picture as data: its nodes and arrows as JSON, for tests and for other programs."""

from __future__ import annotations

from typing import Any

from tinyseq.strict_json import dumps
from tinyseq.viz.diagram import Diagram, Vertex


def graph(diagram: Diagram) -> dict[str, Any]:
    """Nodes and edges with labels, time steps and delays; ``panel`` says which of several graphs they belong to."""
    shown = [v for v in diagram.vertices if v.role != "anchor"]
    known = {v.id for v in shown}
    return {
        "title": diagram.title,
        "description": diagram.description,
        "view": diagram.view,
        "detail": diagram.detail,
        "nodes": [_node(v) for v in shown],
        "edges": [
            {"source": e.source, "target": e.target, "label": ", ".join(e.label), "delay": e.delay,
             "dashed": e.dashed, "cut": e.cut, "fixed": e.fixed, **({"badge": e.badge} if e.badge else {})}
            for e in diagram.links if e.source in known and e.target in known
        ],
        "frames": ["".join(run.text for run in frame.title) for frame in diagram.frames],
    }  # fmt: skip


def _node(v: Vertex) -> dict[str, Any]:
    found: dict[str, Any] = {"id": v.id, "label": v.text, "name": v.name, "role": v.role, "dashed": v.dashed}
    if v.panel:
        found["panel"] = v.panel
    if v.shape is not None:
        found["shape"] = list(v.shape)
    if v.measure is not None:
        found["measure"] = v.measure
    if v.gradient is not None:
        found["gradient"] = v.gradient
    return found


def json_text(data: dict[str, Any]) -> str:
    """Readable JSON; a measure or a gradient that is not finite is null."""
    return dumps(data, ensure_ascii=False, indent=1) + "\n"
