"""Tries to break runs: kills them, fills the disk, damages files. `make faults` prints one line per fault.

    python tests/faults/harness.py --kills 200 [FAULT ...]

Exits with 1 where anything was lost. Everything goes through the public API or the command line.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from breaking import MARKER
from rig import (
    JOB,
    TINY,
    UNITS,
    Holding,
    Said,
    answer,
    asking,
    broken,
    collected,
    command,
    differing,
    epochs_done,
    evaluate,
    few,
    finished_units,
    holding,
    humble,
    leftovers,
    problems,
    started,
    takes,
    told,
    train,
    trained,
    value,
    verified,
    warmed,
)

from xai_bench.cli import cli
from xai_bench.errors import RunError


@dataclass
class Verdict:
    """What came of one fault: what was wrong, one sentence each, and what was seen."""

    wrong: list[str] = field(default_factory=list)
    seen: str = ""
    skipped: str = ""

    def __str__(self) -> str:
        word = "skip" if self.skipped else "LOST" if self.wrong else "ok"
        return f"{word:4}  " + (self.skipped or "; ".join(self.wrong) or self.seen)


AT_MOST = 3  # images that a hungry model takes at a time


class Skipped(Exception):
    """A fault that cannot be made here."""


@dataclass
class Bench:
    """Where faults are made: an empty folder, how many kills, and chance."""

    room: Path
    kills: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._made = 0

    def place(self) -> Path:
        """A path that nothing is at."""
        self._made += 1
        return self.room / f"run{self._made}"

    def undisturbed(self, job: Mapping[str, Any]) -> tuple[Path, Holding]:
        """A run that nothing happened to, and what it holds."""
        folder = self.place()
        value(evaluate, folder, job)
        return folder, value(holding, folder)

    @property
    def thorough(self) -> bool:
        """Whether seconds do not count."""
        return self.kills > 50

    @cached_property
    def small(self) -> tuple[Path, Holding]:
        """Six units, undisturbed."""
        return self.undisturbed(few(3))

    @cached_property
    def more(self) -> tuple[Path, Holding]:
        """The small run with a metric more, undisturbed."""
        return self.undisturbed(more())

    def copy(self) -> Path:
        """A copy of the small run."""
        folder = self.place()
        shutil.copytree(self.small[0], folder)
        return folder


def refusal(said: Any, *words: str) -> list[str]:
    """What is wrong with a refusal that should be one sentence with these words."""
    if isinstance(said, Said):
        clear, sentence = said.refused, said.err or f"exit {said.code}"
    else:
        clear, sentence = said.wanted and "\n" not in said.error.strip(), said.error or "it was not refused"
    lacking = [word for word in words if not re.search(word, sentence, re.IGNORECASE)]
    if clear and not lacking:
        return []
    # the last line of a traceback says most
    shown = sentence.strip().splitlines()[-1] if sentence.strip() else "it was not refused"
    return [f"not one sentence with {', '.join(map(repr, words))}: {shown[:300]}"]


def finished(folder: Path, wanted: Holding, job: Mapping[str, Any]) -> list[str]:
    """What is wrong with a run that is started again and should become whole."""
    again = answer(evaluate, folder, job)
    return [f"cannot go on: {again.error}"] if again.error else broken(folder, wanted)


# --- kills


def killed(bench: Bench) -> Verdict:
    """SIGKILL at random instants: while it starts, at any number of finished units, while it ends."""
    undisturbed, wanted = bench.undisturbed(JOB)
    pace = _Pace.of(undisturbed)
    verdict, at, runs = Verdict(), list[int](), 0
    while len(at) < bench.kills:
        folder, runs = bench.place(), runs + 1
        at += _killed_until_whole(folder, pace, bench, verdict)
        verdict.wrong += [f"run {runs}: {sentence}" for sentence in broken(folder, wanted)]
        shutil.rmtree(folder, ignore_errors=True)
    started_, ended = sum(count == 0 for count in at), sum(count >= UNITS for count in at)
    inside = len(at) - started_ - ended
    verdict.seen = (
        f"{len(at)} kills in {runs} runs: {started_} before the first unit, {inside} inside, {ended} after the last"
    )
    if not inside:
        verdict.wrong.append(f"no kill landed inside a run: at {at}")
    return verdict


@dataclass(frozen=True)
class _Pace:
    """How long the parts of a run take, in seconds."""

    start: float
    unit: float
    end: float

    @classmethod
    def of(cls, folder: Path) -> "_Pace":
        born, *units = sorted(path.stat().st_mtime for path in [folder / "suite.toml", *_unit_files(folder)])
        end = (folder / "scores" / "set.parquet").stat().st_mtime - units[-1]
        return cls(2 * (units[0] - born), (units[-1] - units[0]) / (len(units) - 1), 2 * end)


def _unit_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "scores").glob("*.parquet") if path.stem != "set"]


def _killed_until_whole(folder: Path, pace: _Pace, bench: Bench, verdict: Verdict) -> list[int]:
    """Start, kill, start again, until a start ends by itself; at how many finished units each kill came."""
    at: list[int] = []
    parts = iter(("start", "inside", "inside", "inside", "end", "end")[: bench.kills])
    while True:
        child = started(evaluate, folder)
        if part := next(parts, ""):
            _wait_for_the_moment(child, folder, pace, bench, part)
            child.kill()
        child.join()
        if child.exitcode != -signal.SIGKILL:
            if child.exitcode:
                verdict.wrong.append(f"a start after {len(at)} kills ended with {child.exitcode}")
            return at
        at.append(finished_units(folder))


def _wait_for_the_moment(child: Any, folder: Path, pace: _Pace, bench: Bench, part: str) -> None:
    """Until a random moment of this part of the run; a busy machine's files tell the time better than its clock."""
    chance, done = bench.chance, finished_units(folder)
    goal = {"start": 0, "inside": chance.randint(done, max(done, done + (UNITS - done) // 2)), "end": UNITS}[part]
    while child.is_alive() and finished_units(folder) < goal:
        time.sleep(pace.unit / 20)
    longest = {"start": pace.start, "inside": 2 * pace.unit, "end": pace.end}[part]
    child.join(chance.uniform(0, longest))


def killed_before_each_step(bench: Bench) -> Verdict:
    """SIGKILL just before the n-th opening, renaming or removing of a file in the run folder, for every n."""
    return _killed_at_steps(bench, bench.place, evaluate, few(3))


def killed_while_collecting(bench: Bench) -> Verdict:
    """The same while `xai-bench runs gc` merges many files into few."""
    if "runs" not in cli.commands:
        raise Skipped("there is no command `runs`")
    return _killed_at_steps(bench, bench.copy, collected)


def _killed_at_steps(bench: Bench, place: Callable[[], Path], work: Callable[..., Any], *given: Any) -> Verdict:
    """Kill the work on a place at some or all of its steps, and go on with the run."""
    steps, wanted = value(_steps, place(), -1, work, *given), bench.small[1]
    chosen = range(steps) if bench.thorough else sorted(bench.chance.sample(range(steps), min(steps, bench.kills)))
    verdict = Verdict(seen=f"{len(chosen)} of {steps} steps")
    for step in chosen:
        folder = place()
        child = started(_steps, folder, step, work, *given)
        child.join()
        if child.exitcode != -signal.SIGKILL:
            verdict.wrong.append(f"step {step} was not reached: exit {child.exitcode}")
        if work is collected:  # what it left only it takes away
            value(collected, folder)
        verdict.wrong += [f"step {step}: {sentence}" for sentence in finished(folder, wanted, few(3))]
    return verdict


def _steps(folder: Path, deadly: int, work: Callable[..., Any], *given: Any) -> int:
    """Count the steps of some work on a folder; die at one of them."""
    count, counting = 0, True

    def step(event: str, of: tuple[Any, ...]) -> None:
        nonlocal count
        if not counting or event not in ("open", "os.rename", "os.remove", "os.mkdir") or str(folder) not in str(of[0]):
            return
        if event == "open" and of[1] in ("r", "rb"):
            return
        if count == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    sys.addaudithook(step)
    work(folder, *given)
    counting = False
    return count


def interrupted(bench: Bench) -> Verdict:
    """Ctrl-C: exit 130, one sentence, and the next start goes on."""
    folder, wanted = bench.place(), bench.small[1]
    said = answer(_interrupted, folder, few(3)).value
    wrong = [] if said and said.code == 130 and said.err.strip().count("\n") == 0 else [f"Ctrl-C ended with {said}"]
    wrong += [f"left behind: {name}" for name in leftovers(folder)]
    return Verdict(wrong + finished(folder, wanted, few(3)), "exit 130, one sentence")


def _interrupted(folder: Path, job: Mapping[str, Any]) -> Said:
    me = os.getpid()
    if os.fork() == 0:
        while finished_units(folder) < 2:
            time.sleep(0.001)
        os.kill(me, signal.SIGINT)
        os._exit(0)
    return command(folder, job)


def two_at_once(bench: Bench) -> Verdict:
    """A second process on the folder is refused while the first lives, and goes through once it was killed."""
    folder, (_, wanted) = bench.place(), bench.undisturbed(few(6))
    first = started(evaluate, folder, few(6))
    while finished_units(folder) < 2 and first.is_alive():
        time.sleep(0.001)
    os.kill(first.pid or 0, signal.SIGSTOP)
    second = value(command, folder, few(6))
    through_python = answer(evaluate, folder, few(6))
    os.kill(first.pid or 0, signal.SIGKILL)
    first.join()
    wrong = refusal(second, re.escape(str(folder)), "process|run|use") + refusal(through_python, re.escape(str(folder)))
    return Verdict(wrong + finished(folder, wanted, few(6)), second.err.strip())


def many_at_once(bench: Bench) -> Verdict:
    """Many processes start on one folder in the same moment: one works, the others are refused or find it done."""
    folder, wanted = bench.place(), bench.small[1]
    asked = [asking(evaluate, folder, few(3)) for _ in range(8)]
    found = [told(*each) for each in asked]
    refused = [each for each in found if each.error]
    wrong = [line for each in refused for line in refusal(each, re.escape(str(folder)), "in use")]
    wrong += [] if len(refused) < len(found) else ["nobody finished"]
    return Verdict(wrong[:3] + broken(folder, wanted), f"{len(refused)} of {len(found)} were refused")


def killed_in_training(bench: Bench) -> Verdict:
    """SIGKILL at random instants of `train`: the weights are, bit for bit, those of a training nobody disturbed."""
    calm = bench.place()
    began = time.perf_counter()
    value(train, calm)
    whole = time.perf_counter() - began
    wanted, verdict, at, runs = value(trained, calm), Verdict(), list[int](), 0
    while len(at) < min(bench.kills, 20):
        folder, runs = bench.place(), runs + 1
        while True:
            child = started(train, folder)
            if len(at) < min(bench.kills, 20):
                child.join(bench.chance.uniform(0, whole))
                child.kill()
            child.join()
            if child.exitcode != -signal.SIGKILL:
                break
            at.append(answer(epochs_done, folder).value or 0)
        verdict.wrong += [] if child.exitcode == 0 else [f"run {runs} ended with {child.exitcode}"]
        verdict.wrong += [f"run {runs}: {line}" for line in differing(value(trained, folder), wanted)]
        verdict.wrong += [f"run {runs}: left behind {name}" for name in leftovers(folder)]
        verdict.wrong += [f"run {runs}: half a training is left"] if (folder / "begun").exists() else []
    verdict.seen = f"{len(at)} kills in {runs} runs, after {', '.join(map(str, at))} whole epochs"
    return verdict


# --- the disk


def disk_full(bench: Bench) -> Verdict:
    """A file system without space, at the first file and in the middle; with space the run goes on."""
    wanted = bench.small[1]
    wrong: list[str] = []
    said = Said(0, "", "")
    for size in ("4k", "24k", "64k") if bench.thorough else ("4k", "64k"):
        with _file_system(bench.place(), size) as disk:
            folder = disk / "run"
            said = value(command, folder, few(3))
            wrong += [f"{size}: {sentence}" for sentence in refusal(said, re.escape(str(disk)), "full|space")]
            wrong += [f"{size}: left behind {name}" for name in leftovers(disk)]
            if finished_units(folder):
                read = answer(holding, folder)
                wrong += [f"{size}: half a file: {read.error}"] if read.error else []
            _mount(disk, "remount,size=20m")
            wrong += [f"{size}: {sentence}" for sentence in finished(folder, wanted, few(3))]
    return Verdict(wrong, said.err.strip())


def disk_full_at_the_report(bench: Bench) -> Verdict:
    """A file system with room for the scores but not for the report: one sentence, and the scores are whole."""
    size = sum(len(content) + 4096 for content in _tree(bench.small[0]).values()) // 1024 + 64
    with _file_system(bench.place(), f"{size}k") as disk:
        folder = disk / "run"
        shutil.copytree(bench.small[0], folder)
        said = value(command, folder, few(3))
        wrong = refusal(said, re.escape(str(folder)), "full|space", "report")
        wrong += [f"left behind {path.name}" for path in folder.glob("report*")]
        return Verdict(wrong + broken(folder, bench.small[1]), said.err.strip())


@contextmanager
def _file_system(at: Path, size: str) -> Iterator[Path]:
    at.mkdir()
    if os.geteuid() or _mount(at, f"size={size}"):
        raise Skipped("mounting a small file system is not allowed here")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def _mount(at: Path, options: str) -> int:
    asked = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)]
    return subprocess.run(asked, check=False, capture_output=True).returncode if shutil.which("mount") else 1


def file_too_large(bench: Bench) -> Verdict:
    """A limit on the size of files, as a quota has it."""
    folder, wanted = bench.place(), bench.small[1]
    said = value(_limited, folder)
    wrong = refusal(said, re.escape(str(folder))) + [f"left behind {name}" for name in leftovers(folder)]
    return Verdict(wrong + finished(folder, wanted, few(3)), said.err.strip())


def _limited(folder: Path) -> Said:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    return command(folder, few(3))


def no_permission(bench: Bench) -> Verdict:
    """A folder that may not be written, one that may not be read, and one file that may not be read."""
    wanted, wrong = bench.small[1], []
    barred: Mapping[str, Callable[[Path], Sequence[tuple[Path, int]]]] = {
        "a parent that is read-only": lambda run: [(run.parent, 0o555)],
        "a read-only folder": lambda run: [(part, 0o555) for part in (run / "scores", run / "curves", run)],
        "an unreadable folder": lambda run: [(run, 0o000)],
        "an unreadable file": lambda run: [(_unit_files(run)[0], 0o000)],
    }
    said = Said(0, "", "")
    for what, bars in barred.items():
        run = bench.place() / "run"
        run.parent.mkdir()
        if what != "a parent that is read-only":
            shutil.copytree(bench.small[0], run)
            _lose_a_unit(run)
        before = _tree(run)
        for path, mode in bars(run):
            path.chmod(mode)
        said = value(_humbly, run)
        for path, _ in reversed(bars(run) if what != "an unreadable folder" else [(run, 0)]):
            path.chmod(0o755)
        wrong += [f"{what}: {sentence}" for sentence in refusal(said, re.escape(str(run)), "permission|read|writ")]
        wrong += [f"{what}: called damaged, which would have one remove it"] if "damaged" in said.err else []
        wrong += [f"{what}: the folder changed"] if _tree(run) != before else []
        wrong += [f"{what}: {sentence}" for sentence in finished(run, wanted, few(3))]
    return Verdict(wrong, said.err.strip())


def _humbly(folder: Path) -> Said:
    humble()
    return command(folder, few(3))


def _lose_a_unit(run: Path) -> None:
    victim = _unit_files(run)[-1].stem
    for path in run.glob(f"*/{victim}.*"):
        path.unlink()


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- damage


def damaged_files(bench: Bench) -> Verdict:
    """Files cut short, emptied or with flipped bytes are named, with what to do; doing just that repairs the run."""
    cases = [(room, what) for room in DAMAGED if _first(bench.small[0] / room) for what in DAMAGED[room]]
    verdict = Verdict()
    for room, what in cases if bench.thorough else cases[:: len(cases) // 5]:
        run = bench.copy()
        victim = _first(run / room)
        assert victim is not None
        victim.write_bytes(DAMAGES[what](victim.read_bytes()))
        job, wanted = (more(), bench.more[1]) if room == "maps" else (few(3), bench.small[1])
        reads = READS.get(room, (evaluate, holding))
        answers = [answer(read, run, *([job] if read is evaluate else [])) for read in reads]
        wrong = _unnamed(run, victim)
        for found in answers:
            wrong += refusal(found, re.escape(victim.name), "remove|delete|run the suite again")
        if not wrong:
            verdict.seen = answers[0].error
            wrong = finished(_do_as_told(verdict.seen, run), wanted, job)
        verdict.wrong += [f"{what} {room}: {line}" for line in dict.fromkeys(wrong)]
    return verdict


# pictures are read where they are asked for, maps where a new metric wants them
READS: Mapping[str, Sequence[Callable[..., Any]]] = {"gallery": (holding,), "maps": (evaluate,)}


def more() -> dict[str, Any]:
    """The small job with a metric that can be computed from maps that were kept."""
    return few(3, metrics=[*JOB["metrics"], {"name": "insertion", "steps": 2}])


def _first(path: Path) -> Path | None:
    """The file, or the first one in the folder; None where there is none."""
    return path if path.is_file() else next(iter(sorted(path.glob("*"))), None)


def _unnamed(run: Path, victim: Path) -> list[str]:
    """What is wrong with how `xai-bench runs verify` speaks of a damaged file, where there is that command."""
    said: Said | None = answer(verified, run).value
    if said is None or (said.code and victim.name in said.out + said.err and "Traceback" not in said.err):
        return []
    return [f"verify ended with {said.code}: {(said.out + said.err)[-200:]}"]


DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "cut to 3 bytes": lambda content: content[:3],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut at the end": lambda content: content[:-4],
    "flipped": lambda content: b"".join(
        bytes([byte ^ 0x10]) if place % 97 == 50 else bytes([byte]) for place, byte in enumerate(content)
    ),
}
DAMAGED: Mapping[str, Sequence[str]] = {
    "scores": tuple(DAMAGES),
    "curves": ("emptied", "cut in half"),
    "gallery": ("emptied", "cut in half", "cut at the end"),
    "maps": ("emptied", "cut in half", "cut at the end"),
    "run.json": ("emptied", "cut in half"),
}


def _do_as_told(sentence: str, run: Path) -> Path:
    """What the refusal says, to the letter; where to go on."""
    if files := re.search(r"remove the files called '([^']+)' in scores, curves", sentence):
        for path in run.glob(f"*/{files[1]}.*"):
            path.unlink()
    return run.with_name(f"{run.name}-new") if "run the suite again into a new folder" in sentence else run


def flipped_bits(bench: Bench) -> Verdict:
    """A flipped bit in a file that is read is refused or harmless; another number is never given without verify's no.

    Pages have checksums that are looked at in passing; footers have none, and only verify compares what they say.
    """
    count = 10 * bench.kills
    places = [bench.chance.random() for _ in range(count)]
    silent = value(_silent_flips, bench.copy(), bench.small[1], places)
    return Verdict([f"{len(silent)} of {count} flips told lies: {silent[0]}"] if silent else [], f"{count} single bits")


def _silent_flips(run: Path, wanted: Holding, places: Sequence[float]) -> list[str]:
    files = [path for room in ("scores", "curves", "gallery") for path in sorted((run / room).glob("*"))[:2]]
    silent = []
    for number, place in enumerate(places):
        victim = files[number % len(files)]
        content = victim.read_bytes()
        victim.write_bytes(_flipped(content, place))
        try:
            changed = problems(holding(run), wanted)
            changed = [] if changed and _unnamed(run, victim) == [] and "runs" in cli.commands else changed
        except RunError:
            changed = []
        except Exception as error:  # noqa: BLE001 - of any kind: only one sentence will do
            changed = [f"{type(error).__name__}: {error}"]
        silent += [f"{victim.parent.name} at {place:.3f} of it: {changed[0]}"] if changed else []
        victim.write_bytes(content)
    return silent


def flipped_bits_in_maps(bench: Bench) -> Verdict:
    """The same for maps that were kept: a metric that comes later is computed from them."""
    silent, count = [], min(bench.kills, 50)
    if not list((bench.small[0] / "maps").glob("*")):
        raise Skipped("no maps are kept")
    for _ in range(count):
        run, place = bench.copy(), bench.chance.random()
        victim = sorted((run / "maps").glob("*"))[0]
        victim.write_bytes(_flipped(victim.read_bytes(), place))
        found = answer(evaluate, run, more())
        changed = refusal(found, re.escape(victim.name)) if found.error else broken(run, bench.more[1])
        silent += [f"at {place:.3f} of it: {changed[0]}"] if changed else []
    return Verdict([f"{len(silent)} of {count} flips told lies: {silent[0]}"] if silent else [], f"{count} single bits")


def _flipped(content: bytes, place: float) -> bytes:
    at = int(place * len(content))
    return content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]


