"""From a model, or a suite, to a gate: a pilot, a run, and then the files, all of them or none."""

import math
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from xai_bench.api import run_suite
from xai_bench.data import CATALOGUE
from xai_bench.errors import IncompleteError, InvalidValueError, RunError
from xai_bench.gate.margins import Margins
from xai_bench.gate.planning import Size, sizes
from xai_bench.references import content
from xai_bench.references.commit import current
from xai_bench.references.keeping import refuse_foreign
from xai_bench.results import Results, load_run
from xai_bench.runs.means import Means
from xai_bench.runs.run import Run
from xai_bench.runs.suite import Suite
from xai_bench.setup_gate import margins_file
from xai_bench.setup_gate.doubts import Doubts
from xai_bench.setup_gate.places import Places, outside, shown
from xai_bench.setup_gate.service import SERVICES, Job
from xai_bench.setup_gate.starter import Starter
from xai_bench.whole import write_all

PILOT = 50  # images
MOST = 1_000
RESERVE = 1.2  # the standard deviation of 50 images is off by a tenth, and what is needed goes by its square
ROUND = 10
AS_THEY_ARE = [[0.0] * 3, [1.0] * 3]  # mean and std
LINES = {  # file of the repository -> what keeps git from harm
    ".gitignore": ("runs/", "keeps runs out of git"),
    ".gitattributes": ("*.reference.json -merge", "keeps git from merging references, which would damage them"),
}


@dataclass(frozen=True)
class Wanted:
    """What is to be set up."""

    places: Places
    starter: Starter = field(default_factory=Starter)
    images: int | None = None  # of a new suite; None: as many as a pilot says
    most: int = MOST  # that a pilot may say
    margins: Path | None = None  # None: the defaults, written out
    earlier: str | None = None  # run folder, URL or reference file
    match: Mapping[str, str] = field(default_factory=dict)
    force: bool = False
    out: str | None = None
    device: str | None = None
    progress: bool | None = None

    @property
    def own(self) -> Path | None:
        """Margins that are there, set by hand perhaps."""
        return self.margins or (self.places.margins if self.places.margins.exists() else None)

    @property
    def there(self) -> tuple[Path, ...]:
        """What belongs to the gate and is there already, whoever wrote it."""
        files = (self.places.suite, self.own, self.places.job)
        return tuple(path for path in files if path is not None and path.exists())

    def check(self) -> None:
        """Refuse, before anything is run, what cannot be set up."""
        self.places.check()
        refuse_foreign(self.places.reference)
        if self.places.suite.exists():
            self._check_existing()
        else:
            self.starter.check(self.places.suite)
            if self.earlier:
                raise InvalidValueError("--earlier is a run of a suite that is there; a new suite has none")
        for name, value in (("--images", self.images), ("--most", self.most)):
            if value is not None and value < 2:
                raise InvalidValueError(f"{name} must be 2 or more, got {value}")
        if not self.force:
            self._refuse_to_overwrite()

    def _check_existing(self) -> None:
        asked = (*self.starter.asked, *(["--images"] if self.images is not None else []))
        if asked:
            raise InvalidValueError(
                f"suite {str(self.places.suite)!r} is there and is run as it is; leave out {' and '.join(asked)}, or "
                "name a new file"
            )

    def _refuse_to_overwrite(self) -> None:
        places = self.places
        if places.reference.exists():
            raise InvalidValueError(
                f"{str(places.reference)!r} is there already; `xai-bench reference update RUN {places.reference}` "
                "renews it, --force runs the suite and makes it anew"
            )
        if self.margins is None and places.margins.exists():
            raise InvalidValueError(
                f"{str(places.margins)!r} is there already; --force or --margins {places.margins} keeps it as it is"
            )
        if places.job is not None and places.job.exists():
            raise InvalidValueError(f"{shown(places.job)!r} is there already; --force or --ci none keeps it as it is")


class Made(NamedTuple):
    """A gate, set up."""

    results: Results
    folder: str  # of the run
    sizes: tuple[Size, ...]
    files: tuple[Path, ...]
    kept: tuple[Path, ...]  # that were there
    reference: Path
    margins: Path
    notes: tuple[str, ...]
    doubts: tuple[str, ...]  # why it may guard nothing
    hints: tuple[str, ...]  # what is left to do by hand


def set_up(wanted: Wanted, say: Callable[[str], None] = lambda _: None) -> Made:
    """Run the suite, a new one with as many images as a pilot says, and write what belongs to it.

    `say` is told what is going on. What is refused, and a run that fails, leaves no file behind but the run itself.
    """
    wanted.check()
    places, own = wanted.places, wanted.own
    allowed = Margins.read(own) if own else None
    earlier = load_run(wanted.earlier).run if wanted.earlier else None
    count = None if places.suite.exists() else _count(wanted, allowed, say)
    suite = _suite(wanted, wanted.starter.text(places.suite.parent, *count) if count else None)
    folder = wanted.out or f"runs/{places.stem}"
    run = _run(wanted, suite, folder)
    margins = allowed or margins_file.written(run)
    margins.check(run)
    found = sizes(run, margins, earlier=earlier, match=wanted.match)
    text = wanted.starter.text(places.suite.parent, *count, "; ".join(_takes(run))) if count else None
    files = _files(wanted, text, margins_file.text(margins, run) if allowed is None else None, run)
    kept = tuple(path for path in wanted.there if path not in files)
    hints = tuple(_hints(wanted))
    _write(files)
    return Made(
        Results(run, folder),
        folder,
        found,
        tuple(files),
        kept,
        places.reference,
        own or places.margins,
        (*_takes(run), *_notes(wanted, suite)),
        tuple(Doubts(run, found).sentences()),
        hints,
    )


