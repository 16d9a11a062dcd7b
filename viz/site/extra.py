"""What the site is made with besides what tinyseq needs: the extra ``[site]``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tinyseq.errors import TinyseqError


def needed(name: str) -> Any:
    """A module of the extra. Raises TinyseqError that says how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise TinyseqError(f"the site needs {name.split('.')[0]}: pip install 'tinyseq[site]'") from error
