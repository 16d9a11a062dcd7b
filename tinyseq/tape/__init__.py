"""The tape: nodes in topological order, what they are, and what is remembered of the places that record them."""

from tinyseq.tape.kinds import DTYPES, FLOAT32, FLOAT64, INPUT, INT64, PARAMETER, Kind, Node, shape_of
from tinyseq.tape.leaves import Integers, Leaf, set_gradients
from tinyseq.tape.places import Form
from tinyseq.tape.tape import Tape

__all__ = [
    "DTYPES",
    "FLOAT32",
    "FLOAT64",
    "INPUT",
    "INT64",
    "PARAMETER",
    "Form",
    "Integers",
    "Kind",
    "Leaf",
    "Node",
    "Tape",
    "set_gradients",
    "shape_of",
]
