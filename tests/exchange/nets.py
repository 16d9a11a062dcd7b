"""Nets of every kind with inputs, and what they give by the reference executor: what exports are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinyseq as ts
from tinyseq import nn
from tinyseq.exchange import Input
from tinyseq.exchange.signatures import logits


class Case(NamedTuple):
    """A model, inputs by name, the values expected, and options of an export."""

    model: Any
    given: dict[str, np.ndarray]
    expected: list[np.ndarray]
    options: dict[str, Any] = {}  # noqa: RUF012


def values(record: Callable[[], Any]) -> list[np.ndarray]:
    """What a function records, on the reference executor."""
    with ts.Tape(ts.Reference):
        made = record()
        return [x.value for x in (made if isinstance(made, tuple) else (made,))]


def encoded(model: Any, x: Any, **options: Any) -> list[np.ndarray]:
    """Outputs and last features."""

    def record() -> tuple[Any, Any]:
        found = model.encode(x, **options)
        return found.outputs, found.last

    return values(record)


class Peephole(nn.Cell):
    """A cell of a user's: a state of two tensors and a constant of its own."""

    name = "peephole"

    def __init__(self, rng: np.random.Generator, dtype: Any) -> None:
        self.input_size, self.dtype = 3, np.dtype(dtype)
        self.W = ts.Parameter(rng.normal(size=(4, 4)).astype(dtype), "W_hh")
        self.U = ts.Parameter(rng.normal(size=(4, 3)).astype(dtype), "W_xh")
        self.p = ts.Parameter(rng.normal(size=4).astype(dtype), "p")

    def step(self, x: Any, state: Any) -> Any:
        h, count = state
        a = ts.linear(h, self.W) + ts.linear(x, self.U) + self.p * count
        kept = ts.tensor(np.arange(4, dtype=self.dtype) / 4)
        h = (kept * h + (1 - kept) * ts.tanh(a) * ts.sigmoid(-a) - ts.abs(a) * 0.01).named("h")
        return (h, count * 0.5 + 1), h[:, :2]

    def initial_state(self, batch: int) -> Any:
        return ts.zeros((batch, 4), self.dtype), ts.zeros((batch, 4), self.dtype)


def cell(kind: str, rng: np.random.Generator, dtype: Any) -> Any:
    """A cell of three inputs."""
    size = {"rng": rng, "dtype": dtype}
    makers: dict[str, Callable[[], Any]] = {
        "rnn": lambda: nn.RNNCell(3, 5, **size),
        "relu": lambda: nn.RNNCell(3, 5, squash="relu", **size),
        "normalised": lambda: nn.RNNCell(3, 5, layer_norm=True, **size),
        "lstm": lambda: nn.LSTMCell(3, 5, **size),
        "lstm of the book": lambda: nn.LSTMCell(3, 5, squash="sigmoid", peepholes="book", **size),
        "peepholes": lambda: nn.LSTMCell(3, 5, peepholes="gers", **size),
        "projection": lambda: nn.LSTMCell(3, 5, projection_size=2, **size),
        "gru": lambda: nn.GRUCell(3, 5, **size),
        "gru of the book": lambda: nn.GRUCell(3, 5, reset_after=False, **size),
        "leaky": lambda: nn.LeakyCell(3, 5, learn_alpha=True, **size),
        "skip": lambda: nn.SkipCell(3, 5, delays=(1, 3), **size),
        "clockwork": lambda: nn.ClockworkCell(3, 8, **size),
        "deep": lambda: nn.DeepTransition(3, 5, skip=True, **size),
        "memory": lambda: nn.MemoryCell(nn.LSTMCell(7, 5, **size), 6, 4, rng=rng),
        "stack": lambda: nn.StackedCells([nn.GRUCell(3, 5, **size), nn.LSTMCell(8, 4, **size)], skip=True),
        "bidirectional": lambda: nn.Bidirectional(nn.GRUCell(3, 5, **size), nn.LSTMCell(3, 4, **size)),
        "sum": lambda: nn.Bidirectional(nn.RNNCell(3, 5, **size), nn.RNNCell(3, 5, **size), merge="sum"),
        "slstm": lambda: nn.SLSTMCell(3, 4, **size),
        "fast weights": lambda: nn.FastWeightsCell(3, 4, **size),
        "diagonal": lambda: nn.DiagonalCell(3, 4, **size),
        "legs": lambda: nn.LegSCell(4, dtype=dtype),
        "lru": lambda: nn.LRUCell(3, 4, **size),
        "min gru": lambda: nn.MinGRUCell(3, 4, **size),
        "min lstm": lambda: nn.MinLSTMCell(3, 4, **size),
        "lstm of 1997": lambda: nn.LSTM1997Cell(3, 2, 2, **size),
        "layers": lambda: nn.Stack([nn.LSTMCell(3, 5, **size), nn.GRUCell(5, 4, **size)]),
    }
    return makers[kind]()


