"""LIME under a removal: on paper, in plain numpy, and against scikit-learn's ridge regression."""

import math

import numpy as np
import pytest
import torch

from xai_bench.engine import Case, Patch, Pixel, Scene, Slic
from xai_bench.engine.lime import regressed
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.lime import Perturbations
from xai_bench.metrics.lime_ablation import LimeAblation
from xai_bench.metrics.lime_alignment import LimeAlignment, objects
from xai_bench.metrics.lime_jaccard import LimeJaccard
from xai_bench.oracles import Linear, Sum, as_model
from xai_bench.removal import Fill, LayerMasking
from xai_bench.types import Batch

BLACK = {"removal": Fill("black"), "unit": Pixel()}
LOGIT = {**BLACK, "output": "logit"}


def white(region, weights=None, labels=(0,)):
    """A white image of 6 x 6 whose logit is the number of visible object pixels."""
    weights = region.float() / 3 if weights is None else weights
    batch = Batch(torch.ones(1, 3, 6, 6), ("a",), labels=torch.tensor(labels), regions=region[None])
    return Case(Scene(as_model(Linear(weights.expand(3, 6, 6)), (6, 6)), batch))


def block(rows, columns):
    region = torch.zeros(6, 6, dtype=torch.bool)
    region[:rows, :columns] = True
    return region


def test_weights_that_are_the_object_align_as_well_as_a_centred_mask_allows():
    # weights 1 on k of n segments: cos(mask, mask - k/n) = sqrt(1 - k/n); the ridge bends it by less than 0.01
    metric = LimeAlignment(samples=2048, **LOGIT)

    assert score(metric, white(block(4, 5))).values.item() == pytest.approx(math.sqrt(1 - 20 / 36), abs=0.01)
    assert score(metric, white(block(2, 2))).values.item() == pytest.approx(math.sqrt(1 - 4 / 36), abs=0.01)


def test_weights_on_the_other_pixels_align_the_other_way():
    region = block(3, 6)
    weights = (~region).float() / 3

    assert score(LimeAlignment(samples=2048, **LOGIT), white(region, weights)).values.item() == pytest.approx(
        -math.sqrt(0.5), abs=0.01
    )


def test_the_objects_part_of_each_segment_is_centred():
    # cells of 3 x 3 on 6 x 6, object the upper three rows: 9 (1 - 1/2) and 9 (0 - 1/2)
    metric = LimeAlignment(unit=Patch(3))

    assert objects(metric, white(block(3, 6)))[0].tolist() == [4.5, 4.5, -4.5, -4.5]


def test_the_twenty_highest_segments_are_the_object():
    region = block(4, 5)

    assert score(LimeJaccard(**LOGIT), white(region)).values.item() == 1
    assert score(LimeJaccard(top=10, **LOGIT), white(region)).values.item() == pytest.approx(10 / 20)
    assert score(LimeJaccard(top=30, **LOGIT), white(region)).values.item() == pytest.approx(20 / 30)


def test_segments_beside_the_object_overlap_nothing():
    region = block(2, 6)
    weights = (~region).float() / 3

    assert score(LimeJaccard(**LOGIT), white(region, weights)).values.item() == 0


def test_without_the_segments_the_model_fails():
    # logit of class 0: visible object pixels less 9.5, against 0 of class 1; 0, 10 and 20 of 20 are left
    region = block(4, 5)

    class Most(torch.nn.Module):
        def forward(self, images):
            seen = (images.mean(1) * region).sum((1, 2)) - 9.5
            return torch.stack([seen, torch.zeros_like(seen)], 1)

    batch = Batch(torch.ones(1, 3, 6, 6), ("a",), labels=torch.tensor([0]), regions=region[None])
    case = Case(Scene(as_model(Most(), (6, 6)), batch))

    assert score(LimeAblation(ablation=Fill("black"), **LOGIT), case).values.tolist() == [0]
    assert score(LimeAblation(ablation=Fill("black"), top=10, **LOGIT), case).values.tolist() == [1]
    assert score(LimeAblation(ablation=Fill("white"), **LOGIT), case).values.tolist() == [1]  # takes nothing away


def test_what_cannot_be_measured_is_undefined_with_a_reason():
    region = block(3, 3)
    blind = white(region, torch.zeros(6, 6))

    assert score(LimeAlignment(**LOGIT), blind).reasons == ("output is the same whatever is removed",)
    assert score(LimeJaccard(top=36, **LOGIT), white(region)).reasons == ("image has no more than 36 segments",)
    assert score(LimeAblation(**LOGIT), white(region, labels=(1,))).reasons == ("clean image is classified wrongly",)
    assert score(LimeAlignment(**LOGIT), white(block(0, 0), region.float())).reasons == ("no region",)
    even = torch.zeros(6, 6, dtype=torch.bool)
    even[::3] = True  # a row of each cell of 3 x 3
    alike = score(LimeAlignment(removal=Fill("black"), unit=Patch(3), output="logit"), white(even))
    assert alike.reasons == ("no segment tells the object from the rest",)


def test_impossible_settings_are_refused():
    with pytest.raises(InvalidValueError, match="samples of lime_alignment must be at least 2, got 1"):
        LimeAlignment(samples=1)
    with pytest.raises(InvalidValueError, match="top of lime_jaccard must be at least 1, got 0"):
        LimeJaccard(top=0)
    with pytest.raises(UnsupportedError, match="'lime_jaccard' needs regions, but the data have none"):
        score(LimeJaccard(), Case(Scene(as_model(Linear(torch.ones(3, 2, 2))), Batch(torch.ones(1, 3, 2, 2), ("a",)))))


