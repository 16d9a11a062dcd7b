"""Figure 10.4: recurrence from the output only. It learns what its outputs show, and is blind to all else.

Under teacher forcing h(t) sees x(t) and y(t−1), nothing more. Parity, y(t) = y(t−1) ⊕ x(t), is in these; a bit read one
step ago, y(t) = x(t−1), is not: the loss stays at ln 2, however long the net is trained, where figure 10.3 reaches 0.
"""

import numpy as np
from common import Clock, options, train

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.diagnose.path_length import path_length
from tinyseq.tasks.bits import delayed_bits, parity

T, B, HIDDEN = 20, 32, 24


def main() -> None:
    args, clock = options(__doc__), Clock()
    steps = 60 if args.quick else 1500
    print("nats a step (ln 2 = 0.6931 is guessing)      10.4 (output to hidden)   10.3 (hidden to hidden)")
    for name, task in (("bits delayed by one, y(t) = x(t−1)", delayed_bits), ("parity, y(t) = y(t−1) ⊕ x(t)", parity)):
        losses = []
        for make in (nn.OutputRecurrence, nn.RNN):
            rng = np.random.default_rng(0)
            net = make(2, HIDDEN, 2, rng=rng)
            batches = iter(lambda rng=rng, task=task: task(rng, T, B), None)
            losses.append(train(lambda x, y, net=net: net.loss(x, y) / T, net, batches, steps))
        print(f"  {name:<38}  {losses[0]:14.4f} {losses[1]:25.4f}")
    net = nn.OutputRecurrence(2, HIDDEN, 2, rng=np.random.default_rng(0))
    with ts.Tape() as tape:
        net.outputs(np.zeros((4, 1, 2), np.float32))
        h = [ts.Tensor.at(tape, node.index) for node in tape.nodes() if node.name == "h"]
        print(f"units on the way h(t−1) → o(t−1) → h(t), free running: {path_length(h[0], h[1])}")
    with ts.Tape() as forced:
        net.loss(np.zeros((4, 1, 2), np.float32), np.zeros((4, 1), int))
        h = [ts.Tensor.at(forced, node.index) for node in forced.nodes() if node.name == "h"]
        print(f"under teacher forcing there is no way from h(t−1) to h(t): {path_length(h[0], h[1])}")
    viz.draw(tape, args.output / "fig_10_04.svg")
    viz.draw(net, args.output / "fig_10_04_folded.svg", view="folded")
    print(f"{args.output / 'fig_10_04.svg'}, {args.output / 'fig_10_04_folded.svg'} ({clock})")


if __name__ == "__main__":
    main()
