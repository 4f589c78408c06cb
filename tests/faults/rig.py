"""What the fault harness stands on: jobs in forked children, and whether a run folder holds what it should.

This process imports once and computes nothing: whatever touches torch or Arrow runs in a child, so that it stays
without threads and may fork. A start costs a child milliseconds instead of seconds of imports.
"""

import importlib
import inspect
import multiprocessing
import os
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from ctypes import CDLL, byref, c_uint32, get_errno
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import tomli_w
import torch
from safetensors.torch import load_file

import xai_bench as xb
from xai_bench.adapters.checkpoint import read_training
from xai_bench.cli import cli, main
from xai_bench.errors import XaiBenchError
from xai_bench.training import CollapseWarning, train_suite
from xai_bench.training.memory import read_memory

torch.set_num_threads(1)  # before any operation: threads do not survive a fork

FORK = multiprocessing.get_context("fork")
TINY = {"name": "torch:breaking:tiny", "input_size": 32, "layer": "0"}
JOB: dict[str, Any] = {
    "models": [{**TINY, "label": "narrow"}, {**TINY, "label": "wide", "width": 8}],
    "explainers": ["gradcam", "random"],
    "metrics": [{"name": "deletion", "steps": 2}, "top1", {"name": "class_entropy", "steps": 2}],
    "data": [{"name": "planted", "split": "test", "n": 60, "size": 32, "batch_size": 2}],
    "device": "cpu",
    "seed": 0,
}
# Everything a training may forget: moments, batch norms that drift, dropped paths, augmentation, a rate that moves.
TRAINING: dict[str, Any] = {
    "data": {"name": "planted", "n": 24, "size": 32},
    "recipe": {"batch_size": 8, "epochs": 6, "augment": "light", "warmup": 0.3},
    "models": [
        {"kind": "plain", "factory": {"drop_path_rate": 0.3}},
        {"kind": "ersm", "backbone_of": "plain", "finetune": True, "recipe": {"backbone_lr": 0.5}},
    ],
    "device": "cpu",
}
UNITS = 60  # of the job: 2 models x 30 batches
CELL = ("data", "model", "explainer", "metric", "sample")


def few(batches: int, **changed: Any) -> dict[str, Any]:
    """The job with fewer batches, so with twice as many units as there are batches."""
    return {**JOB, "data": [{**JOB["data"][0], "n": 2 * batches}], **changed}


class Answer(NamedTuple):
    """What a child gave: a value, or an error's sentence. `wanted` says that the package raised it on purpose."""

    value: Any = None
    error: str = ""
    kind: str = ""
    wanted: bool = False
    trace: str = ""


def started(work: Callable[..., Any], *given: Any) -> BaseProcess:
    """A child that does the work and gives nothing back."""
    child = FORK.Process(target=work, args=given)
    child.start()
    return child


def asking(work: Callable[..., Any], *given: Any) -> tuple[BaseProcess, Connection]:
    """A child that does the work and will tell what it gave."""
    receiver, sender = FORK.Pipe(duplex=False)
    child = started(_answering, sender, work, given)
    sender.close()
    return child, receiver


def told(child: BaseProcess, receiver: Connection) -> Answer:
    """What the child gave, when it is done."""
    try:
        found: Answer = receiver.recv()
    except EOFError:
        found = Answer(error="the child died without a word", kind="death")
    child.join()
    return found


def answer(work: Callable[..., Any], *given: Any) -> Answer:
    """What the work gives in a child."""
    return told(*asking(work, *given))


def _answering(sender: Connection, work: Callable[..., Any], given: Sequence[Any]) -> None:
    try:
        found = Answer(work(*given))
    except Exception as error:  # noqa: BLE001 - carried over to the parent
        kind, wanted = type(error).__name__, isinstance(error, XaiBenchError)
        found = Answer(error=str(error), kind=kind, wanted=wanted, trace=traceback.format_exc())
    sender.send(found)


def value(work: Callable[..., Any], *given: Any) -> Any:
    """What the work gives in a child; an error there is one here."""
    found = answer(work, *given)
    if found.error:
        raise RuntimeError(f"{found.kind}: {found.error}\n{found.trace}")
    return found.value


def warmed() -> None:
    """Import here what a whole run imports, so that no child has to."""
    before = set(sys.modules)
    with tempfile.TemporaryDirectory() as folder:
        modules = value(_modules_of_a_run, Path(folder))
    for name in modules - before:
        importlib.import_module(name)
    xb.load_data(**JOB["data"][0]).batch(0, UNITS)  # numpy alone; it remembers the shapes it drew


def _modules_of_a_run(folder: Path) -> set[str]:
    evaluate(folder / "run", few(1))
    train(folder / "models", {**TRAINING, "recipe": {**TRAINING["recipe"], "epochs": 1}})
    own = {"__main__", "__mp_main__"}
    return {name for name, module in sys.modules.items() if getattr(module, "__file__", None)} - own


def evaluate(folder: Path | None, job: Mapping[str, Any] = JOB, **more: Any) -> Any:
    """The job through Python; a fixed chunk, where there is one to fix, makes numbers comparable bit for bit."""
    fixed = {"chunk": 8} if "chunk" in takes() else {}
    results = xb.evaluate(**{**job, **fixed, **more}, out=folder, progress=False)
    return len(results.scores)


def train(folder: Path, suite: Mapping[str, Any] = TRAINING) -> int:
    """The training suite through Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)  # it is too short to learn anything
        return len(train_suite(suite, folder, progress=False))


def trained(folder: Path) -> dict[str, bytes]:
    """Every weight of every finished model, byte for byte, and the figures of every epoch."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(path).items():
            found[f"{path.name} {name}"] = tensor.numpy().tobytes()
    history = pd.read_csv(folder / "history.csv").drop(columns="seconds")
    return found | {f"history.csv {row}": repr(tuple(row)).encode() for row in history.itertuples(index=False)}


