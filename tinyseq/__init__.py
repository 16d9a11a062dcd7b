"""tinyseq: write one step of a network in the book's equations, see every node of its unfolded graph, run it fast."""

from importlib.util import find_spec as _find
from typing import TYPE_CHECKING

from tinyseq import diagnose, errors, functions, nn
from tinyseq.diagnose import contributions, gradcheck, ledger
from tinyseq.engine.limits import keep_recordings
from tinyseq.engine.reference import Reference
from tinyseq.errors import TinyseqError
from tinyseq.functions import *  # noqa: F403
from tinyseq.functions import Number, Transposed, check_range, getitem, indices, transposed, window  # noqa: F401  beside
from tinyseq.habits import module_names
from tinyseq.ops.verify import verify
from tinyseq.replay.compiling import compile
from tinyseq.structure.chain import Chain
from tinyseq.structure.tree import Forest, Tree
from tinyseq.structure.truncation import Chunk, Window
from tinyseq.tape import Tape
from tinyseq.tensor.leaves import tensor
from tinyseq.tensor.parameter import Parameter
from tinyseq.unfolding.unfold import unfold

if _find("tinyseq.engine.compiled"):
    from tinyseq.engine.compiled import Compiled
else:  # deleting the compiled executor's files leaves the one that defines what a tape means
    Compiled = Reference  # type: ignore[assignment, misc]

Tape.default_executor = Compiled

LAZY = ("bench", "cli", "data", "exchange", "tasks", "train", "viz")  # imported when first asked for: ts.train, ts.viz

if TYPE_CHECKING:
    from tinyseq.tensor.handles import Tensor
else:
    from tinyseq.functions.tensor_class import Tensor

__getattr__ = module_names(__name__, LAZY, {"sweep": "tinyseq.train.sweeps"})


def __dir__() -> list[str]:
    return sorted({*globals(), *LAZY, "sweep"} - {"LAZY", "TYPE_CHECKING"})


__version__ = "0.1.0"

__all__ = [
    "Chain",
    "Chunk",
    "Compiled",
    "Forest",
    "Parameter",
    "Reference",
    "Tape",
    "Tensor",
    "TinyseqError",
    "Tree",
    "Window",
    "compile",
    "contributions",
    "diagnose",
    "errors",
    "gradcheck",
    "keep_recordings",
    "ledger",
    "nn",
    "tensor",
    "unfold",
    "verify",
]
__all__ += functions.__all__
