"""Who beats whom, as letters: the rows of a group are lettered, a superscript names those that are shown to be worse.

As Bassani (2022, "ranx") marks significant differences in its tables.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from string import ascii_lowercase

import pandas as pd

Place = tuple[str, str, str, str]  # data, metric, what is held fixed, name
RUN = 4  # letters in a row before they are written as a range
LONG = 8  # pieces of a superscript before it ends in a count


@dataclass(frozen=True)
class Wins:
    """The decided comparisons of `stats.paired`."""

    pairs: pd.DataFrame

    @cached_property
    def losers(self) -> dict[Place, set[str]]:
        """Place -> names that are significantly worse than it."""
        found: dict[Place, set[str]] = {}
        decided = self.pairs[self.pairs["better"] != ""]
        columns = (decided[name] for name in ("data", "metric", "fixed", "a", "b", "better"))
        for data, metric, fixed, a, b, better in zip(*columns, strict=True):
            winner, loser = (a, b) if better == "a" else (b, a)
            found.setdefault((data, metric, fixed, winner), set()).add(loser)
        return found

    @cached_property
    def winners(self) -> dict[Place, set[str]]:
        """Place -> names that are significantly better than it."""
        found: dict[Place, set[str]] = {}
        for place, losers in self.losers.items():
            for loser in losers:
                found.setdefault((*place[:3], loser), set()).add(place[3])
        return found

    @cached_property
    def tested(self) -> Counter[Place]:
        """Place -> with how many names it was compared."""
        found: Counter[Place] = Counter()
        tested = self.pairs[self.pairs["p_holm"].notna()]
        for side in ("a", "b"):
            found.update(zip(*(tested[name] for name in ("data", "metric", "fixed", side)), strict=True))
        return found

    def rank(self, place: Place, rivals: Collection[str]) -> tuple[int, int] | None:
        """First and last rank among `rivals` (itself one of them) that the tests leave open; None where untested."""
        if not self.tested[place]:
            return None
        better, worse = (found.get(place, set()).intersection(rivals) for found in (self.winners, self.losers))
        return 1 + len(better), len(rivals) - len(worse)


def letters(count: int) -> tuple[str, ...]:
    """a, b ... z, aa, ab ...: one for each row of a group."""
    return tuple(_letter(number) for number in range(count))


def superscript(worse: Iterable[int]) -> str:
    """Rows by number as letters: `bd`, `b-f`, `b,d-g,aa`; a long list ends in how many there are in all."""
    rows = sorted(worse)
    pieces = [piece for run in _runs(rows) for piece in _piece(run)]
    if len(pieces) > LONG:
        return f"{','.join(pieces[:LONG])},…({len(rows)})"
    return ("" if all(len(piece) == 1 for piece in pieces) else ",").join(pieces)


def _letter(number: int) -> str:
    return (_letter(number // 26 - 1) if number >= 26 else "") + ascii_lowercase[number % 26]


def _runs(rows: Sequence[int]) -> Iterator[list[int]]:
    """Rows that follow each other, together: their number minus their place is the same."""
    for _, members in groupby(enumerate(rows), key=lambda place: place[1] - place[0]):
        yield [row for _, row in members]


def _piece(run: Sequence[int]) -> list[str]:
    if len(run) >= RUN:
        return [f"{_letter(run[0])}-{_letter(run[-1])}"]
    return [_letter(number) for number in run]
