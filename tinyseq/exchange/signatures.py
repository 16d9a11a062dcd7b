"""What a net reads when it is run elsewhere: its inputs by name, and the function that records it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinyseq import functions as F
from tinyseq.errors import CallError, TinyseqError
from tinyseq.exchange.net import Leaf, Net, Operation
from tinyseq.exchange.recording import Input, net_of
from tinyseq.nn.context import FeedbackRNN
from tinyseq.nn.echo_state import EchoStateNetwork
from tinyseq.nn.encoder_decoder import EncoderDecoder
from tinyseq.nn.layers import Embedding
from tinyseq.nn.module import Cell, Module
from tinyseq.nn.recursive import TreeCell
from tinyseq.nn.sequence_model import SequenceModel
from tinyseq.nn.sequences import Step
from tinyseq.structure.chain import Chain
from tinyseq.tensor.handles import Tensor
from tinyseq.unfolding.unfold import unfold

MASK = "mask"


class Signature(NamedTuple):
    """A function that records a net from its inputs, these inputs, and what its outputs are called."""

    run: Callable[..., Any]
    inputs: list[Input]
    outputs: tuple[str, ...] = ("y",)


def net(
    model: Any,
    inputs: Sequence[Input] | None = None,
    *,
    tokens: bool | None = None,
    lengths: bool = False,
    sizes: dict[str, int] | None = None,
) -> Net:
    """A model as a ``Net``, for whatever writes it down; the arguments are those of ``to_onnx``."""
    if isinstance(model, type) or not callable(model):
        raise CallError(f"what is exported is a model or a function of tensors, got {model!r}")
    for name, size in (sizes or {}).items():
        if type(size) is not int or size < 1:
            raise CallError(
                f"sizes are whole numbers from 1 by name, such as sizes={{'T': 20}}; got {name!r}: {size!r}"
            )
    known = _given(model, inputs, lengths) if inputs is not None else signature(model, tokens, lengths)
    names: dict[int, str] = {}
    if isinstance(model, Module):
        names = {id(parameter): name for name, parameter in model.named_parameters()}
    called = getattr(model, "name", None) or getattr(model, "__name__", None) or type(model).__name__
    unknown = sorted((sizes or {}).keys() - {a for one in known.inputs for a in one.axes})
    if unknown:
        raise CallError(f"no input has an axis {unknown[0]!r}; there are {_axes(known.inputs)}")
    if isinstance(model, SequenceModel) and model.length in ("halt", "count") and "T" not in (sizes or {}):
        most = f" of at most max_length = {model.max_length}" if model.max_length else ""
        raise TinyseqError(
            f"a SequenceModel with length={model.length!r} reads which symbol is the last, so its graph is of one "
            f"number of steps: say which{most}, sizes={{'T': {model.max_length or 20}}}. With length='end' T is free"
        )
    found = net_of(known.run, known.inputs, names, sizes or {}, str(called).strip("<>"), known.outputs)
    return _with_lengths(found) if lengths else found


def _axes(inputs: Sequence[Input]) -> str:
    return ", ".join(f"{one.name} {one.axes}" for one in inputs)


def _given(model: Any, inputs: Sequence[Input], lengths: bool) -> Signature:
    if lengths:
        raise CallError(
            "lengths=True is for nets whose inputs are known; with inputs of your own give a mask among them"
        )
    wrong = [one for one in inputs if not isinstance(one, Input)]
    if wrong or not inputs:
        raise CallError(
            "inputs are ts.exchange.Input('x', ('T', 'B', 3)), one for each argument; got "
            f"{repr(wrong[0]) if wrong else 'none'}"
        )
    return Signature(model, list(inputs))


def signature(model: Any, tokens: bool | None, lengths: bool) -> Signature:
    """Inputs and function of a net of ``nn``, or of a module of one's own that is like them."""
    if isinstance(model, TreeCell):
        raise TinyseqError(
            f"{type(model).__name__} runs over trees, and a tree has another shape for each input: ONNX and scripts "
            "run along time only. Its weights are model.state_dict(); ts.train.save(model, folder) keeps it"
        )
    size = getattr(model, "input_size", getattr(getattr(model, "encoder", None), "input_size", None))
    if isinstance(model, (SequenceModel, FeedbackRNN, EchoStateNetwork)):
        return _of_kind(model, lengths)
    if size is None:
        raise CallError(
            f"what {getattr(model, '__name__', type(model).__name__)} reads is not known: give its inputs, such as "
            "inputs=[ts.exchange.Input('x', ('T', 'B', 3))]"
        )
    dtype = str(np.dtype(getattr(model, "dtype", np.float32)))
    read_tokens = _embeds(model) if tokens is None else tokens
    x = Input("x", ("T", "B"), "int64") if read_tokens else Input("x", ("T", "B", size), dtype)
    mask = [Input(MASK, ("T", "B"), dtype)] if lengths else []
    if isinstance(model, EncoderDecoder):
        return Signature(lambda x, y, *m: logits(model, x, y, *m), [x, Input("y", ("S", "B"), "int64"), *mask], ("o",))
    encodes = callable(getattr(model, "encode", None))
    if lengths and not encodes:
        raise CallError(
            f"{type(model).__name__} needs no lengths: its outputs at a step read only what came before; leave them out"
        )
    options = lambda given: {"mask": given[0]} if given else {}  # noqa: E731
    if callable(getattr(model, "outputs", None)):
        return Signature(lambda x, *m: model.outputs(x, **options(m)), [x, *mask], ("o",))
    if encodes:
        return Signature(lambda x, *m: _encoded(model, x, options(m)), [x, *mask], ("h", "last"))
    if isinstance(model, Cell):
        return Signature(lambda x: _unfolded(model, x), [x])
    return Signature(model, [x])


