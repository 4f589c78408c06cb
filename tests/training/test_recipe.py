"""Recipes: what is published, what is refused, and that timm's parts give what torch's own would."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from xai_bench.errors import InvalidValueError, TrainingError, UnknownNameError
from xai_bench.training import PRESETS, Recipe
from xai_bench.training.augment import Light, Timm, Unchanged
from xai_bench.training.loop import Learning, fit
from xai_bench.training.recipe import recipe_of


class Line(nn.Module):
    """Two numbers to learn, one of which is the backbone's."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(3))
        self.old = nn.Parameter(torch.zeros(2))

    def loss(self) -> dict[str, Tensor]:
        return {"loss": ((self.slope - 1) ** 2).sum() + ((self.old + 2) ** 2).sum()}


def test_the_published_recipe_is_torchs_adamw_and_cosine_stepped_by_epoch():
    """AdamW 1e-3, weight decay 1e-4, CosineAnnealingLR(T_max=20) stepped after each epoch, batch 32 (METHODS 1.4)."""
    ours, theirs = Line(), Line()
    fit(ours, lambda rows: ours.loss(), 64, replace(PRESETS["ersm"], augment=Unchanged()), progress=False)
    optimiser = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=20)
    for _ in range(20):
        for _ in range(2):
            optimiser.zero_grad()
            theirs.loss()["loss"].backward()
            optimiser.step()
        schedule.step()

    assert torch.allclose(ours.slope, theirs.slope, rtol=0, atol=1e-6)
    assert PRESETS["ersm"].augment == Light(scale=(0.8, 1.0), flip=0.5)


def test_a_backbone_learns_at_its_own_rate():
    line = Line()
    recipe = Recipe(epochs=1, batch_size=1, lr=0.1, weight_decay=0.0, optimiser="momentum", schedule="constant")
    learning = Learning(line, replace(recipe, backbone_lr=0.25), 1, [line.old])
    learning.run(lambda _, order: order, lambda _: line.loss(), 1, progress=False)

    assert line.slope.tolist() == pytest.approx([0.2] * 3)  # 0 + 0.1 * 2, where the gradient is 2 (0 - 1)
    assert line.old.tolist() == pytest.approx([-0.1] * 2)  # 0 - 0.1 * 0.25 * 4


@pytest.mark.parametrize(("schedule", "expected"), [("constant", [1, 1, 1, 1]), ("poly", [1, 0.75, 0.5, 0.25])])
def test_other_schedules_are_timms(schedule, expected):
    line, seen = Line(), []
    learning = Learning(line, Recipe(epochs=1, lr=1.0, schedule=schedule, batch_size=1), 4)

    def step(rows: Tensor) -> dict[str, Tensor]:
        seen.append(learning.optimiser.param_groups[0]["lr"])
        return line.loss()

    learning.run(lambda _, order: order, step, 4, progress=False)

    assert seen == pytest.approx(expected)


def test_a_loss_that_is_no_number_stops_with_its_epoch():
    line = Line()
    epochs = iter([1.0] * 30 + [float("nan")] * 30)
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 2 of 4; lower lr \(0.001\)"):
        fit(
            line,
            lambda rows: {"loss": line.loss()["loss"] * next(epochs)},
            30,
            Recipe(epochs=4, batch_size=1),
            progress=False,
        )


def test_a_later_table_wins_and_may_name_another_preset():
    assert recipe_of("ersm") == PRESETS["ersm"]
    assert recipe_of("ersm", {"epochs": 3}, {"lr": 1}) == replace(PRESETS["ersm"], epochs=3, lr=1.0)
    assert recipe_of("ersm", {"epochs": 3}, {"preset": "scratch"}) == replace(PRESETS["scratch"], epochs=3)
    assert recipe_of("ersm", {"augment": {"name": "timm", "re_prob": 0.5}}).augment == Timm(re_prob=0.5)
    assert recipe_of("ersm", {"augment": "none"}).augment == Unchanged()


@pytest.mark.parametrize(
    ("table", "kind", "message"),
    [
        ({"preset": "esrm"}, UnknownNameError, "unknown preset of a recipe 'esrm'; did you mean 'ersm'"),
        ({"epoch": 3}, UnknownNameError, "unknown key of training recipe 'epoch'; did you mean 'epochs'?"),
        ({"epochs": "three"}, InvalidValueError, "epochs of training recipe must be int, got 'three'"),
        ({"optimiser": "adamww"}, UnknownNameError, "unknown optimiser of a recipe 'adamww'; did you mean 'adamw'"),
        ({"optimiser": "adahessian"}, UnknownNameError, "unknown optimiser of a recipe 'adahessian'"),
        ({"schedule": "cosin"}, UnknownNameError, "unknown schedule of training recipe 'cosin'; did you mean 'cosine'"),
        ({"augment": "lite"}, UnknownNameError, "unknown augmentation 'lite'"),
        ({"augment": {"name": "light", "scale": [0.9, 0.8]}}, InvalidValueError, "scale of augmentation light must be"),
        ({"augment": {"name": "timm", "auto_augment": "rnd"}}, InvalidValueError, "timm makes no training transform"),
        ({"backbone_lr": 0}, InvalidValueError, "backbone_lr must be above 0, got 0"),
        ({"seed": 3}, InvalidValueError, "seed of a recipe is given by the suite's seeds"),
        ({"precision": "fp8"}, UnknownNameError, "unknown precision of training recipe 'fp8'"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(table, kind, message):
    with pytest.raises(kind, match=message):
        recipe_of("scratch", table)


def test_an_optimiser_that_needs_what_is_not_installed_says_so():
    with pytest.raises(InvalidValueError, match="optimiser 'bnbadam' cannot be made here: "):
        Learning(Line(), Recipe(optimiser="bnbadam"), 1)
