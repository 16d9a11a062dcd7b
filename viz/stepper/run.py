"""All that a page knows of one run: the nodes that the loss depends on, their numbers, arrows, pictures and ledgers.

What is repeated is said once (kinds, arrays, drawings of alike steps), so that a page of some thousand nodes stays
below two megabytes; arrays go through the pool, which keeps NaN, infinities and every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.diagnose.names import name_of
from tinyseq.errors import GradientError
from tinyseq.ops.groups import LEAVES, PARAMETERS
from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor
from tinyseq.viz.excerpt.choose import ancestors
from tinyseq.viz.look import labels
from tinyseq.viz.overlays.fixed import is_fixed
from tinyseq.viz.stepper.counts import count_arrows, loss_steps
from tinyseq.viz.stepper.edges import FORMS, Edges
from tinyseq.viz.stepper.inside import Inside, inside
from tinyseq.viz.stepper.kinds import kind_json
from tinyseq.viz.stepper.ledgers import ledger
from tinyseq.viz.stepper.live import given, index_limits
from tinyseq.viz.stepper.memory import live_bytes
from tinyseq.viz.stepper.order import Order, order_of
from tinyseq.viz.stepper.overview import Overview, overview
from tinyseq.viz.stepper.pool import Pool, binary
from tinyseq.viz.stepper.tracks import tracks

MOST_ROWS = 2_000  # rows of a ledger that are kept


class Run:
    """One loss on its tape, differentiated, drawn and measured.

    A ``live`` one leaves to the page what can be computed there: it holds the numbers of its leaves and no others.
    """

    def __init__(self, loss: Tensor, title: str, most: int, live: bool = False) -> None:
        self.tape: Tape = loss.tape
        self.title, self.loss = title, loss
        self.tape.backward(loss, seed=1.0)  # with a seed no plan is made: every value and gradient is wanted
        if self.tape.executor.grad(loss.index) is None:
            raise GradientError("the loss has no gradient, so there is no backward pass to step through")
        keep = ancestors(self.tape, loss.index)
        self.order: Order = order_of(self.tape, keep, most)
        self.edges = Edges(self.tape)
        self.needed = self._needed()
        self.overview: Overview = overview(self.tape, self.order, keep)
        self.inside: Inside = inside(self.tape, self.order)
        self.nodes = self.order.nodes[self.order.kept].tolist()
        self.local = {i: n for n, i in enumerate(self.nodes)}
        self.group_of = dict(zip(self.order.nodes.tolist(), self.order.group.tolist(), strict=True))
        self.whole = len(self.nodes) == len(self.order.nodes)
        self.live = live and self.whole
        self.events = self._events()
        self.counts = count_arrows(self.tape, self.nodes, self.needed, self._event_after)
        self.pool = Pool()
        self.ledgers = [self._ledger(p) for p in range(len(self.tape.parameters)) if self._is_used(p)]
        self._collect()

    @property
    def ops(self) -> set[str]:
        """The ops that stand on the page."""
        return {self._op(i) for i in self.nodes}

    # -- the walk -------------------------------------------------------------------------------------------------
    def _op(self, index: int) -> str:
        return self.tape.kinds[int(self.tape.kind[index])].op

    def _needed(self) -> set[int]:
        """Nodes that a gradient reaches and that depend on something learned, be it across a cut, where it is lost."""
        depends: set[int] = set()
        for i in self.order.nodes.tolist():
            if self._is_learned(i) or not depends.isdisjoint(self.tape.inputs(i)):
                depends.add(i)
        return depends.intersection(self.edges.grads)

    def _is_learned(self, index: int) -> bool:
        return self._op(index) in PARAMETERS and not is_fixed(self.tape, index)

    def _events(self) -> dict[str, Any]:
        """Forward and backward events among all nodes, and which of them the page holds."""
        ops = [i for i in self.order.nodes.tolist() if self._op(i) not in LEAVES]
        back = [i for i in reversed(ops) if i in self.needed]
        live = live_bytes(self.tape, self.order.nodes, self.needed)
        kept = [(n, i) for n, i in enumerate(ops, 1) if i in self.local]
        walked = [(n, i) for n, i in enumerate(back, 1 + len(ops)) if i in self.local]
        at = {i: k for k, (_, i) in enumerate(walked, 1 + len(kept))}  # event number on the page
        moment = {i: n for n, i in enumerate(back)}
        return {
            "forward": [i for _, i in kept],
            "backward": [i for _, i in walked],
            "live": live[[0, *[n for n, _ in kept], *[n for n, _ in walked]]],
            "peak": int(live.max()),
            "at": at,
            "moment": moment,
            "walked": np.array([moment[i] for _, i in walked], np.int64),
            "all": len(ops) + len(back),
        }

    def _event_after(self, node: int) -> int:
        """The event of the page by which a node's backward step is done, held or not."""
        at = self.events["at"].get(node)
        if at is not None:
            return at
        later = int(np.searchsorted(self.events["walked"], self.events["moment"][node]))
        return len(self.events["forward"]) + min(later + 1, len(self.events["backward"]))

    # -- the ledgers ----------------------------------------------------------------------------------------------
    def _is_used(self, number: int) -> bool:
        leaf = self.tape.node_of(self.tape.parameters[number])
        return leaf is not None and leaf in self.needed

    def _ledger(self, number: int) -> dict[str, Any]:
        """The ledger of a parameter as the page holds it: (step, event, δ, size, cosine, running sum, own uses)."""
        leaf: int = self.tape.node_of(self.tape.parameters[number])  # type: ignore[assignment]
        readers = sorted(set(self.tape.consumers(leaf).tolist()) & self.needed, key=self.events["moment"].__getitem__)
        found, half = ledger(self.tape, self.edges, leaf, readers, self.group_of.__getitem__), MOST_ROWS // 2
        table = []
        for row in found.rows:
            held = all(i in self.local for i, _ in row.uses)
            uses = [(self.local[i], place) for i, place in row.uses] if held else []
            event = max(self._event_after(i) for i, _ in row.uses)
            table.append((row.step, event, row.delta, row.size, row.cosine, row.running, uses))
        return {
            "parameter": number, "leaf": self.local[leaf], "total": found.total, "residual": found.residual,
            "left_out": 0 if self.live else max(0, len(table) - MOST_ROWS),
            "rows": table if self.live or len(table) <= MOST_ROWS else [*table[:half], *table[-half:]],
        }  # fmt: skip

    # -- as JSON --------------------------------------------------------------------------------------------------
    def json(self, cap: int, first: bool) -> dict[str, Any]:
        """All of it; ``cap`` is the pool's. The graph of the first run stands in the page already."""
        return {
            "title": labels.clean(self.title), "kind": self.order.kind, "total": self.order.total,
            **(self._live() if self.live else {}),
            "held": len(self.nodes), "of": len(self.order.nodes), "loss": self.local[self.loss.index],
            "loss_steps": loss_steps(self.tape, self.needed, self.loss.index), "elsewhere": self.counts.elsewhere,
            **self._nodes(), **self._walk(), "arrays": self.pool.pack(cap),
            "tracks": self.tracks, "ledgers": [self._ledger_json(ledger) for ledger in self.ledgers],
            "view": self._view(first), "inside": self._inside(),
        }  # fmt: skip

    def _live(self) -> dict[str, Any]:
        """What a page that computes is told: the value that it must come to, and what integers may be."""
        limits = index_limits(self.tape, self.order.nodes.tolist())
        return {
            "computes": True, "value": float(self.edges.values[self.loss.index]),
            "limits": [(self.local[i], limit) for i, limit in limits.items()],
        }  # fmt: skip

    def _collect(self) -> None:
        """Put the arrays that the page holds into the pool."""
        if not self.live:
            self._measure()
            return
        leaves = set(given(self.tape, self.nodes))
        self.values = [self.pool.put(self.edges.values[i]) if i in leaves else -1 for i in self.nodes]
        source, form = [], []
        pointer = np.cumsum([0, *[len(self.tape.inputs(i)) for i in self.nodes]])
        for i in self.nodes:
            for place, j in enumerate(self.tape.inputs(i)):
                source.append((self.local[j], place))
                form.append(self.edges.form(i, place) if i in self.needed and j in self.needed else 0)
        places = np.array(source, np.int64).reshape(-1, 2)
        self.arrows = {
            "pointer": binary(pointer, "<i4"), "source": binary(places[:, 0], "<i4"),
            "place": binary(places[:, 1], "<i4"), "form": binary(form, "<i1"), "forms": FORMS,
        }  # fmt: skip
        self.tracks = self._tracks()

    def _measure(self) -> None:
        """Put all arrays into the pool and measure every arrow."""
        self.values = [self.pool.put(self.edges.values.get(i)) for i in self.nodes]
        self.grads = [self.pool.put(self.edges.grads.get(i) if i in self.needed else None) for i in self.nodes]
        self.norms = [(_norm(self.edges.values.get(i)), _norm(self.edges.grads.get(i))) for i in self.nodes]
        pointer, source, form, data, norms, exact, increments = [0], [], [], [], [], [], []
        for i in self.nodes:
            for place, j in enumerate(self.tape.inputs(i)):
                if j not in self.local:
                    continue
                edge = self.edges.edge(i, place) if i in self.needed and j in self.needed else None
                source.append((self.local[j], place))
                form.append(edge.form if edge else 0)
                data.append(self.pool.put(edge.data if edge else None))
                norms.append(edge.norm if edge else 0.0)
                exact.append(edge.exact if edge else True)
                increments.append(_norm(edge.increment) if edge else 0.0)
            pointer.append(len(source))
        places = np.array(source, np.int64).reshape(-1, 2)
        self.arrows = {
            "pointer": binary(pointer, "<i4"), "source": binary(places[:, 0], "<i4"),
            "place": binary(places[:, 1], "<i4"), "form": binary(form, "<i1"), "data": binary(data, "<i4"),
            "jacobian": binary(norms, "<f4"), "exact": binary(exact, "<i1"), "increment": binary(increments, "<f8"),
            "forms": FORMS,
        }  # fmt: skip
        self.tracks = self._tracks()

    def _nodes(self) -> dict[str, Any]:
        kinds: dict[tuple, int] = {}
        kind, arg = [], []
        for i in self.nodes:
            node = self.tape.kinds[int(self.tape.kind[i])]
            kind.append(kinds.setdefault((node, self.tape.shape(i)), len(kinds)))
            arg.append(int(self.tape.arg[i]))
        kept = self.order.kept
        inputs = [len(self.tape.inputs(i)) for i in self.nodes]
        return {
            "kinds": [kind_json(self.tape, k, shape, self.nodes[kind.index(n)]) for n, (k, shape) in enumerate(kinds)],
            "nodes": {
                "kind": binary(kind, "<i4"), "arg": binary(arg, "<i4"), "index": binary(self.nodes, "<i4"),
                "group": binary(self.order.group[kept], "<i4"), "position": binary(self.order.position[kept], "<i4"),
                "value": binary(self.values, "<i4"),
                "inputs": binary(inputs, "<i4"), "leaving": binary(self.counts.leaving, "<i4"),
                "returning": binary(self.counts.returning, "<i4"), "beyond": binary(self.counts.beyond, "<i4"),
                **(
                    {}
                    if self.live
                    else {
                        "grad": binary(self.grads, "<i4"),
                        "value_norm": binary([v for v, _ in self.norms], "<f8"),
                        "grad_norm": binary([g for _, g in self.norms], "<f8"),
                    }
                ),
            },
            "edges": self.arrows,
        }  # fmt: skip

    def _walk(self) -> dict[str, Any]:
        return {
            "forward": binary([self.local[i] for i in self.events["forward"]], "<i4"),
            "backward": binary([self.local[i] for i in self.events["backward"]], "<i4"),
            "live": binary(self.events["live"], "<f8"), "peak": self.events["peak"],
        }  # fmt: skip

    def _ledger_json(self, ledger: dict[str, Any]) -> dict[str, Any]:
        rows = ledger["rows"]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 7
        uses = [u for row in rows for u in row[6]]
        name = name_of(self.tape, self.tape.parameters[ledger["parameter"]])
        return {
            **{key: value for key, value in ledger.items() if key != "rows"},
            "name": labels.clean(name), "runs": labels.name(name), "rows": [self.row_text(step) for step in columns[0]],
            "step": binary(columns[0], "<i4"), "event": binary(columns[1], "<i4"),
            "numbers": "" if self.live else binary(np.array(columns[2:6], np.float64).T, "<f8"),
            "uses": binary(np.array(uses, np.int64).reshape(-1), "<i4"),
            "count": binary([len(row[6]) for row in rows], "<i4"),
        }  # fmt: skip

    def row_text(self, group: int) -> str:
        """What a row of a ledger stands for: a time step, a height of a tree, a line of the user's code."""
        if self.order.kind == "bare" and group >= 0:
            first = int(self.order.nodes[np.argmax(self.order.group == group)])
            file, line = self.tape.kinds[int(self.tape.kind[first])].line
            return labels.clean(f"{file.rsplit('/', 1)[-1]}:{line}") if line else "—"
        return str(group) if group >= 0 else "—"

    def _tracks(self) -> list[dict[str, Any]]:
        place = {i: n for n, i in enumerate(self.order.nodes.tolist())}
        found = tracks(self.tape, self.order, self.overview, self.needed)
        return [self._track(name, nodes, place) for name, nodes in found]

    def _track(self, name: str, nodes: list[int], place: dict[int, int]) -> dict[str, Any]:
        stage = [int(self.order.position[place[i]]) for i in nodes]
        return {
            "name": labels.clean(name),
            "step": binary(stage, "<i4"),
            "node": binary([self.local.get(i, -1) for i in nodes], "<i4"),
            "norm": "" if self.live else binary([_norm(self.edges.grads.get(i)) for i in nodes], "<f8"),
        }

    def _view(self, first: bool) -> dict[str, Any]:
        view = self.overview
        return {
            "svg": "" if first else view.svg, "size": (view.width, view.height), "ends": view.ends,
            "cut": [n for n, c in enumerate(view.cut) if c], "late": [n for n, c in enumerate(view.late) if c],
            "owner": binary([view.owner.get(i, -1) for i in self.nodes], "<i4"),
            "node": binary([self.local.get(i, -1) for i in view.nodes], "<i4"),
            "columns": view.columns, "folded": view.folded_svg, "folded_size": view.folded_size,
            "fold": view.fold, "folded_ends": view.folded_ends, "fixed": view.fixed,
        }  # fmt: skip

    def _inside(self) -> dict[str, Any]:
        return {
            "drawings": [
                {"svg": d.svg, "size": (d.width, d.height), "ends": d.ends} for d in self.inside.drawings
            ],
            "parts": [(number, [self.local[i] for i in members]) for number, members in self.inside.parts],
            "part": binary([self.inside.part_of.get(i, -1) for i in self.nodes], "<i4"),
        }  # fmt: skip


def _norm(array: np.ndarray | None) -> float:
    if array is None:
        return float("nan")
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm(np.asarray(array, np.float64).reshape(-1)))
