"""The figures of a page, in its order."""

from functools import partial

from matplotlib.figure import Figure

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.figures.drawing import Drawing
from xai_bench.reports.figures.heat import (
    metric_agreement,
    model_agreement,
    plot_metric_agreement,
    plot_model_agreement,
)
from xai_bench.reports.figures.intervals import (
    differences,
    forest,
    improvement,
    plot_differences,
    plot_forest,
    plot_improvement,
)
from xai_bench.reports.figures.masks import HIDDEN, energy
from xai_bench.reports.figures.pictures import NOTE, gallery, plot_map
from xai_bench.reports.figures.rankings import plot_ranks, ranks
from xai_bench.reports.figures.scatters import cost, plot_cost, plot_trade_off, trade_off
from xai_bench.reports.figures.selection import CONTROL_LINES, CONTROL_ROWS, LINES, ROWS
from xai_bench.reports.figures.series import curves, occlusion, plot_curves, plot_occlusion, plot_profiles, profiles
from xai_bench.reports.style import Width

_FEW_ROWS = f"Of more than {ROWS} rows the {ROWS} with the best mean place and {CONTROL_ROWS} controls are drawn."
_FEW_LINES = f"Of more than {LINES} lines the {LINES} with the best mean place and {CONTROL_LINES} controls are drawn."
_SAME = "The same numbers are in the tables."


def _gallery(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    return gallery(analysis, analysis.run.gallery, width=width)


FIGURES: tuple[Drawing, ...] = (
    Drawing(
        "curves",
        "Curves",
        f"Model output as pixels go, mean over n images with 95 % bootstrap band. Controls are grey and dotted. "
        f"{_FEW_LINES}",
        f"Mean model output as pixels are removed or inserted, a line with its 95 % band per explainer. {_SAME}",
        curves,
        plot_curves,
        ("data", "model", "metric"),
    ),
    Drawing(
        "forest",
        "Means and intervals",
        "Means over images with 95 % intervals. Open grey circles are controls. The arrow says which way is better; "
        "axes "
        f"differ between panels. {_FEW_ROWS}",
        f"Mean and 95 % interval of every metric by model and explainer. {_SAME}",
        forest,
        plot_forest,
        ("data", "metric"),
    ),
    Drawing(
        "differences_random",
        "Differences from the random control",
        "Mean difference, paired by image, from the control random of the same model, with its 95 % interval. Blue: "
        "significantly better (Holm-corrected, and the interval excludes 0); orange: worse; open grey: undecided. "
        f"{_FEW_ROWS}",
        f"Paired difference of every explainer from the random control with its 95 % interval. {_SAME}",
        partial(differences, against="random"),
        partial(plot_differences, against="random"),
        ("data", "metric"),
    ),
    Drawing(
        "differences_best",
        "Differences from the best",
        "Mean difference, paired by image, from the best mean of the same model (of all models where a metric needs no "
        "map), with its 95 % interval. Orange: significantly worse (Holm-corrected, and the interval excludes 0); open "
        f"grey: the test cannot tell it from the best. The best itself has no row. {_FEW_ROWS}",
        f"Paired difference of everything from the best with its 95 % interval. {_SAME}",
        partial(differences, against="best"),
        partial(plot_differences, against="best"),
        ("data", "metric"),
    ),
    Drawing(
        "ranks",
        "Critical differences",
        "Mean rank over n images, 1 is best. A bar joins explainers whose ranks differ by less than the critical "
        "difference (CD) of Nemenyi's test at 5 %: these cannot be told apart. Where Friedman's test finds no "
        "difference "
        f"at all, one bar joins all; where nothing was tested there is no bar, and it says why. {_FEW_LINES}",
        f"Explainers on a line by their mean rank, bars joining those that the test cannot tell apart. {_SAME}",
        ranks,
        plot_ranks,
        ("data", "metric", "model"),
    ),
    Drawing(
        "metric_agreement",
        "Agreement between metrics",
        "Kendall's tau between the orders in which two metrics put the explainers, mean over data and models. 1: the "
        "same "
        "order; 0: none in common; -1: reversed; grey: undefined.",
        f"Heat map of Kendall's tau between every two metrics. {_SAME}",
        metric_agreement,
        plot_metric_agreement,
    ),
    Drawing(
        "model_agreement",
        "Agreement between models",
        "Kendall's tau between the orders of explainers on two models, mean over data and metrics. 1: the same "
        "order; 0: "
        "none in common; -1: reversed; grey: undefined.",
        f"Heat map of Kendall's tau between every two models. {_SAME}",
        model_agreement,
        plot_model_agreement,
    ),
    Drawing(
        "trade_off",
        "Where maps point and how faithful they are",
        "A point per explainer (colour; after six with a black edge) and model (marker), means over images with both "
        "95 % intervals; controls are "
        "open. Axes are turned so that up and right are better.",
        f"Scatter of localisation against faithfulness, a point per explainer and model. {_SAME}",
        trade_off,
        plot_trade_off,
        ("data", "metric", "localisation"),
    ),
    Drawing(
        "occlusion",
        "The models without parts of their image",
        "What each model still does as more of the image is hidden, mean over n images with 95 % bootstrap band, in "
        "random "
        f"order or in the order of a map. Of more than {LINES} models the {LINES} with the best mean place are drawn.",
        f"Accuracy or unchanged predictions against the fraction hidden, a line with its 95 % band per model. {_SAME}",
        occlusion,
        plot_occlusion,
        ("data", "metric", "explainer"),
    ),
    Drawing(
        "profiles",
        "Performance profiles",
        "Share of images x models whose score is better than a threshold, with 95 % band; a line above another is "
        "better "
        f"at that threshold. {_FEW_LINES}",
        "Share of scores better than each threshold, a line per explainer.",
        profiles,
        plot_profiles,
        ("data", "metric"),
    ),
    Drawing(
        "improvement",
        "Probability of improvement",
        "Probability that an explainer scores better than the control random (than the best, where there is no "
        "control) "
        "on an image drawn at random, ties counted half, with 95 % interval. Blue: above one half; orange: below.",
        "Probability that each explainer beats the reference, with its 95 % interval.",
        improvement,
        plot_improvement,
        ("data", "metric", "against"),
    ),
    Drawing(
        "cost",
        "What quality costs",
        "Seconds per map against the mean score with its 95 % interval, a point per explainer (colour) and model "
        "(marker); "
        "controls are open. What the grey line joins is beaten by nothing that costs less; up is better.",
        f"Scatter of seconds per map against the mean of each metric. {_SAME}",
        cost,
        plot_cost,
        ("data", "metric"),
    ),
    Drawing(
        "gallery",
        "Gallery",
        NOTE,
        "Images beside the maps of every explainer, the object outlined, with their scores.",
        _gallery,
        plot_map,
        ("sample", "model", "explainer"),
    ),
    Drawing(
        "energy",
        "What the mask keeps",
        "Minus the energy of each token, its keep probability, and the image with "
        f"{', '.join(f'{share:.0%}' for share in HIDDEN)} of its pixels hidden, those of the keep map's lowest values "
        "first. Maps are upsampled to the image and scaled for display only; the object is outlined.",
        "Images beside the energy and keep map of their model's mask, and as they look without what is kept least.",
        energy,
    ),
)
