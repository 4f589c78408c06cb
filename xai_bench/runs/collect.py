"""Takes away what a run folder no longer needs, and merges many small files into few. Safe to kill at any instant."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from xai_bench.errors import RunError
from xai_bench.keys import digest
from xai_bench.runs import packing, reading
from xai_bench.runs.cells import Cell
from xai_bench.runs.files import Disk, Listed, Place
from xai_bench.runs.packing import CURVE_TYPES, SCORE_TYPES, Mark
from xai_bench.runs.reading import MERGED, PARQUET, TABLES, TENSORS, Units, read_info
from xai_bench.runs.store import locked
from xai_bench.runs.verify import litter, unfinished_folders, writer

LARGE = 1_000_000  # points and rows of a merged file
CELL = list(Cell._fields)


class Gone(NamedTuple):
    """A file that went, or would go."""

    name: str
    bytes: int
    why: str


def collect(place: Place, *, maps: bool = False, dry_run: bool = False) -> list[Gone]:
    """Leftovers, files nobody reads, cells no longer in run.json; small files are merged. What went, and why.

    `maps` takes the kept maps away too. Raises RunError where there is no run, or another process writes it.
    """
    info = read_info(place)
    if dry_run:
        if by := writer(place):
            raise RunError(f"run folder {str(place)!r} is in use by {by}; wait for it or end it")
        return list(_Collector(place, info, maps=maps, dry_run=True).all())
    lock = locked(place)
    try:
        return list(_Collector(place, info, maps=maps, dry_run=False).all())
    finally:
        if lock is not None:
            lock.release()


class _Collector:
    def __init__(self, place: Place, info: Mapping[str, Any], *, maps: bool, dry_run: bool) -> None:
        self.place, self.info, self.maps, self.dry_run = Listed(place), info, maps, dry_run
        self.gone: set[str] = set()

    def all(self) -> Iterator[Gone]:
        units = reading.units(self.place)
        yield from (self._take(name, "left of a killed process") for name in litter(self.place, units))
        doubles = dict.fromkeys(self._doubles(list(units.live)))
        for name in doubles:
            for file in self._files(name):
                yield self._take(file, "all of it is in other files")
        if self.maps:
            for name in list(self.place.sizes("maps")):
                if f"maps/{name}" not in self.gone:
                    yield self._take(f"maps/{name}", "kept maps")
        yield from self._merged([unit for unit in units.live if unit not in doubles])
        yield from self._pictures()

    def _take(self, name: str, why: str) -> Gone:
        room, _, file = name.rpartition("/")
        size = self.place.sizes(room).get(file, 0)
        if name in unfinished_folders(self.place) and isinstance(self.place.place, Disk):
            folder = self.place.place.folder / name
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            if not self.dry_run:
                with suppress(FileNotFoundError):
                    shutil.rmtree(folder)
        elif not self.dry_run:
            self.place.remove(name)
        self.gone.add(name)
        return Gone(name, size, why)

    def _files(self, unit: str) -> list[str]:
        """Scores first: nothing vouches for the rest then."""
        rooms = (("scores", PARQUET), ("curves", PARQUET), ("gallery", TENSORS), ("maps", TENSORS))
        return [f"{room}/{unit}{end}" for room, end in rooms if f"{unit}{end}" in self.place.sizes(room)]

    def _read(self, units: list[str], room: str, columns: list[str] | None = None, metrics: Any = None) -> pa.Table:
        wanted = Units(tuple(units), frozenset(), frozenset())
        schema = SCORE_TYPES if room == "scores" else CURVE_TYPES
        return reading.read(self.place, room, wanted, schema, columns=columns, metrics=metrics)

    def _cells(self, unit: str) -> pd.DataFrame:
        of_sets = [label for label, card in self.info["metrics"].items() if card["scope"] == "set"]
        both = (self._read([unit], "scores", CELL), self._read([unit], "curves", CELL, of_sets))
        frame: pd.DataFrame = pd.concat([table.to_pandas().astype(str) for table in both]).drop_duplicates()
        return frame.assign(unit=unit)

    def _doubles(self, units: list[str]) -> list[str]:
        """Units whose every cell another unit has too."""
        if not units:
            return []
        cells = pd.concat([self._cells(unit) for unit in units])
        cells["cell"] = cells.groupby(CELL, sort=False).ngroup()
        counts = cells["cell"].value_counts()
        found = []
        for unit, mine in cells.groupby("unit", sort=True)["cell"]:
            if (counts[mine] > 1).all():
                counts[mine] -= 1
                found.append(str(unit))
        return found

    def _merged(self, units: list[str]) -> Iterator[Gone]:
        """Few larger files: the merged scores appear at one instant, and from then on stand for the old files."""
        for batch in self._batches(units):
            scores, curves = self._read(batch, "scores"), self._read(batch, "curves")
            kept_scores, kept_curves = self._known(scores), self._known(curves)
            stale = len(kept_scores) < len(scores) or len(kept_curves) < len(curves)
            if len(batch) < 2 and not stale:
                continue
            if not self.dry_run:
                self._write(batch, kept_scores, kept_curves)
            why = "merged into a larger file" + (", without what is doubled or not in run.json" if stale else "")
            for room in ("scores", "curves"):
                there = self.place.sizes(room)
                files = [f"{unit}{PARQUET}" for unit in batch]
                yield from (self._take(f"{room}/{name}", why) for name in files if name in there)

    def _write(self, batch: list[str], scores: pa.Table, curves: pa.Table) -> None:
        name = MERGED + digest(*batch)
        marks = [reading.mark(self.place, f"scores/{old}{PARQUET}") for old in batch]
        held = {*batch, *(old for mark in marks for old in mark.holds)}
        replaced = {*batch, *(old for mark in marks for old in mark.replaces)}
        mark = Mark(("curves",) if len(curves) else (), tuple(sorted(replaced)), tuple(sorted(held)))
        if len(curves):
            self.place.write(f"curves/{name}{PARQUET}", packing.parquet(curves.cast(CURVE_TYPES)))
        self.place.write(f"scores/{name}{PARQUET}", packing.parquet(scores.cast(SCORE_TYPES), mark))

    def _batches(self, units: list[str]) -> Iterator[list[str]]:
        """Units until a file would be large; one that is large already stands alone."""
        batch, weight = list[str](), 0
        for unit in units:
            size = self._rows(unit)
            if batch and weight + size > LARGE:
                yield batch
                batch, weight = [], 0
            batch.append(unit)
            weight += size
        if batch:
            yield batch

    def _rows(self, unit: str) -> int:
        rooms = (room for room in ("scores", "curves") if f"{unit}{PARQUET}" in self.place.sizes(room))
        return sum(len(self._read([unit], room, ["metric"])) for room in rooms)

    def _known(self, rows: pa.Table) -> pa.Table:
        """Rows of what run.json names, each once."""
        for column, key in TABLES.items():
            wanted = reading.among(["none", *self.info[key]], column)
            rows = rows.filter(wanted)
        cell = [*CELL, "fraction"] if "fraction" in rows.schema.names else CELL
        return rows.filter(pa.array(~rows.select(cell).to_pandas().duplicated().to_numpy()))

    def _pictures(self) -> Iterator[Gone]:
        """Maps and pictures of models or data that run.json no longer names."""
        units = reading.units(self.place)
        for name in reading.vouched(self.place, "maps", units):
            kept = self._kept(name)
            if name not in self.gone and not self._wanted(kept.data, [model for model, _ in kept.names]):
                yield self._take(name, "of a model or data that are not in run.json")
        for name in reading.vouched(self.place, "gallery", units):
            panels = reading.panels_in(self.place, name)
            if not any(self._wanted(panel.data, [model for model, _ in panel.maps]) for panel in panels):
                yield self._take(name, "of a model or data that are not in run.json")

    def _kept(self, name: str) -> packing.Kept:
        try:
            return packing.kept(self.place, name)
        except (OSError, ValueError, KeyError) as error:
            raise reading.damaged(self.place, name, error) from error

    def _wanted(self, data: str, models: list[str]) -> bool:
        return data in self.info["data"] and any(model in self.info["models"] for model in models)
