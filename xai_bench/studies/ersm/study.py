"""`xai-bench study ersm`: trains, measures, judges, and writes the page."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from xai_bench.reports.ersm import Panel
from xai_bench.reports.study_page import write_study
from xai_bench.studies.ersm import measured
from xai_bench.studies.ersm.panels import panels
from xai_bench.studies.ersm.settings import ErsmSettings
from xai_bench.studies.ersm.training import Training
from xai_bench.studies.ersm.written import WRITTEN, written
from xai_bench.studies.records import kept

Make = Callable[[], pd.DataFrame]


def run_ersm(
    settings: ErsmSettings, out: Path, *, device: str = "auto", progress: bool = True
) -> tuple[Mapping[str, pd.DataFrame], Path]:
    """Carry the study out into `out`; gives its tables and the page. A second start computes what is missing.

    `out` then holds models/, tables/ (what every training measured) and report/.
    """
    trainings = [Training(settings, seed, out, device=device, progress=progress) for seed in settings.seeds]
    parts: dict[str, list[pd.DataFrame]] = {}
    stages = len(trainings) * len(list(_makers(trainings[0])))
    with tqdm(total=stages, desc="study ersm", unit="table", disable=None if progress else True) as bar:
        for training in trainings:
            for name, split, make in _makers(training):
                table = kept(out / "tables", f"{name}-{split}", training.decides, make)
                parts.setdefault(name, []).append(table.assign(seed=training.seed))
                bar.update()
            training.forget()
    tables = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    study = written(tables, settings, _pictures(trainings[0], tables), _provenance(trainings))
    return tables, write_study(study, out / "report")


def _makers(training: Training) -> Iterator[tuple[str, str, Make]]:
    """(table, split, how it is made) of everything that a training measures."""
    for split in training.settings.splits:
        for make in (measured.images, measured.deletions, measured.histograms):
            yield make.__name__, split, partial(make, training, split)
    for once in (measured.localisation, measured.occlusions):
        yield once.__name__, training.settings.splits[0], partial(once, training)


def _pictures(training: Training, tables: Mapping[str, pd.DataFrame]) -> dict[str, list[Panel]]:
    images = tables["images"]
    mine = images[(images["seed"] == training.seed) & (images["split"] == training.settings.splits[0])]
    for name in WRITTEN:
        training.whole(name)  # left for the reader, who can load it
    return {name: panels(training, mine, name) for name in WRITTEN}


def _provenance(trainings: list[Training]) -> dict[str, str]:
    first = trainings[0]
    shape = first.trunk.model.preprocessing
    facts = {f"settings.{name}": str(value) for name, value in first.decides.items() if name != "seed"}
    facts |= {f"models.{training.seed}": training.trunk.model.fingerprint for training in trainings}
    facts |= {f"data.{split}": first.data(split).fingerprint for split in first.settings.splits}
    return facts | {"seeds": ", ".join(map(str, first.settings.seeds)), "input": f"{shape.size[0]} x {shape.size[1]}"}
