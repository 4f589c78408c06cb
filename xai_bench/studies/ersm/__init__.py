"""Energy-regularised spatial masking (arXiv 2604.06893), judged by its own claims."""

from xai_bench.studies.ersm.settings import ErsmSettings
from xai_bench.studies.ersm.study import run_ersm

__all__ = ["ErsmSettings", "run_ersm"]
