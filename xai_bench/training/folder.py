"""The folder that a train suite fills: finished models, those that were begun, and what every epoch gave."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from xai_bench.adapters import VisionModel, save_model
from xai_bench.adapters.checkpoint import read_training
from xai_bench.errors import TrainingError
from xai_bench.training.ersm import collapsed
from xai_bench.training.loop import Epoch
from xai_bench.training.memory import read_memory
from xai_bench.whole import is_unfinished, write_whole

BEGUN = "begun"  # the room of trainings that have not finished
HISTORY = "history.csv"
COLUMNS = ("model", "seed", "epoch", "loss", "accuracy", "keep", "lr", "seconds", "collapsed")  # then a kind's own

Facts = Mapping[str, Any]  # JSON: configuration, seed, epochs, and of a finished model held_out, versions, device


class Folder:
    """Files are called LABEL-seedSEED.safetensors; each says itself how its model was, or is being, trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: dict[tuple[str, int], Facts] = {}
        self._sweep()
        for path in sorted(folder.glob("*-seed*.safetensors")):
            self._remember(read_training(path))
        for path in sorted((folder / BEGUN).glob("*-seed*.safetensors")):
            found, _ = read_memory(path)
            self._remember({**found["configuration"], "epochs": found["epochs"]})

    def weights(self, label: str, seed: int) -> Path:
        """Where a finished model is."""
        return self.folder / f"{label}-seed{seed}.safetensors"

    def memory(self, label: str, seed: int) -> Path:
        """Where one that was begun is."""
        return self.folder / BEGUN / f"{label}-seed{seed}.safetensors"

    def finished(self, label: str, seed: int) -> Facts | None:
        """What a finished model says of itself."""
        path = self.weights(label, seed)
        return read_training(path) if path.is_file() else None

    def check(self, label: str, configuration: Mapping[str, Any]) -> None:
        """Refuse a label that this folder holds a model of, from whatever seed, with another configuration."""
        for (known, _), facts in self._told.items():
            if known != label:
                continue
            old, new = _flat(facts["configuration"]), _flat(json.loads(json.dumps(configuration)))
            changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            if changed:
                raise TrainingError(
                    f"{str(self.folder)!r} holds a model {label!r} with {changed[0]} {old.get(changed[0])!r}, and now "
                    f"it is {new.get(changed[0])!r}; choose another --out, or give the model another label"
                )

    def finish(self, model: VisionModel, recipe: Mapping[str, Any], facts: Facts) -> Path:
        """Write a finished model, and forget how it was begun."""
        path = self.weights(facts["configuration"]["label"], facts["seed"])
        try:
            save_model(model, path, recipe=recipe, training=facts)
            self.memory(facts["configuration"]["label"], facts["seed"]).unlink(missing_ok=True)
            with suppress(OSError):  # others are in it
                (self.folder / BEGUN).rmdir()
        except OSError as error:
            raise TrainingError(f"{str(path)!r} cannot be written: {error.strerror}") from error
        self._remember(facts)
        self._write_history()
        return path

    def note(self, label: str, seed: int, epochs: Sequence[Epoch], configuration: Mapping[str, Any]) -> None:
        """Write down what the epochs so far gave."""
        self._told[label, seed] = {
            "configuration": configuration,
            "seed": seed,
            "epochs": [epoch._asdict() for epoch in epochs],
        }
        self._write_history()

    def _write_history(self) -> None:
        rows = [row for (label, seed), facts in sorted(self._told.items()) for row in _rows(label, seed, facts)]
        others = sorted({key for row in rows for key in row} - set(COLUMNS))
        text = io.StringIO()
        writer = csv.DictWriter(text, [*COLUMNS, *others], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        try:
            write_whole(self.folder / HISTORY, text.getvalue().encode())
        except OSError as error:
            raise TrainingError(f"{str(self.folder / HISTORY)!r} cannot be written: {error.strerror}") from error

    def _remember(self, facts: Facts) -> None:
        if "configuration" in facts and "seed" in facts:
            self._told[facts["configuration"]["label"], facts["seed"]] = facts

    def _sweep(self) -> None:
        """Take away what a killed process left half written, and the beginnings of what is finished."""
        for room in (self.folder, self.folder / BEGUN):
            for path in room.glob(".*"):
                if is_unfinished(path.name):
                    path.unlink(missing_ok=True)
        for path in (self.folder / BEGUN).glob("*.safetensors"):
            if (self.folder / path.name).is_file():
                path.unlink()


def _rows(label: str, seed: int, facts: Facts) -> Iterator[dict[str, Any]]:
    for number, epoch in enumerate(facts.get("epochs", ()), start=1):
        figures = epoch["figures"]
        rest = {"lr": epoch["lr"], "seconds": round(epoch["seconds"], 3)}
        keep = {"collapsed": collapsed(figures["keep"])} if "keep" in figures else {}
        yield {"model": label, "seed": seed, "epoch": number, **figures, **rest, **keep}


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """`{"recipe.lr": 0.1}` of `{"recipe": {"lr": 0.1}}`."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found
