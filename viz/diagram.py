"""The neutral picture: what is drawn, before anything is known of where or in which format."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinyseq.viz.look.labels import Label, text_of
from tinyseq.viz.look.options import Look
from tinyseq.viz.look.style import DELAY_SQUARE

Point = tuple[float, float]


@dataclass(eq=False)
class Vertex:
    """Something drawn as a node.

    key     the same for the same place in every step; vertices of one key stand in one row
    column  place on the time axis, None for what belongs to no step
    role    data, state, initial, unit, loss, op, parameter, constant, ellipsis
    node    index on the tape, -1 if it stands for several or none
    base    the label without its time step, and ``time`` that step where it has one
    measure what an overlay measured on it, ``badge`` the number as it stands beside it
    panel   which of several graphs side by side it belongs to
    strip   the cell that it belongs to: each stands in a strip of its own
    position  of a tree, -1 above all of them; ``kind`` is the same for the same place in every position
    cells   (rows, columns) of a unit that is drawn as the grid of cells it holds
    """

    id: str
    key: tuple
    column: int | None
    role: str
    label: Label
    node: int = -1
    shape: tuple[int, ...] | None = None
    note: str = ""
    tooltip: str = ""
    dashed: bool = False
    round: bool = True
    gradient: float | None = None
    fill: str = ""
    measure: float | None = None
    badge: str = ""
    base: Label = ()
    time: int | None = None
    panel: str = ""
    strip: str = ""
    position: int | None = None
    kind: tuple = ()
    cells: tuple[int, int] | None = None
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def is_sign(self) -> bool:
        """An op without a name, drawn as its sign: a × or + on the way of a state."""
        renamed = bool(self.base) and self.base != self.label[: len(self.base)]
        return self.role == "unit" and not self.note and renamed

    @property
    def text(self) -> str:
        """The label as plain text."""
        return text_of(self.label)

    @property
    def name(self) -> str:
        """The label without its time step, as plain text."""
        return text_of(self.base or self.label)


@dataclass(eq=False)
class Link:
    """An arrow. ``delay`` > 0 is drawn with the black square: the target reads its source so many steps later."""

    source: str
    target: str
    label: tuple[str, ...] = ()
    delay: int = 0
    dashed: bool = False
    recurrent: bool = False
    cut: bool = False
    fixed: bool = False  # its parameters are not learned
    badge: str = ""
    path: list[Point] = field(default_factory=list)  # Bézier points up to the foot of the arrow's head
    tip: Point | None = None
    label_at: Point | None = None
    square: Point | None = None
    path_in: list[Point] = field(default_factory=list)  # from the source to the square

    @property
    def lateness(self) -> str:
        """What is written in the square: by how many steps it is late, unless that is one."""
        return "" if self.delay in (0, 1) else str(self.delay).replace("-", "−")

    @property
    def side(self) -> float:
        """How wide and high the square is."""
        return DELAY_SQUARE + 3.0 * len(self.lateness)


@dataclass
class Column:
    """One place on the time axis: a time step, or a gap that stands for ``elided`` steps left out."""

    step: int | None
    elided: int = 0
    first: int = 0
    last: int = 0
    x: float = 0.0


@dataclass
class Note:
    """Text beside the graph."""

    text: Label
    x: float = 0.0
    y: float = 0.0
    align: str = "center"
    size: float = 9.0
    box: tuple[float, float, str] | None = None  # width, height and fill of a swatch


@dataclass
class Frame:
    """A box around a part of the graph: middle, size, and a title over its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    title: Label = ()


@dataclass
class Diagram:
    """A picture: vertices, links, the time axis, and how it is to be read aloud.

    repeats  of how many time steps a folded graph shows one (of a tree: positions, so it says ``repeated``)
    counts   nodes of the tape that are shown (alone or as part of another), and all there are
    """

    view: str
    detail: str
    vertices: list[Vertex] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    ordered: bool = False  # inputs stand from left to right, as the children of a tree
    tree: dict[int, list[int]] = field(default_factory=dict)  # position -> its children, of a tree
    entries: dict[str, tuple | None] = field(default_factory=dict)  # what chains read of trees -> the state it begins
    grounded: frozenset[int] = frozenset()  # positions under which no other stands: something comes up to them
    parameters: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    fixed: frozenset[str] = frozenset()  # names of parameters that are not learned
    strips: dict[str, str] = field(
        default_factory=dict
    )  # of several cells, in their order: what is written beside each
    words: dict[str, str] = field(default_factory=dict)  # vertex -> the word that it stands for
    notes: list[Note] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    repeats: int = 0
    repeated: str = "time step"
    counts: tuple[int, int] | None = None
    title: str = ""
    description: str = ""
    look: Look = field(default_factory=Look)

    def vertex(self, id: str) -> Vertex:
        """A vertex by its id."""
        return next(v for v in self.vertices if v.id == id)

    def edges(self) -> set[tuple[str, str, str, int]]:
        """(source text, target text, label, delay) of every link."""
        text = {v.id: v.text for v in self.vertices}
        return {(text[e.source], text[e.target], ", ".join(e.label), e.delay) for e in self.links}
