"""Section 10.8: echo state networks: Mackey–Glass run freely, the memory of a linear ring, NARMA10.

python examples/section_10_08.py    # about a minute
"""

import numpy as np
from common import Clock, options

from tinyseq import nn
from tinyseq.diagnose.memory_capacity import memory_capacity, ring_memory
from tinyseq.tasks.dynamics import mackey_glass, narma10, nrmse


def mackey(trials: int) -> tuple[np.ndarray, np.ndarray]:
    """NRMSE84 of Jaeger's net (GMD report 148); returns the last trial's truth and free run."""
    errors, f64 = [], np.float64
    for seed in range(trials):
        rng, n = np.random.default_rng(seed), 400
        reservoir = nn.Reservoir(
            0, n, rng=rng, dtype=f64, W=rng.choice([0, 0.4, -0.4], (n, n), p=[0.9875, 0.00625, 0.00625]),
            spectral_radius=0.79, leak=0.44 * 0.9, gain=0.44,
            b=0.2 * rng.choice([0, 0.14, -0.14], n, p=[0.5, 0.25, 0.25]),
            feedback_size=1, feedback_scaling=0.56,
        )  # fmt: skip
        net = nn.EchoStateNetwork(reservoir, 1, ridge=1e-14, method="qr", direct=True)
        net.fit(None, mackey_glass(rng, 3000, dtype=f64), washout=1000)
        test = mackey_glass(rng, 1084, dtype=f64)
        free = net.free_run(84, net.warm_up(None, test[:1000]))
        errors.append(float(free[-1, 0, 0] - test[-1, 0, 0]) / test.std())
    print(
        f"Mackey–Glass 17, 400 units, {trials} trials: NRMSE84 {np.sqrt(np.mean(np.square(errors))):.1e} (paper 2.8e-4)"
    )
    return test[1000:, 0, 0], free[:, 0, 0]


def memory(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Measured and exact MC_k of a linear ring."""
    r, n, delays = 0.95, 10, 40
    W, U = r * np.roll(np.eye(n), 1, axis=0), np.eye(n)[:, :1]
    ring = nn.Reservoir(1, n, rng=np.random.default_rng(0), dtype=np.float64, W=W, U=U, activation="linear")
    found, exact = memory_capacity(ring, delays, rng=np.random.default_rng(1), steps=steps), ring_memory(r, n, delays)
    print(f"memory of a ring of {n}: largest distance from the exact staircase {np.abs(found - exact).max():.3f}")
    return found, exact


def narma(units: int) -> None:
    """NARMA10 with a reservoir, and with the last inputs themselves in its place."""
    rng = np.random.default_rng(0)
    u, y = narma10(rng, 8000, dtype=np.float64)
    reservoir = nn.Reservoir(
        1, units, rng=rng, dtype=np.float64, spectral_radius=0.95, input_scaling=0.1, bias_scaling=0.1
    )
    net = nn.EchoStateNetwork(reservoir, 1, ridge=1e-9, method="qr", direct=True)
    net.fit(u[:6000], y[:6000], washout=200)
    error = nrmse(net.predict(u)[6000:], y[6000:])
    line = np.concatenate([np.roll(u[:, 0], k, axis=0) for k in range(1, 41)], axis=1)
    control = nn.Ridge(40, 1, 1e-9)
    control.add(line[200:6000], y[200:6000, 0])
    V, c = control.solve()
    plain = nrmse(line[6000:] @ V.T + c, y[6000:, 0])
    print(f"NARMA10, {units} units: NRMSE {error:.3f} (NMSE {error**2:.4f}); a delay line of 40: NRMSE {plain:.3f}")


def main() -> None:
    args, clock = options(__doc__), Clock()
    true, free = mackey(1 if args.quick else 20)
    found, exact = memory(2000 if args.quick else 20_000)
    narma(50 if args.quick else 300)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(true, color="#555555", label="Mackey–Glass")
    left.plot(free, "--", color="#0072B2", label="free run")
    left.set(xlabel="steps run freely", ylabel="tanh(y − 1)")
    right.step(range(len(exact)), exact, where="mid", color="#555555", label="exact")
    right.plot(found, ".", color="#D55E00", label="measured")
    right.set(xlabel="delay k", ylabel="memory capacity of a linear ring")
    for axes in (left, right):
        axes.legend(frameon=False)
    figure.savefig(args.output / "section_10_08.svg")
    print(f"{args.output / 'section_10_08.svg'} ({clock})")


if __name__ == "__main__":
    main()
