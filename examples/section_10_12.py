"""Section 10.12: explicit memory (figure 10.18) copies sequences longer than any it was trained on; an LSTM does not.

python examples/section_10_12.py            # about a minute
"""

import time
from collections.abc import Iterator

import numpy as np
from common import options

import tinyseq as ts
from tinyseq.train import Adam, clip_global_norm

BITS, LONGEST, BATCH, HIDDEN = 4, 6, 16, 32


def copies(rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    """x: ``length`` random bit vectors, a mark, then silence; y: the same vectors, to be said in the silence."""
    y = rng.integers(0, 2, (length, BATCH, BITS)).astype(np.float32)
    x = np.zeros((2 * length + 1, BATCH, BITS + 1), np.float32)
    x[:length, :, :BITS], x[length, :, BITS] = y, 1
    return x, y


class Copier(ts.nn.Module):
    """A cell and an output o = c + V h for each bit."""

    def __init__(self, cell: ts.nn.Cell, rng: np.random.Generator) -> None:
        self.cell = cell
        self.V = ts.Parameter((rng.standard_normal((BITS, cell.output_size)) / 6).astype(np.float32), "V")
        self.c = ts.Parameter(np.zeros(BITS, np.float32), "c")

    def loss(self, x, y):
        """Mean cross-entropy of a bit in the silence, and the logits."""
        net = ts.unfold(self.cell, ts.Chain(len(x)), x, self.cell.initial_state(BATCH))
        h = net.outputs[len(x) - len(y) :]
        o = self.c + ts.linear(h.reshape(len(y) * BATCH, self.cell.output_size), self.V)
        return ts.mean(ts.bernoulli_cross_entropy(o, y.reshape(len(y) * BATCH, BITS))), o


def train(net: Copier, seconds: float, steps: int, rng: np.random.Generator) -> Iterator[str]:
    """Adam on random lengths up to LONGEST, for some seconds or steps."""
    compiled, optimiser, losses = ts.compile(net.loss), Adam(net.parameters(), 0.005), []
    for length in range(1, LONGEST + 1):
        compiled.backward(*copies(rng, length))  # recorded and planned, once for each length
    start = time.perf_counter()
    for step in range(1, steps + 1):
        loss, _ = compiled.backward(*copies(rng, int(rng.integers(1, LONGEST + 1))))
        clip_global_norm(net.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss))
        if step % max(steps // 8, 1) == 0 or time.perf_counter() - start > seconds:
            seconds_gone = time.perf_counter() - start
            yield f"  step {step}: {np.mean(losses[-100:]) / np.log(2):.4f} bits a bit, {seconds_gone:.0f} s"
        if time.perf_counter() - start > seconds:
            return


def errors(net: Copier, length: int, rng: np.random.Generator) -> float:
    """Share of bits copied wrongly."""
    if isinstance(net.cell, ts.nn.MemoryCell):
        net.cell.slots = length + 2
    x, y = copies(rng, length)
    with ts.Tape():
        o = net.loss(ts.tensor(x), ts.tensor(y))[1].value
    return float(((o > 0) != (y.reshape(o.shape) > 0.5)).mean())


def picture(lengths: list[int], table: dict[str, list[float]]) -> str:
    """Share of wrong bits against length, as SVG."""
    w, h, left, top = 520, 260, 60, 30
    x = [left + w * (n - lengths[0]) / (lengths[-1] - lengths[0]) for n in lengths]
    edge = left + w * (LONGEST - lengths[0]) / (lengths[-1] - lengths[0])
    parts = [f'<rect x="{left}" y="{top}" width="{edge - left:.1f}" height="{h}" fill="#eef3f8"/>',
             f'<text x="{edge + 4:.1f}" y="{top + 14}">trained up to {LONGEST}</text>']  # fmt: skip
    for share in (0, 0.25, 0.5):
        y = top + h * (1 - share / 0.6)
        parts.append(f'<path d="M{left} {y:.1f}H{left + w}" stroke="#ccc"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{100 * share:.0f}%</text>')
    for n, at in zip(lengths, x, strict=True):
        parts.append(f'<text x="{at:.1f}" y="{top + h + 18}" text-anchor="middle">{n}</text>')
    for (name, shares), colour in zip(table.items(), ("#1f6fb2", "#c0392b"), strict=True):
        points = [(a, top + h * (1 - s / 0.6)) for a, s in zip(x, shares, strict=True)]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        a, b = points[-1]
        parts.append(f'<text x="{a + 8:.1f}" y="{b + 4:.1f}" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{left}" y="18">wrong bits against the length of the copied sequence (chance 50%)</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w + 160} {h + 60}" width="{w + 160}" '
        f'height="{h + 60}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def main() -> None:
    """Train both, test beyond the training length, draw."""
    chosen = options(__doc__)
    rng = np.random.default_rng(0)
    width = 8
    task = ts.nn.LSTMCell(BITS + 1 + width, HIDDEN, rng=rng)
    cells = {
        "memory": ts.nn.MemoryCell(task, LONGEST + 2, width, rng=rng),
        "LSTM": ts.nn.LSTMCell(BITS + 1, 2 * HIDDEN, rng=rng),
    }
    seconds, steps = (3.0, 20) if chosen.quick else ((400.0, 20000) if chosen.long else (25.0, 6000))
    print(
        f"To show: trained to copy 1 to {LONGEST} vectors of {BITS} bits, a net with memory cells copies longer ones."
    )
    lengths, table = [1, 2, 4, 6, 8, 10, 12, 16, 20], {}
    for name, cell in cells.items():
        net = Copier(cell, rng)
        print(f"{name}, {sum(p.value.size for p in net.parameters()):,} weights")
        for line in train(net, seconds, steps, rng):
            print(line, flush=True)
        table[name] = [errors(net, n, rng) for n in lengths]
    print(f"{'wrong bits at length':<22}" + "".join(f"{n:>8}" for n in lengths))
    for name, shares in table.items():
        print(f"{name:<22}" + "".join(f"{100 * s:>7.1f}%" for s in shares))
    target = chosen.output / "section_10_12.svg"
    target.write_text(picture(lengths, table), encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
