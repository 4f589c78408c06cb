"""`xai-bench study camal`: trains, measures, judges, and writes the page."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from xai_bench.adapters import VisionModel
from xai_bench.reports.study_page import write_study
from xai_bench.seeding import digest
from xai_bench.studies.camal import measured
from xai_bench.studies.camal.judged import Measured
from xai_bench.studies.camal.models import Training, costs
from xai_bench.studies.camal.settings import CamalSettings, Comparison
from xai_bench.studies.camal.written import panels, written
from xai_bench.studies.records import kept


def run_camal(
    settings: CamalSettings, out: Path, *, device: str = "auto", progress: bool = True
) -> tuple[Measured, Path]:
    """Carry the study out into `out`; gives what was measured and the page. A second start computes what is missing.

    `out` then holds models/ (each loads by itself), scores/ (run folders), tables/ and report/.
    """
    trainings = [Training(settings, seed, out / "models", device, progress) for seed in settings.seeds]
    parts: dict[str, list[pd.DataFrame]] = {"scores": [], "accuracy": [], "costs": []}
    with tqdm(total=len(trainings), desc="study camal", unit="seed", disable=None if progress else True) as bar:
        for training in trainings:
            for name, table in _tables(training, out, device=device, progress=progress):
                parts[name].append(table.assign(seed=training.seed))
            bar.update()
    found = Measured(settings, **{name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()})
    pictures = panels(settings, _main(trainings[0]))
    return found, write_study(written(found, pictures, _provenance(trainings)), out / "report")


def _tables(training: Training, out: Path, *, device: str, progress: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    settings = training.settings
    main = _main(training)
    swept = [training.guided(name, loss) for name, loss in settings.sweep.items()]
    for models, faithful in ((main, True), (swept, False)):
        if models:
            folder = out / "scores" / f"{'main' if faithful else 'sweep'}-seed{training.seed}-{mark(models, settings)}"
            table = measured.scores(models, settings, folder, faithful=faithful, device=device, progress=progress)
            yield "scores", table.rename(columns={"data": "split"})
    for model in (*main, *swept):
        for split in settings.splits:
            data = settings.judged_on(split, settings.test)
            known = {"model": model.fingerprint, "data": data.fingerprint}
            table = kept(out / "tables", "correct", known, partial(measured.correct, model, data))
            yield "accuracy", table.assign(model=model.label, split=split)
        yield "costs", pd.DataFrame([{"model": model.label, **costs(model)}])


def _main(training: Training) -> list[VisionModel]:
    return [training.plain, *(training.guided(name, loss) for name, loss in training.settings.methods.items())]


def mark(models: list[VisionModel], settings: Comparison) -> str:
    """Other models or images get another folder."""
    return digest([model.fingerprint for model in models], settings.splits, settings.explained, measured.STEPS)


def _provenance(trainings: list[Training]) -> Mapping[str, str]:
    settings = trainings[0].settings
    facts = {f"settings.{name}": str(value) for name, value in vars(settings).items()}
    facts |= {f"model.plain.{training.seed}": training.plain.fingerprint for training in trainings}
    return facts | {
        f"data.{split}": settings.judged_on(split, settings.explained).fingerprint for split in settings.splits
    }
