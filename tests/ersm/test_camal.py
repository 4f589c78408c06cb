"""CAMAL's term on grids of two by two, whose numbers are known on paper, and through small networks."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.ersm import ATTENTION_LOSSES, AttentionLoss, CamalLoss, attention
from xai_bench.ersm.camal import object_share

UPPER_LEFT = torch.tensor([[[True, False], [False, False]]])
MAP = torch.tensor([[[2.0, 4], [1, 0]]])  # over its maximum: 1/2, 1, 1/4, 0; the object has the first cell
INSIDE = {"linear": 0.5, "squared": 0.25, "bce": -math.log(0.5), "energy": 1 - 2 / 7}
OUTSIDE = {
    "linear": 1.25 / 3,
    "squared": (1 + 1 / 16) / 3,
    "bce": -(math.log(0.001) + math.log(0.75) + math.log(0.999)) / 3,
    "energy": 5 / 7,
}


def loss_of(loss: AttentionLoss, maps: Tensor = MAP, regions: Tensor = UPPER_LEFT) -> float:
    return loss(maps, regions).item()


@pytest.mark.parametrize("form", INSIDE)
def test_both_terms_on_paper(form):
    inside, outside = CamalLoss(form=form, outside=0), CamalLoss(form=form, inside=0)

    assert loss_of(inside) == pytest.approx(INSIDE[form], rel=1e-5)
    assert loss_of(outside) == pytest.approx(OUTSIDE[form], rel=1e-4)
    assert loss_of(CamalLoss(2, 3, 5, form=form)) == pytest.approx(2 * (3 * INSIDE[form] + 5 * OUTSIDE[form]), rel=1e-4)


@pytest.mark.parametrize(("norm", "first"), [("max", 4 / 8), ("minmax", 2 / 6), ("none", 4)])
def test_a_map_is_normalised_as_asked(norm, first):
    maps = torch.tensor([[[4.0, 8], [6, 2]]])

    assert loss_of(CamalLoss(outside=0, norm=norm), maps) == pytest.approx(1 - first, rel=1e-5)


def test_a_cell_that_the_object_covers_in_part_counts_in_part():
    regions = torch.zeros(1, 4, 4, dtype=torch.bool)
    regions[0, :2, :3] = True  # all of the first cell, half of the second
    inside = (0.5 + 0.5 * 0) / 1.5
    outside = (0.5 * 1 + 0.25 + 0) / 2.5

    assert loss_of(CamalLoss(), MAP, regions) == pytest.approx(inside + outside, rel=1e-5)


def straight(loss: CamalLoss, maps: Tensor, regions: Tensor) -> float:
    """The definition in loops over images, cells and pixels, in Python's own numbers."""
    sums, count = 0.0, 0
    for values, region in zip(maps.double().tolist(), regions.tolist(), strict=True):
        h, w, high, wide = len(values), len(values[0]), len(region) // len(values), len(region[0]) // len(values[0])
        if not any(map(any, region)):
            continue
        flat = [value for row in values for value in row]
        low = min(flat) if loss.norm == "minmax" else 0.0
        over = 1.0 if loss.norm == "none" else max(flat) - low + loss.eps
        within = about = weight_in = weight_out = total = hit = 0.0
        for y in range(h):
            for x in range(w):
                covered = sum(region[y * high + i][x * wide + j] for i in range(high) for j in range(wide))
                m, a = covered / (high * wide), (values[y][x] - low) / over
                held = min(max(a, 0.001), 0.999)
                missing, beside = {
                    "linear": (1 - a, a),
                    "squared": ((1 - a) ** 2, a * a),
                    "bce": (-math.log(held), -math.log(1 - held)),
                    "energy": (0.0, 0.0),
                }[loss.form]
                within, about = within + m * missing, about + (1 - m) * beside
                weight_in, weight_out, total, hit = weight_in + m, weight_out + 1 - m, total + a, hit + m * a
        inner, outer = within / (weight_in + loss.eps), about / (weight_out + loss.eps)
        if loss.form == "energy":
            inner = outer = 1 - hit / total
        sums, count = sums + loss.inside * inner + loss.outside * outer, count + 1
    return loss.weight * sums / max(count, 1)


