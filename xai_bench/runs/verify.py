"""What a run folder holds, and whether it is whole. Reads only, and needs no lock."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError

from xai_bench.lock import holder, is_held
from xai_bench.runs import packing, reading
from xai_bench.runs.cells import Cell, Group
from xai_bench.runs.files import Disk, Place
from xai_bench.runs.packing import CURVE_TYPES, SCORE_TYPES
from xai_bench.runs.reading import PARQUET, SETS, TABLES, TENSORS, Units, read_info
from xai_bench.runs.store import ROOMS, fingerprints, leftovers

AGAIN = "run the suite again"
COLLECT = "xai-bench runs gc takes it away"


class Problem(NamedTuple):
    """What is wrong, and what to do."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class Line(NamedTuple):
    """How far one metric of one explainer of one model on one data set is."""

    data: str
    model: str
    explainer: str
    metric: str
    expected: int | None  # None: run.json does not say how many images there are
    there: int
    missing: int
    undefined: int


def show(place: Place) -> dict[str, Any]:
    """What a run holds: progress per line, sizes on disk, and where it comes from."""
    info = read_info(place)
    lines = progress(place, info)
    return {
        "run": str(place),
        **{key: info.get(key) for key in ("schema", "created", "precision", "seed", "target", "chunk", "versions")},
        "earlier": info.get("earlier", []),
        "in_use_by": writer(place),
        **{key: list(info[key]) for key in TABLES.values()},
        "cells": {
            "expected": sum(line.expected or line.there for line in lines),
            "there": sum(line.there for line in lines),
            "missing": sum(line.missing for line in lines),
            "undefined": sum(line.undefined for line in lines),
        },
        "lines": [line._asdict() for line in lines],
        "files": {room: _weight(place.sizes(room)) for room in reversed(ROOMS)},
    }


def progress(place: Place, info: Mapping[str, Any]) -> list[Line]:
    """A line for each group that was asked for or has anything, in the order of the suite."""
    found, undefined = reading.done(place, info), _undefined(place)
    groups = dict.fromkeys([*_asked(info), *(group for group in found.groups if _is_known(group, info))])
    return [_line(group, info, len(found.get(group)), undefined.get(group, 0)) for group in groups]


def verify(place: Place) -> Iterator[Problem]:
    """Every reason why a run is not whole, after reading every byte of it. Raises RunError where there is no run."""
    info = read_info(place)
    damaged = list(_damaged(place))
    yield from damaged
    if damaged:  # what else there is cannot be counted before
        return
    units = reading.units(place)
    yield from _lost(place, units)
    yield from _doubled(place, units)
    yield from _strange(place, units, info)
    yield from _missing(progress(place, info))
    yield from _sets(place)
    if writer(place) is None:
        for name in litter(place, units):
            yield Problem(f"{name} is left of a process that was killed", COLLECT)


def writer(place: Place) -> str | None:
    """Which process is writing the run, as far as a folder can tell."""
    return holder(place.folder) if isinstance(place, Disk) and is_held(place.folder) else None


def litter(place: Place, units: Units) -> list[str]:
    """Half-written files and folders, and files that no scores vouch for."""
    return [*leftovers(place), *orphans(place, units), *unfinished_folders(place)]


def orphans(place: Place, units: Units) -> list[str]:
    """Curves, maps and pictures without scores."""
    found: list[str] = []
    for room, end in (("curves", PARQUET), ("gallery", TENSORS), ("maps", TENSORS)):
        files = [f"{room}/{name}" for name in place.sizes(room) if reading.is_file(name, end)]
        kept = {*reading.vouched(place, room, units)}
        found += [name for name in files if name not in kept and _stem(name) not in units.replaced]
    return found


def unfinished_folders(place: Place) -> list[str]:
    """Folders of reports that were being written; `.report.*`."""
    return [name for name in place.folders() if name.startswith(".") and "report" in name]


def _damaged(place: Place) -> Iterator[Problem]:
    for room in ROOMS:
        end = TENSORS if room in ("maps", "gallery") else PARQUET
        for name in place.sizes(room):
            if reading.is_file(name, end) and (why := _fault(place, room, f"{room}/{name}")):
                stem = name.removesuffix(end)
                others = "" if stem == SETS else f" and the other files called {stem!r}"
                yield Problem(f"{room}/{name} is damaged ({why})", f"remove it{others}, then {AGAIN}")


def _fault(place: Place, room: str, name: str) -> str:
    try:
        match room:
            case "maps":
                packing.maps(place.read(name))
            case "gallery":
                packing.panels(place.read(name))
            case _:
                options = {"filesystem": place.filesystem, "page_checksum_verification": True, "partitioning": None}
                table = pq.read_table(place.path(name), **options)
                wanted, said = SCORE_TYPES if room == "scores" else CURVE_TYPES, table.schema.metadata or {}
                if not table.schema.equals(wanted):
                    return f"its columns are not {', '.join(wanted.names)}"
                if said.get(packing.HASH, b"").decode() != packing.table_hash(table):
                    return "its rows are not the ones that were written"
                packing.mark(place, name)
    except (pa.ArrowException, SafetensorError, OSError, ValueError, KeyError, IndexError) as error:
        return reading.first_line(error)
    return ""


