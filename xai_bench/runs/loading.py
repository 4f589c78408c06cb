"""Slices of data decoded ahead of time, in worker processes where that pays."""

import os
import sys
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from torch.utils.data import DataLoader, Dataset

from xai_bench.data import Data
from xai_bench.types import Batch

Place = tuple[str, int, int]  # data set, start, stop
Decoded = tuple[Place, Batch | Exception]
TINY = 256  # images below which starting processes costs more than it saves


def loaders_for(asked: int | None, images: int) -> int:
    """How many processes decode: as asked, else two where the job is not tiny and a core is to spare."""
    if asked is not None:
        return asked
    # elsewhere than on Linux a new process imports the caller's script again
    return min(2, (os.cpu_count() or 1) - 1) if images >= TINY and sys.platform == "linux" else 0


def decoded(data: Mapping[str, Data], places: Sequence[Place], *, loaders: int, pinned: bool) -> Generator[Decoded]:
    """Each slice as a batch, in order, or the error that came instead of it.

    `loaders` processes stay at most two slices each ahead; where they die (killed, or out of shared memory) the rest
    is decoded in this process. `pinned` puts batches in page-locked memory.
    """
    slices = _Slices(data, places)
    given = 0
    if loaders:
        with suppress(RuntimeError, OSError, EOFError):  # what comes when one of its processes is gone
            for item in _ahead(slices, loaders, pinned=pinned):
                yield item
                given += 1
    for place in range(given, len(slices)):
        where, found = slices[place]
        yield where, found.pin_memory() if pinned and isinstance(found, Batch) else found


def _ahead(slices: "_Slices", loaders: int, *, pinned: bool) -> Iterator[Decoded]:
    """In a frame of its own, which takes the processes with it when it goes."""
    with warnings.catch_warnings():  # the processes started here use none of this one's threads
        warnings.simplefilter("ignore", DeprecationWarning)
        items = iter(
            DataLoader(
                slices,
                batch_size=None,
                collate_fn=_as_is,
                num_workers=loaders,
                pin_memory=pinned,
                multiprocessing_context="fork" if sys.platform == "linux" else None,
            )
        )
    yield from items


class _Slices(Dataset[Decoded]):
    def __init__(self, data: Mapping[str, Data], places: Sequence[Place]) -> None:
        self.data, self.places = data, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Decoded:
        place = name, start, stop = self.places[index]
        try:
            return place, self.data[name].batch(start, stop)
        except Exception as error:  # noqa: BLE001 - one slice fails, the others go on
            return place, error


def _as_is(item: Any) -> Any:
    return item
