"""The cells that came after the chapter: values against plain loops, gradients, what each was made for, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import TinyseqError
from tinyseq.viz import draw

T, B, F, H = 7, 2, 3, 4

MAKERS: dict[str, Any] = {
    "diagonal [0, 1]": lambda **k: nn.DiagonalCell(F, H, gate="[0, 1]", **k),
    "diagonal [-1, 1]": lambda **k: nn.DiagonalCell(F, H, **k),
    "minGRU": lambda **k: nn.MinGRUCell(F, H, **k),
    "minLSTM": lambda **k: nn.MinLSTMCell(F, H, **k),
    "sLSTM": lambda **k: nn.SLSTMCell(F, H, **k),
    "sLSTM, exp": lambda **k: nn.SLSTMCell(F, H, forget="exponential", **k),
    "fast weights, additive": lambda **k: nn.FastWeightsCell(F, H, keys=3, update="additive", **k),
    "fast weights, delta": lambda **k: nn.FastWeightsCell(F, H, keys=3, **k),
    "LRU": lambda **k: nn.LRUCell(F, H, 2, **k),
}
each = pytest.mark.parametrize("name", MAKERS)


def made(name: str, scale: float = 0.7) -> Any:
    cell = MAKERS[name](rng=np.random.default_rng(0), dtype=np.float64)
    rng = np.random.default_rng(1)
    for p in cell.parameters():
        p.value[...] = rng.normal(0, scale, p.shape)
    return cell


# -- twins: one sequence, plain loops, the papers' forms -------------------------------------------------------------
def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def part(p: Any, x: np.ndarray, h: Any = None) -> np.ndarray:
    a = p.b.value + p.U.value @ x
    return a if h is None else a + p.W.value @ h


def diagonal(c: Any, x: np.ndarray, h: Any) -> Any:
    h = (sigmoid if c.range == "[0, 1]" else np.tanh)(part(c.gate, x)) * (0 if h is None else h) + part(c.new, x)
    return h, h


def min_gru(c: Any, x: np.ndarray, h: Any) -> Any:
    z, h = sigmoid(part(c.z, x)), np.zeros(H) if h is None else h
    h = (1 - z) * h + z * part(c.new, x)
    return h, h


def min_lstm(c: Any, x: np.ndarray, h: Any) -> Any:
    f, i, h = sigmoid(part(c.f, x)), sigmoid(part(c.g, x)), np.zeros(H) if h is None else h
    h = (f * h + i * part(c.new, x)) / (f + i)
    return h, h


def slstm(c: Any, x: np.ndarray, state: Any) -> Any:
    """Without a stabiliser."""
    h, s, n = (np.zeros(H),) * 3 if state is None else state
    i, a = np.exp(part(c.i, x, h)), part(c.f, x, h)
    f = np.exp(a) if c.forget == "exponential" else sigmoid(a)
    s, n, o = f * s + i * np.tanh(part(c.a, x, h)), f * n + i, sigmoid(part(c.o, x, h))
    h = o * s / n
    return (h, s, n), h


def fast(c: Any, x: np.ndarray, S: Any) -> Any:
    S = np.zeros((H, c.keys)) if S is None else S
    k, q = (v / np.linalg.norm(v) for v in (part(c.k, x), part(c.q, x)))
    v = part(c.v, x)
    if c.update == "delta":
        v = sigmoid(part(c.beta, x)) * (v - S @ k)
    S = S + np.outer(v, k)
    return S, S @ q


def lru(c: Any, x: np.ndarray, h: Any) -> Any:
    """In complex numbers."""
    lam = c.eigenvalues
    h = lam * (0 if h is None else h) + np.sqrt(1 - np.abs(lam) ** 2) * ((c.B_u.value + 1j * c.B_v.value) @ x)
    return h, ((c.C_u.value + 1j * c.C_v.value) @ h).real + c.D.value @ x


TWINS = dict(zip(MAKERS, (diagonal, diagonal, min_gru, min_lstm, slstm, slstm, fast, fast, lru), strict=True))


def run_twin(name: str, cell: Any, x: np.ndarray) -> np.ndarray:
    state, outputs = None, []
    for row in x:
        state, y = TWINS[name](cell, row, state)
        outputs.append(y)
    return np.array(outputs)


@each
@pytest.mark.usefixtures("executor")
def test_values_are_those_of_a_plain_loop(name: str, rng: np.random.Generator) -> None:
    cell, x = made(name), rng.normal(size=(T, B, F))
    with ts.Tape():
        y = cell.encode(x).outputs.value
    for b in range(B):
        np.testing.assert_allclose(y[:, b], run_twin(name, cell, x[:, b]), rtol=1e-9, atol=1e-12)


@each
def test_gradients(name: str, rng: np.random.Generator) -> None:
    cell, x, u = made(name), rng.normal(size=(T, B, F)), rng.normal(size=(T, B, 1))
    assert ts.gradcheck(lambda: ts.sum(u * cell.encode(x).outputs ** 2), *[p for p in cell.parameters() if p.trainable])


@each
def test_folded_and_unfolded_pictures(name: str, tmp_path: Any) -> None:
    cell = made(name)
    with ts.Tape() as tape:
        ts.unfold(cell, ts.Chain(3), np.zeros((3, 1, F)), cell.initial_state(1))
    for view in ("folded", "unfolded"):
        assert draw(tape, tmp_path / f"{view}.svg", view=view)


@each
def test_one_of_several_layers_and_directions_as_any_cell(name: str, rng: np.random.Generator) -> None:
    net = nn.ManyToOne(nn.Bidirectional(made(name), made(name)), 2, rng=rng)
    with ts.Tape():
        loss = net.loss(rng.normal(size=(T, B, F)), np.array([0, 1]))
        loss.backward()
    assert np.isfinite(loss.value) and all(np.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


# -- what each was made for -----------------------------------------------------------------------------------------
def test_one_unit_with_a_gate_of_minus_one_keeps_the_parity(rng: np.random.Generator) -> None:
    """a(1) = −1, a(0) = 1, nothing added: h(0) = 1 becomes (−1)^(number of ones)."""
    cell = nn.DiagonalCell(1, 1, rng=rng, dtype=np.float64)
    cell.gate.U.value[...], cell.gate.b.value[...] = -40.0, 20.0
    cell.new.U.value[...] = cell.new.b.value[...] = 0
    bits = rng.integers(0, 2, (300, 5))
    with ts.Tape():
        h = cell.encode(bits[..., None].astype(float), state=ts.tensor(np.ones((5, 1)))).outputs.value[..., 0]
    np.testing.assert_allclose(h, (-1.0) ** np.cumsum(bits, axis=0), rtol=1e-12)


def test_stabilised_and_not_agree_until_the_second_overflows(rng: np.random.Generator) -> None:
    x = rng.normal(size=(T, B, F))
    found = {}
    for scale in (0.7, 300.0):
        for stabilised in (True, False):
            cell = made("sLSTM, exp", scale)
            cell.stabilised = stabilised
            with ts.Tape():
                y = cell.encode(x).outputs
                ts.sum(y**2).backward()
                found[scale, stabilised] = y.value, [p.grad for p in cell.parameters()]
    small, plain = found[0.7, True], found[0.7, False]
    np.testing.assert_allclose(small[0], plain[0], rtol=1e-10)
    for a, b in zip(small[1], plain[1], strict=True):
        if a is None or b is None:  # that of b_i
            continue
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
    large, gradients = found[300.0, True]
    assert np.isfinite(large).all() and all(np.isfinite(g).all() for g in gradients if g is not None)
    assert not np.isfinite(found[300.0, False][0]).all()


@pytest.mark.parametrize("update", ["delta", "additive"])
def test_a_key_written_twice(update: str) -> None:
    """Orthonormal keys, β = 1: delta keeps the value written last, additive the sum of both."""
    cell = nn.FastWeightsCell(3 + H, H, keys=3, update=update, rng=np.random.default_rng(0), dtype=np.float64)
    for p in cell.parameters():
        p.value[...] = 0
    cell.k.U.value[:, :3] = cell.q.U.value[:, :3] = np.eye(3)
    cell.v.U.value[:, 3:] = np.eye(H)
    if cell.beta is not None:
        cell.beta.b.value[...] = 40.0
    values = np.random.default_rng(1).normal(size=(4, H))
    rows = np.concatenate([np.eye(3)[[0, 1, 0, 2]], values], axis=1)
    with ts.Tape():
        S = cell.encode(rows[:, None]).final[0].value[0]
    kept = values[2] if update == "delta" else values[0] + values[2]
    np.testing.assert_allclose(S, np.stack([kept, values[1], values[3]], axis=1), atol=1e-9)


def test_the_lru_is_stable_and_starts_in_its_ring() -> None:
    cell = nn.LRUCell(2, 500, rng=np.random.default_rng(0), radius=(0.8, 0.99), angle=1.0)
    size, angle = np.abs(cell.eigenvalues), np.angle(cell.eigenvalues)
    assert 0.8 <= size.min() < 0.82 and 0.98 < size.max() <= 0.99 and angle.min() >= 0 and angle.max() <= 1.0
    assert np.mean(size**2 < (0.8**2 + 0.99**2) / 2) == pytest.approx(0.5, abs=0.07)
    cell.nu.value[...] = np.random.default_rng(1).normal(0, 3, 500)
    assert (np.abs(cell.eigenvalues) < 1).all()
    with pytest.raises(TinyseqError, match="0 ≤ low < high < 1"):
        nn.LRUCell(2, 3, rng=np.random.default_rng(0), radius=(0.9, 1.0))


@pytest.mark.parametrize("length", [400, 1600])
def test_legs_keeps_the_whole_past_at_any_scale_of_time(length: int) -> None:
    """Its coefficients are the integrals of the signal with the Legendre polynomials; stretched in time they stay."""
    cell = nn.LegSCell(16)
    s = (np.arange(length) + 0.5) / length
    f = np.sin(2 * np.pi * 1.3 * s) + 0.5 * np.cos(2 * np.pi * 2.1 * s)
    with ts.Tape():
        c = cell.encode(f[:, None, None]).last.value[0]
    fine = (np.arange(20_000) + 0.5) / 20_000
    g = np.sin(2 * np.pi * 1.3 * fine) + 0.5 * np.cos(2 * np.pi * 2.1 * fine)
    basis = np.polynomial.legendre.legvander(2 * fine - 1, 15) * np.sqrt(2 * np.arange(16) + 1)
    np.testing.assert_allclose(c, g @ basis / len(fine), atol=16.0 / length)
    assert np.sqrt(np.mean((cell.reconstruct(c, length) - f) ** 2)) < 0.02 * 400 / length + 1e-3


def test_wrong_options_name_the_right_ones() -> None:
    rng = np.random.default_rng(0)
    for make, match in (
        (lambda: nn.DiagonalCell(2, 2, gate="[0,1]", rng=rng), r"\[0, 1\]"),
        (lambda: nn.SLSTMCell(2, 2, forget="tanh", rng=rng), "'exponential' or 'sigmoid'"),
        (lambda: nn.FastWeightsCell(2, 2, update="hebb", rng=rng), "'delta' or 'additive'"),
    ):
        with pytest.raises(TinyseqError, match=match):
            make()
