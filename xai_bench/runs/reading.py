"""A stored run as frames: read by column, without a loop over rows, curves and pictures only when asked for."""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError

from xai_bench.errors import RunError
from xai_bench.reductions import reduced
from xai_bench.runs import packing
from xai_bench.runs.cells import Cell, Done
from xai_bench.runs.files import Place
from xai_bench.runs.packing import CURVE_TYPES, SCORE_TYPES, Mark
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Panel, Run, StoredRun

SCHEMA = 3
TABLES = {
    "data": "data",
    "model": "models",
    "explainer": "explainers",
    "metric": "metrics",
}  # column -> key of run.json
SETS = "set"  # the file of the rows that speak of whole sets; made anew from records
MERGED = "merged-"
REPEATED = ("data", "model", "explainer", "metric", "spec", "precision", "device", "fingerprints", "explainer_spec")
PARQUET, TENSORS = ".parquet", ".safetensors"
ANEW = "put it back from a copy, or run the suite again into a new folder"  # nothing else says what the rows mean
Info = Mapping[str, Any]
Curves = Callable[[Collection[str] | None], pd.DataFrame]  # of these metrics; None: of all


class Units(NamedTuple):
    """Which files count."""

    live: tuple[str, ...]  # units, which their scores vouch for
    replaced: frozenset[str]  # units that a merged file stands for
    held: frozenset[str]  # units whose maps and gallery a merged file vouches for


def load(place: Place) -> Run:
    """A run folder as frames; begun again where files were merged meanwhile."""
    for _ in range(2):
        try:
            return _load(place)
        except RunError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        except pa.ArrowException as error:  # a footer has no checksum that would be looked at in passing
            raise RunError(
                f"run folder {str(place)!r} holds a damaged file ({first_line(error)}); "
                "`xai-bench runs verify` says which, and what to do"
            ) from error
    return _load(place)


def _load(place: Place) -> Run:
    info = read_info(place)

    def panels() -> list[Panel]:
        return [panel for name in vouched(place, "gallery", units(place)) for panel in panels_in(place, name)]

    return assembled(
        read(place, "scores", units(place), SCORE_TYPES),
        lambda metrics: read(place, "curves", units(place), CURVE_TYPES, metrics=metrics),
        panels,
        info,
    )


def units(place: Place) -> Units:
    """The unit files that count; those that a merged file stands for do not."""
    found = [name.removesuffix(PARQUET) for name in place.sizes("scores") if is_file(name, PARQUET)]
    marks = [mark(place, f"scores/{name}{PARQUET}") for name in found if name.startswith(MERGED)]
    replaced = frozenset(old for one in marks for old in one.replaces)
    live = tuple(name for name in found if name != SETS and name not in replaced)
    return Units(live, replaced, frozenset(old for one in marks for old in one.holds))


def lost_curves(place: Place) -> list[str]:
    """Files of curves that scores speak of and that are gone; units merged meanwhile have lost nothing."""
    live, there = units(place).live, place.sizes("curves")
    return [f"curves/{unit}{PARQUET}" for unit in live if f"{unit}{PARQUET}" not in there and _has_curves(place, unit)]


def _has_curves(place: Place, unit: str) -> bool:
    try:
        return "curves" in mark(place, f"scores/{unit}{PARQUET}").rooms
    except RunError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise


def vouched(place: Place, room: str, names: Units) -> list[str]:
    """The files of a room that belong to these units; others are leftovers of a start that was killed."""
    end = TENSORS if room in ("maps", "gallery") else PARQUET
    wanted = {*names.live, *(names.held if end == TENSORS else ())}
    there = place.sizes(room)
    return [f"{room}/{name}" for name in sorted(f"{unit}{end}" for unit in wanted) if name in there]