CELLS = (
    "rnn", "relu", "normalised", "lstm", "lstm of the book", "peepholes", "projection", "gru", "gru of the book",
    "leaky", "skip", "clockwork", "deep", "memory", "stack", "bidirectional", "sum", "layers",
    "slstm", "fast weights", "diagonal", "legs", "lru", "min gru", "min lstm", "lstm of 1997",
)  # fmt: skip
NETS = (
    "RNN", "LSTM", "GRU", "CellNet", "tokens", "initial state", "many to one", "many to many", "embedding", "scaled",
    "encoder-decoder", "attention", "sequence", "sequence that ends", "sequence that halts", "sequence that counts",
    "sequence in context", "feedback", "output recurrence", "reservoir", "echo state", "echo state fed back", "linear",
    "own cell", "own function", "delays", "no time",
)  # fmt: skip
LENGTHS = ("many to one", "many to many", "bidirectional", "embedding", "attention", "encoder-decoder")


def case(kind: str, rng: np.random.Generator, dtype: Any, T: int = 9, B: int = 4) -> Case:
    """A net of a kind, run over T steps of B sequences."""
    size: dict[str, Any] = {"rng": rng, "dtype": dtype}
    x = rng.normal(size=(T, B, 3)).astype(dtype)
    tokens, y = rng.integers(0, 6, (T, B)), rng.integers(0, 6, (5, B))
    if kind in CELLS:
        model = cell(kind, rng, dtype)
        x = x[:, :, : model.input_size]
        return Case(model, {"x": x}, encoded(model, x))
    if kind in ("RNN", "LSTM", "GRU", "initial state"):
        options = {"learn_initial_state": True} if kind == "initial state" else {}
        model = getattr(nn, "RNN" if options else kind)(3, 5, 4, **options, **size)
        for parameter in model.parameters():
            parameter.value[...] += rng.normal(0, 0.1, parameter.shape)
        return Case(model, {"x": x}, values(lambda: model.outputs(x)))
    if kind == "tokens":
        model = nn.LSTM(6, 5, 6, **size)
        return Case(model, {"x": tokens}, values(lambda: model.outputs(tokens)), {"tokens": True})
    if kind == "CellNet":
        model = nn.CellNet(
            nn.StackedCells([nn.GRUCell(3, 5, **size), nn.LSTMCell(5, 4, **size)]), 2, rng=rng, dropout=0.5
        )
        return Case(model, {"x": x}, values(lambda: model.outputs(x)))
    if kind in ("many to one", "many to many", "scaled"):
        encoder = nn.recurrent(
            "lstm", 3, 4, num_layers=2, bidirectional=True, dropout=0.3, layer_norm=True, standardise=True, **size
        )
        encoder.layers[0].fit(3 * x + 1)
        made = nn.ManyToMany if kind == "many to many" else nn.ManyToOne
        model = made(encoder, 3, rng=rng, scaled=kind == "scaled")
        if kind == "scaled":
            model.scaling.fit(5 * x)
        return Case(model, {"x": x}, values(lambda: model.outputs(x)))
    if kind == "embedding":
        model = nn.ManyToOne(nn.recurrent("gru", 6, 4, embedding=3, **size), 3, rng=rng)
        return Case(model, {"x": tokens}, values(lambda: model.outputs(tokens)))
    if kind in ("encoder-decoder", "attention"):
        encoder = nn.Bidirectional(nn.GRUCell(3, 5, **size), nn.GRUCell(3, 5, **size))
        model = nn.EncoderDecoder(encoder, 6, 5, rng=rng, cell="lstm", attention=kind == "attention")
        return Case(model, {"x": x, "y": y}, values(lambda: logits(model, ts.tensor(x), ts.tensor(y))))
    if kind.startswith("sequence"):
        return _sequence(kind, y, rng, size)
    if kind == "feedback":
        model = nn.FeedbackRNN(3, 5, 6, **size)
        return Case(model, {"x": x, "y": tokens}, values(lambda: model.log_prob(x, tokens)))
    if kind == "output recurrence":
        model = nn.OutputRecurrence(3, 5, 4, **size)
        return Case(model, {"x": x}, values(lambda: model.outputs(x)))
    if kind == "linear":
        model = nn.Linear(3, 4, **size)
        return Case(model, {"x": x}, values(lambda: model.outputs(x)))
    if kind in ("reservoir", "echo state", "echo state fed back"):
        return _reservoir(kind, x, rng, size)
    return _own(kind, x, rng, dtype)


