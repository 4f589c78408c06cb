"""Explainers that alter the image: on paper, as straight lines, against captum, and with any removal."""

from itertools import permutations

import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import FeatureAblation as CaptumAblation
from captum.attr import LimeBase, ShapleyValues
from captum.attr import Occlusion as CaptumOcclusion
from explainer_models import mirrored_cnn
from torch import Tensor, nn
from torch.nn import functional as F

from xai_bench.adapters import load_model
from xai_bench.engine import Cells, Engine, Patch, Pixel, Quickshift, Slic, lime
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.explainers.asked import asked
from xai_bench.explainers.perturbation.altered import chunks, stream
from xai_bench.explainers.perturbation.extremal import Extremal
from xai_bench.explainers.perturbation.feature_ablation import FeatureAblation
from xai_bench.explainers.perturbation.kernel_shap import KernelSHAP, kernel
from xai_bench.explainers.perturbation.lime import LIME
from xai_bench.explainers.perturbation.occlusion import Occlusion
from xai_bench.explainers.perturbation.rise import RISE
from xai_bench.explainers.perturbation.smooth_masks import excess, grid, smooth
from xai_bench.explainers.perturbation.smooth_masks import kernel as shine
from xai_bench.oracles import IMAGE, PIXELS, Linear, as_model
from xai_bench.removal import Blur, Fill, LayerMasking, TokenDropping, UniformNoise
from xai_bench.seeding import Noise

BLACK = {"removal": Fill("black"), "output": "logit"}
FIRST = torch.tensor([0])
BOTH = pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_vit"])


def noise(count=1):
    return Noise(0, "explain", tuple(f"s{i}" for i in range(count)))


def pictures(count=2, size=64):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def made(name):
    torch.manual_seed(0)
    model = load_model(name, pretrained=False, num_classes=5, input_size=64, device="cpu")
    model.module.eval().requires_grad_(requires_grad=False)
    return model


@pytest.fixture(scope="module")
def models():
    return {name: made(name) for name in ("timm:test_resnet", "timm:test_vit")}


@pytest.fixture
def model(models, name):
    return models[name]


def linear(side=4):
    """A linear model of an image, and what each of its pixels contributes over black."""
    weights = torch.randn(3, side, side, generator=torch.Generator().manual_seed(1))
    image = pictures(1, side)
    return as_model(Linear(weights), (side, side)), image, (weights * image[0]).sum(0)


def cells(values, side=2):
    """Each pixel's sum over its cell."""
    return (F.avg_pool2d(values[None], side) * side**2).repeat_interleave(side, 1).repeat_interleave(side, 2)[0]


def close(found, expected, rel=1e-4):
    scale = expected.abs().max()

    torch.testing.assert_close(found / scale, (expected / scale).to(found), rtol=0, atol=rel)


