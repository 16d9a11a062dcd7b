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


# -- what was done after making ---------------------------------------------------------------------------------------
def square(seed=0):
    return nn.RNN(6, 6, 6, rng=np.random.default_rng(seed))


def tie_parameters(net):
    net.V = net.U
    net.b = net.c


def tie_modules(net):
    net.decoder.cell = net.encoder


def fix(net):
    net.W.trainable = net.b.trainable = False


def change_options(net):
    net.backward.squash, net.merge = "tanh", "concatenate"


@pytest.mark.parametrize("seed", [0, 1])
def test_ties_made_afterwards_come_back_and_stay_tied(tmp_path, seed):
    net = square(seed)
    tie_parameters(net)
    again = load(save(tmp_path, net)).model
    assert again.V is again.U and again.b is again.c
    assert len(again.parameters()) == 3
    x, y = np.array([[1], [2]]), np.array([[3], [4]])
    with ts.Tape():
        ours = net.loss(x, y)
        ours.backward()
    with ts.Tape():
        theirs = again.loss(x, y)
        theirs.backward()
        assert theirs.item() == ours.item()
    assert np.array_equal(again.U.grad, net.U.grad)
    optimiser = ts.train.Adam(again.parameters(), 0.1)
    optimiser.step()
    assert again.V is again.U and np.array_equal(again.V.value, again.U.value)


def test_modules_shared_afterwards_come_back_shared(tmp_path):
    stacked = nn.StackedCells([nn.RNNCell(4, 4, rng=seeded()), nn.RNNCell(4, 4, rng=seeded())])
    stacked.cells[1] = stacked.cells[0]
    again = load(save(tmp_path, stacked)).model
    assert again.cells[1] is again.cells[0]
    stacked.cells[0].a.U = stacked.cells[0].a.W  # and a tie inside of what is shared
    again = load(save(tmp_path, stacked)).model
    assert again.cells[1].a.U is again.cells[0].a.W
    assert len(again.parameters()) == 2


def test_fixed_weights_and_changed_options_come_back(tmp_path):
    net = square()
    fix(net)
    again = load(save(tmp_path / "a", net)).model
    assert [p.trainable for p in again.parameters()] == [p.trainable for p in net.parameters()]
    assert not again.W.trainable and again.U.trainable
    both = pair()
    both.merge, both.output_size = "concatenate", 8
    again = load(save(tmp_path / "b", both)).model
    assert (again.merge, again.output_size) == ("concatenate", 8)


class Tied(nn.Module):
    """Ties in its constructor, draws an array that is no parameter."""

    def __init__(self, n, *, rng, drawn=False):
        self.U = ts.Parameter(rng.normal(size=(n, n)), "U")
        self.V = self.U
        if drawn:
            self.mask = rng.random((n, n)) < 0.5


def test_ties_of_the_constructor_come_back_and_what_is_untied_is_refused(tmp_path):
    tied = Tied(3, rng=seeded())
    again = load(save(tmp_path, tied), classes=[Tied]).model
    assert again.V is again.U
    tied.V = ts.Parameter(np.ones((3, 3)), "V")
    with pytest.raises(TinyseqError, match=r"Tied was changed after it was made, and could not be loaded: .*V"):
        save(tmp_path, tied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: setattr(net, "extra", ts.Parameter(np.ones(2, np.float32), "e")), "unknown \\['extra'\\]"),
        (lambda net: setattr(net, "W", ts.Parameter(np.ones((2, 2), np.float32), "W")), "weights for W have shape"),
        (lambda net: setattr(net, "W", ts.Parameter(np.ones((6, 6)), "W")), "weights for W are float64"),
        (lambda net: setattr(net, "c", None), "missing \\['c'\\]"),
    ],
)
def test_what_a_file_would_not_give_back_is_refused_and_an_older_file_stays(tmp_path, change, message):
    before = save(tmp_path, square()).read_bytes()
    net = square(1)
    change(net)
    with pytest.raises(TinyseqError, match=f"RNN was changed after it was made.*{message}.*class of your own"):
        save(tmp_path, net)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937"])
def test_what_the_constructor_draws_is_drawn_again(tmp_path, bits):
    rng = np.random.Generator(getattr(np.random, bits)(5))
    rng.random(7)
    tied = Tied(5, rng=rng, drawn=True)
    again = load(save(tmp_path, tied), classes=[Tied]).model
    assert np.array_equal(again.mask, tied.mask)


def test_an_array_changed_afterwards_is_refused(tmp_path):
    tied = Tied(5, rng=seeded(), drawn=True)
    tied.mask = ~tied.mask
    with pytest.raises(TinyseqError, match=r"mask of this Tied is an array that .* make it a ts\.Parameter"):
        save(tmp_path, tied)


@pytest.mark.parametrize("seed", range(8))
def test_a_small_sparse_reservoir_comes_back_whatever_its_seed(tmp_path, seed):
    try:
        reservoir = nn.Reservoir(1, 40, rng=np.random.default_rng(seed))
    except TinyseqError:
        pytest.skip("this seed draws a reservoir without eigenvalues")
    found = load(save(tmp_path, nn.EchoStateNetwork(reservoir, 1))).model
    assert np.array_equal(found.reservoir.matrix, reservoir.matrix)


def test_a_replaced_parameter_of_the_same_kind_is_saved(tmp_path):
    net = square()
    net.W = ts.Parameter(np.eye(6, dtype=np.float32), "W")
    assert np.array_equal(load(save(tmp_path, net)).model.W.value, np.eye(6))
