"""What the environment asks of plans: TINYSEQ_WITHOUT, TINYSEQ_CHECK. A plan made for one wish serves no other."""

from __future__ import annotations

import os

WITHOUT, CHECK = "TINYSEQ_WITHOUT", "TINYSEQ_CHECK"


def wishes() -> tuple[str, str]:
    """What both variables hold now."""
    return os.environ.get(WITHOUT, ""), os.environ.get(CHECK, "0")
