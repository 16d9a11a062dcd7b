"""What is measured on held-out data: plain NumPy, summed up over batches."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

import numpy as np

HIGHER = {"accuracy", "f1", "exact_match", "root_accuracy"}  # better when higher; all others when lower


def better(name: str, value: float, than: float | None) -> bool:
    """Whether a value of a metric is better than an earlier one."""
    if than is None:
        return value == value
    return value > than if name in HIGHER else value < than


class Classified:
    """Counts of (class, prediction) over batches.

    accuracy     right predictions by predictions
    f1           the mean over the classes that occur of 2 tp / (2 tp + fp + fn)
    root_accuracy  that of the roots alone, of trees with a class at every node
    exact_match  sequences, or trees, in which every prediction is right; where there are several in one
    """

    def __init__(self, classes: int) -> None:
        self.table = np.zeros((classes, classes), np.int64)
        self.whole, self.several = [0, 0], False
        self.roots = [0, 0]

    def add(self, predicted: np.ndarray, y: np.ndarray, of: np.ndarray | None = None) -> None:
        """Some predictions and the classes there are; −1 is none. ``of`` says of which sequence each is."""
        counted = y >= 0
        np.add.at(self.table, (y[counted], predicted[counted]), 1)
        if of is not None:
            self.several = True
            wrong = np.bincount(of[counted], predicted[counted] != y[counted], minlength=int(of.max()) + 1)
            seen = np.bincount(of[counted], minlength=int(of.max()) + 1) > 0
            self.whole[0] += int((wrong[seen] == 0).sum())
            self.whole[1] += int(seen.sum())

    def add_roots(self, predicted: np.ndarray, y: np.ndarray) -> None:
        """Some predictions at roots, where every node has one; −1 is none."""
        self.roots[0] += int((predicted == y)[y >= 0].sum())
        self.roots[1] += int((y >= 0).sum())

    def result(self) -> dict[str, float]:
        """The metrics by name."""
        right, total = np.diag(self.table), int(self.table.sum())
        if not total:
            return {}
        true, given = self.table.sum(axis=1), self.table.sum(axis=0)
        occurs = (true + given) > 0
        found = {
            "accuracy": float(right.sum() / total),
            "f1": float((2 * right / np.maximum(true + given, 1))[occurs].mean()),
        }
        if self.several:
            found["exact_match"] = self.whole[0] / max(self.whole[1], 1)
        if self.roots[1]:
            found["root_accuracy"] = self.roots[0] / self.roots[1]
        return found


class Measured:
    """Sums of errors over batches: mae = mean |o − y|, rmse = √ mean (o − y)², over all numbers."""

    def __init__(self) -> None:
        self.absolute = self.square = 0.0
        self.count = 0

    def add(self, o: np.ndarray, y: np.ndarray) -> None:
        """Some outputs and what they should be."""
        error = o.astype(np.float64) - y
        self.absolute += float(np.abs(error).sum())
        self.square += float((error * error).sum())
        self.count += error.size

    def result(self) -> dict[str, float]:
        """The metrics by name."""
        n = max(self.count, 1)
        return {"mae": self.absolute / n, "rmse": sqrt(self.square / n)}


def of_nats(nats: float) -> dict[str, float]:
    """Loss, perplexity and bits of a mean of −log p."""
    return {"loss": nats, "perplexity": exp(nats) if nats < 700 else float("inf"), "bits": nats / log(2)}


def majority(y: np.ndarray, trained: np.ndarray) -> float:
    """The accuracy of always naming the class that the training part has most of."""
    trained, y = trained[trained >= 0], y[y >= 0]
    return float((y == np.bincount(trained).argmax()).mean())


def told(metrics: dict[str, Any]) -> str:
    """Metrics in words: loss 0.231, accuracy 95.1%."""
    return ", ".join(
        f"{name.replace('_', ' ')} " + (f"{value:.1%}" if name in HIGHER - {"f1"} else f"{value:.4g}")
        for name, value in metrics.items()
        if isinstance(value, (int, float))
    )
