"""`xai-bench study camal --setting reinforcement`: trains agents, measures, judges, and writes the page."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.reports.study_page import write_study
from xai_bench.studies.camal import measured
from xai_bench.studies.camal.models import costs
from xai_bench.studies.camal.study import mark
from xai_bench.studies.camal.written import panels
from xai_bench.studies.camal_rl.judged import Acted
from xai_bench.studies.camal_rl.settings import ReinforcementSettings
from xai_bench.studies.camal_rl.written import written
from xai_bench.studies.records import kept


def run_rl(
    settings: ReinforcementSettings, out: Path, *, device: str = "auto", progress: bool = True
) -> tuple[Acted, Path]:
    """Carry the study out into `out`; gives what was measured and the page. A second start computes what is missing.

    `out` then holds models/, scores/ (run folders), tables/ and report/. UnsupportedError without the extra `rl`.
    """
    try:
        from xai_bench.studies.camal_rl.agents import Agents  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise UnsupportedError(
            "study camal --setting reinforcement needs Gymnasium and stable-baselines3: pip install 'xai-bench[rl]'"
        ) from error
    place = "cpu" if device == "auto" else device  # small networks: most of the time goes into the worlds
    parts: dict[str, list[pd.DataFrame]] = {"scores": [], "accuracy": [], "costs": [], "episodes": []}
    trained = {}
    with tqdm(total=len(settings.seeds), desc="study camal", unit="seed", disable=None if progress else True) as bar:
        for seed in settings.seeds:
            trained[seed] = Agents(settings, seed, out / "models", place, progress).trained()
            for name, table in _tables(settings, seed, trained[seed], out, device=place, progress=progress):
                parts[name].append(table.assign(seed=seed))
            bar.update()
    found = Acted(settings, **{name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()})
    facts = {f"settings.{name}": str(value) for name, value in vars(settings).items()}
    facts |= {f"model.{model.label}.{seed}": model.fingerprint for seed in trained for model in trained[seed]}
    pictures = panels(settings, trained[settings.seeds[0]])
    return found, write_study(written(found, pictures, facts), out / "report")


def _tables(
    settings: ReinforcementSettings, seed: int, models: list[VisionModel], out: Path, *, device: str, progress: bool
) -> Iterator[tuple[str, pd.DataFrame]]:
    from xai_bench.studies.camal_rl.agents import episodes, players  # noqa: PLC0415

    folder = out / "scores" / f"seed{seed}-{mark(models, settings)}"
    table = measured.scores(models, settings, folder, faithful=True, device=device, progress=progress)
    yield "scores", table.rename(columns={"data": "split"})
    yield "costs", pd.DataFrame([{"model": model.label, **costs(model)} for model in models])
    for split in settings.splits:
        data = settings.judged_on(split, settings.states)
        for model in models:
            known = {"model": model.fingerprint, "data": data.fingerprint}
            table = kept(out / "tables", "correct", known, partial(measured.correct, model, data))
            yield "accuracy", table.assign(model=model.label, split=split)
        for name, fingerprint, choose in players(models, seed):
            known = {"player": f"{name} {fingerprint}", "worlds": f"{split} {settings.episodes} {settings.rules}"}
            table = kept(out / "tables", "episodes", known, partial(episodes, settings, split, choose))
            yield "episodes", table.assign(model=name, split=split)
