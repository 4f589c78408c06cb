"""Mask leakage on paper: a model that knows its class by the hole, and one that does not."""

import math

import numpy as np
import pytest
import torch

import xai_bench as xb
from xai_bench.engine import Case, Scene
from xai_bench.errors import UnsupportedError
from xai_bench.metrics import score
from xai_bench.metrics.mask_leakage import LeakageGap, MaskLeakage, WithoutObject
from xai_bench.oracles import Sum, as_model
from xai_bench.reductions import ratio, reduced
from xai_bench.removal import Fill, LayerMasking
from xai_bench.stats.summaries import _set_interval
from xai_bench.types import Batch

BLACK = Fill("black")


class Bright(torch.nn.Module):
    """Class 1 while more than `limit` of the white pixels of the upper half remain, else class 0."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, images):
        seen = images.mean(1)[:, : images.shape[2] // 2].sum((1, 2))
        return torch.stack([torch.full_like(seen, self.limit + 0.5), seen], 1)


def case(module, regions, labels):
    count, size = len(regions), tuple(regions.shape[1:])
    ids = tuple(map(str, range(count)))
    batch = Batch(torch.ones(count, 3, *size), ids, labels=torch.tensor(labels), regions=regions)
    return Case(Scene(as_model(module, size), batch))


def upper(count=1):
    regions = torch.zeros(count, 4, 4, dtype=torch.bool)
    regions[:, 0, :3] = True
    return regions


def test_the_mask_moves_by_half_the_image_and_comes_back_on_the_other_side():
    regions = torch.zeros(1, 4, 6, dtype=torch.bool)
    regions[0, 1, 4] = regions[0, 3, 0] = True
    looked = case(Bright(0), regions, [1])
    without, elsewhere = ~WithoutObject(BLACK).keep(looked, 0)

    assert torch.equal(without, regions[0])
    assert elsewhere.nonzero().tolist() == [[1, 3], [3, 1]]  # (1 + 2, 4 + 3 - 6) and (3 + 2 - 4, 0 + 3)


def test_at_224_it_is_the_papers_shift():
    regions = torch.zeros(1, 224, 224, dtype=torch.bool)
    regions[0, 20:150, 30:100] = True
    mask = regions[0].numpy()
    rows = np.concatenate([mask[112:], mask[:112]], 0)
    both = np.concatenate([rows[:, 112:], rows[:, :112]], 1)

    assert np.array_equal(~WithoutObject(BLACK).keep(case(Bright(0), regions, [1]), 0)[1].numpy(), both)


def test_a_model_that_needs_the_object_fails_without_it():
    # upper half 8 pixels: 5 are left without the object, 8 without the same shape in the lower half
    assert score(MaskLeakage(BLACK), case(Bright(6), upper(2), [1, 1])).values.tolist() == [0.0]


def test_a_model_that_does_not_keeps_its_accuracy():
    assert score(MaskLeakage(BLACK), case(Bright(4), upper(2), [1, 1])).values.tolist() == [1.0]


def test_a_model_that_reads_the_hole_scores_above_one():
    class Reads(torch.nn.Module):
        """Class 1 unless there is a hole in the lower half only and the last pixel is dim: the object's hole tells."""

        def forward(self, images):
            grey = images.mean(1)
            elsewhere = (grey[:, 2:] == 0).flatten(1).any(1) & (grey[:, :2] > 0).flatten(1).all(1)
            wrong = (elsewhere & (grey[:, 3, 3] < 0.9)).float()
            return torch.stack([wrong, 1 - wrong], 1)

    images = torch.ones(2, 3, 4, 4)
    images[1, :, 3, 3] = 0.8
    batch = Batch(images, ("a", "b"), labels=torch.tensor([1, 1]), regions=upper(2))

    # both right without the object, one of two without the same shape elsewhere
    assert score(MaskLeakage(BLACK), Case(Scene(as_model(Reads(), (4, 4)), batch))).values.tolist() == [2.0]


def test_images_that_are_wrong_when_clean_do_not_count():
    found = MaskLeakage(BLACK)
    looked = case(Bright(6), upper(3), [1, 0, 1])

    assert found.undefined(looked) == ("", "clean image is classified wrongly", "")
    assert found.curve(looked).values.tolist()[::2] == [[0.0, 1.0], [0.0, 1.0]]
    assert score(found, looked).values.tolist() == [0.0]


