"""A run folder: one file per unit of work, there whole or not at all. Reads and writes without torch.

RUN/suite.toml         the suite as resolved
RUN/run.json           versions, machine, fingerprints, cards
RUN/scores/*.parquet   one row per model x explainer x metric x image
RUN/curves/*.parquet   points of per-image curves and records
RUN/maps/*.safetensors images and maps of the gallery

`models` and `report` may stand beside them.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xai_bench.errors import RunError
from xai_bench.keys import digest
from xai_bench.reductions import REDUCTIONS
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Panel, Run

SCHEMA = 2
BESIDE = ("models", "report")  # folders that may stand in a run folder before the run does
NUMBERS = {
    "version": pa.int64(),
    "target": pa.int64(),
    "score": pa.float64(),
    "error": pa.float64(),
    "seed": pa.int64(),
    "fraction": pa.float64(),
    "value": pa.float64(),
}
SCORE_TYPES = pa.schema([(name, NUMBERS.get(name, pa.string())) for name in SCORE_COLUMNS])
CURVE_TYPES = pa.schema([(name, NUMBERS.get(name, pa.string())) for name in CURVE_COLUMNS])


class Cell(NamedTuple):
    """What a unit is made of; a cell that is in the store is not computed again."""

    data: str
    model: str
    explainer: str
    metric: str
    sample: str


@dataclass
class Unit:
    """What one model gave for one slice of data."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)  # SCORE_COLUMNS
    points: list[tuple[Any, ...]] = field(default_factory=list)  # CURVE_COLUMNS
    panels: list[Panel] = field(default_factory=list)

    @property
    def name(self) -> str:
        """A hash of the cells."""
        scored = [(row[0], row[1], row[2], row[3], row[6]) for row in self.rows]
        return digest(*sorted({*scored, *(point[:5] for point in self.points)}))


