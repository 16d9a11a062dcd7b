"""Layers, masks, dropout, weighed losses and empty sequences can be drawn, in every view and detail, and stepped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.viz import draw

X = np.random.default_rng(1).normal(size=(3, 2, 3)).astype(np.float32)
Y, T = np.array([0, 1]), np.array([[0, 1], [2, 3], [4, 0]])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def stacked() -> Any:
    draw = rng()
    return nn.CellNet(
        nn.StackedCells([nn.LSTMCell(5, 4, rng=draw), nn.GRUCell(4, 3, rng=draw)]), 5, rng=draw, dropout=0.3
    )


def head(**options: Any) -> Any:
    draw = rng()
    layers = nn.recurrent("gru", 3, 4, num_layers=2, dropout=0.3, layer_norm=True, standardise=True, rng=draw)
    return nn.ManyToOne(layers, 2, rng=draw, **options)


LOSSES: dict[str, Callable[[], Any]] = {
    "layers": lambda: head(class_weights=[1.0, 2.0], label_smoothing=0.1).loss(X, Y),
    "masks by step": lambda: head().loss(X, Y, mask=np.array([[1, 1], [0, 1], [1, 1]], np.float32)),
    "dropout": lambda: (lambda model: model.loss(X, Y, masks=model.masks(rng(), X)))(head()),
    "stacked cells with dropout": lambda: (lambda net: net.losses(T, T, None, net.masks(rng(), T))[0])(stacked()),
    "an empty sequence": lambda: nn.ManyToOne(nn.GRUCell(3, 4, rng=rng()), 2, rng=rng()).loss(
        [X[:2, 0], X[:0, 0], X[:, 1]], np.array([0, 1, 1])
    ),
    "a row ignored": lambda: ts.cross_entropy(
        ts.Parameter(np.ones((3, 2)), "o"), np.array([0, -100, 1]), ignore_index=-100, weight=np.array([1.0, 2.0])
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_it_can_be_drawn_and_stepped(name: str, tmp_path: Any) -> None:
    with ts.Tape() as tape:
        loss = LOSSES[name]()
    loss.backward()
    for view in ("folded", "unfolded") if name != "a row ignored" else ("unfolded",):
        for detail in ("box", "cell", "units"):
            path = tmp_path / f"{view}-{detail}.svg"
            draw(tape, path, view=view, detail=detail)
            assert path.stat().st_size > 1000
    tape.to_html(tmp_path / "page.html", loss=loss)
    assert (tmp_path / "page.html").stat().st_size > 5000
