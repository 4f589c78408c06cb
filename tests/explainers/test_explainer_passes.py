"""The passes on each card, counted: images that go through the model, and images whose gradient comes back."""

import re

import pytest
import torch
from explainer_models import MODELS, OWN, fits, made, noise, pictures, regions

from xai_bench.catalogue import fields
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.runs.clock import clocked

ATTENDS = [name for name, entry in EXPLAINERS.items() if entry.card.family == "attention"]


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in MODELS.items()}


def written(explainer, facts):
    """The card's passes as a complex number: forward + backward i."""
    formula = re.sub(r" (?=[FB]\b)", " * ", explainer.card.passes)
    inner = getattr(explainer, "explainer", None)
    known = {key: getattr(explainer, key) for key in fields(type(explainer))} | facts | {"F": 1, "B": 1j}
    if hasattr(explainer, "areas"):
        known["n_areas"] = len(explainer.areas)
    return complex(eval(formula, {"min": min}, known | ({"inner": written(inner, facts)} if inner else {})))


# a model that looks through an engine is tried out first: its memory by one image, its folded copy by two
TRIED = {name: 3 for name, entry in EXPLAINERS.items() if entry.card.family == "perturbation" and name != "extremal"}
SPARE = TRIED | {"scorecam": 3, "random_model": 1, "ablationcam": 1}  # one by which a layer or the memory is found
PARTS = ("patch_contributions", "selection", "native_map")  # run a method of the model, which its hooks do not see
MADE = [name for name in EXPLAINERS if name not in (*PARTS, "maps")]


@pytest.mark.parametrize("name", MADE)
def test_an_image_costs_what_its_card_says(name, models):
    explainer = made(name)
    model = models[OWN.get(name, "vit" if name in ATTENDS else "cnn")]
    assert fits(name, model)
    images, objects, drawn = pictures(1), regions(1), noise(1)
    units = explainer.unit.split(images).width if hasattr(explainer, "unit") else 0
    windows = (1 + -(-(64 - 32) // 16)) ** 2
    facts = {"C": model_channels(model), "n_units": units, "n_windows": windows}

    with clocked(model, 1) as cost:
        explain(explainer, model, images, torch.tensor([1]), drawn, objects)
    assert complex(cost.forward - SPARE.get(name, 0), cost.backward) == written(explainer, facts)


def model_channels(model):
    from xai_bench.explainers.look import Sight, look

    seen = look(model, pictures(1), torch.tensor([0]), {Sight("layer", gradient=False)}) if model.target_layer else None
    return seen.activations().shape[1]
