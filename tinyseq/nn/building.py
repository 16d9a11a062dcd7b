"""Recurrent layers from a few words: kind, sizes, how many, both ways, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import TinyseqError
from tinyseq.habits import advised
from tinyseq.nn.bidirectional import Bidirectional
from tinyseq.nn.kinds import CellMaker, make_cell
from tinyseq.nn.layers import Dropout, Embedding, LayerNorm, Sequential, Standardise


@advised
def recurrent(
    kind: CellMaker,
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    layer_norm: bool = False,
    standardise: bool = False,
    embedding: int = 0,
    dtype: Any = np.float32,
    **options: Any,
) -> Sequential:
    """Recurrent layers one above the other, as a Sequential that any head takes.

        nn.ManyToOne(nn.recurrent("lstm", 12, 64, num_layers=2, bidirectional=True, rng=rng), 9, rng=rng)

    kind           "rnn", "lstm", "gru", "leaky", "deep", or a class that makes a cell; further options are the cell's
    bidirectional  each layer reads both ways, hidden_size units each
    dropout        rate of the units dropped between layers and after the last, the same at every step
    layer_norm     normalise what each layer gives
    standardise    standardise the features first; ``layers[0].fit(data)`` takes mean and deviation
    embedding      read tokens through a table of so many features
    """
    positive(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
    if standardise and embedding:
        raise TinyseqError("tokens are embedded, floats are standardised: give one of the two")
    generator(rng)
    layers: list[Any] = [Standardise(input_size, dtype=dtype)] if standardise else []
    size = input_size
    if embedding:
        layers.append(Embedding(input_size, embedding, rng=rng, dtype=dtype))
        size = embedding
    for _ in range(num_layers):

        def cell() -> Any:
            return make_cell(kind, size, hidden_size, rng=rng, dtype=dtype, **options)  # noqa: B023

        layer = Bidirectional(cell(), cell()) if bidirectional else cell()
        layers.append(layer)
        size = layer.output_size
        if layer_norm:
            layers.append(LayerNorm(size, dtype=dtype))
        if dropout:
            layers.append(Dropout(dropout))
    return Sequential(layers)
