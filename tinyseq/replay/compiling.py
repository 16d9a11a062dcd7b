"""``ts.compile``: a function of arrays that is recorded once and replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinyseq.habits import advised
from tinyseq.tensor.source_lines import internal

if TYPE_CHECKING:
    pass
from tinyseq.replay.function import CompiledFunction

internal(__file__)


@advised
def compile(function: Callable[..., Any], checkpoint: bool | int = False, check: bool = False) -> Any:
    """Record ``function`` on its first call for each signature (shapes, structures), and replay it afterwards.

    The function takes arrays (it sees them as tensors) and anything else (fixed by its value or identity), and
    returns a tensor or a nesting of tensors, the loss first::

        step = ts.compile(model.loss)
        loss = step.backward(x, y)      # sets p.grad of every parameter

    Also as ``@ts.compile`` on a function or method. What the function reads beside its arguments is looked at before
    each replay; random numbers are drawn outside and given as arguments. ``ts.keep_recordings`` says how much is kept.

    ``checkpoint=True`` (segments of √T steps) or ``checkpoint=k`` runs ``f(*sequences, state) -> (loss, state)``
    segment after segment and keeps only the states between them; see ``tinyseq.replay.segments``.

    ``check=True`` verifies each plan before it runs, pass by pass and as a whole against its tape, and compares its
    first run with the reference executor; raises TapeError where they differ.
    """
    if checkpoint:
        from tinyseq.replay.segments import Segmented

        return Segmented(function, checkpoint)
    return CompiledFunction(function, check)
