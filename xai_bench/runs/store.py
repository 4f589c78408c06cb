"""A run folder: files per unit of work, there whole or not at all. Reads and writes without torch.

RUN/suite.toml            the suite as resolved; of several, their union
RUN/run.json              versions, machine, earlier ones that differed, fingerprints, cards, chunks
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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from xai_bench.errors import RunError
from xai_bench.keys import digest
from xai_bench.runs import packing, reading
from xai_bench.runs.cells import Cell, Done
from xai_bench.runs.files import UNFINISHED, Disk, Place, place, write_whole
from xai_bench.runs.lock import HOLDER, LOCK, Lock
from xai_bench.runs.packing import CURVE_TYPES, SCORE_TYPES
from xai_bench.runs.reading import PARQUET, SCHEMA, SETS, TABLES, TENSORS, fingerprints, read_info
from xai_bench.runs.run import Panel, Run
from xai_bench.runs.union import joined

ROOMS = ("maps", "gallery", "curves", "scores")  # in the order in which a unit writes them
FACTS = {"models": "fingerprint", "data": "fingerprint", "explainers": "spec", "metrics": "spec"}  # what one is
BESIDE = ("models", "report")  # folders that may stand in a run folder before the run does


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


class Memory:
    """Holds a run that is not written anywhere."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info, self._units = dict(info), list[Unit]()

    def __enter__(self) -> "Memory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

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
        self._info = _deep(self._info, facts)

    def run(self) -> Run:
        """What has been added so far."""
        scores = packing.table([row for unit in self._units for row in unit.rows], SCORE_TYPES)
        points = reading.encoded(packing.table([point for unit in self._units for point in unit.points], CURVE_TYPES))
        panels = [panel for unit in self._units for panel in unit.panels]

        def curves(metrics: Any) -> Any:
            return points if metrics is None else points.filter(reading.among(metrics))

        return reading.assembled(reading.encoded(scores), curves, lambda: panels, self._info)


class Folder:
    """Keeps a run in a folder or at a URL; a second start finds what is there and computes only what is missing.

    The writer of the run: a second one on the same folder is refused until this one is closed or dead. A URL has no
    lock. Keeps nothing of a unit once it is written. Raises RunError where the folder cannot be used.
    """

    def __init__(self, where: str | Path, info: Mapping[str, Any], suite: str) -> None:
        self.place = place(where)
        self._mutex = Mutex()
        self._kept: _Kept | None = None
        _found(self.place, info)
        self._lock = locked(self.place)
        try:
            before = _found(self.place, info)  # what another writer did meanwhile counts
            self._info: dict[str, Any] = dict(info) if before is None else _merged(before, info)
            sweep(self.place)
            self._replaced = reading.units(self.place).replaced
            self._write_info()
            self._write_suite(suite, fresh=before is None)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Folder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
            self._info = _deep(self._info, facts)
            self._write_info()

    def run(self) -> Run:
        """The finished run; the rows of whole sets are written last, in one file of their own."""
        run = _loaded(self.place)
        if rows := reading.set_rows(run):
            content, name = packing.parquet(packing.table(rows, SCORE_TYPES)), f"scores/{SETS}{PARQUET}"
            if not self.place.exists(name) or self.place.read(name) != content:
                self.place.write(name, content)
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
            found = _kept_in(place, name)
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


def _kept_in(place: Place, name: str) -> packing.Kept:
    try:
        return packing.kept(place, name)
    except (OSError, ValueError, KeyError) as error:
        raise reading.damaged(place, name, error) from error


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


def is_unfinished(name: str) -> bool:
    """Whether this is the name of a file that was being written."""
    return name.startswith(".") and name.endswith(UNFINISHED)


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


def _found(place: Place, info: Mapping[str, Any]) -> dict[str, Any] | None:
    """run.json of an earlier start that this one may go on with; refused where it may not."""
    files = place.sizes()
    if "run.json" in files:
        before = read_info(place)
        _refuse_changes(place, before, info)
        return before
    strange = [name for name in files if name not in (LOCK, HOLDER) and not is_unfinished(name)]
    if strange or any(name not in BESIDE for name in place.folders()):
        raise RunError(f"folder {str(place)!r} holds other things than a run; choose another --out")
    return None


