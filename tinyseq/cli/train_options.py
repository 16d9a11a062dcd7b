"""The options of ``tinyseq train``, by what they say: the data, the net, the training."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tinyseq.cli.reading import TASKS
from tinyseq.cli.training import STEPS, Run
from tinyseq.train.schedules import NAMES

DATA, NET, RULE = "Data", "Net", "Training"


class ModelName(StrEnum):
    """The cells that ``train`` can build."""

    rnn = "rnn"
    lstm = "lstm"
    gru = "gru"
    leaky = "leaky"
    deep = "deep"


class OptimiserName(StrEnum):
    """The optimisers, as in ``tinyseq.train.OPTIMISERS``."""

    sgd = "sgd"
    rmsprop = "rmsprop"
    adam = "adam"
    adamw = "adamw"


DataFile = Annotated[
    Path | None,
    typer.Argument(
        help="A text, a CSV or JSON-lines file, trees in brackets, CoNLL-U, a folder of texts by class; or vowels, "
        "sunspots, co2. Without one Python's own language reference, or the data of --resume."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder for the run (default: tinyseq-model, or that of --resume)."),
]
Resume = Annotated[
    Path | None,
    typer.Option(help="Go on with the training in this folder, where it stopped, with its data and options."),
]
Config = Annotated[Path | None, typer.Option(help="A TOML file of options; those given here go before it.")]
SaveOptions = Annotated[Path | None, typer.Option("--save-config", help="Write the options that hold as TOML.")]
Task = Annotated[
    str | None,
    typer.Option(help=f"What the data are, where the guess is wrong: {', '.join(TASKS)}.", rich_help_panel=DATA),
]
Target = Annotated[
    str | None, typer.Option(help="Column or key to predict (default: the last column; y).", rich_help_panel=DATA)
]
Features = Annotated[
    list[str] | None,
    typer.Option(help="A column to read; give it once for each (default: all of numbers).", rich_help_panel=DATA),
]
Group = Annotated[str | None, typer.Option(help="Column whose equal cells make a sequence.", rich_help_panel=DATA)]
Time = Annotated[str | None, typer.Option(help="Column of times, which rise in a sequence.", rich_help_panel=DATA)]
Sort = Annotated[bool | None, typer.Option("--sort/--no-sort", help="Sort rows by --time.", rich_help_panel=DATA)]
Missing = Annotated[
    str | None,
    typer.Option(
        help="Empty cells: error, hold (the state), mask (0 and a feature that says so).", rich_help_panel=DATA
    ),
]
Horizon = Annotated[
    int | None, typer.Option(help="Steps ahead that a series is predicted (default: 1).", min=0, rich_help_panel=DATA)
]
Labels = Annotated[
    str | None, typer.Option(help="Trees: learn every node's label, or the root's.", rich_help_panel=DATA)
]
Binary = Annotated[
    str | None, typer.Option(help="Trees: make wide nodes binary to the right or left.", rich_help_panel=DATA)
]
Least = Annotated[int | None, typer.Option(help="Words seen less often are unknown.", min=1, rich_help_panel=DATA)]
HeldOut = Annotated[
    float | None,
    typer.Option(help=f"Part to measure on (default: {Run.held_out} of a text, its end; 0.2).", rich_help_panel=DATA),
]
Model = Annotated[
    ModelName | None, typer.Option(help=f"The cell (default: {Run.model} for texts, gru).", rich_help_panel=NET)
]
Hidden = Annotated[
    int | None, typer.Option(help=f"Hidden units (default: {Run.hidden} for texts, 32).", min=1, rich_help_panel=NET)
]
Layers = Annotated[int | None, typer.Option(help="Layers (default: 1).", min=1, rich_help_panel=NET)]
Bidirectional = Annotated[
    bool | None,
    typer.Option("--bidirectional/--no-bidirectional", help="Read sequences both ways.", rich_help_panel=NET),
]
Dropout = Annotated[
    float | None, typer.Option(help="Rate of units dropped, the same at every step.", rich_help_panel=NET)
]
LayerNorm = Annotated[
    bool | None, typer.Option("--layer-norm/--no-layer-norm", help="Normalise what a layer gives.", rich_help_panel=NET)
]
Embedding = Annotated[int | None, typer.Option(help="Features of a word.", min=1, rich_help_panel=NET)]
Window = Annotated[
    int | None,
    typer.Option(
        help=f"Steps the gradient runs back in a text (default: {Run.window}); steps of a series that are read.",
        min=1,
        rich_help_panel=RULE,
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(help=f"Sequences side by side (default: {Run.batch} of a text, 16).", min=1, rich_help_panel=RULE),
]
Steps = Annotated[
    int | None,
    typer.Option(
        help=f"Training steps (default: {STEPS} for texts); with --resume so many more, "
        "without it as many as were planned.",
        min=1,
        rich_help_panel=RULE,
    ),
]
Epochs = Annotated[
    float | None, typer.Option(help="Readings of the data (default: 30, of few more).", rich_help_panel=RULE)
]
Optimiser = Annotated[
    OptimiserName | None,
    typer.Option(help=f"The rule (default: {Run.optimiser} for texts, adamw).", rich_help_panel=RULE),
]
Rate = Annotated[
    float | None,
    typer.Option(help="Learning rate (default: 0.5 for sgd, 0.002 for rmsprop, 0.003 for adam).", rich_help_panel=RULE),
]
Schedule = Annotated[str | None, typer.Option(help=f"Of the rate: {', '.join(NAMES)}.", rich_help_panel=RULE)]
Clip = Annotated[
    float | None, typer.Option(help=f"Largest norm of the gradient (default: {Run.clip:g}).", rich_help_panel=RULE)
]
WeightDecay = Annotated[float | None, typer.Option(help="λ of w ← (1 − ελ) w.", rich_help_panel=RULE)]
Accumulate = Annotated[int | None, typer.Option(help="Batches that make a step.", min=1, rich_help_panel=RULE)]
LabelSmoothing = Annotated[float | None, typer.Option(help="Smooth the classes.", rich_help_panel=RULE)]
Patience = Annotated[
    int | None, typer.Option(help="Stop after so many validations without a better one.", min=1, rich_help_panel=RULE)
]
Seed = Annotated[
    int | None,
    typer.Option(help=f"Seed of weights, order, dropout (default: {Run.seed}).", min=0, rich_help_panel=RULE),
]
Mpi = Annotated[
    bool | None,
    typer.Option("--mpi/--no-mpi", help="Under mpiexec -n N: N processes share every batch.", rich_help_panel=RULE),
]
