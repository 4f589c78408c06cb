"""Explainers: maps known on paper, agreement with captum, and how one is called."""

import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from explainer_models import SIZE, noise, pictures, regions

from xai_bench.adapters import load_model
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain, lacks
from xai_bench.explainers.cam import GradCAM
from xai_bench.explainers.controls import Centre, Edges, Random, Region
from xai_bench.explainers.gradient import IntegratedGradients
from xai_bench.explainers.intrinsic import Energy, EnergyField
from xai_bench.oracles import IMAGE, Convolution, Linear, as_model
from xai_bench.types import Batch


@pytest.fixture(scope="module")
def cnn():
    torch.manual_seed(0)
    return load_model("ersm:test_resnet", pretrained=False, num_classes=8, input_size=64, device="cpu")


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return load_model("timm:test_vit", pretrained=False, num_classes=8, input_size=64, device="cpu")


def test_gradcam_by_hand():
    # channels are red and green; head weights 2 and -1 averaged over two cells: red cell 2/2, green cell -1/2 -> 0
    module = Convolution(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]), torch.tensor([[2.0, -1.0], [0.0, 0.0]]))
    image = torch.zeros(1, 3, 1, 2)
    image[0, 0, 0, 0] = image[0, 1, 0, 1] = 1.0
    model = as_model(module, (1, 2), "features")

    assert GradCAM()(model, image, torch.tensor([0])).tolist() == [[[1.0, 0.0]]]
    assert GradCAM(relu=False)(model, image, torch.tensor([0])).tolist() == [[[1.0, -0.5]]]


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:mobilenetv2_100"])
def test_gradcam_is_captums_with_relu_and_bilinear_upsampling(name):
    torch.manual_seed(0)
    model = load_model(name, pretrained=False, num_classes=5, input_size=64, device="cpu")
    targets = torch.tensor([0, 3, 4])
    layer = model.module.get_submodule(model.layer)
    with model.ready():
        cam = LayerGradCam(model, layer).attribute(pictures().requires_grad_(), target=targets, relu_attributions=True)
    expected = LayerAttribution.interpolate(cam, SIZE, "bilinear")[:, 0].detach()

    torch.testing.assert_close(GradCAM()(model, pictures(), targets), expected, rtol=1e-4, atol=1e-6)


