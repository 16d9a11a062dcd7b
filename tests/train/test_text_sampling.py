"""Sampling: the distribution drawn from, the explicit generator, prompts."""

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import DataError, TinyseqError
from tinyseq.tasks import Vocabulary
from tinyseq.train import sample_text
from tinyseq.train.text_sampling import draw, reader


def net(vocabulary=4, seed=0):
    model = ts.nn.RNN(vocabulary, 6, vocabulary, rng=np.random.default_rng(seed), dtype=np.float64)
    model.V.value *= 4  # far from uniform
    return model


def softmax(o):
    e = np.exp(o - o.max())
    return e / e.sum()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_draws_follow_the_softmax_at_each_temperature(temperature):
    logits, rng, n = np.array([1.0, -1.0, 0.5, 2.0]), np.random.default_rng(0), 20_000
    counts = np.bincount([draw(logits, temperature, rng) for _ in range(n)], minlength=4)
    p = softmax(logits / temperature)
    chi2 = ((counts - n * p) ** 2 / (n * p)).sum()
    assert chi2 < 16.27  # 99.9 % quantile of χ² with 3 degrees of freedom


def test_temperature_zero_is_the_likeliest_and_needs_no_luck():
    assert [draw(np.array([0.1, 3.0, 2.9]), 0, np.random.default_rng(s)) for s in range(5)] == [1] * 5


def test_extreme_logits_and_temperatures():
    rng = np.random.default_rng(0)
    assert draw(np.array([-1e4, 1e4, 0.0]), 1.0, rng) == 1
    assert draw(np.array([1.0, 1.0 + 1e-3]), 1e-320, rng) == 1
    assert {draw(np.array([0.0, 5.0]), 1e9, rng) for _ in range(50)} == {0, 1}


def test_a_character_with_probability_zero_is_never_drawn():
    class Ends:
        def random(self):
            return self.value

    rng = Ends()
    for rng.value, expected in ((0.0, 1), (1 - 2**-53, 1)):
        assert draw(np.array([-1e9, 0.0, -1e9]), 1.0, rng) == expected


def test_sampling_reads_the_prompt_and_then_its_own_draws():
    model, vocabulary = net(), Vocabulary("abcd")
    drawn = sample_text(model, vocabulary, 12, rng=np.random.default_rng(5), temperature=0.7, prompt="cab")
    rng, h = np.random.default_rng(5), np.zeros(6)
    U, W, b, V, c = (getattr(model, n).value for n in "UWbVc")

    def step(x, h):
        h = np.tanh(b + W @ h + U[:, x])
        return h, c + V @ h

    for x in vocabulary.encode("cab"):
        h, o = step(x, h)
    expected = []
    for _ in range(12):
        expected.append(int(np.searchsorted(np.cumsum(softmax(o / 0.7)), rng.random())))
        h, o = step(expected[-1], h)
    assert drawn == vocabulary.decode(np.array(expected))


def test_the_same_generator_state_gives_the_same_text_and_another_another():
    model, vocabulary = net(), Vocabulary("abc\n")
    texts = [sample_text(model, vocabulary, 40, rng=np.random.default_rng(s)) for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 40


def test_advancing_in_two_parts_is_advancing_at_once():
    advance, tokens = reader(net()), np.array([0, 3, 1, 2, 2])[:, None]
    whole, _ = advance(tokens, None)
    _, state = advance(tokens[:2], None)
    parts, _ = advance(tokens[2:], state)
    np.testing.assert_allclose(parts, whole, rtol=1e-13)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rng": 3}, TinyseqError, "rng must be a numpy Generator"),
        ({"temperature": -1.0}, TinyseqError, "temperature must be a finite number from 0, got -1.0"),
        ({"temperature": float("nan")}, TinyseqError, "temperature must be"),
        ({"length": -1}, TinyseqError, "length must be a whole number from 0"),
        ({"prompt": ""}, DataError, "the prompt is empty"),
        ({"prompt": "abz"}, DataError, "character 'z' .* line 1, column 3 is not in the vocabulary of 4"),
    ],
)
def test_bad_arguments(options, error, message):
    arguments = {"length": 2, "rng": np.random.default_rng(0), "prompt": "a", **options}
    with pytest.raises(error, match=message):
        sample_text(net(), Vocabulary("abcd"), **arguments)


def test_broken_weights_are_named():
    with pytest.raises(TinyseqError, match="outputs are not finite"):
        draw(np.array([0.0, np.nan]), 1.0, np.random.default_rng(0))
