"""The errors tinyseq raises. Each message says what was given, what was expected, what to type instead."""

from __future__ import annotations


class TinyseqError(Exception):
    """Base of every error that tinyseq raises on purpose."""


class ShapeError(TinyseqError, ValueError):
    """Shapes, axes or sizes that do not fit the operation."""


class DtypeError(TinyseqError, TypeError):
    """Mixed dtypes, or integers where floating point is needed."""


class TapeError(TinyseqError, RuntimeError):
    """An operation without a tape, across two tapes, or a tape that breaks its own rules."""


class GradientError(TinyseqError, RuntimeError):
    """A backward pass that cannot be run as asked."""


class DataError(TinyseqError, ValueError):
    """Input data that cannot be used: tokens, targets, text, lengths, trees."""


class FileError(TinyseqError, OSError):
    """A file that is missing, damaged, foreign or cannot be written."""


class CallError(TinyseqError, TypeError):
    """A function or constructor called with arguments that it does not take, or without one that it needs."""


class NameMissing(TinyseqError, AttributeError):
    """A name that there is in another library, and not here."""
