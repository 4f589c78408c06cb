"""ROAD on paper, and against Quantus and pytorch-grad-cam."""

import numpy as np
import pytest
import torch
from peer_set import REAL, images, module, normalised, real_case, scores, small, small_case, smooth
from torch import nn

from xai_bench.engine import Case, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.road import Road
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill, NoisyLinear
from xai_bench.types import Batch

quirks = pytest.mark.filterwarnings("ignore")  # whatever the peer and what it imports warn of
QUARTERS = (0.25, 0.5, 0.75)
STILL = NoisyLinear(noise=0.0)
SIZE = (40, 40)  # 1600 pixels, where all libraries count alike


def of_a_sum(maps=PIXELS, **fields):
    metric = Road(**{"removal": Fill("black"), "fractions": QUARTERS, "output": "logit"} | fields)
    return score(metric, Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), maps)).values.item()


def test_road_of_a_sum_is_the_hand_computed_mean():
    morf, lerf = (0.6 + 0.3 + 0.1) / 3, (0.9 + 0.7 + 0.4) / 3

    assert of_a_sum() == pytest.approx(morf)
    assert of_a_sum(order="lerf") == pytest.approx(lerf)
    assert of_a_sum(order="combined") == pytest.approx((lerf - morf) / 2)
    assert of_a_sum(-PIXELS, order="combined") == pytest.approx((morf - lerf) / 2)


def test_the_order_decides_which_way_is_better():
    assert Road().card.better == "lower"
    assert Road(order="lerf").card.better == "higher"
    assert Road(order="combined").card.better == "higher"
    assert METRICS["road"].card.better == "lower"


def test_the_bounds_are_those_of_what_is_read():
    assert Road().bounds == Road(output="hit").bounds == (0.0, 1.0)
    assert Road(order="combined", output="hit").bounds == (-0.5, 0.5)
    assert METRICS.build("road@gradcam").bounds == (-float("inf"), float("inf"))


class Above(nn.Module):
    """Logits (sum of the grey pixels, .45): the target 0 is predicted while more than .45 is visible."""

    def forward(self, pictures):
        total = pictures.mean(1).sum((1, 2))
        return torch.stack([total, torch.full_like(total, 0.45)], 1)


def test_hits_are_counted_per_image():
    scene = Scene(as_model(Above()), Batch(IMAGE, ("a",)))
    metric = Road(removal=Fill("black"), fractions=QUARTERS, output="hit")

    assert score(metric, Case(scene, PIXELS)).values.item() == pytest.approx(1 / 3)  # .6 .3 .1
    assert score(metric, Case(scene, -PIXELS)).values.item() == pytest.approx(2 / 3)  # .9 .7 .4
    assert metric.reads is None  # no multiple of the output


def test_the_default_is_the_papers_but_for_reading_a_probability():
    assert METRICS.build("road@paper") == Road(output="hit")
    assert Road().fractions == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert Road().removal == NoisyLinear(noise=0.01)
    assert METRICS.build("road@quantus").fractions[:2] == (0.01, 0.03)
    assert len(METRICS.build("road@quantus").fractions) == 50


@pytest.mark.parametrize("fractions", [(), (0.5, 0.2), (0.1, 1.2), (-0.1, 0.3)])
def test_fractions_rise_within_0_and_1(fractions):
    with pytest.raises(InvalidValueError, match=r"fractions of road must be fractions in \[0, 1\]"):
        Road(fractions=fractions)


