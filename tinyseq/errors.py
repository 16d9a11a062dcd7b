"""The errors and warnings of tinyseq. Each says what was given, what was expected, what to type instead."""

from __future__ import annotations

import os
import sys
import warnings

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep  # the folder of these sources


class TinyseqError(Exception):
    """Base of every error that tinyseq raises on purpose."""


class ShapeError(TinyseqError, ValueError):
    """Shapes, axes or sizes that do not fit the operation."""


class DtypeError(TinyseqError, TypeError):
    """Mixed dtypes, or integers where floating point is needed."""


class TapeError(TinyseqError, RuntimeError):
    """An operation without a tape, across two tapes, or a tape that breaks its own rules."""


class OpError(TapeError):
    """The record of an op that contradicts itself, or a name that another op or kernel has."""


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


class TinyseqWarning(UserWarning):
    """Base of every warning of tinyseq: what runs is right, but not as one would wish."""


class FallbackWarning(TinyseqWarning):
    """A graph has no plan: it runs node by node on the reference executor, which is much slower."""


class RecordingWarning(TinyseqWarning):
    """A compiled function is recorded again and again, which takes longer than running what was recorded."""


def warn(message: str, category: type[TinyseqWarning]) -> None:
    """Warn at the line of the user's that called tinyseq."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
