"""What the tests run under mpiexec: each training by all ranks, then by rank 0 alone, compared."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq import data, nn, train
from tinyseq.tasks import Windows
from tinyseq.train.ranks import ALONE, Ranks


def of_kind(kind: str, dtype: Any) -> tuple[Any, Any, dict[str, Any]]:
    """A model, its data, options of a training."""
    rng = np.random.default_rng(0)
    size: dict[str, Any] = {"rng": rng, "dtype": dtype}
    lengths = rng.integers(2, 7, 21)
    x = [rng.normal(size=(n, 2)) for n in lengths]
    if kind == "ragged":
        encoder = nn.recurrent("gru", 2, 5, num_layers=2, dropout=0.3, bidirectional=True, **size)
        y = np.array([int(a.sum() > 0) for a in x])
        return nn.ManyToOne(encoder, 2, rng=rng), data.Sequences.of(x, y, dtype=dtype), {"accumulate": 2}
    if kind == "class weights":
        encoder = nn.recurrent("gru", 2, 5, **size)
        head = nn.ManyToOne(encoder, 3, rng=rng, class_weights=[0, 0.3, 4], label_smoothing=0.1)
        return head, data.Sequences.of(x, np.arange(21) ** 2 % 3, dtype=dtype), {"accumulate": 2}
    if kind == "each step":
        encoder = nn.Sequential([nn.LSTMCell(2, 5, **size), nn.Dropout(0.4, over_time=False), nn.Linear(5, 4, **size)])
        y = [(a[:, 0] > 0).astype(int) - (np.arange(len(a)) == 1) for a in x]  # steps of class −1 do not count
        return nn.ManyToMany(encoder, 2, rng=rng), data.Sequences.of(x, y, dtype=dtype), {"weight_decay": 0.1}
    if kind == "one length":
        encoder = nn.Sequential([nn.RNNCell(2, 5, **size), nn.Dropout(0.4, over_time=False)])
        whole = rng.normal(size=(6, 13, 2))
        return nn.ManyToOne(encoder, 2, rng=rng), data.Sequences.of(whole, whole.sum(0), dtype=dtype), {}
    if kind == "trees":
        trees = [ts.Tree.balanced(int(n)) for n in rng.integers(2, 6, 13)]
        tokens = [rng.integers(0, 4, tree.n_leaves) for tree in trees]
        labels = [np.array([int(t.sum() % 2)] * len(tree)) for tree, t in zip(trees, tokens, strict=True)]
        return nn.RecursiveNet(4, 5, 2, dropout=0.4, **size), data.Trees.of(trees, tokens, labels), {}
    cell = nn.StackedCells([nn.GRUCell(5, 6, **size), nn.LSTMCell(6, 4, **size)])
    tokens = rng.integers(0, 5, 400)
    return nn.CellNet(cell, 5, rng=rng, dropout=0.2), Windows(tokens, 6, 5), {"clip_element": 0.05}


def trained(kind: str, dtype: Any, ranks: Ranks, folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights and losses."""
    model, given, options = of_kind(kind, dtype)
    validation = 0.2 if kind != "text" else None
    history = train.fit(
        model, given, "adam", 7, batch=6, clip=0.5, validation=validation, validate_every=3, ranks=ranks,
        progress=False, run=folder, save_every=2, rng=np.random.default_rng(3), keep="best" if validation else None,
        **options,
    )  # fmt: skip
    return np.concatenate([p.value.reshape(-1) for p in model.parameters()]), np.array(history.losses)


def compare(kinds: list[str], folder: str, ranks: Ranks) -> dict[str, float]:
    """The largest difference of each kind, of weights and losses."""
    worst = {}
    for kind in kinds:
        for dtype in ("float32", "float64"):
            mine = trained(kind, np.dtype(dtype), ranks, f"{folder}/{kind}-{dtype}-joint")
            if ranks.first:
                alone = trained(kind, np.dtype(dtype), ALONE, f"{folder}/{kind}-{dtype}-alone")
                worst[f"{kind} {dtype}"] = max(
                    float((np.abs(a - b) / np.maximum(1, np.abs(b))).max()) for a, b in zip(mine, alone, strict=True)
                )
            ranks.wait()
    return worst


if __name__ == "__main__":
    found = train.mpi()
    if sys.argv[1] == "compare":
        worst = compare(sys.argv[3:], sys.argv[2], found)
        if found.first:
            print(json.dumps({"ranks": found.size, **worst}))
    elif sys.argv[1] == "error":
        model, given, options = of_kind("one length", np.float32)

        def broken(history: Any) -> None:
            if found.rank == 1 and history.step == 2:
                raise ZeroDivisionError("of rank 1 alone")

        train.fit(
            model, given, "adam", 50, callbacks=[broken], ranks=found, progress=False, run=sys.argv[2], save_every=1
        )
    elif sys.argv[1] == "diverge":
        model, given, options = of_kind("one length", np.float32)
        if found.rank == 0:
            given.x[0][:] = np.nan
        try:
            train.fit(model, given, "adam", 5, batch=13, ranks=found, progress=False, run=sys.argv[2])
        except train.Diverged as error:
            print(f"rank {found.rank}: {str(error).splitlines()[0]}")
