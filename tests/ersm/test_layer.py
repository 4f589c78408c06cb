"""EnergyMask against its published definition, token by token."""

import math

import jaxtyping
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.errors import InvalidValueError
from xai_bench.ersm import EnergyMask, Masked
from xai_bench.ersm.layer import MODES

GRIDS = [(4, 4), (2, 6), (6, 2), (8, 4)]


def features_of(batch: int = 2, channels: int = 3, size: tuple[int, int] = (4, 4)) -> Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


def straight(layer: EnergyMask, features: Tensor) -> Masked:
    """The definition in loops over images, tokens and neighbours, in double precision and without torch's kernels."""
    p, weight, bias = layer.patch_size, layer.weight.tolist(), layer.bias.item()
    batch, channels, height, width = features.shape
    h, w = height // p, width // p
    masked, numbers = features.double().clone(), torch.zeros(3, batch, h, w, dtype=torch.float64)
    for b in range(batch):
        units = {}
        for y in range(h):
            for x in range(w):
                values = [
                    float(features[b, c, y * p + dy, x * p + dx])
                    for c in range(channels)
                    for dy in range(p)
                    for dx in range(p)
                ]
                length = math.sqrt(sum(value * value for value in values)) + 1e-6
                units[y, x] = [value / length for value in values]
        for (y, x), unit in units.items():
            z = sum(a * b for a, b in zip(weight, unit, strict=True)) + bias
            keep = 1 / (1 + math.exp(z / layer.temperature))
            alike = 0.0
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if (dy, dx) != (0, 0) and (y + dy, x + dx) in units:
                        alike += sum(a * b for a, b in zip(unit, units[y + dy, x + dx], strict=True))
            unary = layer.unary_weight * math.log1p(math.exp(z))
            energy = unary + layer.pairwise_weight * math.log1p(math.exp(alike))
            numbers[:, b, y, x] = torch.tensor([keep, z, energy])
            masked[b, :, y * p : y * p + p, x * p : x * p + p] *= keep
    return Masked(masked, *numbers)


@pytest.mark.parametrize("size", GRIDS)
@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_every_number_is_the_definitions(mode, patch_size, size):
    layer = EnergyMask(3, patch_size, unary_weight=0.7, pairwise_weight=0.3, temperature=1.3, mode=mode)
    features = features_of(size=size)
    expected = straight(layer, features)

    for seen, wanted in zip(layer(features), expected, strict=True):
        torch.testing.assert_close(seen.detach().double(), wanted, atol=1e-6, rtol=1e-6)


