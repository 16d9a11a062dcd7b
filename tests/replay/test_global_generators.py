"""Whether a function drew from the generators that belong to nobody, whatever generator stands below them."""
# ruff: noqa: NPY002

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.replay.watched_values import global_states, state_of

BELOW = (np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64)
DRAWS: dict[str, Callable[[], object]] = {
    "a uniform number": lambda: np.random.rand(),
    "an integer": lambda: np.random.randint(3),
    "a normal number": lambda: np.random.randn(),
    "a permutation": lambda: np.random.permutation(3),
    "one of Python's": random.random,
    "a normal one of Python's": lambda: random.gauss(0, 1),
}


@pytest.fixture(params=BELOW, ids=lambda kind: kind.__name__)
def below(request: pytest.FixtureRequest) -> Iterator[None]:
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(request.param(5))
    yield
    np.random.set_bit_generator(before)


@pytest.mark.parametrize("name", DRAWS)
def test_each_draw_changes_the_state(below: None, name: str) -> None:
    states = [global_states()]
    for _ in range(6):  # a normal number leaves a second one, which the next takes
        assert global_states() == states[-1]
        DRAWS[name]()
        states.append(global_states())
    assert all(a != b for a, b in pairwise(states))


def test_a_state_set_again_is_the_same() -> None:
    np.random.seed(3)
    states = [global_states()]
    for _ in range(3):
        np.random.randn()
        states.append(global_states())
    np.random.seed(3)
    for state in states:
        assert global_states() == state
        np.random.randn()


def test_pythons_state_is_read_where_it_lies_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(random.Random):
        pass

    random.seed(3)
    before = global_states()[1]
    assert isinstance(before, tuple)  # its memory, not its numbers
    random.gauss(0, 1)  # one kept
    kept = global_states()[1]
    random.gauss(0, 1)  # the kept one: nothing is drawn
    assert before != kept != global_states()[1]
    for other in (Mine(3), random.SystemRandom()):
        monkeypatch.setattr(random, "_inst", other)
        assert isinstance(global_states()[1], int)


@pytest.mark.parametrize("kind", BELOW)
def test_a_generator_of_the_users(kind: type) -> None:
    one = np.random.RandomState(kind(1))
    before = state_of(one)
    assert state_of(one) == before
    one.randn()
    middle = state_of(one)
    one.randn()
    assert before != middle != state_of(one)


def test_a_compiled_function_that_draws_is_recorded_at_each_call(below: None) -> None:
    W = ts.Parameter(np.ones((2, 3)), "W")
    run = ts.compile(lambda x: ts.sum(x @ W * np.random.rand()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {float(run(np.ones((1, 2)))) for _ in range(4)}
    assert len(found) == 4
