"""Section 10.2 from its equations: a vanilla RNN written out, trained on real text, and drawn.

The cell below is equations 10.8 to 10.10 as the book prints them. `ts.unfold` stamps it over the time steps of a window
(figure 10.3, right), `backward` runs back-propagation through time, and the pictures are drawn from that very graph.
"""

import numpy as np
from common import options

import tinyseq as ts
from tinyseq import diagnose, viz
from tinyseq.tasks import Corpus, Markov, Windows, embedded_text
from tinyseq.train import Adam, clip_global_norm

T, B, HIDDEN = 20, 16, 48


class Vanilla(ts.nn.Cell):
    """h(t) = tanh(b + W h(t−1) + U x(t)), o(t) = c + V h(t), L(t) = −log softmax(o(t)) at y(t)."""

    name = "vanilla"

    def __init__(self, vocabulary: int, hidden: int, rng: np.random.Generator) -> None:
        def matrix(rows: int, columns: int) -> np.ndarray:
            return (rng.standard_normal((rows, columns)) / np.sqrt(hidden)).astype(np.float32)

        self.U = ts.Parameter(matrix(hidden, vocabulary), "U")
        self.W = ts.Parameter(matrix(hidden, hidden), "W")
        self.V = ts.Parameter(matrix(vocabulary, hidden), "V")
        self.b = ts.Parameter(np.zeros(hidden, np.float32), "b")
        self.c = ts.Parameter(np.zeros(vocabulary, np.float32), "c")

    def step(self, x, y, h):
        """One time step: tokens x(t) and y(t) (B), state h(t−1) (B, hidden)."""
        Ux = ts.take(self.U, x, axis=1)  # U times a one-hot x: a column of U
        a = self.b + ts.linear(h, self.W) + Ux
        h = ts.tanh(a).named("h")
        o = (self.c + ts.linear(h, self.V)).named("o")
        return h, ts.cross_entropy(o, y).named("L")


def window_loss(cell: Vanilla, x: np.ndarray, y: np.ndarray, h: np.ndarray):
    """Unfold the cell over a window (T, B); returns L = Σ_t L(t) and the unfolded net."""
    inputs = ts.tensor(x, "x"), ts.tensor(y, "y")
    net = ts.unfold(cell, ts.Chain(len(x)), inputs, ts.tensor(h, "h"))
    return ts.sum(net.outputs).named("L"), net


def train(cell: Vanilla, corpus: Corpus, steps: int) -> None:
    """Truncated back-propagation through time: the state's value is carried on, its gradient is not."""
    optimiser = Adam(cell.parameters(), rate=0.01)
    start = np.zeros((B, HIDDEN), np.float32)
    h = start
    for step, (x, y, fresh) in zip(range(steps), Windows(corpus.train, T, B), strict=False):
        with ts.Tape():
            loss, net = window_loss(cell, x, y, start if fresh else h)
            (loss / T).backward()
            h = net.final.value
        clip_global_norm(optimiser.parameters, 1.0)
        optimiser.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: {loss.item() / T / np.log(2):.2f} bits per character")


def bits_per_character(cell: Vanilla, tokens: np.ndarray, context: np.ndarray) -> float:
    """Cross-entropy on a text after the last character of its context, read as one sequence from h = 0."""
    text = np.concatenate([context[-1:], tokens])
    with ts.Tape():
        loss, _ = window_loss(cell, text[:-1, None], text[1:, None], np.zeros((1, HIDDEN), np.float32))
        return loss.item() / len(tokens) / float(np.log(2))


def main() -> None:
    """Train, measure, look inside, draw."""
    args = options(__doc__)
    folder = args.output
    corpus = Corpus.of(embedded_text(), "Python's language reference")
    cell = Vanilla(len(corpus.vocabulary), HIDDEN, np.random.default_rng(0))
    train(cell, corpus, 100 if args.quick else 4000 if args.long else 400)
    held_out = corpus.held_out[:5000]
    print(f"bits per character on {len(held_out):,} held-out characters:")
    for order in (0, 1):
        baseline = Markov(corpus.train, len(corpus.vocabulary), order)
        print(f"  Markov chain of order {order}  {baseline.bits_per_token(held_out, corpus.train):.3f}")
    print(f"  this RNN                 {bits_per_character(cell, held_out, corpus.train):.3f}")

    text = held_out[:9]
    with ts.Tape() as tape:
        loss, net = window_loss(cell, text[:-1, None], text[1:, None], np.zeros((1, HIDDEN), np.float32))
        print(diagnose.ledger(loss, cell.W))
        norms = [float(np.linalg.norm(net.state(t).grad)) for t in range(len(text) - 1)]
        viz.draw(tape, folder / "vanilla_rnn_folded.svg", view="folded")
        viz.draw(tape, folder / "vanilla_rnn_unfolded.svg", view="unfolded")
        viz.gradient_norms(norms, folder / "vanilla_rnn_gradient_norms.svg")
    for name in ("vanilla_rnn_folded.svg", "vanilla_rnn_unfolded.svg", "vanilla_rnn_gradient_norms.svg"):
        print(folder / name)


if __name__ == "__main__":
    main()
