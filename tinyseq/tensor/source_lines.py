"""Whose line of source asked for a node: the innermost caller that is not plumbing."""

from __future__ import annotations

import sys
from typing import Any

_internal_files: set[str] = {__file__}


def internal(file: str) -> None:
    """Mark a source file as tinyseq's plumbing: source lines on the tape are the callers'."""
    _internal_files.add(file)


def is_internal(frame: Any) -> bool:
    """Whether a frame is tinyseq's plumbing."""
    return frame.f_code.co_filename in _internal_files


def source_line() -> tuple[str, int]:
    """File and line of the innermost caller that is not plumbing."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename in _internal_files and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
