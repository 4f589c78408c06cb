"""A run folder: files per unit of work, there whole or not at all. Reads and writes without torch.

RUN/suite.toml            the suite as resolved; of several, their union
RUN/run.json              versions, machine, earlier ones that differed, fingerprints, cards, chunks, costs
RUN/scores/*.parquet      one row per model x explainer x metric x image
RUN/curves/*.parquet      points of per-image curves and records
RUN/gallery/*.safetensors images and maps of the gallery
RUN/maps/*.safetensors    every map, where they are kept

A unit's files have one name, and its scores are written last: they vouch for the rest, and what no scores vouch for is
not read. `models` and `report` may stand beside them. RUN is a folder or a URL of fsspec.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock as Mutex
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from xai_bench.keys import digest
from xai_bench.lock import Lock
from xai_bench.runs import packing, reading
from xai_bench.runs.cells import Cell, Done
from xai_bench.runs.files import Disk, Place, place
from xai_bench.runs.packing import CURVE_TYPES, SCORE_TYPES
from xai_bench.runs.reading import PARQUET, SCHEMA, SETS, TENSORS, fingerprints, read_info
from xai_bench.runs.resume import begun, deep, merged
from xai_bench.runs.run import Panel, Run
from xai_bench.runs.union import joined
from xai_bench.whole import is_unfinished

ROOMS = ("maps", "gallery", "curves", "scores")  # in the order in which a unit writes them


@dataclass
class Unit:
    """What one model gave for one slice of data."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)  # SCORE_COLUMNS
    points: list[tuple[Any, ...]] = field(default_factory=list)  # CURVE_COLUMNS
    panels: list[Panel] = field(default_factory=list)
    maps: dict[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)  # (model, explainer) -> (n, H, W)
    data: str = ""  # of the maps
    ids: Sequence[str] = ()  # n samples of the maps

    @property
    def name(self) -> str:
        """A hash of the cells."""
        scored = [(row[0], row[1], row[2], row[3], row[6]) for row in self.rows]
        return digest(*sorted({*scored, *(point[:5] for point in self.points)}))


T = TypeVar("T", bound="_Closed")


class _Closed:
    """Closed when its block ends."""

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Memory(_Closed):
    """Holds a run that is not written anywhere."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info, self._units = dict(info), list[Unit]()

    def done(self) -> Done:
        """Nothing: every run in memory starts anew."""
        return Done()

    def add(self, unit: Unit) -> None:
        """Keep the rows, points and panels; maps would only fill the memory."""
        self._units.append(Unit(unit.rows, unit.points, unit.panels))

    def maps(self, data: str, model: str, explainer: str, samples: Sequence[str]) -> NDArray[np.float32] | None:  # noqa: ARG002 - as of Folder
        """None: no map is kept."""
        return None

    def has_maps(self, data: str, model: str, explainer: str, samples: Sequence[str]) -> bool:  # noqa: ARG002 - as of Folder
        """False: no map is kept."""
        return False

    def note(self, facts: Mapping[str, Any]) -> None:
        """Merge facts into the run's."""
        self._info = deep(self._info, facts)

    def run(self) -> Run:
        """What has been added so far."""
        scores = packing.table([row for unit in self._units for row in unit.rows], SCORE_TYPES)
        points = reading.encoded(packing.table([point for unit in self._units for point in unit.points], CURVE_TYPES))
        panels = [panel for unit in self._units for panel in unit.panels]

        def curves(metrics: Any) -> Any:
            return points if metrics is None else points.filter(reading.among(metrics))

        return reading.assembled(reading.encoded(scores), curves, lambda: panels, self._info)


class Folder(_Closed):
    """Keeps a run in a folder or at a URL; a second start finds what is there and computes only what is missing.

    The writer of the run: a second one on the same folder is refused until this one is closed or dead. A URL has no
    lock. Keeps nothing of a unit once it is written. Raises RunError where the folder cannot be used.
    """

    def __init__(self, where: str | Path, info: Mapping[str, Any], suite: str) -> None:
        self.place = place(where)
        self._mutex = Mutex()
        self._kept: _Kept | None = None
        begun(self.place, info)
        self._lock = locked(self.place)
        try:
            before = begun(self.place, info)  # what another writer did meanwhile counts
            self._info: dict[str, Any] = dict(info) if before is None else merged(before, info)
            sweep(self.place)
            self._replaced = reading.units(self.place).replaced
            self._write_info()
            self._write_suite(suite, fresh=before is None)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others write; no file of the lock is left."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def done(self) -> Done:
        """The cells that need not be computed."""
        return reading.done(self.place, self._info)

    def add(self, unit: Unit) -> None:
        """Write a unit, whole or not: maps and curves first, since scores that are there vouch for the rest.

        May be called from a background thread. Raises RunError where the disk is full or the folder closed to us.
        """
        if not (unit.rows or unit.points):
            return
        name = unit.name
        if name in self._replaced:  # its cells were merged, then given up, and now are wanted again
            name = digest(name, "again", *sorted(self._replaced))
        rooms = [room for room, part in zip(ROOMS, (unit.maps, unit.panels, unit.points), strict=False) if part]
        with self._mutex:
            if unit.maps:
                content = packing.packed_maps(unit.data, unit.ids, unit.maps)
                self.place.write(f"maps/{name}{TENSORS}", content)
            if unit.panels:
                self.place.write(f"gallery/{name}{TENSORS}", packing.packed_panels(unit.panels))
            if unit.points:
                table = packing.table(unit.points, CURVE_TYPES)
                self.place.write(f"curves/{name}{PARQUET}", packing.parquet(table))
            table = packing.table(unit.rows, SCORE_TYPES)
            self.place.write(f"scores/{name}{PARQUET}", packing.parquet(table, packing.Mark(tuple(rooms))))

    def maps(self, data: str, model: str, explainer: str, samples: Sequence[str]) -> NDArray[np.float32] | None:
        """Maps (n, H, W) that earlier starts kept, or None unless all the samples have theirs."""
        return self._index().of((data, model, explainer), samples)

    def has_maps(self, data: str, model: str, explainer: str, samples: Sequence[str]) -> bool:
        """Whether `maps` would give some; reads no map."""
        return self._index().has((data, model, explainer), samples)

    def _index(self) -> "_Kept":
        if self._kept is None:
            self._kept = _Kept(self.place)
        return self._kept

    def note(self, facts: Mapping[str, Any]) -> None:
        """Merge facts into run.json, tables within tables."""
        with self._mutex:
            self._info = deep(self._info, facts)
            self._write_info()

    def run(self) -> Run:
        """The finished run; the rows of whole sets are written last, in one file of their own."""
        run = _loaded(self.place)
        if rows := reading.set_rows(run):
            content = packing.parquet(packing.table(rows, SCORE_TYPES))
            _write_changed(self.place, f"scores/{SETS}{PARQUET}", content)
        return run

    def _write_info(self) -> None:
        _write_changed(self.place, "run.json", json.dumps(self._info, indent=1, ensure_ascii=False).encode())

    def _write_suite(self, suite: str, *, fresh: bool) -> None:
        before = "" if fresh or not self.place.exists("suite.toml") else self.place.read("suite.toml").decode()
        _write_changed(self.place, "suite.toml", joined(before, suite).encode())


