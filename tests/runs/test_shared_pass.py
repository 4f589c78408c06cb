"""Explainers that read the same pass make it once, give the maps they give alone, and are billed as alone."""

import pytest
import torch
from small_suite import DATA, METRICS, evaluate, models

import xai_bench as xb
from xai_bench.errors import IncompleteError, UnsupportedError
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.look import Sight
from xai_bench.types import ExplainerCard

SHARING = ["gradcam", {"name": "absolute", "explainer": {"name": "gradcam", "relu": False}}, "random"]


@pytest.fixture
def counted(monkeypatch):
    """How many images went through each model to be explained, and how many came back."""
    from xai_bench.explainers import look as room

    seen = {"forward": 0, "backward": 0}
    forward, backward = room.look, room._backward

    def counting_look(model, images, targets, sights):
        seen["forward"] += len(images)
        return forward(model, images, targets, sights)

    def counting_backward(model, logits, targets, wanted):
        seen["backward"] += len(logits)
        return backward(model, logits, targets, wanted)

    monkeypatch.setattr("xai_bench.explainers.explainer.look", counting_look)
    monkeypatch.setattr(room, "_backward", counting_backward)
    return seen


def test_a_batch_goes_through_the_model_once_for_all_that_share(counted):
    results = evaluate(metrics=METRICS[1:2], explainers=SHARING, gallery=0)

    assert counted == {"forward": 2 * DATA["n"], "backward": 2 * DATA["n"]}  # two models
    assert set(results.scores["reason"]) <= {"", "map is constant"}
    costs = results.costs().set_index(["model", "explainer"])
    for name in ("gradcam", "absolute(gradcam(relu=False))"):
        assert costs.loc[("plain", name), ["n", "forward", "backward"]].tolist() == [6, 1, 1]


def test_maps_are_those_that_each_makes_alone(tmp_path):
    shared = evaluate(tmp_path / "run", metrics=METRICS[1:2], explainers=SHARING, gallery=6).run.gallery
    images = {
        sample: image for batch in xb.load_data(**DATA) for sample, image in zip(batch.ids, batch.images, strict=True)
    }
    compared = 0

    for panel in shared:
        for (model, name), found in panel.maps.items():
            if model == "plain" and name != "random":
                alone = xb.explain(SHARING[name.startswith("abs")], models()[0], images[panel.sample][None])
                torch.testing.assert_close(torch.from_numpy(found).float(), alone[0].float(), rtol=1e-2, atol=1e-3)
                compared += 1
    assert compared == 12


def test_one_that_fails_in_the_pass_takes_nobody_with_it():
    class Broken(OnePass):
        card = ExplainerCard("broken", "test", family="cam")

        def sights(self, model):
            return frozenset({Sight("layer")})

        def read(self, seen):
            raise UnsupportedError("not this one")

    with pytest.raises(IncompleteError, match="not this one") as caught:
        evaluate(metrics=METRICS[1:2], explainers=["gradcam", Broken()])
    assert set(caught.value.results.scores["explainer"]) == {"gradcam"}
    assert len(caught.value.results.scores) == 2 * DATA["n"]