def read(
    place: Place,
    room: str,
    names: Units,
    schema: pa.Schema,
    *,
    columns: Sequence[str] | None = None,
    metrics: Collection[str] | None = None,
) -> pa.Table:
    """Rows of the units as one table, strings as dictionaries; only some columns or metrics where that is asked."""
    wanted = list(columns or schema.names)
    files = [] if metrics is not None and not metrics else vouched(place, room, names)
    if not files:
        return encoded(schema.empty_table().select(wanted))
    options: dict[str, Any] = {
        "columns": wanted,
        "filesystem": place.filesystem,
        "read_dictionary": [name for name in wanted if schema.field(name).type == pa.string()],
        "filters": None if metrics is None else among(metrics),
        "partitioning": None,
        "page_checksum_verification": True,
    }
    try:
        found: pa.Table = pq.read_table([place.path(name) for name in files], **options)
    except (pa.ArrowException, OSError) as error:
        raise damage(place, files, options) or damaged(place, files[0], error) from error
    return found.replace_schema_metadata(None).unify_dictionaries()


def damage(place: Place, files: Iterable[str], options: Mapping[str, Any]) -> RunError | None:
    """Which of the files cannot be read, and why."""
    for name in files:
        try:
            pq.read_table(place.path(name), **options)
        except (pa.ArrowException, OSError) as error:
            return damaged(place, name, error)
    return None


def among(names: Collection[str], column: str = "metric") -> Any:
    """Rows of these metrics, as pyarrow filters."""
    return pc.field(column).isin(pa.array(list(names), pa.string()))


def encoded(table: pa.Table) -> pa.Table:
    """Strings as dictionaries."""
    for place, field in enumerate(table.schema):
        if field.type == pa.string():
            table = table.set_column(place, field.name, table.column(place).dictionary_encode())
    return table.unify_dictionaries()


def done(place: Place, info: Info) -> Done:
    """The cells that need not be computed: those with a row, and those with a record for a metric of a whole set."""
    names = units(place)
    of_sets = _of_sets(info)
    rows = read(place, "scores", names, SCORE_TYPES, columns=Cell._fields)
    records = read(place, "curves", names, CURVE_TYPES, columns=Cell._fields, metrics=of_sets)
    cells = pa.concat_tables([rows, records]).unify_dictionaries()
    (*groups, samples), labels = _coded(cells, Cell._fields)
    places = np.ravel_multi_index(groups, [len(names) or 1 for names in labels[:4]]) if len(cells) else np.zeros(0, int)
    there = {}
    for found in np.unique(places):
        bits = np.zeros(len(labels[4]), np.bool_)
        bits[samples[places == found]] = True
        at = np.unravel_index(found, [len(names) or 1 for names in labels[:4]])
        data, model, explainer, metric = (names[int(index)] for names, index in zip(labels, at, strict=False))
        there[data, model, explainer, metric] = bits
    return Done(labels[4], there)


def assembled(
    scores: pa.Table,
    curves: Callable[[Collection[str] | None], pa.Table],
    panels: Callable[[], Iterable[Panel]],
    info: Info,
) -> Run:
    """Rows in the suite's order whatever order they were computed in, with one row for each set.

    What run.json does not name is left out.
    """

    def points(metrics: Collection[str] | None) -> pd.DataFrame:
        return placed(curves(metrics), CURVE_COLUMNS, info)

    return StoredRun(
        scores=placed(_with_sets(scores, points, info), SCORE_COLUMNS, info),
        curves=points,
        cards=info["metrics"],
        explainers=info["explainers"],
        info=info,
        gallery=lambda: gathered(panels()),
    )


