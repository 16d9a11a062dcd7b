"""``ts.compile``: a function recorded once, then only run."""

from tinyseq.replay.compiling import compile

__all__ = ["compile"]
