"""Looking into a tape: gradient checks, the ledger of a gradient, its flow through time, where NaN begins."""

from tinyseq.diagnose.gradcheck import Check, Report, gradcheck
from tinyseq.diagnose.gradient_flow import GradientFlow, gradient_flow
from tinyseq.diagnose.ledger import Ledger, contributions, ledger

__all__ = ["Check", "GradientFlow", "Ledger", "Report", "contributions", "gradcheck", "gradient_flow", "ledger"]
