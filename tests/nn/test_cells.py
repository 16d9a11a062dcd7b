"""The cells against NumPy twins, central differences and PyTorch; sequences in every form, padding that never leaks."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.nn import twins
from tinyseq import nn
from tinyseq.nn.kinds import make_cell
from tinyseq.tape import Tape

pytestmark = pytest.mark.usefixtures("executor")
F, H = 3, 4
LENGTHS = (2, 5, 1, 5)

CELLS: dict[str, Any] = {
    "rnn": lambda **k: nn.RNNCell(F, H, **k),
    "lstm": lambda **k: nn.LSTMCell(F, H, **k),
    "lstm, the book's": lambda **k: nn.LSTMCell(F, H, squash="sigmoid", **k),
    "lstm, book's peepholes": lambda **k: nn.LSTMCell(F, H, peepholes="book", **k),
    "lstm, Gers's peepholes": lambda **k: nn.LSTMCell(F, H, peepholes="gers", squash="sigmoid", **k),
    "gru": lambda **k: nn.GRUCell(F, H, **k),
    "gru, the book's": lambda **k: nn.GRUCell(F, H, squash="sigmoid", reset_after=False, **k),
    "rnn, relu": lambda **k: nn.RNNCell(F, H, squash="relu", **k),
    "leaky": lambda **k: nn.LeakyCell(F, H, alpha=0.7, **k),
    "leaky, a spectrum": lambda **k: nn.LeakyCell(F, H, alpha=np.array([0.2, 0.5, 0.9, 0.99]), **k),
    "leaky, learned": lambda **k: nn.LeakyCell(F, H, learn_alpha=True, **k),
    "skip": lambda **k: nn.SkipCell(F, H, delays=(1, 3), **k),
    "no edges of length one": lambda **k: nn.SkipCell(F, H, delays=(2,), **k),
    "clockwork": lambda **k: nn.ClockworkCell(F, H, periods=(1, 3), **k),
}


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest, rng: np.random.Generator) -> Any:
    return twins.randomise(CELLS[request.param](rng=rng, dtype=np.float64), rng)


@pytest.fixture
def sequences(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal((n, F)) for n in LENGTHS]


def test_cells_follow_their_equations(cell: Any, sequences: list[np.ndarray]) -> None:
    x = np.stack([sequences[1], sequences[3]], axis=1)
    with Tape():
        encoded = cell.encode(x)
        outputs, last, final = encoded.outputs.value, encoded.last.value, encoded.final
        s = final[1].value if isinstance(cell, nn.LSTMCell) else None
    for b in range(2):
        wanted, state = twins.run(cell, x[:, b])
        np.testing.assert_allclose(outputs[:, b], wanted, rtol=1e-12)
        np.testing.assert_allclose(last[b], wanted[-1], rtol=1e-12)
        if s is not None:
            np.testing.assert_allclose(s[b], state[1], rtol=1e-12)


def test_gradients(cell: Any, sequences: list[np.ndarray]) -> None:
    report = ts.gradcheck(lambda: cell.encode(sequences).outputs, *cell.parameters())
    assert report, report


def test_every_form_of_sequences_is_the_same(cell: Any, sequences: list[np.ndarray]) -> None:
    """A list, packed, padded with lengths (also under ts.compile): each sequence as if it were alone."""
    padded = np.full((5, 4, F), 7.0)
    for b, s in enumerate(sequences):
        padded[: len(s), b] = s
    forms = [(sequences,), (nn.pack(sequences),), (padded, LENGTHS), (nn.pack(padded, LENGTHS),)]
    for form in forms:
        with Tape():
            encoded = cell.encode(*form)
            last = encoded.last.value
            for b, outputs in enumerate(encoded.unpacked()):
                wanted, _ = twins.run(cell, sequences[b])
                np.testing.assert_allclose(outputs, wanted, rtol=1e-12)
                np.testing.assert_allclose(last[b], wanted[-1], rtol=1e-12)
        compiled = ts.compile(lambda *form: cell.encode(*form).last)
        np.testing.assert_allclose(compiled(*form), last, rtol=1e-12)


def test_padding_does_not_leak(cell: Any, rng: np.random.Generator) -> None:
    """Padding of NaN changes neither outputs nor gradients."""
    padded = rng.standard_normal((5, 4, F))
    results = []
    for filling in (0.0, 1e30, np.nan):
        for b, n in enumerate(LENGTHS):
            padded[n:, b] = filling
        with Tape():
            encoded = cell.encode(padded, LENGTHS)
            (ts.sum(encoded.outputs * encoded.outputs) + ts.sum(encoded.last)).backward()
            results.append([encoded.outputs.value, *[p.grad for p in cell.parameters()]])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_tokens_are_one_hot_rows(cell: Any, rng: np.random.Generator) -> None:
    tokens = [rng.integers(0, F, n) for n in LENGTHS]
    with Tape():
        np.testing.assert_allclose(
            cell.encode(tokens).outputs.value, cell.encode([np.eye(F)[t] for t in tokens]).outputs.value, rtol=1e-13
        )


def test_state_carried_on_continues_the_sequence(cell: Any, sequences: list[np.ndarray]) -> None:
    x = np.stack([sequences[1], sequences[3]], axis=1)
    with Tape():
        whole = cell.encode(x).outputs.value
        first = cell.encode(x[:2])
        np.testing.assert_allclose(cell.encode(x[2:], state=first.final).outputs.value, whole[2:], rtol=1e-13)


def test_planned_equals_reference(cell: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ts.Compiled, "small", 0)
    for x in (rng.standard_normal((6, 3, F)), [rng.standard_normal((n, F)) for n in LENGTHS]):
        gradients = []
        for executor in (ts.Reference, ts.Compiled):
            with Tape(executor=executor) as tape:
                loss = ts.sum(cell.encode(x).outputs ** 2)
            loss.backward()
            gradients.append([loss.value, *[p.grad.copy() for p in cell.parameters()]])
            assert not getattr(tape.executor, "fallback", "")
        for one, two in zip(*gradients, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


def test_layer_norm(rng: np.random.Generator) -> None:
    cell = twins.randomise(nn.RNNCell(F, H, layer_norm=True, rng=rng, dtype=np.float64), rng)
    x = rng.standard_normal((4, 2, F))
    with Tape():
        outputs = cell.encode(x).outputs.value
    h = np.zeros(H)
    for t in range(4):
        z = cell.a.W.value @ h + cell.a.U.value @ x[t, 1]
        h = np.tanh(cell.gain.value * (z - z.mean()) / np.sqrt(z.var() + 1e-5) + cell.a.b.value)
        np.testing.assert_allclose(outputs[t, 1], h, rtol=1e-12)
    report = ts.gradcheck(lambda: cell.encode(x).outputs, *cell.parameters())
    assert report, report


def test_context_is_r_c_in_every_affine_map(rng: np.random.Generator) -> None:
    clockwork = functools.partial(nn.ClockworkCell, periods=(2, 3))
    for kind in ("rnn", "lstm", "gru", nn.LeakyCell, nn.SkipCell, clockwork):
        cell = twins.randomise(make_cell(kind, F, H, rng=rng, dtype=np.float64, context_size=2), rng)
        c, xs = rng.standard_normal((3, 2)), [rng.standard_normal((n, F)) for n in (2, 4, 3)]
        with Tape():
            packed = nn.pack(xs)
            state = (cell.initial_state(3), cell.terms(ts.tensor(c)))
            outputs = ts.unfold(nn.InContext(cell), packed.chain, packed.rows, state).outputs.value
        for b, ours in enumerate(nn.unpack(outputs, packed.lengths)):
            np.testing.assert_allclose(ours, twins.run(cell, xs[b], c=c[b])[0], rtol=1e-12)


def test_where_parameters_start(rng: np.random.Generator) -> None:
    cell = nn.LSTMCell(30, 20, rng=np.random.default_rng(1), forget_bias=2.0)
    assert (cell.f.b.value == 2).all() and not cell.g.b.value.any() and not cell.q.b.value.any()
    assert np.abs(cell.a.W.value).max() <= 1 / np.sqrt(20)
    same = nn.LSTMCell(30, 20, rng=np.random.default_rng(1), forget_bias=2.0)
    np.testing.assert_array_equal(cell.q.U.value, same.q.U.value)


def errors() -> dict[str, Any]:
    one = np.zeros((3, 2, F))
    return {
        r"sequence 0 has length -1; lengths are 0 to T = 3": lambda c: c.encode(one, (-1, 3)),
        r"sequence 1 has length 4": lambda c: c.encode(one, (3, 4)),
        r"lengths are 2 whole numbers": lambda c: c.encode(one, (3, 3, 3)),
        r"sequence 1 has features \(2,\), sequence 0 has \(3,\)": lambda c: c.encode(
            [np.zeros((2, 3)), np.zeros((2, 2))]
        ),
        r"F = 3 features, x has shape \(3, 2, 5\)": lambda c: c.encode(np.zeros((3, 2, 5))),
        r"token 3 is out of range": lambda c: c.encode(np.full((3, 2), 3)),
        r"there are no sequences": lambda c: c.encode([]),
        r"empty sequence": lambda c: c.encode(np.zeros((0, 2, F))),
        r"sequence 1 is int64, sequence 0 is float64": lambda c: c.encode([np.zeros((2, F)), np.zeros((2, F), int)]),
        r"leave lengths out": lambda c: c.encode([np.zeros((2, F))], (2,)),
        r"made without a context; write RNNCell\(..., context_size=n\)": lambda c: c.terms(ts.tensor(np.zeros((2, 2)))),
        r"squash is 'tanh' \(usual\) or 'sigmoid' \(the book\), got 'relu'": lambda c: nn.LSTMCell(
            2, 2, rng=np.random.default_rng(0), squash="relu"
        ),
        r"squash is 'tanh' \(the book\) or 'relu'": lambda c: nn.RNNCell(
            2, 2, rng=np.random.default_rng(0), squash="elu"
        ),
        r"peepholes is None, 'book' .* or 'gers' .*, got True": lambda c: nn.LSTMCell(
            2, 2, rng=np.random.default_rng(0), peepholes=True
        ),
        r"unknown cell 'elman'": lambda c: make_cell("elman", 2, 2),
    }


@pytest.mark.parametrize("message", errors())
def test_errors_name_the_item(message: str) -> None:
    cell = nn.RNNCell(F, H, rng=np.random.default_rng(0), dtype=np.float64)
    with Tape(), pytest.raises(ts.TinyseqError, match=message):
        errors()[message](cell)


def test_tokens_in_a_list_are_packed_before_compile() -> None:
    cell = nn.RNNCell(F, H, rng=np.random.default_rng(0))
    tokens = [np.array([0, 1]), np.array([2])]
    step = ts.compile(lambda x: cell.encode(x).last)
    with pytest.raises(ts.TinyseqError, match=r"nn.pack\(list\)"):
        step(tokens)
    with Tape():
        wanted = cell.encode(tokens).last.value
    np.testing.assert_allclose(step(nn.pack(tokens)), wanted, rtol=1e-6)
