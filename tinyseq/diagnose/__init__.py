"""Looking into a tape: gradient checks, the ledger of a gradient, its flow through time, what cuts take, NaN."""

from typing import TYPE_CHECKING

from tinyseq.diagnose.gradcheck import Check, Report, gradcheck
from tinyseq.diagnose.gradient_flow import GradientFlow, gradient_flow
from tinyseq.diagnose.ledger import Ledger, contributions, ledger
from tinyseq.diagnose.nonfinite import NonFinite, find_nonfinite
from tinyseq.diagnose.op_check import OpReport, check_op
from tinyseq.diagnose.truncation import Cut, Truncations, kept_bytes, reaches, truncation
from tinyseq.habits import module_names

__all__ = [
    "Check",
    "Cut",
    "GradientFlow",
    "Ledger",
    "NonFinite",
    "OpReport",
    "Report",
    "Truncations",
    "check_op",
    "contributions",
    "find_nonfinite",
    "gradcheck",
    "gradient_flow",
    "kept_bytes",
    "ledger",
    "reaches",
    "truncation",
]

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
