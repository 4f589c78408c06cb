"""The study's page: sections with tables and figures, and what the numbers say in words."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from xai_bench.reports.ersm import Panel, curves_figure, histogram_figure, panels_figure, sweep_figure
from xai_bench.reports.study_page import Picture, Section, Study, Table
from xai_bench.studies.ersm.deletion import ORDERS
from xai_bench.studies.ersm.heads import Variant
from xai_bench.studies.ersm.judged import ROWS, Tables, claims, crossed, described, head_of, paired, spread, summarised
from xai_bench.studies.ersm.judged import occlusion_area as area_under_occlusion
from xai_bench.studies.ersm.settings import MAIN, ErsmSettings

WRITTEN = ROWS  # main models of which example images are shown
MEASURES = ("correct", "keep", "active", "entropy", "told apart", "energy in mask", "keep on object", "keep off object")
AREAS = ("area, energy", "area, magnitude", "area, random", "rank agreement with CAM")
NEAR_CLOSED, NEAR_OPEN = 0.01, 0.99
DEFINITIONS = {
    "told apart": "probability that a token of the object (covered by more than half) is kept more than one of the "
    "background (not covered at all): the area under ROC over tokens of an image; 0.5 knows nothing",
    "energy in mask": "share of the sum of the map's positive part, upsampled, that lies on the object; a constant map "
    "scores the object's share of the image",
    "area": "area under accuracy in per cent against the share of tokens deleted, least important first, 0 to 100",
    "energy order": "tokens of the highest z first",
    "gradcam order": "tokens of the lowest Grad-CAM first, of the prediction of the head without a mask, on that head",
    "cam order": "tokens that add least to the logit of the ERSM head's own prediction first",
    "compensated": "the kept tokens are scaled by N / kept",
    "active": "share of tokens with a keep probability above one half",
    "entropy": "of the mask's shares of its own sum, in nats; log N where the mask is flat",
    "best IoU": "IoU of the object with the best of all thresholds for each image: a bound, not a result",
    "occlusion area": "mean accuracy over occluded shares from none to the largest, by trapezoid, mean over fills",
    "hidden": "share of the object that an occlusion covers",
}


def written(
    tables: Tables, settings: ErsmSettings, pictures: Mapping[str, Sequence[Panel]], provenance: Mapping[str, str]
) -> Study:
    """The page of these tables."""
    sections = [_sweep(tables, settings), _deletion(tables), _masks(tables), _accuracy(tables)]
    if not tables["localisation"].empty:
        sections.append(_localisation(tables))
    sections += [_occlusion(tables), _examples(pictures)]
    return Study(
        title="Energy-regularised spatial masking, claim by claim",
        lead=f"{len(settings.seeds)} trainings of {settings.backbone} on {settings.data['name']}; "
        f"{len(settings.variants)} energy masks and two heads without a mask on each; judged on the same images.",
        sections=sections,
        claims=claims(tables, settings),
        findings=list(findings(tables, settings)),
        notes=list(notes(settings)),
        definitions=DEFINITIONS,
        provenance=provenance,
    )


def notes(settings: ErsmSettings) -> Iterator[str]:
    """What a reader must know before believing."""
    yield (
        f"Published: {described('published', settings)}. Robust, ours: {described('robust', settings)}; start and "
        "weights were named by earlier trials on generated images. Each is compared with a head without a mask that "
        "learnt by the same recipe."
    )
    if settings.fast_recipe == ErsmSettings.fast_recipe:
        yield (
            "The second recipe is that of the demo, taken after a first sweep of one training on generated images had "
            "shown how slowly the published one learns there."
        )
    yield (
        "Backbones are frozen and their features computed once, without augmentation and in eval mode; in the "
        "published training batch-norm statistics go on drifting and images are augmented."
    )
    if settings.trains_backbone:
        yield (
            "Here each backbone was trained on the very images that its masks learn from; the paper's comes from "
            "ImageNet."
        )
    yield (
        "The paper gives no numbers that could be reproduced, and no protocol for occlusion: squares, grids, "
        "placements and fills here are our reading."
    )


def swept(tables: Tables, settings: ErsmSettings) -> pd.DataFrame:
    """One row per training, split and mask: the means over images."""
    images = tables["images"]
    columns = [name for name in (*MEASURES, *AREAS, "area of object") if name in images]
    means = images.assign(correct=images["correct"].astype(float)).groupby(["seed", "split", "model"], sort=False)
    table = means[columns].mean().reset_index()
    facts = pd.DataFrame([_facts(variant) for variant in settings.variants])
    return table.merge(facts, on="model")


def findings(tables: Tables, settings: ErsmSettings) -> Iterator[str]:
    """What the sweep says, in words."""
    table = swept(tables, settings)
    table = table[table["split"] == settings.splits[0]]
    means = table.groupby(["recipe", "start", "model", "unary", "pairwise"], sort=False).mean(numeric_only=True)
    means = means.reset_index()
    for (recipe, start), part in means[means["unary"] == means["pairwise"]].groupby(["recipe", "start"], sort=False):
        none, best = part[part["unary"] == 0], part.sort_values("told apart" if "told apart" in part else "correct")
        if len(none) and "told apart" in part:
            first, last = none.iloc[0], best.iloc[-1]
            yield (
                f"{recipe} recipe, {start}: without any energy the mask tells object from background at "
                f"{first['told apart']:.2f} (0.5 knows nothing) and keeps {first['keep']:.0%}; the best weight, "
                f"{last['unary']:g}, reaches {last['told apart']:.2f} and keeps {last['keep']:.1%}."
            )
    shut = means[(means["keep"] < NEAR_CLOSED) | (means["keep"] > NEAR_OPEN)]
    if len(shut):
        names = "; ".join(f"{row['model']} ({row['keep']:.2%})" for _, row in shut.iterrows())
        yield f"Masks that keep less than 1 % or more than 99 % on average, and so hide nearly all or nothing: {names}."


def _facts(variant: Variant) -> dict[str, object]:
    learnt = "learnt" if variant.learnt else "fixed"
    return {
        "model": str(variant),
        "recipe": variant.recipe,
        "start": f"{variant.start}, {learnt} bias",
        "unary": variant.unary,
        "pairwise": variant.pairwise,
    }


def _sweep(tables: Tables, settings: ErsmSettings) -> Section:
    table = swept(tables, settings)
    equal = table[table["unary"] == table["pairwise"]].rename(columns={"unary": "weight"})
    labels = {"told apart": "object told apart\n(area under ROC)", "energy in mask": "share of keep on the object"}
    labels |= {"keep": "mean keep", "correct": "accuracy", "area, energy": "area, energy order"}
    pictures = []
    for split in settings.splits:
        here = equal[(equal["split"] == split) & equal["weight"].isin(settings.weights)]
        shown = {column: words for column, words in labels.items() if column in here}
        share = here["area of object"].mean() if "area of object" in here else np.nan
        chance = {"told apart": 0.5} | ({"energy in mask": float(share)} if np.isfinite(share) else {})
        pictures.append(
            Picture(
                f"sweep-{split}",
                f"Every mask on split {split} against the weight of its energy, by recipe and start. Dots are "
                "trainings, lines their means; the dotted line is a mask that knows nothing.",
                sweep_figure(here, shown, chance),
                alt="localisation, mean keep and accuracy against the energy's weight",
            )
        )
    columns = [name for name in (*MEASURES, *AREAS) if name in table]
    means = table.groupby(["split", "model"], sort=False)[columns].mean().reset_index()
    words = {"correct": "accuracy", "area, energy": "area, energy order", "area, magnitude": "magnitude order"}
    brief = ("correct", "keep", "active", "told apart", "energy in mask", *AREAS[:2])
    there = [name for name in brief if name in means]
    first = means[means["split"] == settings.splits[0]][["model", *there]].rename(columns=words)
    caption = f"Means over trainings and images, split {settings.splits[0]}; model names end in lambda/gamma."
    return Section(
        "Where the keep map knows of the object",
        "All masks of the sweep. lambda = gamma = 0 is the control that shows what cross-entropy alone does.",
        [Table("sweep", caption, means, first)],
        pictures,
    )


def _deletion(tables: Tables) -> Section:
    table = tables["deletions"]
    areas = summarised(table, ["split", "model", "order", "compensated"], "area")
    picture = Picture(
        "deletion",
        "Accuracy as tokens are deleted, least important first, without rescaling; mean and 95 % band over trainings "
        "and images.",
        curves_figure(_deletion_bands(table), ORDERS, "share of tokens deleted", "accuracy"),
        alt="accuracy falls as tokens are deleted, one line per order",
    )
    wide = areas.pivot(index=["split", "model", "compensated"], columns="order", values="mean")[list(ORDERS)]  # noqa: PD010
    return Section(
        "Token deletion in feature space",
        "Masks are forced and binary. Logits at every number of deleted tokens are exact: behind the mask stand a "
        "global mean and a linear head.",
        [
            Table(
                "deletion",
                "Area in points, 0 to 100, higher is better; intervals in deletion.csv.",
                areas,
                wide.reset_index(),
            )
        ],
        [picture],
    )


def _deletion_bands(table: pd.DataFrame) -> pd.DataFrame:
    steps = sorted(int(name) for name in map(str, table) if name.isdigit())
    rows = []
    plain = table[~table["compensated"] & table["model"].isin(ROWS)]
    for (split, model, order), part in plain.groupby(["split", "model", "order"], sort=False):
        values = np.stack([paired(part, str(step)) for step in steps], axis=2)
        mean, low, high = crossed(values)
        fractions = np.arange(len(steps)) / (len(steps) - 1)
        facts = {"row": model, "column": split, "explainer": order, "fraction": fractions}
        rows.append(pd.DataFrame(facts | {"mean": mean, "low": low, "high": high}))
    return pd.concat(rows, ignore_index=True)


def _masks(tables: Tables) -> Section:
    images = tables["images"]
    named = {str(variant): name for name, variant in MAIN.items()}
    mine = images[images["model"].isin([*named, *(head_of(name) for name in ROWS)])]
    mine = mine.assign(model=mine["model"].replace(named))
    columns = ["keep", "active", "entropy", "rank agreement with CAM"]
    means = mine.groupby(["split", "model"], sort=False)[columns].mean().reset_index()
    first = tables["histograms"]["split"].iloc[0]
    return Section(
        "What masks keep",
        "The rows of the heads without a mask are of their Grad-CAM over its highest value.",
        [
            Table(
                "masks",
                "Means; rank agreement is Spearman's, of -z and the ERSM head's CAM.",
                means,
            )
        ],
        [
            Picture(
                "keep",
                f"Keep probabilities of all tokens, split {first}, mean over trainings.",
                histogram_figure(tables["histograms"][tables["histograms"]["split"] == first]),
                alt="histograms of keep probabilities",
            )
        ],
    )


def _accuracy(tables: Tables) -> Section:
    images = tables["images"].assign(correct=tables["images"]["correct"].astype(float))
    named = {str(variant): name for name, variant in MAIN.items()}
    shown = images[images["model"].isin([*named, *(head_of(name) for name in ROWS), "plain"])]
    table = summarised(shown.assign(model=shown["model"].replace(named)), ["split", "model"], "correct")
    return Section("Accuracy", "", [Table("accuracy", "Share of images that are right, with 95 % intervals.", table)])


def _localisation(tables: Tables) -> Section:
    table = summarised(tables["localisation"], ["split", "model", "map", "metric"], "score")
    wide = table.pivot(index=["split", "model", "map"], columns="metric", values="mean").reset_index()  # noqa: PD010
    share = tables["images"]["area of object"].mean()
    return Section(
        "Localisation of the keep map",
        f"The object covers {share:.1%} of an image. Maps are upsampled to the image; minus the energy is negative "
        "everywhere, so that it has no energy in mask.",
        [Table("localisation", "Means over trainings and images; intervals in localisation.csv.", table, wide)],
    )


def _occlusion(tables: Tables) -> Section:
    table = tables["occlusions"]
    models = [*(name for name in ROWS), *dict.fromkeys(map(head_of, ROWS)), *(["plain"] if "plain" in table else [])]
    rows = []
    for (kind, placement), _ in table[table["kind"] != "none"].groupby(["kind", "placement"], sort=False):
        for model in models:
            values = area_under_occlusion(table, model, str(kind), str(placement))
            rows.append({"kind": kind, "placement": placement, "model": model} | spread(values))
    areas = pd.DataFrame(rows)
    wide = areas.pivot(index=["kind", "placement"], columns="model", values="mean")[models].reset_index()  # noqa: PD010
    by_fill = (
        table.groupby(["kind", "placement", "share", "fill"], sort=False)[[*models, "hidden"]].mean().reset_index()
    )
    return Section(
        "Structured occlusion of the image",
        "The same occlusions for every model and training.",
        [
            Table("occlusion", "Occlusion area, 0 to 1, higher is better; intervals in occlusion.csv.", areas, wide),
            Table("occlusion-by-fill", "Accuracy, and the share of the object that is hidden.", by_fill),
        ],
        [
            Picture(
                "occlusion",
                "Accuracy against the share that is occluded, mean over fills, with 95 % bands.",
                curves_figure(_occlusion_bands(table, models), models, "share occluded", "accuracy"),
                alt="accuracy falls as more of the image is occluded",
            )
        ],
    )


def _occlusion_bands(table: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    rows = []
    clean = table[table["kind"] == "none"]
    for (kind, placement), part in table[table["kind"] != "none"].groupby(["kind", "placement"], sort=False):
        whole = pd.concat([clean, part])
        for model in models:
            right = whole.assign(right=whole[model].astype(float))
            mean_fill = right.groupby(["seed", "sample", "share"])["right"].mean().reset_index()
            shares = sorted(mean_fill["share"].unique())
            values = np.stack([paired(mean_fill[mean_fill["share"] == share], "right") for share in shares], axis=2)
            mean, low, high = crossed(values)
            facts = {"row": kind, "column": placement, "explainer": model, "fraction": shares}
            rows.append(pd.DataFrame(facts | {"mean": mean, "low": low, "high": high}))
    return pd.concat(rows, ignore_index=True)


def _examples(pictures: Mapping[str, Sequence[Panel]]) -> Section:
    return Section(
        "Example images",
        "Improvements: the head without a mask is wrong and ERSM right, the surest ones. Failures of ERSM: the one "
        "that keeps least (focused), the one that keeps most (distracted), the surest of its wrong class (confident).",
        pictures=[
            Picture(
                f"examples-{name}",
                f"{name.capitalize()} setting, first training. Each map is scaled from its lowest to its highest "
                "value; the object is outlined.",
                panels_figure(found),
                alt="images beside keep map, minus energy and Grad-CAM",
            )
            for name, found in pictures.items()
            if found
        ],
    )
