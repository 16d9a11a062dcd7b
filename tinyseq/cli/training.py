"""What ``tinyseq train`` trains: begun anew or resumed, with the options that hold, and saved on the way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.errors import FileError, TinyseqError
from tinyseq.nn.initialisation import token_columns
from tinyseq.nn.kinds import make_cell
from tinyseq.tasks import EMBEDDED, Corpus, Windows, embedded_text, read_text
from tinyseq.train import OPTIMISERS, Checkpoint, Optimiser
from tinyseq.train.asked import RATES
from tinyseq.train.checkpoints import checkpoint_file
from tinyseq.train.optimisers import number_from_0, positive_number
from tinyseq.train.run_folder import reopened

MODELS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU, "leaky": None, "deep": None}
SECONDS, PARTS = 10.0, 10  # a training is saved so often by the clock, and so often by its steps
STEPS = 2000
OF_THE_MODEL = ("model", "hidden", "layers", "dropout", "optimiser", "seed", "schedule", "weight_decay", "accumulate")
OF_THE_READING = ("window", "batch", "held_out")
KEPT = ("model", "hidden", "layers", "dropout", "window", "batch", "rate", "clip", "schedule", "weight_decay",
        "accumulate")  # fmt: skip


@dataclass
class Run:
    """A training: the options in force, and what they make. The values here are the defaults of the options."""

    corpus: Corpus
    path: str
    digest: str
    net: Any
    rule: Optimiser
    windows: Windows
    model: str = "rnn"
    hidden: int = 128
    window: int = 25
    batch: int = 32
    optimiser: str = "adam"
    rate: float = 0.0
    clip: float = 1.0
    held_out: float = 0.1
    seed: int = 0
    layers: int = 1
    dropout: float = 0.0
    schedule: str = "constant"
    weight_decay: float = 0.0
    accumulate: int = 1
    planned: int = STEPS
    before: int = 0
    note: str = ""
    source: Path | None = None
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Steps done, those before a resumption too."""
        return self.before + self.rule.steps

    def info(self, **more: Any) -> dict[str, Any]:
        """What is saved beside the model, so that it can be resumed."""
        options = {name: getattr(self, name) for name in KEPT}
        return {
            "text": self.corpus.name,
            "path": self.path,
            "digest": self.digest,
            "seed": self.seed,
            "steps": self.done,
            "optimiser": str(self.optimiser),
            "options": {**options, "held_out": self.held_out},
            **more,
        }


def begun(text: Path | None, given: dict[str, Any]) -> Run:
    """A new training of a text, or of the embedded one, with the options given and defaults for the others."""
    options = {name: value for name, value in given.items() if value is not None}
    content, corpus_name, path = _content(text)
    corpus = Corpus.of(content, corpus_name, options.get("held_out", Run.held_out))
    V, hidden = len(corpus.vocabulary), options.get("hidden", Run.hidden)
    rng = np.random.default_rng(options.get("seed", Run.seed))
    net = _net(options, V, hidden, rng)
    return _run(corpus, path, text_digest(content), net, options)


def _net(options: dict[str, Any], V: int, hidden: int, rng: np.random.Generator) -> Any:
    """One of the nets of the chapter, or cells in layers, with dropout between them."""
    kind, layers, dropout = options.get("model", Run.model), options.get("layers", 1), options.get("dropout", 0.0)
    if layers == 1 and not dropout and MODELS[kind] is not None:
        return token_columns(MODELS[kind](V, hidden, V, rng=rng), rng=rng)
    cells = [make_cell(kind, hidden if k else V, hidden, rng=rng) for k in range(layers)]
    if cells:
        token_columns(cells[0], rng=rng)
    return nn.CellNet(cells[0] if layers == 1 else nn.StackedCells(cells), V, rng=rng, dropout=dropout)


