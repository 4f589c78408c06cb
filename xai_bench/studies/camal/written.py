"""The CAMAL study in words, tables and figures."""

from collections.abc import Mapping, Sequence

import pandas as pd

from xai_bench.adapters import VisionModel
from xai_bench.api import explain
from xai_bench.digits import ranged
from xai_bench.metrics import METRICS
from xai_bench.reports.camal import REACH, Shown, gains_figure, panels_figure, weights_figure
from xai_bench.reports.study_page import Picture, Section, Study, Table
from xai_bench.studies.camal import judged
from xai_bench.studies.camal.judged import Measured
from xai_bench.studies.camal.measured import ALIGNMENT, FAITHFULNESS, FLOORS, OTHER, OWN, STEPS
from xai_bench.studies.camal.settings import CAMAL, RECENT, Comparison

PANELS = 5  # images shown
NOTES = (
    """The paper's loss, data and measures could not be found beyond its abstract; the term, its weight, and what stands
    for alignment and faithfulness are our reading.""",
    """Training on the very measure is no evidence: a gain counts for more on another attention, on shifted data, and in
    faithfulness, which no loss here looks at.""",
    """Faithfulness is of Grad-CAM's map for the predicted class. Scores that read a probability also move with the
    model's confidence, not with its attention alone.""",
)
LEAD = """A classifier goes on learning with a loss on where it looks. Does its attention come to lie on the object,
does it become more faithful, and what does that cost? Each loss starts from the same plain model, and the control goes
on just as long without one."""


def panels(settings: Comparison, models: Sequence[VisionModel]) -> list[Shown]:
    """Images of the last split with the attention of each model for its own prediction."""
    batch = next(iter(settings.judged_on(settings.splits[-1], PANELS)))
    maps = {model.label: explain(OWN, model, batch.images, ids=batch.ids) for model in models}
    assert batch.regions is not None
    assert batch.labels is not None
    classes = settings.judged_on(settings.splits[-1], PANELS).classes
    return [
        Shown(
            classes[label] if classes else str(label),
            batch.images[place].permute(1, 2, 0).numpy(),
            batch.regions[place].numpy(),
            {name: values[place].numpy() for name, values in maps.items()},
        )
        for place, label in enumerate(batch.labels.tolist())
    ]


def written(found: Measured, pictures: Sequence[Shown], provenance: Mapping[str, str]) -> Study:
    """All that the page shows."""
    return Study(
        "CAMAL: attention taught to lie on the object",
        " ".join(LEAD.split()),
        sections=[_general(found), aligned(found), faithful(found), _swept(found), seen(found, pictures)],
        claims=judged.claims(found),
        notes=[" ".join(note.split()) for note in (*NOTES, *_reading(found))],
        definitions=definitions(found),
        provenance=provenance,
    )


def _reading(found: Measured) -> tuple[str, ...]:
    settings = found.settings
    return (
        f"""“More than {settings.better:.0%} better” is read twice: against the same training without the term, and
        against {RECENT!r}, Model Guidance's loss, for recent work. A relative change is over the other's mean size.""",
        f"“Comparable” allows {settings.margin:.0%} of accuracy to be lost.",
        f"The pointing game asks for the very pixel on the object. Integrated gradients take {STEPS} steps.",
    )


def _general(found: Measured) -> Section:
    table = judged.accuracies(found)
    return Section(
        "Accuracy",
        "Share of right predictions; the change is against the control, with its 95 % interval.",
        [
            Table(
                "accuracy", "Every model, those of the sweep too.", table, _with_intervals(table, found.settings.splits)
            )
        ],
    )


def _with_intervals(table: pd.DataFrame, splits: Sequence[str]) -> pd.DataFrame:
    """A change and its interval in one cell."""
    shown = table[["model"]].copy()
    for split in splits:
        change = zip(*(table[f"{split} {name}"] for name in ("change", "low", "high")), strict=True)
        shown[split] = table[split]
        shown[f"{split}, change"] = [ranged(*numbers, signed=True) for numbers in change]
    return shown


def aligned(found: Measured) -> Section:
    """How far attention lies on the object."""
    gains = judged.gains(found)
    own, other = (gains[(gains["explainer"] == name) & gains["metric"].isin(ALIGNMENT)] for name in (OWN, OTHER))
    floors = pd.concat([judged.means(found, floor, ALIGNMENT) for floor in FLOORS], ignore_index=True)
    words = "change against the control, with its 95 % interval"
    return Section(
        "Alignment",
        "How far attention and object coincide: of the attention that was taught, and of one that was not.",
        [
            Table("alignment_own", "Grad-CAM at the taught layer.", judged.means(found, OWN, ALIGNMENT)),
            Table("alignment_other", "Integrated gradients of the input.", judged.means(found, OTHER, ALIGNMENT)),
            Table("alignment_floors", "Maps that know nothing of the model.", floors),
        ],
        [
            Picture("alignment_own", f"Grad-CAM: {words}.", gains_figure(own, ALIGNMENT, "gain", words)),
            Picture(
                "alignment_other", f"Integrated gradients: {words}.", gains_figure(other, ALIGNMENT, "gain", words)
            ),
        ],
    )


def faithful(found: Measured) -> Section:
    """How strongly what the map shows decides the prediction."""
    gains = judged.gains(found)
    mine = gains[gains["metric"].isin(FAITHFULNESS)]
    words = "relative change against the control, more is better, with its 95 % interval"
    caption = f"{words.capitalize()}; cut off at {REACH:g} either way."
    return Section(
        "Faithfulness",
        "How strongly what the map shows decides the prediction.",
        [
            Table("faithfulness", "Means; for deletion and average drop lower is better.", _faithfulness(found)),
            Table(
                "gains",
                "Every change against the control, alignment too; p is Wilcoxon's by image, a number per training.",
                gains,
                gains[gains["model"].isin([CAMAL, RECENT])],
            ),
        ],
        [Picture("faithfulness", caption, gains_figure(mine, FAITHFULNESS, "relative", words))],
    )


def _faithfulness(found: Measured) -> pd.DataFrame:
    return judged.means(found, OWN, FAITHFULNESS)


def _swept(found: Measured) -> Section:
    table = judged.sweep(found)
    columns = ("accuracy", *ALIGNMENT)
    return Section(
        "How much weight",
        "Gain in alignment against accuracy, as the weight of CAMAL's term grows.",
        [Table("sweep", "A row per training.", table, _over_seeds(table, columns))],
        [Picture("sweep", "Accuracy and alignment against λ.", weights_figure(table, columns))],
    )


def _over_seeds(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return table.groupby(["split", "weight"], sort=False)[list(columns)].mean().reset_index()


def seen(found: Measured, pictures: Sequence[Shown]) -> Section:
    """Images with the attention of each model."""
    caption = f"Attention for the predicted class, {found.settings.splits[-1]} images, first training."
    return Section("Seen", "", (), [Picture("attention", caption, panels_figure(pictures))])


def definitions(found: Measured) -> dict[str, str]:
    """Every loss and metric in full."""
    losses = {name: repr(loss) for name, loss in found.settings.methods.items()}
    return losses | {name: METRICS[name]().spec() for name in (*ALIGNMENT, *FAITHFULNESS)}
