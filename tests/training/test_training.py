"""Training on a toy whose answer is a colour: seconds long, and the same to the last bit every time."""

import math
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise

import pytest
import torch
from torch import Tensor, nn
from toys import Spots, equal, weights

from xai_bench.data import Data
from xai_bench.errors import DataError, InvalidValueError, UnsupportedError
from xai_bench.ersm import EnergyMask
from xai_bench.training import CollapseWarning, Recipe, train_ersm, train_plain
from xai_bench.training.augment import Light
from xai_bench.training.loop import _schedule, examples, fit

QUICK = Recipe(epochs=3, batch_size=16, lr=3e-3)
STRIDE = {"output_stride": 8}


def mask_of(mode: str = "stable", **options: float) -> EnergyMask:
    return EnergyMask(96, mode=mode, **options)


def share_right(model: nn.Module, data: Data) -> float:
    images, labels = examples(data)
    with torch.inference_mode():
        return (model((images - 0.5) / 0.5).argmax(1) == labels).float().mean().item()


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return train_plain(Spots(n=128), QUICK, factory=STRIDE, progress=False)


def test_a_plain_model_learns_the_colour(plain):
    assert share_right(plain, Spots()) == 1
    assert not plain.training


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(plain):
    torch.manual_seed(99)  # the caller's random state does not matter

    assert equal(train_plain(Spots(n=128), QUICK, factory=STRIDE, progress=False), plain)


def test_another_seed_gives_other_weights():
    one, other = (
        train_plain(Spots(n=16), replace(QUICK, epochs=1, seed=seed), factory=STRIDE, progress=False) for seed in (0, 1)
    )

    assert not equal(one, other)


def test_training_leaves_the_callers_random_state_alone():
    expected = torch.random.get_rng_state()
    train_plain(Spots(n=16), replace(QUICK, epochs=1), factory=STRIDE, progress=False)

    assert torch.equal(torch.random.get_rng_state(), expected)


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")  # too short to open the published mask
@pytest.mark.parametrize(("mode", "options"), [("stable", {"start": 0.0}), ("reference", {})])
def test_an_ersm_model_is_the_same_to_the_last_bit_and_spares_its_plain_model(plain, mode, options):
    before = weights(plain)
    recipe = replace(QUICK, lr=1e-2)
    one, other = (train_ersm(plain, Spots(), recipe, mask=mask_of(mode, **options), progress=False) for _ in range(2))

    assert equal(one, other)
    assert all(torch.equal(before[name], value) for name, value in weights(plain).items())


def test_an_ersm_model_learns_the_colour(plain):
    model = train_ersm(plain, Spots(), replace(QUICK, lr=1e-2), mask=mask_of(start=0.0), progress=False)

    assert share_right(model, Spots()) > 0.9
    assert not model.training


def test_a_mask_in_the_middle_learns_the_colour_too(plain):
    mask = EnergyMask(48, mode="stable", start=0.0)
    model = train_ersm(plain, Spots(), replace(QUICK, lr=1e-2), mask=mask, stage="layer2", progress=False)
    frozen = weights(plain)

    assert share_right(model, Spots()) > 0.9
    assert all(torch.equal(frozen[name], value) for name, value in weights(model.backbone).items())


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")
@pytest.mark.parametrize(("mode", "drifts"), [("stable", False), ("reference", True)])
def test_only_reference_lets_the_frozen_backbones_statistics_drift(plain, mode, drifts):
    recipe = replace(QUICK, epochs=1, lr=1e-2)
    model = train_ersm(plain, Spots(), recipe, mask=mask_of(mode), progress=False)
    moved = {name for name, value in weights(model.backbone).items() if not torch.equal(value, weights(plain)[name])}

    assert any("running" in name for name in moved) is drifts
    assert not any(name.endswith(("weight", "bias")) for name in moved)


def test_the_mask_starts_anew_from_the_recipes_seed(plain):
    spoilt = mask_of()
    spoilt.weight.data.fill_(100.0)
    recipe = replace(QUICK, epochs=1)

    with pytest.warns(CollapseWarning):
        one, other = (train_ersm(plain, Spots(), recipe, mask=mask, progress=False) for mask in (spoilt, mask_of()))
    assert equal(one, other)
    assert (spoilt.weight == 100).all()


def test_a_mask_that_the_energy_keeps_closed_is_warned_of(plain):
    strong = mask_of("reference", unary_weight=0.5, pairwise_weight=0.5)

    with pytest.warns(CollapseWarning, match=r"keeps 0\.\d\d% of the feature map.*lower unary_weight"):
        train_ersm(plain, Spots(), QUICK, mask=strong, progress=False)


def test_a_mask_that_nothing_closes_is_warned_of(plain):
    free = mask_of("stable", unary_weight=0.0, pairwise_weight=0.0)

    with pytest.warns(CollapseWarning, match=r"keeps 99\.\d\d% of the feature map.*raise unary_weight"):
        train_ersm(plain, Spots(), replace(QUICK, epochs=1), mask=free, progress=False)


