"""Which cells of a run are there, a bit each, so that a million cost a megabyte."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Group = tuple[str, str, str, str]  # data, model, explainer, metric


class Cell(NamedTuple):
    """What a unit is made of; a cell that is in the store is not computed again."""

    data: str
    model: str
    explainer: str
    metric: str
    sample: str


class Samples:
    """The samples of one (data, model, explainer, metric) that are there: `in`, `len` and iteration, as a set has."""

    def __init__(self, places: Mapping[str, int], there: NDArray[np.bool_]) -> None:
        self._places, self._there = places, there

    def __contains__(self, sample: object) -> bool:
        place = self._places.get(sample, -1) if isinstance(sample, str) else -1
        return place >= 0 and bool(self._there[place])

    def __iter__(self) -> Iterator[str]:
        return (sample for sample, place in self._places.items() if self._there[place])

    def __len__(self) -> int:
        return int(self._there.sum())


class Done:
    """The cells that need not be computed: `cell in done`, or `done.get(group)` for the samples of a group."""

    def __init__(self, samples: Sequence[str] = (), there: Mapping[Group, NDArray[np.bool_]] | None = None) -> None:
        places = {sample: place for place, sample in enumerate(samples)}
        self._groups = {group: Samples(places, bits) for group, bits in (there or {}).items()}

    def get(self, group: Group) -> Samples:
        """The samples that are there of (data, model, explainer, metric); none where the group is unknown."""
        return self._groups.get(group, NONE_THERE)

    @property
    def groups(self) -> Mapping[Group, Samples]:
        """Every group of which anything is there."""
        return self._groups

    def __contains__(self, cell: object) -> bool:
        return isinstance(cell, tuple) and len(cell) == 5 and cell[4] in self.get((cell[0], cell[1], cell[2], cell[3]))

    def __iter__(self) -> Iterator[Cell]:
        return (Cell(*group, sample) for group, samples in self._groups.items() for sample in samples)

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))


NONE_THERE = Samples({}, np.zeros(0, np.bool_))
