"""The reference executor: what a tape means, as two plain loops.

Forward runs the calls of each node that is needed, in the order of the tape. Backward walks the same nodes in
reverse: the gradient g of a node is complete when the walk reaches it, since all that read it come later; each
vjp then adds g · ∂y/∂x to the gradients of its inputs.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.engine.no_gradient import nothing_to_differentiate
from tinyseq.errors import GradientError, ShapeError, TapeError
from tinyseq.ops import OPS
from tinyseq.ops.groups import ARRANGING
from tinyseq.ops.op import DATA, PARAMETER, Call, Op, Site
from tinyseq.ops.picks import in_range
from tinyseq.tape import DTYPES, INT64, set_gradients, shape_of

if TYPE_CHECKING:
    from tinyseq.tape import Tape


class Reference:
    """Runs a tape node by node and keeps every value and gradient to look at."""

    def __init__(self, tape: Tape) -> None:
        self._tape = weakref.ref(tape)  # the tape holds its executor: a cycle would outlive its last tensor
        self.values: dict[int, np.ndarray] = {}
        self.grads: dict[int, np.ndarray] = {}
        self._places: dict[tuple, Place] = {}
        self._bounds: dict[int, tuple[int, int]] = {}

    @property
    def tape(self) -> Tape:
        """The tape that this executor runs."""
        tape = self._tape()
        if tape is None:
            raise TapeError("the tape of this executor is gone: keep the tape, or a tensor of it")
        return tape

    # -- the two loops
    def forward(self, index: int) -> None:
        """Compute a node and all it needs that has no value yet."""
        for i in self._missing(index):
            place, inputs = self.place(i), self.tape.inputs(i)
            if place.op.leaf == PARAMETER:
                self.values[i] = self.tape.parameters[place.site.arg].value.copy()
                continue
            if place.op.leaf == DATA:
                raise TapeError(f"input %{i} has no value: inside a cell being folded there are none yet")
            x = [self.values[j] for j in inputs]
            if place.op.limit:
                in_range(place.op.indices or place.op.name, place.op.limit(place.site), x[-1])
            y = self.values[i] = np.empty(place.site.shape, place.dtype)
            roles = {"y": y, "attr": place.floats, **{f"x{k}": v for k, v in enumerate(x)}}
            for call in place.forward:
                call.kernel(call.d, *[roles[role].reshape(-1) for role in call.operands])

    def backward(self, index: int, seed: Any = None, accumulate: bool = False) -> None:
        """Set the gradient of every node that ``index`` depends on, and of the parameters among them."""
        self.differentiate(index, seed)
        self.publish({i: self.grads.get(i) for i in self.tape._parameter_nodes.values()}, accumulate)

    def differentiate(self, index: int, seed: Any = None) -> None:
        """Set the gradient of every node that ``index`` depends on."""
        self.forward(index)
        grads = self.grads = {index: self.seed(index, seed)}
        totals = Totals(grads)
        for i in range(index, -1, -1):
            if i not in grads:
                continue
            totals.complete(i)
            place, inputs = self.place(i), self.tape.inputs(i)
            roles = {"y": self.values[i], "g": grads[i], "attr": place.floats}
            roles.update({f"x{k}": self.values[j] for k, j in enumerate(inputs)})
            for k, calls in place.vjps:
                j = inputs[k]
                fresh = j not in grads
                if fresh:
                    grads[j] = np.empty_like(self.values[j])
                self.add(calls, roles, f"gx{k}", grads[j], fresh)
                totals.added(j)

    # -- what they stand on
    @staticmethod
    def add(calls: list[Call], roles: dict[str, np.ndarray], target: str, out: np.ndarray, fresh: bool) -> None:
        """Run vjp calls that add to ``out``; ``fresh`` says that it holds nothing yet."""
        if fresh and (len(calls) != 1 or calls[0].partial):
            out[...] = 0
            fresh = False
        for call in calls:
            d = call.d
            d[call.accumulate_slot] = not fresh
            arrays = [out if role == target else roles[role] for role in call.operands]
            call.kernel(d, *[array.reshape(-1) for array in arrays])

    def _missing(self, index: int) -> list[int]:
        found, stack = set(), [index]
        while stack:
            i = stack.pop()
            if i not in self.values and i not in found:
                found.add(i)
                stack.extend(self.tape.inputs(i))
        return sorted(found)

    def place(self, index: int) -> Place:
        """What the tape says of a node, made once for all nodes alike."""
        kind, rows, arg, _ = self.tape._row(index)
        shapes = tuple([self.tape.shape(j) for j in self.tape.inputs(index)])
        key = (kind, rows, arg, shapes)
        place = self._places.get(key)
        if place is None:
            k = self.tape.kinds[kind]
            integer = [self.tape.kind_of(j).dtype == INT64 for j in self.tape.inputs(index)]
            place = Place(OPS[k.op], Site(k.attrs, arg, shapes, shape_of(rows, k.tail)), DTYPES[k.dtype], integer)
            if len(self._places) > 100_000:
                self._places.clear()
            self._places[key] = place
        return place

    def seed(self, index: int, seed: Any) -> np.ndarray:
        """∂L/∂L = 1 (10.17), or the user's seed, checked."""
        value = self.values[index]
        if value.dtype == np.int64:
            raise GradientError(f"node %{index} holds integers; gradients are of floating-point tensors")
        if not self.parameters_below(index):
            raise GradientError(nothing_to_differentiate(self.tape, index, "the loss"))
        if seed is None:
            return np.ones_like(value)
        given = np.asarray(seed, value.dtype)
        if given.shape != value.shape:
            raise ShapeError(f"the seed has shape {given.shape}, the tensor {value.shape}: they must be equal")
        return given.copy()

    def parameters_below(self, index: int) -> bool:
        """Whether a node depends on a trainable parameter through ops that pass gradients on."""
        seen, stack = set(), [index]
        while stack:
            i = stack.pop()
            if i in seen:
                continue
            seen.add(i)
            place = self.place(i)
            if place.op.leaf == PARAMETER and not place.site.attrs:
                return True
            inputs = self.tape.inputs(i)
            stack.extend(inputs[k] for k, _ in place.vjps)
        return False

    def publish(self, grads: dict[int, np.ndarray | None], accumulate: bool) -> None:
        """Hand gradients to the parameters."""
        found: list[np.ndarray | None] = []
        for parameter, i in zip(self.tape.parameters, self.tape._parameter_nodes.values(), strict=True):
            grad = grads[i] if parameter.trainable else None
            if accumulate and parameter.grad is not None:
                found.append(parameter.grad + grad if grad is not None else parameter.grad)
            else:
                found.append(None if grad is None else grad.copy())
        set_gradients(self.tape.parameters, found)

    # -- the protocol of executors
    def bind(self, index: int, value: np.ndarray) -> None:
        """Give an input leaf its value."""
        self.values[index] = value

    def rebind(self, old: int, new: int) -> None:
        """A leaf has moved on the tape."""
        self.values[new] = self.values.pop(old)
        if old in self._bounds:
            self._bounds[new] = self._bounds.pop(old)

    def bounds(self, index: int) -> tuple[int, int]:
        """Smallest and largest number in an integer leaf."""
        if index not in self._bounds:
            value = self.values[index]
            self._bounds[index] = (int(value.min()), int(value.max())) if value.size else (0, -1)
        return self._bounds[index]

    def value(self, index: int) -> np.ndarray:
        """Value of a node."""
        self.forward(index)
        return self.values[index]

    def look(self, index: int) -> np.ndarray:
        """Value of a node, of which nothing is kept."""
        before = set(self.values)
        self.forward(index)
        found = self.values[index]
        for i in self.values.keys() - before:
            del self.values[i]
        return found

    def known(self, index: int) -> np.ndarray | None:
        """Value of a node if it has been computed."""
        return self.values.get(index)

    def grad(self, index: int) -> np.ndarray | None:
        """Gradient of a node after ``backward``."""
        return self.grads.get(index)

    def arranged(self, index: int) -> np.ndarray | None:
        """Gradient by a node that is not on the way to the loss but only arranges numbers of nodes that are, such as
        one step of stacked outputs: the gradients of these numbers, arranged alike; None where there are none."""
        wanted, stack = set(), [index]
        while stack:
            i = stack.pop()
            if i not in wanted and i not in self.grads and self.tape.kind_of(i).op in ARRANGING:
                wanted.add(i)
                stack.extend(self.tape.inputs(i))
        found: dict[int, np.ndarray] = {}
        for i in sorted(wanted):
            place, inputs = self.place(i), self.tape.inputs(i)
            given = [found.get(j, self.grads.get(j)) for j in inputs]
            if place.dtype == np.int64 or all(g is None for g in given):
                continue
            roles: dict[str, np.ndarray] = {"y": np.empty(place.site.shape, place.dtype), "attr": place.floats}
            for k, (j, g) in enumerate(zip(inputs, given, strict=True)):
                if place.integer[k]:
                    self.forward(j)
                roles[f"x{k}"] = self.values[j] if place.integer[k] else g if g is not None else self._zeros(j)
            for call in place.forward:
                call.kernel(call.d, *[roles[role].reshape(-1) for role in call.operands])
            found[i] = roles["y"]
        return found.get(index)

    def _zeros(self, index: int) -> np.ndarray:
        return np.zeros(self.tape.shape(index), DTYPES[self.tape.kind_of(index).dtype])

    def terms(self, parameter: Any) -> list[tuple[int, int, np.ndarray]]:
        """(node, step, term) for each use of a parameter: the summands of its gradient, last use first."""
        leaf = self.tape.node_of(parameter)
        if leaf is None or not self.grads:
            raise GradientError(f"no gradient of {parameter!r} on this tape: run loss.backward() first")
        terms = []
        for i in dict.fromkeys(self.tape.consumers(leaf)[::-1].tolist()):
            if i not in self.grads:
                continue
            place, inputs = self.place(i), self.tape.inputs(i)
            roles = {"y": self.values[i], "g": self.grads[i], "attr": place.floats}
            roles.update({f"x{k}": self.values[j] for k, j in enumerate(inputs)})
            term = np.zeros_like(self.values[leaf])
            for k, calls in place.vjps:
                if inputs[k] == leaf:
                    self.add(calls, roles, f"gx{k}", term, False)
            terms.append((i, self.tape._row(i)[3], term))
        return terms


