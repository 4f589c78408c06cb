"""Scores to statements: means with intervals, paired differences with corrected tests, ranks, aggregates."""

from xai_bench.stats.aggregates import aggregates, improvement, profiles
from xai_bench.stats.ranks import friedman, mean_ranks
from xai_bench.stats.scores import (
    CELL,
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    Numbers,
    curve_bands,
    holm,
    interval,
    paired,
    summary,
    top_marks,
)
from xai_bench.stats.undefined import undefined

__all__ = [
    "CELL",
    "LEVEL",
    "RESAMPLES",
    "SEED",
    "Interval",
    "Numbers",
    "aggregates",
    "curve_bands",
    "friedman",
    "holm",
    "improvement",
    "interval",
    "mean_ranks",
    "paired",
    "profiles",
    "summary",
    "top_marks",
    "undefined",
]
