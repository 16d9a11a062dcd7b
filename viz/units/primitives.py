"""From nodes of the tape to units of the picture: here all of them (detail "ops"); the named ones in roles.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinyseq.ops import OPS
from tinyseq.ops.groups import CONSTANTS, CUTS, INPUTS, PARAMETERS, TAKEN
from tinyseq.tape import Node
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import Label, Run


@dataclass
class Unit:
    """What becomes a vertex in each step: where it belongs and how it is called."""

    id: str
    node: int
    key: tuple
    step: int | None
    label: Label
    role: str
    time: int | None = None
    shape: tuple[int, ...] | None = None
    note: str = ""
    tooltip: str = ""
    ghost: bool = False
    initial: tuple | None = None
    name: Label = ()  # what tells it from others with the same label


@dataclass
class Wire:
    """Source reads into target; ``names`` are the parameters met on the way."""

    source: str
    target: str
    names: tuple[str, ...] = ()
    cut: bool = False


@dataclass
class Reduced:
    """Units by id, and wires."""

    units: dict[str, Unit] = field(default_factory=dict)
    wires: list[Wire] = field(default_factory=list)

    def add(self, unit: Unit) -> Unit:
        """Add a unit."""
        self.units[unit.id] = unit
        return unit


def tooltip(node: Node) -> str:
    """One line about a node: name, op, shape, dtype, where."""
    where = f" · {node.cell}[{node.step}]" if node.step >= 0 else ""
    dtype = f" {node.dtype}" if node.dtype is not None else ""
    line = f" · {node.line[0].rsplit('/', 1)[-1]}:{node.line[1]}" if node.line[1] else ""
    title = f"{node.name} = " if node.name else ""
    return labels.clean(f"{title}{node.op} · {labels.shape(node.shape)}{dtype}{where} · node {node.index}{line}")


def primitives(excerpt: Excerpt, timeless: bool = False) -> Reduced:
    """Every primitive, with its symbol and shape; parameters and shared sources again beside each that reads them.

    ``timeless`` leaves the numbers of time steps out of the symbols.
    """
    result = Reduced()
    hidden = _before_initial(excerpt) | _structure(excerpt)
    for i in sorted(excerpt.found):
        if i in hidden or _shared(excerpt, i):
            continue
        result.add(_primitive(excerpt, i, timeless))
    for j, step in excerpt.ghosts.items():
        unit = result.add(_primitive(excerpt, j, timeless))
        unit.step, unit.ghost = step, True
    for unit in [u for u in result.units.values() if not u.ghost and u.initial is None]:
        for place, j in enumerate(excerpt.inputs(unit.node)):
            if f"n{j}" in result.units:
                result.wires.append(Wire(f"n{j}", unit.id, cut=excerpt.node(j).op in CUTS))
            elif j in excerpt.found and j not in hidden:
                alias = _primitive(excerpt, j, timeless)
                alias.id = f"n{j}_{unit.id}_{place}"
                alias.key = ("alias", *excerpt.keys[j], unit.key, place)
                alias.step = unit.step
                result.add(alias)
                result.wires.append(Wire(alias.id, unit.id))
    return result


def _shared(excerpt: Excerpt, index: int) -> bool:
    """Drawn again beside each reader: parameters, and leaves that no one step owns."""
    node = excerpt.node(index)
    if node.op in PARAMETERS:
        return index not in excerpt.initial
    return excerpt.found[index] is None and (node.op in INPUTS or node.op in CONSTANTS) and index not in excerpt.initial


def _structure(excerpt: Excerpt) -> set[int]:
    """Leaves that say where the elements of a sparse matrix stand: part of its product, not data."""
    return {i for i in excerpt.found if ("structure", True) in excerpt.node(i).attrs}


def _before_initial(excerpt: Excerpt) -> set[int]:
    """What only the initial state is made of: the picture starts at the initial state itself."""
    readers: dict[int, list[int]] = {}
    for i in excerpt.found:
        for j in excerpt.inputs(i):
            readers.setdefault(j, []).append(i)
    hidden: set[int] = set()
    for i in sorted(excerpt.found, reverse=True):
        who = readers.get(i, [])
        if who and i not in excerpt.initial and all(r in excerpt.initial or r in hidden for r in who):
            hidden.add(i)
    return hidden


def _primitive(excerpt: Excerpt, index: int, timeless: bool) -> Unit:
    node = excerpt.node(index)
    note, time = labels.shape(node.shape), None
    title: Label = labels.name(node.name) if node.name else ()
    if node.op in PARAMETERS:
        role, label = "parameter", title or (Run("parameter"),)
    elif node.op in INPUTS:
        role, label = "data", title or (Run("input"),)
    elif node.op in CONSTANTS:
        role, label = "constant", (Run(f"{dict(node.attrs)['value']:g}"),)
    else:
        role, symbol = "op", _symbol(node, timeless)
        label = (*title, Run(" = "), Run(symbol)) if title else (Run(symbol),)
    key = excerpt.keys[index]
    if index in excerpt.initial:
        role, label, (key, time) = "initial", title or label, excerpt.initial[index]
    return Unit(
        f"n{index}", excerpt.real(index), key, excerpt.found.get(index), label, role, time, node.shape, note,
        tooltip(node), initial=excerpt.initial.get(index, (None,))[0],
    )  # fmt: skip


def _symbol(node: Node, timeless: bool) -> str:
    if node.op in TAKEN and not timeless:
        return f"[{node.arg}]"
    op = OPS.get(node.op)
    if op is None:
        return node.op
    return op.written(dict(node.attrs)) if op.written else op.symbol
