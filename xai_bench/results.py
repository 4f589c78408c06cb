"""Results: a run as the user sees it. No torch, so that a report can be redrawn from rows alone."""

import errno
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from xai_bench.errors import RunError
from xai_bench.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xai_bench.comparison import Compared
    from xai_bench.gate import Check, Margins
    from xai_bench.reports.analysis import Analysis
    from xai_bench.reports.style import Width

Location = str | Path
FULL = (errno.ENOSPC, errno.EDQUOT)  # room would help


class Results:
    """Scores, summary, differences and report of a run."""

    def __init__(self, run: Run, folder: str | Path | None = None) -> None:
        self.run, self.folder = run, folder

    def __repr__(self) -> str:
        where = f" in {str(self.folder)!r}" if self.folder else ""
        named = self.scores.assign(explainer=self.scores["explainer"].astype(str).replace("none", None))
        count = {name: named[name].nunique() for name in ("model", "explainer", "metric")}
        parts = ", ".join(f"{number} {name}{'s' * (number != 1)}" for name, number in count.items())
        return f"Results({len(self.scores)} rows, {parts}{where})"

    def _repr_html_(self) -> str:
        from xai_bench.reports.notebook import results_html  # noqa: PLC0415 - matplotlib only where it is asked for

        return results_html(self.run, repr(self))

    @property
    def scores(self) -> pd.DataFrame:
        """One row per data set x model x explainer x metric x image; sample "*" for metrics of a whole set."""
        return self.run.scores

    @property
    def curves(self) -> pd.DataFrame:
        """Points of per-image curves: the output against the fraction removed or shown."""
        return self.run.curves

    @cached_property
    def _summary(self) -> pd.DataFrame:
        from xai_bench.stats import summary  # noqa: PLC0415 - scipy only where it is asked for

        return summary(self.run)

    @cached_property
    def _analysis(self) -> "Analysis":
        from xai_bench.reports.analysis import analyse  # noqa: PLC0415 - matplotlib only where it is asked for

        return analyse(self.run)

    def summary(self) -> pd.DataFrame:
        """Mean, 95 % interval, n, undefined and direction of each cell."""
        return self._summary.copy()

    def differences(self, across: str = "explainer") -> pd.DataFrame:
        """Paired differences by image between explainers (of one model) or models (with one explainer)."""
        from xai_bench.stats import paired  # noqa: PLC0415

        return paired(self.run, across)

    def readings(self) -> pd.DataFrame:
        """Faithfulness scores over the clean output and minus the random control, with 95 % intervals."""
        from xai_bench.readings import readings  # noqa: PLC0415

        return readings(self.run)

    def aggregates(self) -> pd.DataFrame:
        """Mean and interquartile mean over images and models of each explainer and metric, with 95 % intervals."""
        from xai_bench.stats import aggregates  # noqa: PLC0415

        return aggregates(self.run)

    def figure(self, name: str, width: "Width" = "page") -> "Figure":
        """A whole figure as in the report: `forest`, `curves`, `ranks` ...; `reports.FIGURES` lists them.

        `width`: "page" (6.75 inches) or "column" (3.25) of a paper. `results.figure("forest").savefig("forest.pdf")`.
        """
        from xai_bench.reports.figures import figure  # noqa: PLC0415

        return figure(self._analysis, name, width)

    def plot(
        self,
        name: str,
        ax: "Axes | None" = None,
        *,
        data: str | None = None,
        model: str | None = None,
        metric: str | None = None,
        explainer: str | None = None,
        sample: str | None = None,
        against: str | None = None,
        localisation: str | None = None,
    ) -> "Axes":
        """One panel of a figure as plain axes to restyle: into `ax`, or alone on a new figure, a column wide.

        What is not chosen is the first there is: `results.plot("forest", ax, metric="deletion")`. A choice that the
        figure does not have is refused by name.
        """
        from xai_bench.reports.figures import plot  # noqa: PLC0415

        chosen = {"data": data, "model": model, "metric": metric, "explainer": explainer}
        chosen |= {"sample": sample, "against": against, "localisation": localisation}
        return plot(self._analysis, name, ax, {key: value for key, value in chosen.items() if value is not None})

    def anchored(self) -> pd.DataFrame:
        """Scores between the random control (0) and the best there could be (1), with 95 % intervals."""
        from xai_bench.readings import anchored  # noqa: PLC0415

        return anchored(self.run)

    def costs(self) -> pd.DataFrame:
        """Seconds, and passes through the model and back, per image and explainer; empty where the run is older."""
        from xai_bench.readings import costs  # noqa: PLC0415

        return costs(self.run)

    def table(self, name: str = "scores", form: str = "text") -> str:
        """A table of the report by its name: leaderboard, scores, differences ...; `reports.tables.NAMES` lists them.

        As csv (every digit), markdown, latex (booktabs and graphicx), html or text. RunError where the run has nothing
        for it.
        """
        from xai_bench.reports.tables import table  # noqa: PLC0415

        return table(self._analysis, name, form)

    def report(self, out: str | Path) -> Path:
        """Tables, figures and one page in a folder; gives the page. RunError where the disk is full or read-only."""
        from xai_bench.reports import write  # noqa: PLC0415

        return _written(lambda: write(self.run, Path(out)), out, "report")

    def save_reference(self, path: str | Path) -> Path:
        """Keep the scores as a reference file, to check later runs against: JSON, small enough to commit."""
        from xai_bench.references import write  # noqa: PLC0415

        write(self.run, Path(path))
        return Path(path)

    def sentences(self) -> tuple[str, ...]:
        """One sentence per paired comparison: models first, then explainers."""
        from xai_bench.reports.words import sentences  # noqa: PLC0415

        return sentences(self._analysis)


