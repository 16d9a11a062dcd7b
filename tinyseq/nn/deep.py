"""Deep recurrent nets, section 10.5 and figure 10.13: stacked states, deep transitions, skips past them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq import functions as F
from tinyseq.checks import positive
from tinyseq.errors import ShapeError, TinyseqError
from tinyseq.nn.cells import RecurrentCell
from tinyseq.nn.dropout import dropout, dropout_mask
from tinyseq.nn.module import Cell, Module, uniform
from tinyseq.nn.sequences import Encoded, Steps, encode, mask_of, prepare
from tinyseq.tensor.handles import Tensor
from tinyseq.tensor.parameter import Parameter


class StackedCells(Cell):
    """Cells one above the other as one cell, figure 10.13(a): each reads the state of the one below at the same step.

    The state is a tuple, one for each cell. ``skip`` lets each cell above the first read x(t) too, and the output read
    every layer (Graves 2013): cells above the first then take x(t) and the layer below side by side.
    """

    name = "stack"

    def __init__(self, cells: Sequence[Any], skip: bool = False) -> None:
        check_layers(cells, cells[0].input_size if skip and cells else 0)
        self.cells, self.skip = list(cells), skip
        self.input_size, self.dtype = cells[0].input_size, cells[0].dtype
        self.output_size = sum(c.output_size for c in cells) if skip else cells[-1].output_size
        self.hidden_size = self.output_size

    def step(self, x: Tensor, states: tuple, terms: Any = None, masks: Any = None) -> tuple[tuple, Tensor]:
        """x(t), the states of all layers → their new states, the output of the top (of all, with skips).

        ``masks`` drop units between the layers: one (B, H) for each but the last."""
        new, outputs, below = [], [], x
        for i, cell in enumerate(self.cells):
            if i and self.skip:
                below = F.concatenate([below, x])
            state, below = cell.step(below, states[i], terms) if i == 0 and terms else cell.step(below, states[i])
            new.append(state)
            outputs.append(below)
            if masks is not None and i < len(masks):
                below = F.mul(below, masks[i])
        return tuple(new), F.concatenate(outputs) if self.skip else below

    def terms(self, c: Any) -> Any:
        """R c of the first layer, where it was made with a context."""
        return self.cells[0].terms(c)

    def initial_state(self, batch: int, h: Tensor | None = None) -> tuple:
        """The states of all layers: zeros, or ``h`` in the first."""
        return (self.cells[0].initial_state(batch, h), *[cell.initial_state(batch) for cell in self.cells[1:]])

    def hidden(self, state: Any) -> Tensor:
        """The output in a state."""
        parts = [cell.hidden(s) for cell, s in zip(self.cells, state, strict=True)]
        return F.concatenate(parts) if self.skip else parts[-1]

    def encode(self, x: Any, lengths: Any = None, state: Any = None, mask: Any = None) -> Encoded:
        """Run over sequences."""
        return encode(self, x, lengths, state, mask=mask)


class Stack(Module):
    """Layers one above the other, each run over the whole sequence: cells, or bidirectional pairs of them.

    ``masks`` drops units between layers: one array for each layer but the last, (T, B, H), (B, H) to drop the same
    units at every step, or packed rows. ``dropout_masks`` draws them; without masks nothing is dropped.
    """

    each_step = True

    def __init__(self, layers: Sequence[Any]) -> None:
        check_layers(layers)
        self.layers = list(layers)
        self.input_size, self.output_size, self.dtype = layers[0].input_size, layers[-1].output_size, layers[0].dtype

    def encode(self, x: Any, lengths: Any = None, state: Any = None, masks: Any = None, mask: Any = None) -> Encoded:
        """Run over sequences; ``state`` has one for each layer, and so has ``final``. Where ``mask`` is 0 all hold
        their state."""
        if masks is not None and len(masks) != len(self.layers) - 1:
            raise ShapeError(
                f"{len(self.layers)} layers have {len(self.layers) - 1} masks between them, got {len(masks)}"
            )
        steps, finals = prepare(x, lengths), []
        states = [None] * len(self.layers) if state is None else state
        held = {} if mask is None else {"mask": mask_of(mask, steps, self.dtype)}
        for i, layer in enumerate(self.layers):
            encoded = layer.encode(steps, state=states[i], **held)
            finals.append(encoded.final)
            outputs = encoded.outputs
            if masks is not None and i < len(masks):
                outputs = dropout(outputs, masks[i])
            steps = Steps(outputs, encoded.chain, encoded.batch)
        return Encoded(encoded.outputs, tuple(finals), encoded.last, steps.chain, steps.batch)

    def dropout_masks(self, rng: np.random.Generator, shape: tuple[int, ...], rate: float) -> list[np.ndarray]:
        """Masks for ``encode``: shape (T, B), or (B,) for the same units at every step."""
        return [dropout_mask(rng, (*shape, layer.output_size), rate, self.dtype) for layer in self.layers[:-1]]


def check_layers(layers: Sequence[Any], skipped: int = 0) -> None:
    """Each layer takes what the one below gives, and is a layer of its own."""
    if not layers:
        raise TinyseqError("a stack needs at least one layer, got none")
    if len({id(layer) for layer in layers}) != len(layers):
        raise TinyseqError("a layer was given twice; make one for each place")
    for i in range(1, len(layers)):
        given, wanted = layers[i - 1].output_size + skipped, layers[i].input_size
        if given != wanted:
            extra = f" (with {skipped} skipped from the input)" if skipped else ""
            raise ShapeError(f"layer {i} takes {wanted} features, but layer {i - 1} gives {given}{extra}")


class DeepTransition(RecurrentCell):
    """MLPs in the three blocks of a recurrent net, figure 10.13(b); with ``skip`` a direct way past one, 10.13(c).

        x̃(t) = tanh(b_x + U_x x(t))                               input to hidden
        z(t) = tanh(b_z + W_z h(t−1))                             hidden to hidden
        h(t) = tanh(b + W z(t) + U x̃(t) [ + S h(t−1) ])           S is the skip
        p(t) = tanh(b_y + V_y h(t))                               hidden to output; p(t) is the cell's output

    Shapes: U_x (units, input), U (hidden, units), W_z (units, hidden), W (hidden, units), S (hidden, hidden),
    V_y (units, hidden); units is ``mlp_size``. The shortest way from h(t−1) to h(t) passes two units, one with skip.
    """

    name = "deep"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        mlp_size: int | None = None,
        skip: bool = False,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        context_size: int = 0,
    ) -> None:
        super().__init__(input_size, hidden_size, rng, dtype, 0)
        if context_size:
            raise TinyseqError("a DeepTransition takes no context; put its context into the inputs")
        self.mlp_size, self.skip = mlp_size or hidden_size, skip
        positive(mlp_size=self.mlp_size)

        def matrix(name: str, rows: int, columns: int) -> Parameter:
            return Parameter(uniform(rng, (rows, columns), columns, dtype), name)

        units = self.mlp_size
        self.U_x = Parameter(uniform(rng, (units, input_size), units, dtype), "U_x")
        self.U, self.W_z = matrix("U", hidden_size, units), matrix("W_z", units, hidden_size)
        self.W, self.V_y = matrix("W", hidden_size, units), matrix("V_y", units, hidden_size)
        self.S = matrix("S", hidden_size, hidden_size) if skip else None
        self.b_x, self.b_z, self.b_y = (Parameter(np.zeros(units, dtype), f"b_{k}") for k in "xzy")
        self.b = Parameter(np.zeros(hidden_size, dtype), "b")

    @property
    def output_size(self) -> int:
        """Features of p(t)."""
        return self.mlp_size

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x(t) (B, input) or tokens (B), h(t−1) → h(t), p(t)."""
        Ux = F.take(self.U_x, x, axis=1) if x.dtype_code == 2 else F.linear(x, self.U_x)
        x = F.tanh(self.b_x + Ux).named("x̃")
        z = F.tanh(self.b_z + F.linear(h, self.W_z)).named("z")
        a = self.b + F.linear(z, self.W) + F.linear(x, self.U)
        if self.S is not None:
            a = a + F.linear(h, self.S)
        h = F.tanh(a).named("h")
        return h, self._output(h)

    def _output(self, h: Tensor) -> Tensor:
        return F.tanh(self.b_y + F.linear(h, self.V_y)).named("p")

    def hidden(self, state: Any) -> Tensor:
        """p, the output that belongs to a state."""
        return self._output(state)