def _run(wanted: Wanted, suite: Suite, folder: str | None) -> Run:
    """All of it: a reference without some of its scores would say for ever that they are not needed."""
    try:
        return run_suite(suite, folder, Means(progress=wanted.progress, fresh=wanted.force)).run
    except IncompleteError as error:
        raise RunError(f"a reference needs the whole run, so none of the files was written: {error}") from error


def _suite(wanted: Wanted, text: str | None) -> Suite:
    path = wanted.places.suite
    suite = Suite.read(path) if text is None else Suite.of(tomllib.loads(text), path.parent)
    return replace(suite, device=wanted.device) if wanted.device else suite


def _count(wanted: Wanted, margins: Margins | None, say: Callable[[str], None]) -> tuple[int, str]:
    """How many images a new suite has, as were asked for or as a pilot says, and why so many."""
    folder, starter = wanted.places.suite.parent, wanted.starter
    if wanted.images is not None:
        return wanted.images, ""
    if starter.most is not None and starter.most <= PILOT:
        return starter.most, "all there are"
    pilot = _suite(wanted, starter.text(folder, PILOT))
    say(f"a pilot of {PILOT} images says how many are needed")
    start = time.monotonic()
    run = _run(wanted, replace(pilot, gallery=0, maps=False), None)
    seconds = time.monotonic() - start
    allowed = margins or margins_file.written(run)
    allowed.check(run)
    n, why = _enough(sizes(run, allowed), starter.most, wanted.most)
    for takes in _takes(run):
        say(takes)
    say(f"{n} images, {why}")
    say(f"they take about {_duration(seconds * n / PILOT)}, as the pilot's did; --most takes fewer")
    return n, why


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"


def _takes(run: Run) -> Iterator[str]:
    """What each model is shown: a wrong normalisation changes every score, and nothing else tells."""
    for label, model in run.info["models"].items():
        height, width = model["input_size"]
        mean, std = ([float(f"{value:.3g}") for value in model[key]] for key in ("mean", "std"))
        as_is = [mean, std] == AS_THEY_ARE
        colours = "colours from 0 to 1 as they are" if as_is else f"colours less mean {mean}, by std {std}"
        keys = "; mean, std and input_size of its table say otherwise" if as_is else ""
        yield f"{label} is given {height} x {width} pixels, {colours}{keys}"


def _enough(found: tuple[Size, ...], there: int | None, most: int) -> tuple[int, str]:
    """How many images to take, and why so many."""
    needed = max((size.needed for size in found if math.isfinite(size.needed)), default=PILOT)
    reserved = math.ceil(needed * RESERVE / ROUND) * ROUND
    why = f"what the margins need, from a pilot of {PILOT} and with a fifth to spare"
    limits = {"all there are": there or math.inf, "the most allowed (--most)": most}
    limit, least = min(limits.items(), key=lambda item: item[1])
    return (reserved, why) if reserved <= least else (int(least), f"{limit}; {reserved:,} would be {why}")


def _files(wanted: Wanted, suite: str | None, margins: str | None, run: Run) -> dict[Path, bytes]:
    """Everything that is to be written, the suite first."""
    places, made = wanted.places, {}
    if suite is not None:
        made[places.suite] = suite.encode()
    if margins is not None:
        made[places.margins] = margins.encode()
    made[places.reference] = content(run, current())
    if places.job is not None and not places.job.exists():
        made[places.job] = SERVICES[places.service].text(_job(wanted, run.info["versions"])).encode()
    return made


def _job(wanted: Wanted, versions: Mapping[str, str]) -> Job:
    places = wanted.places
    return Job(
        stem=places.stem,
        suite=places.from_root(places.suite),
        reference=places.from_root(places.reference),
        margins=places.from_root(wanted.margins or places.margins),
        file=places.from_root(places.job) if places.job else "",
        requirements=(places.root / "requirements.txt").is_file(),
        versions=versions,
    )


def _hints(wanted: Wanted) -> Iterator[str]:
    """What is left to do by hand."""
    places = wanted.places
    service = SERVICES.get(places.service)
    if service and service.hint and places.job and not places.job.exists():
        yield service.hint.format(file=places.from_root(places.job))
    for name, (line, why) in LINES.items():
        file = places.root / name
        if not file.is_file() or line.strip("/") not in file.read_text(encoding="utf-8", errors="replace"):
            yield f"add `{line}` to {name}, which {why}"


def _write(files: Mapping[Path, bytes]) -> None:
    try:
        write_all(files)
    except OSError as error:
        raise RunError(
            f"cannot write {error.filename!r}: {error.strerror}; nothing else was written, the run is kept"
        ) from error


def _notes(wanted: Wanted, suite: Suite) -> Iterator[str]:
    """What may turn the gate red, or keep it from running, though nothing got worse."""
    for entry in suite.data:
        table: Mapping[str, Any] = {"name": entry} if isinstance(entry, str) else entry
        if "seed" not in table and (CATALOGUE[str(table["name"])].generated or "n" in table):
            yield (
                f"the images of data {table['name']!r} are drawn by the suite's seed: with another seed they are "
                "others, which a check refuses; give the data a seed of their own"
            )
    for entry in (*suite.models, *suite.data):
        for file in outside(entry, wanted.places):
            yield f"{file} lies outside the repository, where a service will not find it"
    for entry in suite.models:
        name = str(entry if isinstance(entry, str) else entry["name"])
        if name.endswith(".safetensors") and Path.cwd() != wanted.places.root:
            yield f"model {name!r} is a path from the current folder, but a service starts in {wanted.places.root}"
    if wanted.starter.planted:
        yield "planted images are drawn shapes, right for models trained on them; --data FOLDER takes your own pictures"