def grad_cam(case, percentiles, kind="ROADCombined"):
    """pytorch-grad-cam's score of each image, the target's logit, without its noise."""
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    chosen = [targets.ClassifierOutputTarget(target) for target in case.scene.targets.tolist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(road.NoisyLinearImputer.__init__, "__defaults__", (0.0, road.neighbors_weights))
        given = (normalised(case), case.maps.numpy(), chosen, module(case))
        return getattr(road, kind)(percentiles)(*given)


def without_noise(fractions, **fields):
    return {"name": "road@gradcam", "removal": STILL, "fractions": fractions} | fields


@quirks
def test_grad_cam_on_a_small_network():
    case = small_case(SIZE, 3)
    theirs = grad_cam(case, [10, 20, 30, 40, 50, 60, 70, 80, 90])

    np.testing.assert_allclose(scores(case, without_noise(Road().fractions)), theirs, atol=1e-4)
    assert np.abs(theirs).max() > 0.05


@quirks
@pytest.mark.parametrize(
    ("kind", "order"), [("ROADMostRelevantFirstAverage", "morf"), ("ROADLeastRelevantFirstAverage", "lerf")]
)
def test_grad_cams_percentile_is_the_share_kept(kind, order):
    case = small_case(SIZE, 3)
    after = scores(case, without_noise((0.3, 0.9), order=order))
    clean = case.scene.output("logit").numpy()

    np.testing.assert_allclose(after - clean, grad_cam(case, [10, 70], kind), atol=1e-4)


class Pieces:
    """An imputer of grad-cam's that only remembers what share it is told to keep."""

    def __init__(self):
        self.kept = []

    def __call__(self, picture, mask):
        self.kept.append(mask.float().mean().item())
        return picture


@quirks
@pytest.mark.parametrize("removed", [0.1, 0.5, 0.9])
def test_a_map_of_zeros_and_little_else_loses_the_stated_share(removed):
    """In pytorch-grad-cam 1.5.7 the threshold is then 0 and removes everything. Ours breaks the ties."""
    confidence = pytest.importorskip("pytorch_grad_cam.metrics.perturbation_confidence")
    maps = smooth(1, SIZE)
    maps[maps < 0.6] = 0  # what ReLU leaves of a CAM
    imputer, scene = Pieces(), Scene(small(SIZE), Batch(images(1, SIZE), ("a",)))
    confidence.RemoveMostRelevantFirst(min(100 * (1 - removed), 59), imputer)(scene.batch.images[0], maps[0])
    (question,) = Road(removal=STILL, fractions=(removed,)).questions
    visible = Case(scene, maps).asker(question).visible(0, [0])

    assert imputer.kept == [0.0]
    assert visible.float().mean().item() == pytest.approx(1 - removed)


class Grey(nn.Module):
    """The network on a grey picture of one channel: Quantus' ROAD crashes on colours."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pictures):
        return self.network(pictures.repeat(1, 3, 1, 1))


def grey_case(count, labels=None):
    """Grey images, explained at given classes, for a model without normalisation."""
    pictures = images(count, SIZE)[:, :1].repeat(1, 3, 1, 1)
    model = small(SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    scene = Scene(model, Batch(pictures, tuple(map(str, range(count)))), targets=labels)
    return Case(scene, smooth(count, SIZE))


def quantus(case, percentages, batch_size):
    """Quantus' accuracy at each percentage, without its noise."""
    peer = pytest.importorskip("quantus")
    road = peer.ROAD(percentages=percentages, noise=0.0, normalise=False, disable_warnings=True)
    given = {
        "x_batch": case.batch.images[:, :1].numpy(),
        "y_batch": case.scene.targets.numpy(),
        "a_batch": case.maps[:, None].numpy(),
    }
    found = road(model=Grey(module(case)).eval(), **given, device="cpu", batch_size=batch_size)
    return np.array([found[percentage] for percentage in percentages])


@quirks
def test_quantus_on_a_small_network():
    case, percentages = grey_case(8), [1, 21, 41, 61, 81]
    fractions = tuple(percentage / 100 for percentage in percentages)
    metric = METRICS.build({"name": "road@quantus", "removal": STILL, "fractions": fractions})
    theirs = quantus(case, percentages, 8)

    assert metric.curve(case).values.mean(0).tolist() == pytest.approx(theirs.tolist(), abs=1e-9)
    assert 0 < theirs.min() < theirs.max()


@quirks
def test_every_image_counts_and_not_the_first_batch_alone():
    """Quantus 0.6 averages the first batch. The last four images are explained at a class not predicted there."""
    metric = METRICS.build({"name": "road@quantus", "removal": STILL, "fractions": (0.01,)})
    (question,) = metric.questions
    right = grey_case(8).curve(question, None).values[:, 0].long()
    case = grey_case(8, torch.where(torch.arange(8) < 4, right, (right + 1) % 5))

    assert quantus(case, [1], 4).tolist() == [1.0]  # theirs
    assert scores(case, metric).mean() == pytest.approx(quantus(case, [1], 8).item())
    assert scores(case, metric).tolist() == [1.0] * 4 + [0.0] * 4


def test_noise_is_drawn_per_image_from_the_seed():
    case = small_case(SIZE, 2)
    first, again = (scores(each, "road@gradcam") for each in (case, small_case(SIZE, 2)))
    alone = Case(Scene(case.scene.model, Batch(case.batch.images[:1], ("0",))), case.maps[:1])

    assert first.tolist() == again.tolist()
    assert scores(alone, "road@gradcam")[0] == pytest.approx(first[0], abs=1e-5)
    assert np.abs(first - scores(case, without_noise(Road().fractions))).max() > 1e-6


@pytest.mark.realset
@quirks
@pytest.mark.parametrize("name", REAL)
def test_grad_cam_on_real_images(name, realset):
    """At a fraction for which both count the same pixels of 224 x 224, and whose sparse systems are small."""
    case = real_case(name, realset)

    np.testing.assert_allclose(scores(case, without_noise((0.1,))), grad_cam(case, [90]), atol=1e-4)
