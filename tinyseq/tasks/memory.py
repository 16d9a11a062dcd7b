"""Tasks that ask for something read long ago: latching, temporal order, copy memory, time-warped input.

Each takes a generator and gives x (T, B, …) and y; what a net without memory reaches is known exactly.
"""

from __future__ import annotations

import numpy as np

from tinyseq.checks import generator, positive
from tinyseq.errors import DataError

ORDER_SYMBOLS = "ABcdef"  # of temporal_order: A and B count, the others distract
ORDER_SYMBOLS_1997 = "EBXYabcd"  # E begins, B ends, X and Y count
COPY_SYMBOLS, COPY_LENGTH = 8, 10


def latching(
    rng: np.random.Generator, steps: int, batch: int, noise: float = 0.2, lead: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Which of two signs came first: x (T, B, 1), y (B) of 0 and 1; a guess costs ln 2.

    x is +1 (y = 1) or −1 (y = 0) for the ``lead`` first steps and N(0, noise²) afterwards: latching one bit amid noise,
    after Bengio, Frasconi and Simard 1993 (who make the values of the first steps free parameters).
    """
    positive(steps=steps, batch=batch, lead=lead)
    if lead > steps:
        raise DataError(f"the sign is shown for lead = {lead} of {steps} steps; lead is at most steps")
    if not 0 <= noise < float("inf"):
        raise DataError(f"noise is a standard deviation from 0, got {noise!r}")
    y = generator(rng).integers(0, 2, batch)
    x = noise * rng.standard_normal((steps, batch))
    x[:lead] = 2 * y - 1
    return x[..., None].astype(np.float32), y


def temporal_order(rng: np.random.Generator, steps: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of A and B came, twice, in which order (Pascanu, Mikolov and Bengio 2013): x (T, B) tokens, y (B).

    Tokens number ``ORDER_SYMBOLS``. One A or B lies at a uniform place in [0.1 T, 0.2 T), one in [0.5 T, 0.6 T), all
    else is uniform among c, d, e, f. y is 2·(first is B) + (second is B): AA, AB, BA, BB. A guess costs ln 4; a net
    that remembers the second alone, ln 2.
    """
    positive(steps=steps, batch=batch)
    if steps < 10:
        raise DataError(f"the places of A and B are tenths of the sequence: at least 10 steps, got {steps}")
    x = generator(rng).integers(2, 6, (steps, batch))
    kinds, columns = rng.integers(0, 2, (2, batch)), np.arange(batch)
    for kind, (low, high) in zip(kinds, ((1, 2), (5, 6)), strict=True):
        x[rng.integers(_up(low * steps), _up(high * steps), batch), columns] = kind
    return x, 2 * kinds[0] + kinds[1]


def _up(tenths: int) -> int:
    return -(-tenths // 10)


def temporal_order_1997(rng: np.random.Generator, batch: int, symbols: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Temporal order as Hochreiter and Schmidhuber 1997 pose it, experiment 6a (two ``symbols``) or 6b (three).

    x (T, B) of numbers of ``ORDER_SYMBOLS_1997``: E, then letters a–d with an X or Y at the times t, then B. T is
    uniform in 100 … 110, here one for the batch. Times, counted from 0, of 6a: 10–20 and 50–60, of 6b: 10–20, 33–43
    and 66–76. y (B) is the class, the X (0) and Y (1) read as a binary number: 4 classes or 8.
    """
    positive(batch=batch)
    if symbols not in (2, 3):
        raise DataError(f"experiment 6a has symbols=2, 6b has symbols=3; got {symbols!r}")
    steps = int(generator(rng).integers(100, 111))
    x = rng.integers(4, 8, (steps, batch))
    x[0], x[-1] = 0, 1
    y = np.zeros(batch, np.int64)
    for low in (10, 50) if symbols == 2 else (10, 33, 66):
        kind = rng.integers(0, 2, batch)
        x[rng.integers(low, low + 11, batch), np.arange(batch)] = 2 + kind
        y = 2 * y + kind
    return x, y


def copy_memory(
    rng: np.random.Generator, delay: int, batch: int, length: int = COPY_LENGTH, symbols: int = COPY_SYMBOLS
) -> tuple[np.ndarray, np.ndarray]:
    """Ten symbols to be written down after a delay (Hochreiter and Schmidhuber 1997; Arjovsky, Shah and Bengio 2016).

    x (T + 20, B): ``length`` symbols from 0 … symbols − 1, T − 1 blanks, one signal to begin, ``length`` blanks; T is
    ``delay``. y of the same shape: blanks, and the symbols again in the last ``length`` steps. The blank is the number
    ``symbols``, the signal symbols + 1, so that tokens are below symbols + 2.
    """
    positive(delay=delay, batch=batch, length=length, symbols=symbols)
    kept = generator(rng).integers(0, symbols, (length, batch))
    x = np.full((delay + 2 * length, batch), symbols)
    y = x.copy()
    x[:length], y[-length:] = kept, kept
    x[length + delay - 1] = symbols + 1
    return x, y


def copy_memory_baseline(delay: int, length: int = COPY_LENGTH, symbols: int = COPY_SYMBOLS) -> float:
    """Nats a step of a net without memory, 10 ln 8/(T + 20): it knows when a symbol is due, not which."""
    return length * float(np.log(symbols)) / (delay + 2 * length)


def warped(
    rng: np.random.Generator,
    steps: int,
    batch: int,
    warp: int,
    *,
    varying: bool = False,
    padded: bool = False,
    symbols: int = 10,
) -> tuple[np.ndarray, np.ndarray]:
    """The symbol before the present one, in time that is warped (after Tallec and Ollivier 2018): x, y (T, B).

    A sequence of uniform symbols, each held for ``warp`` steps, or with ``varying`` for 1 … warp steps, uniform; y is
    the symbol that was held before (for the first one 0). With ``padded`` a symbol is shown once, and then the number
    ``symbols`` until the next. Time is warped uniformly, so leaky units of the right α see the same task whatever the
    warp; under varying warps only gates do. Without memory ln(symbols) a step from the second symbol on.
    """
    positive(steps=steps, batch=batch, warp=warp, symbols=symbols)
    s = generator(rng).integers(0, symbols, (steps + 1, batch))
    s[0] = 0
    held = rng.integers(1, warp + 1, (steps, batch)) if varying else np.full((steps, batch), warp)
    starts = np.cumsum(held, axis=0) - held
    begins = np.zeros((steps, batch), np.int64)
    inside = starts < steps
    begins[starts[inside], np.broadcast_to(np.arange(batch), (steps, batch))[inside]] = 1
    now = np.cumsum(begins, axis=0)
    x, y = np.take_along_axis(s, now, 0), np.take_along_axis(s, now - 1, 0)
    return np.where(begins == 1, x, symbols) if padded else x, y