@pytest.mark.parametrize("norm", ["max", "minmax", "none"])
@pytest.mark.parametrize("form", ["linear", "squared", "bce", "energy"])
def test_every_form_is_the_definition_cell_by_cell(form, norm):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(5, 3, 4, generator=generator) * 3
    regions = torch.rand(5, 6, 12, generator=generator) > 0.6
    regions[2] = False
    loss = CamalLoss(0.7, 1.3, 0.4, form=form, norm=norm)

    assert loss_of(loss, maps, regions) == pytest.approx(straight(loss, maps, regions), rel=1e-5)


EDGES: Mapping[str, tuple[Tensor, Tensor]] = {
    "no object": (MAP, torch.zeros(1, 2, 2, dtype=torch.bool)),
    "object everywhere": (MAP, torch.ones(1, 2, 2, dtype=torch.bool)),
    "no attention": (torch.zeros(1, 2, 2), UPPER_LEFT),
}


@pytest.mark.parametrize("form", INSIDE)
def test_an_image_without_an_object_does_not_count(form):
    maps, regions = torch.cat([MAP, 3 * MAP.flip(1)]), torch.cat([UPPER_LEFT, EDGES["no object"][1]])
    loss = CamalLoss(form=form)

    assert loss_of(loss, maps, regions) == loss_of(loss)
    assert loss_of(loss, *EDGES["no object"]) == 0


@pytest.mark.parametrize("form", INSIDE)
def test_nothing_is_beside_an_object_that_fills_the_image(form):
    assert loss_of(CamalLoss(form=form, inside=0), *EDGES["object everywhere"]) == 0


@pytest.mark.parametrize("norm", ["max", "minmax", "none"])
@pytest.mark.parametrize("form", INSIDE)
def test_where_there_is_no_attention_all_of_it_is_missing(form, norm):
    assert loss_of(CamalLoss(form=form, norm=norm, outside=0), *EDGES["no attention"]) == 1


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", ATTENTION_LOSSES)
def test_no_edge_gives_a_gradient_that_is_no_number(name, edge):
    maps, regions = EDGES[edge]
    maps = maps.clone().requires_grad_()
    loss = ATTENTION_LOSSES.build(name)(maps, regions)
    loss.backward()

    assert loss.isfinite()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("energy", 1 - 2 / 7),
        ("l1", (0.5 + 1 + 0.25 + 0) / 4),
        ("ppce", -math.log(0.5)),
        ("rrr", 1 + 1 / 16),
    ],
)
def test_the_neighbours_on_paper(name, expected):
    assert loss_of(ATTENTION_LOSSES.build({"name": name, "weight": 3})) == pytest.approx(3 * expected, rel=1e-6)


def test_the_neighbours_meet_the_object_pixel_by_pixel():
    """Bilinear, cell centres aligned: 0, 1 become 0, 1/4, 3/4, 1."""
    maps = torch.tensor([[[0.0, 1], [0, 1]]])
    regions = torch.tensor([[[False, True, True, True]] * 4])

    assert loss_of(ATTENTION_LOSSES.build("energy"), maps, regions) == pytest.approx(0)
    assert loss_of(ATTENTION_LOSSES.build("l1"), maps, regions) == pytest.approx((0.75 + 0.25) / 4)
    assert loss_of(ATTENTION_LOSSES.build("rrr"), maps, ~regions) == pytest.approx(4 * (1 / 16 + 9 / 16 + 1))


def test_ppce_is_torchs_cross_entropy_on_the_object():
    generator = torch.Generator().manual_seed(3)
    maps, regions = torch.rand(1, 6, 6, generator=generator), torch.rand(1, 6, 6, generator=generator) > 0.5
    lit = (maps / maps.max())[regions]
    expected = nn.functional.binary_cross_entropy(lit, torch.ones_like(lit)).item()

    assert loss_of(ATTENTION_LOSSES.build("ppce"), maps, regions) == pytest.approx(expected, rel=1e-6)


