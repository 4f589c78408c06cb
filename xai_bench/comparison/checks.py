"""What cannot be compared, each in one sentence that says what differs and what to do."""

from collections.abc import Mapping, Sequence

import numpy as np

from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.runs.identity import changed, contrast, data_prints, metric_specs
from xai_bench.runs.run import Run

Named = tuple[str, Run]  # how the user calls the run
Models = Mapping[str, str]  # model of the reference -> model of the other run
SHOWN = 3


def check_runs(runs: Sequence[Named]) -> None:
    """Two runs or more, none of them empty, none twice."""
    if len(runs) < 2:
        raise InvalidValueError(
            f"a comparison needs two runs or more, got {len(runs)}; `xai-bench report` shows one alone"
        )
    seen: dict[int, str] = {}
    for name, run in runs:
        if run.scores.empty:
            raise RunError(f"run {name!r} has no scores, so there is nothing to compare; run its suite first")
        if id(run) in seen:
            raise RunError(f"run {name!r} is given twice; name two different runs")
        seen[id(run)] = name


def check_match(reference: Named, others: Sequence[Named], match: Models) -> None:
    """Every name of `match` is a model of its run, and stands for one."""
    old, new = models_of(reference[1]), [model for _, run in others for model in models_of(run)]
    for model, counterpart in match.items():
        if model not in old:
            raise UnknownNameError.of(f"model of the reference {reference[0]!r}", model, old)
        if counterpart not in new:
            raise UnknownNameError.of("model of the compared runs", counterpart, new)
        if list(match.values()).count(counterpart) > 1:
            raise InvalidValueError(f"model {counterpart!r} cannot stand for two models of the reference")


def matched(reference: Named, other: Named, match: Models) -> Models:
    """Which model is held against which: as asked, else of the same name, else the only one of each run."""
    old, new = models_of(reference[1]), models_of(other[1])
    if not match and len(old) == len(new) == 1:
        return {old[0]: new[0]}
    same = {model: model for model in old if model not in match.values()}
    return {model: counterpart for model, counterpart in {**same, **match}.items() if counterpart in new}


SAME_WAY = "score both the same way, or name the metrics to compare (--metric)"
DRAWN = "; images that are generated are drawn by the suite's seed unless the data have a seed of their own"


def refuse(reference: Named, other: Named, remedy: str = SAME_WAY) -> None:
    """What cannot be compared, in one sentence that says what to do: for another spec, the remedy."""
    (old_name, old), (new_name, new) = reference, other
    if names := changed(data_prints(old), data_prints(new)):
        raise RunError(_other_images(names[0], reference, other))
    if names := changed(metric_specs(old), metric_specs(new)):
        here, there = contrast(metric_specs(old)[names[0]], metric_specs(new)[names[0]])
        raise RunError(
            f"metric {names[0]!r} measures something else in {new_name!r} ({there}) than in {old_name!r} ({here}); "
            f"{remedy}"
        )


def _other_images(data: str, reference: Named, other: Named) -> str:
    """Which images only one of them has, or that the same ones were prepared otherwise."""
    (old_name, old), (new_name, new) = reference, other
    there = [set(run.scores.loc[run.scores["data"] == data, "sample"].astype(str)) - {"*"} for run in (old, new)]
    only = [
        (name, sorted(mine - theirs))
        for name, mine, theirs in zip((old_name, new_name), there, there[::-1], strict=True)
    ]
    parts = [f"{len(samples):,} only in {name!r}, such as {samples[0]!r}" for name, samples in only if samples]
    same = "of the same names, but not the same (their pixels, size, labels or regions, or the version that draws them)"
    drawn = DRAWN if set(old.scores["seed"]) != set(new.scores["seed"]) else ""
    return (
        f"data {data!r} hold other images in {new_name!r} than in {old_name!r}: {', '.join(parts) or same}; score both "
        f"on the same data{drawn}"
    )


def nothing_shared(reference: Named, other: Named, models: Models) -> str:
    """Which kind of name the runs have nothing of in common."""
    hint = {
        "model": "say which stands for which with --match OLD=NEW",
        "data": "score both on the same data, under one label",
        "metric": "score both by the same metrics",
        "explainer": "score the same explainers in both",
    }
    for kind, what in hint.items():
        old, new = (sorted(map(str, run.scores[kind].unique())) for _, run in (reference, other))
        if not (models if kind == "model" else set(old) & set(new)):
            return (
                f"runs {reference[0]!r} and {other[0]!r} share no {kind} ({some(old)} and {some(new)}), so nothing "
                f"can be compared; {what}"
            )
    return (
        f"runs {reference[0]!r} and {other[0]!r} share no image under any model, explainer and metric that both have, "
        "so nothing can be compared; score both on the same data"
    )


def nothing_defined(reference: Named, other: Named) -> str:
    """No image has a score of both; the commonest reason of each run says why."""
    why = "; ".join(f"in {name!r} {_lost(run)}" for name, run in (reference, other))
    return (
        f"runs {reference[0]!r} and {other[0]!r} have no image on which both scores are defined ({why}), so nothing "
        "can be compared; `xai-bench report` of each lists what is undefined and why"
    )


def _lost(run: Run) -> str:
    """`12 of 12 scores are undefined: no region`."""
    scores = run.scores
    lost = scores[~np.isfinite(scores["score"])]
    reasons = lost["reason"].fillna("").astype(str).replace("", "no reason given").value_counts()
    said = f": {reasons.index[0]}" if len(reasons) else ""
    return f"{len(lost):,} of {len(scores):,} scores are undefined{said}"


def models_of(run: Run) -> list[str]:
    """The models, in their order."""
    return [str(model) for model in run.scores["model"].unique()]


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
