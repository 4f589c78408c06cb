"""ROAR, KAR and DiffROAR where what can be learnt is known on paper: one pixel decides the class."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import xai_bench as xb
from xai_bench.adapters import VisionModel
from xai_bench.data import Data, Preprocessing, Sample
from xai_bench.engine import Case, Scene
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.explainers import Explainer
from xai_bench.explainers.controls import Random
from xai_bench.metrics import METRICS, learners, score
from xai_bench.oracles import Sum, as_model
from xai_bench.removal import Fill, LayerMasking
from xai_bench.runs.work import Explained
from xai_bench.training import TrainSet
from xai_bench.types import Batch, Card, ExplainerCard

SIDE, PLACE = 4, (1, 2)  # of the pixel that decides
OPTIONS = {"fractions": (1 / 16, 0.25, 0.5), "removal": Fill("grey"), "epochs": 20, "lr": 0.05}
CHANCE = 5 / 8  # every image looks alike once the pixel is gone: the majority of the train set, class 0, is the answer


@dataclass(frozen=True, kw_only=True, eq=False)
class OnePixel(Data):
    """Grey images whose one pixel is dark for class 0 and bright for class 1; 5 of 8 are of class 0."""

    card: ClassVar = Card("one_pixel", source="test")
    splits: ClassVar = ("train", "test")
    classes = ("dark", "bright")
    knows = frozenset({"labels"})
    side: int = SIDE
    noise: float = 0.0
    faulty: bool = False

    @property
    def fingerprint(self):
        return f"one{self.split}{self.n}{self.side}{self.noise}"

    def __len__(self):
        return self.n or 8

    def id(self, index):
        return f"{self.split}{index}"

    def sample(self, index):
        label = int(index % 8 >= 5)
        image = torch.full((3, self.side, self.side), 0.5)
        image += self.noise * torch.rand(image.shape, generator=torch.Generator().manual_seed(index))
        image[:, *PLACE] = label
        fault = "broken" if self.faulty and index == 0 else ""
        return Sample(image, self.id(index), (self.side, self.side), label if self.knows else None, fault=fault)


class Unlabelled(OnePixel):
    classes, knows = (), frozenset()


@dataclass(frozen=True)
class Points(Explainer):
    """1 at the pixel that decides, 0 elsewhere; or the other way round. Counts the images that it explains."""

    card: ClassVar = ExplainerCard("points", source="test")

    sign: float = 1.0
    explained: ClassVar[list] = []

    def __call__(self, model, images, targets):
        self.explained.append(targets.tolist())
        maps = torch.zeros(len(images), *images.shape[2:])
        maps[:, *PLACE] = self.sign
        return maps


TRAIN = TrainSet(OnePixel(split="train", n=64, batch_size=24))


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(learners, "_known", type(learners._known)())
    Points.explained.clear()


def linear(seed=0) -> VisionModel:
    torch.manual_seed(seed)
    return as_model(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 2)).eval(), (SIDE, SIDE))


def case(explainer=Points(), model=None, rows=range(8), data=None, given=False, seed=0):
    whole, rows = (data or OnePixel(split="test")).batch(0, 8), list(rows)
    labels = whole.labels[rows]
    batch = Batch(whole.images[rows], tuple(whole.ids[row] for row in rows), labels=labels)
    scene = Scene(model or linear(), batch, targets=labels if given else None, seed=seed)
    explain = Explained(explainer)
    return Case(scene, explain(scene), None, explain)


def built(name, **options):
    return METRICS[name](**{"train": TRAIN, **OPTIONS, **options})


@pytest.fixture
def lessons(monkeypatch):
    """What models were trained on; nothing is trained."""
    seen = []

    def note(module, inputs, labels, recipe):
        seen.append((inputs, labels, recipe))
        return module

    monkeypatch.setattr(learners, "train_anew", note)
    return seen


@pytest.mark.parametrize(
    ("name", "sign", "expected"),
    [
        ("roar", 1.0, CHANCE),
        ("roar", -1.0, 1.0),
        ("kar", 1.0, 1.0),
        ("kar", -1.0, CHANCE),
        ("diffroar", 1.0, 1 - CHANCE),
        ("diffroar", -1.0, CHANCE - 1),
    ],
)
def test_without_the_one_pixel_only_the_majority_is_left_to_learn(name, sign, expected):
    assert score(built(name), case(Points(sign))).values.tolist() == [expected]


def test_each_image_has_a_record_over_the_fractions():
    record = built("roar", fractions=(0.0, 1 / 16, 1.0)).curve(case())
    right = [[1, float(index < 5), float(index < 5)] for index in range(8)]

    assert record.fractions.tolist() == [0, 1 / 16, 1]
    assert record.values.tolist() == right


def test_top_and_bottom_share_nothing_at_half_and_the_pixel_is_in_both_at_the_whole():
    values = built("diffroar", fractions=(0.5, 1.0)).curve(case()).values.mean(0)

    assert values.tolist() == [1 - CHANCE, 0]


def noisy(**options):
    return OnePixel(noise=0.4, **options)


@pytest.mark.parametrize("name", ["roar", "kar", "diffroar"])
def test_models_are_trained_on_what_a_straight_line_evaluation_gives(name, lessons):
    """Ranks, counts, removal and normalisation again, in numpy."""
    data, fractions = noisy(split="train", n=10, batch_size=4), (0.1, 0.5)
    model = VisionModel(
        linear().module, name="m", mean=(0.2, 0.4, 0.6), std=(0.5, 0.25, 1.0), preprocessing=linear().preprocessing
    )

    def brightness(model, images, targets):
        return images.sum(1)

    metric = built(name, train=TrainSet(data), fractions=fractions, removal=Fill("mean"))
    metric.curve(case(brightness, model))

    images = data.batch(0, 10).images.numpy().astype(np.float64)
    order = np.argsort(-images.sum(1).reshape(10, 16).astype(np.float32), axis=1, kind="stable")
    expected = []
    for hidden in {
        "roar": [slice(0, 2), slice(0, 8)],  # 1.6 and 8 of 16 pixels
        "kar": [slice(2, 16), slice(8, 16)],
        "diffroar": [slice(2, 16), slice(8, 16), slice(0, 14), slice(0, 8)],
    }[name]:
        altered = images.copy().reshape(10, 3, 16)
        for row in range(10):
            altered[row][:, order[row, hidden]] = np.array(model.mean)[:, None]
        normal = (altered - np.array(model.mean)[:, None]) / np.array(model.std)[:, None]
        expected.append(normal.reshape(10, 3, 4, 4))

    assert len(lessons) == len(expected)
    for (inputs, labels, _), wanted in zip(lessons, expected, strict=True):
        assert np.abs(inputs.numpy() - wanted).max() < 1e-5
        assert labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("name", ["roar", "kar", "diffroar"])
def test_the_scored_images_are_altered_as_the_train_images_are(name, monkeypatch):
    shown = []

    class Looks(nn.Module):
        def __init__(self, learnt):
            super().__init__()
            self.learnt = learnt

        def forward(self, images):
            shown.append((self.learnt, images))
            return torch.zeros(len(images), 2)

    monkeypatch.setattr(learners, "train_anew", lambda module, inputs, labels, recipe: Looks(inputs))
    data = noisy(split="test")
    built(name, train=TrainSet(data)).curve(case(lambda model, images, targets: images.sum(1), data=data))

    assert len(shown) == (6 if name == "diffroar" else 3)
    assert all(torch.equal(learnt, seen) for learnt, seen in shown)


@pytest.mark.parametrize("name", ["roar", "kar", "diffroar"])
def test_slices_and_order_of_the_scored_images_and_another_process_change_nothing(name):
    options = {"train": TrainSet(noisy(split="train", n=40)), "repeats": 2, "fractions": (0.5,)}
    test = noisy(split="test")

    def records(*rows):
        learners._known.clear()  # as in another process
        return torch.cat([built(name, **options).curve(case(Random(), rows=part, data=test)).values for part in rows])

    whole = records(range(8))
    assert torch.equal(whole, records(range(8)))
    assert torch.equal(whole, records(range(3), range(3, 8)))
    assert torch.equal(whole.flip(0), records(reversed(range(8))))
    assert whole.unique().numel() > 1


def test_the_train_set_is_explained_once_whatever_the_slices_and_both_sides_share_models(lessons):
    model = linear()
    for rows in (range(3), range(3, 8)):
        built("kar").curve(case(model=model, rows=rows))
        built("diffroar").curve(case(model=model, rows=rows))

    counts = [len(targets) for targets in Points.explained]
    # (3 for the scored slice, then 24 + 24 + 16 train images) for kar and again for diffroar's other side, then 5 and 5
    assert counts == [3, 24, 24, 16, 3, 24, 24, 16, 5, 5]
    assert len(lessons) == 6


def test_equal_explainers_share_models_and_others_do_not(lessons):
    model = linear()
    for explainer in (Points(), Points(), Points(-1.0)):
        built("roar").curve(case(explainer, model))

    assert len(lessons) == 6


@pytest.mark.parametrize("change", [{"seed": 1}, {"given": True}, {"model": linear(1)}])
def test_another_seed_target_rule_or_model_is_another_lesson(change, lessons):
    model = linear()
    built("roar").curve(case(model=model))
    built("roar").curve(case(**{"model": model, **change}))

    assert len(lessons) == 6


def test_weights_that_were_changed_in_place_are_another_model(lessons):
    model = linear()
    built("roar").curve(case(model=model))
    with torch.no_grad():
        model.module[1].weight += 1
    built("roar").curve(case(model=model))

    assert len(lessons) == 6


def test_the_same_weights_in_another_architecture_are_another_model(lessons):
    for stride in (2, 4):
        convolution = nn.Conv2d(3, 2, 1, stride)
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)
        model = named("cnn", nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        built("roar").curve(case(model=model))

    assert len(lessons) == 6


def test_what_was_asked_for_longest_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr(learners, "ROOM", 1)
    built("roar").curve(case())

    assert len(learners._known) == 1


def test_train_images_are_explained_for_the_prediction_or_for_the_label(lessons):
    model = linear()
    with torch.no_grad():
        model.module[1].weight.zero_()
        model.module[1].bias.copy_(torch.tensor([0.0, 1.0]))  # predicts class 1
    for given in (False, True):
        Points.explained.clear()
        built("roar").curve(case(model=model, given=given))
        assert Points.explained[1][:8] == ([0, 0, 0, 0, 0, 1, 1, 1] if given else [1] * 8)


def test_the_repeats_differ_by_their_seed_alone_and_are_averaged(lessons):
    built("roar", repeats=3, fractions=(0.5,)).curve(case())
    seeds = {recipe.seed for _, _, recipe in lessons}

    assert len(seeds) == len(lessons) == 3
    assert torch.equal(lessons[0][0], lessons[2][0])


def test_the_mean_over_repeats_is_that_of_each_alone(monkeypatch):
    metric = built("roar", repeats=2, fractions=(0.5,))
    answers = iter([0, 1])

    def constant(module, *_):
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
        nn.init.zeros_(model[1].weight)
        model[1].bias.data = torch.eye(2)[next(answers)]
        return model

    monkeypatch.setattr(learners, "train_anew", constant)
    assert metric.curve(case()).values.flatten().tolist() == [0.5] * 8


def test_a_train_image_that_cannot_be_read_is_left_out(lessons):
    built("roar", train=TrainSet(OnePixel(split="train", n=16, faulty=True))).curve(case())

    assert len(lessons[0][0]) == 15


def test_a_constant_train_map_orders_at_random(lessons):
    def constant(model, images, targets):
        return torch.zeros(len(images), *images.shape[2:])

    one = case()
    built("roar", train=TrainSet(noisy(split="train", n=16)), fractions=(0.5,)).curve(
        Case(one.scene, one.maps, None, Explained(constant))
    )
    hidden = (lessons[0][0] == 0.5).all(1)

    assert hidden.flatten(1).sum(1).tolist() == [8] * 16
    assert len(hidden.unique(dim=0)) > 10


def test_an_image_whose_map_orders_nothing_is_undefined():
    one = case()
    maps = one.maps.clone()
    maps[2] = 0
    maps[4] = math.nan
    partly = Case(one.scene, maps, None, Explained(Points()))
    metric = built("roar")

    assert metric.undefined(partly) == ("", "", "map is constant", "", "map is not finite", "", "", "")
    assert score(metric, partly).values.tolist() == [pytest.approx(3 / 6)]


def named(name, module, side=SIDE):
    zeros, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return VisionModel(module, name=name, mean=zeros, std=ones, preprocessing=Preprocessing((side, side)))


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))
        self.head = nn.Linear(48, 2)

    def forward(self, images):
        return self.head(images.flatten(1)) * self.w


@pytest.mark.parametrize(
    ("options", "model", "error", "message"),
    [
        (
            {"removal": LayerMasking()},
            named("cnn", nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
            UnsupportedError,
            "metric 'roar' retrains model 'cnn' on altered pixels, but removal 'layer_masking' alters the forward pass",
        ),
        (
            {},
            named("m", Own()),
            UnsupportedError,
            "metric 'roar' retrains model 'm' from scratch, but its layer Own has weights (w) and no reset_parameters",
        ),
        (
            {"train": TrainSet(n=4)},
            named("m", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), 32),
            UnsupportedError,
            "metric 'roar' retrains model 'm' of 2 classes on 'planted/train', which has 4; give train its data",
        ),
        (
            {"train": TrainSet(OnePixel(side=5))},
            None,
            InvalidValueError,
            "images of train 'one_pixel' must have the size of those scored, 4 x 4, got 5 x 5",
        ),
        (
            {"train": TrainSet(OnePixel(n=1, faulty=True))},
            None,
            DataError,
            "cannot train on 'one_pixel': none of its images can be read",
        ),
    ],
)
def test_what_cannot_be_retrained_is_refused_in_a_sentence(options, model, error, message):
    with pytest.raises(error) as caught:
        built("roar", **options).curve(case(model=model))

    assert str(caught.value) == message


def test_a_train_set_without_labels_is_refused():
    class Two(Unlabelled):
        classes = ("a", "b")

    with pytest.raises(DataError, match="cannot train on 'one_pixel': its samples have no labels"):
        built("roar", train=TrainSet(Two())).curve(case())


def test_a_model_without_weights_is_retrained_to_itself():
    assert built("roar").unfit(as_model(Sum())) == ""


def test_maps_without_their_explainer_are_refused():
    one = case()
    with pytest.raises(UnsupportedError, match="needs the explainer itself, but only its maps were given"):
        score(built("roar"), Case(one.scene, one.maps))
    with pytest.raises(UnsupportedError, match="needed to explain other samples, but only its maps are here"):
        score(built("roar"), Case(one.scene, one.maps, lambda images: images.mean(1)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"fractions": (0.5, 0.1)},
            InvalidValueError,
            "fractions of roar must be fractions in [0, 1], each above the one ",
        ),
        (
            {"fractions": (0.5, 1.5)},
            InvalidValueError,
            "fractions of roar must be fractions in [0, 1], each above the one ",
        ),
        ({"repeats": 0}, InvalidValueError, "repeats must be a whole number from 1, got 0"),
        ({"epochs": 0}, InvalidValueError, "epochs must be a whole number from 1, got 0"),
        ({"lr": -1.0}, InvalidValueError, "lr must be above 0, got -1.0"),
    ],
)
def test_values_that_make_no_sense_are_refused(options, error, message):
    with pytest.raises(error) as caught:
        METRICS["roar"](**options)

    assert str(caught.value).startswith(message)


def test_a_table_of_a_suite_names_the_train_set():
    table = {"name": "roar", "train": {"name": "blocks", "n": 20, "classes": ["0", "1"]}, "fractions": [0.1, 1]}
    metric = METRICS.build(table)

    assert metric.train == TrainSet("blocks", n=20, options=(("classes", ("0", "1")),))
    assert "train=blocks(split=train,n=20,seed=0,classes=0/1)" in metric.spec()
    assert metric == METRICS.build(table)
    assert METRICS.build({"name": "roar", "train": "planted"}).train.n is None


def test_the_spec_holds_the_fingerprint_of_a_data_set_that_was_handed_in():
    assert f"train=one_pixel[{TRAIN.source.fingerprint}]" in built("roar").spec()


def test_a_wrong_key_of_the_train_set_is_refused_before_anything_is_loaded():
    with pytest.raises(UnknownNameError, match="unknown key of dataset planted 'corelation'; did you mean"):
        METRICS.build({"name": "roar", "train": {"name": "planted", "corelation": 1.0}})


def test_a_run_gives_the_number_that_scoring_alone_gives():
    model, metric = linear(), built("roar")
    results = [
        xb.evaluate(model, [Points(), "random"], metric, OnePixel(split="test", batch_size=size)).summary()
        for size in (8, 3)
    ]
    batch = OnePixel(split="test").batch(0, 8)
    alone = xb.score(metric, model, batch.images, labels=batch.labels, explainer=Points(), ids=batch.ids)

    assert results[0]["mean"].tolist() == results[1]["mean"].tolist()
    assert results[0]["mean"].tolist()[0] == alone.values.item() == CHANCE
