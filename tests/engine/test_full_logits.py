"""Logits of all classes are kept where somebody asks for them, and nobody else notices."""

import pytest
import torch

from xai_bench.engine import Case, Engine, Patch, Scene, Trajectory, evaluate
from xai_bench.oracles import IMAGE, PIXELS, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

BLACK = Fill("black")


class Three(torch.nn.Module):
    """Logits (sum, 2 sum, -sum) of the grey pixels; counts the images it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        total = images.mean(1).sum((1, 2))
        return torch.stack([total, 2 * total, -total], 1)


def case(module=None, count=1, chunk=32):
    model = as_model(module or Three())
    batch = Batch(IMAGE.expand(count, -1, -1, -1).clone(), tuple(f"s{i}" for i in range(count)))
    return Case(Scene(model, batch, engine=Engine(model, chunk=chunk)), PIXELS.expand(count, -1, -1))


@pytest.mark.parametrize("chunk", [1, 3, 32])
def test_all_classes_along_a_trajectory(chunk):
    logits = case(count=2, chunk=chunk).logits(Trajectory(BLACK, "morf", 4, full=True))

    sums = [1.0, 0.6, 0.3, 0.1, 0.0]
    assert logits.shape == (2, 5, 3)
    for each in logits:
        assert each.flatten().tolist() == pytest.approx([part for v in sums for part in (v, 2 * v, -v)], abs=1e-6)


def test_a_curve_asked_for_at_the_same_time_costs_nothing():
    module = Three()
    looked = case(module)
    curve, full = Trajectory(BLACK, "morf", 4), Trajectory(BLACK, "morf", 4, full=True)
    evaluate([(looked, curve), (looked, full)])

    assert module.seen == 5  # clean, and four steps
    looked.curve(curve, "logit"), looked.curve(full, "margin"), looked.logits(full)
    assert module.seen == 5


def test_a_curve_of_before_is_looked_at_again_and_keeps_its_numbers():
    module = Three()
    looked = case(module)
    before = looked.curve(Trajectory(BLACK, "morf", 4), "logit").values
    looked.logits(Trajectory(BLACK, "morf", 4, full=True))

    assert module.seen == 9  # the clean image was in full from the beginning
    assert torch.equal(looked.curve(Trajectory(BLACK, "lerf", 1), "logit").values[:, 1], before[:, 4])
    assert module.seen == 9
    # and whatever is looked at afterwards has its own: twice 1, .9, .7, .4, 0 of the sum
    after = looked.curve(Trajectory(BLACK, "lerf", 4), "logit").values[0]
    assert after.tolist() == pytest.approx([2.0, 1.8, 1.4, 0.8, 0.0], abs=1e-6)


def test_who_does_not_ask_keeps_no_logits():
    looked = case()
    looked.curve(Trajectory(BLACK, "morf", 4), "logit")

    assert len(looked.scene._logits) == 1


def test_unit_by_unit_up_to_a_number():
    module = Three()
    curve = case(module).curve(Trajectory(BLACK, "morf", "each", most=2), "logit")

    assert curve.values[0].tolist() == pytest.approx([2.0, 1.2, 0.6])  # target 1 is predicted
    assert curve.fractions[0].tolist() == [0, 0.25, 0.5]
    assert module.seen == 3


def test_fewer_units_than_the_number_are_all_removed():
    curve = case().curve(Trajectory(BLACK, "morf", "each", unit=Patch(2), most=9), "logit")

    assert curve.fractions[0].tolist() == [0, 1]
