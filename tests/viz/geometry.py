"""What is wrong with a placed picture, as a list of sentences: [] for one that can be shown."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np

from tinyseq.viz.look import labels
from tinyseq.viz.placing import arrow_names, curves

Box = tuple[float, float, float, float]


def box(v) -> Box:
    return v.x - v.width / 2, v.y - v.height / 2, v.x + v.width / 2, v.y + v.height / 2


def note_box(note) -> Box:
    width = labels.width(note.text, note.size)
    x = note.x - (width if note.align == "right" else 0 if note.align == "left" else width / 2)
    return x, note.y - note.size / 2, x + width, note.y + note.size / 2


def overlap(a: Box, b: Box, least: float = 0.5) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > least and min(a[3], b[3]) - max(a[1], b[1]) > least


def samples(path, tip=None) -> np.ndarray:
    """Points along a path, about two apart."""
    found = []
    for start in range(0, len(path) - 3, 3):
        cubic = path[start : start + 4]
        length = sum(np.hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(cubic))
        n = max(2, min(200, int(length / 2)))
        found += [curves.bezier(cubic, k / n) for k in range(n + 1)]
    return np.array([*found, *([tip] if tip else [])])


def inside(v, points: np.ndarray, margin: float) -> np.ndarray:
    """Which points lie in a vertex, more than a margin from its border."""
    dx, dy = points[:, 0] - v.x, points[:, 1] - v.y
    if v.round:
        return (dx / (v.width / 2 - margin)) ** 2 + (dy / (v.height / 2 - margin)) ** 2 < 1
    return (abs(dx) < v.width / 2 - margin) & (abs(dy) < v.height / 2 - margin)


def at_border(v, point) -> bool:
    p = np.array([point])
    grown = 1.2
    near = inside(v, p, -grown)[0]
    return bool(near and not inside(v, p, grown)[0])


def of_paths(diagram) -> list[str]:
    found = []
    at = {v.id: v for v in diagram.vertices}
    for e in diagram.links:
        who = f"{at[e.source].text}→{at[e.target].text}"
        if not e.path or e.tip is None:
            found.append(f"{who} has no path")
            continue
        first = e.path_in[0] if e.path_in else e.path[0]
        if not at_border(at[e.source], first):
            found.append(f"{who} does not begin on the border of its source")
        if not at_border(at[e.target], e.tip):
            found.append(f"{who} does not end on the border of its target")
        points = np.concatenate([samples(e.path, e.tip), *([samples(e.path_in)] if e.path_in else [])])
        for v in diagram.vertices:
            if v.id not in (e.source, e.target) and inside(v, points, 1.0).any():
                found.append(f"{who} runs through {v.text}")
            elif v.id in (e.source, e.target) and inside(v, points, 2.5).any():
                found.append(f"{who} runs into {v.text}")
    return found


def of_names(diagram) -> list[str]:
    found = []
    at = {v.id: v for v in diagram.vertices}
    named = []
    for e in diagram.links:
        if e.label_at and arrow_names.width(e):
            wide = arrow_names.width(e)
            x, y = e.label_at
            named.append((f"name {','.join(e.label)} of {at[e.source].text}→{at[e.target].text}",
                          (x - wide / 2, y - 6, x + wide / 2, y + 6)))  # fmt: skip
    for v in diagram.vertices:
        found += [f"{who} lies on {v.text}" for who, b in named if overlap(b, box(v))]
    for n, (who, b) in enumerate(named):
        found += [f"{who} lies on {other}" for other, c in named[n + 1 :] if overlap(b, c)]
    for e in diagram.links:
        points = np.concatenate([samples(e.path, e.tip), *([samples(e.path_in)] if e.path_in else [])])
        for who, b in named:
            on = (points[:, 0] > b[0]) & (points[:, 0] < b[2]) & (points[:, 1] > b[1]) & (points[:, 1] < b[3])
            if on.any():
                found.append(f"{who} lies on the arrow {at[e.source].text}→{at[e.target].text}")
    written = [(note_box(note), "".join(r.text for r in note.text)) for note in diagram.notes if not note.box]
    for n, (b, text) in enumerate(written):
        found += [f"note {text!r} lies on note {other!r}" for c, other in written[n + 1 :] if overlap(b, c, 1.0)]
    for note in diagram.notes:
        b = note_box(note)
        if note.box:
            continue
        text = "".join(r.text for r in note.text)
        found += [f"note {text!r} lies on {v.text}" for v in diagram.vertices if overlap(b, box(v), 1.0)]
        found += [f"note {text!r} lies on {who}" for who, c in named if overlap(b, c, 1.0)]
        for e in diagram.links:
            points = samples(e.path, e.tip)
            on = (points[:, 0] > b[0]) & (points[:, 0] < b[2]) & (points[:, 1] > b[1]) & (points[:, 1] < b[3])
            if on.any():
                found.append(f"note {text!r} lies on the arrow {at[e.source].text}→{at[e.target].text}")
    return found


def of_nodes(diagram, tape) -> list[str]:
    found = []
    vs = diagram.vertices
    for n, v in enumerate(vs):
        found += [f"{v.text} lies on {w.text}" for w in vs[n + 1 :] if overlap(box(v), box(w))]
        if v.node < 0 and not (v.role == "ellipsis" and v.text.strip()):
            found.append(f"{v.text} is no node of the tape, and no ellipsis")
        if v.node >= len(tape):
            found.append(f"{v.text} is beyond the tape")
    texts = Counter((v.text, v.column, v.strip, v.role) for v in vs if v.role in ("state", "data", "initial"))
    found += [
        f"{text} is drawn {n} times in one place"
        for (text, *_), n in texts.items()
        if n > 1 and diagram.detail == "cell"
    ]
    pairs = Counter((e.source, e.target, (e.delay, e.label if e.delay else "")) for e in diagram.links)
    node = {v.id: v.node for v in vs}
    for (a, b, late), n in pairs.items():
        inputs = tape.inputs(node[b]) if node[b] >= 0 else []
        twice = diagram.detail == "ops" and (inputs.count(node[a]) == n or (late[0] != 0 and len(inputs) >= n))
        if n > 1 and not twice:
            found.append(f"{a}→{b} is drawn {n} times")
    return found


def problems(diagram, tape) -> list[str]:
    """Everything that is wrong with a picture of a tape."""
    return [*of_nodes(diagram, tape), *of_paths(diagram), *of_names(diagram)]