def resumed(folder: Path, text: Path | None, given: dict[str, Any]) -> Run:
    """The training that was saved in a folder, to go on. Raises TinyseqError for options that contradict it."""
    found = reopened(folder)
    if found.vocabulary is None:
        raise FileError(f"{folder} holds no vocabulary, so it is not a character model that could go on")
    saved = _saved(found)
    _refuse(folder, OF_THE_MODEL, given, saved)
    content, name, path = _content(text or _saved_text(folder, found))
    same = found.info.get("digest") in (None, text_digest(content))
    if not same and text is None:
        raise FileError(
            f"{path} has changed since {folder} was trained on it: give it that text again, or write tinyseq train "
            f"{path} --resume {folder}, which reads it from its beginning"
        )
    if same:
        _refuse(folder, OF_THE_READING, given, saved)
    options = {**saved, **{name: value for name, value in given.items() if value is not None}}
    corpus = Corpus.of(content, name, options.get("held_out", Run.held_out), found.vocabulary)
    run = _run(corpus, path, text_digest(content), found.model, options)
    if found.optimiser_state:
        run.rule.load_state_dict(found.optimiser_state)
    run.before = int(found.info.get("steps", 0)) - run.rule.steps
    run.source, run.state = checkpoint_file(folder).parent, {**found.info.get("fit", {}), "step": run.done}
    place = run.rule.place
    if place is None or place.digest != run.windows.digest:
        run.note = f"not the text that {folder} was trained on, or no place in it saved: read from its beginning"
    return run


def _run(corpus: Corpus, path: str, digest: str, net: Any, options: dict[str, Any]) -> Run:
    windows = Windows(corpus.train, options.get("window", Run.window), options.get("batch", Run.batch))
    optimiser = options.get("optimiser", Run.optimiser)
    rate = options.get("rate", RATES[optimiser])
    positive_number("clip", options.get("clip", Run.clip))
    rule = OPTIMISERS[optimiser](net.parameters(), rate)
    rule.weight_decay = number_from_0("weight_decay", options.get("weight_decay", rule.weight_decay))
    return Run(corpus, path, digest, net, rule, windows, **{**options, "optimiser": optimiser, "rate": rate})


def _saved(found: Checkpoint) -> dict[str, Any]:
    """The options of a saved training, as far as it knows them."""
    options = {k: v for k, v in dict(found.info.get("options", {})).items() if k in Run.__dataclass_fields__}
    known = next((name for name, made in MODELS.items() if type(found.model) is made), None)
    options["model"] = known or options.get("model")
    options["hidden"] = options.get("hidden") or getattr(found.model, "hidden_size", None)
    options |= {name: found.info.get(name) for name in ("optimiser", "seed")}
    return {name: value for name, value in options.items() if value is not None}


def _refuse(folder: Path, names: tuple[str, ...], given: dict[str, Any], saved: dict[str, Any]) -> None:
    for name in names:
        value, before = given[name], saved.get(name)
        if value is not None and before is not None and value != before:
            option = name.replace("_", "-")
            plural = {
                "hidden": "hidden units: ",
                "layers": "layers: ",
                "accumulate": "accumulate: ",
                "optimiser": "",
                "model": "",
            }
            what = plural.get(name, f"a {option} of ")
            raise TinyseqError(
                f"{folder} was trained with {what}{before}, not {value}; write --{option} {before}, or leave it out"
            )


def _saved_text(folder: Path, found: Checkpoint) -> Path | None:
    """The text that a model was trained on; None for the embedded one."""
    name = found.info.get("text", EMBEDDED)
    if name == EMBEDDED:
        return None
    path = Path(str(found.info.get("path") or name))
    if not path.is_file():
        raise FileError(f"the text that {folder} was trained on is gone: {path}; write tinyseq train TEXT --resume …")
    return path


def _content(text: Path | None) -> tuple[str, str, str]:
    """The text, what it is called, and where it stands."""
    return (read_text(text), str(text), str(text.absolute())) if text else (embedded_text(), EMBEDDED, "")


def text_digest(content: str) -> str:
    """Equal for the same text."""
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
