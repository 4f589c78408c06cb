"""A run to the bytes of a reference file: the same bytes for the same scores."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.errors import InvalidValueError, RunError
from xai_bench.references.commit import current
from xai_bench.references.digits import rounded
from xai_bench.references.layout import FACTS, FORMAT, KIND, laid_out
from xai_bench.runs.identity import data_prints, model_prints
from xai_bench.runs.run import CURVE_COLUMNS, Run
from xai_bench.stats.blocks import CELL, checked
from xai_bench.whole import write_whole

UNSAID = "no reason given"
# of a metric's card: what a comparison needs; the rest stands in the catalogue
CARD = ("name", "version", "spec", "better", "low", "high", "scope", "reduction", "family", "degree")


def content(run: Run, commit: str = "") -> bytes:
    """The file of a run; `commit` is that of the code that was scored. RunError where there is nothing to keep."""
    scores = run.scores
    if scores.empty:
        raise RunError("the run has no scores, so there is nothing to keep as a reference; run its suite first")
    if (seeds := scores["seed"].nunique()) > 1:
        raise RunError(f"a reference holds one seed, but the run has {seeds}; keep the reference of one of its runs")
    checked(run)
    _check_whole(run)
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
    return laid_out(head, targets, cells).encode()


def _check_whole(run: Run) -> None:
    """What half a run has no score of would be checked by nobody."""
    images = _images(run.scores)
    of_sets = set(run.scores.loc[run.scores["sample"] == "*", "metric"])  # a row only where there is no record
    for (data, model, explainer, metric), rows in _grouped(images[~images["metric"].isin(of_sets)], CELL):
        count = len(rows)
        expected = run.info.get("data", {}).get(data, {}).get("n", count)
        if count < expected:
            raise RunError(
                f"the run has {metric!r} of {explainer!r} on {model!r} for {count:,} of the {expected:,} images of "
                f"{data!r}; run its suite again, which goes on where it was, and keep the reference then"
            )


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
    return run.points(of_sets) if of_sets else pd.DataFrame(columns=list(CURVE_COLUMNS))


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
