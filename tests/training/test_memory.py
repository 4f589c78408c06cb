"""A training that stops anywhere ends, when it goes on, in the weights of one that did not, to the last bit."""

import errno
import json
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from toys import Spots, equal

from xai_bench.errors import TrainingError
from xai_bench.training import TRAINERS, CollapseWarning, Start, memory, train
from xai_bench.training.augment import AUGMENTATIONS
from xai_bench.training.kinds import CATALOGUE
from xai_bench.training.loop import Learning, seeded
from xai_bench.training.memory import Memory, read_memory
from xai_bench.training.recipe import Recipe

INPUTS = torch.randn(12, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 2
SMALL = {  # kinds whose defaults are large, or that stand on a trained classifier
    "comet": {"backbone_of": "plain", "selector_width": 4},
    "hit": {"patch_size": 8, "dim": 16, "depths": [1], "heads": 1},
}


class Stopped(Exception):
    """The power failed."""


def learn(path, recipe: Recipe, stop_in: int = 99) -> tuple[nn.Module, list]:
    """A network that drops out and counts statistics, killed inside epoch `stop_in`."""
    steps = 0

    def step(rows: Tensor) -> dict[str, Tensor]:
        nonlocal steps
        steps += 1
        if steps > 3 * stop_in + 1:
            raise Stopped
        return {"loss": nn.functional.cross_entropy(module(INPUTS[rows]), LABELS[rows])}

    with seeded(recipe, "test"):
        convolution = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)
        module = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Flatten(), nn.Linear(128, 2))
        learning = Learning(module, recipe, 3, [convolution.weight])
        keeper = Memory(path, {"of": "tests"})
        epochs = learning.run(lambda _, order: order, step, 12, keeper=keeper, progress=False)
    return module, epochs


@pytest.mark.parametrize("optimiser", ["adamw", "momentum", "lion", "lamb", "adafactor", "radam", "muon"])
@pytest.mark.parametrize("stepped", ["update", "epoch"])
def test_what_goes_on_ends_where_the_undisturbed_ended(tmp_path, optimiser, stepped):
    recipe = Recipe(epochs=4, batch_size=4, lr=0.01, warmup=0.4, optimiser=optimiser, stepped=stepped, backbone_lr=0.5)
    calm, wanted = learn(tmp_path / "calm", recipe)
    for stop_in in (0, 1, 0, 1):  # the start, one epoch, the one after, and one more
        with pytest.raises(Stopped):
            learn(tmp_path / "stopped", recipe, stop_in)
    found, epochs = learn(tmp_path / "stopped", recipe)

    assert len(epochs) == 4
    assert equal(found, calm)
    assert [epoch[:2] for epoch in epochs] == [epoch[:2] for epoch in wanted]


@pytest.mark.parametrize("name", [kind.card.name for kind in TRAINERS])
@pytest.mark.parametrize("augment", ["none", "light"])
def test_every_kind_goes_on_from_the_file_of_a_run_that_was_stopped(tmp_path, name, augment):
    trainer, detector = CATALOGUE.build({"name": name, **SMALL.get(name, {})}), None
    if trainer.backbone_of:
        with seeded(Recipe(seed=9), "test"):
            detector = CATALOGUE.build({"name": "plain"}).build(Start(2, (32, 32))).module.state_dict()
    recipe = Recipe(epochs=3, batch_size=4, lr=3e-3, warmup=0.4, augment=AUGMENTATIONS.build(augment))

    def stop(epochs):
        if len(epochs) == 1:
            raise Stopped

    def trained(path, after=lambda _: None):
        keeper = Memory(tmp_path / path, {"of": "tests"}, after)
        data = Spots(n=8)
        return train(trainer, data, recipe, backbone=detector, keeper=keeper, device="cpu", workers=0, progress=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        calm = trained("calm")
        with pytest.raises(Stopped):
            trained("stopped", stop)
        found = trained("stopped")

    assert equal(found.model.module, calm.model.module)
    assert [epoch[:2] for epoch in found.epochs] == [epoch[:2] for epoch in calm.epochs]
    assert len(found.epochs) == 3


def test_the_file_says_what_it_is_of(tmp_path):
    learn(tmp_path / "x", Recipe(epochs=1, batch_size=4))
    found, tensors = read_memory(tmp_path / "x")

    assert found["configuration"] == {"of": "tests"}
    assert len(found["epochs"]) == 1
    assert {"module.0.weight", "optimiser.0.exp_avg", "random.cpu"} <= tensors.keys()


def test_a_full_disk_is_told_in_one_sentence_and_nothing_is_lost(tmp_path, monkeypatch):
    recipe = Recipe(epochs=2, batch_size=4)
    calm, _ = learn(tmp_path / "calm", recipe)
    whole = memory.write_whole
    written = []

    def full(path, content):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(whole(path, content))

    monkeypatch.setattr(memory, "write_whole", full)
    with pytest.raises(TrainingError, match="x' cannot be written: No space left on device; the epochs before are kep"):
        learn(tmp_path / "x", recipe)
    monkeypatch.undo()

    assert len(read_memory(tmp_path / "x")[0]["epochs"]) == 1
    assert equal(learn(tmp_path / "x", recipe)[0], calm)


@pytest.mark.parametrize("damage", ["cut", "other", "text"])
def test_a_file_that_cannot_go_on_is_named(tmp_path, damage):
    path = tmp_path / "x"
    learn(path, Recipe(epochs=1, batch_size=4))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "other":
        save_file(load_file(path), path, metadata={"xai_bench": json.dumps({})})
    else:
        path.write_text("hello")

    with pytest.raises(TrainingError, match=r"x' is no training that can go on .* remove it to train this model from"):
        learn(path, Recipe(epochs=2, batch_size=4))
