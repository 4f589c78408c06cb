"""The control that is told where the object is: the best map for localisation, in runs and at the border."""

import pytest
import torch
from small_suite import DATA, evaluate, models

import xai_bench as xb
from xai_bench.adapters import Preprocessing
from xai_bench.data.picture import Picture
from xai_bench.errors import InvalidValueError
from xai_bench.reports.analysis import analyse
from xai_bench.reports.words import findings, summary

LOCATED = [{"name": "pointing_game", "tolerance": 0}, "energy_pointing_game", "iou"]


@pytest.fixture(scope="module")
def results():
    return evaluate(explainers=["region", "gradcam", "random"], metrics=LOCATED, gallery=1)


def test_the_object_itself_wins_every_metric_of_localisation_on_every_image(results):
    scores = results.scores[results.scores["explainer"] == "region"]

    assert len(scores) == 2 * 3 * 6
    assert set(scores["score"]) == {1.0}


def test_it_is_marked_as_a_ceiling_and_stands_before_the_floor(results):
    analysis = analyse(results.run)

    assert analysis.kind("region") == "ceiling"
    assert analysis.marked("region") == "region (ceiling)"
    assert analysis.floor_last(["region", "random", "gradcam"]) == ("gradcam", "region", "random")


def test_it_takes_no_mark_and_no_sentence_from_the_explainers(results):
    analysis = analyse(results.run)
    summary = analysis.summary.set_index("explainer")

    assert not summary.loc["region", "top"].any()
    assert not any("region of" in finding.text for finding in findings(analysis))


def test_the_summary_in_words_counts_it_apart_and_ranks_it_nowhere(results):
    said = summary(analyse(results.run))

    assert "1 explainer (gradcam), 1 control (random) and 1 ceiling (region) of 2 models" in said.compared
    assert not any("region" in sentence for sentence in said.certain)


def test_an_image_without_a_region_has_no_such_map():
    model, images, empty = models()[0], torch.rand(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.bool)
    empty[0, :9, :9] = True

    for metric in ("deletion", "average_drop", "iou"):
        found = xb.score(metric, model, images, explainer="region", regions=empty)

        assert found.values.isnan().tolist() == [False, True]
        assert found.reasons == ("", "no region")


def test_data_without_regions_beside_data_with_them_are_undefined_and_alone_are_refused(tmp_path):
    from PIL import Image

    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    bare = Picture(path=tmp_path / "a.png", preprocessing=Preprocessing((32, 32)))
    wanted = {"explainers": ["region", "random"], "metrics": [{"name": "deletion", "steps": 2}]}
    mixed = evaluate(data=[DATA, bare], **wanted).scores
    told = mixed[mixed["explainer"] == "region"].groupby("data", observed=True)["reason"].unique()

    assert [set(reasons) for reasons in told] == [{""}, {"no region"}]
    with pytest.raises(InvalidValueError, match="explainer 'region' needs regions, but the data have none"):
        evaluate(data=bare, **wanted)


def test_at_the_border_it_wants_the_regions():
    model, images = models()[0], torch.rand(1, 3, 32, 32)
    inside = torch.zeros(1, 32, 32)
    inside[:, 3:7] = 1

    assert torch.equal(xb.explain("region", model, images, regions=inside), inside)
    with pytest.raises(InvalidValueError, match="explainer 'region' needs regions"):
        xb.explain("region", model, images)
    with pytest.raises(InvalidValueError, match="explainer 'region' needs regions"):
        xb.score("deletion", model, images, explainer="region")
