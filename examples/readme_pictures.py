"""The pictures at the head of the README: a recurrent net folded, and unfolded with the colours of its gradients.

python examples/readme_pictures.py -o examples/pictures
"""

import numpy as np
from common import options

from tinyseq import Tape, nn, viz


def main() -> None:
    args = options(__doc__)
    rng = np.random.default_rng(0)
    net = nn.RNN(8, 16, 8, rng=rng, dtype=np.float64)
    tokens = rng.integers(0, 8, (6, 4))
    with Tape() as tape:
        loss = net.loss(tokens[:-1], tokens[1:])
    loss.backward()
    viz.draw(tape, args.output / "rnn_unfolded.svg")
    viz.draw(net, args.output / "rnn_folded.svg", view="folded")
    print(f"{args.output / 'rnn_folded.svg'}, {args.output / 'rnn_unfolded.svg'}")


if __name__ == "__main__":
    main()
