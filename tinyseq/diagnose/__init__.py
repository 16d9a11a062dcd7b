"""Looking into a tape: gradient checks, the ledger of a gradient."""

from tinyseq.diagnose.gradcheck import Check, Report, gradcheck
from tinyseq.diagnose.ledger import Ledger, contributions, ledger

__all__ = ["Check", "Ledger", "Report", "contributions", "gradcheck", "ledger"]
