"""Python functions as machine code that is kept on disk and never stale."""

from tinyseq.jit.decorators import FASTMATH, FLAGS, inlined, kernel, kernel_from_source

__all__ = ["FASTMATH", "FLAGS", "inlined", "kernel", "kernel_from_source"]
