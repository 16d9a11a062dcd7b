"""DOT text of a placed diagram, built with the graphviz package; every label escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from tinyseq.viz.diagram import Diagram, Frame, Link, Note, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.look.options import Palette


def dot_text(diagram: Diagram) -> str:
    """The diagram as DOT; draw it with ``neato -n2``."""
    from graphviz import Digraph

    graph = Digraph("tinyseq")
    colours = diagram.look.palette
    graph.attr("graph", bgcolor=colours.paper, rankdir="BT", pad=f"{style.MARGIN / 72:.3f}", splines="true",
               outputorder="edgesfirst", comment=_plain(diagram.description), fontname=style.TEXT_FONT,
               **{"class": "tinyseq"})  # fmt: skip
    graph.attr("node", shape="circle", fixedsize="shape", style="filled", fontname=style.MATH_FONT, penwidth="1.1",
               margin="0")  # fmt: skip
    graph.attr("edge", arrowsize="0.7", penwidth="1.0", color=colours.edge, fontname=style.MATH_FONT)
    for number, frame in enumerate(diagram.frames):
        _frame(graph, frame, number, colours)
    for v in diagram.vertices:
        _vertex(graph, v, colours)
    for number, link in enumerate(diagram.links):
        _link(graph, link, number, diagram)
    _ranks(graph, diagram)
    for number, note in enumerate(diagram.notes):
        _note(graph, note, f"note{number}", colours)
    return graph.source


@lru_cache(8192)
def _quoted(text: str) -> str:
    from graphviz.quoting import quote

    return quote(text)


def _node(graph, name: str, **attributes: str) -> None:
    graph.body.append(f"\t{_quoted(name)}{_listed(attributes)}\n")


def _edge(graph, tail: str, head: str, **attributes: str) -> None:
    graph.body.append(f"\t{_quoted(tail)} -> {_quoted(head)}{_listed(attributes)}\n")


def _listed(attributes: dict[str, str]) -> str:
    """As the graphviz package lists them, which quotes every word anew."""
    label = [f"label={_quoted(attributes['label'])}"] if "label" in attributes else []
    rest = [f"{_quoted(k)}={_quoted(v)}" for k, v in sorted(attributes.items()) if k != "label"]
    return f" [{' '.join(label + rest)}]"


def _ranks(graph, diagram: Diagram) -> None:
    """For programs that place nodes anew, as plain ``dot``: what stands in a row stays in it, in its order.

    The invisible edges that say so have positions too, else ``neato -n2`` would seek a way for each.
    """
    rows: dict[int, list[tuple[float, str]]] = {}
    for v in diagram.vertices:
        if v.column is not None and v.role != "anchor":
            rows.setdefault(round(v.y), []).append((v.x, v.id))
    last = []
    for number, note in enumerate(diagram.notes):
        if note.align == "right" and round(note.y) in rows:
            rows[round(note.y)].append((note.x, f"note{number}"))
        elif not note.box:
            last.append(f"note{number}")
    for y, row in rows.items():
        row.sort()
        graph.body.append(f"\t{{ rank=same; {'; '.join(chr(34) + name + chr(34) for _, name in row)} }}\n")
        for (x, name), (z, other) in pairwise(row):
            line = _spline(_level((x, float(y)), (z, float(y))), None)
            _edge(graph, name, other, style="invis", pos=line)
    if last and rows:
        graph.body.append(f"\t{{ rank=min; {'; '.join(last)} }}\n")


def _level(a: Point, b: Point) -> list[Point]:
    """A straight piece as the four points of a cubic."""
    third = (b[0] - a[0]) / 3
    return [a, (a[0] + third, a[1]), (b[0] - third, b[1]), b]


def _frame(graph, frame: Frame, number: int, colours: Palette) -> None:
    _node(graph, f"frame{number}", label="", shape="box", style="rounded", color=colours.muted, penwidth="0.9",
               pos=f"{frame.x:.2f},{frame.y:.2f}", width=f"{frame.width / 72:.4f}", height=f"{frame.height / 72:.4f}",
               tooltip=" ", **{"class": "frame"})  # fmt: skip
    if frame.title:
        left, top = frame.x - frame.width / 2 + 10, frame.y + frame.height / 2 - 12
        _note(graph, Note(frame.title, left, top, "left", 12.0), f"frame{number}title", colours)


def _vertex(graph, v: Vertex, colours: Palette) -> None:
    if v.role == "anchor":  # the ends of an arrow between two graphs
        _node(graph, v.id, label="", shape="point", style="invis", pos=f"{v.x:.2f},{v.y:.2f}", width="0.01")
        return
    fill = v.fill or colours.fills[v.role]
    ink = style.ink_on(fill) if v.fill else colours.ink
    line = colours.strokes.get(v.role, colours.ink)
    size = style.LABEL_SIZE if v.round or not v.note else 13.0
    if v.is_sign and v.height <= style.SIGN:
        size = style.SIGN_SIZE
    label = labels.html_label(v.label, v.note, size, ink, ink if v.fill else colours.muted)
    _node(
        graph,
        v.id,
        label=labels.grid_label(label, *v.cells) if v.cells else label,
        tooltip=_plain(v.tooltip or v.text),
        pos=f"{v.x:.2f},{v.y:.2f}",
        width=f"{v.width / 72:.4f}",
        height=f"{v.height / 72:.4f}",
        shape=("circle" if v.width == v.height else "ellipse") if v.round else "box",
        style=("filled" if v.round else "rounded,filled") + (",dashed" if v.dashed else ""),
        fillcolor=fill,
        color=line,
        **{"class": f"{v.role}{' heat' if v.fill else ' ink'}"},
    )  # fmt: skip


def _spline(path: Sequence[Point], tip: Point | None) -> str:
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in path)
    return f"e,{tip[0]:.2f},{tip[1]:.2f} {points}" if tip else points


def _link(graph, link: Link, number: int, diagram: Diagram) -> None:
    attrs, colours = {"class": "edge ink"}, diagram.look.palette
    if link.dashed:
        attrs["style"] = "dashed"
    if link.fixed:
        attrs.update({"class": "edge ink fixed", "color": colours.fixed, "style": "dashed"})
    if link.recurrent and diagram.detail == "ops":
        attrs.update({"class": "edge ink recurrent", "color": colours.recurrent})
    if link.cut:
        attrs.update({"class": "edge ink cut", "color": colours.cut, "style": "dashed"})
    source = link.source
    if link.square:
        source = f"delay{number}"
        text, side = link.lateness, link.side
        label = labels.html_label((labels.Run(text),), "", 8.5, colours.paper) if text else ""
        _node(
            graph, source, label=label, pos=_spline([link.square], None), shape="box", style="filled",
            fillcolor=colours.ink, width=f"{side / 72:.4f}", height=f"{side / 72:.4f}", tooltip=_delay_text(link.delay),
            color=colours.ink,
            **{"class": "delay"},
        )  # fmt: skip
        _edge(graph, link.source, source, pos=_spline(link.path_in, None), dir="none", **attrs)
    name = labels.names(link.label) if link.label else ()
    if link.cut or link.badge:
        name = (*name, labels.Run((" ✂" if link.cut else "") + (f" {link.badge}" if link.badge else "")))
    if name and link.label_at:
        attrs["label"] = labels.html_label(name, "", 14.0, colours.ink)
        attrs["lp"] = f"{link.label_at[0]:.2f},{link.label_at[1]:.2f}"
    if link.recurrent or link.delay:
        attrs["constraint"] = "false"
    _edge(graph, source, link.target, pos=_spline(link.path, link.tip), tooltip=_plain(", ".join(link.label)), **attrs)


def _plain(text: str) -> str:
    from graphviz import nohtml

    return nohtml(labels.plain(text))


def _delay_text(delay: int) -> str:
    return f"delay of {delay} time step{'s' if abs(delay) != 1 else ''}"


def _note(graph, note: Note, name: str, colours: Palette) -> None:
    if note.box:
        width, height, fill = note.box
        _node(graph, name, label="", shape="box", style="filled", fillcolor=fill, color=fill,
                   pos=f"{note.x:.2f},{note.y:.2f}", width=f"{width / 72:.4f}", height=f"{height / 72:.4f}",
                   tooltip=" ", **{"class": "swatch"})  # fmt: skip
        return
    width = (
        labels.width(note.text, note.size)
        if note.size != style.NOTE_SIZE
        else style.text_width(labels.text_of(note.text), note.size)
    )
    x = note.x - width / 2 if note.align == "right" else note.x + width / 2 if note.align == "left" else note.x
    _node(graph, name, label=labels.html_label(note.text, "", note.size, colours.muted), shape="plaintext",
               style="", pos=f"{x:.2f},{note.y:.2f}", width=f"{width / 72:.4f}", height="0.2", tooltip=" ",
               **{"class": "note"})  # fmt: skip
