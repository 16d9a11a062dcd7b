"""PNG and PDF: a placed diagram painted as its SVG shows it, superscripts and all, with fonts that come along."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

from tinyseq.viz.diagram import Diagram, Link, Note, Point, Vertex
from tinyseq.viz.look import labels, style
from tinyseq.viz.look.labels import ITALIC, SUB, SUPER, Label, Run
from tinyseq.viz.output.extent import extent
from tinyseq.viz.output.trunks import Trunks

MATH, TEXT = ("STIXGeneral", "DejaVu Sans"), ("DejaVu Sans",)
DASHES = (4.0, 2.6)
ACCENTS = {
    "\u0303": "\u02dc",
    "\u0302": "\u02c6",
    "\u0304": "\u00af",
    "\u0307": "\u02d9",
    "\u030c": "\u02c7",
    "\u20d7": "\u2192",
}


def paint(diagram: Diagram, format: str) -> bytes:
    """The bytes of a PNG or PDF, cropped to what is drawn."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    look = diagram.look
    left, bottom, right, top = extent(diagram)
    left, bottom, right, top = left - style.MARGIN, bottom - style.MARGIN, right + style.MARGIN, top + style.MARGIN
    settings = {"pdf.fonttype": 42, "text.usetex": False, "path.simplify": False}
    with rc_context(settings), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box is drawn for it
        size = ((right - left) * look.scale / 72, (top - bottom) * look.scale / 72)
        figure = Figure(figsize=size, dpi=look.dpi, facecolor=look.palette.paper)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        _Painter(diagram, axes).run()
        out = BytesIO()
        facts = {"Title": diagram.title, "CreationDate": None} if format == "pdf" else {"Title": diagram.title}
        options: dict[str, Any] = {"pil_kwargs": {"compress_level": 3}} if format == "png" else {}
        figure.savefig(out, format=format, dpi=look.dpi, facecolor=look.palette.paper, metadata=facts, **options)
    return out.getvalue()