def test_integrated_gradients_of_a_linear_model_are_weight_times_image():
    weights = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    maps = IntegratedGradients()(as_model(Linear(weights.clone())), IMAGE, torch.tensor([0]))

    torch.testing.assert_close(maps, (weights * IMAGE[0]).sum(0)[None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("baseline", ["black", "mean"])
def test_integrated_gradients_sum_to_the_difference_from_the_baseline(cnn, baseline):
    target = torch.tensor([2])
    image = pictures(1)
    colour = torch.tensor(cnn.mean if baseline == "mean" else (0.0, 0.0, 0.0)).view(1, 3, 1, 1).expand_as(image)
    with cnn.ready(), torch.no_grad():
        difference = (cnn(image) - cnn(colour))[0, 2].item()
    total = IntegratedGradients(steps=128, baseline=baseline)(cnn, image, target).sum().item()

    assert total == pytest.approx(difference, rel=0.03)


def masked_by(model, images):
    with model.ready(), torch.no_grad():
        return model.module.mask(model.module.backbone.forward_features(model.normalise(images)))


def test_energy_is_the_keep_map_of_the_layer_and_energy_field_minus_its_energy(cnn):
    out, targets = masked_by(cnn, pictures()), torch.tensor([0, 0, 0])

    for explainer, cells in ((Energy(), out.keep), (EnergyField(), -out.energy)):
        expected = torch.nn.functional.interpolate(cells[:, None], SIZE, mode="bilinear")[:, 0]
        torch.testing.assert_close(explainer(cnn, pictures(), targets), expected)


def ersm(size=64, **weights):
    torch.manual_seed(0)
    made = load_model("ersm:test_resnet", pretrained=False, num_classes=5, input_size=size, device="cpu", **weights)
    with torch.no_grad():
        made.energy_mask.weight.mul_(20)  # logits on both sides of 0
    return made


def cell_centres(maps):
    """The cells that a bilinear map was made from, where it is exactly theirs: 2 x 2 cells, at the corners."""
    return torch.stack([maps[:, 0, 0], maps[:, 0, -1], maps[:, -1, 0], maps[:, -1, -1]], 1)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_without_a_pairwise_price_the_field_ranks_tokens_exactly_as_keep(temperature):
    model = ersm(mode="stable", start=0.0, pairwise_weight=0, temperature=temperature, output_stride=32)
    targets = torch.zeros(6, dtype=torch.long)
    keep, field = (cell_centres(made(model, pictures(6), targets)) for made in (Energy(), EnergyField()))

    assert torch.equal(keep.argsort(1), field.argsort(1))
    assert len(set(map(tuple, keep.argsort(1).tolist()))) > 1  # images differ, so the order is no accident


def test_the_pairwise_price_alone_ranks_border_tokens_first_where_all_tokens_are_alike():
    model = ersm(96, unary_weight=0, pairwise_weight=1)  # 3 x 3 tokens: 3, 5 and 8 neighbours
    with torch.no_grad():
        model.module.backbone.layer4.register_forward_hook(lambda _m, _i, out: torch.ones_like(out))
    field = EnergyField()(model, torch.zeros(1, 3, 96, 96), torch.tensor([0]))[0]
    prices = torch.nn.functional.softplus(torch.tensor([3.0, 5.0, 8.0]))

    torch.testing.assert_close(-field[[0, 0, 48], [0, 48, 48]], prices, atol=0.1, rtol=0)
    assert field[0, 0] > field[0, 48] > field[48, 48]


@pytest.mark.parametrize("name", ["energy", "energy_field"])
def test_the_mask_of_a_model_without_one_is_refused_by_name(vit, name):
    explainer = EXPLAINERS[name]()
    sentence = "'timm:test_vit' has no energy mask; 'energy' and 'energy_field' read one, so they need an 'ersm:' model"

    assert sentence in explainer.unfit(vit)
    with pytest.raises(UnsupportedError, match=sentence):
        explainer(vit, pictures(), torch.tensor([0, 0, 0]))


def test_centre_is_highest_in_the_middle_and_symmetrical(cnn):
    maps = Centre()(cnn, torch.zeros(1, 3, 5, 7), torch.tensor([0]))

    assert maps.flatten().argmax().item() == 2 * 7 + 3
    assert maps.max().item() == 1
    assert maps.min().item() == 0
    assert torch.equal(maps, maps.flip(1))
    assert torch.equal(maps, maps.flip(2))


def test_edges_are_high_on_an_edge_and_zero_on_flat_ground(cnn):
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1.0
    maps = Edges()(cnn, image, torch.tensor([0]))

    assert maps[0, 4, 3:5].min() > 0.2
    assert maps[0, 4, [0, 1, 6, 7]].tolist() == [0.0] * 4


def test_random_is_uniform_and_differs_from_sample_to_sample(cnn):
    maps = Random()(cnn, torch.zeros(2, 3, 64, 64), torch.tensor([0, 0]), noise(2))

    assert 0 <= maps.min() < 0.01
    assert 0.99 < maps.max() < 1
    assert not torch.equal(maps[0], maps[1])


def objects():
    """One cell of four, none, all."""
    cells = torch.zeros(3, 2, 2, dtype=torch.bool)
    cells[0, 0, 1] = cells[2] = True
    return cells


def test_region_is_the_object_and_no_map_where_there_is_none(cnn):
    images, targets = torch.zeros(3, 3, 2, 2), torch.tensor([0, 0, 0])
    maps = explain(Region(), cnn, images, targets, noise(3), objects())

    assert maps[0].tolist() == [[0, 1], [0, 0]]
    assert maps[1].isnan().all()
    assert maps[2].tolist() == [[1, 1], [1, 1]]


def test_region_says_of_which_images_it_has_no_map():
    images, ids = torch.zeros(3, 3, 2, 2), ("a", "b", "c")

    assert lacks(Region(), Batch(images, ids, regions=objects())) == ("", "no region", "")
    assert lacks(Region(), Batch(images, ids)) == ("no region",) * 3
    assert lacks(Random(), Batch(images, ids)) == lacks(lambda *_: images, Batch(images, ids)) == ("",) * 3


def test_a_plain_function_may_ask_for_the_objects(cnn):
    def outside(model, images, targets, regions):
        return 1.0 - regions.float()

    found = explain(outside, cnn, pictures(), torch.tensor([0, 0, 0]), noise(3), regions())

    assert torch.equal(found, 1.0 - regions().float())


def test_a_plain_function_is_an_explainer_and_may_ask_for_noise(cnn):
    def plain(model, images, targets):
        return images.mean(1)

    def noisy(model, images, targets, noise):
        return noise.uniform(*images.shape[2:])

    targets = torch.tensor([0, 0, 0])

    assert torch.equal(explain(plain, cnn, pictures(), targets, noise(3)), pictures().mean(1))
    assert torch.equal(explain(noisy, cnn, pictures(), targets, noise(3)), noise(3).uniform(*SIZE))


@pytest.mark.parametrize("wrong", [torch.zeros(3, 8, 8), torch.zeros(3, 1, 64, 64), None])
def test_maps_of_another_shape_are_refused(cnn, wrong):
    def broken(model, images, targets):
        return wrong

    with pytest.raises(InvalidValueError, match=r"explainer 'broken' must return a tensor of shape \(3, 64, 64\), got"):
        explain(broken, cnn, pictures(), torch.tensor([0, 0, 0]), noise(3))


def test_hooks_are_gone_after_an_error_in_the_middle(cnn):
    def fails(_module, _inputs):
        raise RuntimeError("in the middle")

    flags = [parameter.requires_grad for parameter in cnn.module.parameters()]
    handle = cnn.module.head.register_forward_pre_hook(fails)
    try:
        with pytest.raises(RuntimeError, match="in the middle"):
            explain(GradCAM(), cnn, pictures(), torch.tensor([0, 0, 0]), noise(3))
    finally:
        handle.remove()

    assert not any(module._forward_hooks for module in cnn.module.modules())
    assert [parameter.requires_grad for parameter in cnn.module.parameters()] == flags
