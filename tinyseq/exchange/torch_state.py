"""State dicts of PyTorch both ways, for whole models: each part under a prefix of its own.

part        what it is here                                       names in PyTorch below its prefix
encoder     cells, Bidirectional, Stack, Sequential of these      weight_ih_l0 … bias_hh_l1_reverse
embedding   the Embedding that a Sequential begins with           weight
output      V and c of a head or net; a Linear                    weight, bias
norm        a LayerNorm by itself                                 weight, bias
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyseq.errors import DtypeError, TinyseqError
from tinyseq.habits import advised
from tinyseq.nn import torch_weights
from tinyseq.nn.bidirectional import Bidirectional
from tinyseq.nn.cells import RecurrentCell
from tinyseq.nn.deep import Stack, StackedCells
from tinyseq.nn.heads import Head
from tinyseq.nn.layers import Dropout, Embedding, LayerNorm, Linear, Sequential
from tinyseq.nn.module import Module
from tinyseq.nn.rnn import RNN, CellNet, GatedNet
from tinyseq.tensor.parameter import Parameter

Prefixes = str | Mapping[str, str] | None
Plain = list[tuple[str, Parameter]]


class Part:
    """A part of a model that PyTorch has as a module: layers over time, or named arrays."""

    def __init__(self, name: str, layers: list[Any] | None = None, arrays: Plain | None = None) -> None:
        self.name, self.layers, self.arrays = name, layers, arrays or []


def parts(model: Any) -> list[Part]:
    """The parts of a model. Raises TinyseqError where PyTorch's modules have none such."""
    if isinstance(model, Linear):
        return [Part("output", arrays=[("weight", model.W), *([("bias", model.b)] if model.b is not None else [])])]
    if isinstance(model, LayerNorm):
        return [Part("norm", arrays=[("weight", model.gain), ("bias", model.b)])]
    if isinstance(model, Embedding):
        return [Part("embedding", arrays=[("weight", model.E)])]
    if isinstance(model, Head):
        if model.scaling is not None:
            raise TinyseqError("a head that scales its outputs has no counterpart in PyTorch; give scaled=False")
        return [*parts(model.encoder), Part("output", arrays=[("weight", model.V), ("bias", model.c)])]
    if isinstance(model, (GatedNet, CellNet)):
        return [*parts(model.cell), Part("output", arrays=[("weight", model.V), ("bias", model.c)])]
    if isinstance(model, RNN):
        return [Part("encoder", [_cell_of(model)]), Part("output", arrays=[("weight", model.V), ("bias", model.c)])]
    if isinstance(model, Sequential):
        return _of_sequential(model)
    if isinstance(model, StackedCells) and model.skip:
        raise TinyseqError("PyTorch has no skip connections in its stacks")
    if isinstance(model, Stack):
        return [Part("encoder", list(model.layers))]
    if isinstance(model, StackedCells):
        return [Part("encoder", list(model.cells))]
    if isinstance(model, (RecurrentCell, Bidirectional)):
        return [Part("encoder", [model])]
    raise TinyseqError(f"PyTorch has no counterpart of {type(model).__name__}")


def _cell_of(net: RNN) -> Any:
    """The hidden units of an RNN as a cell that shares its parameters."""
    from tinyseq.nn.cells import RNNCell

    if net.h0 is not None:
        raise TinyseqError("nn.RNN of PyTorch learns no initial state; this net does")
    cell = RNNCell(net.input_size, net.hidden_size, rng=np.random.default_rng(0), dtype=net.dtype)
    cell.a.U, cell.a.W, cell.a.b = net.U, net.W, net.b
    return cell


def _of_sequential(model: Sequential) -> list[Part]:
    layers: list[Any] = []
    found = []
    for i, layer in enumerate(model.layers):
        if isinstance(layer, Dropout):
            continue
        if isinstance(layer, Embedding) and i == 0:
            found += parts(layer)
        elif isinstance(layer, (RecurrentCell, Bidirectional, Stack, StackedCells)):
            layers += parts(layer)[0].layers or []
        else:
            what = getattr(layer, "__name__", type(layer).__name__)
            raise TinyseqError(
                f"layer {i}, {what}, stands in no recurrent module of PyTorch; give the others by itself"
            )
    return [*found, Part("encoder", layers)]


def _prefixed(model: Any, prefixes: Prefixes) -> Iterator[tuple[Part, str]]:
    """Each part with what stands before its names."""
    found = parts(model)
    if prefixes is None:
        prefixes = "" if len(found) == 1 else {part.name: part.name for part in found}
    if isinstance(prefixes, str):
        if len(found) > 1:
            names = ", ".join(f"{part.name!r}: '…'" for part in found)
            raise TinyseqError(f"this model has {len(found)} parts; give a prefix for each: prefix={{{names}}}")
        prefixes = {found[0].name: prefixes}
    unknown = sorted(set(prefixes) - {part.name for part in found})
    missing = [part.name for part in found if part.name not in prefixes]
    if unknown or missing:
        raise TinyseqError(f"prefixes are given by part: {[part.name for part in found]}; got {sorted(prefixes)}")
    for part in found:
        prefix = prefixes[part.name]
        yield part, prefix if not prefix or prefix.endswith(".") else f"{prefix}."


