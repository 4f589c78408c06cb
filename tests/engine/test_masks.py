"""Masks that are no removal along a ranking: looked at once, shared, and independent of the batch."""

from dataclasses import dataclass

import pytest
import torch

from xai_bench.engine import Case, Engine, Masks, Scene, Trajectory
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill, LayerMasking, Removal
from xai_bench.types import Batch

BLACK = Fill("black")


class Counted(Sum):
    """A sum that counts the images it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return super().forward(images)


@dataclass(frozen=True)
class EachAlone(Masks):
    """All but one of the four pixels; the last image has three masks only."""

    removal: Removal = BLACK
    soft: bool = False

    def keep(self, case, row):
        keep = ~torch.eye(4, dtype=torch.bool).view(4, 2, 2)
        keep = keep[: 4 if row == 0 else 3]
        return keep.float() * 0.5 if self.soft else keep


def scene(count=1, chunk=32, module=None):
    model = as_model(module or Sum())
    batch = Batch(IMAGE.expand(count, -1, -1, -1).clone(), tuple(f"s{i}" for i in range(count)))
    return Scene(model, batch, engine=Engine(model, chunk=chunk))


def test_removing_one_pixel_of_a_sum_costs_its_value():
    values = Case(scene()).look(EachAlone(), "logit")

    assert values[0].tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9])


def test_soft_masks_mix_the_image_with_what_stands_in_its_place():
    values = Case(scene()).look(EachAlone(Fill("white"), soft=True), "logit")

    # half the image and half white, but one pixel all white: 0.5 (1 - v) + 0.5 * 3 + 1
    assert values[0].tolist() == pytest.approx([2.5 + 0.5 * (1 - v) for v in (0.4, 0.3, 0.2, 0.1)])


def test_images_may_have_different_numbers_of_masks():
    values = Case(scene(2)).look(EachAlone(), "logit")

    assert values[1, :3].tolist() == pytest.approx([0.6, 0.7, 0.8])
    assert values[1, 3].isnan()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 5])
def test_chunks_change_nothing(chunk, soft):
    whole, parts = (Case(scene(2, size)).look(EachAlone(soft=soft), "logit") for size in (32, chunk))

    assert torch.equal(whole.nan_to_num(-1), parts.nan_to_num(-1))


def test_a_mask_that_a_curve_has_looked_at_costs_nothing():
    module = Counted()
    case = Case(scene(module=module), PIXELS)
    case.curve(Trajectory(BLACK, "morf", 4), "logit")
    before = module.seen
    case.look(EachAlone(), "logit")

    assert module.seen - before == 3  # the most relevant pixel alone was removed already
    case.look(EachAlone(), "margin")
    Case(case.scene).look(EachAlone(), "logit")
    assert module.seen - before == 3


def test_soft_masks_are_refused_by_removals_that_know_none():
    model = as_model(
        torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()), (2, 2), "0"
    )
    case = Case(Scene(model, Batch(IMAGE, ("a",))))

    with pytest.raises(InvalidValueError, match="knows only hidden"):
        case.look(EachAlone(LayerMasking(), soft=True), "logit")


def test_a_case_without_its_explainer_says_so():
    with pytest.raises(UnsupportedError, match="only its maps are here"):
        Case(scene(), PIXELS).explained(IMAGE)
    assert torch.equal(Case(scene(), PIXELS, lambda images: images.mean(1)).explained(IMAGE), IMAGE.mean(1))


def test_another_scene_is_explained_by_the_explainer_and_not_without_it():
    def brightness(other):
        return other.batch.images.mean(1)

    assert Case(scene(), PIXELS, None, brightness).explain_scene(scene(2)).shape == (2, 2, 2)
    assert Case(scene(), PIXELS, None, brightness).explains
    with pytest.raises(UnsupportedError, match="needed to explain other samples, but only its maps are here"):
        Case(scene(), PIXELS, lambda images: images.mean(1)).explain_scene(scene(2))
