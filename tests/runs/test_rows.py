"""From what came of a job to what is stored."""

import math
from dataclasses import replace

import pytest
import torch
from small_suite import DATA, models

from xai_bench.api import _plan
from xai_bench.engine import Curve
from xai_bench.runs.rows import unit
from xai_bench.runs.run import SCORE_COLUMNS
from xai_bench.runs.suite import Suite
from xai_bench.runs.work import Done, Scored
from xai_bench.types import Scores

METRIC = "deletion(steps=2)"


@pytest.fixture(scope="module")
def plan():
    metrics = ({"name": "deletion", "steps": 2},)
    return _plan(Suite(tuple(models()[:1]), (DATA,), metrics, ("random",), device="cpu", gallery=1))


@pytest.fixture
def done(plan):
    """Sample 1 is undefined; the curve of sample 2 has a point that nobody evaluated; sample 3 has a row already."""
    task = replace(plan.tasks({})[0], wanted={"random": {METRIC: (0, 1, 2)}})
    values = torch.tensor([0.5, math.nan, 0.25, 0.0], dtype=torch.float64)
    scores = Scores(values, ("", "map is constant", "", ""), torch.tensor([0.1, math.nan, 0.2, 0.0]).double())
    evaluated = torch.tensor([[True] * 3, [True] * 3, [True, False, True], [True] * 3])
    curve = Curve(torch.linspace(0, 1, 3).double(), torch.arange(12).view(4, 3).double(), evaluated)
    scored = [Scored("random", METRIC, scores, curve, refused=False)]
    maps = {"random": torch.zeros(4, 32, 32)}
    computed = {"targets": (3, 2, 1, 0), "device": "cuda:1", "precision": "bf16", "chunk": 8}
    return Done(task, scored, maps, made=frozenset({"random"}), **computed)


@pytest.fixture
def stored(plan, done):
    return unit(plan, plan.info(), done, plan.data["planted/test"].batch(0, 4))


def test_only_missing_samples_have_rows_and_they_say_on_what_they_were_computed(stored):
    rows = [dict(zip(SCORE_COLUMNS, row, strict=True)) for row in stored.rows]

    assert [row["sample"] for row in rows] == [f"planted-test-0-{place}" for place in range(3)]
    assert [row["target"] for row in rows] == [3, 2, 1]
    assert rows[1]["reason"] == "map is constant"
    assert [rows[0]["error"], rows[2]["error"]] == pytest.approx([0.1, 0.2])
    assert {(row["device"], row["precision"]) for row in rows} == {("cuda:1", "bf16")}


def test_a_curve_with_fractions_of_its_own_per_image_is_stored_row_by_row(plan, done):
    (scored,) = done.scored
    fractions = torch.tensor([[0, 0.5, 1]] * 2 + [[0, 0.25, 1]] * 2).double()
    changed = replace(done, scored=[scored._replace(curve=scored.curve._replace(fractions=fractions, evaluated=None))])
    points = unit(plan, plan.info(), changed, plan.data["planted/test"].batch(0, 4)).points

    assert [point[5] for point in points] == [0, 0.5, 1, 0, 0.25, 1]


def test_only_points_that_were_evaluated_are_stored(stored):
    assert [point[4:] for point in stored.points] == [
        *[("planted-test-0-0", fraction, value) for fraction, value in ((0, 0), (0.5, 1), (1, 2))],
        *[("planted-test-0-2", fraction, value) for fraction, value in ((0, 6), (1, 8))],
    ]


def test_the_gallery_has_its_share_and_maps_are_kept_for_all(stored):
    assert [panel.sample for panel in stored.panels] == ["planted-test-0-0"]
    assert stored.maps["plain", "random"].shape == (4, 32, 32)
    assert (stored.data, len(stored.ids)) == ("planted/test", 4)


def test_maps_that_were_handed_in_are_not_kept_again(plan, done):
    handed = replace(done, made=frozenset())

    assert unit(plan, plan.info(), handed, plan.data["planted/test"].batch(0, 4)).maps == {}
    assert unit(replace(plan, maps=False), plan.info(), done, plan.data["planted/test"].batch(0, 4)).maps == {}
