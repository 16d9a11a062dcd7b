"""Section 10.10: gates. A product of forget gates shrinks more slowly than an RNN's Jacobians; it is not magic.

Task: adding (Hochreiter and Schmidhuber 1997 in the form usual now): the sum of two marked numbers of a sequence.
Always answering 1 has a mean squared error of 1/6. Where there is nothing to read a trained gate lies near 1: the
product Π f(t) over the sequence stays. ‖∂h(t)/∂h(0)‖ of the RNN vanishes at first; where training brings it back to
the order of 1, every unit carries everything on, and nothing says what is to be kept.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.diagnose.gate_products import forget_products, jacobian_norms
from tinyseq.nn import initialisation
from tinyseq.tasks.signals import ADDING_BASELINE, adding

T, B, HIDDEN = 50, 32, 32


def main() -> None:
    args, clock = options(__doc__), Clock()
    steps = 40 if args.quick else 12_000 if args.long else 3000
    cells = {
        "RNN": lambda rng: nn.RNNCell(2, HIDDEN, rng=rng),
        "LSTM": lambda rng: nn.LSTMCell(2, HIDDEN, rng=rng),
        "LSTM, peepholes": lambda rng: nn.LSTMCell(2, HIDDEN, peepholes="gers", rng=rng),
        "LSTM, chrono": lambda rng: initialisation.chrono(nn.LSTMCell(2, HIDDEN, rng=rng), T, rng=rng),
        "GRU": lambda rng: nn.GRUCell(2, HIDDEN, rng=rng),
    }
    test = adding(np.random.default_rng(1), T, 1000)
    print(f"adding, {T} steps: mean squared error on 1000 new sequences after {steps} batches of {B}")
    print(f"  {'always 1':<18}{ADDING_BASELINE:.4f}    what is left of the first state after {T} steps")
    lines = {}
    for name, make in cells.items():
        rng = np.random.default_rng(0)
        net = nn.ManyToOne(make(rng), 1, rng=rng)
        before = kept(net.encoder, test[0][:, :20])
        batches = iter(lambda rng=rng: adding(rng, T, B), None)
        train(net.loss, net, batches, steps, rate=0.005)
        with ts.Tape():
            error = float(net.loss(*test).item())
        after = kept(net.encoder, test[0][:, :20])
        lines[name] = before, after
        print(f"  {name:<18}{error:.4f}    {before[-1]:.1e} before training, {after[-1]:.1e} after")
    plot(args.output / "section_10_10.svg", lines)
    with ts.Tape() as tape:
        nn.LSTMCell(2, HIDDEN, peepholes="book", rng=np.random.default_rng(0)).encode(np.zeros((5, 1, 2), np.float32))
    viz.draw(tape, args.output / "section_10_10_cell.svg", view="folded")
    print(f"{args.output / 'section_10_10.svg'}, {args.output / 'section_10_10_cell.svg'} ({clock})")


def kept(cell, x: np.ndarray) -> np.ndarray:
    """By step: of an RNN ‖∂h(t)/∂h(0)‖₂, else the largest product of its gates; median of sequences."""
    if isinstance(cell, nn.RNNCell):
        return np.median(jacobian_norms(cell, x), axis=1)
    return np.median(forget_products(cell, x).max(2), axis=1)


def plot(path, lines: dict) -> None:
    """The products against time, before training and after."""
    from matplotlib.figure import Figure

    from tinyseq.viz.plots.plots import COLOURS, DASHES

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, which, title in zip(
        figure.subplots(1, 2, sharey=True), (0, 1), ("before training", "after"), strict=True
    ):
        for i, (name, found) in enumerate(lines.items()):
            values = np.maximum(found[which], 1e-30)
            axes.plot(np.arange(1, T + 1), values, color=COLOURS[i], linestyle=DASHES[i], label=name)
        axes.set(xlabel="steps t", title=title, yscale="log")
    figure.axes[0].set_ylabel("RNN: ‖∂h(t)/∂h(0)‖\ngated: largest Π f")
    figure.axes[1].legend(frameon=False, fontsize=8)
    figure.savefig(path)


if __name__ == "__main__":
    main()
