"""How much worse is allowed: a margin for each metric in its own unit, from a small TOML, expressions, or defaults."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.gate.cells import is_of_set
from xai_bench.gate.sets import contributions
from xai_bench.runs.run import Run
from xai_bench.toml import read_toml

OF_RANGE = 0.02  # of a bounded metric's range
OF_SPREAD = 0.1  # of the spread of an unbounded metric by image, cell by cell: half of Cohen's "small"
ANY = "*"
HUGE = 10**300  # beyond, a whole number of TOML is no float; it is refused like infinity
_EXPRESSION = re.compile(r"(?P<metric>.+):\s*(?P<what>\w+)\s*>\s*(?P<value>.+)")


@dataclass(frozen=True)
class Margins:
    """What is allowed. InvalidValueError where a value has the wrong sign, size or unit."""

    alpha: float = 0.05  # false alarms per check
    undefined: float = 0.0  # share of a cell's images that may lose their score: undecided, no regression
    margins: Mapping[str, float] = field(default_factory=dict)  # metric, its name or "*" -> worsening, in its own unit
    ignore: tuple[str, ...] = ()  # explainers, metrics, models or data that decide nothing

    def __post_init__(self) -> None:
        if not (_is_number(self.alpha) and 0 < self.alpha <= 0.5):
            raise InvalidValueError(
                f"alpha of margins must be above 0 and at most 0.5, such as 0.05, got {self.alpha!r}"
            )
        if not (_is_number(self.undefined) and 0 <= self.undefined <= 1):
            raise InvalidValueError(
                f"undefined of margins must be a share of images, from 0 to 1, got {self.undefined!r}"
            )
        for metric, margin in self.margins.items():
            _check_margin(metric, margin)

    @classmethod
    def read(cls, path: Path) -> "Margins":
        """The margins in a TOML file: alpha, undefined, ignore and a table `margins`."""
        return cls.given(read_toml(path, "margins"))

    @classmethod
    def given(cls, table: Mapping[str, Any]) -> "Margins":
        """The margins in a parsed table."""
        known = [item.name for item in fields(cls)]
        for key in table:
            if key not in known:
                raise UnknownNameError.of("key of margins", key, known)
        margins, ignore = table.get("margins", {}), table.get("ignore", ())
        if not isinstance(margins, Mapping):
            raise InvalidValueError(f"margins must be a table of metrics and numbers, got {margins!r}")
        if not isinstance(ignore, list | tuple) or not all(isinstance(name, str) for name in ignore):
            raise InvalidValueError(f"ignore of margins must be a list of names, got {ignore!r}")
        numbers = {key: table[key] for key in ("alpha", "undefined") if key in table}
        return cls(
            **numbers, margins={metric: _plain(margin) for metric, margin in margins.items()}, ignore=tuple(ignore)
        )

    def with_expressions(self, expressions: Sequence[str]) -> "Margins":
        """With what `--fail-on` says: `deletion: drop > 0.02`, `*: drop > 0.05`, `*: undefined > 0.05`.

        `drop` is a worsening in the metric's own unit, whatever its direction. Other metrics keep their margins.
        """
        made = self
        for text in expressions:
            metric, what, value = _parsed(text)
            if what == "drop":
                made = replace(made, margins={**made.margins, metric: value})
            else:
                made = replace(made, undefined=value)
        return made

    def of(self, metric: str, reference: Run) -> float:
        """The margin of a metric of the reference: its label's, its name's, that of "*", or the default.

        Default: 2 % of the range of a bounded metric; else a tenth of the standard deviation of its scores, of a metric
        of a whole set a tenth of the spread of what one image adds to it.
        """
        card = reference.cards.get(metric, {})
        for key in (metric, str(card.get("name")), ANY):
            if key in self.margins:
                return float(self.margins[key])
        if (span := _range(card)) < math.inf:
            return OF_RANGE * span
        return OF_SPREAD * _spread(metric, reference)

    def check(self, *runs: Run) -> None:
        """Refuse names that no run has, and margins that are no smaller than the range of their metric."""
        names = {
            str(name) for run in runs for key in ("data", "model", "explainer") for name in run.scores[key].unique()
        }
        labels = {str(label): run.cards.get(str(label), {}) for run in runs for label in run.scores["metric"].unique()}
        metrics = {*labels, *(str(card["name"]) for card in labels.values() if "name" in card)}
        for metric in self.margins:
            if metric not in metrics | {ANY}:
                raise UnknownNameError.of("metric of margins", metric, metrics)
        for name in self.ignore:
            if name not in names | metrics:
                raise UnknownNameError.of("name to ignore", name, names | metrics)
        for label, card in labels.items():
            key = next((key for key in (label, str(card.get("name")), ANY) if key in self.margins), None)
            if key is not None and self.margins[key] >= (span := _range(card)):
                raise InvalidValueError(
                    f"margin {self.margins[key]:g} of {label!r} is not below the range of its scores, {span:g}: a "
                    f"margin is in the metric's own unit, two per cent of the range are {OF_RANGE * span:g}"
                )

    def ignores(self, metric: str, card: Mapping[str, Any], *names: str) -> bool:
        """Whether a cell of this metric, data, model and explainer decides nothing."""
        return not {metric, str(card.get("name")), *names}.isdisjoint(self.ignore)


def _parsed(text: str) -> tuple[str, str, float]:
    parts = _EXPRESSION.fullmatch(text.strip())
    if not parts or parts["what"] not in ("drop", "undefined"):
        raise InvalidValueError(
            f"--fail-on takes 'METRIC: drop > NUMBER' or '*: undefined > SHARE', such as 'deletion: drop > 0.02', "
            f"got {text!r}"
        )
    metric, what = parts["metric"].strip(), parts["what"]
    if what == "undefined" and metric != ANY:
        raise InvalidValueError(
            f"undefined images are allowed for all metrics alike: '*: undefined > 0.05', got {text!r}"
        )
    try:
        return metric, what, float(parts["value"])
    except ValueError:
        raise InvalidValueError(
            f"--fail-on compares with a number in the metric's own unit, such as 0.02, got {parts['value'].strip()!r} "
            f"in {text!r}"
        ) from None


def _plain(margin: Any) -> Any:
    return float(margin) if type(margin) is int and abs(margin) < HUGE else margin


def _check_margin(metric: str, margin: Any) -> None:
    if not _is_number(margin):
        raise InvalidValueError(
            f"margin of {metric!r} must be a number in the metric's own unit, such as 0.02, got {margin!r}"
        )
    if not 0 <= margin < HUGE:
        raise InvalidValueError(
            f"margin of {metric!r} must be a finite number from 0, the worsening that is allowed whatever the metric's "
            f"direction, got {margin!r}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range(card: Mapping[str, Any]) -> float:
    low, high = card.get("low"), card.get("high")
    return math.inf if low is None or high is None else float(high) - float(low)


def _spread(metric: str, run: Run) -> float:
    """Standard deviation over images within cells, pooled; 0 where no cell has two images."""
    rows = run.scores[run.scores["metric"] == metric]
    if is_of_set(rows):
        return _pooled([(one.n, one.sd) for one in contributions(run, [metric]).values() if one.n > 1])
    defined = rows[np.isfinite(rows["score"])].groupby(["data", "model", "explainer"], observed=True, sort=False)
    return _pooled([(len(scores), float(scores.std())) for _, scores in defined["score"] if len(scores) > 1])


def _pooled(spreads: Sequence[tuple[int, float]]) -> float:
    """Of cells of n images with a standard deviation each."""
    freedom = sum(n - 1 for n, _ in spreads)
    return math.sqrt(sum((n - 1) * sd**2 for n, sd in spreads) / freedom) if freedom else 0.0
