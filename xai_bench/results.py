"""Results: a run as the user sees it. No torch, so that a report can be redrawn from rows alone."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from xai_bench.errors import RunError
from xai_bench.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xai_bench.reports.analysis import Analysis
    from xai_bench.reports.style import Width

Location = str | Path


class Results:
    """Scores, summary, differences and report of a run."""

    def __init__(self, run: Run, folder: str | Path | None = None) -> None:
        self.run, self.folder = run, folder

    def __repr__(self) -> str:
        where = f" in {str(self.folder)!r}" if self.folder else ""
        count = {name: self.scores[name].nunique() for name in ("model", "explainer", "metric")}
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

    @cached_property
    def _analysis(self) -> "Analysis":
        from xai_bench.reports import analyse  # noqa: PLC0415 - matplotlib only where it is asked for

        return analyse(self.run)

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

    def table(self, name: str = "scores", form: str = "text") -> str:
        """A table of the report: leaderboard, scores, differences, ranks, readings, undefined or provenance.

        As csv (every digit), markdown, latex (needs booktabs), html or text. RunError where the run has nothing for it.
        """
        from xai_bench.reports.tables import table  # noqa: PLC0415

        return table(self._analysis, name, form)

    def report(self, out: str | Path) -> Path:
        """Tables, figures and one page in a folder; gives the page. RunError where the disk is full or read-only."""
        from xai_bench.reports import write  # noqa: PLC0415

        try:
            return write(self.run, Path(out))
        except OSError as error:
            raise RunError(
                f"cannot write the report into {str(out)!r}: {error.strerror or error}; the scores are kept, make room "
                "or choose another --out, and run `xai-bench report`"
            ) from error

    def sentences(self) -> tuple[str, ...]:
        """One sentence per paired comparison: models first, then explainers."""
        from xai_bench.reports.words import sentences  # noqa: PLC0415

        return sentences(self._analysis)


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
