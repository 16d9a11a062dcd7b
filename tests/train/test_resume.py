"""Trainings in parts: ten steps and ten more are twenty, bit for bit, wherever they are cut."""

from __future__ import annotations

import copy
import pickle
import signal

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.tasks import Windows
from tinyseq.train import SGD, Adam, RMSprop, cosine, fit, load, save
from tinyseq.train.interrupts import Interrupts

TOKENS = np.random.default_rng(0).integers(0, 7, 203)  # 6 windows of 3 streams, not all of one length


def windows():
    return Windows(TOKENS, 12, 3)


def net(kind="RNN", **options):
    return getattr(nn, kind)(7, 5, 7, rng=np.random.default_rng(0), **options)


def weights(model):
    return np.concatenate([p.value.ravel() for p in model.parameters()])


def in_memory(model, optimiser, make, tmp_path):
    fresh = make(model.parameters())
    fresh.load_state_dict(optimiser.state_dict())
    return model, fresh


def the_same(model, optimiser, make, tmp_path):
    return model, optimiser


def by_file(model, optimiser, make, tmp_path):
    found = load(save(tmp_path, model, optimiser=optimiser))
    fresh = make(found.model.parameters())
    fresh.load_state_dict(found.optimiser_state)
    return found.model, fresh


def by_pickle(model, optimiser, make, tmp_path):
    return pickle.loads(pickle.dumps((model, optimiser)))


def by_copy(model, optimiser, make, tmp_path):
    return copy.deepcopy((model, optimiser))


@pytest.mark.parametrize("way", [the_same, in_memory, by_file, by_pickle, by_copy])
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("RNN", lambda p: Adam(p, 1e-2)),
        ("LSTM", lambda p: RMSprop(p, 1e-2)),
        ("GRU", lambda p: SGD(p, 0.5, momentum=0.9)),
    ],
)
@pytest.mark.parametrize("parts", [(10, 10), (6, 14), (1, 2, 17)])
def test_parts_are_the_whole(kind, make, parts, way, tmp_path):
    schedule = cosine(0.05, 20, last=0.0)
    whole, model = net(kind), net(kind)
    all_bits = fit(whole, windows(), make(whole.parameters()), 20, clip=1.0, schedule=schedule, progress=False).bits
    optimiser, bits = make(model.parameters()), []
    for steps in parts:
        bits += fit(model, windows(), optimiser, steps, clip=1.0, schedule=schedule, progress=False).bits
        model, optimiser = way(model, optimiser, make, tmp_path)
    assert bits == all_bits
    assert np.array_equal(weights(model), weights(whole))
    assert optimiser.place.done == optimiser.steps == 20


def test_another_text_another_cut_and_a_new_optimiser_start_anew():
    seen = []

    class Spy(Windows):
        def __getitem__(self, k):
            seen.append(k)
            return super().__getitem__(k)

    model = net()
    optimiser = SGD(model.parameters(), 0.1)
    for made in (Spy(TOKENS, 12, 3), Spy(TOKENS, 12, 3), Spy(TOKENS, 11, 3), Spy(TOKENS[1:], 11, 3)):
        fit(model, made, optimiser, 2, progress=False)
    fit(model, Spy(TOKENS[1:], 11, 3), SGD(model.parameters(), 0.1), 2, progress=False)
    assert seen == [0, 1, 2, 3, 0, 1, 0, 1, 0, 1]


def test_the_place_survives_every_nesting_of_a_state(tmp_path):
    from tinyseq.train.place import Place

    a, b = np.ones((2, 3), np.float32), np.arange(4.0)
    for state in (None, a, (a, b), [a, (b, None)], {"h": a, "s": [b]}, ()):
        again = Place.of(Place(7, "x", state).arrays())
        assert (again.done, again.digest) == (7, "x")
        assert repr(again.state) == repr(state)
    assert Place.of({}) is None
    with pytest.raises(ts.TinyseqError, match="place in the text cannot be read"):
        Place.of({"place.done": np.array([1])})


@pytest.mark.parametrize("rate", [-1e-3, float("nan"), float("inf"), True, "fast"])
def test_rates_of_a_schedule_that_are_none(rate):
    model = net()
    with pytest.raises(ts.TinyseqError, match="the schedule's rate must be a finite number from 0"):
        fit(model, windows(), SGD(model.parameters(), 0.1), 2, schedule=lambda step: rate, progress=False)


@pytest.mark.parametrize("make", [SGD, RMSprop, Adam])
def test_a_rate_of_0_changes_no_weight_but_counts_as_a_step(make):
    model, before = net(), weights(net())
    optimiser = make(model.parameters(), 0.1)
    fit(model, windows(), optimiser, 3, schedule=lambda step: 0, progress=False)
    assert np.array_equal(weights(model), before) and optimiser.steps == 3
    fit(model, windows(), optimiser, 1, schedule=lambda step: 0.1, progress=False)
    assert not np.array_equal(weights(model), before)


def test_ctrl_c_lets_the_step_finish_and_the_rest_makes_the_whole():
    whole, model = net(), net()
    fit(whole, windows(), Adam(whole.parameters(), 0.01), 9, progress=False)
    optimiser = Adam(model.parameters(), 0.01)
    update = optimiser.update

    def interrupted(*arrays):
        if optimiser.steps == 4:
            signal.raise_signal(signal.SIGINT)  # in the middle of a step
        update(*arrays)

    optimiser.update = interrupted
    with Handled():
        history = fit(model, windows(), optimiser, 9, progress=False)
    assert history.interrupted and len(history.bits) == 4 == optimiser.place.done
    optimiser.update = update
    fit(model, windows(), optimiser, 5, progress=False)
    assert np.array_equal(weights(model), weights(whole))


class Handled:
    """Python's own handler of SIGINT, whatever the process was started with."""

    def __enter__(self):
        self.before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *exc):
        after = signal.signal(signal.SIGINT, self.before)
        assert after is signal.default_int_handler


def test_a_second_ctrl_c_interrupts_at_once_and_others_handlers_are_left_alone():
    with Handled(), pytest.raises(KeyboardInterrupt), Interrupts() as ctrl_c:
        signal.raise_signal(signal.SIGINT)
        assert ctrl_c.wanted
        signal.raise_signal(signal.SIGINT)
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with Interrupts() as ctrl_c:
            signal.raise_signal(signal.SIGINT)
        assert heard and not ctrl_c.wanted
    finally:
        signal.signal(signal.SIGINT, before)


def test_after_each_step_the_optimiser_can_be_saved(tmp_path):
    model, whole = net("LSTM"), net("LSTM")
    optimiser = Adam(model.parameters(), 0.01)
    fit(
        model, windows(), optimiser, 5, progress=False,
        after_step=lambda h: len(h.bits) == 3 and save(tmp_path, model, optimiser=optimiser),
    )  # fmt: skip
    found = load(tmp_path)
    again = Adam(found.model.parameters(), 0.01)
    again.load_state_dict(found.optimiser_state)
    assert again.place.done == 3
    fit(found.model, windows(), again, 4, progress=False)
    fit(whole, windows(), Adam(whole.parameters(), 0.01), 7, progress=False)
    assert np.array_equal(weights(found.model), weights(whole))
