"""Why a tape has no program."""

from __future__ import annotations


class Later(str):
    """Why a tape has no plan for its members together. One by one they may have one, which takes long to make: it is
    worth it for what is run again."""