def test_a_model_that_only_one_of_both_removals_supports_is_refused():
    model = as_model(Sum())

    assert LimeAblation().unfit(model) == ""
    assert "layer masking" in LimeAblation(ablation=LayerMasking()).unfit(model)


def test_the_defaults_are_the_papers():
    metric = METRICS.build("lime_ablation")

    assert (metric.samples, metric.top, metric.unit.kernel, metric.unit.distance, metric.unit.ratio) == (
        *(512, 20),
        *(2.0, 200.0, 0.2),
    )
    assert "kept=0.5; kernel=exp(-d^2 / (2 0.25^2)) of cosine distance; regression=ridge(alpha=1" in metric.spec()


@pytest.fixture(scope="module")
def small():
    """Three images of 12 x 12 with regions, and a convolutional model with opinions."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU()),
        *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3)),
    ).eval()
    module[4].weight.data *= 40
    images, regions = torch.rand(3, 3, 12, 12), torch.zeros(3, 12, 12, dtype=torch.bool)
    regions[0, 2:7, 3:9] = regions[1, :4, :] = regions[2, 6:, 6:] = True
    model = as_model(module, (12, 12), "1")
    return Scene(model, Batch(images, tuple("abc"), labels=model(images).argmax(1), regions=regions))


def straight(scene, removal, segments, row, chosen):
    """LIME's weights of one image in plain numpy: primal normal equations with an intercept that is not penalised."""
    image = scene.batch.images[row : row + 1]
    keep = torch.from_numpy(np.stack([kept[segments] for kept in chosen])).float()
    with torch.inference_mode():
        state = removal.prepare(scene.model, image, scene.noise("x"))
        wide = None if state is None else state.expand(len(keep), -1, -1, -1)
        logits = removal.see(scene.model, image.expand(len(keep), -1, -1, -1), keep, wide).double()
    values = logits.softmax(1)[:, scene.targets[row]].numpy()
    distance = 1 - chosen.sum(1) / (np.sqrt(chosen.sum(1)) * np.sqrt(chosen.shape[1]))
    weight = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    design = np.hstack([np.ones((len(chosen), 1)), chosen])
    penalty = np.diag([0.0] + [1.0] * chosen.shape[1])
    normal = design.T @ (weight[:, None] * design) + penalty
    return np.linalg.solve(normal, design.T @ (weight * values))[1:], weight, values


@pytest.mark.parametrize("unit", [Patch(2), Slic(segments=40, compactness=1.0)])
@pytest.mark.parametrize("removal", [Fill("black"), LayerMasking()])
def test_all_three_in_plain_numpy(small, removal, unit):
    case, partition = Case(small), small.partition(unit)
    settings = {"removal": removal, "unit": unit, "samples": 64}
    found = [
        score(kind(**settings, **more), case).values
        for kind, more in ((LimeAlignment, {}), (LimeJaccard, {"top": 8}), (LimeAblation, {"top": 8}))
    ]
    for row in range(3):
        count = partition.counts[row]
        numbered = torch.arange(partition.width)[None]
        segments = partition.painted(row, numbered)[0].numpy()
        chosen = Perturbations(removal, unit, 64).chosen(case, row).double().numpy()
        weights, _, _ = straight(small, removal, segments, row, chosen)
        mask = small.batch.regions[row].numpy().astype(float)
        known = np.array([(mask - mask.mean())[segments == i].sum() for i in range(count)])
        top = np.isin(segments, np.argsort(-weights)[:8])
        with torch.inference_mode():
            left = small.batch.images[row] * torch.from_numpy(~top)  # the mean colour of these models is black
            right = small.model(left[None]).argmax(1) == small.batch.labels[row]

        assert chosen[0].all()
        cosine = weights @ known / np.linalg.norm(weights) / np.linalg.norm(known)
        assert found[0][row].item() == pytest.approx(cosine, abs=1e-5)
        assert found[1][row].item() == pytest.approx((mask * top).sum() / np.clip(mask + top, 0, 1).sum())
        assert found[2][row].item() == float(right)


def test_scikit_learns_ridge_has_the_same_weights(small):
    linear = pytest.importorskip("sklearn.linear_model")
    case = Case(small)
    segments = small.partition(Patch(2)).painted(0, torch.arange(36)[None])[0].numpy()
    chosen = Perturbations(Fill("black"), Patch(2), 64).chosen(case, 0)
    _, weight, values = straight(small, Fill("black"), segments, 0, chosen.double().numpy())
    ridge = linear.Ridge(alpha=1, fit_intercept=True).fit(chosen.double().numpy(), values, sample_weight=weight)

    assert regressed(chosen, torch.from_numpy(values)).tolist() == pytest.approx(ridge.coef_.tolist(), abs=1e-10)


def test_half_of_the_segments_are_kept_the_same_for_every_removal(small):
    case = Case(small)
    draws = [Perturbations(removal, Patch(2), 512).chosen(case, 1) for removal in (Fill("black"), LayerMasking())]

    assert torch.equal(*draws)
    assert draws[0].float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(draws[0], Perturbations(Fill("black"), Patch(2), 512).chosen(case, 2))


def test_the_three_share_their_looks(small):
    seen = []
    hook = small.model.module.register_forward_hook(lambda *parts: seen.append(len(parts[2])))
    settings = {"removal": Fill("grey"), "unit": Patch(2), "samples": 32}
    case = Case(small)
    try:
        for kind in (LimeAlignment, LimeJaccard, LimeAblation):
            score(kind(**settings), case)
    finally:
        hook.remove()

    assert sum(seen) <= 3 * 32 + 3  # and one ablation each