class Memory:
    """Holds a run that is not written anywhere."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info, self._units = info, list[Unit]()

    def done(self) -> set[Cell]:
        return set()

    def add(self, unit: Unit) -> None:
        self._units.append(unit)

    def run(self) -> Run:
        scores = _table([row for unit in self._units for row in unit.rows], SCORE_TYPES)
        curves = _table([point for unit in self._units for point in unit.points], CURVE_TYPES)
        panels = [panel for unit in self._units for panel in unit.panels]
        return assembled(scores.to_pandas(), curves.to_pandas(), panels, self._info)


class Folder:
    """Keeps a run in a folder; a second start finds what is there and computes only what is missing."""

    def __init__(self, folder: Path, info: Mapping[str, Any], suite: str) -> None:
        self.folder = folder
        before = read_info(folder) if (folder / "run.json").exists() else None
        if folder.is_file():
            raise RunError(f"a run is kept in a folder, but {str(folder)!r} is a file")
        if before is None and folder.exists() and any(item.name not in BESIDE for item in folder.iterdir()):
            raise RunError(f"folder {str(folder)!r} holds other things than a run; choose another --out")
        if before is not None:
            _refuse_changes(folder, before, info)
            info = _merged(before, info)
        self._info = info
        for room in ("scores", "curves", "maps"):
            (folder / room).mkdir(parents=True, exist_ok=True)
        write_whole(folder / "suite.toml", suite.encode())
        write_whole(folder / "run.json", json.dumps(info, indent=1, ensure_ascii=False).encode())

    def done(self) -> set[Cell]:
        """The cells that need not be computed."""
        scores, curves = _frame(self.folder, "scores", SCORE_COLUMNS), _frame(self.folder, "curves", CURVE_COLUMNS)
        of_sets = {label for label, card in self._info["metrics"].items() if card["scope"] == "set"}
        records = curves[curves["metric"].isin(of_sets)].drop_duplicates(list(Cell._fields))
        both = [frame[list(Cell._fields)] for frame in (scores, records)]
        return {Cell(*row) for frame in both for row in frame.itertuples(index=False)}

    def add(self, unit: Unit) -> None:
        """Curves and maps first: scores that are there vouch for the rest."""
        name = unit.name
        if unit.panels:
            write_whole(self.folder / "maps" / f"{name}.safetensors", _packed(unit.panels))
        if unit.points:
            write_whole(self.folder / "curves" / f"{name}.parquet", _parquet(unit.points, CURVE_TYPES))
        if unit.rows:
            write_whole(self.folder / "scores" / f"{name}.parquet", _parquet(unit.rows, SCORE_TYPES))

    def run(self) -> Run:
        """The finished run; the rows of whole sets are written last, in one file of their own."""
        run = load(self.folder)
        of_sets = run.scores[run.scores["sample"] == "*"]
        rows = list(of_sets[list(SCORE_COLUMNS)].itertuples(index=False, name=None))
        if rows:
            write_whole(self.folder / "scores" / "set.parquet", _parquet(rows, SCORE_TYPES))
        return run


def load(folder: Path) -> Run:
    """A run folder as frames."""
    info = read_info(folder)
    scores, curves = _frame(folder, "scores", SCORE_COLUMNS), _frame(folder, "curves", CURVE_COLUMNS)
    panels = [panel for path in sorted((folder / "maps").glob("*.safetensors")) for panel in _unpacked(path)]
    return assembled(scores[scores["sample"] != "*"], curves, panels, info)


def read_info(folder: Path) -> dict[str, Any]:
    """run.json of a run folder, or one sentence why it is none."""
    path = folder / "run.json"
    if not path.is_file():
        raise RunError(f"{str(folder)!r} is not a run folder: it has no run.json")
    try:
        info: Any = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{str(path)!r} is damaged: {error}") from error
    if not isinstance(info, dict):
        raise RunError(f"{str(path)!r} is damaged: it holds no table")
    if info.get("schema") != SCHEMA:
        raise RunError(
            f"{str(folder)!r} has schema {info.get('schema')}, this version of xai_bench reads schema {SCHEMA}; "
            "run the suite again into a new folder"
        )
    missing = [key for key in ("data", "models", "explainers", "metrics", "seed", "precision") if key not in info]
    if missing:
        raise RunError(f"{str(path)!r} is damaged: it has no {missing[0]!r}")
    table: dict[str, Any] = info
    return table


def assembled(scores: pd.DataFrame, curves: pd.DataFrame, panels: Iterable[Panel], info: Mapping[str, Any]) -> Run:
    """Rows in the suite's order whatever order they were computed in, with one row for each set."""
    scores = _with_sets(scores, curves, info)
    order = {name: list(info[name]) for name in ("data", "models", "explainers", "metrics")}
    ranks = {
        column: {label: rank for rank, label in enumerate(["none", *order[name]])}
        for column, name in (("data", "data"), ("model", "models"), ("explainer", "explainers"), ("metric", "metrics"))
    }
    keys = [*ranks, "sample"]

    def placed(column: "pd.Series[Any]") -> "pd.Series[Any]":
        return column.map(ranks[str(column.name)]) if column.name in ranks else column

    return Run(
        scores=scores.sort_values(keys, key=placed, kind="stable", ignore_index=True),
        curves=curves.sort_values([*keys, "fraction"], key=placed, kind="stable", ignore_index=True),
        cards=info["metrics"],
        explainers=info["explainers"],
        info=info,
        gallery=_gathered(panels),
    )


def _with_sets(scores: pd.DataFrame, curves: pd.DataFrame, info: Mapping[str, Any]) -> pd.DataFrame:
    """The rows and one with sample "*" for each cell of a metric that speaks of a whole set, from its records."""
    of_sets = {label for label, card in info["metrics"].items() if card["scope"] == "set"}
    cell = list(Cell._fields[:4])
    records: dict[Any, pd.DataFrame] = dict(iter(curves[curves["metric"].isin(of_sets)].groupby(cell, sort=False)))
    undefined = scores[scores["metric"].isin(of_sets)].groupby(cell, sort=False).groups
    rows = [_set_row(key, records.get(key), info) for key in dict.fromkeys([*records, *undefined])]
    added = pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).astype(scores.dtypes.to_dict())
    return pd.concat([scores, added], ignore_index=True) if rows else scores


