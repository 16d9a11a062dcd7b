"""Figure 10.11: a bidirectional net reads what comes as well as what came; one direction can only wait for it.

Task: y(t) = Σ_k w_k x(t + k), white noise x filtered with weights that reach into the future. A net that has read
x(1 … t + m), m the steps its output waits, cannot have a mean squared error below Σ_{k > m} w_k².
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks.signals import filtered, unseen_variance

B, HIDDEN = 32, 32


def delayed(x: np.ndarray, y: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets m steps late: the output at t + m answers y(t)."""
    late = np.zeros_like(y)
    late[m:] = y[: len(y) - m]
    return x, late


def main() -> None:
    args, clock = options(__doc__), Clock()
    behind, ahead = (10, 20) if args.long else (2, 4)
    T = 60 if args.long else 24
    steps = 60 if args.quick else 8000 if args.long else 2000
    weights = np.full(behind + ahead + 1, 1.0)
    weights /= np.linalg.norm(weights)
    waits = (0, ahead // 2, ahead)
    inner = slice(behind, T - ahead)  # away from the ends, where the bound holds exactly
    print(f"mean squared error of y(t) = Σ w_k x(t + k), k = −{behind} … {ahead}, Σ w² = 1 (the bound of each wait)")
    found = []
    for m in waits:
        rng = np.random.default_rng(0)
        net = nn.ManyToMany(nn.RNNCell(1, HIDDEN, rng=rng), 1, rng=rng)

        def batch(rng=rng, m=m):
            return delayed(*filtered(rng, weights, behind, T, B), m)

        train(lambda x, y, net=net: net.loss(x, y) / T, net, iter(batch, None), steps, rate=0.005)
        x, y = filtered(np.random.default_rng(1), weights, behind, T, 500)
        with ts.Tape():
            o = net.outputs(x).value
        error = np.square(o[m:] - y[: T - m])[inner if m == 0 else slice(behind, T - ahead - m)].mean()
        found.append(float(error))
        bound = unseen_variance(weights, behind, m)
        print(f"  one direction, answers {m:2d} late: {error:.4f}  (cannot be below {bound:.4f})")
    rng = np.random.default_rng(0)
    cells = nn.RNNCell(1, HIDDEN, rng=rng), nn.RNNCell(1, HIDDEN, rng=rng)
    net = nn.ManyToMany(nn.Bidirectional(*cells), 1, rng=rng)
    batches = iter(lambda: filtered(rng, weights, behind, T, B), None)
    train(lambda x, y: net.loss(x, y) / T, net, batches, steps, rate=0.005)
    x, y = filtered(np.random.default_rng(1), weights, behind, T, 500)
    with ts.Tape():
        error = float(np.square(net.outputs(x).value - y)[inner].mean())
    print(f"  both directions, answers at once: {error:.4f}")
    plot(args.output / "fig_10_11_curve.svg", weights, behind, ahead, waits, found, error)
    small = nn.ManyToMany(nn.Bidirectional(*cells), 2, rng=rng)
    with ts.Tape() as tape:
        small.loss(np.zeros((4, 1, 1), np.float32), np.zeros((4, 1), int))
    viz.draw(tape, args.output / "fig_10_11.svg")
    print(f"{args.output / 'fig_10_11.svg'}, {args.output / 'fig_10_11_curve.svg'} ({clock})")


def plot(path, weights, behind, ahead, waits, found, both) -> None:
    """The bound against the wait, and where the nets came out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    m = np.arange(ahead + 1)
    axes.plot(m, [unseen_variance(weights, behind, k) for k in m], color="#555555", label="bound, one direction")
    axes.plot(waits, found, "o", color="#0072B2", label="one direction")
    axes.plot([0], [both], "s", color="#D55E00", label="both directions")
    axes.set(xlabel="steps the output waits", ylabel="mean squared error")
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
