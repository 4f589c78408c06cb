"""Every refusal of the package: one sentence that names the thing, the value seen and what is allowed.

XaiBenchError
├── UnknownNameError    a model, explainer, metric, key ... that does not exist, with the nearest match
├── InvalidValueError   a value of the wrong type, shape or range
├── DataError           images, masks or annotations that cannot be used
├── ModelError          a model or checkpoint that cannot be loaded
├── UnsupportedError    a true combination of names that cannot work together
├── TrainingError       a training that cannot go on
├── RunError            a run folder or suite that cannot be used
└── IncompleteError     a run that finished without some of its units
"""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import Any

SHOWN = 20  # options listed where nothing is near


class XaiBenchError(Exception):
    """Base of all errors that the user can mend; the command line prints it and exits with 2."""


class UnknownNameError(XaiBenchError):
    """A name that does not exist."""

    @classmethod
    def of(cls, kind: str, name: object, known: Iterable[str], *, meant: str | None = None) -> "UnknownNameError":
        """`unknown metric 'deltion'; did you mean 'deletion'?`, or the whole list where nothing is near."""
        options = sorted(known)
        near = [meant] if meant else _near(str(name), options)
        more = f" and {len(options) - SHOWN} more" if len(options) > SHOWN else ""
        known = f"known: {', '.join(options[:SHOWN]) or 'none'}{more}"
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else known
        return cls(f"unknown {kind} {name!r}; {hint}")


class InvalidValueError(XaiBenchError):
    """A value of the wrong type, shape or range."""


class DataError(XaiBenchError):
    """Images, masks or annotations that cannot be used."""


class ModelError(XaiBenchError):
    """A model or checkpoint that cannot be loaded."""


class UnsupportedError(XaiBenchError):
    """A true combination of names that cannot work together."""


class TrainingError(XaiBenchError):
    """A training that cannot go on, such as one whose loss is no number, or whose folder holds another."""


class RunError(XaiBenchError):
    """A run folder or suite that cannot be used."""


class IncompleteError(XaiBenchError):
    """A run that finished without some of its units, which a second start tries again; it holds what there is."""

    def __init__(self, message: str, *, results: Any = None, failures: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.results, self.failures = results, tuple(failures)  # Results; one sentence for each unit that is missing


def _near(name: str, options: list[str]) -> list[str]:
    """The closest options, best first; ones far behind the best would only confuse."""
    near = get_close_matches(name, options, n=3, cutoff=0.6)
    likeness = [SequenceMatcher(None, option, name).ratio() for option in near]
    return [option for option, ratio in zip(near, likeness, strict=True) if ratio > likeness[0] - 0.15]
