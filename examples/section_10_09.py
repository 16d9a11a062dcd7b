"""Section 10.9: several time scales. A wave with slow and fast parts is generated from nothing, as far as units reach.

Task: a wave of 320 samples from no input (Koutník et al. 2014, with sinusoids in place of their music): all must come
from the state. Units that move slowly carry the slow parts; a plain RNN of as many weights has to do it in tiny steps.
All nets start from a state that is not zero, drawn once. Then time is warped: symbols are held for 4 or 16 steps.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks.memory import warped
from tinyseq.tasks.signals import nmse, waveform

WAVES = 3


def cells(rng: np.random.Generator) -> dict:
    """Makers of nets of about 1100 weights."""
    return {
        "RNN": lambda: nn.RNNCell(1, 32, rng=rng),
        "leaky, α = 0.9": lambda: nn.LeakyCell(1, 32, alpha=0.9, rng=rng),
        "leaky, τ = 1 … 100": lambda: nn.LeakyCell(1, 32, alpha=nn.decays(np.geomspace(1, 100, 32)), rng=rng),
        "leaky, α learned": lambda: nn.LeakyCell(1, 32, alpha=0.9, learn_alpha=True, rng=rng),
        "skip, delays 1, 16": lambda: nn.SkipCell(1, 22, delays=(1, 16), rng=rng),
        "no length 1: 4, 16": lambda: nn.SkipCell(1, 22, delays=(4, 16), rng=rng),
        "clockwork": lambda: nn.ClockworkCell(1, 40, periods=(1, 2, 4, 8, 16, 32, 64, 128), rng=rng),
    }


def generator(make, y: np.ndarray, steps: int) -> tuple[float, np.ndarray, int]:
    """Train a net to make y; (NMSE, what it makes, number of weights)."""
    rng = np.random.default_rng(0)
    cell = make(rng)
    net = nn.ManyToOne(cell, 1, rng=rng)  # its readout serves every step
    h0 = np.random.default_rng(5).choice([-1.0, 1.0], (1, cell.hidden_size)).astype(np.float32)
    x = np.zeros((len(y), 1, 1), np.float32)

    def outputs(x, h):
        return net.output(cell.encode(x, state=cell.initial_state(1, h)).outputs)

    def loss(x, h, y):
        return ts.mean((outputs(x, h) - y) ** 2)

    train(loss, net, iter(lambda: (x, h0, y), None), steps, rate=0.01)
    made = ts.compile(outputs)(x, h0)
    return nmse(made, y), made, sum(p.value.size for p in net.parameters())


def warps(steps: int, stretches: tuple[int, ...]) -> None:
    """Accuracy on the symbol before the present one, whose time is stretched; α goes with the warp."""
    print("the symbol before the present one, held for w steps (ten symbols; 0.10 is guessing): share right")
    print(f"  {'w':>3}{'RNN':>10}{'leaky, α = e^(−1/w)':>24}{'GRU':>10}")
    for w in stretches:
        row = f"  {w:>3}"
        for kind, width in (("rnn", 10), ("leaky", 24), ("gru", 10)):
            rng = np.random.default_rng(0)
            cell = {
                "rnn": lambda rng=rng: nn.RNNCell(10, 32, rng=rng),
                "leaky": lambda rng=rng, w=w: nn.LeakyCell(10, 32, alpha=float(nn.decays(w)), rng=rng),
                "gru": lambda rng=rng: nn.GRUCell(10, 32, rng=rng),
            }[kind]()
            net = nn.ManyToMany(cell, 10, rng=rng)
            batches = iter(lambda rng=rng, w=w: warped(rng, 10 * w, 16, w), None)
            train(lambda x, y, net=net, w=w: net.loss(x, y) / (10 * w), net, batches, steps)
            x, y = warped(np.random.default_rng(1), 10 * w, 200, w)
            with ts.Tape():
                right = net.outputs(x).value.argmax(2) == y
            row += f"{right[w:].mean():>{width}.2f}"  # from the second symbol on
        print(row)


def main() -> None:
    args, clock = options(__doc__), Clock()
    steps = 30 if args.quick else 8000 if args.long else 1000
    _, waves = waveform(np.random.default_rng(3), 320, WAVES)
    print(f"a wave of 320 samples from nothing: NMSE of {WAVES} waves after {steps} steps (a constant: 1)")
    made = {}
    for name in cells(np.random.default_rng(0)):
        found = [
            generator(lambda rng, name=name: cells(rng)[name](), waves[:, i : i + 1], steps)
            for i in range(1 if args.quick else WAVES)
        ]
        made[name] = found[0][1][:, 0, 0]
        errors = [error for error, *_ in found]
        print(
            f"  {name:<20}{found[0][2]:5d} weights   {np.mean(errors):.4f}   ({', '.join(f'{e:.4f}' for e in errors)})"
        )
    warps(30, (1, 4)) if args.quick else warps(300, (1, 4, 16))
    plot(args.output / "section_10_09.svg", waves[:, 0, 0], made)
    with ts.Tape() as tape:
        nn.SkipCell(1, 4, delays=(1, 3), rng=np.random.default_rng(0)).encode(np.zeros((8, 1, 1), np.float32))
    viz.draw(tape, args.output / "section_10_09_cell.svg", view="folded")
    print(f"{args.output / 'section_10_09.svg'}, {args.output / 'section_10_09_cell.svg'} ({clock})")


def plot(path, wave: np.ndarray, made: dict) -> None:
    """The wave and what the nets make of it."""
    from matplotlib.figure import Figure

    shown = {name: made[name] for name in ("RNN", "leaky, τ = 1 … 100", "skip, delays 1, 16", "clockwork")}
    figure = Figure(figsize=(7, 5), layout="constrained")
    for axes, (name, values) in zip(figure.subplots(len(shown), 1, sharex=True), shown.items(), strict=True):
        axes.plot(wave, color="#999999", linewidth=1, label="the wave")
        axes.plot(values, color="#0072b2", linewidth=1.2, label=name)
        axes.set_ylabel(name, fontsize=8)
        axes.set_ylim(-1.2, 1.2)
    figure.axes[-1].set_xlabel("sample")
    figure.savefig(path)


if __name__ == "__main__":
    main()
