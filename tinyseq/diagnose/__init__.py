"""Looking into a tape: gradient checks, the ledger of a gradient, its flow through time, where NaN begins."""

from tinyseq.diagnose.gradcheck import Check, Report, gradcheck
from tinyseq.diagnose.gradient_flow import GradientFlow, gradient_flow
from tinyseq.diagnose.ledger import Ledger, contributions, ledger
from tinyseq.diagnose.nonfinite import NonFinite, find_nonfinite

__all__ = [
    "Check",
    "GradientFlow",
    "Ledger",
    "NonFinite",
    "Report",
    "contributions",
    "find_nonfinite",
    "gradcheck",
    "gradient_flow",
    "ledger",
]