def test_a_price_on_keeping_lowers_what_is_kept(plain):
    masks = (mask_of(start=-2.0, pairwise_weight=price) for price in (1e-3, 1.0))
    recipe = replace(QUICK, lr=3e-2)
    cheap, dear = (train_ersm(plain, Spots(), recipe, mask=mask, progress=False) for mask in masks)
    images, _ = examples(Spots())

    assert dear.forward_masked(images)[1].keep.mean() < cheap.forward_masked(images)[1].keep.mean()


class Line(nn.Module):
    """One number to learn, and one that may not move."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))
        self.frozen = nn.Parameter(torch.ones(()), requires_grad=False)


def test_every_example_is_seen_once_an_epoch_in_an_order_of_the_seed():
    seen: list[list[int]] = []
    model = Line()

    def step(rows: Tensor) -> dict[str, Tensor]:
        seen.append(rows.tolist())
        return {"loss": (model.slope - 1) ** 2}

    fit(model, step, 10, Recipe(epochs=2, batch_size=4), progress=False)
    first, second = (list(chain(*epoch)) for epoch in (seen[:3], seen[3:]))

    assert [len(rows) for rows in seen] == [4, 4, 2] * 2
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_the_order_is_a_function_of_the_recipes_seed_alone():
    def order(recipe: Recipe, callers: int) -> list[int]:
        seen: list[int] = []
        model = Line()

        def step(rows: Tensor) -> dict[str, Tensor]:
            seen.extend(rows.tolist())
            return {"loss": model.slope**2}

        torch.manual_seed(callers)
        fit(model, step, 10, recipe, progress=False)
        return seen

    one, same, other = (order(Recipe(epochs=1, seed=seed), callers) for seed, callers in ((0, 1), (0, 2), (1, 1)))

    assert one == same != other


def test_the_loss_falls_and_the_last_epochs_means_come_back():
    model = Line()
    recipe = Recipe(epochs=20, batch_size=5, lr=0.1)
    means = fit(
        model, lambda rows: {"loss": (model.slope - 1) ** 2, "two": torch.tensor(2.0)}, 10, recipe, progress=False
    )

    assert means["two"] == 2
    assert means["loss"] < 0.05  # from 1
    assert model.frozen == 1


def test_the_rate_has_fallen_at_the_last_step():
    model, seen = Line(), []

    def step(rows: Tensor) -> dict[str, Tensor]:
        seen.append(model.slope.item())
        return {"loss": 1e3 * model.slope}  # Adam's steps are then as long as the rate

    fit(model, step, 10, Recipe(epochs=1, batch_size=1, lr=1.0, weight_decay=0.0), progress=False)
    lengths = [before - after for before, after in pairwise(seen)]

    assert lengths[0] == pytest.approx(1, abs=1e-4)
    assert lengths[-1] == pytest.approx(0.5 + 0.5 * math.cos(math.pi * 8 / 10), abs=1e-4)


@pytest.mark.parametrize(("warmup", "expected"), [(0.0, [1, 0.75, 0.25]), (0.25, [0.04, 1, 0.75, 0.25])])
def test_the_rate_climbs_and_falls_along_a_cosine(warmup, expected):
    learnt = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=1.0)
    count = len(expected)
    schedule = _schedule(learnt, count, Recipe(lr=1.0, warmup=warmup))
    rates = []
    for step in range(count):
        rates.append(learnt.param_groups[0]["lr"])
        schedule.step(step + 1)

    assert rates == pytest.approx(expected)


def test_broken_images_are_left_out():
    assert len(examples(Spots(n=10, broken=True)).images) == 8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"augment": Light()}, "augment of a recipe must be 'none' here, got 'light'; training.train and train suites"),
        ({"precision": "bf16"}, "precision of a recipe must be 'fp32' here, got 'bf16'"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "ersm"])
def test_what_only_train_does_is_refused_and_not_ignored(plain, given, message, kind):
    trained = train_plain if kind == "plain" else partial(train_ersm, plain, mask=mask_of())
    with pytest.raises(UnsupportedError, match=message):
        trained(Spots(n=16), replace(QUICK, epochs=1, **given), progress=False)


def test_a_rate_of_the_backbones_own_is_refused():
    with pytest.raises(UnsupportedError, match=r"backbone_lr of a recipe must be 1 here, got 0\.1"):
        train_plain(Spots(n=16), replace(QUICK, backbone_lr=0.1), progress=False)


def test_data_without_labels_are_refused():
    with pytest.raises(DataError, match="cannot train on 'spots': its samples have no labels"):
        train_plain(Spots(knows=frozenset()), QUICK, progress=False)


def test_data_without_a_readable_image_are_refused():
    with pytest.raises(DataError, match="cannot train on 'spots': none of its images can be read"):
        train_plain(Spots(n=1, broken=True), QUICK, progress=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1, got 0"),
        ({"batch_size": -1}, "batch_size must be a whole number from 1, got -1"),
        ({"lr": 0.0}, "lr must be above 0, got 0.0"),
        ({"lr": float("nan")}, "lr must be above 0, got nan"),
        ({"warmup": 1.0}, r"warmup must be a share in \[0, 1\), got 1.0"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more, got -0.1"),
    ],
)
def test_a_wrong_recipe_is_refused(given, message):
    with pytest.raises(InvalidValueError, match=message):
        Recipe(**given)
