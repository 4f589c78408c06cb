"""Ranks of explainers (or models) over images: mean ranks, Friedman's test, and the critical difference."""

import pandas as pd

from xai_bench.runs.run import Run

RANKS = ["across", "data", "metric", "fixed", "name", "rank", "n"]  # rank 1 is best; ties share
FRIEDMAN = ["across", "data", "metric", "fixed", "statistic", "p", "names", "n", "critical_difference", "note"]


def mean_ranks(run: Run, across: str = "explainer") -> pd.DataFrame:
    """Mean rank over images of each explainer of a model (or model under an explainer), per metric."""
    del run, across
    return pd.DataFrame(columns=RANKS)


def friedman(run: Run, across: str = "explainer") -> pd.DataFrame:
    """Friedman's test and Nemenyi's critical difference of mean ranks, per metric and model (or explainer)."""
    del run, across
    return pd.DataFrame(columns=FRIEDMAN)
