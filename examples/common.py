"""What all example scripts share: their options, the training loop, the folder for pictures."""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq.train import Adam, clip_global_norm


def options(doc: str | None) -> argparse.Namespace:
    """--quick a few seconds, to see that all runs; --long a longer run where there is one; -o where pictures go.

    Prints the first line of the script's docstring: what it shows.
    """
    shown = (doc or "").splitlines()[0]
    parser = argparse.ArgumentParser(description=shown)
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--quick", "--short", action="store_true", help="a short form that shows only that everything runs"
    )
    length.add_argument("--long", action="store_true", help="the full figure, where that takes more than a minute")
    parser.add_argument("-o", "--output", type=Path, default=Path("figures"), help="folder for the pictures")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    print(shown)
    return chosen


def train(
    loss: Callable[..., Any],
    module: ts.nn.Module,
    batches: Iterator[tuple],
    steps: int,
    rate: float = 0.01,
    clip: float = 1.0,
    watch: Callable[[int], bool] | None = None,
) -> float:
    """Adam with a rate that falls to nothing along a cosine; returns the mean loss of the last tenth of the steps.

    ``watch(step)`` is asked every 50 steps and may stop the training by returning True.
    """
    compiled, parameters = ts.compile(loss), module.parameters()
    optimiser = Adam(parameters, rate)
    losses = []
    for step in range(1, steps + 1):
        optimiser.rate = rate * max(0.5 * (1 + np.cos(np.pi * step / steps)), 0.01)
        losses.append(float(compiled.backward(*next(batches))))
        clip_global_norm(parameters, clip)
        optimiser.step()
        if watch and step % 50 == 0 and watch(step):
            break
    return float(np.mean(losses[-max(len(losses) // 10, 1) :]))


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self.start:.0f} s"
