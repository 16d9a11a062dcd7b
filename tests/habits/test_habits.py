# ruff: noqa: E501 (one case, one line)
# mypy: disable-error-code="call-arg, call-overload"
"""What the hands of a PyTorch, JAX, Keras or NumPy user type gives a result, or an error that says what to type."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import diagnose, nn, tasks, train, viz
from tinyseq.errors import CallError, NameMissing, TinyseqError
from tinyseq.habits.argument_tables import CALLS, KEYWORDS, MISSING
from tinyseq.habits.name_tables import ATTRIBUTES, NAMES

RNG = np.random.default_rng(0)
ARRAY = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
NET = nn.RNN(3, 4, 2, rng=RNG)
CELL = nn.LSTMCell(3, 4, rng=RNG)
HEAD = nn.ManyToOne(CELL, 2, rng=RNG)
SEQUENCE = np.zeros((5, 2, 3), np.float32)
W = ts.Parameter(ARRAY, "W")


def x() -> ts.Tensor:
    return ts.tensor(ARRAY)


# -- wrong arguments ----------------------------------------------------------------------------------------------------
CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "lr": (lambda: train.Adam([W], lr=0.1), r"train.Adam has no argument lr: write rate= for lr=\n  train.Adam\(parameters, rate=0.001"),
    "learning_rate": (lambda: train.RMSprop([W], learning_rate=0.1), "write rate= for learning_rate="),
    "betas": (lambda: train.Adam([W], betas=(0.9, 0.99)), "write decay1=0.9, decay2=0.999"),
    "weight_decay": (lambda: train.SGD([W], 0.1, weight_decay=1.0), r"add the penalty to the loss: loss \+ 1e-4"),
    "eps": (lambda: train.Adam([W], eps=1e-8), "write delta= for eps="),
    "a model for its parameters": (lambda: train.Adam(NET, 0.1), r"train.Adam cannot use these arguments.*write train.Adam\(model.parameters\(\)"),
    "no rng": (lambda: nn.RNN(3, 4, 2), r"nn.RNN needs rng: randomness is explicit, write rng=np.random.default_rng\(0\)"),
    "no rng, a cell": (lambda: nn.GRUCell(3, 4), "nn.GRUCell needs rng: randomness is explicit"),
    "nn.LSTM as in PyTorch": (lambda: nn.LSTM(input_size=3, hidden_size=4), r"nn.LSTM needs output_size, rng: .*the recurrent part alone is nn.LSTMCell\("),
    "batch_first": (lambda: nn.LSTM(3, 4, 2, rng=RNG, batch_first=True), r"time first: write x.swapaxes\(0, 1\)"),
    "bidirectional": (lambda: nn.GRU(3, 4, 2, rng=RNG, bidirectional=True), r"nn.Bidirectional\(nn.LSTMCell"),
    "num_layers": (lambda: nn.RNN(3, 4, 2, rng=RNG, num_layers=2), r"stack cells: nn.Stack\(\["),
    "num_layers too early": (lambda: nn.LSTM(3, 4, num_layers=2), "has no argument num_layers and needs output_size, rng: stack cells"),
    "dropout": (lambda: nn.LSTMCell(3, 4, rng=RNG, dropout=0.5), "nn.dropout"),
    "bias": (lambda: nn.LSTMCell(3, 4, rng=RNG, bias=False), "every cell has its biases"),
    "nonlinearity": (lambda: nn.RNNCell(3, 4, rng=RNG, nonlinearity="relu"), "write squash= for nonlinearity="),
    "units": (lambda: nn.GRUCell(3, units=4, rng=RNG), "write hidden_size= for units="),
    "proj_size": (lambda: nn.LSTM(3, 4, 2, rng=RNG, proj_size=2), "write projection_size= for proj_size="),
    "seed": (lambda: nn.RNN(3, 4, 2, seed=1), "has no argument seed and needs rng: write rng= for seed="),
    "a misspelt name": (lambda: nn.RNN(3, 4, 2, rng=RNG, learn_inital_state=True), "write learn_initial_state= for learn_inital_state="),
    "one argument twice": (lambda: nn.RNN(3, 4, 2, hidden_size=4, rng=RNG), "got hidden_size twice, by place and by name"),
    "too many": (lambda: nn.RNN(3, 4, 2, RNG), r"takes 3 arguments without a name, got 4 and needs rng"),
    "a class of one's own": (lambda: Mine(), "^Mine needs size"),
    "the base of a class of one's own": (lambda: Careless(3), r"^nn.RNNCell needs rng"),
    "softmax": (lambda: ts.softmax(x(), dim=1), "ts.softmax has no argument dim: write axis= for dim="),
    "keepdim": (lambda: ts.sum(x(), dim=0, keepdim=True), "write axis= for dim=; write keepdims= for keepdim="),
    "a method": (lambda: x().mean(dim=0), "ts.mean has no argument dim"),
    "concatenate tensors": (lambda: ts.concatenate(x(), x()), r"write ts.concatenate\(\[a, b\], axis=-1\)"),
    "stack along an axis": (lambda: ts.stack([x(), x()], dim=1), "the new axis is the first"),
    "zeros by sizes": (lambda: ts.zeros(3, 4), r"write ts.zeros\(\(3, 4\)\)"),
    "transpose by axes": (lambda: ts.transpose(x(), 0, 1), r"write ts.transpose\(x, \(1, 0, 2\)\)"),
    "requires_grad": (lambda: ts.tensor(ARRAY, requires_grad=True), "every tensor that leads to the loss has .grad"),
    "num_classes": (lambda: ts.one_hot([0], num_classes=3), "write classes= for num_classes="),
    "where of one": (lambda: ts.where(x(), x(), x(), x()), "takes 3 arguments without a name, got 4"),
    "take along dim": (lambda: ts.take(x(), [0], dim=0), "write axis= for dim="),
    "layer_norm": (lambda: ts.layer_norm(x(), W, W, eps=1e-5), "write epsilon= for eps="),
    "what has no outputs called": (lambda: nn.SequenceModel(3, 4, rng=RNG)(SEQUENCE), r"nn.SequenceModel is not called: model.loss\(...\) gives its loss"),
    "a net called": (lambda: NET(SEQUENCE), r"is called for one step, state, output = cell\(x_t, state\), and got 1 arguments; model.unfold"),
    "an unfolded net as a pair": (lambda: unfolded_as_a_pair(), "write unfolded.outputs and unfolded.final"),
    "an encoded sequence as a pair": (lambda: encoded_as_a_pair(), "write encoded.outputs and encoded.final"),
    "an unfolded net by step": (lambda: NET.unfold(SEQUENCE)[2], r"write unfolded.output\(2\)"),
    "a step without input": (lambda: ts.unfold(lambda h: (h, h), ts.Chain(3), ARRAY, ARRAY), r"it is called as step\(x_t, state\), but .*takes 1 positional argument but 2 were given"),
    "fit as in Keras": (lambda: train.fit(NET, ARRAY, ARRAY, epochs=3), r"the optimiser is one, train.Adam\(model.parameters\(\)"),
    "fit with validation_data": (lambda: train.fit(HEAD, (SEQUENCE, [0, 1]), validation_data=3), r"write validation=\(x, y\), or a part held out"),
    "fit with a rate": (lambda: train.fit(NET, [], train.SGD([W]), 1, lr=0.1), "the optimiser has it: train.Adam"),
    "batch_size": (lambda: tasks.Windows(np.arange(9), batch_size=2, T=3), "has no argument batch_size and needs B: write B= for batch_size="),
    "max_norm": (lambda: train.clip_global_norm([W], max_norm=1.0), "write limit= for max_norm="),
    "a cell on arrays": (lambda: CELL(SEQUENCE[0], CELL.initial_state(2)), r"takes tensors.*write ts.tensor\(x_t\) for an array"),
    "a cell without a state": (lambda: CELL(ts.tensor(SEQUENCE[0]), None), r"cell.initial_state\(batch\) for the state before the first step"),
    "weights without names": (lambda: NET.load_state_dict([1]), "weights come by name, as model.state_dict"),
    "a step of a model": (lambda: train.TrainingStep(NET, train.SGD([W])), r"write train.TrainingStep\(model.loss, optimiser\)"),
    "a step by the class of an optimiser": (lambda: train.TrainingStep(NET.loss, train.SGD), r"write train.TrainingStep\(model.loss, train.Adam\(model.parameters"),
    "saved the other way round": (lambda: train.save(NET, "folder"), r"write train.save\('folder', model\)"),
    "a stack of arguments": (lambda: nn.Stack(CELL, CELL), r"write nn.Stack\(\[nn.LSTMCell"),
    "named parameters": (lambda: train.SGD(NET.named_parameters()), r"write model.parameters\(\)"),
    "a head batch-first": (lambda: HEAD.loss(SEQUENCE.swapaxes(0, 1), [0, 1]), r"x looks batch-first: write x.swapaxes\(0, 1\)"),
    "another dtype": (lambda: HEAD.loss(SEQUENCE.astype("f8"), [0, 1]), r"x is float64, the cell is float32: write x.astype\('float32'\)"),
    "a chain of text": (lambda: ts.Chain("five"), "Chain"),
}  # fmt: skip


class Mine(nn.Cell):
    def __init__(self, size: int) -> None:
        self.W = ts.Parameter(np.ones((size, size)), "W")


class Careless(nn.RNNCell):
    def __init__(self, size: int) -> None:
        super().__init__(size, size)


def unfolded_as_a_pair() -> Any:
    outputs, final = NET.unfold(SEQUENCE)
    return outputs, final


def encoded_as_a_pair() -> Any:
    outputs, final = CELL.encode(SEQUENCE)
    return outputs, final


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_call_says_what_to_type(case: str) -> None:
    call, message = CASES[case]
    with ts.Tape(), pytest.raises(TinyseqError, match=message):
        call()


HOT: dict[str, tuple[Callable[[], Any], str]] = {
    "a bias": (lambda: ts.linear(x(), W, W), r"ts.linear takes 2 arguments without a name, got 3: .*write ts.linear\(x, W\) \+ b"),
    "its name": (lambda: ts.linear(input=x(), weight=W), "ts.linear has no argument input: write x= for input="),
    "inplace": (lambda: ts.relu(x(), inplace=True), "ts.relu has no argument inplace: results are new nodes"),
    "nothing": (lambda: ts.tanh(), "ts.tanh needs x"),
    "twice": (lambda: ts.add(x(), a=x()), "ts.add got a twice"),
    "a method": (lambda: NET.loss(SEQUENCE), r"nn.RecurrentNet.loss needs y\n  nn.RecurrentNet.loss\(x, y, h=None\)"),
    "a method's option": (lambda: CELL.encode(SEQUENCE, initial_state=1), "has no argument initial_state: write state= for initial_state="),
    "too many for a method": (lambda: NET.unfold(1, 2, 3, 4), "nn.RecurrentNet.unfold takes 3 arguments without a name, got 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOT)
def test_a_wrong_call_of_what_has_no_time_to_check_is_told_when_the_tape_is_left(case: str) -> None:
    call, message = HOT[case]
    with pytest.raises(CallError, match=message) as caught, ts.Tape():
        call()
    assert "lambda" in inspect.getinnerframes(caught.tb)[-1].function, "the traceback ends at the user's line"


def test_errors_of_the_users_own_are_left_alone() -> None:
    def step(x: Any, h: Any) -> Any:
        return len(3), h  # type: ignore[arg-type]

    def wrong() -> None:
        step(1)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match=r"object of type 'int' has no len") as caught, ts.Tape():
        ts.unfold(step, ts.Chain(3), ARRAY, ts.zeros(3))
    assert not isinstance(caught.value, TinyseqError)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'h'") as caught, ts.Tape():
        wrong()
    assert not isinstance(caught.value, TinyseqError)


# -- every public name ---------------------------------------------------------------------------------------------------
MADE_BY_THE_LIBRARY = (
    diagnose.Check, diagnose.Cut, diagnose.GradientFlow, diagnose.Ledger, diagnose.NonFinite, diagnose.Report,
    diagnose.Truncations, nn.Decoded, nn.EchoState, nn.Encoded, nn.Packed, train.Checkpoint, train.Diverged,
    train.History, viz.Picture, ts.Transposed, ts.Compiled, ts.Reference,
)  # fmt: skip
ANYTHING = (nn.Module, nn.Cell, nn.TreeCell)  # bases without a constructor


def public() -> Iterator[Any]:
    for module in (ts, nn, nn.initialisation, train, tasks, diagnose, viz):
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name)
            own = getattr(thing, "__module__", "").startswith(("tinyseq.", "viz"))
            if callable(thing) and own and not name.startswith("_"):
                error = isinstance(thing, type) and issubclass(thing, Exception)
                if not error and thing not in (*MADE_BY_THE_LIBRARY, *ANYTHING):
                    yield pytest.param(thing, id=f"{thing.__module__}.{name}")


PUBLIC = list(public())


def dummies(thing: Any) -> tuple[list[Any], dict[str, Any]]:
    """Text for all that a call needs, by place and by name."""
    needed = [p for p in inspect.signature(thing).parameters.values() if p.default is p.empty]
    given = ["#" for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return given, {p.name: "#" for p in needed if p.kind is p.KEYWORD_ONLY}


CALLED = [each for each in PUBLIC if each.values[0] is not ts.Tensor]


# find_nonfinite hands keywords on to a function of the user's
@pytest.mark.parametrize("thing", [each for each in CALLED if each.values[0] is not ts.diagnose.find_nonfinite])
def test_no_public_name_answers_a_wrong_argument_with_a_bare_typeerror(thing: Any) -> None:
    given, named = dummies(thing)
    if thing in (nn.LSTM, nn.GRU):  # their options are the cell's, which is made once the sizes are right
        given, named = [3, 4, 2], {"rng": RNG}
    if thing is nn.recurrent:
        given, named = ["lstm", 3, 4], {"rng": RNG}
    with pytest.raises(CallError, match="no_such_argument"), ts.Tape():
        thing(*given, **named, no_such_argument=1)


@pytest.mark.parametrize("thing", CALLED)
def test_no_public_name_answers_too_many_arguments_with_a_bare_typeerror(thing: Any) -> None:
    if any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(thing).parameters.values()):
        return
    with pytest.raises(CallError, match="got 20"), ts.Tape():
        thing(*[1] * 20)


@pytest.mark.parametrize("thing", PUBLIC)
def test_no_public_name_answers_text_for_all_its_arguments_with_a_bare_error(thing: Any) -> None:
    given, named = dummies(thing)
    try:
        with ts.Tape():
            thing(*given, **named)
    except TinyseqError:
        pass


def test_signatures_show_what_a_user_may_give() -> None:
    assert str(inspect.signature(ts.sum)) == "(x: 'Any', axis: 'Any' = None, keepdims: 'bool' = False) -> 'Tensor'"
    assert list(inspect.signature(nn.LSTM).parameters)[:4] == ["input_size", "hidden_size", "output_size", "rng"]
    assert list(inspect.signature(ts.linear).parameters) == ["x", "W"]
    assert "extra" not in str(inspect.signature(ts.concatenate))


# -- names that there are elsewhere --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_a_name_from_elsewhere_says_what_to_type(name: str) -> None:
    module, _, last = ("tinyseq." + name if "." not in name else name).rpartition(".")
    with pytest.raises(NameMissing, match=re.escape(NAMES[name])):
        getattr(import_module(module), last)


@pytest.mark.parametrize("module", [ts, nn, train, tasks, diagnose, viz, ts.functions])
def test_modules_answer_for_names_that_they_lack(module: Any) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'rand': make the array with NumPy"):
        _ = module.rand
    with pytest.raises(AttributeError, match=r"has no attribute 'qqq'$"):
        _ = module.qqq
    assert not hasattr(module, "__path_of_no_such_module__")


def test_a_misspelt_name_is_found() -> None:
    with pytest.raises(AttributeError, match="there is 'cross_entropy'"):
        _ = ts.crossentropy
    with pytest.raises(AttributeError, match="there is 'LSTMCell'"):
        _ = nn.LSTMcell


def things(owner: str) -> Any:
    if owner == "Unfolded":
        return NET.unfold(SEQUENCE)
    return {
        "Tensor": x,
        "Parameter": lambda: W,
        "Module": lambda: NET,
        "Tape": ts.Tape.current,
        "Optimiser": lambda: train.SGD([W]),
    }[owner]()


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner in ATTRIBUTES for name in ATTRIBUTES[owner]])
def test_an_attribute_from_elsewhere_says_what_to_type(owner: str, name: str) -> None:
    with ts.Tape():
        thing = things(owner)
    with pytest.raises(NameMissing, match=re.escape(ATTRIBUTES[owner][name])):
        getattr(thing, name)
    assert not hasattr(thing, name) and name not in dir(thing)


def test_a_users_own_name_goes_before_a_habit() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.weights = [W]

        def forward(self) -> int:
            return 3

    net = Net()
    assert net.forward() == 3 and net.weights == [W] and {"weights", "forward"} <= set(dir(net))


def code_in(advice: str) -> str | None:
    """The expression after "write", as far as it is one."""
    text = advice.partition("write ")[2]
    ends = [m.start() for m in re.finditer(r"; |, | for | under | or |$", text)]
    for end in reversed(ends):
        try:
            compile(text[:end], advice, "eval")
        except SyntaxError:
            continue
        return text[:end] or None
    return None


ADVICE = sorted(
    {*NAMES.values(), *KEYWORDS.values(), *MISSING.values(), *CALLS.values()}
    | {a for t in ATTRIBUTES.values() for a in t.values()}
)
PLACEHOLDERS = {"ts.gradcheck(f, W)", "print(model)", "ts.compile(f)"} | {
    c for c in map(code_in, ADVICE) if c and ("..." in c or "folder" in c)
}


@pytest.mark.parametrize("code", sorted({c for c in map(code_in, ADVICE) if c} - PLACEHOLDERS))
def test_advice_works_when_followed(code: str) -> None:
    rng = np.random.default_rng(0)
    space: dict[str, Any] = {"ts": ts, "np": np, "nn": nn, "train": train, "tasks": tasks, "rng": rng, "array": ARRAY}
    with ts.Tape() as tape:
        cube = ts.tensor(np.ones((2, 3, 4), np.float32))
        square, row = ts.tensor(np.ones((4, 4), np.float32)), ts.tensor(np.ones(4, np.float32))
        numbers = np.array([0, 1, 2])
        named: dict[str, Any] = {
            "W": ts.Parameter(np.ones((4, 4), np.float32), "W"),
            "b": square,
            "y": x(),
            "a": square,
            "axes": (0, 2, 1),
        }
        named |= {
            "x": cube if re.search(r"transpose|swapaxes", code) else x(),
            "i": numbers,
            "tokens": np.arange(5000),
            "T": 3,
        }
        named |= {
            "low": -1.0,
            "high": 1.0,
            "table": x(),
            "logits": x(),
            "target": numbers,
            "size": 2,
            "step": lambda x, h: (h, h),
        }
        named |= {
            "mask": square,
            "gain": row,
            "bias": row,
            "parts": 2,
            "tensors": [cube, cube],
            "state": square,
            "batch": 2,
            "steps": 5,
        }
        named |= {
            "model": NET,
            "optimiser": train.SGD(NET.parameters()),
            "state_size": 3,
            "key_size": 2,
            "cell": CELL,
            "tape": tape,
        }
        named |= {
            "unfolded": NET.unfold(SEQUENCE),
            "windows": tasks.Windows(np.arange(90) % 2, T=3, B=2),
            "w": ts.tensor(ARRAY[:, 0]),
        }
        if "loss" in code:
            z = ts.linear(x(), named["W"])
            named["loss"] = z if "seed" in code else ts.sum(z)
        if "epochs" in code:
            named |= {"x": SEQUENCE, "y": np.array([[0, 0]] * 5)}
        if "flow" in code:
            named["loss"] = ts.sum(named["unfolded"].outputs ** 2)
        if "+ b" in code:
            named["b"] = row
        if "swapaxes" in code:
            named["x"] = SEQUENCE
        if "take" in code:
            named["tokens"] = numbers
        if "stack(tensors)" in code:
            named["axes"] = (1, 0, 2, 3)
        if "bernoulli" in code or "squared" in code:
            named["target"] = x()
        if "scan" in code or "Chain" in code:
            named |= {"x": cube, "T": 2, "state": x()}
        if "tape" in code or "step(" in code:
            named["x"] = x()
        if code in ("x ** 2", "-ts.max(-x)"):
            named["x"] = x()
        if "model.outputs" in code:
            named |= {"model": HEAD, "x": SEQUENCE}
        if "model.unfold" in code or "encode(x)" in code:
            named["x"] = SEQUENCE
        if "load_state_dict" in code:
            named["state"] = NET.state_dict()
        eval(code, space | named)


# -- packages ------------------------------------------------------------------------------------------------------------
def test_packages_come_when_first_asked_for() -> None:
    for name in ("train", "viz", "tasks", "bench", "cli"):
        assert getattr(ts, name) is sys.modules[f"tinyseq.{name}"]
        assert name in dir(ts)


@pytest.mark.parametrize("given", [([1],), ([[1.0]], "x"), ()])
def test_the_class_of_tensors_is_not_called(given: tuple) -> None:
    with pytest.raises(CallError, match=r"Write x = ts.tensor\(array\) under with ts.Tape\(\)"):
        ts.Tensor(*given)


def test_the_class_of_tensors_is_that_of_all_tensors() -> None:
    with ts.Tape():
        assert all(isinstance(t, ts.Tensor) for t in (x(), ts.tanh(x()), x().T)) and not isinstance(W, ts.Tensor)
    assert issubclass(ts.Transposed, ts.Tensor) and not issubclass(ts.Parameter, ts.Tensor)


def test_softmax_along_any_axis(executor: Any) -> None:
    cube = np.random.default_rng(3).normal(size=(2, 3, 4))
    for axis in (0, 1, 2, -1, -2, -3):
        expected = np.exp(cube) / np.exp(cube).sum(axis, keepdims=True)
        with ts.Tape():
            a = ts.tensor(cube)
            assert np.allclose(ts.softmax(a, axis=axis).value, expected, rtol=1e-12)
            assert np.allclose(ts.log_softmax(a, axis).value, np.log(expected), rtol=1e-12)
    weights = np.random.default_rng(4).normal(size=(2, 3, 4))
    assert ts.gradcheck(lambda a: ts.sum(ts.softmax(a, axis=0) * ts.tensor(weights)), cube)


def test_zeros_of_one_number_are_a_vector() -> None:
    with ts.Tape():
        assert ts.zeros(3).shape == (3,) and not ts.zeros(3).value.any()