class _Painter:
    def __init__(self, diagram: Diagram, axes: Any) -> None:
        self.diagram, self.axes, self.look = diagram, axes, diagram.look
        self.colours, self.scale = diagram.look.palette, diagram.look.scale
        self.trunks = Trunks()

    def run(self) -> None:
        for frame in self.diagram.frames:
            box = (frame.x - frame.width / 2, frame.y - frame.height / 2)
            self._box(box, frame.width, frame.height, 6.0, "none", self.colours.muted, 0.9)
            self._write(frame.title, frame.x - frame.width / 2 + 10, frame.y + frame.height / 2 - 12, 12.0, "left")
        for link in sorted(self.diagram.links, key=is_dashed):
            self._link(link)
        for vertex in self.diagram.vertices:
            if vertex.role != "anchor":
                self._vertex(vertex)
        for note in self.diagram.notes:
            self._note(note)

    # -- arrows ---------------------------------------------------------------------------------------------------
    def _link(self, link: Link) -> None:
        colours = self.colours
        colour = colours.fixed if link.fixed else colours.edge
        if link.recurrent and self.diagram.detail == "ops":
            colour = colours.recurrent
        colour = colours.cut if link.cut else colour
        for path in (link.path_in, link.path):
            rest = self.trunks.rest(path)
            if rest:
                self._curve(rest, colour, is_dashed(link))
        if link.tip:
            self._head(link.path[-1], link.tip, colour)
        if link.square:
            x, y = link.square
            side = link.side
            self._box((x - side / 2, y - side / 2), side, side, 0.0, colours.ink, colours.ink, 1.0)
            self._write((Run(link.lateness),), x, y, 8.5, "center", colours.paper)
        name = labels.names(link.label) if link.label else ()
        if link.cut or link.badge:
            name = (*name, Run((" ✂" if link.cut else "") + (f" {link.badge}" if link.badge else "")))
        if name and link.label_at:
            self._write(name, link.label_at[0], link.label_at[1], 14.0, "center", colours.ink)

    def _curve(self, points: Sequence[Point], colour: str, dashed: bool) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        codes = [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1)
        line = (0, tuple(d * self.scale for d in DASHES)) if dashed else "solid"
        self.axes.add_patch(
            PathPatch(Path(points, codes), facecolor="none", edgecolor=colour, linewidth=self.scale, linestyle=line)
        )

    def _head(self, foot: Point, tip: Point, colour: str) -> None:
        from matplotlib.patches import Polygon

        dx, dy = tip[0] - foot[0], tip[1] - foot[1]
        side = (-dy * 0.36, dx * 0.36)
        corners = [tip, (foot[0] + side[0], foot[1] + side[1]), (foot[0] - side[0], foot[1] - side[1])]
        self.axes.add_patch(
            Polygon(corners, closed=True, facecolor=colour, edgecolor=colour, linewidth=0.6 * self.scale)
        )

    # -- nodes ----------------------------------------------------------------------------------------------------
    def _vertex(self, v: Vertex) -> None:
        from matplotlib.patches import Ellipse

        fill = v.fill or self.colours.fills[v.role]
        line = self.colours.strokes.get(v.role, self.colours.ink)
        ink = style.ink_on(fill) if v.fill else self.colours.ink
        dashes = (0, tuple(d * self.scale for d in DASHES)) if v.dashed else "solid"
        if v.round:
            self.axes.add_patch(Ellipse((v.x, v.y), v.width, v.height, facecolor=fill, edgecolor=line,
                                        linewidth=1.1 * self.scale, linestyle=dashes))  # fmt: skip
        else:
            corner = min(8.0, v.height / 3)
            self._box((v.x - v.width / 2, v.y - v.height / 2), v.width, v.height, corner, fill, line, 1.1, dashes)
        size = node_size(v)
        if v.cells:
            self._grid(v, line)
            self._write(v.label, v.x, v.y + v.height / 2 - style.LABEL_SIZE * 0.75, size, "center", ink)
        elif v.note:
            self._write(v.label, v.x, v.y + 6.0, size, "center", ink)
            self._write(
                (Run(v.note),), v.x, v.y - 10.0, style.NOTE_SIZE, "center", ink if v.fill else self.colours.muted
            )
        else:
            self._write(v.label, v.x, v.y, size, "center", ink)

    def _grid(self, v: Vertex, line: str) -> None:
        assert v.cells is not None
        rows, columns = v.cells
        pitch = style.GRID_CELL + style.GRID_GAP
        left, low = v.x - columns * pitch / 2 + style.GRID_GAP / 2, v.y - v.height / 2 + 2 * style.GRID_GAP
        for r in range(rows):
            for c in range(columns):
                at = (left + c * pitch, low + r * pitch)
                self._box(at, style.GRID_CELL, style.GRID_CELL, 0.0, self.colours.paper, line, 0.9)

    def _box(
        self,
        at: Point,
        width: float,
        height: float,
        corner: float,
        fill: str,
        line: str,
        stroke: float,
        dash: Any = "solid",
    ) -> None:
        from matplotlib.patches import FancyBboxPatch, Rectangle

        options = {"facecolor": fill, "edgecolor": line, "linewidth": stroke * self.scale, "linestyle": dash}
        if corner:
            round_box = f"round,pad=0,rounding_size={corner}"
            self.axes.add_patch(FancyBboxPatch(at, width, height, boxstyle=round_box, mutation_aspect=1, **options))
        else:
            self.axes.add_patch(Rectangle(at, width, height, **options))

    # -- text -----------------------------------------------------------------------------------------------------
    def _note(self, note: Note) -> None:
        if note.box:
            width, height, fill = note.box
            self._box((note.x - width / 2, note.y - height / 2), width, height, 0.0, fill, fill, 0.5)
            return
        self._write(note.text, note.x, note.y, note.size, note.align)

    def _write(self, label: Label, x: float, y: float, size: float, align: str, colour: str = "") -> None:
        """Runs one after the other, scripts raised and lowered as in the SVG."""
        math = any(run.style == ITALIC for run in label)
        small = labels.script_size(size)
        pieces: list[tuple[Run, float]] = []
        slanted = []
        for run in label:
            scripted = run.style in (SUPER, SUB)
            parts = labels.script(run.text) if scripted else [(run.text, run.style == ITALIC)] if run.text else []
            pieces += [(Run(text, run.style), small if scripted else size) for text, _ in parts]
            slanted += [symbol for _, symbol in parts]
        faces = [math or run.style in (SUPER, SUB) for run, _ in pieces]
        fonts = [self._font(i, s, face) for (_, s), i, face in zip(pieces, slanted, faces, strict=True)]
        widths = [_width(run.text, font) for (run, _), font in zip(pieces, fonts, strict=True)]
        x -= sum(widths) / 2 if align == "center" else sum(widths) if align == "right" else 0.0
        base = y - 0.31 * size
        for (run, s), font, width in zip(pieces, fonts, widths, strict=True):
            raised = {SUPER: 0.62 * s, SUB: -0.32 * s}.get(run.style, 0.0)
            scaled = font.copy()
            scaled.set_size(s * self.scale)
            ink = colour or self.colours.muted
            self._letters(run.text, x, base + raised, s, scaled, ink)
            x += width

    def _letters(self, text: str, x: float, y: float, size: float, font: Any, ink: str) -> None:
        """Text from a place on; accents are set over their letters by hand: few fonts can."""
        letters = "".join(c for c in text if c not in ACCENTS)
        style = {"fontproperties": font, "va": "baseline", "color": ink, "parse_math": False}
        self.axes.text(x, y, _plain(letters), ha="left", **style)
        plain = font.copy()
        plain.set_size(size)
        for place, c in enumerate(text):
            if c in ACCENTS and place:
                before = "".join(d for d in text[: place - 1] if d not in ACCENTS)
                letter = text[place - 1]
                middle = _width(before, plain) + _width(letter, plain) / 2 + 0.06 * size
                tall = letter.isupper() or letter in "bdfhklt"
                self.axes.text(x + middle, y + (0.24 if tall else 0.03) * size, ACCENTS[c], ha="center", **style)

    def _font(self, italic: bool, size: float, math: bool) -> Any:
        families = (*((self.look.font,) if self.look.font else ()), *(MATH if math else TEXT))
        return _font(families, italic, size)


def _plain(text: str) -> str:
    return labels.clean(text)


@cache
def _font(families: tuple[str, ...], italic: bool, size: float) -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=list(families), style="italic" if italic else "normal", size=size)


def _width(text: str, font: Any) -> float:
    from matplotlib.textpath import text_to_path

    letters = "".join(c for c in _plain(text) if c not in ACCENTS)
    return float(text_to_path.get_text_width_height_descent(letters, font, False)[0]) if letters else 0.0


def is_dashed(link: Link) -> bool:
    """Whether an arrow's line is not drawn full."""
    return link.dashed or link.fixed or link.cut


def node_size(v: Vertex) -> float:
    """Size of a node's label in points."""
    if v.is_sign and v.height <= style.SIGN:
        return style.SIGN_SIZE
    return style.LABEL_SIZE if v.round or not v.note else 13.0