def unfolded(layer: EnergyMask, features: Tensor) -> Masked:
    """The published form, in double precision: unfold, a linear layer, a convolution per pair of neighbours, fold."""
    p, exact = layer.patch_size, features.double()
    batch, _, height, width = features.shape
    h, w = height // p, width // p
    tokens = functional.unfold(exact, p, stride=p).transpose(1, 2)  # (B, N, D)
    units = tokens / (tokens.norm(dim=2, keepdim=True) + 1e-6)
    z = functional.linear(units, layer.weight.double()[None]) + layer.bias.double()
    keep = torch.sigmoid(-z / layer.temperature)
    grid = units.transpose(1, 2).reshape(batch, -1, h, w)
    shift = torch.eye(9, dtype=torch.float64)[[0, 1, 2, 3, 5, 6, 7, 8]].view(8, 1, 3, 3)  # one neighbour each
    near = functional.conv2d(grid.reshape(-1, 1, h, w), shift, padding=1).view(batch, -1, 8, h, w)
    alike = (near * grid[:, :, None]).sum((1, 2)).view(batch, -1, 1)
    energy = layer.unary_weight * functional.softplus(z) + layer.pairwise_weight * functional.softplus(alike)
    masked = functional.fold((tokens * keep).transpose(1, 2), (height, width), p, stride=p)
    return Masked(masked, *(each.view(batch, h, w) for each in (keep, z, energy)))


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (14, 6)])
@pytest.mark.parametrize("channels", [512, 768, 2048])
@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_at_the_papers_widths_every_number_is_the_published_forms_to_1e_6(mode, patch_size, channels, size):
    """Features after a ReLU, whose neighbours are as alike as they get: up to 6 of 8, where float32 steps by 5e-7."""
    torch.manual_seed(channels)
    layer, features = EnergyMask(channels, patch_size, mode=mode), features_of(2, channels, size).relu()
    expected = unfolded(layer, features)

    for seen, wanted in zip(layer(features), expected, strict=True):
        torch.testing.assert_close(seen.double(), wanted, atol=1e-6, rtol=0)
    dear = EnergyMask(channels, patch_size, 1.0, 1.0, mode=mode)
    torch.testing.assert_close(dear(features).energy.double(), unfolded(dear, features).energy, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("patch_size", [1, 2])
def test_the_weight_is_ordered_as_unfold_orders_a_patch(patch_size):
    layer, features = EnergyMask(3, patch_size), features_of()
    patches = functional.unfold(features, patch_size, stride=patch_size)
    units = patches / (patches.norm(dim=1, keepdim=True) + 1e-6)
    expected = (layer.weight.detach() @ units + 6).view(2, 4 // patch_size, 4 // patch_size)

    torch.testing.assert_close(layer(features).logit.detach(), expected)


def test_the_weight_starts_as_a_linear_layers_does():
    torch.manual_seed(3)
    expected = nn.Linear(12, 1, bias=False).weight.detach()[0]
    torch.manual_seed(3)

    assert torch.equal(EnergyMask(3, 2).weight.detach(), expected)


def test_the_published_mask_starts_almost_closed_and_ours_open():
    reference, stable = (
        EnergyMask(256, mode=mode)(features_of(8, 256)).keep.mean() for mode in ("reference", "stable")
    )

    assert reference.item() == pytest.approx(0.0025, abs=2e-4)
    assert stable.item() == pytest.approx(1 - 0.0025, abs=2e-4)


def test_only_the_stable_bias_is_learnt():
    names = {
        mode: [name for name, _ in EnergyMask(3, mode=mode).named_parameters()] for mode in ("reference", "stable")
    }

    assert names == {"reference": ["weight"], "stable": ["weight", "bias"]}
    assert EnergyMask(3, mode="stable", start=1.5).bias.item() == 1.5


def test_missing_neighbours_of_border_tokens_count_nothing():
    layer = EnergyMask(3, unary_weight=0, pairwise_weight=1)
    same = torch.ones(1, 3, 3, 3)  # every product of unit vectors is 1: the sum counts the neighbours
    expected = torch.tensor([[[3.0, 5, 3], [5, 8, 5], [3, 5, 3]]])

    torch.testing.assert_close(layer(same).energy.detach(), functional.softplus(expected), atol=1e-4, rtol=0)


def test_a_forced_mask_replaces_the_soft_one():
    layer, features = EnergyMask(3, 2), features_of()
    forced = torch.tensor([[[1, 0], [0, 0]], [[1, 1], [0, 1]]], dtype=torch.bool)
    spread = forced.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
    out = layer(features, forced)

    assert torch.equal(out.features, features * spread)
    assert torch.equal(out.keep, forced.float())
    assert torch.equal(out.logit, layer(features).logit)


def test_compensation_scales_by_all_tokens_over_kept_ones():
    layer, features = EnergyMask(3), features_of()
    forced = torch.zeros(2, 4, 4)
    forced[0, 0, :2] = 1  # 2 of 16 kept; nothing in the second image
    expected = torch.stack([features[0] * forced[0] * 8, torch.zeros(3, 4, 4)])

    torch.testing.assert_close(layer(features, forced, compensate=True).features, expected)


def test_compensation_keeps_the_weight_of_a_soft_mask():
    layer = EnergyMask(3, mode="stable", start=0.3)

    scale = layer(torch.ones(1, 3, 2, 2), compensate=True).features
    torch.testing.assert_close(scale, torch.ones(1, 3, 2, 2))


def test_the_regulariser_is_the_mean_energy_kept():
    out = Masked(torch.zeros(2, 1, 1, 2), *(torch.tensor([[[a, b]], [[c, d]]]) for a, b, c, d in
                 ((1.0, 0.5, 0.0, 0.25), (0.0, 0.0, 0.0, 0.0), (2.0, 4.0, 8.0, 4.0))))  # fmt: skip
    expected = (2 + 2 + 0 + 1) / 4

    assert EnergyMask(1).regulariser(out).item() == expected


def test_the_regulariser_of_one_lone_token_is_the_formula():
    layer = EnergyMask(1, unary_weight=1, pairwise_weight=1)
    layer.weight.data.fill_(-6.0)  # u = 1, so z = 0, keep = 1/2, and there are no neighbours
    expected = 0.5 * (math.log(2) + math.log(2))

    assert layer.regulariser(layer(torch.full((1, 1, 1, 1), 5.0))).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("patch_size", [1, 2])
def test_gradients_are_those_of_the_function(patch_size):
    layer = EnergyMask(2, patch_size, 0.5, 0.5, mode="stable", start=0.1).double()
    features = features_of(channels=2).double().requires_grad_()

    def loss(features: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        out = torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (features,))
        return out.features, layer.regulariser(out)

    assert torch.autograd.gradcheck(loss, (features, layer.weight, layer.bias))


def test_a_black_token_has_finite_gradients():
    features = torch.zeros(1, 3, 2, 2, requires_grad=True)
    out = EnergyMask(3)(features)
    (out.features.sum() + out.energy.sum()).backward()

    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_state_is_restored_at_another_input_size(mode):
    trained, fresh = EnergyMask(3, 2, mode=mode), EnergyMask(3, 2, mode=mode)
    trained(features_of(size=(4, 4)))
    fresh.load_state_dict(trained.state_dict())
    features = features_of(size=(8, 2))

    assert torch.equal(fresh(features).features, trained(features).features)
    assert {name: tuple(value.shape) for name, value in trained.state_dict().items()} == {"weight": (12,), "bias": ()}


@pytest.mark.parametrize("patch_size", [1, 2])
def test_half_precision_features_are_masked_by_exact_numbers(patch_size):
    layer, features = EnergyMask(3, patch_size), features_of().bfloat16()
    out = layer(features)

    assert out.features.dtype == torch.bfloat16
    assert torch.equal(out.keep, layer(features.float()).keep)


def test_memory_format_and_inference_mode_change_nothing():
    layer, features = EnergyMask(3), features_of()
    with torch.inference_mode():
        out = layer(features.to(memory_format=torch.channels_last))

    torch.testing.assert_close(out.features, layer(features).features.detach())
    assert out.features.is_contiguous(memory_format=torch.channels_last)


def test_an_image_does_not_see_its_batch():
    layer, features = EnergyMask(3), features_of(3)

    for one, many in zip(layer(features[1:2]), layer(features), strict=True):
        torch.testing.assert_close(one, many[1:2])


REFUSALS = [
    ({"channels": 0}, "channels must be a whole number from 1, got 0"),
    ({"patch_size": -2}, "patch_size must be a whole number from 1, got -2"),
    ({"unary_weight": -1.0}, "unary_weight must be 0 or more, got -1.0"),
    ({"pairwise_weight": math.nan}, "pairwise_weight must be 0 or more, got nan"),
    ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
    ({"temperature": -2.0}, "temperature must be above 0, got -2.0"),
    ({"mode": "stabel"}, "mode must be 'reference' or 'stable', got 'stabel'"),
    ({"start": 0.0}, "start must be left out or 6.0 in mode 'reference', whose bias never moves, got 0.0"),
    ({"mode": "stable", "start": math.inf}, "start must be a finite number, got inf"),
    # what a TOML file or a command line may bring
    ({"patch_size": True}, "patch_size must be a whole number from 1, got True"),
    ({"patch_size": 2.0}, "patch_size must be a whole number from 1, got 2.0"),
    ({"unary_weight": "0.1"}, "unary_weight must be 0 or more, got '0.1'"),
    ({"unary_weight": True}, "unary_weight must be 0 or more, got True"),
    ({"pairwise_weight": None}, "pairwise_weight must be 0 or more, got None"),
    ({"temperature": "warm"}, "temperature must be above 0, got 'warm'"),
    ({"temperature": math.nan}, "temperature must be above 0, got nan"),
    ({"mode": "stable", "start": "open"}, "start must be a finite number, got 'open'"),
    ({"start": False}, "start must be a finite number, got False"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("given", "message"), REFUSALS)
def test_a_wrong_parameter_is_refused_in_one_sentence(given, message):
    with pytest.raises(InvalidValueError) as refusal:
        EnergyMask(**{"channels": 3} | given)

    assert str(refusal.value).startswith(message)


def test_the_published_start_may_be_named():
    assert EnergyMask(3, start=6.0).bias.item() == 6.0


SHAPES = [
    (torch.zeros(1, 4, 4, 4), None, "features must be (B, 3, H, W), got (1, 4, 4, 4)"),
    (torch.zeros(3, 4, 4), None, "features must be (B, 3, H, W), got (3, 4, 4)"),
    (torch.zeros(1, 3, 7, 8), None, "a feature map of 7 x 8 cannot be cut into patches of patch_size 2"),
    (torch.zeros(1, 3, 8, 7), None, "a feature map of 8 x 7 cannot be cut into patches of patch_size 2"),
    (torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8), "forced must be (B, h, w) = (1, 4, 4), got (1, 8, 8)"),
]


@pytest.mark.parametrize(("features", "forced", "message"), SHAPES)
def test_a_wrong_shape_is_refused_in_one_sentence(features, forced, message):
    with pytest.raises(InvalidValueError) as refusal:
        EnergyMask(3, 2)(features, forced)

    assert str(refusal.value).startswith(message)


def test_it_compiles_without_a_graph_break(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # torch.compile cannot trace type checks
    layer, features = EnergyMask(3, 2), features_of()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)

    assert torch.equal(compiled(features).features, layer(features).features)