def _set_row(key: Any, records: pd.DataFrame | None, info: Mapping[str, Any]) -> tuple[Any, ...]:
    data, model, explainer, metric = key
    card = info["metrics"][metric]
    score, reason = math.nan, "no image is defined"
    if records is not None:
        table = records.pivot_table(index="sample", columns="fraction", values="value").to_numpy()
        score, reason = REDUCTIONS[card["reduction"]](table), ""
    provenance = (info["seed"], info["precision"], info["models"][model]["device"], fingerprints(info, model, data))
    explainer_spec = info["explainers"].get(explainer, {}).get("spec", "")
    return (*key, card["version"], card["spec"], "*", -1, score, reason, math.nan, *provenance, explainer_spec)


def fingerprints(info: Mapping[str, Any], model: str, data: str) -> str:
    """What the model and the data were, as one text."""
    return f"model={info['models'][model]['fingerprint']} data={info['data'][data]['fingerprint']}"


def _refuse_changes(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """A run folder takes more models, explainers, metrics and data, but never another meaning of the same name."""
    for key in ("seed", "target", "precision"):
        if before[key] != now[key]:
            raise RunError(
                f"{str(folder)!r} was made with {key} {before[key]!r}, not {now[key]!r}; choose another --out"
            )
    for kind, what in (("models", "fingerprint"), ("data", "fingerprint"), ("explainers", "spec"), ("metrics", "spec")):
        for label in before[kind].keys() & now[kind].keys():
            old, new = before[kind][label], now[kind][label]
            if (old[what], old.get("version")) != (new[what], new.get("version")):
                raise RunError(
                    f"{str(folder)!r} was made with another {label!r} ({what} {old[what]!r}, now {new[what]!r}); "
                    "choose another --out"
                )


def _merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ("models", "data", "explainers", "metrics")
    return {**before, **now, "created": before["created"], **{kind: {**before[kind], **now[kind]} for kind in kinds}}


def write_whole(path: Path, content: bytes) -> None:
    """The file appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _parquet(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(_table(rows, schema), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _frame(folder: Path, room: str, columns: Sequence[str]) -> pd.DataFrame:
    frames: list[pd.DataFrame] = []
    for path in sorted((folder / room).glob("*.parquet")):
        try:
            frames.append(pq.read_table(path, columns=list(columns)).to_pandas())
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
    if not frames:
        schema = SCORE_TYPES if room == "scores" else CURVE_TYPES
        frames.append(schema.empty_table().to_pandas())
    return pd.concat(frames, ignore_index=True)


def _packed(panels: Sequence[Panel]) -> bytes:
    arrays: dict[str, NDArray[Any]] = {}
    index = []
    for number, panel in enumerate(panels):
        arrays[f"{number}/image"] = panel.image
        if panel.region is not None:
            arrays[f"{number}/region"] = panel.region
        for place, pixels in enumerate(panel.maps.values()):
            arrays[f"{number}/map/{place}"] = pixels
        index.append({"data": panel.data, "sample": panel.sample, "maps": list(panel.maps)})
    content: bytes = save(arrays, metadata={"panels": json.dumps(index)})
    return content


def _unpacked(path: Path) -> list[Panel]:
    try:
        with safe_open(path, framework="np") as file:
            index = json.loads(file.metadata()["panels"])
            names = set(file.keys())
            return [
                Panel(
                    data=entry["data"],
                    sample=entry["sample"],
                    image=file.get_tensor(f"{number}/image"),
                    region=file.get_tensor(f"{number}/region") if f"{number}/region" in names else None,
                    maps={
                        (model, explainer): file.get_tensor(f"{number}/map/{place}")
                        for place, (model, explainer) in enumerate(entry["maps"])
                    },
                )
                for number, entry in enumerate(index)
            ]
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RunError:
    """The scores vouch for the curves and maps of the same name, so all of them must go."""
    return RunError(
        f"{str(path)!r} is damaged ({error}); remove the files called {path.stem!r} in scores, curves and maps "
        "and run the suite again"
    )


def _gathered(panels: Iterable[Panel]) -> tuple[Panel, ...]:
    """One panel per image, with the maps of all models and explainers."""
    found: dict[tuple[str, str], Panel] = {}
    for panel in panels:
        key = (panel.data, panel.sample)
        maps = {**found[key].maps, **panel.maps} if key in found else dict(panel.maps)
        found[key] = Panel(panel.data, panel.sample, panel.image, panel.region, maps)
    return tuple(found[key] for key in sorted(found))
