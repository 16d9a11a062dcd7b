"""A run that is gone on with under another setting ends in the bits of one that was not stopped, or is refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq import data, nn, train
from tinyseq.errors import TinyseqError

HALF, WHOLE = 4, 8


def sequences(seed: int = 0, n: int = 12) -> data.Sequences:
    draw = np.random.default_rng(seed)
    x = [draw.normal(size=(int(draw.integers(2, 4)), 2)) for _ in range(n)]
    return data.Sequences.of(x, np.array([int(a[-1, 0] > 0) for a in x]))


def changed() -> data.Sequences:
    """The same but for the last number."""
    same = sequences()
    return data.Sequences.of([*same.x[:-1], same.x[-1] + np.float32(1e-6)], same.y)


def model(dropout: float = 0.2, smoothing: float = 0.0) -> Any:
    draw = np.random.default_rng(0)
    cell = nn.recurrent("gru", 2, 3, num_layers=2, dropout=dropout, rng=draw)
    return nn.ManyToOne(cell, 2, rng=draw, label_smoothing=smoothing)


BASE: dict[str, Any] = {
    "rate": 0.01, "batch": 5, "clip": 1.0, "clip_element": 0.9, "weight_decay": 0.01, "accumulate": 1,
    "schedule": "cosine", "validate_every": 2, "monitor": "loss", "patience": 50, "keep": "last",
    "window": 9, "vocabulary": None, "save_every": None, "save_seconds": 10.0, "progress": False,
}  # fmt: skip


def fit(folder: Path, steps: int, of: Any = None, given: Any = None, rule: Any = "adamw", seed: int = 3, **more: Any):
    """(model, history) of a training of the base settings but for some."""
    net = of or model()
    options = {**BASE, "validation": sequences(5, 6), **more}
    rule = rule(net.parameters()) if callable(rule) else rule
    history = train.fit(net, given or sequences(), rule, steps, run=folder, rng=np.random.default_rng(seed), **options)
    return net, history


@pytest.fixture(scope="module")
def cut(tmp_path_factory: Any) -> Path:
    """The folder of a training that was to go on to its 8th step, and was ended after the 4th."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    fit(folder, WHOLE, callbacks=[lambda history: history.step == HALF])
    return folder


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: Any) -> list[bytes]:
    """The weights of a training that was not ended."""
    return weights(fit(tmp_path_factory.mktemp("uncut") / "run", WHOLE)[0])


def weights(net: Any) -> list[bytes]:
    return [p.value.tobytes() for p in net.parameters()]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rate": ({"rate": 0.02}, r"rate=0\.01, not 0\.02: write rate=0\.01"),
    "batch": ({"batch": 4}, r"batch=5, not 4: write batch=5"),
    "clip": ({"clip": 2.0}, r"clip=1, not 2: write clip=1"),
    "no clip": ({"clip": None}, r"clip=1, not None: write clip=1"),
    "clip_element": ({"clip_element": None}, r"clip_element=0\.9, not None"),
    "weight_decay": ({"weight_decay": 0.5}, r"weight_decay=0\.01, not 0\.5"),
    "accumulate": ({"accumulate": 2}, r"accumulate=1, not 2: write accumulate=1"),
    "schedule": ({"schedule": "constant"}, r"schedule='cosine', not 'constant': write schedule='cosine'"),
    "a schedule's function": ({"schedule": train.constant(0.01)}, r"schedule='cosine', not 'a function'"),
    "validate_every": ({"validate_every": 3}, r"validate_every=2, not 3"),
    "monitor": ({"monitor": "accuracy"}, r"monitor='loss', not 'accuracy'"),
    "validation": ({"validation": sequences(6, 6)}, r"other validation data: give it the same again"),
    "no validation": ({"validation": None, "patience": None}, r"validation data: give it the same again"),
    "validation, a part": ({"validation": 0.25}, r"was trained (on other data|with .*validation)"),
    "rng": ({"seed": 4}, r"seed=\d+, drawn from rng, not \d+: give fit rng="),
    "data": ({"given": sequences(9)}, r"was trained on other data"),
    "one number of the data": ({"given": changed()}, r"was trained on other data"),
    "optimiser": ({"rule": "adam"}, r"optimiser='AdamW', not 'Adam': write optimiser='AdamW'"),
    "a number of the optimiser": (
        {"rule": lambda p: train.AdamW(p, 0.01, decay1=0.8), "rate": None},
        r"decay1=0\.9, not 0\.8: write decay1=0\.9",
    ),
    "dropout": ({"of": model(0.5)}, r"Dropout\(rate=0\.2\) at encoder\.layers\.1, not rate=0\.5"),
    "label smoothing": ({"of": model(smoothing=0.1)}, r"ManyToOne\(label_smoothing=0\.0\), not .*: make the model so"),
}

SAME: dict[str, dict[str, Any]] = {  # what a run is kept and shown by, or how long it goes on
    "nothing": {},
    "patience": {"patience": 40},
    "window, of texts only": {"window": 3},
    "save_every": {"save_every": 1},
    "save_seconds": {"save_seconds": 0.0},
    "about": {"about": {"mine": 1}},
    "callbacks": {"callbacks": [lambda history: None]},
    "after_step": {"after_step": lambda history: None},
}