class Totals:
    """Gradients that many nodes add to, as those of weights shared by all time steps: parts of a few terms each are
    added up in float64. Added one by one in float32, 10⁵ terms lose two digits."""

    TERMS = 32  # of a part

    def __init__(self, grads: dict[int, np.ndarray]) -> None:
        self.grads, self.totals = grads, dict[int, np.ndarray]()
        self.terms: dict[int, int] = {}

    def added(self, index: int) -> None:
        """One term more lies in a gradient; a whole part goes to the total."""
        terms = self.terms[index] = self.terms.get(index, 0) + 1
        if terms % self.TERMS == 0:
            part = self.grads[index]
            self.totals[index] = self.totals.get(index, 0) + part.astype(np.float64)
            part[...] = 0

    def complete(self, index: int) -> None:
        """All terms have come: the gradient becomes their sum."""
        if index in self.totals:
            gradient = self.grads[index]
            gradient[...] = gradient + self.totals.pop(index)


class Place:
    """An op at a site: its calls, made once."""

    __slots__ = ("_vjps", "dtype", "floats", "forward", "integer", "op", "site")

    def __init__(self, op: Op, site: Site, dtype: np.dtype, integer: list[bool]) -> None:
        self.op, self.site, self.dtype, self.integer = op, site, dtype, integer
        self.forward = op.forward(site)
        self._vjps: list[tuple[int, list[Call]]] | None = None
        numbers = [dict(site.attrs)[key] for key in op.floats]
        self.floats = np.array([*numbers, 0.0, 0.0][: max(2, len(numbers))], dtype if dtype != np.int64 else np.float64)

    @property
    def vjps(self) -> list[tuple[int, list[Call]]]:
        """(input position, calls) for each floating-point input that gets a gradient."""
        if self._vjps is None:
            self._vjps = (
                [(k, calls) for k, calls in self.op.vjps(self.site) if not self.integer[k]] if self.op.vjp else []
            )
        return self._vjps