class Comparison:
    """Runs held against the first of them, as the user sees them."""

    def __init__(self, compared: "Compared") -> None:
        self.compared = compared

    def __repr__(self) -> str:
        counts = self.compared.table["better"].map({"a": "better", "b": "worse", "": "undecided"}).value_counts()
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"Comparison({', '.join(self.compared.names[1:])} against {self.compared.names[0]}: {said})"

    def _repr_html_(self) -> str:
        from xai_bench.reports.comparison import sheet  # noqa: PLC0415
        from xai_bench.reports.tables import html  # noqa: PLC0415

        return html(sheet(self.compared))

    @property
    def table(self) -> pd.DataFrame:
        """One row per run, data set, model, explainer and metric: the paired difference to the reference."""
        return self.compared.table.copy()

    @property
    def notes(self) -> tuple[str, ...]:
        """What differs besides the scores: seed, versions, weights, what only one run has."""
        return self.compared.notes

    def sentences(self) -> tuple[str, ...]:
        """One sentence per row of the table."""
        from xai_bench.reports.comparison import sentences  # noqa: PLC0415

        return sentences(self.compared)

    def report(self, out: str | Path) -> Path:
        """Tables, a figure and one page in a folder; gives the page."""
        from xai_bench.reports.comparison import write  # noqa: PLC0415

        return _written(lambda: write(self.compared, Path(out)), out, "compare")


def load_results(folder: Location | Sequence[Location]) -> Results:
    """The results in a run folder, or at a URL such as `s3://bucket/run`.

    Several folders hold one suite under several seeds, and become one `Results` whose rows have several seeds; refused
    where they differ in more than that.
    """
    from xai_bench.runs.files import is_url  # noqa: PLC0415
    from xai_bench.runs.joined import joined  # noqa: PLC0415
    from xai_bench.runs.store import load  # noqa: PLC0415

    if isinstance(folder, str | Path):
        return Results(load(folder), folder if is_url(folder) else Path(folder))
    return Results(joined([(str(one), load(one)) for one in folder]))