@pytest.mark.parametrize("setting", REFUSED)
def test_another_setting_is_refused_by_its_name(setting: str, cut: Path, tmp_path: Path) -> None:
    change, message = REFUSED[setting]
    before = {path.name: path.read_bytes() for path in cut.iterdir()}
    with pytest.raises(TinyseqError, match=message):
        fit(tmp_path / "run", WHOLE, resume=cut, **change)
    assert {path.name: path.read_bytes() for path in cut.iterdir()} == before


@pytest.mark.parametrize("setting", SAME)
def test_what_changes_no_step_may_be_another(setting: str, cut: Path, uncut: list[bytes], tmp_path: Path) -> None:
    net, history = fit(tmp_path / "run", WHOLE, resume=cut, **SAME[setting])
    assert weights(net) == uncut and history.step == WHOLE


def test_every_argument_of_fit_is_in_one_table() -> None:
    told = {name.split()[-1] if name == "no clip" else name for name in (*REFUSED, *SAME)}
    elsewhere = {
        "model",
        "data",
        "optimiser",
        "steps",
        "epochs",
        "run",
        "resume",
        "progress",
        "vocabulary",
        "keep",
        "ranks",
    }
    assert set(inspect.signature(train.fit).parameters) - elsewhere - {n.split(",")[0] for n in told} == set()


def test_the_best_weights_may_be_asked_for_afterwards(cut: Path, tmp_path: Path) -> None:
    best, _ = fit(tmp_path / "whole", WHOLE, keep="best")
    assert weights(fit(tmp_path / "run", WHOLE, resume=cut, keep="best")[0]) == weights(best)


def test_another_number_of_ranks_is_refused(cut: Path, tmp_path: Path) -> None:
    two = train.Ranks()
    two.size = 2
    net = model()
    options = {**BASE, "validation": sequences(5, 6), "run": tmp_path / "run", "resume": cut, "ranks": two}
    with pytest.raises(TinyseqError, match=r"with 1 rank, not 2, .*start it without mpiexec"):
        train.fit(net, sequences(), "adamw", WHOLE, rng=np.random.default_rng(3), **options)


def test_a_function_that_gave_other_rates_is_refused(tmp_path: Path) -> None:
    def falling(first: float) -> Any:
        return lambda step: first / (1 + step)

    whole, _ = fit(tmp_path / "whole", WHOLE, schedule=falling(0.02))
    fit(tmp_path / "run", HALF, schedule=falling(0.02))
    with pytest.raises(TinyseqError, match=r"another schedule: step 1 had the rate 0\.02, this one gives it 0\.03"):
        fit(tmp_path / "run", WHOLE, schedule=falling(0.03), resume=True)
    assert weights(fit(tmp_path / "run", WHOLE, schedule=falling(0.02), resume=True)[0]) == weights(whole)


def test_a_rate_that_a_callback_changed_goes_on(tmp_path: Path) -> None:
    def halved(history: Any) -> None:
        if history.step == 2:
            history.optimiser.rate /= 2

    whole, _ = fit(tmp_path / "whole", WHOLE, schedule=None, callbacks=[halved])
    fit(tmp_path / "run", HALF, schedule=None, callbacks=[halved])
    net, history = fit(tmp_path / "run", WHOLE, schedule=None, callbacks=[halved], resume=True)
    assert weights(net) == weights(whole) and history.rates[-1] == 0.005


def test_a_patience_that_ended_it_may_be_longer(tmp_path: Path) -> None:
    """The validation is of other labels, so that it grows worse while the training learns."""
    against = data.Sequences.of(sequences().x, 1 - sequences().y)
    options = {"validation": against, "schedule": None, "validate_every": 1, "rate": 0.05}
    _, ended = fit(tmp_path / "run", 20, patience=2, **options)
    assert ended.stopped == "patience" and ended.step < 20
    whole, history = fit(tmp_path / "whole", 20, patience=6, keep="last", **options)
    net, after = fit(tmp_path / "run", 20, patience=6, keep="last", resume=True, **options)
    assert weights(net) == weights(whole) and after.step == history.step > ended.step


def test_windows_in_which_no_place_is_found_again_are_not_gone_on_with(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    windows = [(draw.integers(0, 4, (5, 2)), draw.integers(0, 4, (5, 2))) for _ in range(3)]
    net = nn.LSTM(4, 3, 4, rng=draw)
    train.fit(net, windows, "adam", 2, run=tmp_path, progress=False)
    with pytest.raises(TinyseqError, match=r"windows given as an iterable, in which no place can be found again"):
        train.fit(net, windows, "adam", 4, run=tmp_path, progress=False, resume=True)


def test_an_optimiser_is_at_its_own_rate_when_a_schedule_has_ended(tmp_path: Path) -> None:
    """More steps go on where the cosine has ended; they do not take its last rate for what a new one falls from."""
    net = model()
    rule = train.Adam(net.parameters(), 0.01)
    first = train.fit(net, sequences(), rule, 4, schedule="cosine", progress=False)
    second = train.fit(net, sequences(), rule, 4, schedule="cosine", progress=False)
    assert rule.rate == 0.01 and list(second.rates) == [first.rates[-1]] * 4 and first.rates[-1] == pytest.approx(1e-4)
