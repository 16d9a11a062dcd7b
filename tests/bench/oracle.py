"""The benchmark's problems made small, and their losses once more, one sequence and one node at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tinyseq.bench.contestants.peers import variants
from tinyseq.bench.problems.problems import ROWS, Data, Problem
from tinyseq.bench.variant import Gradients


def small(row: Problem) -> Problem:
    """The row with sizes that differ from each other, so that a swapped axis cannot pass."""
    leaves = row.leaves and ((16, 16) if row.balanced else (2, 9))
    return replace(
        row,
        inputs=5,
        hidden=7,
        steps=min(row.steps, 6),
        batch=4,
        shortest=row.shortest and 2,
        leaves=leaves,
        classes=3,
    )


def kinds() -> list[Problem]:
    """One row of each kind; rows that differ in sizes only are the same when small."""
    return list({replace(small(row), row=""): row for row in reversed(ROWS)}.values())


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _unit(cell: str, p: dict[str, np.ndarray], x: np.ndarray, h: np.ndarray, s: np.ndarray) -> tuple:
    """One step of one sequence in float64, written sum by sum from the papers."""

    def total(u: str, w: str, b: str) -> np.ndarray:
        return p[u].T @ x + p[w].T @ h + p[b]

    sig = np.vectorize(_sigmoid)
    if cell == "rnn":
        return np.tanh(total("U", "W", "b")), s
    if cell in ("lstm", "peephole"):
        peep = {k: p.get(f"p_{k}", 0.0) for k in "fgo"}
        f = sig(total("U_f", "W_f", "b_f") + peep["f"] * s)
        g = sig(total("U_g", "W_g", "b_g") + peep["g"] * s)
        s = f * s + g * np.tanh(total("U", "W", "b"))
        return np.tanh(s) * sig(total("U_o", "W_o", "b_o") + peep["o"] * s), s
    if cell == "gru":
        r, u = sig(total("U_r", "W_r", "b_r")), sig(total("U_u", "W_u", "b_u"))
        new = np.tanh(p["U"].T @ x + p["b"] + r * (p["W"].T @ h + p["d"]))
        return u * h + (1 - u) * new, s
    if cell == "mgu":
        f = sig(total("U_f", "W_f", "b_f"))
        return (1 - f) * h + f * np.tanh(p["U"].T @ x + p["W"].T @ (f * h) + p["b"]), s
    if cell == "indrnn":
        return np.tanh(p["U"].T @ x + p["w"] * h + p["b"]), s
    if cell == "mrnn":
        m = (p["A"].T @ x) * (p["B"].T @ h)
        return np.tanh(p["W"].T @ m + p["U"].T @ x + p["b"]), s
    if cell == "antisymmetric":
        generator = (p["W"] - p["W"].T - 0.01 * np.eye(len(h))).T
        return h + 0.1 * np.tanh(p["U"].T @ x + generator @ h + p["b"]), s
    a = p["U"].T @ x + p["W"].T @ h
    return np.tanh((a - a.mean()) / np.sqrt(a.var() + 1e-5) * p["gain"] + p["b"]), s


def _direction(cell: str, p: dict[str, np.ndarray], xs: list[np.ndarray], hidden: int) -> list[np.ndarray]:
    h, s, out = np.zeros(hidden), np.zeros(hidden), []
    for x in xs:
        h, s = _unit(cell, p, x, h, s)
        out.append(h)
    return out


def _entropy(logits: np.ndarray, target: int) -> float:
    return float(np.log(np.exp(logits).sum()) - logits[target])


def naive_loss(row: Problem, data: Data, params: dict[str, np.ndarray]) -> float:
    """The loss of `problems.py`, one sequence and one node at a time."""
    p = {name: array.astype(np.float64) for name, array in params.items()}
    loss = 0.0
    if data.forest is not None:
        forest = data.forest
        states = [np.tanh(p["V"].T @ x + p["c"]) for x in data.x.astype(np.float64)]
        for left, right in zip(forest.left, forest.right, strict=True):
            states.append(np.tanh(p["W"].T @ np.concatenate([states[left], states[right]]) + p["b"]))
        for root, target in zip(forest.roots, data.targets, strict=True):
            loss += _entropy(p["O"].T @ states[root] + p["d"], target)
        return loss / row.batch
    for n in range(row.batch):
        steps = row.steps if data.lengths is None else int(data.lengths[n])
        hs = [data.x[t, n].astype(np.float64) for t in range(steps)]
        for layer in row.prefixes():
            outs = []
            for prefix in layer:
                inner = {k[len(prefix) :]: v for k, v in p.items() if k.startswith(prefix)}
                turn = -1 if "backward" in prefix else 1
                outs.append(_direction(row.cell, inner, hs[::turn], row.hidden)[::turn])
            hs = [np.concatenate(parts) for parts in zip(*outs, strict=True)]
        loss += sum(_entropy(p["V"].T @ h + p["c"], data.targets[t, n]) for t, h in enumerate(hs))
    return loss / row.batch


def assert_right(row: Problem, found: dict[str, Gradients]) -> None:
    """Loss against the naive twin, gradients along a random direction against the twin's central difference."""
    data = row.data()
    rng = np.random.default_rng(3)
    toward = {k: rng.standard_normal(v.shape) for k, v in data.params.items()}
    step = 1e-5

    def moved(by: float) -> float:
        return naive_loss(row, data, {k: v.astype(np.float64) + by * toward[k] for k, v in data.params.items()})

    value, slope = moved(0), (moved(step) - moved(-step)) / (2 * step)
    assert found
    for name, (loss, grads) in found.items():
        assert loss == pytest.approx(value, rel=1e-5), name
        assert {k: g.shape for k, g in grads.items()} == row.shapes(), name
        assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}, name
        along = sum(float((g * toward[k]).sum()) for k, g in grads.items())
        assert along == pytest.approx(slope, rel=1e-3, abs=1e-4), name


def assert_like_torch(row: Problem, found: dict[str, Gradients]) -> None:
    """Every element of every gradient against that of torch running the equations one by one."""
    reference = variants(row, ["torch"])
    _, expected = reference.get("torch loop, 1 thr", reference.get("torch per node, 1 thr"))()
    for name, (_, grads) in found.items():
        for key, grad in grads.items():
            bound = 1e-4 * np.abs(expected[key]).max()
            np.testing.assert_allclose(grad, expected[key], rtol=0, atol=bound, err_msg=f"{name} {key}")
