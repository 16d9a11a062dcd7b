"""Models for other programs and for readers: an ONNX model, a script of NumPy alone, equations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyseq.errors import FileError
from tinyseq.exchange.latex import equations_of
from tinyseq.exchange.numpy_script import script_of
from tinyseq.exchange.onnx_files import model_of
from tinyseq.exchange.recording import Input
from tinyseq.exchange.signatures import net
from tinyseq.habits import advised


@advised
def to_onnx(
    model: Any,
    path: Any = None,
    *,
    inputs: Sequence[Input] | None = None,
    tokens: bool | None = None,
    lengths: bool = False,
    sizes: dict[str, int] | None = None,
    about: dict[str, Any] | None = None,
) -> Any:
    """A model as ONNX: one Scan for each unfolding, the operators RNN, LSTM and GRU where they compute the same.

        ts.exchange.to_onnx(model, "model.onnx")
        onnxruntime.InferenceSession("model.onnx").run(None, {"x": x})  # x (T, B, F), any T and B

    model    a net of ``nn``, a module of your own, or a function of tensors with its ``inputs``
    tokens   x is whole numbers (T, B); by default where an Embedding reads them
    lengths  a further input "lengths" (B): the state of a sequence is held behind its end
    sizes    sizes that are not free, such as {"T": 20}
    about    what is kept beside it as JSON by name: {"classes": ["falls", "rises"]} (``session.get_modelmeta()``)

    Returns the ``onnx.ModelProto``, which is written where there is a path. What is recorded is the net as it predicts:
    no dropout, the weights of now. Raises TinyseqError for trees, for graphs that depend on T other than through
    ts.unfold, and OpError for an op without a form (``ts.exchange.form``), with its cell and line.
    """
    made = model_of(net(model, inputs, tokens=tokens, lengths=lengths, sizes=sizes), about or {})
    if path is not None:
        _write(path, made.SerializeToString())
    return made


@advised
def to_numpy(
    model: Any,
    path: Any = None,
    *,
    inputs: Sequence[Input] | None = None,
    tokens: bool | None = None,
    lengths: bool = False,
    sizes: dict[str, int] | None = None,
) -> str:
    """A model as a script that needs NumPy alone: its weights and ``run(x)``, the forward pass line by line.

    Arguments and errors are those of ``to_onnx``. Returns the text, which is written where there is a path;
    ``python model.py x.npy y.npy`` runs it over files.
    """
    text = script_of(net(model, inputs, tokens=tokens, lengths=lengths, sizes=sizes))
    if path is not None:
        _write(path, text.encode())
    return text


@advised
def to_latex(model: Any, path: Any = None, *, inputs: Sequence[Input] | None = None, tokens: bool | None = None) -> str:
    r"""The equations of a model or cell as LaTeX, read off its graph: a line for each value with a name (``named``).

    h(t − 1) is the state before a step, columns stand for the rows of the program. Arguments are those of ``to_onnx``.
    Returns the text, an ``align*`` (amsmath) for each loop over time; it is written where there is a path.
    """
    text = equations_of(net(model, inputs, tokens=tokens))
    if path is not None:
        _write(path, f"{text}\n".encode())
    return text


def _write(path: Any, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from error