class TestOnALinearModel:
    def test_occlusion_by_single_pixels_is_weight_times_pixel(self):
        model, image, expected = linear()

        close(Occlusion(1, 1, **BLACK)(model, image, FIRST, noise())[0], expected)

    def test_occlusion_is_the_mean_over_the_windows_that_cover_a_pixel(self):
        model, image, parts = linear()
        sums = F.avg_pool2d(parts[None], 2, 1)[0] * 4  # of each of 3 x 3 windows
        expected = F.conv_transpose2d(sums[None, None], torch.ones(1, 1, 2, 2))[0, 0]
        cover = F.conv_transpose2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))[0, 0]

        close(Occlusion(2, 1, **BLACK)(model, image, FIRST, noise())[0], expected / cover)

    def test_feature_ablation_and_kernel_shap_are_what_each_unit_contributes(self):
        model, image, parts = linear()

        close(FeatureAblation(Patch(2), **BLACK)(model, image, FIRST, noise())[0], cells(parts))
        close(KernelSHAP(Patch(2), **BLACK)(model, image, FIRST, noise())[0], cells(parts))

    def test_so_are_sampled_shapley_values_of_many_units(self):
        model, image, parts = linear()  # 16 pixels have 65536 coalitions

        close(KernelSHAP(Pixel(), samples=64, **BLACK)(model, image, FIRST, noise())[0], parts)

    def test_lime_comes_near_what_each_unit_contributes(self):
        model, image, parts = linear()

        close(LIME(Patch(2), samples=1000, **BLACK)(model, image, FIRST, noise())[0], cells(parts), rel=0.03)

    def test_rise_is_known_in_expectation(self):
        """E[f(xM) M_j] / p = sum_i f_i (p + (1 - p) overlap_ij), overlap = sum over cells of both pixels' shares."""
        model, image, parts = linear(6)
        enlarged = F.interpolate(torch.eye(4).view(1, 4, 2, 2), (9, 9), mode="bilinear")[0]  # 2 x 2 cells of 3 pixels
        cut = torch.stack([enlarged[:, y : y + 6, x : x + 6].flatten(1) for y in range(3) for x in range(3)])
        overlap = torch.einsum("kci,kcj->ij", cut, cut) / len(cut)
        expected = (parts.flatten() @ (0.3 + 0.7 * overlap)).view(6, 6)
        found = RISE(20000, cells=2, p=0.3, **BLACK)(model, image, FIRST, noise())[0]

        close(found, expected, rel=0.05)

    @pytest.mark.parametrize(
        "explainer", [Occlusion(2, 1), FeatureAblation(Patch(2)), KernelSHAP(Patch(2)), LIME(Patch(2))]
    )
    def test_what_is_never_visible_to_the_model_has_no_effect(self, explainer):
        model = as_model(Linear(torch.zeros(3, 2, 2)))

        assert not explain(explainer, model, IMAGE, torch.tensor([1]), noise()).diff().any()


class Product(nn.Module):
    """Logits (sum of the grey pixels times the product of the first two, 0): units that act together."""

    def forward(self, images):
        grey = images.mean(1).flatten(1)
        total = grey.sum(1) * grey[:, 0] * grey[:, 1]
        return torch.stack([total, torch.zeros_like(total)], 1)


def test_kernel_shap_gives_the_shapley_values_of_the_definition():
    grey, expected = PIXELS.flatten(), torch.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        visible, before = torch.zeros(4), 0.0
        for unit in order:
            visible[unit] = grey[unit]
            after = (visible.sum() * visible[0] * visible[1]).item()
            expected[unit] += (after - before) / len(orders)
            before = after

    close(KernelSHAP(Pixel(), samples=16, **BLACK)(as_model(Product()), IMAGE, FIRST, noise())[0].flatten(), expected)


def test_the_kernel_of_shap_by_hand():
    assert kernel(torch.tensor([1, 2, 3]), 4).tolist() == pytest.approx([3 / 12, 3 / 24, 3 / 12])


def test_sampled_coalitions_come_with_their_complements_and_prefer_the_smallest_and_largest():
    chosen, weights = KernelSHAP(samples=4002).coalitions(40, noise(), 0)
    sizes = chosen.sum(1)[1:-1]

    assert chosen.shape == (4002, 40)
    assert (sizes[0], sizes[1]) == (40 - sizes[1], 40 - sizes[0])
    assert weights.tolist() == [1.0] * 4000
    expected = 1 / (torch.arange(1, 40) * torch.arange(39, 0, -1))
    assert (sizes == 1).float().mean().item() == pytest.approx((expected / expected.sum())[0].item(), abs=0.02)
    assert not chosen[0].any()
    assert chosen[-1].all()


@BOTH
def test_shapley_values_add_up_to_the_change_whatever_the_samples(model):
    explainer = KernelSHAP(Patch(8), samples=40)  # 64 units: not determined
    maps, targets = explainer(model, pictures(), torch.tensor([1, 2]), noise(2)), torch.tensor([[1], [2]])
    blank = Fill().prepare(model, pictures(), noise(2)).expand_as(pictures())
    change = (model(pictures()) - model(blank)).gather(1, targets)[:, 0]

    close(F.avg_pool2d(maps[:, None], 8).sum((1, 2, 3)), change)


