"""The bytes of a reference file back to a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.errors import RunError
from xai_bench.references.layout import ANEW, FACTS, table_of
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run
from xai_bench.stats.blocks import CELL


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
    table = table_of(content, name)
    try:
        made = _run(table)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RunError(f"reference {name!r} is damaged ({error!r}); {ANEW}") from error
    if made.scores.empty:
        raise RunError(f"reference {name!r} holds no scores, so nothing can be held against it; {ANEW}")
    return made


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