def compare(
    runs: Sequence[Location | Results],
    *,
    match: Mapping[str, str] | None = None,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Paired differences by image between runs and the first of them, the reference.

    For two checkpoints, two models, two versions of the library or two seeds; runs are `Results`, folders or URLs.
    `match` says which model of the reference stands for which of the others, `{"old": "new"}`; runs of one model each
    need none. `metrics` names those to compare, all where it is empty. RunError where nothing can be compared: other
    images, another version or spec of a metric, nothing in common, the same run twice.
    """
    from xai_bench.comparison import compare as held  # noqa: PLC0415 - pandas and scipy only where they are asked for

    return Comparison(held(_named(runs), match=match, metrics=metrics))


def load_run(place: Location) -> Results:
    """The scores in a run folder, at a URL, or in a reference file."""
    from xai_bench.references import read  # noqa: PLC0415
    from xai_bench.runs.files import is_url  # noqa: PLC0415

    if is_url(place):
        return load_results(place)
    path = Path(place)
    if path.suffix == ".json" and not path.exists():
        raise RunError(
            f"there is no reference file {str(place)!r}; `xai-bench reference update RUN {place}` makes one of a run"
        )
    return Results(read(path), path) if path.is_file() else load_results(place)


def check(
    run: Location | Results,
    reference: Location | Results,
    margins: "Margins | Mapping[str, float] | Location | None" = None,
    *,
    match: Mapping[str, str] | None = None,
) -> "Check":
    """Did explanations get worse than in the reference? `.verdict` is "pass", "regression" or "undecided".

    Each is a run folder, a URL, a reference file or `Results`. `margins`: worsening that is allowed, metric -> number
    in its own unit; a TOML file; or `gate.Margins`; 2 % of a metric's range where it is not said. `match` says which
    model of the reference stands for which of the run. RunError where nothing can be compared: other images, another
    version or spec of a metric, a damaged reference.
    """
    from xai_bench.gate import Margins  # noqa: PLC0415 - pandas only where it is asked for
    from xai_bench.gate import check as held  # noqa: PLC0415

    if isinstance(margins, Mapping):
        margins = Margins(margins=margins)
    elif isinstance(margins, str | Path):
        margins = Margins.read(Path(margins))
    now, then = _named([run, reference])
    return held(now, then, margins, match=match)


def _named(runs: Sequence[Location | Results]) -> list[tuple[str, Run]]:
    """Each run under the end of its path, as much of it as tells them apart."""
    places = [run.folder if isinstance(run, Results) else run for run in runs]
    paths = [() if place is None else _parts(place) for place in places]
    for number, path in enumerate(paths):
        if path and path in paths[:number]:
            raise RunError(f"run {str(places[number])!r} is given twice; name two different runs")
    own = _apart(paths)
    names = [_shortest(path, own) or f"run {number}" for number, path in enumerate(own, 1)]
    loaded = [run if isinstance(run, Results) else load_run(run) for run in runs]
    return [(name, results.run) for name, results in zip(names, loaded, strict=True)]


def _parts(place: Location) -> tuple[str, ...]:
    return tuple(str(place).rstrip("/").split("/")) if "://" in str(place) else Path(place).resolve().parts


def _apart(paths: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without the folders in which all of them end: `seed0/own` and `seed1/own` are told apart by the first."""
    while len({path[-1:] for path in paths}) == 1 and all(len(path) > 1 for path in paths):
        paths = [path[:-1] for path in paths]
    return list(paths)


def _shortest(path: tuple[str, ...], paths: Sequence[tuple[str, ...]]) -> str:
    """`run`, or `a/run` where another one is called `b/run`."""
    for size in range(1, len(path) + 1):
        if sum(other[-size:] == path[-size:] for other in paths) == 1:
            return "/".join(path[-size:])
    return ""


def _written(write: Callable[[], Path], out: str | Path, command: str) -> Path:
    try:
        return write()
    except OSError as error:
        remedy = "make room or choose another --out" if error.errno in FULL else "choose another --out"
        raise RunError(
            f"cannot write the report into {str(out)!r}: {error.strerror or error}; the scores are kept, {remedy}, and "
            f"run `xai-bench {command}`"
        ) from error