class _Kept:
    """Where the kept maps are; read from the heads of the files once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._files = reading.vouched(place, "maps", reading.units(place))
        self._rows: dict[tuple[str, str, str], dict[str, tuple[int, int, int]]] = {}  # sample -> file, map, row
        for number, name in enumerate(self._files):
            found = reading.kept_in(place, name)
            for at, pair in enumerate(found.names):
                rows = self._rows.setdefault((found.data, *pair), {})
                rows.update({sample: (number, at, row) for row, sample in enumerate(found.ids)})

    def has(self, key: tuple[str, str, str], samples: Sequence[str]) -> bool:
        there = self._rows.get(key, {})
        return bool(samples) and all(sample in there for sample in samples)

    def of(self, key: tuple[str, str, str], samples: Sequence[str]) -> NDArray[np.float32] | None:
        if not self.has(key, samples):
            return None
        there = self._rows[key]
        spots = [there[sample] for sample in samples]
        files = {number: self._maps(number) for number in dict.fromkeys(number for number, _, _ in spots)}
        return np.stack([files[number][at][row] for number, at, row in spots])

    def _maps(self, number: int) -> list[NDArray[np.float32]]:
        name = self._files[number]
        try:
            return packing.maps(self._place.read(name))[1]
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise reading.damaged(self._place, name, error) from error


def cleared(place: Place) -> None:
    """Take a run away, so that its folder can be begun anew; what is no part of a run stays, and none is no error.

    run.json goes last: killed on the way, what is left is a run with fewer cells.
    """
    if not place.exists("run.json"):
        return
    lock = locked(place)
    try:
        for room in reversed(ROOMS):
            for name in list(place.sizes(room)):
                place.remove(f"{room}/{name}")
        for name in ("suite.toml", "run.json"):
            if place.exists(name):
                place.remove(name)
    finally:
        if lock is not None:
            lock.release()


def load(where: str | Path) -> Run:
    """The run in a folder or at a URL; needs no lock."""
    return _loaded(place(where))


def _loaded(place: Place) -> Run:
    """The run; lost curves are told, since their scores stand without them."""
    run = reading.load(place)
    if lost := reading.lost_curves(place):
        warnings.warn(
            f"run folder {str(place)!r} has scores whose curves are gone ({lost[0]}, the first of {len(lost)}); "
            "`xai-bench runs verify` says what to do",
            stacklevel=3,
        )
    return run


def leftovers(place: Place) -> list[str]:
    """What killed writers left: half-written files, and files that a merged one stands for."""
    half = [f"{room}/{name}".lstrip("/") for room in ("", *ROOMS) for name in place.sizes(room) if is_unfinished(name)]
    replaced = reading.units(place).replaced
    old = [f"{room}/{name}" for room in ("scores", "curves") for name in place.sizes(room) if _stem(name) in replaced]
    return half + old


def sweep(place: Place) -> None:
    """Take the leftovers away; only the holder of the lock may."""
    for name in leftovers(place):
        place.remove(name)


def _stem(name: str) -> str:
    return name.removesuffix(PARQUET).removesuffix(TENSORS)


def locked(place: Place) -> Lock | None:
    """The lock of a folder that is made where it is not there; a URL has none."""
    if not isinstance(place, Disk):
        return None
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        return Lock(place.folder)
    except OSError as error:
        raise place.refusal(error) from error


def _write_changed(place: Place, name: str, content: bytes) -> None:
    if not place.exists(name) or place.read(name) != content:
        place.write(name, content)


__all__ = ["SCHEMA", "Cell", "Done", "Folder", "Memory", "Unit", "fingerprints", "load", "read_info"]
