"""The gate: did explanations get worse than a reference says they were? Yes, no, or the data cannot tell.

Starts quickly, as a step of CI should: no torch, no matplotlib, no scipy.stats.
"""

from xai_bench.gate.check import Check, check
from xai_bench.gate.margins import Margins
from xai_bench.gate.verdicts import VERDICTS, Verdict

__all__ = ["VERDICTS", "Check", "Margins", "Verdict", "check"]
