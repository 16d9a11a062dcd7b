"""Models made of models: saved with how they were made, and the same when they come back."""

import copy
import pickle

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import FileError, TinyseqError
from tinyseq.train import load, save
from tinyseq.train.recipes import make, recipe


def seeded():
    return np.random.default_rng(3)


def pair():
    rng = seeded()
    return nn.Bidirectional(nn.LSTMCell(3, 4, rng=rng), nn.GRUCell(3, 4, rng=rng, squash="sigmoid"), merge="sum")


def stack():
    rng = seeded()
    return nn.Stack([pair(), nn.RNNCell(4, 5, rng=rng, layer_norm=True), nn.DeepTransition(5, 4, skip=True, rng=rng)])


MODELS = {
    "many_to_one": lambda: nn.ManyToOne(nn.LSTMCell(3, 4, rng=seeded()), 2, rng=seeded()),
    "many_to_many": lambda: nn.ManyToMany(stack(), 3, rng=seeded()),
    "stacked": lambda: nn.ManyToMany(
        nn.StackedCells((nn.GRUCell(3, 4, rng=seeded()), nn.RNNCell(7, 4, rng=seeded())), skip=True), 2, rng=seeded()
    ),
    "attention": lambda: nn.EncoderDecoder(pair(), 6, 5, rng=seeded(), cell="gru", attention=True),
    "sequence": lambda: nn.SequenceModel(4, 5, rng=seeded(), cell=nn.LSTMCell, length="count", max_length=7),
    "context": lambda: nn.SequenceModel(4, 5, rng=seeded(), context_size=3, context="both", dtype=np.float64),
}


def twin_loss(model, name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    symbols = rng.integers(0, 2, (5, 2))
    with ts.Tape():
        match name:
            case "many_to_one":
                loss = model.loss(x, np.array([0, 1]))
            case "sequence":
                loss = model.loss(symbols)
            case "context":
                loss = model.loss(symbols, x[0].astype(np.float64))
            case _:
                loss = model.loss(x, symbols)
        return loss.item()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_models_comes_back_and_computes_the_same(tmp_path, name):
    model = MODELS[name]()
    found = load(save(tmp_path, model)).model
    assert type(found) is type(model)
    assert {k: v.tobytes() for k, v in found.state_dict().items()} == {
        k: v.tobytes() for k, v in model.state_dict().items()
    }
    assert twin_loss(found, name) == twin_loss(model, name)


def test_options_that_change_no_weight_come_back_too(tmp_path):
    found = load(save(tmp_path, pair())).model
    assert found.merge == "sum"
    assert found.backward.squash == "sigmoid"
    assert found.backward.name == "gru_backward"


def test_a_cell_in_two_places_is_one_cell_again():
    cell = nn.RNNCell(3, 4, rng=seeded())
    made = make(recipe(Two(cell, {"also": cell})), [Two])
    assert made.a is made.b["also"]
    assert len(made.parameters()) == len(cell.parameters())


class Two(nn.Module):
    """A module of the user's that holds what it is given."""

    def __init__(self, a, b, *, sizes=(1, 2), mask=None, **extra):
        self.a, self.b, self.sizes, self.mask, self.extra = a, b, sizes, mask, extra


class Mine(nn.RNN):
    """A subclass that adds nothing."""


def test_a_class_of_the_users_is_made_again_when_it_is_named(tmp_path):
    model = Mine(2, 3, 2, rng=seeded())
    save(tmp_path, model)
    with pytest.raises(FileError, match=r"no model named 'Mine'; .* write load\(path, classes=\[Mine\]\)"):
        load(tmp_path)
    found = load(tmp_path, classes=[Mine]).model
    assert type(found) is Mine
    assert np.array_equal(found.W.value, model.W.value)


def test_arrays_tuples_and_further_options_come_back():
    mask = np.array([[True, False], [False, True]])
    made = make(recipe(Two(None, [1, 2.5, "x"], sizes=(np.int64(3), (4,)), mask=mask, wings=2)), [Two])
    assert made.b == [1, 2.5, "x"] and made.sizes == (3, (4,)) and made.extra == {"wings": 2}
    assert made.mask.dtype == bool and np.array_equal(made.mask, mask)


def test_what_a_file_cannot_hold_is_named(tmp_path):
    with pytest.raises(TinyseqError, match=r"Two\(b=…\) cannot be saved: a file cannot hold <function"):
        save(tmp_path, Two(None, lambda x: x))
    assert not list(tmp_path.iterdir())


def test_copies_keep_how_they_were_made():
    model = MODELS["many_to_one"]()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert recipe(other) == recipe(model)
        assert [name for name, _ in other.named_parameters()] == [name for name, _ in model.named_parameters()]