@advised
def to_torch(model: Any, prefix: Prefixes = None) -> dict[str, np.ndarray]:
    """The arrays of the PyTorch modules that compute the same, by their names in a state dict.

        state = {name: torch.from_numpy(a) for name, a in ts.exchange.to_torch(model).items()}

    A cell, Bidirectional or stack becomes nn.RNN, nn.LSTM or nn.GRU with as many layers, a Linear nn.Linear. Of a model
    of several parts each has a prefix, "encoder", "embedding" and "output", or those given:
    prefix={"encoder": "lstm", "output": "fc"}. Raises TinyseqError for what PyTorch has not.
    """
    state: dict[str, np.ndarray] = {}
    for part, before in _prefixed(model, prefix):
        arrays = {name: parameter.value.copy() for name, parameter in part.arrays}
        if part.layers is not None:
            arrays = torch_weights.to_torch(part.layers[0] if len(part.layers) == 1 else _stacked(part.layers))
        state.update({before + name: array for name, array in arrays.items()})
    return state


def _stacked(layers: list[Any]) -> Any:
    stack = Stack.__new__(Stack)
    stack.layers = layers
    return stack


@advised
def load_torch(model: Module, state: Mapping[str, Any], prefix: Prefixes = None) -> None:
    """Set a model's weights from a PyTorch state dict; prefixes are those of ``to_torch``.

    All are set or none. Raises TinyseqError naming the array that is missing, unknown below its prefix, or of another
    shape, and says where it looks transposed; other modules' arrays in the state dict are left alone.
    """
    if not isinstance(state, Mapping):
        what = "module.state_dict()" if hasattr(state, "state_dict") else "a dict of arrays by name"
        raise TinyseqError(f"expected a state dict, got {type(state).__name__}; write load_torch(model, {what})")
    setting: list[tuple[Parameter, np.ndarray]] = []
    for part, before in _prefixed(model, prefix):
        wanted = to_torch_of(part)
        given = {name.removeprefix(before): a for name, a in state.items() if str(name).startswith(before)}
        if before or len(parts(model)) > 1:
            given = {name: a for name, a in given.items() if "." not in name}
        if "weight_hh" in given:  # of nn.LSTMCell and the like, which count no layers
            given = {f"{name}_l0": array for name, array in given.items()}
        arrays = _checked(part, wanted, given, before, state)
        if part.layers is None:
            setting += [(parameter, arrays[name]) for name, parameter in part.arrays]
            continue
        squashes = {getattr(cell, "squash", "tanh") for cell in _cells(part.layers)}
        made = torch_weights.from_torch(
            arrays, nonlinearity=squashes.pop() if len(squashes) == 1 else "tanh", prefix=""
        )
        new = made.layers if isinstance(made, Stack) else [made]
        for mine, theirs in zip(_cells(part.layers), _cells(new), strict=True):
            own = dict(mine.named_parameters())
            setting += [(own[name], parameter.value) for name, parameter in theirs.named_parameters()]
    for parameter, array in setting:
        if array.dtype != parameter.dtype:
            raise DtypeError(f"the weights for {parameter.name} are {array.dtype}, the model is {parameter.dtype}")
    for parameter, array in setting:
        parameter.value[...] = array


def to_torch_of(part: Part) -> dict[str, np.ndarray]:
    """The arrays of one part, by their names without a prefix."""
    if part.layers is None:
        return {name: parameter.value for name, parameter in part.arrays}
    return torch_weights.to_torch(part.layers[0] if len(part.layers) == 1 else _stacked(part.layers))


def _cells(layers: list[Any]) -> list[Any]:
    both = [(one.forward, one.backward) if isinstance(one, Bidirectional) else (one,) for one in layers]
    return [cell for pair in both for cell in pair]


def _checked(
    part: Part, wanted: dict[str, np.ndarray], given: dict[str, Any], before: str, state: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The arrays of a part, of the right names and shapes."""
    missing, unknown = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    biases = [name for name in missing if name.startswith("bias_")]
    if part.layers is not None and missing == biases and len(biases) == sum(n.startswith("bias_") for n in wanted):
        missing = []  # a module with bias=False
    if missing:
        ends = [str(name) for name in state if str(name).endswith(missing[0])]
        hint = f"; there is {ends[0]}: prefix {ends[0].removesuffix(missing[0])!r}" if ends else ""
        raise TinyseqError(
            f"the state dict lacks {torch_weights._some([before + name for name in missing])} for the {part.name}{hint}"
        )
    if unknown:
        raise TinyseqError(
            f"the state dict has {torch_weights._some([before + name for name in unknown])}, which the {part.name} of "
            "this model has not: another kind, more layers or both directions?"
        )
    arrays = {}
    for name, array in given.items():
        arrays[name] = found = torch_weights._array(before + name, array)
        expected = wanted[name].shape
        if found.shape != expected:
            turned = "; it looks transposed: give its .T" if found.shape == expected[::-1] else ""
            raise TinyseqError(f"{before}{name} has shape {found.shape}, the model needs {expected}{turned}")
    return arrays
