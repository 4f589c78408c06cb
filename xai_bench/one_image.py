"""One picture and a model name: what was it looking at, and is that true?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xai_bench.adapters import load_model
from xai_bench.api import evaluate
from xai_bench.data.picture import Picture
from xai_bench.errors import InvalidValueError
from xai_bench.explainers import EXPLAINERS
from xai_bench.reports.explanation import FORMATS, picture
from xai_bench.results import Results
from xai_bench.types import TargetRule
from xai_bench.whole import write_whole

METRICS = ("deletion", "insertion")


def explain_image(
    image: Path,
    model: Mapping[str, Any],
    *,
    explainers: Sequence[str | Mapping[str, Any]] = (),
    metrics: Sequence[str | Mapping[str, Any]] = (),
    target: int | None = None,
    out: Path,
) -> tuple[Results, Path]:
    """Scores of one picture's explanations, and where the drawing of maps and curves was written.

    By default the model's own mask where it has one, Grad-CAM, integrated gradients and the random control.
    """
    form = out.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise InvalidValueError(f"--out must end in {', '.join(FORMATS)}, got {out.name!r}")
    loaded = load_model(**model)
    # the picture is read before anything is computed, so that a wrong path costs nothing
    data = Picture(path=image, target=target, preprocessing=loaded.preprocessing)
    data.entries  # noqa: B018
    chosen = explainers or [
        name for name in ("energy", "gradcam", "ig", "random") if not EXPLAINERS[name]().unfit(loaded)
    ]
    rule: TargetRule = "predicted" if target is None else "label"
    results = evaluate([loaded], list(chosen), list(metrics or METRICS), data, target=rule, progress=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, picture(results.run, form))
    return results, out
