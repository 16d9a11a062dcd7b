"""Chapter 10, continued: parity by the range of a gate, overwritten keys by the delta rule, a whole past in 32 numbers.

The cells that came after the chapter, each in primitive equations: diagonal gates, minGRU and minLSTM, the sLSTM, fast
weights, the LRU, HiPPO-LegS; and online gradients. `tinyseq results` runs the same at full length beside the papers.
"""

import numpy as np
from common import Clock, options

import tinyseq as ts
from tinyseq import nn, viz
from tinyseq.results.registry import EXPERIMENTS

CELLS = {
    "diagonal": lambda rng: nn.DiagonalCell(3, 4, rng=rng),
    "min_gru": lambda rng: nn.MinGRUCell(3, 4, rng=rng),
    "min_lstm": lambda rng: nn.MinLSTMCell(3, 4, rng=rng),
    "slstm": lambda rng: nn.SLSTMCell(3, 4, rng=rng),
    "fast_weights": lambda rng: nn.FastWeightsCell(3, 4, rng=rng),
    "lru": lambda rng: nn.LRUCell(3, 4, rng=rng),
}


def pictures(folder) -> None:
    """Each cell folded and unfolded over three steps."""
    for name, make in CELLS.items():
        cell = make(np.random.default_rng(0))
        with ts.Tape() as tape:
            ts.unfold(cell, ts.Chain(3), ts.tensor(np.zeros((3, 1, 3), np.float32), "x"), cell.initial_state(1))
        for view in ("folded", "unfolded"):
            path = folder / f"continued_{name}_{view}.svg"
            viz.draw(tape, path, view=view, detail="units")
            print(path)


def tell(what: str, name: str, told: tuple[str, ...], quick: bool, **sizes) -> None:
    """One seed of an experiment in a small form, and what its paper found."""
    experiment = EXPERIMENTS[name]
    found = experiment.short_form(**({} if quick else sizes))
    paper = next((figure.paper for figure in experiment.figures if figure.paper), "")
    print(f"  {what:<52} {', '.join(f'{found[key]:.3f}' for key in told):<14} {paper}")


def main() -> None:
    args, clock = options(__doc__), Clock()
    small = args.quick
    print("parity of all bits so far, share right at the last step, beyond the trained length:")
    for name in ("parity-gate-01", "parity-gate-11", "parity-tanh", "parity-slstm"):
        tell(EXPERIMENTS[name].title, name, ("last",), small, steps=20, tested=64, updates=600)
    print("which value came last with a key, share right:")
    for name in ("recall-delta", "recall-additive"):
        tell(EXPERIMENTS[name].title, name, ("right",), small, pairs=8, keys=4, updates=300)
    print("selective copying, tokens right:")
    for name in ("selective-minGRU-1", "selective-minGRU-2", "selective-minLSTM-2"):
        tell(EXPERIMENTS[name].title, name, ("right",), small, length=16, kept=3, updates=300)
    print("online gradients:")
    tell("UORO: distance from RTRL in standard errors; noise", "uoro", ("standard_errors", "noise"), small, draws=500)
    tell("of RTRL's gain: 6% of the paths; SnAp-1", "sparse-rtrl", ("recovered", "recovered_snap"), True)
    print("the past:")
    tell("LegS: error of the whole past; two scales of time", "legs", ("error", "apart"), small, lengths=(500, 2000))
    tell("a delay of 10, error: LRU; tanh", "lru-delay", ("LRU", "tanh"), small, delay=10, steps=40, updates=300)
    pictures(args.output)
    print(f"({clock})")


if __name__ == "__main__":
    main()
