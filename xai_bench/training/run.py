"""A training suite carried out: only what is missing is trained, and each file loads by itself."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel, find_device, load_model
from xai_bench.catalogue import describe
from xai_bench.data import Data
from xai_bench.digests import file_digest
from xai_bench.errors import DataError, InvalidValueError, TrainingError
from xai_bench.lock import Lock
from xai_bench.training.augment import Unchanged
from xai_bench.training.feed import feed_of, in_order
from xai_bench.training.folder import Facts, Folder
from xai_bench.training.loop import accuracy
from xai_bench.training.memory import Memory
from xai_bench.training.recipe import Recipe
from xai_bench.training.suite import Entry, TrainSuite
from xai_bench.training.train import check_fitting, check_trainable, train
from xai_bench.training.trainer import Start

VERSION = 1  # bump when training itself changes, so that models in a folder are not taken for new ones
PACKAGES = ("torch", "torchvision", "timm", "xai-bench")
NOT_OURS = ("label", "checkpoint")  # fields of a trainer that say nothing of the model, or not enough


class Made(NamedTuple):
    """One trained model of a suite."""

    label: str
    seed: int
    path: Path
    figures: Mapping[str, float]  # of the last epoch
    held_out: Mapping[str, float]  # accuracy by data set


def train_suite(
    suite: TrainSuite | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    device: str | None = None,
    progress: bool = True,
) -> list[Made]:
    """Train every model of a suite from every seed, into a folder that one process at a time may fill.

    The suite may be its file, its table, or itself. Files are LABEL-seedSEED.safetensors, each of which
    `load_model(path)` loads, and history.csv. A second start trains what is missing, and goes on with what was killed
    from its last whole epoch; one with another configuration of a model that is there is refused.
    """
    wanted = _suite(suite)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder, "training folder")
    except OSError as error:
        raise TrainingError(f"training folder {str(folder)!r} cannot be written: {error.strerror}") from error
    try:
        return _Job(wanted, Folder(folder), device or wanted.device, progress=progress).run()
    finally:
        lock.release()


def _suite(given: TrainSuite | Mapping[str, Any] | str | Path) -> TrainSuite:
    match given:
        case TrainSuite():
            return given
        case Mapping():
            return TrainSuite.of(given)
    return TrainSuite.read(Path(given))


class _Job:
    """One suite, its data loaded, in one folder."""

    def __init__(self, suite: TrainSuite, folder: Folder, device: str, *, progress: bool) -> None:
        self.suite, self.folder, self.device, self.progress = suite, folder, str(find_device(device)), progress
        self.data = suite.load(suite.data)
        self.held_out = {data.name: data for data in map(suite.load, suite.held_out)}
        self.configurations = {entry.label: _configuration(entry, suite, self.data) for entry in suite.models}

    def run(self) -> list[Made]:
        self._check()
        return [self._made(entry, seed) for seed in self.suite.seeds for entry in self.suite.models]

    def _check(self) -> None:
        """Refuse whatever is wrong before the first step of training."""
        if len(self.held_out) < len(self.suite.held_out):
            raise InvalidValueError(f"held_out names a data set twice: {', '.join(self.held_out)}")
        for data in self.held_out.values():
            if data.classes != self.data.classes:
                raise DataError(
                    f"held-out data {data.name!r} have other classes than {self.data.name!r}: "
                    f"{_listed(data.classes)}, not {_listed(self.data.classes)}"
                )
        for entry in self.suite.models:
            check_trainable(entry.trainer, self.data, entry.recipe)
            self.folder.check(entry.label, self.configurations[entry.label])
        classes, size = len(self.data.classes), self.data.preprocessing.size
        drawn: dict[str, Mapping[str, Tensor]] = {}
        with torch.random.fork_rng(devices=[]):
            for entry in self.suite.models:
                model = entry.trainer.build(Start(classes, size, drawn.get(entry.trainer.backbone_of)))
                check_fitting(entry.trainer, model)
                drawn[entry.label] = entry.trainer.trunk(model.module).state_dict()

    def _made(self, entry: Entry, seed: int) -> Made:
        path = self.folder.weights(entry.label, seed)
        facts = self.folder.finished(entry.label, seed)
        if facts is None:
            facts = self._trained(entry, seed)
        elif missing := [name for name in self.held_out if name not in facts["held_out"]]:
            model = load_model(path, device=self.device)
            found = {name: self._accuracy(model, self.held_out[name]) for name in missing}
            facts = {**facts, "held_out": {**facts["held_out"], **found}}
            self.folder.finish(model, entry.trainer.keywords(len(self.data.classes)), facts)
        return Made(entry.label, seed, path, facts["epochs"][-1]["figures"], facts["held_out"])

    def _trained(self, entry: Entry, seed: int) -> Facts:
        configuration = self.configurations[entry.label]
        memory = Memory(
            self.folder.memory(entry.label, seed),
            {"configuration": configuration, "seed": seed},
            after=lambda epochs: self.folder.note(entry.label, seed, epochs, configuration),
        )
        model, epochs = train(
            entry.trainer,
            self.data,
            replace(entry.recipe, seed=seed),
            backbone=self._backbone(entry, seed),
            keeper=memory,
            device=self.device,
            workers=self.suite.workers,
            progress=self.progress,
        )
        facts = {
            "configuration": configuration,
            "seed": seed,
            "epochs": [epoch._asdict() for epoch in epochs],
            "held_out": {name: self._accuracy(model, data) for name, data in self.held_out.items()},
            "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "device": _device_name(self.device),
        }
        self.folder.finish(model, entry.trainer.keywords(len(self.data.classes)), facts)
        return facts

    def _backbone(self, entry: Entry, seed: int) -> Mapping[str, Tensor] | None:
        """The trained weights of the model whose backbone this one takes, from the same seed."""
        if not (giver := entry.trainer.backbone_of):
            return None
        other = next(one for one in self.suite.models if one.label == giver)
        model = load_model(self.folder.weights(giver, seed), device="cpu")
        return other.trainer.trunk(model.module).state_dict()

    @torch.inference_mode()
    def _accuracy(self, model: VisionModel, data: Data) -> float:
        """Share of images whose highest logit is the label's."""
        feed, _ = feed_of(data, model, Unchanged(), workers=self.suite.workers)
        right = count = 0.0
        for lesson in feed.lessons(0, in_order(feed.count)):
            right += accuracy(model.module(lesson.inputs), lesson.labels).item() * len(lesson.labels)
            count += len(lesson.labels)
        return right / count


def _configuration(entry: Entry, suite: TrainSuite, data: Data) -> dict[str, Any]:
    """Everything that decides the weights but the seed and the machine, as JSON."""
    trainer, checkpoint = entry.trainer, entry.trainer.checkpoint
    own = {item.name: _plain(getattr(trainer, item.name)) for item in fields(trainer) if item.name not in NOT_OURS}
    recipe = {item.name: _plain(getattr(entry.recipe, item.name)) for item in fields(Recipe) if item.name != "seed"}
    return {
        "label": entry.label,
        "kind": trainer.card.name,
        "version": f"{VERSION}.{trainer.card.version}",
        **own,
        "checkpoint": file_digest(Path(checkpoint))[:12] if checkpoint and Path(checkpoint).is_file() else checkpoint,
        "recipe": recipe,
        "data": str(suite.data),
        "images": asdict(data.preprocessing),
        "fingerprint of the data": data.fingerprint,
    }


def _plain(value: Any) -> Any:
    """As JSON holds it."""
    return describe(value) if is_dataclass(value) else value


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{device} ({platform.machine()})"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
