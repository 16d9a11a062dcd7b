"""Exits and entries: ONNX, scripts of NumPy, LaTeX, JSON; state dicts of PyTorch and Keras."""

from tinyseq.exchange.exporting import to_latex, to_numpy, to_onnx
from tinyseq.exchange.forms import FORMS, Form, form
from tinyseq.exchange.latex import LATEX
from tinyseq.exchange.numpy_forms import NUMPY
from tinyseq.exchange.onnx_forms import ONNX
from tinyseq.exchange.reading import Input
from tinyseq.exchange.tape_json import from_json, tensor_of, to_json

FORMS.update({name: Form(ONNX.get(name), NUMPY.get(name), LATEX.get(name)) for name in ONNX})

__all__ = ["Form", "Input", "form", "from_json", "tensor_of", "to_json", "to_latex", "to_numpy", "to_onnx"]