@BOTH
class TestAgainstCaptum:
    """Of probabilities at the mean colour, on two images of which each has its own target."""

    targets = torch.tensor([1, 3])

    def probability(self, model):
        return lambda images: model(images).softmax(1)

    def blank(self, model):
        return Fill().prepare(model, pictures(), noise(2)).expand_as(pictures())

    @pytest.mark.parametrize(("side", "stride"), [(32, 16), (24, 16), (20, 20)])
    def test_occlusion(self, model, side, stride):
        theirs = CaptumOcclusion(self.probability(model)).attribute(
            pictures(),
            (3, side, side),
            strides=(3, stride, stride),
            baselines=self.blank(model),
            target=self.targets,
        )

        close(explain(Occlusion(side, stride), model, pictures(), self.targets, noise(2)), theirs[:, 0])

    def test_feature_ablation_of_superpixels(self, model):
        labels = Slic(12).split(pictures()).labels
        theirs = [
            CaptumAblation(self.probability(model)).attribute(
                pictures()[[row]],
                baselines=self.blank(model)[[row]],
                target=self.targets[row].item(),
                feature_mask=labels[row][None, None],
            )[0, 0]
            for row in range(2)
        ]

        found = explain(FeatureAblation(Slic(12)), model, pictures(), self.targets, noise(2))
        close(found, torch.stack(theirs))

    def test_kernel_shap_of_all_coalitions(self, model):
        theirs = ShapleyValues(self.probability(model)).attribute(
            pictures(),
            baselines=self.blank(model),
            target=self.targets,
            feature_mask=Cells(2).split(pictures()).labels[:1, None],
        )

        found = explain(KernelSHAP(Cells(2), output="probability"), model, pictures(), self.targets, noise(2))
        close(found, theirs[:, 0])

    def test_lime_of_the_same_samples(self, model):
        explainer = LIME(Patch(16), samples=48)
        chosen = lime.drawn(stream(noise(), "segments", 0), 48, 16).float()
        image, blank = pictures(1), self.blank(model)[:1]

        def drawn(_image, **_settings):
            yield from chosen[:, None]

        def visible(sample, image, **_settings):
            return blank + Patch(16).split(image).painted(0, sample)[:, None] * (image - blank)

        def near(_image, _altered, sample, **_settings):
            return (-((1 - sample.mean().double().sqrt()) ** 2) / (2 * 0.25**2)).exp()

        base = LimeBase(self.probability(model), SkLearnRidge(alpha=1.0), near, drawn, True, visible, None)
        theirs = base.attribute(image, target=1, n_samples=48)
        expected = theirs.view(4, 4).repeat_interleave(16, 0).repeat_interleave(16, 1)

        close(explain(explainer, model, image, torch.tensor([1]), noise())[0], expected)


