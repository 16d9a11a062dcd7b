"""Detail "cell": named nodes as units, the primitives between them contracted into arrows labelled with parameters.

W h(t−1) + U x(t) + b becomes an arrow W from h(t−1) and an arrow U from x(t): a parameter labels the arrow whose value
it multiplies, a weight computed of parameters as a parameter does. What is only added (b) is no arrow; it is listed
under the picture. A pre-activation (a in h = tanh a) is drawn as one unit with its activation, as the book does. A
class number y and its one-hot row, also called y, are one.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tinyseq.ops import OPS
from tinyseq.ops.groups import (
    ACTIVATIONS,
    CONSTANTS,
    CUTS,
    INPUTS,
    JOINS,
    LOSSES,
    PARAMETERS,
    PRODUCTS,
    TAKEN,
)
from tinyseq.viz.excerpt.excerpt import Excerpt
from tinyseq.viz.look import labels
from tinyseq.viz.look.labels import Label, Run
from tinyseq.viz.units.loss_paths import LossPaths
from tinyseq.viz.units.primitives import Reduced, Unit, Wire, tooltip
from tinyseq.viz.units.sources import gathers, source_name

TOTAL = ("total",)


def roles(excerpt: Excerpt, through: Collection[str] = ()) -> Reduced:
    """Contract an excerpt to its named nodes; nodes named in ``through`` are contracted too."""
    return Roles(excerpt, through).reduced()


class Roles:
    """What stands out in an excerpt, and what is contracted; units.py sees more."""

    def __init__(self, excerpt: Excerpt, through: Collection[str] = ()) -> None:
        self.excerpt, self.passed = excerpt, set(through)
        self.readers: dict[int, list[int]] = {}
        for i in sorted(excerpt.found):
            for j in dict.fromkeys(excerpt.through(i)):
                self.readers.setdefault(j, []).append(i)
        used = np.zeros(len(excerpt.step), bool)
        used[excerpt.inputs_of_all[np.repeat(excerpt.keep[: len(excerpt.tape)], np.diff(excerpt.pointers))]] = True
        used[len(excerpt.tape) :] = True
        self.used = used
        self.state_keys = {key for late in excerpt.delays.values() for key in late.values()}
        self.loss_paths = LossPaths(excerpt, self.readers)
        self.losses = self.loss_paths.ends()
        self.pure: dict[int, tuple[str, ...]] = {}
        self.made: set[int] = set()
        self._find_pure()
        self.visible = self._visible()
        self.sources: dict[int, dict[int, tuple[tuple[str, ...], bool]]] = {}
        self.lossy: set[int] = set(self.losses)
        self._contract()
        self.rows_of_data: set[int] = set()
        self.same = self._same_data()

    # -- what is seen -----------------------------------------------------------------------------------------
    def _visible(self) -> set[int]:
        seen = {i for i in self.excerpt.found if self._stands_out(i)}
        keys = {self.excerpt.keys[i] for i in seen if self.excerpt.step[i] >= 0}
        seen |= {i for i in self.excerpt.found if self.excerpt.step[i] >= 0 and self.excerpt.keys[i] in keys}
        return seen | set(self.excerpt.ghosts)

    def _stands_out(self, i: int) -> bool:
        excerpt, node = self.excerpt, self.excerpt.node(i)
        readers = self.readers.get(i, [])
        if i in excerpt.initial:
            return True
        if excerpt.is_source(i):
            inside = [r for r in readers if r not in excerpt.initial and (not excerpt.is_source(r) or self._hidden(r))]
            return bool(inside) and node.op not in CONSTANTS and i not in self.pure and not self._hidden(i)
        if i in self.losses or excerpt.keys[i] in self.state_keys:
            return True
        if i in self.pure and self.used[i]:
            return False
        if node.name:
            return (
                node.name not in self.passed and not self._preactivation(i, readers) and not self.loss_paths.goes_on(i)
            )
        if excerpt.found[i] is None and node.op in JOINS:
            return len({excerpt.found[r] for r in self._read_in_steps(i)} - {None}) > 1
        if not self.used[i]:
            return node.op not in JOINS
        return excerpt.step[i] >= 0 and node.op not in LOSSES and any(excerpt.step[r] < 0 for r in readers)

    def _read_in_steps(self, i: int) -> list[int]:
        """The nodes of steps that read what many steps have made, at once or by way of others outside of steps."""
        found, seen, waiting = [], {i}, [i]
        while waiting:
            for r in self.readers.get(waiting.pop(), ()):
                if self.excerpt.step[r] >= 0:
                    found.append(r)
                elif r not in seen and not self.excerpt.node(r).name:
                    seen.add(r)
                    waiting.append(r)
        return found

    def _hidden(self, i: int) -> bool:
        """Made of data and parameters outside of all steps, as R x of a context x: x is what is drawn."""
        return i in self.made and not self.excerpt.node(i).name

    def _preactivation(self, i: int, readers: list[int]) -> bool:
        if len(readers) != 1 or self.excerpt.keys[i] in self.state_keys:
            return False
        reader = self.excerpt.node(readers[0])
        return reader.op in ACTIVATIONS and bool(reader.name)

    # -- contracting ------------------------------------------------------------------------------------------
    def _find_pure(self) -> None:
        """Nodes made of parameters alone, and which; a weight computed of others goes by its own name."""
        for i in sorted(self.excerpt.found):
            node = self.excerpt.node(i)
            if i in self.excerpt.initial:
                continue
            if node.op in PARAMETERS:
                self.pure[i] = (node.name or "parameter",)
            elif node.op in CONSTANTS or ("structure", True) in node.attrs:
                self.pure[i] = ()
            elif node.inputs and all(j in self.pure for j in node.inputs):
                of = tuple(dict.fromkeys(n for j in node.inputs for n in self.pure[j]))
                self.pure[i] = (node.name,) if node.name and of else of
            elif self.excerpt.is_source(i) and any(self.pure.get(j) or j in self.made for j in node.inputs):
                self.made.add(i)

    def _contract(self) -> None:
        previous: dict[tuple, int] = {}
        for i in sorted(self.excerpt.found):
            node = self.excerpt.node(i)
            if i in self.excerpt.initial or (self.excerpt.is_source(i) and i in self.visible):
                self.sources[i] = {}
                continue
            inputs = self.excerpt.through(i)
            product = node.op in PRODUCTS
            factors = [n for j in dict.fromkeys(inputs) if j in self.pure for n in self.pure[j]] if product else []
            found: dict[int, tuple[tuple[str, ...], bool]] = {}
            for j in inputs:
                if j in self.pure and j not in self.excerpt.initial:
                    continue
                for source, (names, cut) in self._leads(j, previous).items():
                    known = found.get(source, ((), False))
                    merged = dict.fromkeys([*known[0], *names, *factors])
                    found[source] = (tuple(merged), known[1] or cut or node.op in CUTS)
                if j in self.lossy and j not in self.visible:
                    self.lossy.add(i)
            if node.op in LOSSES:
                self.lossy.add(i)
            self.sources[i] = found
            if self.excerpt.step[i] < 0:
                previous[node.op, node.name] = i

    def _leads(self, j: int, previous: dict[tuple, int]) -> dict[int, tuple[tuple[str, ...], bool]]:
        if j in self.visible:
            return {j: ((), False)}
        if j in self.sources:
            return self.sources[j]
        node = self.excerpt.node(j)
        if self.excerpt.step[j] < 0 and (node.op, node.name) in previous:  # a running sum goes on behind the gap
            return self.sources[previous[node.op, node.name]]
        return {}

    # -- units ----------------------------------------------------------------------------------------------------
    def reduced(self) -> Reduced:
        result = Reduced()
        given = {self.excerpt.node(i).name for i in self.visible} | {source_name(self.excerpt, i) for i in self.visible}
        taken: dict[str, tuple] = {name: ("given",) for name in given if name}
        for i in sorted(self.visible):
            if self.same.get(i, i) == i:
                result.add(self._unit(i, taken))
        for i in sorted(self.visible - set(self.excerpt.ghosts) - set(self.excerpt.initial)):
            for source, (names, cut) in self.sources[i].items():
                start, end = self.same.get(source, source), self.same.get(i, i)
                if start != end:
                    result.wires.append(Wire(f"n{start}", f"n{end}", names, cut))
        return result

    def _same_data(self) -> dict[int, int]:
        """x(t) taken twice from one sequence, as by the two directions of a bidirectional net, is drawn once; so are
        the class number y(t) and the row that it becomes under the same name."""
        first: dict[tuple, int] = {}
        same = {}
        for i in sorted(self.visible):
            node = self.excerpt.node(i)
            if node.op in TAKEN and self.excerpt.is_source(i) and i not in self.excerpt.initial:
                same[i] = first.setdefault((node.inputs, node.arg, self.excerpt.found.get(i)), i)
        for i in sorted(self.visible - set(self.excerpt.ghosts) - set(self.excerpt.initial)):
            alone = next(iter(self.sources[i].items())) if len(self.sources[i]) == 1 else None
            if alone and alone[1] == ((), False) and self._is_row_of(i, alone[0]):
                self.rows_of_data.add(i)
                same.update({j: i for j in [alone[0], *same] if same.get(j, j) == same.get(alone[0], alone[0])})
        return same

    def _is_row_of(self, i: int, j: int) -> bool:
        """Whether a node is data j in another form: under the same name, from j alone."""
        excerpt = self.excerpt
        if j not in excerpt.found or not excerpt.is_source(j) or j in excerpt.initial or excerpt.is_source(i):
            return False
        return excerpt.found[i] == excerpt.found[j] and excerpt.node(i).name == source_name(self.excerpt, j) != ""

    def _unit(self, i: int, taken: dict[str, tuple]) -> Unit:
        excerpt, node = self.excerpt, self.excerpt.node(i)
        step = excerpt.ghosts.get(i, excerpt.found.get(i))
        key, role, time = excerpt.keys[i], self._role(i), step
        if i in excerpt.initial:
            key, time = excerpt.initial[i]
            if node.name and node.name != key[2] and not excerpt.apart:  # a name of its own, such as h0
                time = None
        elif role == "data" and node.op in TAKEN and excerpt.node(node.inputs[0]).op in INPUTS:
            time = node.arg
        elif step is not None and self._reads_many(i):
            step = time = None
            key = (*TOTAL, *key)
        return Unit(
            f"n{i}", excerpt.real(i), key, step, self._label(i, key, taken), role, time, node.shape, "", tooltip(node),
            i in excerpt.ghosts, excerpt.initial.get(i, (None,))[0],
        )  # fmt: skip

    def _reads_many(self, i: int) -> bool:
        """A sum over time recorded in the user's loop: it stands at no step."""
        if self.excerpt.step[i] >= 0 or self.used[i] or self.excerpt.is_source(i):
            return False
        return len({self.excerpt.found.get(j) for j in self.sources[i]} - {None}) > 1

    def _role(self, i: int) -> str:
        if i in self.excerpt.initial:
            return "initial"
        if self.excerpt.is_source(i) or i in self.rows_of_data:
            return "data"
        if self.excerpt.keys[i] in self.state_keys:
            return "state"
        if i in self.lossy or (self.sources.get(i) and all(self._loss_like(j) for j in self.sources[i])):
            return "loss"
        return "unit"

    def _loss_like(self, i: int) -> bool:
        return i in self.lossy and i in self.visible

    def _label(self, i: int, key: tuple, taken: dict[str, tuple]) -> Label:
        node, role = self.excerpt.node(i), self._role(i)
        given = node.name or (source_name(self.excerpt, i) if role == "data" else "")
        if given and role == "data" and not node.name and gathers(self.excerpt, i):
            return (Run("["), *labels.name(given), Run("]"))
        if given:
            return labels.name(given)
        if role == "initial":
            return self._state_name(key, taken)
        if role == "data":
            read = [(r, self.excerpt.inputs(r)) for r in self.readers.get(i, [])]
            target = any(self.excerpt.node(r).op in LOSSES and i in inputs[1:] for r, inputs in read)
            return _free("y" if target else "x", key, taken)
        if role == "state":
            return self._state_name(key, taken)
        if role == "loss" and key[0] == TOTAL[0]:
            return labels.name("L")
        if role == "loss":
            return _free("L", key, taken)
        if node.op in JOINS and key[-1]:
            made = next((j for j in self.sources.get(i, ()) if self.excerpt.node(j).name), None)
            name = labels.name(self.excerpt.node(made).name) if made is not None else (Run("…"),)
            return (Run("["), *name, Run("]"))
        if self.excerpt.step[i] >= 0 and (self.used[i] or not self.readers.get(i)):
            return _free("o", key, taken)
        return (Run(OPS[node.op].symbol if node.op in OPS else node.op),)

    def _state_name(self, key: tuple, taken: dict[str, tuple]) -> Label:
        return labels.name(key[2]) if len(key) > 2 and key[2] else _free("h", key, taken)


def _free(base: str, key: tuple, taken: dict[str, tuple]) -> Label:
    """A name for what the user left unnamed: x, h, o, L, y, with a number where several are wanted."""
    key = key[:-1] if key and isinstance(key[-1], bool) else key
    for number in range(1, 1000):
        name = base if number == 1 else f"{base}_{number}"
        if taken.setdefault(name, key) == key:
            return labels.name(name)
    return (Run(base),)
