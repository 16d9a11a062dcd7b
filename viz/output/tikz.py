"""A placed diagram as TikZ: a document of its own class, whose lines can be taken over into another."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tinyseq.viz.diagram import Diagram, Frame, Link, Note, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.look.labels import ITALIC, SUB, SUPER, Label, Run
from tinyseq.viz.output.paint import is_dashed, node_size
from tinyseq.viz.output.trunks import Trunks

_NAMES = {letter: f"\\{word}" for word, letter in labels.GREEK.items()}
_NAMES |= {"ο": "o", "Ο": "O", "ς": r"\varsigma"} | {
    letter: rf"\mathrm{{{latin}}}" for letter, latin in zip("ΑΒΕΖΗΙΚΜΝΡΤΧ", "ABEZHIKMNPTX", strict=True)
}
_SIGNS = (  # a character and its command
    r"× \times,⊙ \odot,· \cdot,… \ldots,∂ \partial,∇ \nabla,‖ \Vert,≤ \le,≥ \ge,≈ \approx,→ \to,← \leftarrow,∞ \infty,"
    r"√ \surd,✂ \times,⊕ \oplus,⋯ \cdots,⌈ \lceil,⌉ \rceil,↵ \hookleftarrow,≠ \ne,∈ \in,± \pm,÷ \div"
)
_MATH = _NAMES | {sign: f"{command} " for sign, command in (pair.split() for pair in _SIGNS.split(","))}
_MATH |= {"−": "-", "′": "'", "²": "^2", "³": "^3", "ᵀ": r"^{\mathsf T}", "⁻": "^{-}", "½": r"\tfrac12 "}
_MATH |= {"₀": "_0", "₁": "_1", "₂": "_2"}
_SPECIAL = {c: f"\\{c}" for c in "#$%&_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_LATIN = "".join(map(chr, range(0xC0, 0x100))).translate(dict.fromkeys(map(ord, "×÷ÐÞðþ")))  # what all fonts have
_ACCENTS = {mark: f"\\{name}" for name, mark in labels.ACCENTS.items()}

HEAD = r"""\documentclass[tikz,border=%gpt]{standalone}
\usepackage{amsmath,amssymb}
\usetikzlibrary{arrows.meta}
%s
\newcommand{\other}[1]{\ifdefined\directlua\text{#1}\else\ifdefined\XeTeXversion\text{#1}\else\text{?}\fi\fi}
\begin{document}
\begin{tikzpicture}[x=1pt, y=1pt, scale=%g, transform shape, >={Stealth[length=7pt, width=5pt]},
  line width=1pt, font=\normalsize, every node/.style={inner sep=0pt, outer sep=0pt, text=ink}]
"""
FOOT = "\\end{tikzpicture}\n\\end{document}\n"


def tikz_text(diagram: Diagram) -> str:
    """A LaTeX document: compile it with pdflatex or lualatex, class standalone."""
    colours = diagram.look.palette
    known = {"ink": colours.ink, "paper": colours.paper, "muted": colours.muted, "edge": colours.edge,
             "recurrent": colours.recurrent, "cut": colours.cut, "fixed": colours.fixed}  # fmt: skip
    names: dict[str, str] = {}
    body = [_frame(f) for f in diagram.frames]
    trunks = Trunks()
    body += [_link(link, diagram, trunks) for link in sorted(diagram.links, key=is_dashed)]
    body += [_vertex(v, diagram, names) for v in diagram.vertices if v.role != "anchor"]
    body += [_note(note, names) for note in diagram.notes]
    defined = [*known.items(), *((name, colour) for colour, name in names.items())]
    lines = "\n".join(rf"\definecolor{{{name}}}{{HTML}}{{{colour[1:].upper()}}}" for name, colour in defined)
    paper = "\\pagecolor{paper}\n" if colours.paper.lower() != "#ffffff" else ""
    top = HEAD % (style.MARGIN, lines, diagram.look.scale)
    return top.replace("\\begin{document}\n", f"\\begin{{document}}\n{paper}") + "\n".join(body) + "\n" + FOOT


def _at(p: Point) -> str:
    return f"({p[0]:.2f},{p[1]:.2f})"


def _curve(path: Sequence[Point]) -> str:
    pieces = [_at(path[0])]
    for k in range(1, len(path) - 2, 3):
        pieces.append(f".. controls {_at(path[k])} and {_at(path[k + 1])} .. {_at(path[k + 2])}")
    return " ".join(pieces)


def _link(link: Link, diagram: Diagram, trunks: Trunks) -> str:
    colour = "fixed" if link.fixed else "edge"
    if link.recurrent and diagram.detail == "ops":
        colour = "recurrent"
    colour = "cut" if link.cut else colour
    dashed = ", dashed" if is_dashed(link) else ""
    lines = []
    if link.square:
        entry = trunks.rest(link.path_in)
        lines += [rf"\draw[{colour}{dashed}] {_curve(entry)};"] if entry else []
        half = link.side / 2
        low, high = (link.square[0] - half, link.square[1] - half), (link.square[0] + half, link.square[1] + half)
        lines.append(rf"\fill[ink] {_at(low)} rectangle {_at(high)};")
        if link.delay != 1:
            lines.append(rf"\node[text=paper, font=\tiny] at {_at(link.square)} {{${link.delay}$}};")
    path = _curve(trunks.rest(link.path) or link.path[-1:])
    lines.append(
        rf"\draw[{colour}{dashed}, ->] {path} -- {_at(link.tip)};" if link.tip else rf"\draw[{colour}] {path};"
    )
    name = labels.names(link.label) if link.label else ()
    if link.cut or link.badge:
        name = (*name, Run((" ✂" if link.cut else "") + (f" {link.badge}" if link.badge else "")))
    if name and link.label_at:
        lines.append(rf"\node{_size(14.0)} at {_at(link.label_at)} {{{_tex(name)}}};")
    return "\n".join(lines)


def _colour(colour: str, names: dict[str, str]) -> str:
    return names.setdefault(colour, f"c{len(names)}")


def _vertex(v: Vertex, diagram: Diagram, names: dict[str, str]) -> str:
    palette = diagram.look.palette
    fill = v.fill or palette.fills[v.role]
    line = _colour(palette.strokes.get(v.role, palette.ink), names)
    ink = _colour(style.ink_on(fill) if v.fill else palette.ink, names)
    options = f"fill={_colour(fill, names)}, draw={line}{', dashed' if v.dashed else ''}"
    w, h = v.width / 2, v.height / 2
    if v.round:
        shape = rf"\draw[{options}] {_at((v.x, v.y))} ellipse [x radius={w:.2f}, y radius={h:.2f}];"
    else:
        corners = f"{_at((v.x - w, v.y - h))} rectangle {_at((v.x + w, v.y + h))}"
        shape = rf"\draw[{options}, rounded corners=6pt] {corners};"
    lines = [shape]
    up = 6.0 if v.note and not v.cells else 0.0
    if v.cells:
        lines += _grid(v)
        up = h - style.LABEL_SIZE * 0.75
    if v.label:
        lines.append(rf"\node[text={ink}{_size(node_size(v), True)}] at {_at((v.x, v.y + up))} {{{_tex(v.label)}}};")
    if v.note and not v.cells:
        muted = ink if v.fill else "muted"
        lines.append(
            rf"\node[text={muted}{_size(style.NOTE_SIZE, True)}] at {_at((v.x, v.y - 10))} {{{_tex((Run(v.note),))}}};"
        )
    return "\n".join(lines)


def _grid(v: Vertex) -> list[str]:
    assert v.cells is not None
    rows, columns = v.cells
    pitch, cell = style.GRID_CELL + style.GRID_GAP, style.GRID_CELL
    left, low = v.x - columns * pitch / 2 + style.GRID_GAP / 2, v.y - v.height / 2 + 2 * style.GRID_GAP
    found = []
    for r in range(rows):
        for c in range(columns):
            x, y = left + c * pitch, low + r * pitch
            found.append(rf"\draw[ink, fill=paper] {_at((x, y))} rectangle {_at((x + cell, y + cell))};")
    return found


def _frame(frame: Frame) -> str:
    w, h = frame.width / 2, frame.height / 2
    corners = f"{_at((frame.x - w, frame.y - h))} rectangle {_at((frame.x + w, frame.y + h))}"
    head = _at((frame.x - w + 10, frame.y + h - 12))
    title = rf"\node[anchor=west, text=muted{_size(12.0, True)}] at {head} {{{_tex(frame.title)}}};"
    return rf"\draw[muted, rounded corners=6pt] {corners};" + ("\n" + title if frame.title else "")


def _note(note: Note, names: dict[str, str]) -> str:
    if note.box:
        width, height, fill = note.box
        low = (note.x - width / 2, note.y - height / 2)
        return rf"\fill[{_colour(fill, names)}] {_at(low)} rectangle {_at((low[0] + width, low[1] + height))};"
    anchor = {"left": "west", "right": "east"}.get(note.align, "center")
    return (
        rf"\node[anchor={anchor}, text=muted{_size(note.size, True)}] at {_at((note.x, note.y))} {{{_tex(note.text)}}};"
    )


def _size(points: float, inside: bool = False) -> str:
    """LaTeX's sizes, of a document in 10 points, nearest to the picture's; labels of 15 points are \\Large."""
    sizes = {8.0: r"\tiny", 9.5: r"\scriptsize", 11.0: r"\footnotesize", 12.5: r"\small", 14.5: r"\normalsize"}
    found = next((name for limit, name in sizes.items() if points < limit), r"\large")
    return f", font={found}" if inside else f"[font={found}]"


def _tex(label: Label) -> str:
    """Runs as one formula: letters in italics, words upright, scripts raised and lowered."""
    out: list[str] = []
    for run in label:
        text = labels.clean(run.text)
        if run.style == SUPER:
            if any(c in piece for piece in out for c in "^'"):  # TeX allows of one superscript only
                out = ["{" + "".join(out) + "}"]
            out.append("^{" + _math(text) + "}")
        elif run.style == SUB:
            out.append("_{" + (_math(text) if len(text) == 1 else rf"\mathrm{{{_math(text)}}}") + "}")
        elif run.style == ITALIC:
            out.append(_math(text))
        elif text:
            out.append(_words(text))
    return "$" + "".join(out) + "$" if out else ""


def _math(text: str) -> str:
    out: list[str] = []
    for c in text:
        if c in _ACCENTS and out:
            out[-1] = f"{_ACCENTS[c]}{{{out[-1].strip()}}}"
        else:
            out.append(_sign(c) + (" " if c in _NAMES else ""))
    return "".join(out)


def _sign(c: str) -> str:
    """A character within a formula."""
    if c in _MATH or c.isascii():
        return _MATH.get(c, _SPECIAL.get(c, c))
    if c in _LATIN:
        return rf"\text{{{c}}}"
    kind, _, codes = unicodedata.decomposition(c).partition(" ")
    if kind in ("<super>", "<sub>"):
        inner = "".join(_sign(chr(int(code, 16))) for code in codes.split())
        return f"{'^' if kind == '<super>' else '_'}{{{inner}}}"
    return rf"\other{{{c}}}"


def _words(text: str) -> str:
    """Upright text inside of a formula, signs in it as mathematics."""
    if text == "′" * len(text):
        return "'" * len(text)
    out: list[str] = []
    word: list[str] = []
    for c in [*text, ""]:
        if c and c not in _MATH and (c.isascii() or c in _LATIN):
            word.append(_SPECIAL.get(c, c))
            continue
        last = word.pop() if c in _ACCENTS and word else ""
        if word:
            out.append(rf"\text{{{''.join(word)}}}")
            word = []
        if last:
            out.append(f"{_ACCENTS[c]}{{\\text{{{last}}}}}")
        elif c:
            out.append(_sign(c))
    return "".join(out)
