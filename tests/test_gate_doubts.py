"""What a gate would guard for nothing, of runs whose answer is known on paper."""

import numpy as np
import pandas as pd
import pytest

from xai_bench.gate import Margins
from xai_bench.gate.planning import sizes
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run
from xai_bench.setup_gate.doubts import Doubts

CARD = {"better": "higher", "low": 0.0, "high": 1.0, "scope": "image", "reduction": "mean"}
CARDS = {
    "insertion": CARD | {"name": "insertion"},
    "deletion": CARD | {"name": "deletion", "better": "lower"},
    "angle": CARD | {"name": "angle", "low": None, "high": None},
    "of_set": CARD | {"name": "of_set", "scope": "set"},
    "top1": CARD | {"name": "top1"},
}
STAMPS = {"version": "1", "spec": "s", "fingerprints": "model=a data=b"}
SPREAD = np.linspace(0.3, 0.7, 40)
HALF = np.array([0.0, 1.0] * 20)


def said(cells, classes=("a", "b"), source=None, margins=None):
    """Cells: {(explainer, metric): scores of 40 images, or the one of the whole set}."""
    rows = [
        {"data": "toy", "model": "net", "explainer": explainer, "metric": metric, "seed": 0, "reason": "", **STAMPS}
        | {"sample": str(number) if len(scores) > 1 else "*", "score": score}
        for (explainer, metric), scores in cells.items()
        for number, score in enumerate(scores)
    ]
    points = pd.DataFrame(columns=list(CURVE_COLUMNS))
    run = Run(
        pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), points, CARDS, {}, {"data": {"toy": {"classes": classes}}}
    )
    judged = (cell for cell in sizes(run, margins or Margins(ignore=("random",))))
    return list(Doubts(run, [cell._replace(source=source or cell.source) for cell in judged]).sentences())


@pytest.mark.parametrize(("metric", "better"), [("insertion", 0.1), ("deletion", -0.1), ("angle", 0.1)])
def test_an_explainer_has_to_beat_the_control_in_the_direction_of_the_metric(metric, better):
    def against(apart):
        return said({("gradcam", metric): SPREAD + apart, ("random", metric): SPREAD[::-1]})

    assert against(better) == []
    for apart in (0, -better):
        assert len(found := against(apart)) == 1
        assert found[0].startswith(
            f"no better than the control 'random', so with nothing to lose: {metric} of gradcam. "
        )


def test_a_lead_that_a_draw_may_make_is_none():
    noise = np.random.default_rng(0).normal(0, 0.1, 40)
    noise -= noise.mean()
    error = noise.std(ddof=1) / np.sqrt(40)

    def ahead(errors):  # Student's quantile for 39 degrees of freedom is 1.685
        return said({("gradcam", "angle"): SPREAD + noise + errors * error, ("random", "angle"): SPREAD})

    assert len(ahead(1.67)) == 1
    assert ahead(1.70) == []


def test_without_the_control_nobody_is_held_against_it():
    assert said({("gradcam", "insertion"): SPREAD}) == []


@pytest.mark.parametrize(("own", "count"), [(0.6, 0), (0.5, 1)])
def test_of_a_whole_set_the_number_itself_decides(own, count):
    assert len(said({("gradcam", "of_set"): [own], ("random", "of_set"): [0.5]})) == count


@pytest.mark.parametrize(("metric", "worst"), [("insertion", 0.0), ("deletion", 1.0)])
def test_a_mean_within_the_margin_of_the_worst_score_cannot_get_worse(metric, worst):
    away = 0.5 - worst
    near, far = worst + away * 0.039 * SPREAD / 0.5, worst + away * 0.041 * SPREAD / 0.5  # 0.0195 and 0.0205 off

    assert said({("gradcam", metric): near})[0].startswith("cannot get worse by more than the margin")
    assert not any("cannot get worse" in sentence for sentence in said({("gradcam", metric): far}))


def test_scores_that_hardly_differ_hardly_get_worse_unless_that_was_measured():
    still = {("gradcam", "insertion"): 0.5 + (SPREAD - 0.5) / 100}  # they spread by 0.0012, the margin is 0.02

    assert said(still)[0].startswith("can hardly get worse by more than the margin, which is over 10 times the spread")
    assert said(still, source="earlier run") == []


@pytest.mark.parametrize(
    ("classes", "right", "doubted"),
    [(("a", "b"), 20, True), (("a", "b"), 21, False), (("a", "b", "c", "d"), 11, False), (("a", "", "c"), 20, True)],
)
def test_a_model_no_better_than_chance_may_number_its_classes_otherwise(classes, right, doubted):
    found = said({("none", "top1"): [1.0] * right + [0.0] * (40 - right)}, classes)

    assert any("are the classes in the model's order?" in sentence for sentence in found) == doubted


def test_of_one_class_only_none_right_is_no_better_than_chance():
    assert said({("none", "top1"): HALF}, ("cat",)) == []
    assert said({("none", "top1"): HALF * 0}, ("cat",))[-1].startswith(
        "top1 of net is 0: are the classes in the model's"
    )


def test_many_cells_are_counted():
    cells = {(f"e{number}", "angle"): SPREAD for number in range(7)}

    assert "; angle of e4; and 2 more. " in said({**cells, ("random", "angle"): SPREAD})[0]