def test_next_to_no_attention_is_no_divisor():
    assert loss_of(ATTENTION_LOSSES.build("energy"), torch.full((1, 2, 2), 1e-9)) == pytest.approx(1 - 1e-9)
    assert loss_of(ATTENTION_LOSSES.build("ppce"), torch.tensor([[[0.0, 1], [1, 1]]])) == 100  # torch's lowest log


def test_attention_on_the_object_alone_costs_nothing():
    maps = torch.tensor([[[5.0, 0], [0, 0]]])

    for name in ATTENTION_LOSSES:
        assert loss_of(ATTENTION_LOSSES.build(name), maps) == pytest.approx(0, abs=1e-5), name


def small_net(classes: int = 3) -> nn.Sequential:
    """A convolution, a smooth nonlinearity, the mean over space and a linear head."""
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, classes),
    )
    return nn.Sequential(*layers).double()


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    regions = torch.zeros(2, 8, 8, dtype=torch.bool)
    regions[0, :3, 2:7], regions[1, 4:, 4:] = True, True
    return inputs, torch.tensor([2, 0]), regions


def test_grad_cam_of_a_mean_and_a_linear_head_is_the_cam_over_the_number_of_cells():
    net, (inputs, targets, _) = small_net(), pictures()
    by_gradient, by_weights = (attention(net, inputs, targets, "1", head=head) for head in ("", "4"))
    features, weights = net[:2](inputs), net[4].weight[targets]
    cam = torch.einsum("bc,bchw->bhw", weights, features).clamp(min=0)

    assert by_weights.maps.any()
    torch.testing.assert_close(by_weights.maps, cam)
    torch.testing.assert_close(by_gradient.maps, cam / 16)
    assert torch.equal(by_gradient.logits, net(inputs))


def through(net: nn.Module, loss: AttentionLoss, head: str = "", layer: str = "1") -> Callable[[], Tensor]:
    inputs, targets, regions = pictures()
    return lambda: loss(attention(net, inputs, targets, layer, head=head).maps, regions)


SMOOTH = [CamalLoss(form="linear"), CamalLoss(form="squared"), CamalLoss(form="energy"), CamalLoss(norm="minmax")]