def rise_masks(explainer, grids, shifts, size):
    """RISE's masks as the paper writes them: enlarge, cut."""
    cell = -(-size // explainer.cells)
    whole = F.interpolate(grids[:, None], [(explainer.cells + 1) * cell] * 2, mode="bilinear")
    begins = (shifts * cell).long().tolist()
    return torch.stack([mask[0, y : y + size, x : x + size] for mask, (y, x) in zip(whole, begins, strict=True)])


@BOTH
def test_rise_is_its_equation_with_the_same_masks(model):
    explainer, image = RISE(50, p=0.4), pictures(1)
    grids = (stream(noise(), "cells").uniform(50, 7, 7)[0] < 0.4).float()
    keep = rise_masks(explainer, grids, stream(noise(), "shifts").uniform(50, 2)[0], 64)
    mean = torch.tensor(model.mean).view(3, 1, 1)
    scores = model(mean + keep[:, None] * (image - mean)).softmax(1)[:, 2]
    expected = (scores[:, None, None] * keep).sum(0) / (50 * 0.4)

    close(explain(explainer, model, image, torch.tensor([2]), noise())[0], expected)


def test_where_a_removal_knows_only_0_and_1_rise_keeps_the_cells_edges():
    explainer = RISE(p=0.2, removal=LayerMasking())
    crops = explainer._crops(64)
    grids, shifts = noise().uniform(2000, 7, 7)[0] < 0.2, noise().uniform(2000, 2)[0]
    keep = explainer.masks(grids, shifts, crops, crops)

    assert set(keep.unique().tolist()) == {0.0, 1.0}
    assert keep.mean(0).sub(0.2).abs().max() < 0.05


def test_protocols_of_rise_are_those_published():
    assert EXPLAINERS.build("rise@paper") == RISE(8000, 7, 0.5)
    assert EXPLAINERS.build("rise@repository") == RISE(5000, 10, 0.1)


class Then(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, logits):
        return self.function(logits)


class TestExtremal:
    """White image on black ground of 16 x 16 pixels, of which the model reads one corner."""

    explainer = Extremal((0.25,), iterations=60, cells=8, sigma=0.06, **BLACK)

    @pytest.fixture
    def reader(self):
        weights = torch.zeros(3, 16, 16)
        weights[:, :8, 8:] = 0.05
        return as_model(Linear(weights), (16, 16))

    def test_finds_the_corner_that_the_model_reads(self, reader):
        found = explain(self.explainer, reader, torch.ones(1, 3, 16, 16), FIRST, noise())[0]

        assert found.mean().item() == pytest.approx(0.25, abs=0.04)
        assert found[:8, 8:].mean() > 0.9

    def test_adds_up_the_masks_of_its_areas(self, reader):
        single = [Extremal((area,), 20, 8, 0.06, **BLACK) for area in (0.1, 0.25)]
        image = torch.ones(1, 3, 16, 16)
        found = [explain(each, reader, image, FIRST, noise()) for each in single]
        both = explain(Extremal((0.1, 0.25), 20, 8, 0.06, **BLACK), reader, image, FIRST, noise())

        close(both, found[0] + found[1], rel=1e-3)

    def test_is_constant_where_the_output_does_not_depend_on_the_mask(self, reader):
        found = explain(self.explainer, reader, torch.zeros(1, 3, 16, 16), FIRST, noise())[0]

        assert found.unique().tolist() == [0.25]

    @pytest.mark.parametrize("before", [Tensor.detach, lambda logits: F.one_hot(logits.argmax(1), 2).float()])
    def test_refuses_a_model_that_no_gradient_passes(self, reader, before):
        module = reader.module
        stopped = as_model(nn.Sequential(module, Then(before)), (16, 16))

        with pytest.raises(UnsupportedError, match="no gradient of model 'sequential' reaches the masks of extremal"):
            explain(self.explainer, stopped, torch.ones(1, 3, 16, 16), FIRST, noise())

    @pytest.mark.parametrize("scale", [1e-6])
    def test_the_size_of_the_output_does_not_matter(self, reader, scale):
        scaled = as_model(nn.Sequential(reader.module, Then(lambda logits: logits * scale)), (16, 16))
        image = torch.ones(1, 3, 16, 16)

        close(*(explain(self.explainer, each, image, FIRST, noise()) for each in (scaled, reader)))

    @pytest.mark.parametrize("iterations", [5, 20])
    def test_rounding_does_not_choose_the_cells(self, iterations):
        model, explainer, targets = mirrored_cnn(), Extremal(iterations=iterations), torch.tensor([0, 1])
        straight, flipped = (
            explain(explainer, model, each, targets, noise(2)) for each in (pictures(), pictures().flip(3))
        )

        close(flipped.flip(2), straight)

    def test_the_distance_from_an_area_by_hand(self):
        keep = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]], [[1.0, 1.0], [0.0, 0.0]]])

        assert excess(keep, torch.tensor([0.25, 0.25, 0.25])).tolist() == [0.0, 0.25, 0.25]

    def test_masks_are_the_smooth_maximum_of_the_definition(self):
        parameters, weights = torch.rand(1, 8, 9, generator=torch.Generator().manual_seed(0)), shine(1.0)
        expected = torch.zeros(4, 5)  # two cells beyond each edge belong to the neighbours alone
        for y in range(4):
            for x in range(5):
                values = (parameters[0, y : y + 5, x : x + 5] * weights).flatten()
                powers = (values * 20).exp()
                expected[y, x] = (values * powers).sum() / powers.sum()

        close(smooth(parameters, weights)[0], expected)

    def test_equal_parameters_give_equal_cells_at_the_edges_too(self):
        cells = smooth(torch.full((1, *grid((64, 64), 8, 3)), 0.5), shine(1.5))

        assert cells.shape == (1, 8, 8)
        assert cells.std() < 1e-6

    @pytest.mark.parametrize("removal", [LayerMasking(), TokenDropping()])
    def test_refuses_a_removal_without_a_gradient_by_name(self, removal):
        with pytest.raises(InvalidValueError, match=f"soft masks, such as blur or fill, got '{removal.card.name}'"):
            Extremal(removal=removal)


