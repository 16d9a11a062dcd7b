"""tinyseq: write one step of a network in the book's equations; see every node of the unfolded graph, and run it fast."""

from tinyseq import errors, nn
from tinyseq.engine.reference import Reference
from tinyseq.errors import TinyseqError
from tinyseq.functions import *  # noqa: F403
from tinyseq.structure import Chain
from tinyseq.tape import Tape
from tinyseq.tensor import Parameter, Tensor, tensor
from tinyseq.unfold import unfold

Tape.default_executor = Reference

__version__ = "0.1.0"
