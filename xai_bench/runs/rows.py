"""What came of a job as rows, curve points and panels."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from xai_bench.runs.plan import Plan
from xai_bench.runs.reading import fingerprints
from xai_bench.runs.run import Panel
from xai_bench.runs.store import Unit
from xai_bench.runs.work import Done, Scored
from xai_bench.types import Batch

Info = Mapping[str, Any]


def unit(plan: Plan, info: Info, done: Done, batch: Batch) -> Unit:
    """Rows of the cells that were missing; a cell that an earlier start stored is left alone."""
    task, made = done.task, Unit()
    for scored in done.scored:
        _add(made, plan, info, done, scored)
    shown = max(0, min(plan.gallery - task.start, len(task.ids)))
    maps = {(task.model, name): values[:shown] for name, values in done.maps.items()}
    made.panels += _panels(task.data, batch, maps, shown)
    if plan.keeps_maps:
        made.data, made.ids = task.data, task.ids
        made.maps |= {(task.model, name): done.maps[name].numpy() for name in done.made}
    return made


def _add(unit: Unit, plan: Plan, info: Info, done: Done, scored: Scored) -> None:
    task, card, curve = done.task, info["metrics"][scored.metric], scored.curve
    cell = (task.data, task.model, scored.explainer, scored.metric)
    provenance = (
        *(plan.seed, done.precision, done.device, fingerprints(info, task.model, task.data)),
        info["explainers"].get(scored.explainer, {}).get("spec", ""),
    )
    pairs = list(scored.scores.pairs())
    errors, clean = _numbers(scored.scores.errors, len(pairs)), _numbers(scored.scores.clean, len(pairs))
    for row in task.wanted[scored.explainer][scored.metric]:
        sample, (value, reason) = task.ids[row], pairs[row]
        if reason or card["scope"] == "image":
            target = -1 if scored.refused else done.targets[row]
            outcome = (sample, target, value, reason, errors[row], clean[row])
            unit.rows.append((*cell, card["version"], card["spec"], *outcome, *provenance))
        if curve is not None and not reason:
            seen = None if curve.evaluated is None else curve.evaluated[row].tolist()
            fractions = curve.fractions if curve.fractions.ndim == 1 else curve.fractions[row]
            points = zip(fractions.tolist(), curve.values[row].tolist(), strict=True)
            unit.points.extend((*cell, sample, *point) for place, point in enumerate(points) if not seen or seen[place])


def _numbers(values: Tensor | None, count: int) -> list[float]:
    return [math.nan] * count if values is None else values.tolist()


def _panels(data: str, batch: Batch, maps: Mapping[tuple[str, str], Tensor], count: int) -> Sequence[Panel]:
    if not maps:
        return []
    pixels = (batch.images[:count].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).cpu()
    return [
        Panel(
            data=data,
            sample=batch.ids[row],
            image=pixels[row].contiguous().numpy(),
            region=None if batch.regions is None else batch.regions[row].cpu().contiguous().numpy(),
            maps={key: values[row].contiguous().numpy() for key, values in maps.items()},
        )
        for row in range(count)
    ]