QUICK = {
    "occlusion": {"side": 32},
    "feature_ablation": {"unit": Patch(16)},
    "rise": {"samples": 24},
    "lime": {"unit": Patch(16), "samples": 24},
    "kernel_shap": {"unit": Patch(16), "samples": 24},
    "extremal": {"areas": (0.2,), "iterations": 4},
}


def quick(name, **given):
    return EXPLAINERS[name](**QUICK[name] | given)


@pytest.mark.parametrize("explainer", [name for name in QUICK if name != "extremal"])
@pytest.mark.parametrize(
    ("name", "removal"),
    [
        ("timm:test_resnet", LayerMasking()),
        ("timm:test_vit", TokenDropping()),
        ("timm:test_resnet", Blur()),
        ("timm:test_vit", UniformNoise()),
    ],
)
def test_any_removal_is_one_argument(model, explainer, removal):
    targets = torch.tensor([0, 1])
    maps = explain(quick(explainer, removal=removal), model, pictures(), targets, noise(2))

    assert maps.isfinite().all()
    assert maps.flatten(1).std(1).min() > 0
    assert not torch.equal(maps, explain(quick(explainer), model, pictures(), targets, noise(2)))


@pytest.mark.parametrize("name", ["timm:test_resnet"])
def test_lime_with_layer_masking_regresses_what_the_removal_shows(model):
    explainer, image = LIME(Patch(16), 24, LayerMasking()), pictures(1)
    chosen = lime.drawn(stream(noise(), "segments", 0), 24, 16)
    keep = Patch(16).split(image).pixels(0, chosen).float()
    scores = LayerMasking().see(model, image.expand(24, -1, -1, -1), keep, None).softmax(1)[:, 3].double()
    weights = lime.regressed(chosen, scores).view(4, 4).repeat_interleave(16, 0).repeat_interleave(16, 1)

    close(explain(explainer, model, image, torch.tensor([3]), noise())[0], weights)


@pytest.mark.parametrize("explainer", [name for name in QUICK if name != "extremal"])
@pytest.mark.parametrize("name", ["timm:test_vit"])
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_a_contrast_is_the_difference_of_two_classes(model, explainer, output):
    made, targets = quick(explainer, output=output), torch.tensor([0, 1])
    weights = torch.tensor([[1.0, 0, 0, -1, 0], [0, 1.0, 0, 0, -1]])
    view, whose = asked(model, weights)
    one, other = (explain(made, model, pictures(), each, noise(2)) for each in (targets, targets + 3))

    close(explain(made, view, pictures(), whose, noise(2)), one - other, rel=1e-3)


@pytest.mark.parametrize("explainer", QUICK)
@pytest.mark.parametrize("name", ["timm:test_vit"])
def test_no_more_images_are_looked_at_at_once_than_the_engine_allows(model, explainer, monkeypatch):
    seen = []
    monkeypatch.setattr(Engine, "fit", lambda self, _size: setattr(self, "chunk", 5))
    hook = model.module.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    try:
        explain(quick(explainer), model, pictures(), torch.tensor([0, 1]), noise(2))
    finally:
        hook.remove()

    counts = {"occlusion": 10, "feature_ablation": 17, "extremal": 4}
    assert max(seen) <= 5
    assert sum(seen) == 2 * counts.get(explainer, 24)


