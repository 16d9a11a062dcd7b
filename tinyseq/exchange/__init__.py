"""Exits and entries: ONNX, scripts of NumPy, LaTeX, JSON; state dicts of PyTorch and Keras."""

from tinyseq.exchange.exporting import to_latex, to_numpy, to_onnx
from tinyseq.exchange.forms import FORMS, Form, form
from tinyseq.exchange.keras_weights import from_keras, to_keras
from tinyseq.exchange.latex import LATEX
from tinyseq.exchange.numpy_forms import NUMPY
from tinyseq.exchange.onnx_forms import ONNX
from tinyseq.exchange.recording import Input
from tinyseq.exchange.tape_json import from_json, tensor_of, to_json
from tinyseq.exchange.torch_state import load_torch, to_torch
from tinyseq.nn.torch_weights import from_torch

FORMS.update({name: Form(ONNX.get(name), NUMPY.get(name), LATEX.get(name)) for name in ONNX})

__all__ = [
    "Form",
    "Input",
    "form",
    "from_json",
    "from_keras",
    "from_torch",
    "load_torch",
    "tensor_of",
    "to_json",
    "to_keras",
    "to_latex",
    "to_numpy",
    "to_onnx",
    "to_torch",
]
