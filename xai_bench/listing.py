"""What the catalogues hold, as rows for `xai-bench list`."""

import re
from collections.abc import Mapping
from typing import Any

from xai_bench.adapters.load import SCHEMES
from xai_bench.catalogue import Catalogue, fields, text
from xai_bench.data import CATALOGUE as DATA
from xai_bench.errors import UnknownNameError
from xai_bench.explainers import EXPLAINERS, Explainer
from xai_bench.metrics import METRICS
from xai_bench.removal import REMOVALS
from xai_bench.training.kinds import CATALOGUE as TRAINERS
from xai_bench.types import Card


def listing(kind: str) -> list[dict[str, Any]]:
    """One row per entry of `metrics`, `explainers`, `removals`, `models`, `trainers` or `data`."""
    match kind:
        case "metrics":
            return [_metric(name) for name in METRICS]
        case "explainers":
            return [
                _entry(
                    EXPLAINERS, name, {"family": card.family, "kind": card.kind, "passes": passes(EXPLAINERS[name]())}
                )
                for name, card in ((name, EXPLAINERS[name].card) for name in EXPLAINERS)
            ]
        case "removals":
            return [_entry(REMOVALS, name, {"soft": "yes" if REMOVALS[name].soft else "no"}) for name in REMOVALS]
        case "models":
            return [{"name": name, "what": what} for name, what in SCHEMES.items()]
        case "trainers":
            return [
                {"name": name, "recipe": entry.preset, "keys": ", ".join(fields(entry)), **_about(entry.card)}
                for name, entry in TRAINERS.items()
            ]
        case _:
            return [
                {
                    "name": name,
                    "splits": ", ".join(entry.splits),
                    "keys": ", ".join(fields(entry)),
                    **_about(entry.card),
                }
                for name, entry in DATA.items()
            ]


def one(kind: str, name: str) -> dict[str, Any]:
    """The row of one entry; UnknownNameError with what it may be called here."""
    rows = {row["name"]: row for row in listing(kind)}
    if name not in rows and kind == "explainers":
        EXPLAINERS[name]
    if name not in rows:
        raise UnknownNameError.of(kind.removesuffix("s"), name, rows)
    return rows[name]


def passes(explainer: Explainer) -> str:
    """The passes on its card with its own numbers in the place of their names: `96 F + 96 B`."""
    numbers = {key: getattr(explainer, key) for key in fields(type(explainer))}
    if isinstance(areas := numbers.get("areas"), tuple):
        numbers["n_areas"] = len(areas)
    known = {key: text(value) for key, value in numbers.items() if isinstance(value, int | float)}
    return re.sub(r"[a-z_]+", lambda word: known.get(word[0], word[0]), explainer.card.passes)


def _explainer(name: str) -> dict[str, Any]:
    card = EXPLAINERS[name].card
    facts = {"family": card.family, "kind": card.kind, "passes": passes(EXPLAINERS[name]())}
    return _entry(EXPLAINERS, name, facts)


def _metric(name: str) -> dict[str, Any]:
    card = METRICS[name].card
    between = {"better": card.better, "bounds": f"[{card.low:g}, {card.high:g}]", "scope": card.scope}
    protocols = ", ".join(f"{name}@{protocol}" for protocol in METRICS[name].protocols)
    needs = ", ".join(sorted(card.needs - {"ranking"}))
    return _entry(METRICS, name, between | {"needs": needs, "protocols": protocols})


def _entry(catalogue: Catalogue[Any], name: str, facts: Mapping[str, str]) -> dict[str, Any]:
    entry = catalogue[name]
    defaults = entry()
    keys = ", ".join(f"{key}={text(getattr(defaults, key))}" for key in fields(entry))
    return {"name": name, **facts, "keys": keys, **_about(entry.card)}


def _about(card: Card) -> dict[str, str]:
    return {"what": card.summary, "source": card.source}