def _encoded(model: Any, x: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    encoded = model.encode(x, **options)
    return encoded.outputs, encoded.last


def _unfolded(cell: Any, x: Tensor) -> Any:
    return unfold(cell, Chain(x.shape[0]), x, cell.initial_state(x.shape[1])).outputs


def _embeds(model: Any) -> bool:
    """Whether tokens are what a model reads first."""
    layer = model
    while isinstance(layer, Module) and not isinstance(layer, Embedding):
        inner = getattr(layer, "encoder", None) or next(iter(getattr(layer, "layers", [])), None)
        if inner is None:
            return False
        layer = inner
    return isinstance(layer, Embedding)


def _of_kind(model: Any, lengths: bool) -> Signature:
    """Nets that read other than one sequence x."""
    dtype, size = str(model.dtype), model.input_size if hasattr(model, "input_size") else 0
    if lengths:
        raise CallError(f"a {type(model).__name__} is exported for sequences of one length; run it for each length")
    y = Input("y", ("T", "B"), "int64")
    if isinstance(model, SequenceModel):
        context = [Input("context", ("B", model.context_size), dtype)] if model.context_size else []
        return Signature(model.log_prob, [y, *context], ("log_prob",))
    if not size:
        raise CallError(f"this {type(model).__name__} reads no input, so nothing says how many steps to run")
    x = Input("x", ("T", "B", size), dtype)
    if isinstance(model, FeedbackRNN):
        return Signature(model.log_prob, [x, y], ("log_prob",))

    def run(x: Tensor) -> Tensor:
        state = model.initial_state(x.shape[1])
        if model.feeds_back:
            return unfold(model.step, Chain(x.shape[0]), x, state, name=model.name).outputs
        return model._outputs(x, None, state)[0]

    return Signature(run, [x], ("o",))


def logits(model: EncoderDecoder, x: Any, y: Any, mask: Any = None) -> Tensor:
    """o(i) for each symbol of y and for the end, (S + 1, B, symbols), each given the symbols before it."""
    encoded = model.encoder.encode(x) if mask is None else model.encoder.encode(x, mask=mask)
    state, before, read = model.start(encoded)
    if mask is not None and model.attention is not None:
        read = read[0], F.transpose(mask, (1, 0))
    end = np.full((1, y.shape[1]), model.vocabulary)

    def step(y: Tensor, state: Any) -> tuple[Any, Tensor]:
        inner, o = model.advance(state)
        return (inner, F.one_hot(y, model.symbols, model.dtype).named("y"), state[2]), o

    whole = F.concatenate([y, end], 0)
    return unfold(Step(model, step), Chain(whole.shape[0]), whole, (state, before, read)).outputs


def _with_lengths(found: Net) -> Net:
    """The net with lengths (B) in place of the mask of steps that they say."""
    at = next(i for i, leaf in enumerate(found.leaves) if leaf.kind == "input" and leaf.name == MASK)
    mask = found.leaves[at]
    given = type(mask.out)(1 + max(found.shapes))
    shapes = {**found.shapes, given: (mask.shape[1:], "int64")}
    leaf = Leaf("input", given, "lengths", mask.shape[1:], "int64")
    steps = Operation("steps_of", (given,), mask.out, {}, 0, mask.shape, mask.dtype, MASK)
    leaves = [*found.leaves[:at], leaf, *found.leaves[at + 1 :]]
    return replace(found, leaves=leaves, body=[steps, *found.body], shapes=shapes)
