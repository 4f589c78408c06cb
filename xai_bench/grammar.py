"""Small words: one image, two images; a, b and c; 12 %; about 1,200; a name within a sentence, or on a screen."""

import math
from collections.abc import Sequence

ARROWS = {"higher": "↑", "lower": "↓"}  # which way a metric is better
JOINERS = "\u200c\u200d"  # unseen, but Persian words and some emoji are written with them


def counted(number: int, noun: str) -> str:
    """`1 image`, `2 images`, `1,200 images`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def series(names: Sequence[str], most: int = 4, last: str = "and") -> str:
    """`a, b and c`; of more than `most` the first ones and how many there are besides."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def quoted(name: str) -> str:
    """A name within a sentence; in quotes where a comma, but for those between its parameters, would end it."""
    return f'"{name}"' if "," in name.partition("(")[0] + name.rpartition(")")[2] * ("(" in name) else name


def percent(share: float) -> str:
    """`12 %`, and never a rounded `0 %` or `100 %`."""
    if 0 < share < 0.01:
        return "less than 1 %"
    if 0.99 < share < 1:
        return "more than 99 %"
    return f"{100 * share:.0f} %"


def about(number: float) -> str:
    """Two digits of a count, rounded up: `about 1,200`."""
    if number >= 1e6:
        return "more than a million"
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return f"about {math.ceil(number / step) * step:,}"


def shown(text: str) -> str:
    """One line that any screen and file can hold.

    U+FFFD stands for each sign that a terminal obeys, that XML or UTF-8 lacks, that turns the order of letters round,
    or that cannot be seen.
    """
    return " ".join("".join(map(_shown, text)).split())


def _shown(sign: str) -> str:
    return sign if sign.isprintable() or sign.isspace() or sign in JOINERS else "\ufffd"
