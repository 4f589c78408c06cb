"""Quantus as an oracle: the same altered images in the same order must give the same scores."""

import pytest
import torch
from torch import nn

import xai_bench as xb
from benchmarks.against_quantus import Job, disagreement, our_scores
from benchmarks.harness import passes
from benchmarks.jobs import STEPS, Scoring, metrics, pictures, prepared, smooth_maps
from xai_bench.engine import Scene
from xai_bench.removal import Fill

pytestmark = pytest.mark.filterwarnings("ignore")  # whatever the peer and what it imports warn of


@pytest.fixture(scope="module")
def scored():
    """Both sides' work on images of 56 x 56 with a model that has opinions."""
    torch.manual_seed(0)
    head = nn.Linear(8, 4)
    head.weight.data *= 40
    module = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    model = xb.load_model(module, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), input_size=56)
    batch = pictures(3, 56)
    maps = smooth_maps(batch, 2)
    maps[0][0] += 2**20 * batch.regions[0]  # one that points at the object
    ours = Scoring(batch, maps, metrics(removal=Fill()), prepared(model, "fp32", 56))
    return ours, Job(module, model, batch, ours.maps, Scene(model, batch).targets)


def test_the_same_deletion_insertion_and_pointing_game(scored) -> None:
    pytest.importorskip("quantus")
    ours, quantus = scored
    mine, theirs = our_scores(ours), quantus()

    assert (
        torch.stack([torch.stack(each[:2]) for each in theirs]).std() > 0.5
    )  # of at most 27: there is something to see
    assert mine[0][2].tolist()[0] == 1
    assert disagreement(mine, theirs) < 1e-5


def test_another_order_of_removal_is_seen(scored) -> None:
    pytest.importorskip("quantus")
    ours, quantus = scored
    mine = [(deletion, insertion, game) for insertion, deletion, game in our_scores(ours)]

    assert disagreement(mine, quantus()) > 0.01


def test_quantus_needs_no_fewer_passes(scored) -> None:
    pytest.importorskip("quantus")
    ours, quantus = scored
    images, maps = len(ours.batch), len(ours.maps)

    assert passes(quantus.module, quantus) == images * maps * 2 * STEPS
    assert passes(ours.engine.eyes.module, ours) <= images * maps * 2 * STEPS
