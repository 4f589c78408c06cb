"""A reference file: JSON, the same bytes for the same scores, one line for the head of a cell and one for its scores.

`mean`, `n` and `undefined` in a head are for whoever reads a diff; they are not read back. `digest` is over all the
rest, so that a file that was edited, cut off or merged line by line is not taken for a reference.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.errors import InvalidValueError, RunError
from xai_bench.references.commit import current
from xai_bench.references.digits import rounded
from xai_bench.runs.identity import data_prints, model_prints
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run
from xai_bench.whole import write_whole

FORMAT = 1
KIND = "xai_bench_reference"
CELL = ["data", "model", "explainer", "metric"]
UNSAID = "no reason given"
NOT_FINITE = "score is not finite"
# of a metric's card: what a comparison needs; the rest stands in the catalogue
CARD = ("name", "version", "spec", "better", "low", "high", "scope", "reduction", "family", "degree")
FACTS = ("created", "versions", "target", "compile")


def content(run: Run, commit: str = "") -> bytes:
    """The file of a run; `commit` is that of the code that was scored. RunError where there is nothing to keep."""
    scores = run.scores
    if scores.empty:
        raise RunError("the run has no scores, so there is nothing to keep as a reference; run its suite first")
    if (seeds := scores["seed"].nunique()) > 1:
        raise RunError(f"a reference holds one seed, but the run has {seeds}; keep the reference of one of its runs")
    records = _points(run)
    samples = _samples(scores, records)
    head = {
        KIND: FORMAT,
        "commit": commit,
        **{key: run.info[key] for key in FACTS if key in run.info},
        "seed": int(scores["seed"].iloc[0]),
        "precision": str(scores["precision"].iloc[0]),
        "models": _models(run),
        "explainers": _explainers(run),
        "metrics": _metrics(run),
        "data": {data: {"fingerprint": data_prints(run)[data], "samples": ids} for data, ids in samples.items()},
    }
    targets = list(_targets(scores, samples))
    cells = list(_cells(scores, records, samples))
    return _laid_out(head, targets, cells).encode()


def write(run: Run, path: Path, commit: str | None = None) -> None:
    """Keep a run as a reference file, whole or not at all. `commit`: of the working tree where None is given.

    RunError where there is nothing to keep; InvalidValueError where the path holds something else, or cannot be
    written.
    """
    made = content(run, current() if commit is None else commit)
    refuse_foreign(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, made)
    except OSError as error:
        raise InvalidValueError(f"reference {str(path)!r} cannot be written: {error.strerror}") from error


def refuse_foreign(path: Path) -> None:
    """What is no reference is not written over; a damaged one is."""
    if path.is_dir():
        raise InvalidValueError(f"a reference is written into a file, but {str(path)!r} is a folder")
    if path.is_file() and path.stat().st_size and KIND.encode() not in path.read_bytes()[:200]:
        raise InvalidValueError(f"{str(path)!r} is no reference file, so it is not written over; choose another name")


def read(path: Path) -> Run:
    """The run that a reference file keeps: scores as they were rounded, records of set metrics as `curves`.

    RunError where the file is none, is cut off, edited or empty, or was written by a later version.
    """
    try:
        found = path.read_bytes()
    except OSError as error:
        raise RunError(f"reference {str(path)!r} cannot be read: {error.strerror}") from error
    return parsed(found, str(path))


def parsed(content: bytes, name: str) -> Run:
    """The run that the bytes of a reference file keep; errors call the file `name`."""
    table = _parsed(content, name)
    try:
        made = _run(table)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RunError(f"reference {name!r} is damaged ({error!r}); {ANEW}") from error
    if made.scores.empty:
        raise RunError(f"reference {name!r} holds no scores, so nothing can be held against it; {ANEW}")
    return made


ANEW = "restore it from version control, or make it anew with `xai-bench reference update RUN FILE --force`"


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise RunError(f"{name!r} is no reference file of xai_bench: it is not text") from error
    if not text.strip():
        raise RunError(f"reference {name!r} is empty; {ANEW}")
    ours = KIND in text[:200]
    try:
        table = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:  # RecursionError of a hostile file is our fault no more than theirs
        if ours:
            raise RunError(f"reference {name!r} is cut off or damaged ({error}); {ANEW}") from error
        raise RunError(f"{name!r} is no reference file of xai_bench: it is not JSON ({error})") from error
    if not isinstance(table, dict) or KIND not in table:
        raise RunError(f"{name!r} is no reference file of xai_bench: it has no {KIND!r}")
    if table[KIND] != FORMAT:
        raise RunError(
            f"reference {name!r} has format {table[KIND]!r}, but this version of xai_bench reads {FORMAT}; "
            "use the version it was written with, or make it anew with `xai-bench reference update RUN FILE --force`"
        )
    if table.pop("digest", None) != _digest(table):
        raise RunError(f"reference {name!r} was edited or damaged: its digest does not fit; {ANEW}")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no score")


def _digest(table: Mapping[str, Any]) -> str:
    """Over what the file says, whatever its line ends and blanks."""
    said = json.dumps(table, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def _laid_out(head: Mapping[str, Any], targets: list[Any], cells: list[tuple[Any, Any]]) -> str:
    """Short facts line by line, lists in one line each: what changed can be read in a diff."""
    table = dict(head) | {"targets": targets, "cells": [part for cell in cells for part in cell]}
    facts = [f" {_line(key)}: {_fact(value)}" for key, value in head.items()]
    rows = [f' "targets": {_rows(targets)}', f' "cells": {_rows([part for cell in cells for part in cell])}']
    return "{\n" + ",\n".join([*facts, *rows, f' "digest": "{_digest(table)}"']) + "\n}\n"


def _fact(value: Any) -> str:
    if not isinstance(value, dict):
        return _line(value)
    return "{\n" + ",\n".join(f"  {_line(key)}: {_line(item)}" for key, item in value.items()) + "\n }"


def _rows(values: list[Any]) -> str:
    return "[\n" + ",\n".join(f"  {_line(value)}" for value in values) + "\n ]"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ") if isinstance(value, dict) else (",", ":"))


def _models(run: Run) -> dict[str, Any]:
    prints = model_prints(run)
    devices = run.scores.drop_duplicates("model").set_index("model")["device"]
    return {model: {"fingerprint": prints[model], "device": str(devices[model])} for model in prints}


def _explainers(run: Run) -> dict[str, Any]:
    rows = run.scores[["explainer", "explainer_spec"]].drop_duplicates("explainer").itertuples(index=False, name=None)
    kinds = {str(name): run.explainers.get(str(name), {}).get("kind", "") for name in run.scores["explainer"].unique()}
    return {str(name): {"kind": kinds[str(name)], "spec": str(spec)} for name, spec in rows if name != "none"}


def _grouped(frame: pd.DataFrame, keys: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    for key, part in frame.groupby(keys, sort=False, observed=True):
        yield (key[0] if len(keys) == 1 else tuple(map(str, key))), part


def _metrics(run: Run) -> dict[str, Any]:
    """Cards, with version and spec as the rows say them."""
    rows = run.scores[["metric", "version", "spec"]].drop_duplicates("metric").itertuples(index=False, name=None)
    stamps = {str(label): {"version": int(version), "spec": str(spec)} for label, version, spec in rows}
    cards = {label: {**run.cards.get(label, {}), **stamp} for label, stamp in stamps.items()}
    return {label: {key: card[key] for key in CARD if key in card} for label, card in cards.items()}


def _points(run: Run) -> pd.DataFrame:
    """Records of set metrics; no curve of any other."""
    of_sets = [str(metric) for metric in run.scores.loc[run.scores["sample"] == "*", "metric"].unique()]
    return run.points(of_sets) if of_sets else _empty(CURVE_COLUMNS)


def _samples(scores: pd.DataFrame, records: pd.DataFrame) -> dict[str, list[str]]:
    """The images of each data set."""
    both = pd.concat([frame[["data", "sample"]].astype(object) for frame in (scores, records)]).drop_duplicates()
    found: dict[str, list[str]] = {str(data): [] for data in scores["data"].unique()}
    for data, sample in both.itertuples(index=False, name=None):
        if sample != "*":
            found[str(data)].append(str(sample))
    return found


def _images(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[scores["sample"] != "*"]


def _targets(scores: pd.DataFrame, samples: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    """Which class each model explained in each image; -1 where none was."""
    for (data, model), part in _grouped(_images(scores), ["data", "model"]):
        classes = dict(zip(part["sample"], part["target"].astype(int), strict=True))
        found = [classes.get(sample, -1) for sample in samples[data]]
        if any(one >= 0 for one in found):
            yield {"data": data, "model": model, "classes": found}


def _cells(scores: pd.DataFrame, points: pd.DataFrame, samples: Mapping[str, list[str]]) -> Iterator[tuple[Any, Any]]:
    """Head and scores of each cell."""
    records = dict(_grouped(points, CELL))
    for cell, rows in _grouped(scores, CELL):
        images, whole = _images(rows), rows[rows["sample"] == "*"]
        by_sample = images.drop_duplicates("sample").set_index("sample")
        place = {sample: number for number, sample in enumerate(samples[cell[0]])}
        values = rounded(by_sample["score"].reindex(samples[cell[0]]).to_numpy(np.float64))
        undefined = _undefined(by_sample, place)
        facts = dict(zip(CELL, cell, strict=True)) | {"mean": None, "n": 0, "undefined": 0}
        body: dict[str, Any] = {"undefined": undefined} if undefined else {}
        facts["undefined"] = sum(map(len, undefined.values()))
        if len(whole):
            score = float(rounded(whole["score"].iloc[:1].to_numpy(np.float64))[0])
            facts["mean"] = None if np.isnan(score) else score
            body |= {"score": facts["mean"], "reason": _said(whole["reason"].iloc[0])}
            body |= _records(records.get(cell), place)
            facts["n"] = sum(row is not None for row in body.get("records", []))
        else:
            known = values[np.isfinite(values)]
            facts |= {"mean": float(f"{known.mean():.6g}") if len(known) else None, "n": len(known)}
            body["scores"] = _numbers(values)
            if absent := [number for sample, number in place.items() if sample not in by_sample.index]:
                body["absent"] = absent
        yield facts, body


def _undefined(by_sample: pd.DataFrame, place: Mapping[str, int]) -> dict[str, list[int]]:
    """Reason -> places of the images."""
    missing = by_sample[~np.isfinite(by_sample["score"].to_numpy(np.float64))]
    found: dict[str, list[int]] = {}
    for sample, reason in zip(missing.index, missing["reason"], strict=True):
        found.setdefault(_said(reason), []).append(place[sample])
    return found


def _said(reason: Any) -> str:
    return str(reason) if isinstance(reason, str) and reason else UNSAID


def _records(points: pd.DataFrame | None, place: Mapping[str, int]) -> dict[str, Any]:
    if points is None or points.duplicated(["sample", "fraction"]).any():
        return {}
    wide = points.pivot_table(index="sample", columns="fraction", values="value", observed=True)
    rows = {str(sample): _numbers(rounded(values)) for sample, values in zip(wide.index, wide.to_numpy(), strict=True)}
    return {"fractions": _numbers(wide.columns.to_numpy()), "records": [rows.get(sample) for sample in place]}


def _numbers(values: Any) -> list[float | int | None]:
    """For JSON: whole numbers without `.0`, nan as null."""
    return [None if value != value else int(value) if value == int(value) else value for value in values.tolist()]  # noqa: PLR0124 - nan


def _run(table: Mapping[str, Any]) -> Run:
    made = _Reader(table)
    parts = [made.cell(head, body) for head, body in zip(table["cells"][::2], table["cells"][1::2], strict=True)]
    scores = pd.concat([part for part, _ in parts], ignore_index=True) if parts else _empty(SCORE_COLUMNS)
    curves = [points for _, points in parts if points is not None]
    points = pd.concat(curves, ignore_index=True) if curves else _empty(CURVE_COLUMNS)
    info = {key: table[key] for key in (*FACTS, "commit", "seed", "precision") if key in table}
    explainers = {name: {"name": name, "kind": facts["kind"]} for name, facts in table["explainers"].items()}
    cards = {label: {"summary": "", "source": "", **card} for label, card in table["metrics"].items()}
    return Run(scores, points, cards, explainers, info)


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


class _Reader:
    """Cells back to rows."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table
        self.samples = {data: [str(sample) for sample in facts["samples"]] for data, facts in table["data"].items()}
        self.classes = {(row["data"], row["model"]): row["classes"] for row in table["targets"]}

    def cell(self, head: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        data, model = str(head["data"]), str(head["model"])
        ids = self.samples[data]
        reasons = {place: reason for reason, places in body.get("undefined", {}).items() for place in places}
        if "scores" in body:
            scores, absent = body["scores"], set(body.get("absent", []))
            chosen = [place for place in range(len(ids)) if place not in absent]
        else:
            scores, chosen = [None] * len(ids), sorted(reasons)
        if len(scores) != len(ids):
            raise ValueError(f"{len(scores)} scores of {len(ids)} images")
        classes = self.classes.get((data, model), [-1] * len(ids))
        rows = [(ids[place], classes[place], scores[place], reasons.get(place, "")) for place in chosen]
        if "scores" not in body:
            rows.append(("*", -1, body["score"], "" if body["score"] is not None else body["reason"]))
        frame = pd.DataFrame(rows, columns=["sample", "target", "score", "reason"])
        frame["score"] = frame["score"].astype(np.float64)
        frame = frame.assign(**self._stamps(head)).reindex(columns=list(SCORE_COLUMNS))
        return frame, self._points(head, body)

    def _stamps(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """What is the same for every row of a cell."""
        card, model = self.table["metrics"][head["metric"]], self.table["models"][head["model"]]
        explainer = self.table["explainers"].get(head["explainer"], {"spec": ""})
        return {
            **{key: str(head[key]) for key in CELL},
            "version": card["version"],
            "spec": card["spec"],
            "seed": self.table["seed"],
            "precision": self.table["precision"],
            "device": model["device"],
            "fingerprints": f"model={model['fingerprint']} data={self.table['data'][head['data']]['fingerprint']}",
            "explainer_spec": explainer["spec"],
        }

    def _points(self, head: Mapping[str, Any], body: Mapping[str, Any]) -> pd.DataFrame | None:
        if "records" not in body:
            return None
        ids = self.samples[str(head["data"])]
        kept = [(sample, row) for sample, row in zip(ids, body["records"], strict=True) if row is not None]
        values = np.array([row for _, row in kept], np.float64).reshape(len(kept), len(body["fractions"]))
        points = {
            **{key: str(head[key]) for key in CELL},
            "sample": np.repeat(np.array([sample for sample, _ in kept], object), values.shape[1]),
            "fraction": np.tile(np.array(body["fractions"], np.float64), len(kept)),
            "value": values.ravel(),
        }
        return pd.DataFrame(points, columns=list(CURVE_COLUMNS))
