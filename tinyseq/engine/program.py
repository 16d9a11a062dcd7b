"""The old path of ``tinyseq.engine.machine.program``."""

from tinyseq.engine.machine.program import Program  # noqa: F401
