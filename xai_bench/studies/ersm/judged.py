"""What the tables of all trainings say: claims, means with intervals, and bands."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.claims import Claim, pigeonhole
from xai_bench.stats import Numbers
from xai_bench.studies.ersm.heads import STARTS
from xai_bench.studies.ersm.occlusion import PLACEMENTS
from xai_bench.studies.ersm.settings import MAIN, ErsmSettings

RESAMPLES = 500  # of bands and of the tables' intervals; claims have more
ABSTRACT, CODE, OURS = "arXiv 2604.06893, abstract", "arXiv 2604.06893, published code", "ours"
ROWS = ("published", "robust")  # what the claims are judged for
Tables = Mapping[str, pd.DataFrame]  # images, deletions, localisation, occlusions, histograms; each with a column seed


def head_of(name: str) -> str:
    """The head without a mask that learnt by the same recipe as a main model."""
    return f"head, {MAIN[name].recipe} recipe"


def described(name: str, settings: ErsmSettings) -> str:
    """The mask and the recipe of a main model, in words."""
    variant, recipe = MAIN[name], settings.recipe_of(MAIN[name].recipe)
    bias = f"bias {STARTS[variant.start]:g}, {'learnt' if variant.learnt else 'fixed'}"
    warmth = f", {recipe.warmup:.0%} of them warming up" if recipe.warmup else ""
    return (
        f"{variant.start} start ({bias}), lambda = {variant.unary:g}, gamma = {variant.pairwise:g}, {recipe.optimiser} "
        f"at {recipe.lr:g}, {recipe.epochs} epochs{warmth}, {recipe.schedule} rate set anew every {recipe.stepped}, "
        f"batch {recipe.batch_size}"
    )


def claims(tables: Tables, settings: ErsmSettings) -> list[Claim]:
    """Every sentence that the study judges, one after the other; what is said of several splits stands together."""
    found = [*_of_deletion(tables, settings), *_of_sparsity(tables, settings), *_of_accuracy(tables, settings)]
    found += [*_of_occlusion(tables, settings), *_of_localisation(tables, settings), *_of_settings(tables, settings)]
    return found


def _of_deletion(tables: Tables, settings: ErsmSettings) -> Iterator[Claim]:
    names = {"magnitude": (ABSTRACT, "magnitude"), "gradcam": (CODE, "Grad-CAM"), "random": (OURS, "random")}
    for row in ROWS:
        for order, (source, word) in names.items():
            for split in settings.splits:
                yield Claim(
                    f"{row}: deleting tokens by energy keeps more accuracy than deleting them by {word}",
                    source,
                    f"area under accuracy in points, energy minus {word}",
                    _area(tables, split, row, "energy") - _area(tables, split, row, order),
                    note=described(row, settings),
                    where=split,
                )
        for split in settings.splits:
            yield Claim(
                f"{row}: the energy term improves the order",
                OURS,
                "area under accuracy in points, energy order minus that of lambda = gamma = 0",
                _area(tables, split, row, "energy") - _area(tables, split, f"{row}, no energy", "energy"),
                note=described(row, settings),
                where=split,
            )


def _of_sparsity(tables: Tables, settings: ErsmSettings) -> Iterator[Claim]:
    split = settings.splits[0]
    for row in ROWS:
        yield Claim(
            f"{row}: masks become sparse",
            ABSTRACT,
            "one half minus the share of tokens kept with a probability above one half",
            0.5 - _image(tables, split, row, "active"),
            note=f"{described(row, settings)}; the paper gives no number, below one half is our reading",
            where=split,
        )
        yield Claim(
            f"{row}: the energy term makes masks sparser",
            OURS,
            "mean keep of lambda = gamma = 0 minus mean keep",
            _image(tables, split, f"{row}, no energy", "keep") - _image(tables, split, row, "keep"),
            note=described(row, settings),
            where=split,
        )


def _of_accuracy(tables: Tables, settings: ErsmSettings) -> Iterator[Claim]:
    first, *others = settings.splits
    for row in ROWS:
        rivals = _rivals(tables["images"], row)
        for other in rivals:
            yield Claim(
                f"{row}: accuracy is preserved",
                ABSTRACT,
                f"accuracy minus that of {_named(other)}",
                _image(tables, first, row, "correct") - _image(tables, first, other, "correct"),
                above=-settings.margin,
                note=f"{described(row, settings)}; preserved: at most {settings.margin:.0%} is lost",
                where=f"against {_named(other)}, {first}",
            )
        for other in rivals:
            for split in others:
                yield Claim(
                    f"{row}: accuracy on a further split is higher than without a mask",
                    OURS,
                    f"accuracy minus that of {_named(other)}",
                    _image(tables, split, row, "correct") - _image(tables, split, other, "correct"),
                    note=described(row, settings),
                    where=f"against {_named(other)}, {split}",
                )


def _of_occlusion(tables: Tables, settings: ErsmSettings) -> Iterator[Claim]:
    table, kinds = tables["occlusions"], ("square", "grid")
    for row in ROWS:
        words = described(row, settings)
        for kind in kinds:
            for placement in PLACEMENTS:
                if (table["placement"] == placement).any():
                    yield _robust(table, row, head_of(row), kind, placement, words)
            for other in _rivals(table, row):
                yield _robust(table, row, other, kind, None, words)
        for kind in kinds:
            yield _falls_less(table, row, kind, words)


def _robust(table: pd.DataFrame, row: str, other: str, kind: str, placement: str | None, words: str) -> Claim:
    place = f"{kind}, placed {placement}" if placement else f"{kind}, all placements"
    areas = [occlusion_area(table, model, kind, placement) for model in (row, other)]
    return Claim(
        f"{row}: accuracy under structured occlusion is higher than without a mask",
        ABSTRACT,
        f"mean accuracy over shares and fills minus that of {_named(other)}",
        areas[0] - areas[1],
        note=f"{words}; the paper's protocol is not published, this one is ours",
        where=f"{place}, against {_named(other)}",
    )


def _falls_less(table: pd.DataFrame, row: str, kind: str, words: str) -> Claim:
    falls = [_clean(table, model) - occlusion_area(table, model, kind, None) for model in (row, head_of(row))]
    return Claim(
        f"{row}: accuracy falls less under structured occlusion than that of the head without a mask",
        ABSTRACT,
        "fall of the head's accuracy from its own clean one minus fall of ERSM's",
        falls[1] - falls[0],
        note=words,
        where=kind,
    )


def _of_localisation(tables: Tables, settings: ErsmSettings) -> Iterator[Claim]:
    split = settings.splits[0]
    if tables["localisation"].empty:
        return
    for row in ROWS:
        words = described(row, settings)
        mass = _located(tables, split, row, "energy", "energy in mask")
        rivals = {
            "the object's share of the image": _image(tables, split, row, "area of object"),
            "that of lambda = gamma = 0": _located(tables, split, f"{row}, no energy", "energy", "energy in mask"),
            "that of Grad-CAM on the head without a mask": _located(
                tables, split, head_of(row), "gradcam", "energy in mask"
            ),
        }
        for name, values in rivals.items():
            yield Claim(
                f"{row}: the mask isolates the object: more of it lies there",
                ABSTRACT if "share" in name else OURS,
                f"share of the keep map's sum that lies on the object minus {name}",
                mass - values,
                note=words,
                where=f"than {name}, {split}",
            )
        yield Claim(
            f"{row}: the mask ranks the object's tokens above the background's",
            OURS,
            "area under ROC of keep, object's tokens against the background's",
            _image(tables, split, row, "told apart"),
            above=0.5,
            note=words,
            where=split,
        )
        yield Claim(
            f"{row}: the energy term makes the mask rank the object higher",
            OURS,
            "that area minus the one of lambda = gamma = 0",
            _image(tables, split, row, "told apart") - _image(tables, split, f"{row}, no energy", "told apart"),
            note=words,
            where=split,
        )


def _of_settings(tables: Tables, settings: ErsmSettings) -> Iterator[Claim]:
    measures = [("area under accuracy in points, energy order", "area, energy"), ("accuracy", "correct")]
    if not tables["localisation"].empty:
        measures.append(("share of the keep map's sum that lies on the object", "energy in mask"))
    for words, column in measures:
        for split in settings.splits:
            yield Claim(
                "an open learnt start, stronger weights and a faster recipe are better than what was published",
                OURS,
                f"{words}, robust minus published",
                _image(tables, split, "robust", column) - _image(tables, split, "published", column),
                where=split,
            )


def _rivals(table: pd.DataFrame, row: str) -> list[str]:
    there = table["model"].unique() if "model" in table else table.columns
    return [name for name in (head_of(row), "plain") if name in there]


def _named(model: str) -> str:
    return "the plain model" if model == "plain" else "the head without a mask"


def paired(table: pd.DataFrame, value: str) -> Numbers:
    """(seeds, images): one row per training, the same images in each."""
    wide = table.pivot_table(index="seed", columns="sample", values=value, dropna=False, aggfunc="first")
    return wide.to_numpy(np.float64)


def _image(tables: Tables, split: str, name: str, column: str) -> Numbers:
    return of_model(tables["images"], split, str(MAIN[name]) if name in MAIN else name, column)


def of_model(table: pd.DataFrame, split: str, model: str, column: str) -> Numbers:
    """A column of the images' table, (seeds, images)."""
    return paired(table[(table["split"] == split) & (table["model"] == model)], column)