def _refuse_changes(place: Place, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """A run folder takes more models, explainers, metrics and data, but never another meaning of the same name."""
    old, new = (info.get("versions", {}).get("xai-bench") for info in (before, now))
    if old and new and old != new:
        raise RunError(
            f"{str(place)!r} was made by xai-bench {old}, this is {new}; go on with that version or choose another "
            "--out"
        )
    for key in ("seed", "target", "precision", "compile"):
        if before.get(key, now.get(key)) != now.get(key, before.get(key)):
            raise RunError(
                f"{str(place)!r} was made with {key} {before[key]!r}, not {now[key]!r}; choose another --out, or put "
                f"{key} back to {before[key]!r}"
            )
    changed = [
        (kind, label, what)
        for kind, what in FACTS.items()
        for label in before[kind].keys() & now[kind].keys()
        if _differs(before[kind][label], now[kind][label], what)
    ]
    if not changed:
        return
    stored = _stored(place)
    for kind, label, what in changed:
        if label in stored[kind]:  # what never gave anything may be mended
            old, new = before[kind][label], now[kind][label]
            named = what if old[what] != new[what] else "version"
            raise RunError(
                f"{str(place)!r} was made with another {label!r} ({named} {old.get(named)!r}, now {new.get(named)!r}); "
                f"choose another --out{_both(kind)}{_hint(before, now, kind)}"
            )


def _both(kind: str) -> str:
    """Only the tables of models and data take a label."""
    return ", or give it another label to keep both" if kind in ("models", "data") else ""


def _differs(old: Mapping[str, Any], new: Mapping[str, Any], what: str) -> bool:
    return bool((old[what], old.get("version")) != (new[what], new.get("version")))


def _stored(place: Place) -> dict[str, set[str]]:
    """The labels, by kind, of which there is a score, a record, a kept map or a picture."""
    units = reading.units(place)
    found: dict[str, set[str]] = {kind: set() for kind in FACTS}
    for room, schema in (("scores", SCORE_TYPES), ("curves", CURVE_TYPES)):
        rows = reading.read(place, room, units, schema, columns=list(TABLES))
        for column, kind in TABLES.items():
            found[kind] |= set(rows.column(column).unique().to_pylist())
    kept = [_kept_in(place, name) for name in reading.vouched(place, "maps", units)]
    panels = [panel for name in reading.vouched(place, "gallery", units) for panel in reading.panels_in(place, name)]
    for data, names in [(one.data, one.names) for one in kept] + [(one.data, tuple(one.maps)) for one in panels]:
        found["data"].add(data)
        found["models"] |= {model for model, _ in names}
        found["explainers"] |= {explainer for _, explainer in names}
    return found


def _hint(before: Mapping[str, Any], now: Mapping[str, Any], kind: str) -> str:
    """Fingerprints may differ because a library does."""
    packages = {"models": ("timm", "torch"), "data": ("scikit-image",)}.get(kind, ())
    old, new = before.get("versions", {}), now.get("versions", {})
    changed = [f"{name} {old[name]} then, {new[name]} now" for name in packages if old.get(name) != new.get(name)
               and name in old and name in new]  # fmt: skip
    return f" ({', '.join(changed)})" if changed else ""


def _merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ("models", "data", "explainers", "metrics")
    tables = {kind: {**before[kind], **now[kind]} for kind in kinds}
    noted = {
        key: _deep(before[key], now.get(key, {})) for key in ("chunk", "asked") if isinstance(before.get(key), dict)
    }
    created = before.get("created", now.get("created"))
    return {**before, **now, "created": created, **tables, **noted, **_earlier(before, now)}


def _earlier(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What other packages or machines had a share in the run: `earlier` keeps each once, `started` says since when."""
    keys = [key for key in ("versions", "machine") if key in before and key in now]
    if all(before[key] == now[key] for key in keys):
        return {}
    known = list(before.get("earlier", []))
    if all(any(one.get(key) != before[key] for key in keys) for one in known):
        made = {key: before[key] for key in ("versions", "machine") if key in before}
        known.append(made | {"created": before.get("started", before.get("created"))})
    return {"earlier": known, "started": now.get("created")}


def _deep(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Tables within tables are merged, lists of names too; other values are replaced."""
    found = dict(before)
    for key, value in now.items():
        old = found.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            found[key] = _deep(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            found[key] = [*old, *(item for item in value if item not in old)]
        else:
            found[key] = value
    return found


def _write_changed(place: Place, name: str, content: bytes) -> None:
    if not place.exists(name) or place.read(name) != content:
        place.write(name, content)


__all__ = ["SCHEMA", "Cell", "Done", "Folder", "Memory", "Unit", "fingerprints", "load", "read_info", "write_whole"]