def _lost(place: Place, units: Units) -> Iterator[Problem]:
    """Scores whose curves, maps or pictures are gone."""
    there = {room: place.sizes(room) for room in ROOMS}
    for unit in units.live:
        for room in reading.mark(place, f"scores/{unit}{PARQUET}").rooms:
            end = TENSORS if room in ("maps", "gallery") else PARQUET
            if f"{unit}{end}" not in there[room] and not (room == "maps" and not there["maps"]):
                yield Problem(f"scores/{unit}{PARQUET} has no {room}/{unit}{end}", f"remove the former, then {AGAIN}")


def _missing(lines: Sequence[Line]) -> Iterator[Problem]:
    there = {label for line in lines if line.there for label in (line.explainer, line.metric)}
    for line in lines:
        if line.missing:
            cell = f"{line.metric} of {line.explainer} on {line.model}, {line.data}"
            idle = [label for label in (line.explainer, line.metric) if label not in {*there, "none"}]
            instead = f", or take {idle[0]!r} out of 'asked' in run.json" if idle else ""
            yield Problem(f"{line.missing} of {line.expected} cells are missing: {cell}", f"{AGAIN}{instead}")


def _doubled(place: Place, units: Units) -> Iterator[Problem]:
    cells = list(Cell._fields)
    rows = reading.read(place, "scores", units, SCORE_TYPES, columns=cells).to_pandas()
    points = reading.read(place, "curves", units, CURVE_TYPES, columns=[*cells, "fraction"]).to_pandas()
    for frame, what in ((rows, "rows"), (points, "points of curves")):
        if count := int(frame.duplicated().sum()):
            first = ", ".join(map(str, frame[frame.duplicated()].iloc[0][cells]))
            yield Problem(f"{count} {what} are there twice, the first of {first}", COLLECT)


def _strange(place: Place, units: Units, info: Mapping[str, Any]) -> Iterator[Problem]:
    """Rows of another model, data, metric or explainer than run.json's."""
    columns = ["data", "model", "explainer", "metric", "version", "spec", "fingerprints", "explainer_spec"]
    rows = reading.read(place, "scores", units, SCORE_TYPES, columns=columns).to_pandas().drop_duplicates()
    for data, model, explainer, metric, version, spec, prints, explainer_spec in rows.itertuples(index=False):
        cell = f"{metric} of {explainer} on {model}, {data}"
        if not _is_known((data, model, explainer, metric), info):
            yield Problem(f"rows of {cell} are not in run.json", COLLECT)
            continue
        card, now = info["metrics"][metric], info["explainers"].get(explainer, {}).get("spec", "")
        facts = (
            ("fingerprints", prints, fingerprints(info, model, data)),
            ("version", version, card["version"]),
            ("spec", spec, card["spec"]),
            ("explainer spec", explainer_spec, now),
        )
        for name, old, new in facts:
            if old != new:
                yield Problem(
                    f"rows of {cell} were made with {name} {old!r}, run.json says {new!r}",
                    f"remove these rows' files from scores, or {AGAIN} into a new folder",
                )


def _sets(place: Place) -> Iterator[Problem]:
    name = f"scores/{SETS}{PARQUET}"
    rows = packing.table(reading.set_rows(reading.load(place)), SCORE_TYPES)
    options = {"filesystem": place.filesystem, "partitioning": None}
    there = pq.read_table(place.path(name), **options) if place.exists(name) else SCORE_TYPES.empty_table()
    if packing.table_hash(rows) != packing.table_hash(there):
        yield Problem(f"{name} does not hold what the records give", AGAIN)


def _undefined(place: Place) -> dict[Group, int]:
    columns = [*Cell._fields[:4], "score"]
    rows = reading.read(place, "scores", reading.units(place), SCORE_TYPES, columns=columns).to_pandas()
    counted = rows[rows["score"].isna()].groupby(list(Cell._fields[:4]), observed=True).size()
    return {(str(a), str(b), str(c), str(d)): int(count) for (a, b, c, d), count in counted.items()}


def _line(group: Group, info: Mapping[str, Any], there: int, undefined: int) -> Line:
    expected = info["data"][group[0]].get("n")
    return Line(*group, expected, there, max(0, expected - there) if expected is not None else 0, undefined)


def _asked(info: Mapping[str, Any]) -> Iterator[Group]:
    """What the suites asked for."""
    for data, models in info.get("asked", {}).items():
        for model, explainers in models.items():
            for explainer, metrics in explainers.items():
                yield from ((data, model, explainer, metric) for metric in metrics)


def _is_known(group: Group, info: Mapping[str, Any]) -> bool:
    return all(label in ("none", *info[key]) for label, key in zip(group, TABLES.values(), strict=True))


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(PARQUET).removesuffix(TENSORS)


def _weight(sizes: Mapping[str, int]) -> dict[str, int]:
    return {"files": len(sizes), "bytes": sum(sizes.values())}
