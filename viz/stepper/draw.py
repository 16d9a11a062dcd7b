"""A placed diagram as SVG for a page: no styles of its own, classes and numbers that the page's script finds again.

Graphviz could draw it as well; a page needs every node and arrow to be an element that is known by its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from tinyseq.viz.diagram import Diagram, Link, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.look.labels import ITALIC, SUB, SUPER, UPRIGHT, Label

PAD = 14.0


def svg(diagram: Diagram, title: str, texts: Sequence[tuple[float, float, str]] = ()) -> tuple[str, float, float]:
    """The SVG text of a placed diagram, its width and height. ``texts`` are written at (x, y)."""
    points = [p for e in diagram.links for p in (*e.path, *e.path_in)]
    xs = [v.x + side * v.width / 2 for v in diagram.vertices for side in (-1, 1)] + [p[0] for p in points]
    ys = [v.y + side * v.height / 2 for v in diagram.vertices for side in (-1, 1)] + [p[1] for p in points]
    for link in diagram.links:
        if link.label and link.label_at:
            half = labels.width(labels.names(link.label)) / 2
            xs += [link.label_at[0] - half, link.label_at[0] + half]
    for x, y, text in texts:
        half = style.text_width(text, 11) / 2
        xs, ys = [*xs, x - half, x + half], [*ys, y]
    left, top = min(xs) - PAD, max(ys) + PAD
    width, height = max(xs) + PAD - left, top - (min(ys) - PAD)

    def at(p: Point) -> str:
        return f"{p[0] - left:.1f},{top - p[1]:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="net" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'data-w="{width:.0f}" data-h="{height:.0f}" role="img" aria-label={_attribute(title)}>',
        f"<desc>{escape(labels.clean(diagram.description))}</desc>",
    ]
    parts += [_link(e, n, at) for n, e in enumerate(diagram.links)]
    parts += [_vertex(v, n, at) for n, v in enumerate(diagram.vertices)]
    for x, y, text in texts:
        px, py = at((x, y)).split(",")
        parts.append(f'<text class="t" x="{px}" y="{py}">{escape(labels.clean(text))}</text>')
    return "".join([*parts, "</svg>"]), width, height


def _attribute(text: str) -> str:
    return quoteattr(labels.clean(text))


def _vertex(v: Vertex, number: int, at) -> str:
    x, y = (float(n) for n in at((v.x, v.y)).split(","))
    if v.round:
        shape = f'<circle class="s" cx="{x:.1f}" cy="{y:.1f}" r="{v.width / 2:.1f}"/>'
    else:
        shape = (
            f'<rect class="s" x="{x - v.width / 2:.1f}" y="{y - v.height / 2:.1f}" width="{v.width:.1f}" '
            f'height="{v.height:.1f}" rx="6"/>'
        )
    lower = y - 6.0 if v.note else y
    text = _text(v.label, x, lower + (4.5 if v.round or not v.note else 4.0))
    note = f'<text class="n" x="{x:.1f}" y="{y + 12:.1f}">{escape(labels.clean(v.note))}</text>' if v.note else ""
    title = f"<title>{escape(labels.clean(v.tooltip or v.text))}</title>"
    dashed = " dashed" if v.dashed else ""
    return f'<g class="v {v.role}{dashed}" data-v="{number}">{title}{shape}{text}{note}</g>'


def _text(label: Label, x: float, y: float) -> str:
    if not label:
        return ""
    spans, raised = [], 0.0
    for run in label:
        wanted = {SUPER: -5.5, SUB: 3.5}.get(run.style, 0.0)
        shift = f' dy="{wanted - raised:g}"' if wanted != raised else ""
        kind = {ITALIC: ' class="i"', SUPER: ' class="x"', SUB: ' class="x"'}.get(run.style, "")
        spans.append(f"<tspan{kind}{shift}>{escape(labels.clean(run.text))}</tspan>")
        raised = wanted
    words = " w" if all(run.style == UPRIGHT for run in label) and len(labels.text_of(label)) > 2 else ""
    return f'<text class="l{words}" x="{x:.1f}" y="{y:.1f}">{"".join(spans)}</text>'


def _link(link: Link, number: int, at) -> str:
    kind = " cut" if link.cut else " dashed" if link.dashed else ""
    pieces = ""
    if link.square:
        pieces += f'<path d="{_path(link.path_in, at)}"/>'
        x, y = (float(n) for n in at(link.square).split(","))
        half = style.DELAY_SQUARE / 2
        pieces += (
            f'<rect class="q" x="{x - half:.1f}" y="{y - half:.1f}" width="{2 * half:g}" height="{2 * half:g}">'
            f"<title>delay of {link.delay} step{'s' if abs(link.delay) != 1 else ''}</title></rect>"
        )
    pieces += f'<path d="{_path(link.path, at)}"/>'
    if link.tip and link.path:
        pieces += f'<path class="h" d="{_head(link.path[-1], link.tip, at)}"/>'
    name = link.label
    if name and link.label_at:
        x, y = (float(n) for n in at(link.label_at).split(","))
        pieces += _text(labels.names(name), x, y + 4.5)
    late = (" late" if link.recurrent else "") + (" fixed" if link.fixed else "")
    return f'<g class="e{kind}{late}" data-e="{number}">{pieces}</g>'


def _path(points: Sequence[Point], at) -> str:
    if not points:
        return ""
    rest = " ".join(at(p) for p in points[1:])
    return f"M{at(points[0])}C{rest}"


def _head(foot: Point, tip: Point, at) -> str:
    dx, dy = tip[0] - foot[0], tip[1] - foot[1]
    left, right = (foot[0] - dy * 0.38, foot[1] + dx * 0.38), (foot[0] + dy * 0.38, foot[1] - dx * 0.38)
    return f"M{at(tip)}L{at(left)}L{at(right)}Z"