def placed(rows: pa.Table, columns: Sequence[str], info: Info) -> pd.DataFrame:
    """Rows as a frame in the order of the suite, samples and fractions; repeated texts as categories."""
    rows = rows.combine_chunks()
    (*codes, samples), (*labels, ids) = _coded(rows, Cell._fields)
    ranks, known = list[NDArray[np.int64]](), np.ones(len(rows), np.bool_)
    orders = [["none", *info[key]] for key in TABLES.values()]
    for code, names, order in zip(codes, labels, orders, strict=True):
        rank = np.array([order.index(name) if name in order else -1 for name in names], np.int64)[code]
        ranks.append(rank)
        known &= rank >= 0
    by_name = np.argsort(np.argsort(np.array(ids or [""], object), kind="stable"), kind="stable")[samples]
    key = np.zeros(len(rows), np.int64)
    for rank, size in zip((*ranks, by_name), (*map(len, orders), len(ids)), strict=True):
        key = key * size + rank
    keys = (rows.column("fraction").to_numpy(), key) if "fraction" in columns else (key,)
    sorted_rows = np.lexsort(keys)
    chosen = sorted_rows[known[sorted_rows]]
    frame = {name: _column(rows, name, chosen) for name in columns}
    for name, rank, labels_in_order in zip(TABLES, ranks, orders, strict=True):
        frame[name] = _categories(rank[chosen], labels_in_order)
    return pd.DataFrame(frame, columns=list(columns))


def _column(rows: pa.Table, name: str, chosen: NDArray[np.int64]) -> Any:
    column = rows.column(name)
    if not pa.types.is_dictionary(column.type):
        return column.to_numpy()[chosen]
    (codes,), (names,) = _coded(rows, (name,))
    if name not in REPEATED:
        return pa.array(names, pa.string()).take(pa.array(codes[chosen])).to_pandas()
    ordered = sorted(names)
    ranks = {label: rank for rank, label in enumerate(ordered)}
    return _categories(np.array([ranks[label] for label in names], np.int64)[codes[chosen]], ordered)


def _categories(codes: NDArray[np.int64], names: Sequence[str]) -> "pd.Categorical[Any]":
    return pd.Categorical.from_codes(codes, pd.Index(list(names))).remove_unused_categories()


def set_rows(run: Run) -> list[tuple[Any, ...]]:
    """The rows that speak of whole sets."""
    rows = run.scores[run.scores["sample"] == "*"]
    return list(rows[list(SCORE_COLUMNS)].itertuples(index=False, name=None))


def gathered(panels: Iterable[Panel]) -> tuple[Panel, ...]:
    """One panel per image, with the maps of all models and explainers."""
    found: dict[tuple[str, str], Panel] = {}
    for panel in panels:
        key = (panel.data, panel.sample)
        maps = {**found[key].maps, **panel.maps} if key in found else dict(panel.maps)
        found[key] = Panel(panel.data, panel.sample, panel.image, panel.region, maps)
    return tuple(found[key] for key in sorted(found))


