"""xai_bench measures how good the explanations of vision models are.

Names are imported when first used (PEP 562), so that reports, which need no torch, do not pay for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xai_bench.api import EXPLAINERS, METRICS, REMOVALS, evaluate, explain, load_data, load_model, run_suite, score
    from xai_bench.errors import XaiBenchError
    from xai_bench.results import Comparison, Results, check, compare, load_results
    from xai_bench.runs.suite import Suite

__version__ = "0.1.0"

_HOMES = {
    "Comparison": "results",
    "EXPLAINERS": "api",
    "METRICS": "api",
    "REMOVALS": "api",
    "Results": "results",
    "Suite": "runs.suite",
    "XaiBenchError": "errors",
    "check": "results",
    "compare": "results",
    "evaluate": "api",
    "explain": "api",
    "load_data": "api",
    "load_model": "api",
    "load_results": "results",
    "run_suite": "api",
    "score": "api",
}

__all__ = [
    "EXPLAINERS",
    "METRICS",
    "REMOVALS",
    "Comparison",
    "Results",
    "Suite",
    "XaiBenchError",
    "check",
    "compare",
    "evaluate",
    "explain",
    "load_data",
    "load_model",
    "load_results",
    "run_suite",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'xai_bench' has no attribute {name!r}")
    return getattr(import_module(f"xai_bench.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