@pytest.mark.parametrize("head", ["", "4"], ids=["gradcam", "cam"])
@pytest.mark.parametrize("loss", [*SMOOTH, ATTENTION_LOSSES.build("l1"), ATTENTION_LOSSES.build("rrr")], ids=repr)
def test_the_gradient_of_the_attention_is_what_small_steps_of_each_weight_say(loss, head):
    net = small_net()
    value = through(net, loss, head)
    parameters = list(net.parameters())
    exact = torch.autograd.grad(value(), parameters, allow_unused=True)

    for parameter, gradient in zip(parameters, exact, strict=True):
        steps = torch.zeros_like(parameter)
        for index in range(parameter.numel()):
            flat = parameter.detach().view(-1)
            kept = flat[index].item()
            sides = []
            for step in (1e-6, -1e-6):
                flat[index] = kept + step
                sides.append(value().item())
            flat[index] = kept
            steps.view(-1)[index] = (sides[0] - sides[1]) / 2e-6
        found = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(found, steps, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("layer", ["1", "0"])
def test_second_order_gradients_pass_gradcheck(layer):
    """With a head that is not linear, so that Grad-CAM's weights depend on the features."""
    torch.manual_seed(1)
    parts = (nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 2, stride=2), nn.Softplus(), nn.Flatten())
    net = nn.Sequential(*parts, nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    inputs, targets, regions = pictures()
    weight = net[0].weight.detach().clone().requires_grad_()

    def loss(weight: Tensor) -> Tensor:
        whole = Substituted(net, weight)
        return CamalLoss(form="squared", norm="none")(attention(whole, inputs, targets, f"net.{layer}").maps, regions)

    assert loss(weight).item() > 0
    assert torch.autograd.gradcheck(loss, (weight,))


class Substituted(nn.Module):
    """A network whose first weight is given, so that gradients reach it."""

    def __init__(self, net: nn.Sequential, weight: Tensor) -> None:
        super().__init__()
        self.net, self.weight = net, weight

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.func.functional_call(self.net, {"0.weight": self.weight}, (inputs,))


def test_a_step_along_the_gradient_moves_attention_onto_the_object():
    net, (inputs, targets, regions) = small_net(), pictures()
    loss = CamalLoss()
    before = loss(attention(net, inputs, targets, "1").maps, regions)
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    for _ in range(20):
        optimiser.zero_grad()
        loss(attention(net, inputs, targets, "1").maps, regions).backward()
        optimiser.step()

    assert loss(attention(net, inputs, targets, "1").maps, regions) < 0.9 * before


def test_a_frozen_backbone_still_has_attention():
    net, (inputs, targets, _) = small_net(), pictures()
    expected = attention(net, inputs, targets, "1").maps
    net[0].requires_grad_(requires_grad=False)
    found = attention(net, inputs, targets, "1")

    torch.testing.assert_close(found.maps, expected)
    found.maps.sum().backward()
    assert net[4].weight.grad is not None


def test_the_class_explained_is_the_given_one():
    net, (inputs, _, _) = small_net(), pictures()
    one, other = (attention(net, inputs, torch.full((2,), target), "1").maps for target in (0, 1))

    assert not torch.allclose(one, other)


def test_a_layer_of_another_layout_is_seen_through_its_grid():
    net, (inputs, targets, _) = small_net(), pictures()

    class Rows(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.permute(0, 2, 3, 1)

    class Back(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.permute(0, 3, 1, 2)

    seen = nn.Sequential(net[0], net[1], Rows(), Back(), *net[2:])
    found = attention(seen, inputs, targets, "2", grid=Back())

    torch.testing.assert_close(found.maps, attention(net, inputs, targets, "1").maps)


def test_no_hook_stays_and_half_precision_is_summed_in_single():
    net, (inputs, targets, _) = small_net().bfloat16(), pictures()
    found = attention(net, inputs.bfloat16(), targets, "1")

    assert found.maps.dtype == torch.float32
    assert not net[1]._forward_hooks


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weight": -1}, "weight of camal must be 0 or more, got -1"),
        ({"inside": -0.5}, "inside of camal must be 0 or more, got -0.5"),
        ({"weight": math.inf}, "weight of camal must be 0 or more, got inf"),
        ({"eps": 0.0}, "eps of camal must be above 0, got 0.0"),
        ({"form": "sqared"}, "unknown form of camal 'sqared'; did you mean 'squared'?"),
    ],
)
def test_a_wrong_value_is_refused_by_name(unchecked, options: dict[str, Any], sentence):
    with pytest.raises((InvalidValueError, UnknownNameError), match=sentence.replace("?", r"\?")):
        CamalLoss(**options)


def test_regions_of_another_batch_are_refused(unchecked):
    with pytest.raises(InvalidValueError, match=r"regions must be \(1, H, W\), one object per map, got \(2, 2, 2\)"):
        CamalLoss()(MAP, UPPER_LEFT.repeat(2, 1, 1))


def test_a_lambda_of_nought_adds_nothing():
    for name in ATTENTION_LOSSES:
        assert loss_of(replace(ATTENTION_LOSSES.build(name), weight=0)) == 0


@pytest.mark.parametrize(
    ("pixels", "cells"), [((8, 12), (4, 3)), ((32, 30), (7, 4)), ((5, 5), (5, 5)), ((3, 4), (6, 5))]
)
def test_the_objects_share_of_a_cell_is_its_area_whatever_the_sizes(pixels, cells):
    """On a raster so fine that pixels and cells both divide it."""
    regions = torch.rand(3, *pixels, generator=torch.Generator().manual_seed(0)) > 0.6
    fine = regions.repeat_interleave(cells[0], 1).repeat_interleave(cells[1], 2).float()
    expected = fine.unflatten(1, (cells[0], pixels[0])).unflatten(3, (cells[1], pixels[1])).mean((2, 4))

    torch.testing.assert_close(object_share(regions, torch.zeros(3, *cells)), expected)
