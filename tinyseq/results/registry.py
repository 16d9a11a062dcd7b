"""All experiments by name, in the order of the table."""

from __future__ import annotations

from tinyseq.results.experiment import Experiment
from tinyseq.results.experiments import (
    attending,
    bptt,
    clipping,
    count,
    density,
    echo,
    gates_continued,
    linear_and_online,
    lstm_1997,
    others,
    reber_1997,
    scales,
    trees,
)

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for module in (
        *(bptt, echo, lstm_1997, clipping, density, reber_1997, trees),
        *(others, attending, count, scales, gates_continued, linear_and_online),
    )
    for experiment in module.EXPERIMENTS
}
