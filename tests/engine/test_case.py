"""Curves of models whose right curve is known on paper, and what cases share."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from xai_bench.engine import Case, Engine, Scene, Trajectory
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill, PixelRemoval
from xai_bench.types import Batch, Card

BLACK = Fill("black")


def scene(count=1, chunk=32, **options):
    batch = Batch(IMAGE.expand(count, -1, -1, -1).clone(), tuple(f"s{i}" for i in range(count)))
    model = as_model(Sum())
    return Scene(model, batch, engine=Engine(model, chunk=chunk), **options)


def test_removing_the_most_relevant_first_from_a_sum():
    curve = Case(scene(), PIXELS).curve(Trajectory(BLACK, "morf", 4), "logit")

    assert curve.values[0].tolist() == pytest.approx([1.0, 0.6, 0.3, 0.1, 0.0])
    assert curve.fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_removing_the_least_relevant_first_from_a_sum():
    curve = Case(scene(), PIXELS).curve(Trajectory(BLACK, "lerf", 4), "logit")

    assert curve.values[0].tolist() == pytest.approx([1.0, 0.9, 0.7, 0.4, 0.0])


def test_a_curve_read_backwards_is_over_what_is_shown():
    curve = Case(scene(), PIXELS).curve(Trajectory(BLACK, "lerf", 4), "logit").backwards()

    assert curve.fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.values[0].tolist() == pytest.approx([0.0, 0.4, 0.7, 0.9, 1.0])


def test_the_target_stays_that_of_the_clean_image():
    # sum 1 against 0: class 0; when all is removed both logits are 0 and the probability one half
    curve = Case(scene(), PIXELS).curve(Trajectory(BLACK, "morf", 1), "probability")

    assert curve.values[0].tolist() == pytest.approx([1 / (1 + 2.718281828**-1), 0.5])


def test_a_given_target_is_explained_instead():
    curve = Case(scene(targets=torch.tensor([1])), PIXELS).curve(Trajectory(BLACK, "morf", 4), "logit")

    assert curve.values[0].tolist() == [0.0] * 5


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_chunk_size_changes_nothing(chunk):
    maps = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = Case(scene(3), maps).curve(Trajectory(BLACK, "morf", 4), "logit").values

    assert torch.equal(expected, Case(scene(3, chunk=chunk), maps).curve(Trajectory(BLACK, "morf", 4), "logit").values)


@dataclass(frozen=True)
class Counting(PixelRemoval):
    """Black, and remembers how many altered images were looked at."""

    card: ClassVar = Card("counting", source="test")
    seen: ClassVar[list[int]] = []

    def prepare(self, model, images, noise):
        return torch.zeros_like(images)

    def see(self, model, images, keep, state):
        self.seen.append(len(images))
        return super().see(model, images, keep, state)


def passes(work):
    Counting.seen.clear()
    work()
    return sum(Counting.seen)


def test_a_curve_is_computed_once_whatever_output_is_read_from_it():
    case = Case(scene(), PIXELS)

    assert passes(lambda: case.curve(Trajectory(Counting(), "morf", 4), "logit")) == 4  # 3 inside and the blank end
    assert passes(lambda: case.curve(Trajectory(Counting(), "morf", 4), "probability")) == 0


def test_end_points_are_shared_by_all_orders_and_explainers():
    shared = scene()
    Case(shared, PIXELS).curve(Trajectory(Counting(), "morf", 4), "logit")

    other = PIXELS.roll(1, 2)

    assert passes(lambda: Case(shared, other).curve(Trajectory(Counting(), "lerf", 4), "logit")) == 3


def test_identical_altered_images_are_looked_at_once():
    shared = scene()
    Case(shared, PIXELS).curve(Trajectory(Counting(), "morf", 4), "logit")

    # the least relevant of the negated map go in the same order; of eight steps half are known, and the ends
    assert passes(lambda: Case(shared, -PIXELS).curve(Trajectory(Counting(), "lerf", 4), "logit")) == 0
    assert passes(lambda: Case(shared, 2 * PIXELS).curve(Trajectory(Counting(), "morf", 2), "margin")) == 0


def test_random_order_does_not_look_at_the_map():
    shared = scene()
    one, two = (Case(shared, maps).curve(Trajectory(BLACK, "random", 4), "logit").values for maps in (PIXELS, -PIXELS))

    assert torch.equal(one, two)
    assert torch.equal(one, Case(shared).curve(Trajectory(BLACK, "random", 4), "logit").values)


def test_an_unreadable_image_is_a_fault_with_its_reason():
    batch = Batch(IMAGE, ("a",), faults=("cannot read a.png",))

    assert Scene(as_model(Sum()), batch).faults() == ("cannot read a.png",)


def test_a_model_that_gives_nan_is_a_fault():
    class Broken(Sum):
        def forward(self, images):
            return super().forward(images) * torch.nan

    assert Scene(as_model(Broken()), Batch(IMAGE, ("a",))).faults() == ("model output is not finite",)


def test_training_mode_is_put_back():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(12, 2))
    module.train()
    module[0].eval()
    Case(Scene(as_model(module), Batch(IMAGE, ("a",))), PIXELS).curve(Trajectory(BLACK, "morf", 4), "logit")

    assert [part.training for part in module] == [False, True, True]
    assert all(parameter.requires_grad for parameter in module.parameters())
