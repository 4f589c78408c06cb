"""What a reader must know within ten seconds: what was compared, what is certain, and what is undefined."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xai_bench.digits import ranged
from xai_bench.grammar import counted, quoted, series
from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.words.findings import telling

SHOWN = 3  # models, metrics or reasons that are named one by one
Win = tuple[str, str, str, str, str]  # data, metric, model, winner, loser
Ranking = tuple[str, str, str]  # data, metric, model


@dataclass(frozen=True)
class Summary:
    """A few sentences, each of which can stand alone."""

    compared: str
    certain: tuple[str, ...]  # what the tests decide, and what they leave open
    undefined: str

    @property
    def text(self) -> str:
        """All of it as one paragraph."""
        return " ".join((self.compared, *self.certain, self.undefined))


def summary(analysis: Analysis) -> Summary:
    """The sentences for the top of a page, from the numbers."""
    return Summary(_compared(analysis), tuple(_certain(analysis)), _undefined(analysis))


def _compared(analysis: Analysis) -> str:
    """`Compared: 2 explainers (energy and ig) and 1 control (random) of 1 model (m), by 3 metrics, on 60 images.`."""
    scores = analysis.run.scores
    explainers = [name for name in analysis.floor_last(unique(scores["explainer"])) if name != "none"]
    controls = [name for name in explainers if analysis.kind(name) == "control"]
    ceilings = [name for name in explainers if analysis.kind(name) == "ceiling"]
    others = [name for name in explainers if name not in (*controls, *ceilings)]
    named = (_named(others, "explainer"), _named(controls, "control"), _named(ceilings, "ceiling"))
    what = series([text for text in named if text])
    models = _named(unique(scores["model"]), "model")
    of = f"{what} of {models}" if what else models
    metrics, seeds = counted(scores["metric"].nunique(), "metric"), scores["seed"].nunique()
    again = f", under {counted(seeds, 'seed')}" if seeds > 1 else ""
    return f"Compared: {of}, by {metrics}, on {_images(scores)}{again}."


def _images(scores: pd.DataFrame) -> str:
    """`1,000 images of each of photographs and "sketches, grey"`."""
    images = scores.loc[scores["sample"] != "*", ["data", "sample"]].drop_duplicates()
    counts = {str(name): int(count) for name, count in images["data"].value_counts(sort=False).items() if count}
    names = [quoted(name) for name in unique(scores["data"])]
    if not counts:
        return series(names, SHOWN)
    if len(set(counts.values())) > 1 or len(counts) < len(names):
        return series([f"{counted(count, 'image')} of {quoted(name)}" for name, count in counts.items()], SHOWN)
    each = "each of " if len(names) > 1 else ""
    return f"{counted(next(iter(counts.values())), 'image')} of {each}{series(names, SHOWN)}"


def _named(names: "tuple[str, ...] | list[str]", noun: str) -> str:
    return f"{counted(len(names), noun)} ({series([quoted(name) for name in names], SHOWN)})" if names else ""


def _certain(analysis: Analysis) -> Iterator[str]:
    yield from _models(analysis)
    rankings = _rankings(analysis)
    if rankings:
        yield from _share(analysis, _rivals(analysis), "explainers of a model")
        yield from _leaders(analysis, rankings)
        yield from _floor(analysis, rankings)


def _models(analysis: Analysis) -> Iterator[str]:
    yield from _share(analysis, analysis.models, "models")
    yield from _winners(analysis)


def _share(analysis: Analysis, table: pd.DataFrame, between: str) -> Iterator[str]:
    """How many differences the tests decide; nothing where none was tested."""
    tested = table[table["p_holm"].notna()]
    decided, count = int((tested["better"] != "").sum()), counted(len(tested), "difference")
    seeds = analysis.run.scores["seed"].nunique()
    paired = f"paired by image over {seeds} seeds" if seeds > 1 else "paired by image"
    if decided:
        said = "is" if decided == 1 else "are"
        yield f"{decided:,} of {count} between {between} {said} significant ({paired}, Holm-corrected, 5 %)."
    elif len(tested):
        yield f"None of {count} between {between} is significant."


def _winners(analysis: Analysis) -> Iterator[str]:
    """Which models are better in what: the most telling metrics first, and of a metric the clearest differences."""
    won = analysis.models[analysis.models["better"] != ""]
    if won.empty:
        return
    maps = won["fixed"].map(lambda name: _maps(analysis, str(name))).astype(int)
    place = won["metric"].map(lambda metric: telling(analysis, str(metric))).astype(int)
    ordered = won.assign(maps=maps, place=place, unclear=-won["effect"].abs())
    ordered = ordered.sort_values(["maps", "place", "unclear"], kind="stable")
    said = [_win(row) for row in ordered.head(SHOWN).to_dict("records")]
    more = f"; and {len(won) - SHOWN:,} more" if len(won) > SHOWN else ""
    yield f"Better models: {'; '.join(said)}{more}."


def _maps(analysis: Analysis, explainer: str) -> int:
    """The models alone come before their maps, and those before maps that know nothing of the model."""
    return 0 if explainer == "none" else 2 if analysis.kind(explainer) in ("control", "ceiling") else 1


def _win(row: Mapping[Any, Any]) -> str:
    """`resnet50 beats vgg16 on top1 (photographs: +0.04 [0.02, 0.06])`."""
    sides = ("a", "b") if row["better"] == "a" else ("b", "a")
    ends = row["difference"], row["low"], row["high"]
    size = ranged(*(ends if sides[0] == "a" else (-ends[0], -ends[2], -ends[1])), signed=True)
    winner, loser = (quoted(str(row[side])) for side in sides)
    by = "" if row["fixed"] == "none" else f" with {quoted(str(row['fixed']))}"
    return f"{winner} beats {loser} on {row['metric']}{by} ({quoted(str(row['data']))}: {size})"


def _rivals(analysis: Analysis) -> pd.DataFrame:
    """Comparisons that say something of an explainer: no ceiling, and not a control against another one."""
    table = analysis.explainers
    first, second = (table[side].map(analysis.kind) for side in ("a", "b"))
    told, floor = (first == "ceiling") | (second == "ceiling"), (first == "control") & (second == "control")
    return table[~told & ~floor]


def _rankings(analysis: Analysis) -> dict[Ranking, pd.DataFrame]:
    """The cells of each model, metric and data set that rank two explainers or more, the best first; no ceiling."""
    cells = analysis.summary[[analysis.kind(name) != "ceiling" for name in analysis.summary["explainer"]]]
    cells = cells[(cells["explainer"] != "none") & cells["better"].isin(["higher", "lower"]) & cells["mean"].notna()]
    found = {}
    for key, group in cells.groupby(["data", "metric", "model"], sort=False, observed=True):
        if len(group) > 1:
            upwards = group["better"].iloc[0] == "lower"
            found[str(key[0]), str(key[1]), str(key[2])] = group.sort_values("mean", ascending=upwards, kind="stable")
    return found


def _leaders(analysis: Analysis, rankings: dict[Ranking, pd.DataFrame]) -> Iterator[str]:
    """Of each model the explainer that is most often best, or not shown to be worse than the best."""
    models = tuple(dict.fromkeys(model for _, _, model in rankings))
    for model in models[:SHOWN]:
        groups = [group for (_, _, name), group in rankings.items() if name == model]
        tops = Counter(str(name) for group in groups for name in group.loc[group["top"], "explainer"])
        of = counted(len(groups), "ranking")
        if not tops:
            yield f"For {quoted(model)}, none of {of} is decided: the images cannot tell its explainers apart."
            continue
        (first, most), *_ = tops.most_common(1)
        level = [analysis.marked(name) for name, count in tops.items() if count == most]
        said = f"{analysis.marked(first)} is" if len(level) == 1 else f"{series(level)} are each"
        best = f"best or level with the best in {most} of {of} (one per metric and data set)"
        yield f"For {quoted(model)}, {said} {best}."
    if len(models) > SHOWN:
        yield f"{counted(len(models) - SHOWN, 'more model')} below."


def _floor(analysis: Analysis, rankings: dict[Ranking, pd.DataFrame]) -> Iterator[str]:
    """Whether the best explainer is shown to beat the controls, which know nothing."""
    wins = _wins(analysis.explainers)
    beaten, failing = 0, []
    for (data, metric, model), group in rankings.items():
        names = unique(group["explainer"])
        controls = [name for name in names if analysis.kind(name) == "control"]
        others = [name for name in names if name not in controls]
        if not controls or not others:
            continue
        if all((data, metric, model, others[0], control) in wins for control in controls):
            beaten += 1
        else:
            failing.append(f"{metric} for {model}")
    if beaten + len(failing):
        said = f"The best explainer beats every control in {beaten} of {counted(beaten + len(failing), 'ranking')}"
        yield f"{said}, not on {series(list(dict.fromkeys(failing)), SHOWN, 'or')}." if failing else f"{said}."


def _wins(table: pd.DataFrame) -> set[Win]:
    columns = [table[name].astype(str) for name in ("data", "metric", "fixed", "a", "b", "better")]
    rows = zip(*columns, strict=True)
    return {(d, m, f, a, b) if side == "a" else (d, m, f, b, a) for d, m, f, a, b, side in rows if side}


def _undefined(analysis: Analysis) -> str:
    lost = analysis.undefined
    if lost.empty:
        return "Every score is defined."
    count = int(lost["undefined"].sum())
    reasons = lost.groupby("reason")["undefined"].sum().sort_values(ascending=False, kind="stable")
    why = series([f"{reason} ({number:,})" for reason, number in reasons.items()], SHOWN)
    metrics = series(unique(lost["metric"]), SHOWN)
    said = "is" if count == 1 else "are"
    return f"{count:,} of {counted(len(analysis.run.scores), 'score')} {said} undefined, in {metrics}: {why}."
