"""Looking into a tape: gradient checks, the ledger of a gradient."""

from tinyseq.diagnose.gradcheck import Check, Report, gradcheck
from tinyseq.diagnose.ledger import Ledger, contributions, ledger
from tinyseq.diagnose.truncation import Cut, Truncations, kept_bytes, reaches, truncation

__all__ = [
    "Check",
    "Cut",
    "Ledger",
    "Report",
    "Truncations",
    "contributions",
    "gradcheck",
    "kept_bytes",
    "ledger",
    "reaches",
    "truncation",
]