def test_the_ratio_is_of_the_accuracies():
    # 3 of 4 right without the object, 2 of 4 without the same shape elsewhere
    records = np.array([[1.0, 1], [1, 0], [1, 0], [0, 1]])

    assert ratio(records) == pytest.approx(1.5)
    assert math.isnan(ratio(np.array([[1.0, 0], [0, 0]])))
    assert reduced("ratio", np.array([[1.0, 0]]))[1] == "ratio of the images' records is not finite"


def test_resamples_without_a_ratio_leave_an_interval():
    records = np.array([[1.0, 1.0], [1.0, 0.0]])  # some resamples have no hit below
    low, high, _ = _set_interval(2.0, records, {"reduction": "ratio"})

    assert math.isfinite(low)
    assert low < 2 < high


def test_a_ratio_over_nothing_is_undefined_with_a_reason():
    regions = torch.zeros(1, 4, 4, dtype=torch.bool)
    regions[0, 2:, :] = True  # the shape elsewhere covers the upper half
    found = score(MaskLeakage(BLACK), case(Bright(6), regions, [1]))

    assert found.values.isnan().all()
    assert found.reasons == ("ratio of the images' records is not finite",)


def test_the_gap_is_the_difference_of_the_outputs():
    # logit of class 1: 5 pixels without the object, 8 without the same shape elsewhere
    looked = case(Bright(4), upper(), [1])
    probability = [1 / (1 + math.exp(4.5 - seen)) for seen in (5, 8)]

    assert score(LeakageGap(BLACK, output="logit"), looked).values.item() == pytest.approx(5 - 8)
    assert score(LeakageGap(BLACK), looked).values.item() == pytest.approx(probability[0] - probability[1])


def test_regions_that_leave_nothing_to_compare_are_undefined():
    regions = upper(3)
    regions[1], regions[2] = False, True
    looked = case(Bright(4), regions, [1, 1, 1])

    for metric in (MaskLeakage(BLACK), LeakageGap(BLACK)):
        assert metric.undefined(looked) == ("", "no region", "region covers the whole image")
    with pytest.raises(UnsupportedError, match="'leakage_gap' needs regions, but the data have none"):
        score(LeakageGap(), Case(Scene(looked.scene.model, Batch(torch.ones(1, 3, 4, 4), ("a",)))))


def test_under_layer_masking_it_is_what_the_removal_sees():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    model, images = as_model(module, (6, 6), "0"), torch.rand(1, 3, 6, 6)
    regions = torch.zeros(1, 6, 6, dtype=torch.bool)
    regions[0, :3, :2] = True
    scene = Scene(model, Batch(images, ("a",), regions=regions))
    masks = regions, regions.roll((3, 3), (1, 2))
    with torch.inference_mode():
        seen = [LayerMasking().see(model, images, (~m).float(), None)[0, scene.targets[0]].item() for m in masks]
    gap = score(LeakageGap(LayerMasking(), output="logit"), Case(scene)).values.item()

    assert gap == pytest.approx(seen[0] - seen[1], abs=1e-6)
    assert abs(gap) > 1e-3


def test_in_a_run_the_ratio_has_an_interval_and_the_wrong_images_are_counted():
    torch.manual_seed(0)
    model = xb.load_model("timm:test_resnet", pretrained=False, num_classes=4, input_size=32, device="cpu")
    data = xb.load_data("planted", n=24, size=32)
    results = xb.evaluate([model], [], ["mask_leakage", "leakage_gap", "top1"], data, progress=False)
    rows = results.summary().set_index("metric")

    assert rows.loc["mask_leakage", "n"] == round(24 * rows.loc["top1", "mean"])
    assert rows.loc["mask_leakage", "low"] <= rows.loc["mask_leakage", "mean"] <= rows.loc["mask_leakage", "high"]
    assert rows.loc["leakage_gap", "n"] == 24


def test_a_shape_that_the_shift_leaves_where_it_is_says_nothing():
    stripes = torch.zeros(1, 4, 4, dtype=torch.bool)
    stripes[:, ::2] = True
    batch = Batch(torch.rand(1, 3, 4, 4), ("a",), regions=stripes, labels=torch.tensor([0]))
    looked = Case(Scene(as_model(Sum(), (4, 4)), batch))

    assert LeakageGap(BLACK).undefined(looked) == ("shifted region is the region itself",)