def _sequence(kind: str, y: np.ndarray, rng: np.random.Generator, size: dict[str, Any]) -> Case:
    more: dict[str, Any] = {
        "sequence": {},
        "sequence that ends": {"length": "end"},
        "sequence that halts": {"length": "halt"},
        "sequence that counts": {"length": "count", "max_length": 8},
        "sequence in context": {"context_size": 3, "context": "both"},
    }[kind]
    model = nn.SequenceModel(6, 5, **more, **size)
    given = {"y": y}
    if "context" in more:
        given["context"] = rng.normal(size=(y.shape[1], 3)).astype(size["dtype"])
    options = {"sizes": {"T": len(y)}} if more.get("length") in ("halt", "count") else {}
    return Case(model, given, values(lambda: model.log_prob(*given.values())), options)


def _reservoir(kind: str, x: np.ndarray, rng: np.random.Generator, size: dict[str, Any]) -> Case:
    back = 2 if kind == "echo state fed back" else 0
    reservoir = nn.Reservoir(3, 20, density=0.1, feedback_size=back, leak=0.4, **size)
    T, B = x.shape[:2]
    model: Any = reservoir
    if kind != "reservoir":
        model = nn.EchoStateNetwork(reservoir, 2, direct=True)
        for parameter in model._weights():
            parameter.value[...] = rng.normal(0, 0.1, parameter.shape)
    expected = values(lambda: ts.unfold(model.step, ts.Chain(T), x, model.initial_state(B)).outputs)
    return Case(model, {"x": x}, expected)


def _own(kind: str, x: np.ndarray, rng: np.random.Generator, dtype: Any) -> Case:
    own, (T, B) = Peephole(rng, dtype), x.shape[:2]
    if kind == "own cell":
        expected = values(lambda: ts.unfold(own, ts.Chain(T), x, own.initial_state(B)).outputs)
        return Case(own, {"x": x}, expected)
    W = ts.Parameter(rng.normal(0, 0.4, (3, 3)).astype(dtype), "W")

    def function(x: Any) -> Any:
        """Two loops that share a weight, one of them backwards over what the other gave."""
        chain = ts.Chain(x.shape[0])

        def step(x: Any, h: Any) -> Any:
            h = ts.tanh(x + ts.linear(h, W)).named("h")
            return h, (h, ts.softmax(h))

        first = ts.unfold(step, chain, x, ts.zeros((x.shape[1], 3), dtype))
        second = ts.unfold(step, chain.reversed(), first.outputs[0], first.final)
        return ts.sum(second.outputs[1], axis=0), first.states, second.output(0)[0]

    def delayed(x: Any) -> Any:
        def step(x: Any, states: Any) -> Any:
            near, far = states
            return ts.tanh(x + ts.linear(near, W) - far), near

        unfolded = ts.unfold(step, ts.Chain(x.shape[0]), x, ts.zeros((x.shape[1], 3), dtype), delays=(1, 4))
        return unfolded.outputs, unfolded.final

    def without(x: Any) -> Any:
        return ts.softmax(ts.norm(x, axis=-1)) + ts.maximum(ts.max(x, axis=-1), 0.3)

    run = {"own function": function, "delays": delayed, "no time": without}[kind]
    inputs = [Input("x", ("T", "B", 3), np.dtype(dtype).name)]
    return Case(run, {"x": x}, values(lambda: run(ts.tensor(x))), {"inputs": inputs})
