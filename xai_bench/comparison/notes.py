"""What differs between two runs besides their scores, and may explain it; none of it forbids to compare."""

from collections.abc import Iterator

from xai_bench.comparison.checks import Models, Named, some
from xai_bench.comparison.shared import CELL, KEY, renamed, side_by_side
from xai_bench.runs.identity import changed, explainer_specs, model_prints
from xai_bench.runs.run import Run


def notes(reference: Named, other: Named, models: Models) -> Iterator[str]:
    """Circumstances, what only one run has, and images explained for another class."""
    yield from circumstances(reference, other, models)
    yield from _only_in_one(reference, other, models)
    yield from other_classes(reference, other, models)


def circumstances(reference: Named, other: Named, models: Models) -> Iterator[str]:
    """Seed, precision, device, versions, weights, parameters of explainers."""
    (old_name, old), (new_name, new) = reference, other
    for key in ("seed", "precision", "device"):
        before, now = (some(sorted(map(str, run.scores[key].unique()))) for run in (old, new))
        if before != now:
            yield f"{new_name} was scored with {key} {now}, {old_name} with {before}."
    for key in ("target", "compile"):
        if old.info.get(key) != new.info.get(key):
            yield f"{new_name} was scored with {key} {new.info.get(key)}, {old_name} with {old.info.get(key)}."
    yield from _other_versions(reference, other)
    prints, others = model_prints(old), model_prints(new)
    if renewed := [counterpart for model, counterpart in models.items() if prints[model] != others[counterpart]]:
        said = "Model {} has" if len(renewed) == 1 else "Models {} have"
        which = said.format(some(renewed))
        yield f"{which} other weights, layers or preprocessing in {new_name} than in {old_name}."
    specs, now_specs = explainer_specs(old), explainer_specs(new)
    for name in changed(specs, now_specs):
        yield f"Explainer {name} is {now_specs[name]} in {new_name} and {specs[name]} in {old_name}."


def _other_versions(reference: Named, other: Named) -> Iterator[str]:
    (old_name, old), (new_name, new) = reference, other
    before, now = (run.info.get("versions", {}) for run in (old, new))
    parts = [f"{name} {now[name]} ({before[name]})" for name in before if now.get(name, before[name]) != before[name]]
    if parts:
        yield f"{new_name} was made with {', '.join(parts)}; in brackets what {old_name} was made with."


def _only_in_one(reference: Named, other: Named, models: Models) -> Iterator[str]:
    """Cells, and images of shared cells, that have nothing to be paired with."""
    old, new = (_cells(run) for _, run in (reference, other))
    known = {(data, models[model], *rest) for data, model, *rest in old if model in models}
    for name, lone in (
        (reference[0], [cell for cell in old if (cell[0], models.get(cell[1], ""), *cell[2:]) not in new]),
        (other[0], [cell for cell in new if cell not in known]),
    ):
        if lone:
            yield f"Only in {name}: {some([_cell(cell) for cell in lone])}."
    sides = [scores[KEY].drop_duplicates().astype(str) for scores in (reference[1].scores, renamed(other[1], models))]
    shared = sides[0][CELL].drop_duplicates().merge(sides[1][CELL].drop_duplicates())
    images = sides[0].merge(sides[1], how="outer", indicator="side").merge(shared)
    for name, side in ((reference[0], "left_only"), (other[0], "right_only")):
        lone_images = images.loc[images["side"] == side, ["data", "sample"]].drop_duplicates()
        if count := len(lone_images):
            data = some(sorted(lone_images["data"].unique()))
            yield f"{count:,} image{'s' * (count != 1)} of {data} scored only in {name} cannot be paired."


def _cells(run: Run) -> dict[tuple[str, ...], None]:
    """Every cell once, in order."""
    return dict.fromkeys(run.scores[CELL].drop_duplicates().astype(str).itertuples(index=False, name=None))


def _cell(cell: tuple[str, ...]) -> str:
    data, model, explainer, metric = cell
    return f"{metric} of {model if explainer == 'none' else f'{explainer} on {model}'} ({data})"


def other_classes(reference: Named, other: Named, models: Models) -> Iterator[str]:
    """Images on which the two explain another class: their maps answer another question."""
    both = side_by_side(reference[1], other[1], models)
    both = both[(both["target_a"] >= 0) & (both["target_b"] >= 0)]
    images = both.drop_duplicates(["data", "model", "sample"])
    differs = images.assign(differs=images["target_a"] != images["target_b"])
    for data, part in differs.groupby("data", sort=False):
        counts = part.groupby("model", sort=False)["differs"].agg(["sum", "size"]).sort_values("sum", ascending=False)
        found = [f"{count:,} of {n:,} ({models[str(model)]})" for model, count, n in counts.itertuples() if count]
        if found:
            yield f"Images of {data} explained for another class in {other[0]} than in {reference[0]}: {some(found)}."
