"""What the rows of a run say of the data, metrics and explainers behind them, so that two runs can be held together."""

import re
from collections.abc import Mapping

from xai_bench.runs.run import Run

_PRINTS = re.compile(r"model=(?P<model>.*?)[ ;]+data=(?P<data>.*)")
SPEC = ("version", "spec")


def data_prints(run: Run) -> dict[str, str]:
    """Data -> fingerprint."""
    pairs = run.scores[["data", "fingerprints"]].drop_duplicates().itertuples(index=False, name=None)
    return {str(data): _part(str(prints), "data") for data, prints in pairs}


def model_prints(run: Run) -> dict[str, str]:
    """Model -> fingerprint."""
    pairs = run.scores[["model", "fingerprints"]].drop_duplicates().itertuples(index=False, name=None)
    return {str(model): _part(str(prints), "model") for model, prints in pairs}


def metric_specs(run: Run) -> dict[str, str]:
    """Metric -> version and spec."""
    rows = run.scores[["metric", *SPEC]].drop_duplicates().itertuples(index=False, name=None)
    return {str(metric): f"version={version};{spec}" for metric, version, spec in rows}


def explainer_specs(run: Run) -> dict[str, str]:
    """Explainer -> spec; "none" is none."""
    rows = run.scores[["explainer", "explainer_spec"]].drop_duplicates().itertuples(index=False, name=None)
    return {str(name): str(spec) for name, spec in rows if name != "none"}


def changed(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """The names that both have and that do not mean the same."""
    return [name for name in first if name in second and first[name] != second[name]]


def contrast(first: str, second: str) -> tuple[str, str]:
    """The parts of two specs that differ, `steps=28` and `steps=56`; all of them where the form differs."""
    old, new = first.split(";"), second.split(";")
    return "; ".join(part for part in old if part not in new) or first, "; ".join(
        part for part in new if part not in old
    ) or second


def _part(prints: str, name: str) -> str:
    found = _PRINTS.fullmatch(prints)
    return found[name] if found else prints
