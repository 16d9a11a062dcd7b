"""Graphviz's SVG made fit for web pages: labels as one selectable text each, dark mode, titles for screen readers.

Graphviz writes every run of a label as a text of its own, at a place that assumes its own fonts; in the reader's fonts
they would drift apart. Here the runs of a line become one text with spans, centred on its node.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from tinyseq.viz.look import style
from tinyseq.viz.look.options import Look
from tinyseq.viz.output.trunks import Trunks

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
_TEXT, _GROUP, _TITLE = f"{{{SVG}}}text", f"{{{SVG}}}g", f"{{{SVG}}}title"
KEPT = ("font-family", "font-style", "font-size")


def polish(raw: bytes, title: str, description: str, source: str = "", look: Look | None = None) -> str:
    """Graphviz's SVG → the SVG that is handed out. ``source`` is kept in it: what it was drawn from, as a number."""
    ET.register_namespace("", SVG)
    root = ET.fromstring(raw)
    root.set("class", "tinyseq")
    root.set("role", "img")
    root.set("aria-label", title)
    if source:
        root.set("data-dot", source)
    graph = root.find(_GROUP)
    assert graph is not None
    for old in graph.findall(_TITLE):
        graph.remove(old)
    graph.attrib.pop("id", None)
    graph.attrib.pop("class", None)
    paper = graph.find(f"{{{SVG}}}polygon")
    if paper is not None:
        paper.set("class", "paper")
    trunks, lines = Trunks(), []
    for group in list(graph):
        if group.tag == _GROUP:
            _unwrap(group)
            _join_runs(group)
            lines += group.findall(f"{{{SVG}}}path") if "edge" in group.get("class", "").split() else []
    for line in sorted(lines, key=lambda line: bool(line.get("stroke-dasharray"))):
        _shorten(line, trunks)
    look = look or Look("auto")
    sheet = ET.Element(f"{{{SVG}}}style")
    sheet.text = (style.STYLESHEET if look.theme == "auto" else style.NUMERALS) + (
        f".tinyseq text, .tinyseq tspan {{ font-family: '{look.font}', {style.MATH_FONT}; }}\n" if look.font else ""
    )
    root.insert(0, sheet)
    if look.scale != 1:
        for side in ("width", "height"):
            root.set(side, f"{float(root.get(side, '0').removesuffix('pt')) * look.scale:g}pt")
    for tag, text in (("desc", description), ("title", title)):
        element = ET.Element(f"{{{SVG}}}{tag}")
        element.text = text
        root.insert(0, element)
    root.tail = None
    return ET.tostring(root, encoding="unicode") + "\n"


def _shorten(line: ET.Element, trunks: Trunks) -> None:
    """Leave out of an arrow's line what another one has drawn."""
    if not re.fullmatch(r"M[^MC]+C[^A-Z]+", line.get("d", "")):
        return
    points = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", line.get("d", ""))]
    rest = trunks.rest(points)
    if rest != points:
        places = [f"{x:g},{y:g}" for x, y in rest or points[-1:]]
        line.set("d", f"M{places[0]}" + (f"C{' '.join(places[1:])}" if rest else ""))


def _unwrap(group: ET.Element) -> None:
    """Tooltips become titles: Graphviz makes links of them, which would look clickable."""
    title = group.find(_TITLE)
    node = title.text if title is not None else ""
    if title is not None:
        group.remove(title)
    group.attrib.pop("id", None)
    words = ""
    for wrapper in group.findall(f"{{{SVG}}}g"):
        for anchor in wrapper.findall(f"{{{SVG}}}a"):
            words = words or anchor.get(f"{{{XLINK}}}title", "").strip()
            group.extend(list(anchor))
        group.remove(wrapper)
    classes = group.get("class", "").split()
    if "node" in classes and node and not {"note", "swatch", "frame"} & set(classes):
        group.set("data-node", node)
    if "edge" in classes and node and "->" in node:
        source, target = node.split("->", 1)
        group.set("data-source", source)
        group.set("data-target", target)
    if words:
        element = ET.Element(_TITLE)
        element.text = words
        group.insert(0, element)


def _join_runs(group: ET.Element) -> None:
    lines: dict[str, list[ET.Element]] = {}
    for text in group.findall(_TEXT):
        lines.setdefault(text.get("y", ""), []).append(text)
    centre = _centre(group)
    for y, runs in lines.items():
        place = list(group).index(runs[0])
        for run in runs:
            group.remove(run)
        group.insert(place, _line(runs, y, centre))


def _line(runs: list[ET.Element], y: str, centre: float | None) -> ET.Element:
    x = float(runs[0].get("x", "0")) if centre is None else centre
    line = ET.Element(_TEXT, {"x": f"{x:g}", "y": y, "text-anchor": "start" if centre is None else "middle"})
    if centre is None and runs[0].get("text-anchor") == "middle":
        line.set("text-anchor", "middle")
    if runs[0].get("fill"):
        line.set("fill", runs[0].get("fill", ""))
    line.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    raised = 0.0
    for run in runs:
        span = ET.SubElement(line, f"{{{SVG}}}tspan", {k: v for k, v in run.attrib.items() if k in KEPT})
        size = float(run.get("font-size", style.LABEL_SIZE))
        wanted = {"super": -0.62 * size, "sub": 0.32 * size}.get(run.get("baseline-shift", ""), 0.0)
        if wanted != raised:
            span.set("dy", f"{wanted - raised:.2f}")
            raised = wanted
        span.text = run.text
    return line


def _centre(group: ET.Element) -> float | None:
    """Middle of the shape of a node; None for arrows and notes, whose text starts where it starts."""
    if "node" not in group.get("class", "").split() or "note" in group.get("class", "").split():
        return None
    for element in group:  # the first shape is the node's own, what follows is drawn in it
        shape = element.tag.removeprefix(f"{{{SVG}}}")
        if shape == "ellipse":
            return float(element.get("cx", "0"))
        if shape in ("polygon", "path"):
            return _middle(element.get("points" if shape == "polygon" else "d", ""))
    return None


def _middle(points: str) -> float | None:
    for letter in "MCLZ":
        points = points.replace(letter, " ")
    xs = [float(pair.split(",")[0]) for pair in points.split() if "," in pair]
    return (min(xs) + max(xs)) / 2 if xs else None