def test_of_patches_feature_ablation_of_a_flipped_image_is_flipped():
    model, explainer, targets = mirrored_cnn(), FeatureAblation(Patch(16)), torch.tensor([0, 1])
    straight, flipped = (
        explain(explainer, model, each, targets, noise(2)) for each in (pictures(), pictures().flip(3))
    )

    assert straight.flatten(1).std(1).min() > 0
    close(flipped.flip(2), straight)


def test_chunks_cross_the_border_between_images():
    assert list(chunks([3, 0, 4], 2)) == [[(0, 0, 2)], [(0, 2, 3), (2, 0, 1)], [(2, 1, 3)], [(2, 3, 4)]]


@pytest.mark.parametrize("explainer", [FeatureAblation, LIME, KernelSHAP])
@pytest.mark.parametrize("name", ["timm:test_vit"])
def test_images_may_have_unequal_numbers_of_units(model, explainer):
    images = torch.cat([torch.zeros(1, 3, 64, 64), pictures(1)])
    counts = Quickshift().split(images).counts
    found = explain(explainer(Quickshift()), model, images, torch.tensor([0, 1]), noise(2))

    assert counts[0] < counts[1]
    assert tuple(each.unique().numel() for each in found) == counts


@pytest.mark.parametrize("explainer", QUICK)
@pytest.mark.parametrize("name", ["timm:test_resnet"])
def test_images_may_have_another_size_and_other_proportions(model, explainer):
    image = pictures(1, 80)[:, :, :48]

    assert explain(quick(explainer), model, image, FIRST, noise()).shape == (1, 48, 80)


@pytest.mark.parametrize(("name", "explainer"), [("timm:test_vit", "lime"), ("timm:test_vit", "rise")])
def test_a_model_that_the_removal_does_not_cover_is_named(model, explainer):
    assert "layer masking" in quick(explainer, removal=LayerMasking()).unfit(model)
    assert quick(explainer).unfit(model) == ""


@pytest.mark.parametrize(
    ("explainer", "wrong", "sentence"),
    [
        (Occlusion, {"side": 8, "stride": 9}, "or pixels stay between windows, got stride=9 and side=8"),
        (RISE, {"samples": 0}, "got samples=0, cells=7, p=0.5"),
        (RISE, {"p": 0.0}, "p above 0 and at most 1, got samples=500, cells=7, p=0"),
        (RISE, {"cells": 10**9}, "cells of 1 to 224 and p above 0 and at most 1, got samples=500, cells=1000000000"),
        (Extremal, {"cells": 10**9}, "cells of 1 to 224 and sigma .*, got iterations=100, cells=1000000000"),
        (Extremal, {"sigma": float("inf")}, "sigma above 0 and at most 16 cells, got .*sigma=inf"),
        (LIME, {"samples": 1}, "samples of explainer lime must be at least 2, got 1"),
        (KernelSHAP, {"samples": 3}, "must be at least 4, of which two are of no unit and of all, got 3"),
        (Extremal, {"areas": (0.1, 1.0)}, r"shares between 0 and 1, got \(0.1, 1.0\)"),
        (Extremal, {"areas": ()}, r"shares between 0 and 1, got \(\)"),
        (Extremal, {"iterations": 0}, "got iterations=0, cells=28, sigma=0.09375"),
    ],
)
def test_what_makes_no_sense_is_refused(explainer, wrong, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        explainer(**wrong)


def test_tables_name_removals_and_units():
    built = EXPLAINERS.build({"name": "lime", "removal": "layer_masking", "unit": {"name": "quickshift", "kernel": 2}})

    assert isinstance(built.removal, LayerMasking)
    assert built.unit.kernel == 2
