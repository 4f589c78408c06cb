"""One picture explained: the image, its maps, and its curves."""

import math

from matplotlib.figure import Figure, FigureBase

from xai_bench.reports import figures
from xai_bench.reports.analysis import Analysis, analyse, unique
from xai_bench.reports.style import PAGE, context, looks, short
from xai_bench.runs.run import Run

FORMATS = figures.FORMATS


def picture(run: Run, form: str) -> bytes:
    """The drawing of a run of one image as pdf, svg or png."""
    return figures.rendered(drawing(analyse(run)), form, dpi=200)


def drawing(analysis: Analysis) -> Figure:
    """Above the image beside its maps with their scores, below the curves."""
    panel = analysis.run.gallery[0]
    model = next(iter(analysis.run.info["models"]))
    explainers = analysis.floor_last(dict.fromkeys(name for _, name in panel.maps))
    metrics = unique(analysis.run.curves["metric"])
    cell = PAGE / (len(explainers) + 1)
    with context():
        figure = Figure(figsize=(PAGE, cell + 0.6 + (2.2 if metrics else 0)), layout="constrained")
        parts = figure.subfigures(
            1 + bool(metrics), 1, squeeze=False, height_ratios=[cell + 0.6, 2.2][: 1 + bool(metrics)]
        )
        above = parts[0, 0].subplots(1, len(explainers) + 1, squeeze=False)[0]
        above[0].imshow(panel.image)
        above[0].set_title(short(panel.sample, 18))
        above[0].set_xlabel(_seen(analysis, model), fontsize=6)
        for ax, name in zip(above[1:], explainers, strict=True):
            figures.map_panel(ax, panel.maps[model, name], panel.region, signed=bool(panel.maps[model, name].min() < 0))
            ax.set_title(short(name, 18))
            ax.set_xlabel(_scored(analysis, name), fontsize=6)
        for ax in above:
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
        if metrics:
            _curves(parts[1, 0], analysis, metrics, explainers)
    return figure


def _curves(part: FigureBase, analysis: Analysis, metrics: tuple[str, ...], explainers: tuple[str, ...]) -> None:  # type: ignore[type-arg, unused-ignore]
    controls = frozenset(name for name in explainers if analysis.kind(name) in ("control", "ceiling"))
    styles, curves = looks(explainers, controls), analysis.run.curves
    axes = part.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        for name in explainers:
            line = curves[(curves["metric"] == metric) & (curves["explainer"] == name)]
            ax.plot(line["fraction"], line["value"], label=name, **styles[name])
        ax.set_title(short(analysis.arrow(metric), 28), loc="left")
        ax.set_xlabel("fraction")
        ax.margins(x=0)
    axes[0].set_ylabel("model output")
    axes[0].legend()


def _seen(analysis: Analysis, model: str) -> str:
    target = int(analysis.run.scores["target"].iloc[0])
    return f"{short(model, 24)}\nclass {target}"


def _scored(analysis: Analysis, explainer: str) -> str:
    rows = analysis.run.scores[analysis.run.scores["explainer"] == explainer]
    return "\n".join(f"{short(row['metric'], 18)} {_number(row['score'])}" for _, row in rows.iterrows())


def _number(score: float) -> str:
    return "undefined" if math.isnan(score) else f"{score:.3f}"
