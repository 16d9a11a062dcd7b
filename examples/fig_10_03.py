"""Figure 10.3: hidden-to-hidden recurrence carries what was read; the net remembers a bit for as long as it must.

Task: y(t) = x(t − d) for fair, independent bits. Whoever cannot remember stays at ln 2 = 0.693 nats a step.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks.bits import delayed_bits

T, B, HIDDEN = 20, 32, 24


def error_rate(net: nn.RNN, delay: int) -> float:
    """Share of wrong bits of 500 new sequences, after the first ``delay`` steps."""
    x, y = delayed_bits(np.random.default_rng(1), T, 500, delay)
    with ts.Tape():
        o = net.unfold(x).outputs.value
    return float((o.argmax(-1) != y)[delay:].mean())


def main() -> None:
    args, clock = options(__doc__), Clock()
    delays = (1, 2, 4) if not args.long else (1, 2, 4, 6)
    print("the vanilla RNN of 10.8-10.11 on bits delayed by d steps")
    for delay in delays:
        rng = np.random.default_rng(0)
        net = nn.RNN(2, HIDDEN, 2, rng=rng)
        batches = iter(lambda rng=rng, delay=delay: delayed_bits(rng, T, B, delay), None)
        steps = 60 if args.quick else 3000 if args.long else 1500
        loss = train(lambda x, y, net=net: net.loss(x, y) / T, net, batches, steps, rate=0.01)
        wrong = error_rate(net, delay)
        print(
            f"  d = {delay}: {loss:.4f} nats a step (ln 2 = 0.6931 without memory), {1 - wrong:.2%} of the bits right"
        )
    viz.draw(net, args.output / "fig_10_03.svg")
    viz.draw(net, args.output / "fig_10_03_folded.svg", view="folded")
    print(f"{args.output / 'fig_10_03.svg'}, {args.output / 'fig_10_03_folded.svg'} ({clock})")


if __name__ == "__main__":
    main()