def _area(tables: Tables, split: str, model: str, order: str) -> Numbers:
    """Without rescaling what is kept, as published."""
    table = tables["deletions"]
    here = (table["split"] == split) & (table["model"] == model) & (table["order"] == order)
    return paired(table[here & ~table["compensated"]], "area")


def _located(tables: Tables, split: str, model: str, kind: str, metric: str) -> Numbers:
    table = tables["localisation"]
    here = (table["split"] == split) & (table["model"] == model) & (table["map"] == kind)
    return paired(table[here & (table["metric"] == metric)], "score")


def occlusion_area(table: pd.DataFrame, model: str, kind: str, placement: str | None) -> Numbers:
    """Mean over fills and placements of the area under accuracy from clean to the largest share, over that share."""
    here = table[table["kind"] == kind]
    here = here if placement is None else here[here["placement"] == placement]
    curve = [_clean(table, model)]
    shares = sorted(here["share"].unique())
    curve += [_mean_right(here[here["share"] == share], model) for share in shares]
    area: Numbers = np.trapezoid(np.stack(curve), [0.0, *shares], axis=0) / shares[-1]
    return area


def _clean(table: pd.DataFrame, model: str) -> Numbers:
    return _mean_right(table[table["kind"] == "none"], model)


def _mean_right(table: pd.DataFrame, model: str) -> Numbers:
    values = table.assign(right=table[model].astype(np.float64)).groupby(["seed", "sample"])["right"].mean()
    return values.unstack("sample").to_numpy(np.float64)  # noqa: PD010


def crossed(values: NDArray[np.floating]) -> tuple[Numbers, Numbers, Numbers]:
    """Mean, low and high end of the 95 % interval of each step, (steps,) each, of (seeds, images, steps).

    The interval is that of `claims.judge`; nan counts as not there.
    """
    table = np.asarray(values, np.float64)
    there = np.isfinite(table)
    top, bottom = np.where(there, table, 0.0), there.astype(np.float64)
    count = bottom.sum((0, 1))
    mean = np.divide(top.sum((0, 1)), count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean, *pigeonhole(top, bottom, RESAMPLES)


def spread(values: Numbers) -> dict[str, float]:
    """Mean, low and high of (seeds, images)."""
    ends = crossed(values[..., None])
    return {name: float(end[0]) for name, end in zip(("mean", "low", "high"), ends, strict=True)}


def summarised(table: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Mean over trainings and images with its 95 % interval, one row per group."""
    rows = []
    for key, part in table.groupby(list(by), sort=False, observed=True):
        rows.append(dict(zip(by, key, strict=True)) | spread(paired(part, value)))
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high"])