def read_info(place: Place) -> dict[str, Any]:
    """run.json of a run folder, or one sentence why it is none."""
    where, path = str(place), place.path("run.json")
    try:
        info: Any = json.loads(place.read("run.json"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise RunError(f"{where!r} is not a run folder: it has no run.json") from error
    except OSError as error:
        raise RunError(f"{path!r} cannot be read: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path!r} is damaged: {error}; {ANEW}") from error
    if not isinstance(info, dict):
        raise RunError(f"{path!r} is damaged: it holds no table; {ANEW}")
    if info.get("schema") != SCHEMA:
        versions = info.get("versions")
        by = versions.get("xai-bench", "another version") if isinstance(versions, dict) else "another version"
        raise RunError(
            f"{where!r} has schema {info.get('schema')} (xai-bench {by}), this version of xai_bench reads schema "
            f"{SCHEMA}; run the suite again into a new folder, or read this one with the version that made it"
        )
    missing = [key for key in ("data", "models", "explainers", "metrics", "seed", "precision") if key not in info]
    if missing:
        raise RunError(f"{path!r} is damaged: it has no {missing[0]!r}; {ANEW}")
    table: dict[str, Any] = info
    return table


def fingerprints(info: Info, model: str, data: str) -> str:
    """What the model and the data were, as one text."""
    return f"model={info['models'][model]['fingerprint']} data={info['data'][data]['fingerprint']}"


def _coded(rows: pa.Table, columns: Sequence[str]) -> tuple[list[NDArray[np.int64]], list[list[str]]]:
    """Of each column the codes (n,) and what they stand for."""
    rows = rows.select(list(columns)).combine_chunks()
    arrays = [column.chunk(0) if column.num_chunks else None for column in rows.columns]
    codes = [np.zeros(0, np.int64) if one is None else one.indices.to_numpy().astype(np.int64) for one in arrays]
    return codes, [[] if one is None else one.dictionary.to_pylist() for one in arrays]


def _of_sets(info: Info) -> list[str]:
    return [label for label, card in info["metrics"].items() if card["scope"] == "set"]


def _with_sets(scores: pa.Table, points: Curves, info: Info) -> pa.Table:
    """The rows and one with sample "*" for each cell of a metric that speaks of a whole set, from its records."""
    if not (of_sets := _of_sets(info)):
        return scores
    cell = list(Cell._fields[:4])
    records = dict(iter(points(of_sets).groupby(cell, sort=False, observed=True)))
    undefined = scores.filter(among(of_sets)).group_by(cell).aggregate([]).to_pylist()
    undefined = [tuple(row[name] for name in cell) for row in undefined]
    known = [key for key in dict.fromkeys([*records, *undefined]) if _is_known(key, info)]
    rows = [_set_row(key, records.get(key), info) for key in known]
    if not rows:
        return scores
    return pa.concat_tables([scores, encoded(packing.table(rows, SCORE_TYPES))]).unify_dictionaries()


def _is_known(key: Any, info: Info) -> bool:
    return all(label in ("none", *info[name]) for label, name in zip(key, TABLES.values(), strict=True))


def _set_row(key: Any, records: pd.DataFrame | None, info: Info) -> tuple[Any, ...]:
    data, model, explainer, metric = key
    card = info["metrics"][metric]
    score, reason = math.nan, "no image is defined"
    if records is not None:
        table = records.pivot_table(index="sample", columns="fraction", values="value").to_numpy()
        score, reason = reduced(card["reduction"], table)
    provenance = (info["seed"], info["precision"], info["models"][model]["device"], fingerprints(info, model, data))
    explainer_spec = info["explainers"].get(explainer, {}).get("spec", "")
    outcome = ("*", -1, score, reason, math.nan, math.nan)
    return (*key, card["version"], card["spec"], *outcome, *provenance, explainer_spec)


def panels_in(place: Place, name: str) -> list[Panel]:
    """The panels of one file of the gallery."""
    try:
        return packing.panels(place.read(name))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise damaged(place, name, error) from error


def kept_in(place: Place, name: str) -> packing.Kept:
    """What one file of maps holds, from its head."""
    try:
        return packing.kept(place, name)
    except (OSError, ValueError, KeyError) as error:
        raise damaged(place, name, error) from error


def mark(place: Place, name: str) -> Mark:
    """What a scores file says of its unit."""
    try:
        return packing.mark(place, name)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(place, name, error) from error


def is_file(name: str, end: str) -> bool:
    """Whether this is the name of a finished file of that kind."""
    return name.endswith(end) and not name.startswith(".")


def damaged(place: Place, name: str, error: Exception) -> RunError:
    """Scores vouch for the curves and maps of the same name, so all must go; none where a file is only barred."""
    if isinstance(error, PermissionError):
        return RunError(f"{place.path(name)!r} cannot be read: permission denied; let this user read it")
    stem = name.rpartition("/")[2].partition(".")[0]
    return RunError(
        f"{place.path(name)!r} is damaged ({first_line(error)}); remove the files called {stem!r} in scores, curves, "
        "gallery and maps and run the suite again"
    )


def first_line(error: Exception) -> str:
    """What an error says first."""
    return (str(error) or type(error).__name__).strip().splitlines()[0]
