"""Runs of one suite under several seeds as one run, whose rows stand side by side by their seed. No torch."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from xai_bench.errors import RunError
from xai_bench.runs.identity import changed, contrast, data_prints, explainer_specs, metric_specs, model_prints
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run, StoredRun

CELL = ["data", "model", "explainer", "metric"]
ORIGIN = ("seed", "created", "versions", "machine")  # what is kept of each run's own account
Named = tuple[str, Run]  # how the user calls the run


def joined(runs: Sequence[Named]) -> Run:
    """One run of them all: rows of every seed; curves are the means over seeds of each image, the gallery the first's.

    Records of metrics of a whole set are those of the first run. RunError where two have the same seed, or where data,
    metrics, explainers or cells differ; other weights under a name are noted.
    """
    if not runs:
        raise RunError("no run to join; name at least one run folder")
    if len(runs) == 1:
        return runs[0][1]
    _refuse_equal_seeds(runs)
    for name, run in runs[1:]:
        _refuse_differences(runs[0], (name, run))
    first = runs[0][1]
    notes = [*first.info.get("notes", ()), *_other_weights(runs)]
    seeds = [seed for _, run in runs for seed in _seeds(run)]
    return StoredRun(
        scores=_stacked([run.scores for _, run in runs], SCORE_COLUMNS),
        curves=lambda metrics: _curves([run for _, run in runs], metrics),
        cards=first.cards,
        explainers=first.explainers,
        info={**first.info, "notes": notes, "seed": seeds, "joined": {name: _origin(run) for name, run in runs}},
        gallery=lambda: first.gallery,
    )


def _origin(run: Run) -> dict[str, Any]:
    return {key: run.info[key] for key in ORIGIN if key in run.info}


def _seeds(run: Run) -> list[int]:
    return sorted(int(seed) for seed in run.scores["seed"].unique())


def _refuse_equal_seeds(runs: Sequence[Named]) -> None:
    seen: dict[int, str] = {}
    for name, run in runs:
        if run.scores.empty:
            raise RunError(f"run {name!r} has no scores, so it cannot be joined; leave it out or run its suite")
        for seed in _seeds(run):
            if seed in seen:
                raise RunError(
                    f"runs {seen[seed]!r} and {name!r} both have seed {seed}; runs are joined over different seeds, so "
                    "give each suite its own, leave one run out, or compare them with `xai-bench compare`"
                )
            seen[seed] = name


def _refuse_differences(first: Named, other: Named) -> None:
    for kind, facts in (("data", data_prints), ("metric", metric_specs), ("explainer", explainer_specs)):
        old, new = facts(first[1]), facts(other[1])
        if names := changed(old, new):
            here, there = contrast(old[names[0]], new[names[0]])
            raise RunError(
                f"{kind} {names[0]!r} is not the same in the runs ({here} in {first[0]!r}, {there} in {other[0]!r}); "
                "only runs of one suite that differ in their seed can be joined"
            )
    for has, lacks in ((first, other), (other, first)):
        if missing := sorted(_cells(has[1]) - _cells(lacks[1])):
            data, model, explainer, metric = missing[0]
            of = f"{metric!r} of {model!r}" if explainer == "none" else f"{metric!r} of {explainer!r} on {model!r}"
            raise RunError(
                f"run {has[0]!r} has {of}, {data!r}, run {lacks[0]!r} has not ({len(missing)} such); only runs of one "
                "suite that differ in their seed can be joined, so finish the one or leave it out"
            )


def _cells(run: Run) -> set[tuple[str, ...]]:
    return set(run.scores[CELL].drop_duplicates().astype(str).itertuples(index=False, name=None))


def _other_weights(runs: Sequence[Named]) -> list[str]:
    prints = [model_prints(run) for _, run in runs]
    names = [name for name in prints[0] if len({found[name] for found in prints}) > 1]
    return [f"Model {name} has other weights in the runs that were joined." for name in names]


def _stacked(frames: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Rows below each other; categories stay categories, in the order of the first frame."""
    found = {}
    for name in columns:
        parts = [frame[name] for frame in frames]
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            found[name] = pd.Series(union_categoricals(parts))
        else:
            found[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(found, columns=list(columns))


def _curves(runs: Sequence[Run], metrics: Collection[str] | None) -> pd.DataFrame:
    """One curve per image: the mean over seeds, each a straight line between the points at which it was evaluated."""
    of_sets = {name for name, card in runs[0].cards.items() if card.get("scope") == "set"}
    parts = [run.curves if metrics is None else run.points(metrics) for run in runs]
    records = parts[0][parts[0]["metric"].isin(of_sets)]
    parts = [part[~part["metric"].isin(of_sets)].assign(run=number) for number, part in enumerate(parts)]
    whole = _stacked(parts, [*CURVE_COLUMNS, "run"])
    means = [_mean_curves(part) for _, part in whole.groupby("metric", sort=False, observed=True)]
    return pd.concat([records, *means], ignore_index=True)[list(CURVE_COLUMNS)]


def _mean_curves(points: pd.DataFrame) -> pd.DataFrame:
    """Points of one metric, with the number of their `run`, as the points of the mean curve of each image."""
    image = [*CELL, "sample"]
    keys = points[image].drop_duplicates().reset_index(drop=True)
    codes = points.groupby(image, sort=False, observed=True).ngroup()
    wide = points.assign(image=codes).pivot(index=["image", "run"], columns="fraction", values="value")  # noqa: PD010
    if wide.isna().any(axis=None):
        wide = wide.interpolate(axis=1, method="index", limit_area="inside")
    means = wide.groupby(level="image").mean()
    rows, columns = np.nonzero(means.notna().to_numpy())
    values = {"fraction": means.columns.to_numpy()[columns], "value": means.to_numpy()[rows, columns]}
    return keys.iloc[means.index[rows]].reset_index(drop=True).assign(**values)
