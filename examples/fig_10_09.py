"""Figure 10.9: a fixed vector as context. What it tells need not be learned from the sequence: bits are saved.

Task: embedded Reber strings given their outer letter. Without it a string has 7 bits of entropy, with it exactly 6. The
context x enters at every step (R x), as the initial state h(0), or as both.
"""

import numpy as np
from common import Clock, options, train
from reber_strings import Strings

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.tasks import reber

HIDDEN = 32


def main() -> None:
    args, clock = options(__doc__), Clock()
    rng = np.random.default_rng(0)
    steps = 40 if args.quick else 6000 if args.long else 1200
    data, new = Strings(rng, 2000 if args.quick else 20_000), Strings(rng, 500 if args.quick else 5000)
    print("bits for each new string (entropy: 7 without the outer letter, 6 with it)   obeys the letter given")
    for name in (None, "input", "state", "both"):
        given = {} if name is None else {"context_size": 2, "context": name}
        model = nn.SequenceModel(7, HIDDEN, cell="lstm", length="end", rng=np.random.default_rng(1), **given)
        train(model.loss, model, data.batches(model, rng, 64, name is not None), steps, rate=0.01)
        wanted = rng.integers(0, 2, 1000)
        context = {} if name is None else {"context": wanted}
        drawn = model.sample(1000, rng=rng, max_length=200, cut=True, **context)
        obeys = np.mean([len(s) > 1 and reber.SYMBOLS[s[1]] == "TP"[w] for s, w in zip(drawn, wanted, strict=True)])
        title = {None: "no context", "input": "R x at each step", "state": "h(0)", "both": "both"}[name]
        print(f"  {title:<18} {new.bits(model, name is not None):6.3f} {obeys:70.1%}")
    with ts.Tape() as tape:
        small = nn.SequenceModel(7, HIDDEN, context_size=2, rng=np.random.default_rng(1))
        small.loss(reber.encode("BTXS")[:, None], np.array([[1.0, 0.0]], np.float32))
    viz.draw(tape, args.output / "fig_10_09.svg")
    print(f"{args.output / 'fig_10_09.svg'} ({clock})")


if __name__ == "__main__":
    main()
