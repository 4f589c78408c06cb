"""The margins of a gate written out, each with its unit and where the number comes from."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from xai_bench.gate.margins import OF_RANGE, OF_SPREAD, Margins
from xai_bench.gate.verdicts import SIGNS, is_hit
from xai_bench.runs.run import Run
from xai_bench.setup_gate.toml_lines import in_lines
from xai_bench.stats.blocks import bounds_of

OF_HITS = 0.05  # of images; a hit or a miss says less of an image than a number does, and 2 % would need thousands
HEAD = """\
# How much worse explanations may get before `xai-bench check` says regression. Worse is worse whatever the direction;
# each margin is in its metric's own unit, and a worsening of twice the margin is meant to be caught.
"""


def written(run: Run) -> Margins:
    """The margins of a run's metrics, to three digits; controls decide nothing."""
    metrics = [str(metric) for metric in run.scores["metric"].unique()]
    judged = [metric for metric in metrics if run.cards.get(metric, {}).get("better") in SIGNS]
    controls = tuple(str(name) for name in run.scores["explainer"].unique() if _is_control(run, str(name)))
    return Margins(margins={metric: _margin(metric, run) for metric in judged}, ignore=controls)


def text(margins: Margins, run: Run) -> str:
    """The TOML file, every number with its reason."""
    return HEAD + "\n".join([*_head(margins), "", "[margins]", *_lines(margins, run), ""])


def _margin(metric: str, run: Run) -> float:
    return OF_HITS if _is_hit(metric, run) else float(f"{Margins().of(metric, run):.3g}")


def _is_hit(metric: str, run: Run) -> bool:
    """Hits of a whole set are a share already."""
    scores = run.scores.loc[(run.scores["metric"] == metric) & (run.scores["sample"] != "*"), "score"]
    card = run.cards.get(metric, {})
    return card.get("scope") != "set" and is_hit(card, [scores.to_numpy(np.float64)])


def _is_control(run: Run, explainer: str) -> bool:
    """Knows nothing of the model, or is told where the object is: no explanation that could get worse."""
    return run.explainers.get(explainer, {}).get("kind") in ("control", "ceiling")


def _head(margins: Margins) -> Iterator[str]:
    yield _line("alpha", margins.alpha, "false alarms per check, over all its cells together")
    yield _line(
        "undefined", margins.undefined, "share of a cell's images that may lose their score; more is a regression"
    )
    if margins.ignore:
        yield _line("ignore", list(margins.ignore), "decide nothing: controls are no explanations that could get worse")


def _lines(margins: Margins, run: Run) -> Iterator[str]:
    for metric, margin in margins.margins.items():
        card = run.cards.get(metric, {})
        yield _line(metric, margin, f"{card.get('better')} is better; {_reason(metric, card, margin, run)}")


def _reason(metric: str, card: Mapping[str, Any], margin: float, run: Run) -> str:
    low, high = bounds_of(card)
    if _is_hit(metric, run):
        return f"hit or miss: {margin:.0%} of the images".replace("%", " %")
    if math.isfinite(high - low):
        return f"{OF_RANGE:.0%} of its range, {low:g} to {high:g}".replace("%", " %")
    if card.get("scope") == "set":
        return f"without bounds: {_of_one_image(margin)}"
    if not margin:
        return "without bounds, and all its scores are equal: say what is allowed"
    return f"without bounds: a tenth of the standard deviation of its scores, {margin / OF_SPREAD:.3g}"


def _of_one_image(margin: float) -> str:
    """Where the default margin of a whole set's number comes from."""
    if not margin:
        return "and nothing is known of what one image adds to the set's number: say what is allowed"
    return f"a tenth of the standard deviation of what one image adds to the set's number, {margin / OF_SPREAD:.3g}"


def _line(key: str, value: Any, why: str) -> str:
    return f"{in_lines({key: value})[0]} # {why}"
