"""What happened in a training: losses, norms and rates of its steps, validations, as arrays, JSON lines and a plot."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq import display
from tinyseq.errors import DataError
from tinyseq.strict_json import dumps, number
from tinyseq.train.checkpoints import write_safely


class Numbers(array):
    """Floats in eight bytes each, equal to a list of the same."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (list, array)) and list(self) == list(other)


def _numbers() -> Any:
    return Numbers("d")


@dataclass
class History:
    """One number for each step in ``losses`` (in nats for each character, step or sequence, before the step), ``bits``
    (the same in bits), ``norms`` of the gradient and ``rates``; ``validation`` has a dict for each, with its step.

    best         the best validation so far, by what is monitored; None before the first
    tokens       characters, sequences or trees read
    interrupted  whether Ctrl-C ended it
    stopped      why it ended before its last step: "", "interrupted", "patience", "callback"
    per_epoch    steps of an epoch, 0 where there are none
    model, optimiser   those trained, for callbacks
    """

    losses: Any = field(default_factory=_numbers)
    bits: Any = field(default_factory=_numbers)
    norms: Any = field(default_factory=_numbers)
    rates: Any = field(default_factory=_numbers)
    validation: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    tokens: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    stopped: str = ""
    per_epoch: int = 0
    first: int = 0
    model: Any = field(default=None, repr=False)
    optimiser: Any = field(default=None, repr=False)

    @property
    def step(self) -> int:
        """Steps done, those before this call of ``fit`` too."""
        return self.first + len(self.losses)

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return self.step / self.per_epoch if self.per_epoch else 0.0

    def add(self, loss: float, norm: float, rate: float) -> None:
        """A step is done."""
        self.losses.append(loss)
        self.bits.append(loss / log(2))
        self.norms.append(norm)
        self.rates.append(rate)

    def arrays(self) -> dict[str, np.ndarray]:
        """step, loss, norm and rate of each step; validation_step and validation_… of each validation."""
        found = {"step": self.first + 1 + np.arange(len(self.losses))}
        found |= {
            name: np.array(column) for name, column in zip(("loss", "norm", "rate"), self._columns(), strict=True)
        }
        for key in dict.fromkeys(key for row in self.validation for key in row):
            found[f"validation_{key}"] = np.array([row.get(key, np.nan) for row in self.validation])
        return found

    def _columns(self) -> tuple[Any, Any, Any]:
        return self.losses, self.norms, self.rates

    def lines(self, start: int = 0) -> Iterator[str]:
        """JSON lines of the steps after ``start``, with validations where they were made; NaN is null."""
        validated = {row["step"]: row for row in self.validation}
        for i in range(max(start - self.first, 0), len(self.losses)):
            step = self.first + 1 + i
            row: dict[str, Any] = {"step": step, "loss": self.losses[i], "norm": self.norms[i], "rate": self.rates[i]}
            if step in validated:
                row["validation"] = {key: value for key, value in validated[step].items() if key != "step"}
            yield dumps(row) + "\n"

    def read(self, rows: Any) -> None:
        """Take steps from parsed JSON lines."""
        for row in rows:
            self.add(*(number(row[name]) for name in ("loss", "norm", "rate")))
            if "validation" in row:
                measured = {key: number(value) for key, value in row["validation"].items()}
                self.validation.append({"step": row["step"], **measured})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write JSON lines, one for each step."""
        return write_safely(Path(path), "".join(self.lines()).encode())

    def plot(self, path: str | os.PathLike[str], title: str = "") -> Path:
        """Losses, validations and rates over the steps as a picture: .svg, .png or .pdf."""
        if not len(self.losses):
            raise DataError("there is nothing to plot: no step is done")
        return display.plot("training_plots.training_curves", self.arrays(), path, title=title)
