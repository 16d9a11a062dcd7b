"""Truncated back-propagation through time: what it cuts, what it loses; and checkpointing, which loses nothing.

python examples/truncated_bptt.py            # checkpointing up to T = 100,000
python examples/truncated_bptt.py --long     # up to T = 1,000,000
"""

import resource
import subprocess
import sys
import time

import numpy as np
from common import options

import tinyseq as ts
from tinyseq import diagnose
from tinyseq.train import RTRL

T, K, B, F, H = 100, 10, 4, 8, 16


def picture(report: diagnose.Truncations) -> str:
    """Three grids, loss time downwards and use time to the right, as SVG."""
    side, parts = 200, []
    for place, cut in enumerate(report.cuts):
        left, cell = 50 + place * (side + 40), side / len(cut.grid)
        parts.append(f'<rect x="{left}" y="50" width="{side}" height="{side}" fill="#f3f3f3"/>')
        for t, row in enumerate(cut.grid):
            used = np.flatnonzero(row)
            for run in np.split(used, np.flatnonzero(np.diff(used) > 1) + 1) if len(used) else ():
                x, y, width = left + run[0] * cell, 50 + t * cell, len(run) * cell
                parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{cell:.1f}" fill="#1f6fb2"/>')
        parts.append(f'<text x="{left}" y="40">{cut.name}: {cut.pairs:,} pairs, {100 * cut.lost:.1f}% lost</text>')
        parts.append(f'<text x="{left}" y="{50 + side + 18}">use of W at time s →</text>')
    parts.append('<text x="20" y="150" transform="rotate(-90 20 150)" text-anchor="middle">← loss at time t</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {50 + 3 * (side + 40)} 290" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def cuts() -> diagnose.Truncations:
    """Count pairs on the graph; norms of what is lost."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(F, H, rng=rng, dtype=np.float64)
    cell.a.W.value = 0.97 * np.linalg.qr(rng.standard_normal((H, H)))[0]  # a memory of dozens of steps
    x, u = 0.2 * rng.standard_normal((T, B, F)), rng.standard_normal((T, B, H))

    def losses(truncate):
        net = ts.unfold(cell, ts.Chain(T), x, cell.initial_state(B), truncate=truncate)
        return ts.sum(net.outputs * u), net

    return diagnose.truncation(losses, cell.a.W, K)


def one(steps: int, checkpoint: bool) -> None:
    """Loss and gradients over one long sequence, in a process of its own: milliseconds, peak bytes, ‖g‖."""
    rng = np.random.default_rng(0)
    cell = ts.nn.RNNCell(F, H, rng=rng)
    x = rng.standard_normal((steps, 1, F)).astype(np.float32)

    def loss(x, state):
        net = ts.unfold(cell, ts.Chain(len(x)), x, cell.initial_state(1) if state is None else state)
        return ts.sum(net.outputs * net.outputs), net.final

    ts.compile(loss, checkpoint=2).backward(x[:4], None)  # load all kernels before measuring
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = ts.compile(loss, checkpoint=True) if checkpoint else ts.compile(loss)
    run.backward(x, None)
    start = time.perf_counter()
    run.backward(x, None)
    ms = 1e3 * (time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(ms, peak / 1024, np.linalg.norm(np.float64(cell.a.W.grad)))


def measured(steps: int, checkpoint: bool) -> list[float]:
    """``one`` in a fresh process."""
    command = [sys.executable, __file__, "--one", str(steps), str(int(checkpoint))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def online() -> None:
    """The same gradient forward in time, and what it costs."""
    print("\nreal-time recurrent learning: memory does not grow with T, but as H³")
    print(f"{'H':>4} {'T':>5} {'RTRL ms':>9} {'BPTT ms':>9} {'influence bytes':>16} {'largest difference':>19}")
    for hidden, steps in ((4, 20), (4, 80), (8, 20), (16, 20)):
        rng = np.random.default_rng(0)
        cell = ts.nn.RNNCell(F, hidden, rng=rng, dtype=np.float64)
        x = rng.standard_normal((steps, 1, F))

        def step(x_t, h, cell=cell):
            h, y = cell.step(x_t, h)
            return h, ts.sum(y * y)

        forward = RTRL(step, cell.parameters(), np.zeros((1, hidden)))
        start = time.perf_counter()
        for x_t in x:
            forward.advance(x_t)
        rtrl = 1e3 * (time.perf_counter() - start)

        def loss(x, cell=cell):
            y = ts.unfold(cell, ts.Chain(len(x)), x, cell.initial_state(1)).outputs
            return ts.sum(y * y)

        back = ts.compile(loss)
        back.backward(x)
        start = time.perf_counter()
        back.backward(x)
        bptt = 1e3 * (time.perf_counter() - start)
        pairs = zip(forward.gradients(), cell.parameters(), strict=True)
        worst = max(float(np.abs(g - p.grad).max()) for g, p in pairs)
        print(f"{hidden:>4} {steps:>5} {rtrl:>9.1f} {bptt:>9.2f} {forward.bytes:>16,} {worst:>19.1e}")


def main() -> None:
    """Truncation, checkpointing, the forward mode."""
    chosen = options(__doc__)
    print(f"To show: which losses still reach which uses of W over T = {T} steps when gradients are cut, k = {K}.")
    report = cuts()
    print(report)
    target = chosen.output / "truncated_bptt.svg"
    target.write_text(picture(report), encoding="utf-8")
    print(target)
    print("\ncheckpointing in time: segments of √T steps are run again; the gradient is the whole one")
    print(f"{'T':>9} {'ms':>8} {'ms whole':>9} {'ratio':>6} {'peak MB':>8} {'whole':>8} {'‖∂L/∂W‖ apart':>14}")
    sizes = (1_000,) if chosen.quick else (1_000, 10_000, 100_000, *((1_000_000,) if chosen.long else ()))
    for steps in sizes:
        (ms, peak, norm), (ms_whole, peak_whole, norm_whole) = measured(steps, True), measured(steps, False)
        print(
            f"{steps:>9,} {ms:>8.1f} {ms_whole:>9.1f} {ms / ms_whole:>6.2f} {peak:>8.1f} {peak_whole:>8.1f} "
            f"{abs(norm - norm_whole) / norm_whole:>14.1e}",
            flush=True,
        )
    online()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]), sys.argv[3] == "1")
    else:
        main()
