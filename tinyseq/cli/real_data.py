"""The data that wheels carry: their usual splits, what knows nothing, what was published."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import data
from tinyseq.data.metrics import majority

PUBLISHED = {
    "vowels": "94.1% (Kudo, Toyama and Shimbo 1999, who collected them), 96.2% for their 5-state HMM",
    "sunspots": "relative variance 0.086 for 1921–1955 (Weigend, Huberman and Rumelhart 1990), 0.097 (Tong and Lim "
    "1980)",
}
VARIANCE = 1535.0  # of the yearly sunspots 1700–1979, by which these papers divide
FIRST, LAST = 1921, 1955  # the years that they predict
MONTHS = 120  # the last ten years of CO₂ are held out


def real_parts(task: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """(what is trained on, what is held out)."""
    if task == "vowels":
        return data.vowels()
    series = data.sunspots() if task == "sunspots" else data.co2()
    length = options.get("window") or 18
    if task == "sunspots":
        made = series.windows(length, horizon=1)
        years = series.about["first"] + made.times
        return made[years < FIRST], made[(years >= FIRST) & (years <= LAST)]
    steps = np.diff(series.x[0], axis=0)
    changes = data.Sequences.of([steps], [steps], "co2", features=("change of CO₂ in ppm",), about=series.about)
    made = changes.windows(length, horizon=1)
    return made[: len(made) - MONTHS], made[len(made) - MONTHS :]


def baseline(task: str, model: Any, trained: Any, held: Any, options: dict[str, Any]) -> list[str]:
    """What predictions that know nothing reach on the same part."""
    if task == "vowels":
        return [f"always the most frequent speaker: accuracy {majority(held.y, trained.y):.1%}"]
    y, last = held.y, np.stack([a[-1] for a in held.x])

    def rmse(guess: np.ndarray) -> float:
        return float(np.sqrt(np.mean((y - guess) ** 2)))

    if task == "sunspots":
        cycle = np.stack([a[-11] for a in held.x])
        mine = float(np.mean((model.predict(held) - y) ** 2)) / VARIANCE
        return [
            f"relative variance {mine:.3f}, the mean square by {VARIANCE:g}, one year ahead",
            f"the last value: rmse {rmse(last):.4g}, relative variance {rmse(last) ** 2 / VARIANCE:.3f}",
            f"the value eleven years before: rmse {rmse(cycle):.4g}, {rmse(cycle) ** 2 / VARIANCE:.3f}",
        ]
    season = np.stack([a[-12] for a in held.x])
    return [
        f"the last value: rmse {rmse(np.zeros_like(y)):.4g} ppm",
        f"the change of the year before, the seasonal guess: rmse {rmse(season):.4g} ppm",
    ]
