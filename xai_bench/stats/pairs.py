"""Paired differences between names: explainers of a model, or models under an explainer."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import UnknownNameError
from xai_bench.runs.run import Run
from xai_bench.stats import power, signed
from xai_bench.stats.blocks import Block, Group, blocks, by_image, checked_across, groups, in_order_of
from xai_bench.stats.correction import holm
from xai_bench.stats.estimates import estimate
from xai_bench.stats.intervals import bonett_price, by_count, student
from xai_bench.stats.resampling import LEVEL, Numbers

DIFFERENCES = ["across", "data", "metric", "fixed", "a", "b", "mean_a", "mean_b"]
DIFFERENCES += ["difference", "low", "high", "p", "p_holm", "n", "undefined", "better", "note"]
DIFFERENCES += ["effect", "needed", "sd_images", "seeds", "sd_seeds", "agree"]
CEILING = "ceiling"  # told where the object is: it does not win
ALL_PAIRS = 30  # names; more are compared with the best and with the controls only
CONTROLS = ("control", CEILING)  # kinds of explainers
SHORTENED = "only the best and the controls are compared with all"
AT_ONCE = 2**22  # differences in memory


class Pairs(NamedTuple):
    """Columns of a block that are subtracted, each (P,)."""

    a: NDArray[np.intp]
    b: NDArray[np.intp]
    images: NDArray[np.intp]  # that any name of the group has
    short: NDArray[np.bool_]  # of a group in which not all are compared


def paired(run: Run, across: str = "explainer", test: str = "wilcoxon") -> pd.DataFrame:
    """Differences a - b between every two explainers of a model (or models under an explainer), paired by image.

    Interval: Student's, of hits Bonett and Price's; differences are less skewed than scores, and where their tails are
    heavy it holds better than a bootstrap. `p` from Wilcoxon's signed-rank test by image, or from a permutation test of
    the mean (`test="permutation"`); of hits from the exact sign test; over several seeds the larger of that of the
    images' means and that of `estimates.crossed`. `p_holm` is corrected over all rows of the metric: each metric is a
    question of its own. `better` names the winner only where p_holm < 0.05, the interval excludes 0, and mean and ranks
    are for the same name. `effect` is the rank-biserial correlation, `needed` the images that would tell a difference
    of this size and shape with 80 % power, before Holm (nan over several seeds: more images replace no trainings),
    `agree` in how many of the `seeds` the difference has the sign of the mean. Metrics of a whole set are left out.
    Above 30 names each is compared with the best (that is no ceiling) and with the controls only.
    """
    checked_across(across)
    if test not in signed.TESTS:
        raise UnknownNameError.of("test", test, signed.TESTS)
    kinds = {name: str(facts.get("kind")) for name, facts in run.explainers.items()} if across == "explainer" else {}
    parts = [_differences(block, part, across, test) for block in blocks(run) for part in _pairs(block, across, kinds)]
    if not parts:
        return pd.DataFrame(columns=DIFFERENCES)
    frame = pd.concat(parts, ignore_index=True).assign(across=across)
    rows = run.scores.assign(fixed=run.scores["model" if across == "explainer" else "explainer"])
    frame = in_order_of(frame, rows, ["data", "metric", "fixed"])
    frame["p_holm"] = frame.groupby("metric")["p"].transform(lambda p: holm(p.to_numpy(np.float64)))
    frame["better"] = _winners(frame, run)
    return frame[DIFFERENCES]


def _pairs(block: Block, across: str, kinds: Mapping[str, str]) -> Iterator[Pairs]:
    """All pairs of all groups, as many at a time as memory should hold."""
    means, there = _means(by_image(block.scores, block.there)) * (block.sign or 1), np.asarray(block.there.any(axis=0))
    parts = [_group_pairs(group, means, there, kinds) for group in groups(block, across)]
    found = [np.concatenate(part) for part in zip(*parts, strict=True)]
    size = max(1, AT_ONCE // max(1, block.scores[:, :, 0].size))
    for start in range(0, len(found[0]), size):
        a, b, images, short = (part[start : start + size] for part in found)
        yield Pairs(a, b, images, short.astype(bool))


def _group_pairs(group: Group, means: Numbers, there: NDArray[np.bool_], kinds: Mapping[str, str]) -> Pairs:
    first, second = np.triu_indices(len(group.names), 1)
    short = len(group.names) > ALL_PAIRS
    if short:
        wanted = np.array([kinds.get(name) in CONTROLS for name in group.names])
        beyond = np.array([kinds.get(name) == CEILING for name in group.names])
        wanted[np.where(beyond | np.isnan(means[group.columns]), -np.inf, means[group.columns]).argmax()] = True
        kept = wanted[first] | wanted[second]
        first, second = first[kept], second[kept]
    images = int(there[:, group.columns].any(axis=1).sum())
    return Pairs(
        group.columns[first], group.columns[second], np.full(len(first), images), np.full(len(first), fill_value=short)
    )


def _differences(block: Block, pairs: Pairs, across: str, test: str) -> pd.DataFrame:
    there = block.there[:, :, pairs.a] & block.there[:, :, pairs.b]
    # rounding in the last bit is no difference
    apart = np.round(block.scores[:, :, pairs.a] - block.scores[:, :, pairs.b], 12)
    low, high = block.bounds
    found = estimate(apart, there, bonett_price if block.binary else student, (low - high, high - low))
    images = by_image(apart, there)
    names, held = block.cells[across].to_numpy(), block.cells["model" if across == "explainer" else "explainer"]
    sides = {
        f"mean_{side}": _means(by_image(np.where(np.isnan(apart), np.nan, block.scores[:, :, columns]), there))
        for side, columns in (("a", pairs.a), ("b", pairs.b))
    }
    p, effect, needed = _judged(images, test, binary=block.binary)
    facts = found._asdict() | sides | {"difference": found.mean, "undefined": pairs.images - found.n}
    facts |= {"effect": effect, "needed": np.where(found.seeds > 1, np.nan, needed)}
    facts |= {"agree": _agree(apart, images, found.mean), "p": np.fmax(found.p, p)}
    short = np.where(pairs.short, SHORTENED, "")
    facts["note"] = ["; ".join(filter(None, parts)) for parts in zip(found.note, short, strict=True)]
    place = {"data": block.data, "metric": block.metric, "fixed": held.to_numpy()[pairs.a]}
    return pd.DataFrame(place | {"a": names[pairs.a], "b": names[pairs.b]} | facts)


def _judged(differences: Numbers, test: str, *, binary: bool) -> tuple[Numbers, Numbers, Numbers]:
    """By image: p, effect and images needed, each (P,); of (images, P) differences, nan where undefined."""
    p, effect, needed = np.full((3, differences.shape[1]), np.nan)
    tested = signed.sign if binary else signed.TESTS[test]
    sized = power.needed_hits if binary else power.NEEDED[test]
    for n, columns, places in by_count(np.isfinite(differences)):
        values = differences[places, columns]
        if n:
            p[columns], effect[columns] = tested(values), signed.rank_biserial(values)
        if n > 1:
            needed[columns] = sized(values)
    return p, effect, needed


def _agree(apart: Numbers, images: Numbers, mean: Numbers) -> NDArray[np.intp]:
    """Seeds whose mean difference, over the images that count, has the sign of the whole."""
    each = np.where(np.isfinite(images) & np.isfinite(apart), apart, 0.0).sum(axis=1)  # (seeds, P)
    return np.asarray(((np.sign(each) == np.sign(mean)) & np.isfinite(apart).any(axis=1)).sum(axis=0))


def _means(values: Numbers) -> Numbers:
    """Of each column, over what is defined; nan where nothing is."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0.0).sum(axis=0) / defined.sum(axis=0))


def _winners(frame: pd.DataFrame, run: Run) -> NDArray[Any]:
    sign = frame["metric"].map(
        lambda metric: {"higher": 1, "lower": -1}.get(run.cards.get(metric, {}).get("better", ""), 0)
    )
    decided = (frame["p_holm"] < 1 - LEVEL) & ((frame["low"] > 0) | (frame["high"] < 0)) & (sign != 0)
    decided &= frame["effect"] * frame["difference"] > 0  # ranks may be for one name and the mean for the other
    return np.where(~decided, "", np.where(frame["difference"] * sign > 0, "a", "b"))