def differing(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    """How many weights or figures are not those that were wanted, with one of them."""
    names = sorted(key for key in {**found, **wanted} if found.get(key) != wanted.get(key))
    return [f"{len(names)} of {len(wanted)} weights and figures differ, such as {names[0]}"] if names else []


def epochs_done(folder: Path) -> int:
    """Whole epochs of all models that the files of a training hold."""
    begun = sum(len(read_memory(path)[0]["epochs"]) for path in (folder / "begun").glob("*.safetensors"))
    return begun + sum(len(read_training(path)["epochs"]) for path in folder.glob("*.safetensors"))


def takes() -> Mapping[str, inspect.Parameter]:
    """The parameters of evaluate."""
    return inspect.signature(xb.evaluate).parameters


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def refused(self) -> bool:
        """Bad input, told in one sentence, below a line or two of how to call the command where that was wrong."""
        usage, _, sentence = self.err.rpartition("rror: ")
        return self.code == 2 and "Traceback" not in usage and usage.count("\n") < 4 and sentence.count("\n") == 1


def command(folder: Path, job: Mapping[str, Any] = JOB, *flags: str) -> Said:
    """The job through `xai-bench run` in this process, which is a child's."""
    with tempfile.TemporaryDirectory() as place:
        suite = Path(place) / "suite.toml"
        fixed = {"chunk": 8} if "chunk" in takes() else {}
        suite.write_text(tomli_w.dumps({**job, **fixed}))
        return _cli("run", str(suite), "--out", str(folder), "--quiet", *flags)


def verified(folder: Path) -> Said | None:
    """What `xai-bench runs verify` says, where there is such a command."""
    return _cli("runs", "verify", str(folder)) if "runs" in cli.commands else None


def collected(folder: Path) -> Said:
    """What `xai-bench runs gc` says."""
    return _cli("runs", "gc", str(folder))


def _cli(*arguments: str) -> Said:
    sys.argv = ["xai-bench", *arguments]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        code = _exit_code()
        sys.stdout.flush()
        out.seek(0)
        err.seek(0)
        return Said(code, out.read(), err.read())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def humble() -> None:
    """Give up root's right to read and write everything (in a child), so that permissions count."""
    if os.geteuid() == 0:
        header, none = (c_uint32 * 2)(0x20080522, 0), (c_uint32 * 6)()
        if CDLL(None, use_errno=True).capset(byref(header), byref(none)):
            raise OSError(get_errno(), "capset")


@dataclass(frozen=True)
class Holding:
    """What a run folder holds, byte for byte."""

    scores: Mapping[Any, Any]  # cell -> target, reason, bytes of score and error
    curves: Mapping[Any, Any]  # cell and fraction -> bytes of the value
    maps: Mapping[Any, Any]  # image, model and explainer -> bytes of the map
    doubled: Sequence[Any]  # cells with more than one row, points that are there twice
    left: Sequence[str]  # files that no finished run has


def holding(folder: Path) -> Holding:
    """Read a run folder, both through the package and as plain files."""
    results = xb.load_results(folder)
    files = [pd.read_parquet(path) for path in sorted((folder / "scores").glob("*.parquet"))]
    raw = Counter(zip(*(pd.concat(files)[name] for name in CELL), strict=True))
    scores, curves = results.scores, results.curves
    cells = list(zip(*(scores[name] for name in CELL), strict=True))
    numbers = [scores[name].to_numpy("f8") for name in ("score", "error") if name in scores]
    rows = zip(scores["target"], scores["reason"], *([x.tobytes() for x in column] for column in numbers), strict=True)
    points = list(zip(*(curves[name] for name in (*CELL, "fraction")), strict=True))
    counts = (raw, Counter(cells), Counter(points))
    return Holding(
        scores=dict(zip(cells, rows, strict=True)),
        curves=dict(zip(points, (point.tobytes() for point in curves["value"].to_numpy("f8")), strict=True)),
        maps={
            (panel.sample, *key): pixels.tobytes()
            for panel in results.run.gallery
            for key, pixels in panel.maps.items()
        },
        doubled=[key for count in counts for key, times in count.items() if times > 1],
        left=leftovers(folder),
    )


def leftovers(folder: Path) -> list[str]:
    """Temporary and lock files."""
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*"))]
    return [str(name) for name in names if name.name.startswith(".") or "lock" in name.name or "tmp" in name.suffix]


def finished_units(folder: Path) -> int:
    """Files of scores."""
    rooms = folder / "scores"
    return sum(path.suffix == ".parquet" and path.stem != "set" for path in rooms.iterdir()) if rooms.is_dir() else 0


def problems(found: Holding, wanted: Holding) -> list[str]:
    """What is lost, doubled, left behind or different, one sentence each; nothing where all is well."""
    said = [f"{len(found.doubled)} doubled, such as {found.doubled[0]}"] if found.doubled else []
    said += [f"left behind: {', '.join(found.left[:3])}"] if found.left else []
    for name in ("scores", "curves", "maps"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        for words, keys in (
            ("lost", theirs.keys() - ours.keys()),
            ("that should not be there", ours.keys() - theirs.keys()),
            ("different", {key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]}),
        ):
            if keys:
                said.append(f"{len(keys)} of {len(theirs)} {name} {words}, such as {min(keys, key=str)}")
    return said


def broken(folder: Path, wanted: Holding) -> list[str]:
    """Problems of a run folder that should be whole."""
    found = answer(holding, folder)
    if found.error:
        return [f"cannot be read: {found.error}"]
    said = answer(verified, folder).value
    return problems(found.value, wanted) + ([f"verify: {said.err or said.out}"] if said and said.code else [])
