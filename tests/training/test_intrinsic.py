"""HiT and COMET trained for seconds: a coloured square decides the class, and their own maps must lie on it."""

import pytest
import torch
from torch import nn

from xai_bench.adapters.checkpoint import save_model
from xai_bench.errors import InvalidValueError, ModelError, UnknownNameError
from xai_bench.explainers import EXPLAINERS
from xai_bench.training import Lesson, Recipe, Start
from xai_bench.training.comet import Comet
from xai_bench.training.hit import Hit
from xai_bench.training.loop import fit, seeded
from xai_bench.training.plain import Plain

START = Start(classes=2, size=(32, 32))
HALF = (0.5, 0.5, 0.5)


def squares(count, seed=0):
    """Grey noise with one square of 8 x 8 on a grid of 4, red or green, (images in [0, 1], labels, regions)."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.4 + 0.2 * torch.rand(count, 3, 32, 32, generator=generator)
    labels = torch.randint(2, (count,), generator=generator)
    regions = torch.zeros(count, 32, 32, dtype=torch.bool)
    for row, (top, left) in enumerate((4 * torch.randint(7, (count, 2), generator=generator)).tolist()):
        regions[row, top : top + 8, left : left + 8] = True
        images[row, labels[row], top : top + 8, left : left + 8] = 1
    return images, labels, regions


def taught(trainer, recipe, start=START, count=192):
    images, labels, _ = squares(count)
    with seeded(recipe, "test"):
        model = trainer.build(start)
        trainer.ready(model.module)
        objective, inputs = trainer.objective(model.module), model.normalise(images)
        figures = fit(
            model.module,
            lambda rows: objective(model.module, Lesson(inputs[rows], labels[rows])),
            count,
            recipe,
            progress=False,
        )
    return model, figures


def relevance(name, model, images, labels):
    return EXPLAINERS.build(name)(model, images, labels)


def right(model, images, labels):
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


@pytest.fixture(scope="module")
def detector():
    trainer = Plain(mean=HALF, std=HALF)
    model, _ = taught(trainer, Recipe(epochs=6, batch_size=32, lr=3e-3))
    assert right(model, *squares(64, 1)[:2]) > 0.95
    return model


def test_hit_learns_and_its_patches_point_at_the_square():
    trainer = Hit(patch_size=4, dim=32, depths=(2,), heads=2, mean=HALF, std=HALF)
    model, figures = taught(trainer, Recipe(epochs=6, batch_size=32, lr=3e-3))
    images, labels, regions = squares(64, 1)
    maps = relevance("patch_contributions", model, images, labels)
    peaks = maps.flatten(1).argmax(1)

    assert figures["accuracy"] > 0.95
    assert right(model, images, labels) > 0.95
    assert regions.flatten(1).gather(1, peaks[:, None]).float().mean() > 0.9  # 1 in 16 by chance


def test_comet_learns_and_selects_the_square(detector):
    trainer = Comet(backbone_of="plain", selector_width=8, area=0.15, area_weight=20.0, mean=HALF, std=HALF)
    start = START._replace(backbone=detector.module.state_dict())
    model, figures = taught(trainer, Recipe(epochs=8, batch_size=32, lr=1e-2), start)
    images, labels, regions = squares(64, 1)
    mask = relevance("selection", model, images, labels)
    inside, outside = mask[regions].mean(), mask[~regions].mean()

    assert right(model, images, labels) > 0.9
    assert inside > 4 * outside
    assert figures["selected"] < 0.3
    assert figures["left_over"] < 0.7  # the detector is right nearly always of whole images


def test_the_detector_is_the_trained_model_whole_and_never_moves(detector):
    given = detector.module.state_dict()
    trainer = Comet(backbone_of="plain", selector_width=4, mean=HALF, std=HALF)
    model, _ = taught(trainer, Recipe(epochs=1, batch_size=32), START._replace(backbone=given), count=64)
    kept, learnt = model.module.detector.state_dict(), model.module.predictor.state_dict()

    assert all(torch.equal(kept[key], given[key]) for key in given)
    assert not torch.equal(learnt["conv1.0.weight"], given["conv1.0.weight"])


def test_a_saved_model_may_be_the_detector(detector, tmp_path):
    path = save_model(detector, tmp_path / "plain.safetensors", recipe=Plain().keywords(2))
    model = Comet(checkpoint=path).build(START)

    assert torch.equal(model.module.detector.fc.weight, detector.module.fc.weight)
    assert torch.equal(model.module.predictor.conv1[0].weight, detector.module.conv1[0].weight)
    assert not torch.equal(model.module.predictor.fc.weight, detector.module.fc.weight)
    with pytest.raises(ModelError, match=r"detector of comet:test_resnet.* has 2 classes and the model 3"):
        Comet(checkpoint=path).build(START._replace(classes=3))


def test_before_its_detector_is_trained_only_the_shape_is_asked_for():
    model = Comet(backbone_of="plain", selector_width=2).build(START)  # as a suite does, to refuse what cannot be built

    assert model.input_size == (32, 32)


@pytest.mark.parametrize(
    ("fields", "error", "sentence"),
    [
        (
            {},
            InvalidValueError,
            "model 'comet' needs checkpoint or backbone_of, the trained classifier that is",
        ),
        ({"backbone_of": "plain", "area": 0.0}, InvalidValueError, "area of the COMET loss must be a share"),
        ({"backbone_of": "plain", "form": "papper"}, UnknownNameError, "'papper'; did you mean 'paper'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_trained_is_refused_before_training(fields, error, sentence):
    with pytest.raises(error, match=sentence):
        Comet(**fields)


def test_hits_fields_are_the_keywords_of_load_model():
    trainer = Hit(patch_size=8, dim=16, depths=(1, 1), heads=2, attention_dropout=0.1)
    model = trainer.build(START)

    assert trainer.keywords(2)["name"] == "hit:tiny"
    assert [len(model.module.blocks), model.module.grid, model.module.blocks[0].dropout] == [2, (4, 4), 0.1]
    assert isinstance(model.module.head, nn.Linear)
