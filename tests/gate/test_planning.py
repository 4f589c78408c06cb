"""A run to the images that each of its cells needs: which cells, which spread, and what is said of the rest."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xai_bench.errors import InvalidValueError, RunError
from xai_bench.gate import Margins
from xai_bench.gate.planning import ALL_EQUAL, EARLIER, NO_MARGIN, SCORES, TOO_FEW, sizes
from xai_bench.gate.sizes import Spread, to_catch, to_pass
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

CARD = {"name": "m", "better": "lower", "low": 0.0, "high": 1.0, "scope": "image", "reduction": "mean"}
CARDS = {
    "deletion": CARD,
    "pointing_game": CARD | {"better": "higher"},
    "angle": CARD | {"low": None, "high": None},
    "spread_out": CARD | {"better": "unstated"},
    "of_set": CARD | {"scope": "set"},
}
ONES = [0.0, 1.0] * 30
SLOPE = [number / 60 for number in range(60)]


def run(cells, *, weights="a", data="d", models=("net",)):
    """Cells: {(explainer, metric): scores}."""
    rows = [
        {"data": "toy", "model": model, "explainer": explainer, "metric": metric, "version": 1, "spec": "s", "seed": 0}
        | {"sample": str(number), "score": score, "reason": "" if score == score else "no region"}
        | {"fingerprints": f"model={weights} data={data}"}
        for model in models
        for (explainer, metric), scores in cells.items()
        for number, score in enumerate(scores)
    ]
    return Run(pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), pd.DataFrame(columns=list(CURVE_COLUMNS)), CARDS)


def only(found):
    (size,) = found
    return size


def test_the_scores_own_spread_stands_in_for_that_of_a_change():
    size = only(sizes(run({("gradcam", "deletion"): SLOPE}), Margins()))
    sd = np.std(SLOPE, ddof=1)

    assert size[:4] == ("toy", "net", "gradcam", "deletion")
    assert (size.margin, size.source) == (0.02, SCORES)
    assert size.spread == pytest.approx(sd, rel=1e-6)
    assert size.to_catch == to_catch(Spread(sd), 0.02, 0.05)
    assert size.needed == size.to_pass == to_pass(Spread(sd), 0.02, 0.05)
    assert size.short


def test_hits_change_as_often_as_half_a_correlation_says():
    size = only(sizes(run({("gradcam", "pointing_game"): ONES}), Margins()))

    assert size.spread == pytest.approx(0.5)
    assert size.to_pass == to_pass(Spread(0.5, hits=True), 0.02, 0.05)


def test_every_cell_of_the_check_makes_it_harder_to_catch_but_not_to_pass():
    alone = only(sizes(run({("a", "deletion"): SLOPE}), Margins()))
    three = sizes(run({(name, "deletion"): SLOPE for name in "abc"}), Margins())

    assert three[0].to_catch == to_catch(Spread(alone.spread), 0.02, 0.05 / 3) > alone.to_catch
    assert three[0].to_pass == alone.to_pass


def test_what_decides_nothing_is_left_out():
    found = sizes(
        run({("random", "deletion"): SLOPE, ("ig", "spread_out"): SLOPE, ("ig", "deletion"): SLOPE}),
        Margins(ignore=("random",)),
    )

    assert [(size.explainer, size.metric) for size in found] == [("ig", "deletion")]
    assert found[0].to_catch == only(sizes(run({("ig", "deletion"): SLOPE}), Margins())).to_catch


def test_images_without_a_score_are_made_up_for():
    half = [score if number % 2 else math.nan for number, score in enumerate(SLOPE)]
    size = only(sizes(run({("ig", "deletion"): half}), Margins()))

    assert (size.scored, size.images) == (30, 60)
    assert size.needed == 2 * size.to_pass


def test_with_the_margin_that_the_images_tell_they_are_enough():
    scores = run({("ig", "deletion"): SLOPE})
    least = only(sizes(scores, Margins())).tells

    assert not only(sizes(scores, Margins(margins={"deletion": least * 1.001}))).short
    assert only(sizes(scores, Margins(margins={"deletion": least * 0.98}))).short


@pytest.mark.parametrize(
    ("scores", "margins", "note"),
    [
        ([0.5] + [math.nan] * 9, {}, TOO_FEW),
        ([math.nan] * 10, {}, TOO_FEW),
        ([0.5] * 10, {}, ALL_EQUAL),
        (SLOPE, {"angle": 0.0}, NO_MARGIN),
    ],
)
def test_a_cell_of_which_nothing_can_be_planned_is_short_and_says_why(scores, margins, note):
    size = only(sizes(run({("ig", "angle"): scores}), Margins(margins=margins)))

    assert (size.note, size.short) == (note, True)
    assert not math.isfinite(size.needed)


def noisy(sd):
    return list(np.array(SLOPE) + np.random.default_rng(0).normal(0, sd, len(SLOPE)))


def test_an_earlier_run_measures_the_spread():
    before, now = noisy(0.01), SLOPE
    size = only(
        sizes(run({("ig", "deletion"): now}), Margins(), earlier=run({("ig", "deletion"): before}, weights="b"))
    )

    assert size.source == EARLIER
    assert size.spread == pytest.approx(np.std(np.array(before) - now, ddof=1), rel=1e-4)
    assert not size.short


def test_of_hits_the_earlier_run_counts_those_that_changed():
    before = [1.0 - ONES[0], *ONES[1:]]
    cell = ("ig", "pointing_game")
    size = only(sizes(run({cell: ONES}), Margins(), earlier=run({cell: before}, weights="b")))

    assert size.spread == pytest.approx(math.sqrt((1 + 2) / (60 + 2)))


def test_a_cell_in_which_nothing_changed_since_says_nothing_of_the_next_change():
    cells = {("ig", "deletion"): SLOPE, ("centre", "deletion"): SLOPE}
    earlier = run(cells | {("ig", "deletion"): noisy(0.01)}, weights="b")

    assert [size.source for size in sizes(run(cells), Margins(), earlier=earlier)] == [EARLIER, SCORES]


def test_models_of_the_earlier_run_are_matched_by_name():
    cells = {("ig", "deletion"): SLOPE}
    now = run(cells, models=("new", "other"))
    earlier = run({("ig", "deletion"): noisy(0.01)}, weights="b", models=("old", "other"))
    found = sizes(now, Margins(), earlier=earlier, match={"old": "new"})

    assert [(size.model, size.source) for size in found] == [("new", EARLIER), ("other", EARLIER)]
    assert [size.source for size in sizes(now, Margins(), earlier=earlier)] == [SCORES, EARLIER]


def test_an_earlier_run_that_cannot_be_paired_is_refused():
    cells = {("ig", "deletion"): SLOPE}

    with pytest.raises(RunError, match=r"other images .* score both on the same data"):
        sizes(run(cells), Margins(), earlier=run(cells, weights="b", data="e"))
    with pytest.raises(InvalidValueError, match=r"same weights of model 'net'.* an earlier checkpoint"):
        sizes(run(cells), Margins(), earlier=run(cells))


def test_a_metric_of_a_whole_set_has_the_spread_of_its_records():
    rng = np.random.default_rng(0)
    records = rng.normal(0.5, 0.1, 200)
    place = {"data": "toy", "model": "net", "explainer": "ig", "metric": "of_set"}
    one = run({("ig", "of_set"): [records.mean()]})
    scores = one.scores.assign(sample="*")
    points = [place | {"sample": str(i), "fraction": 0.0, "value": value} for i, value in enumerate(records)]
    size = only(sizes(replace(one, scores=scores, curves=pd.DataFrame(points)), Margins()))

    assert (size.scored, size.images) == (200, 200)
    assert size.spread == pytest.approx(records.std(ddof=1), rel=0.1)
