"""Explainers that read the same pass make it once, give the maps they give alone, and are billed as alone."""

import pytest
import torch
from small_suite import DATA, METRICS, evaluate, models

import xai_bench as xb
from xai_bench.errors import UnsupportedError
from xai_bench.explainers import EXPLAINERS
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.look import Sight

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
    for name in ("gradcam", "absolute(explainer=gradcam(relu=False))"):
        assert costs.loc[("plain", name), ["n", "forward", "backward"]].tolist() == [6, 1, 1]


def test_maps_are_those_that_each_makes_alone(tmp_path):
    shared = evaluate(tmp_path / "run", metrics=METRICS[1:2], explainers=SHARING, gallery=6).run.gallery
    model, data = models()[0], xb.load_data(**DATA)

    for picture, image in zip(shared[: len(data)], data.batch(0, 6).images, strict=True):
        for name, found in picture.maps.items():
            if name != "random":
                alone = xb.explain(SHARING[name.startswith("abs")], model, image[None], [picture.target])
                torch.testing.assert_close(torch.from_numpy(found).float(), alone[0], rtol=1e-2, atol=1e-3)


def test_one_that_fails_in_the_pass_takes_nobody_with_it():
    class Reused(OnePass):
        card = EXPLAINERS["gradcam"].card

        def sights(self, model):
            return frozenset({Sight("layer")})

        def read(self, seen):
            raise UnsupportedError("not this one")

    results = None
    with pytest.raises(UnsupportedError, match="not this one"):
        results = evaluate(metrics=METRICS[1:2], explainers=["gradcam", Reused()])
    assert results is None
