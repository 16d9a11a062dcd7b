"""How training reports itself: a bar on a terminal, a few plain lines where the output is piped."""

from __future__ import annotations

import os
import sys
from threading import Timer
from time import perf_counter
from typing import Any


def bits_text(bits: float) -> str:
    """Bits per character as they are shown; a training that runs away has more digits than anyone reads."""
    return f"{bits:.3f}" if bits < 1000 else f"{bits:.3g}"


class Progress:
    """Loss (smoothed), tokens or sequences per second, time left, the last validation; to stderr."""

    smoothing = 0.95
    lines_when_piped = 10
    patience = 4.0  # seconds without a first step before it says why

    def __init__(self, steps: int, shown: bool = True, unit: str = "bits/char", counted: str = "tokens") -> None:
        self.steps, self.shown, self.unit, self.counted = steps, shown, unit, counted
        self.done, self.tokens, self.bits, self.note = 0, 0, 0.0, ""
        self.started = perf_counter()
        self.bar: Any = None
        self.waiting: Timer | None = None

    def __enter__(self) -> Progress:
        if self.shown and self.steps:
            self.waiting = Timer(self.patience, _first_step, (sys.stderr,))
            self.waiting.daemon = True
            self.waiting.start()
        if self.shown and sys.stderr.isatty():
            from tqdm import tqdm

            width = _width()
            self.bar = tqdm(
                total=self.steps,
                desc="training",
                file=sys.stderr,
                dynamic_ncols=bool(width),
                ncols=None if width else 80,
                nrows=None if width else 24,
                bar_format="{desc} {percentage:3.0f}% {bar} {n_fmt}/{total_fmt} steps, {remaining} left{postfix}",
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self._begun()
        if self.bar is not None:
            self.bar.close()

    def _begun(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None

    def advance(self, bits: float, tokens: int) -> None:
        """One step is done: its loss and its tokens."""
        self._begun()
        weight = 1.0 if not self.done else 1 - self.smoothing
        self.bits += weight * (bits - self.bits)
        self.done += 1
        self.tokens += tokens
        if self.bar is not None:
            self.bar.set_postfix_str(self.summary(), refresh=False)
            self.bar.update()
        elif self.shown and self.done * self.lines_when_piped // self.steps > (
            (self.done - 1) * self.lines_when_piped // self.steps
        ):
            left = (perf_counter() - self.started) * (self.steps - self.done) / self.done
            print(
                f"training {self.done}/{self.steps} steps, {left:.0f} s left, {self.summary()}",
                file=sys.stderr,
                flush=True,
            )

    def validated(self, row: dict[str, Any], monitor: str) -> None:
        """A validation is made."""
        self.note = f", validation {monitor} {row[monitor]:.4g}"

    def summary(self) -> str:
        """Loss and speed in words."""
        speed = self.tokens / max(perf_counter() - self.started, 1e-9)
        loss = f"{bits_text(self.bits)} {self.unit}" if self.unit != "loss" else f"loss {self.bits:.4g}"
        return f"{loss}, {speed:,.0f} {self.counted}/s{self.note}"


def _first_step(err: Any) -> None:
    print("the first step compiles kernels for this machine: once, they are kept", file=err, flush=True)


def _width() -> int:
    """Columns of the terminal behind stderr; 0 where it does not know its size."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 0
