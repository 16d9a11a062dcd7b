"""Section 10.7: gradients vanish or explode, by a constant rate a step; and the state of an LSTM keeps them longer.

python examples/section_10_07.py    # a few seconds
"""

import numpy as np
from common import Clock, options

import tinyseq as ts
from tinyseq import nn
from tinyseq.diagnose import gradient_flow
from tinyseq.viz import gradient_norms
from tinyseq.viz.plots.chapter_plots import figure_10_15


def linear(W: np.ndarray, steps: int) -> tuple:
    """h(t) = W h(t−1), W used at every step; the loss reads the last state."""
    weight = ts.Parameter(W, "W")

    def step(h):
        h = ts.linear(h, weight).named("h")
        return h, h

    with ts.Tape():
        net = ts.unfold(step, ts.Chain(steps + 1), (), np.ones((1, len(W))))
        return ts.sum(net.final), net


def powers(rng: np.random.Generator, tau: int) -> None:
    """10.36–10.39: W = QΛQᵀ, so h(t) = QΛᵗQᵀh(0), and what is left after τ steps is ρ^τ."""
    print(f"W = QΛQᵀ of 20 units: ‖∂h(τ)/∂h(0)‖ over τ = {tau} steps, measured on the tape, and ρ^τ")
    Q, _ = np.linalg.qr(rng.standard_normal((20, 20)))
    for rho in (0.8, 0.95, 1.0, 1.05, 1.2):
        eigenvalues = np.append(rho, rng.uniform(-0.9, 0.9, 19) * rho)
        flow = gradient_flow(*linear(Q @ np.diag(eigenvalues) @ Q.T, tau))
        print(f"  ρ = {rho:<5} {flow.norm(tau, 0):.6e}  {rho**tau:.6e}")
    flow = gradient_flow(*linear(np.array([[0.8, 10.0], [0.0, 0.8]]), tau))
    hump = max(range(tau + 1), key=lambda k: flow.norm(k, 0))
    print("  not symmetric, [[0.8, 10], [0, 0.8]]: ρ < 1, yet")
    print(f"  ‖∂h(k)/∂h(0)‖ = {flow.norm(hump, 0):.1f} at k = {hump}, then {flow.norm(tau, 0):.2g} at {tau}\n")


def nets(rng: np.random.Generator, T: int) -> dict[str, np.ndarray]:
    """‖∂L/∂state(t)‖ of fresh nets on one random sequence; the loss reads the last state."""
    x = rng.standard_normal((T, 8, 4))
    curves = {}
    for label, cell in {
        "RNN, W as drawn": nn.RNNCell(4, 32, rng=rng, dtype=np.float64),
        "RNN, W × 4": nn.RNNCell(4, 32, rng=rng, dtype=np.float64),
        "LSTM, forget bias 1": nn.LSTMCell(4, 32, rng=rng, dtype=np.float64),
        "LSTM, forget bias 5": nn.LSTMCell(4, 32, rng=rng, dtype=np.float64, forget_bias=5.0),
    }.items():
        if label.endswith("× 4"):
            cell.a.W.value *= 4
        with ts.Tape():
            net = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(8))
            loss = ts.sum(cell.hidden(net.final) ** 2)
        flow = gradient_flow(loss, net)
        curves[label] = flow.carried
        factors = ", ".join(f"mean {kind} {pair[:, 0].mean():.2f}" for kind, pair in flow.slopes.items())
        largest = max(w.sigma_max for w in flow.weights)
        print(f"  {label}: {flow.verdict}\n    {factors}, largest σ_max(W) {largest:.2f}")
    return curves


def main() -> None:
    """Powers of a matrix, four nets, and figure 10.15."""
    args, clock = options(__doc__), Clock()
    rng = np.random.default_rng(0)
    powers(rng, 10 if args.quick else 50)
    T = 20 if args.quick else 100
    print(f"fresh nets of 32 units over {T} random inputs, the loss at the end:")
    curves = nets(rng, T)
    gradient_norms(curves, args.output / "section_10_07.svg", title="what comes back from the last step")
    found = figure_10_15(args.output / "fig_10_15.svg")
    print(f"\nfigure 10.15: 100 tanh units composed 0 to 5 times turn {found.alternations} times over ±50")
    print(f"{args.output / 'section_10_07.svg'}, {args.output / 'fig_10_15.svg'} ({clock})")


if __name__ == "__main__":
    main()
