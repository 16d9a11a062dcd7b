"""A model that fits data: what reads them, what says what is to be said of them, standardised by the training part."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.checks import generator
from tinyseq.data.sequences import Sequences
from tinyseq.data.trees import Trees
from tinyseq.errors import DataError
from tinyseq.habits import advised

EMBEDDED = 32  # features of a token where nobody says


@advised
def model_for(
    data: Sequences | Trees,
    cell: str = "gru",
    hidden: int = 32,
    *,
    rng: np.random.Generator,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    layer_norm: bool = False,
    embedding: int = 0,
    class_weights: Any = None,
    label_smoothing: float = 0.0,
    dtype: Any = np.float32,
) -> Any:
    """A model for data, which is the part to train on: features and reals are standardised by it.

    Sequences get recurrent ``layers`` of ``cell`` ("rnn", "lstm", "gru", "leaky", "deep") with ``hidden`` units, and a
    head for one target or one for each step; tokens are embedded. Pairs of sequences get an encoder–decoder with
    attention. Trees get a Tree-LSTM: N-ary for binary trees with words at the leaves, else child-sum; with
    cell="rnn" and binary trees a recursive net.
    """
    generator(rng)
    if data.y is None:
        raise DataError(f"{data.name} has no targets to learn")
    if isinstance(data, Trees):
        return _for_trees(data, cell, hidden, rng, dtype=dtype, dropout=dropout)
    encoder = nn.recurrent(
        cell, data.input_size, hidden, rng=rng, num_layers=layers, bidirectional=bidirectional, dropout=dropout,
        layer_norm=layer_norm, standardise=not data.tokens, dtype=dtype,
        embedding=(embedding or min(EMBEDDED, data.input_size)) if data.tokens else 0,
    )  # fmt: skip
    if not data.tokens:
        encoder.layers[0].fit(data)
    if data.paired:
        return nn.EncoderDecoder(encoder, data.output_size, hidden, rng=rng, cell=cell, attention=True)
    made = nn.ManyToMany if data.each_step else nn.ManyToOne
    head = made(
        encoder, data.output_size, rng=rng, scaled=not data.classified, class_weights=class_weights,
        label_smoothing=label_smoothing,
    )  # fmt: skip
    if head.scaling is not None:
        head.scaling.fit(data.targets())
    return head


def _for_trees(data: Trees, cell: str, hidden: int, rng: Any, **options: Any) -> Any:
    sizes = (data.input_size, hidden, data.output_size)
    binary = data.arity <= 2 and not data.inner_inputs
    if cell == "rnn" and binary and all((tree.arity[tree.n_leaves :] == 2).all() for tree in data.trees):
        return nn.RecursiveNet(*sizes, rng=rng, **options)
    if binary:
        return nn.TreeLSTM(*sizes, rng=rng, **options)
    return nn.ChildSumTreeLSTM(*sizes, rng=rng, **options)