def corrupt_images(bench: Bench) -> Verdict:
    """Pictures that cannot be read are undefined with a reason; the others score as if those were not there."""
    good, bad = bench.place(), bench.place()
    value(_pictures, good)
    shutil.copytree(good, bad)
    whole = (good / "a" / "0.jpg").read_bytes()
    for name, content in (("cut.jpg", whole[: len(whole) // 2]), ("none.png", b""), ("text.png", b"not a picture")):
        (bad / "b" / name).write_bytes(content)
    runs = bench.place(), bench.place()
    for run, pictures in zip(runs, (good, bad), strict=True):
        value(evaluate, run, _of_folder(pictures))
    alone, mixed = (value(_scores, run) for run in runs)
    lost = {key: row for key, row in mixed.items() if key[-1].rpartition("/")[2] in ("cut.jpg", "none.png", "text.png")}
    wrong = [f"{key} has score {row}" for key, row in lost.items() if row[0] is not None or not row[1]]
    wrong += [f"{key} changed: {row}, now {mixed.get(key)}" for key, row in alone.items() if mixed.get(key) != row]
    wrong += [] if len(lost) == 2 * 3 * 3 else [f"{len(lost)} rows of 3 unreadable pictures"]
    wrong += finished(runs[1], value(holding, runs[1]), _of_folder(bad))
    return Verdict(wrong, next(iter(lost.values()))[1] if lost else "")


def _of_folder(pictures: Path) -> dict[str, Any]:
    data = [{"name": "folder", "path": str(pictures), "label": "pictures", "batch_size": 1, "size": 32}]
    return {**JOB, "data": data, "metrics": JOB["metrics"][:2]}


def _pictures(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "ab"[number % 2] / f"{number}.jpg", quality=95)


def _scores(run: Path) -> dict[tuple[str, ...], tuple[float | None, str]]:
    import xai_bench as xb

    table = xb.load_results(run).scores
    keys = zip(table["model"], table["explainer"], table["metric"], table["sample"], strict=True)
    # where there is a reason there is no score
    rows = (
        (None if score != score else score, reason)
        for score, reason in zip(table["score"], table["reason"], strict=True)
    )
    return dict(zip(keys, rows, strict=True))


# --- who computes


def out_of_memory(bench: Bench) -> Verdict:
    """A model that has no memory for more than a few images at a time is shown fewer, with the same scores."""
    runs = bench.place(), bench.place()
    for run, at_most in zip(runs, (0, AT_MOST), strict=True):
        found = answer(evaluate, run, few(3, models=[{**TINY, "at_most": at_most}]))
        if found.error:
            return Verdict([f"the run of a model that takes {at_most} images ended: {found.kind}: {found.error}"])
    plenty, little = (value(_scores, run) for run in runs)
    wrong = [f"{key}: {row}, now {little.get(key)}" for key, row in plenty.items() if not _near(row, little.get(key))]
    return Verdict(wrong[:3], f"{len(plenty)} rows within 1e-6")


def _near(row: tuple[float | None, str], other: tuple[float | None, str] | None) -> bool:
    if other is None or None in (row[0], other[0]):
        return row == other
    return row[1] == other[1] and abs((row[0] or 0) - (other[0] or 0)) <= 1e-6


def dying_processes(bench: Bench) -> Verdict:
    """Workers in processes that die once, or always at one image, or raise there."""
    return _dying(bench, "processes")


def dying_actors(bench: Bench) -> Verdict:
    """Ray actors that die once, or always at one image, or raise there."""
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise Skipped("ray is not installed") from error
    return _dying(bench, "ray")


def raising(bench: Bench) -> Verdict:
    """In this process: what always raises at one image is reported, the rest finishes, exit 1."""
    if "executor" not in takes():
        raise Skipped("evaluate takes no executor")
    wrong = _reported(bench, "raises_always", "local")
    if not bench.thorough:
        return Verdict(wrong, "the rest finished")
    said = value(command, bench.place(), few(2, explainers=["python:breaking:raises_always"]))
    clear = said.code == 1 and "planted-test-0-2" in said.err and "Traceback" not in said.err
    return Verdict(wrong if clear else [*wrong, f"the command ended with {said}"], said.err.strip().splitlines()[-1])


def _dying(bench: Bench, executor: str) -> Verdict:
    if "executor" not in takes():
        raise Skipped("evaluate takes no executor")
    os.environ[MARKER] = str(bench.place())
    job = few(3, explainers=["python:breaking:dies_once"])
    folder = bench.place()
    found = answer(_elsewhere, folder, job, executor)
    wrong = [f"a death ended the run: {found.kind}: {found.error}"] if found.error else []
    wrong += [] if Path(os.environ[MARKER]).exists() else ["nobody died"]
    wrong += wrong or broken(folder, bench.undisturbed(job)[1])
    for culprit in ("raises_always", "dies_always") if bench.thorough else ():
        wrong += _reported(bench, culprit, executor)
    return Verdict(wrong, "one death lost nothing; what failed always was reported, the rest finished")


def _elsewhere(folder: Path, job: Mapping[str, Any], executor: str) -> Any:
    return evaluate(folder, job, executor=executor, **({} if executor == "local" else {"workers": 2}))


def killed_with_workers(bench: Bench) -> Verdict:
    """SIGKILL of the process that hands out the work: its workers end too, and the next start goes on."""
    if "executor" not in takes():
        raise Skipped("evaluate takes no executor")
    folder, job = bench.place(), few(20)
    wanted = bench.undisturbed(job)[1]
    child = started(_elsewhere, folder, job, "processes")
    while finished_units(folder) < 2 and child.is_alive():
        time.sleep(0.01)
    workers = _descendants(child.pid or 0)
    child.kill()
    child.join()
    at, deadline = finished_units(folder), time.monotonic() + 20
    while (living := [worker for worker in workers if _lives(worker)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    wrong = [f"{len(living)} of {len(workers)} workers outlived it by 20 s"] if living else []
    wrong += [] if 0 < at < 40 and workers else [f"not killed inside: {at} of 40 units, {len(workers)} workers"]
    return Verdict(wrong + finished(folder, wanted, job), f"at {at} of 40 units; all {len(workers)} workers ended")


def _descendants(pid: int) -> list[int]:
    """Linux keeps them; elsewhere none is found."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [grandchild for child in children for grandchild in _descendants(child)]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _reported(bench: Bench, culprit: str, executor: str) -> list[str]:
    """What is wrong with a run of which one batch always fails; image 2 is in the second of three."""
    job, folder = few(3, explainers=["python:breaking:bright", f"python:breaking:{culprit}"]), bench.place()
    found = answer(_elsewhere, folder, job, executor)
    wrong = [] if found.kind == "IncompleteError" else [f"ended with {found}"]
    wrong += [] if "planted-test-0-2" in found.error else [f"the failed batch is not named: {found.error}"]
    rows = answer(_scores, folder).value or {}
    for explainer, count in ((culprit, 2 * 4), ("bright", 2 * 6)):
        scored = sum(key[1] == explainer and key[-1] != "*" for key in rows)
        wrong += [] if scored == count else [f"{scored} of the {count} rows of {explainer!r} that could be scored"]
    return [f"{culprit}: {sentence}" for sentence in wrong]


# --- another run


def another_run(bench: Bench) -> Verdict:
    """A folder made by another version, suite, model or data is refused with what differs and what to do."""
    wrong: list[str] = []
    wide = {**few(3)["models"][0], "width": 5}
    changes: Mapping[str, tuple[dict[str, Any], str]] = {
        "seed": ({"seed": 1}, "seed 0, not 1"),
        "target": ({"target": "label"}, "target 'predicted', not 'label'"),
        "model": ({"models": [wide]}, "another 'narrow'.*fingerprint"),
        "data": ({"data": [{**few(3)["data"][0], "n": 5}]}, "another 'planted/test'.*fingerprint"),
    }
    for what, (changed, words) in changes.items():
        wrong += [f"{what}: {line}" for line in _refused_unchanged(bench.copy(), few(3, **changed), words)]
    edits: Mapping[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
        "schema": (lambda info: info.update(schema=99), "schema 99"),
        "metric": (lambda info: info["metrics"]["top1"].update(version=99), "another 'top1'.*version 99"),
        "explainer": (lambda info: info["explainers"]["random"].update(spec="random(x)"), "another 'random'.*random.x"),
    }
    for what, (edit, words) in edits.items():
        run = bench.copy()
        info = json.loads((run / "run.json").read_text())
        edit(info)
        (run / "run.json").write_text(json.dumps(info))
        wrong += [f"{what}: {line}" for line in _refused_unchanged(run, few(3), words)]
    return Verdict(wrong, f"{len(changes) + len(edits)} kinds of other runs")


def _refused_unchanged(run: Path, job: Mapping[str, Any], words: str) -> list[str]:
    before, said = _tree(run), value(command, run, job)
    wrong = refusal(said, re.escape(str(run)), words, "choose another|new folder")
    return wrong + (["the folder changed"] if _tree(run) != before else [])


SLOW = (disk_full_at_the_report, dying_actors, killed_with_workers)  # seconds each; not among the tests
FAULTS: tuple[Callable[[Bench], Verdict], ...] = (
    killed,
    killed_before_each_step,
    killed_while_collecting,
    killed_in_training,
    interrupted,
    two_at_once,
    many_at_once,
    disk_full,
    disk_full_at_the_report,
    file_too_large,
    no_permission,
    damaged_files,
    flipped_bits,
    flipped_bits_in_maps,
    corrupt_images,
    out_of_memory,
    raising,
    dying_processes,
    dying_actors,
    killed_with_workers,
    another_run,
)


def verdict(name: str, kills: int, seed: int) -> Verdict:
    """What comes of a fault in a folder of its own."""
    fault = next(fault for fault in FAULTS if fault.__name__ == name)
    with tempfile.TemporaryDirectory(prefix="faults-") as room:
        try:
            return fault(Bench(Path(room), kills, seed))
        except Skipped as reason:
            return Verdict(skipped=str(reason))


@click.command()
@click.argument("names", metavar="[FAULT]...", nargs=-1, type=click.Choice([fault.__name__ for fault in FAULTS]))
@click.option("--kills", default=5, show_default=True, help="SIGKILLs at random instants; above 50 all is thorough")
@click.option("--seed", default=0, show_default=True, help="of the random instants")
@click.option("--listen", is_flag=True, help="take names from stdin, give verdicts as JSON")
def tried(names: Sequence[str], kills: int, seed: int, listen: bool) -> None:
    """Try to break runs; exit 1 where anything was lost."""
    warmed()
    lost = 0
    for name in map(str.strip, sys.stdin) if listen else names or [fault.__name__ for fault in FAULTS]:
        found = verdict(name, kills, seed)
        click.echo(json.dumps(asdict(found)) if listen else f"{name:24} {found}")
        lost += bool(found.wrong)
    sys.exit(int(lost > 0))


if __name__ == "__main__":
    tried()
