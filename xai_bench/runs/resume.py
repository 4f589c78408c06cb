"""Whether a run that was begun may be gone on with, and what its run.json then becomes. No torch."""

from collections.abc import Mapping
from typing import Any

from xai_bench.errors import RunError
from xai_bench.lock import HOLDER, LOCK
from xai_bench.runs import reading
from xai_bench.runs.files import Place
from xai_bench.runs.packing import CURVE_TYPES, SCORE_TYPES
from xai_bench.runs.reading import TABLES, read_info
from xai_bench.whole import is_unfinished

FACTS = {"models": "fingerprint", "data": "fingerprint", "explainers": "spec", "metrics": "spec"}  # what one is
BESIDE = ("models", "report")  # folders that may stand in a run folder before the run does


def begun(place: Place, info: Mapping[str, Any]) -> dict[str, Any] | None:
    """run.json of an earlier start that this one may go on with; refused where it may not."""
    files = place.sizes()
    if "run.json" in files:
        before = read_info(place)
        _refuse_changes(place, before, info)
        return before
    strange = [name for name in files if name not in (LOCK, HOLDER) and not is_unfinished(name)]
    emptied = {name for name in ("scores", "curves", "gallery", "maps") if not place.sizes(name)}  # by a fresh start
    if strange or not emptied.issuperset(name for name in place.folders() if name not in BESIDE):
        raise RunError(f"folder {str(place)!r} holds other things than a run; choose another --out")
    return None


def _refuse_changes(place: Place, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """A run folder takes more models, explainers, metrics and data, but never another meaning of the same name."""
    old, new = (info.get("versions", {}).get("xai-bench") for info in (before, now))
    if old and new and old != new:
        raise RunError(
            f"{str(place)!r} was made by xai-bench {old}, this is {new}; go on with that version, choose another "
            "--out, or begin anew (--fresh)"
        )
    for key in ("seed", "target", "precision", "compile"):
        if before.get(key, now.get(key)) != now.get(key, before.get(key)):
            raise RunError(
                f"{str(place)!r} was made with {key} {before[key]!r}, not {now[key]!r}; choose another --out, "
                f"begin anew (--fresh), or put {key} back to {before[key]!r}"
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
                f"choose another --out, or begin anew (--fresh){_both(kind)}{_hint(before, now, kind)}"
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
    kept = [reading.kept_in(place, name) for name in reading.vouched(place, "maps", units)]
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


def merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """run.json of a run that goes on: nothing that was there is lost."""
    kinds = ("models", "data", "explainers", "metrics")
    tables = {kind: {**before[kind], **now[kind]} for kind in kinds}
    noted = {
        key: deep(before[key], now.get(key, {})) for key in ("chunk", "asked") if isinstance(before.get(key), dict)
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


def deep(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Tables within tables are merged, lists of names too; other values are replaced."""
    found = dict(before)
    for key, value in now.items():
        old = found.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            found[key] = deep(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            found[key] = [*old, *(item for item in value if item not in old)]
        else:
            found[key] = value
    return found
