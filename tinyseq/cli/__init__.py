"""The command line: ``tinyseq`` and ``python -m tinyseq``."""

from tinyseq.cli.app import app, main

__all__ = ["app", "main"]
