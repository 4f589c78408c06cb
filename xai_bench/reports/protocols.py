"""The study of protocols as tables, a heat map and a page: which number is which, and what survives them all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xai_bench import agreement
from xai_bench.agreement import OPEN, REVERSED, SURVIVES, UNOPPOSED
from xai_bench.reports.study_page import Picture, Section, Study, Table, write_study
from xai_bench.reports.style import PAGE, context, short
from xai_bench.runs.run import Run

VERDICTS = (SURVIVES, UNOPPOSED, REVERSED, OPEN)
CAPTIONS = {
    "factors": """Tau: agreement between the orders of explainers with the two choices, all else equal. Reversed: pairs
    of explainers for which the two choices name different ones as significantly better.""",
    "taus": "Kendall's tau of each protocol to all others: mean, least, and to which.",
    "conclusions": """Under how many protocols each of two explainers is significantly better (Wilcoxon's signed-rank
    test by image, Holm-corrected within a protocol, and the interval excludes 0).""",
    "scores": "Mean over images and, in brackets, the rank among the model's explainers; 1 is best.",
}
MAP = """Kendall's tau between the orders of explainers under every two protocols, mean over models and data. 1: the
same order; 0: none in common; -1: reversed.""".replace("\n", " ")
NAMES = "A protocol is named after the library or paper whose number it gives; its full definition stands at the end."
HEADINGS = {
    "factors": "One choice at a time",
    "taus": "Agreement between protocols",
    "conclusions": "Conclusions about pairs of explainers",
    "scores": "Scores",
}


@dataclass(frozen=True)
class Factor:
    """A choice in a protocol: two metrics (or one metric of two sorts of maps) that differ in nothing else."""

    question: str  # "softmax or logit"
    one: tuple[str, tuple[str, ...]]  # metric label, explainers
    other: tuple[str, tuple[str, ...]]  # explainers stand for those of `one` by their place


class Protocols(NamedTuple):
    """What the stored scores say of the protocols."""

    run: Run
    protocols: tuple[str, ...]  # metric labels, without those that only serve a factor
    places: pd.DataFrame
    taus: pd.DataFrame
    conclusions: pd.DataFrame
    factors: pd.DataFrame


def study(run: Run, protocols: Sequence[str], factors: Sequence[Factor]) -> Protocols:
    """The statistics, once."""
    places = agreement.places(run)
    named = places[places["metric"].isin(list(protocols))]
    rows = [_factor_row(run, places, factor) for factor in factors]
    return Protocols(
        run=run,
        protocols=tuple(name for name in protocols if name in set(places["metric"])),
        places=named,
        taus=agreement.taus(named),
        conclusions=agreement.conclusions(run, protocols),
        factors=pd.DataFrame(rows, columns=["choice", "tau", "best", "reversed"]),
    )


def write_protocols(found: Protocols, out: Path) -> Path:
    """Tables (csv), the heat map (pdf, svg, png), study.md and one page under `out`; gives the page."""
    wide = {"taus": found.taus.reset_index(names="protocol"), "scores": found.places}
    tables = {name: _shown(found, name) for name in HEADINGS}
    picture = Picture("taus", MAP, _heat_map(found.taus), "Kendall's tau between every two protocols; see taus.csv")
    sections = [
        Section(
            heading,
            tables=[Table(name, " ".join(CAPTIONS[name].split()), wide.get(name, tables[name]), tables[name])],
            pictures=[picture] if name == "taus" else [],
        )
        for name, heading in HEADINGS.items()
    ]
    return write_study(
        Study(
            title="Do protocols agree on which explanation is better?",
            lead=f"The same maps of the same images under {len(found.protocols)} protocols. {NAMES}",
            sections=sections,
            findings=list(sentences(found)),
            notes=found.run.info.get("notes", ()),
            definitions={name: str(found.run.cards[name].get("spec", "")) for name in found.protocols},
        ),
        out,
    )


def sentences(found: Protocols) -> Iterator[str]:
    """What the tables say, in words."""
    yield _agreement_sentence(found)
    counts = found.conclusions["verdict"].value_counts()
    total = len(found.conclusions)
    yield (
        f"Of {total} pairs of explainers, {counts.get(SURVIVES, 0)} are decided alike by every protocol, "
        f"{counts.get(UNOPPOSED, 0)} by some with none against, {counts.get(REVERSED, 0)} depend on the protocol, and "
        f"{counts.get(OPEN, 0)} are decided by none."
    )
    controls = {name for name, facts in found.run.explainers.items() if facts.get("kind") == "control"}
    won = sorted({metric for _, _, metric, winner in agreement.best(found.places) if winner in controls})
    if won:
        yield f"A control, which knows nothing of the model, has the best mean for some model under {', '.join(won)}."
    for _, row in found.factors.sort_values("tau").iterrows():
        if pd.notna(row["tau"]):
            turned = f", {row['reversed']} pairs reversed" if row["reversed"] != "-" else ""
            yield f"{row['choice'].capitalize()}: tau {row['tau']:+.2f}{turned}."


def _agreement_sentence(found: Protocols) -> str:
    pairs = [
        (found.taus.loc[a, b], a, b)
        for i, a in enumerate(found.taus.index)
        for b in found.taus.columns[i + 1 :]
        if pd.notna(found.taus.loc[a, b])
    ]
    if not pairs:
        return "No two protocols can be compared: at least two explainers with different means are needed."
    low, high = min(pairs), max(pairs)
    middle = float(pd.Series([value for value, _, _ in pairs]).median())
    return (
        f"Kendall's tau between protocols runs from {low[0]:+.2f} ({low[1]} and {low[2]}) to {high[0]:+.2f} "
        f"({high[1]} and {high[2]}), median {middle:+.2f}."
    )


def _factor_row(run: Run, places: pd.DataFrame, factor: Factor) -> dict[str, Any]:
    tau = agreement.tau(places, factor.one, factor.other)
    winners = [
        {(data, model): name for data, model, metric, name in agreement.best(_among(places, side)) if metric == side[0]}
        for side in (factor.one, factor.other)
    ]
    same = dict(zip(factor.other[1], factor.one[1], strict=True))
    alike = sum(same.get(winners[1].get(key, ""), "") == name for key, name in winners[0].items())
    one, other = factor.one[0], factor.other[0]
    turned = agreement.reversals(run, one, other) if one != other else "-"
    return {"choice": factor.question, "tau": tau, "best": f"{alike} of {len(winners[0])} alike", "reversed": turned}


def _among(places: pd.DataFrame, side: tuple[str, tuple[str, ...]]) -> pd.DataFrame:
    return places[(places["metric"] == side[0]) & places["explainer"].isin(side[1])]


def _shown(found: Protocols, name: str) -> pd.DataFrame:
    """A table as a reader sees it."""
    match name:
        case "factors":
            return found.factors.assign(tau=[f"{tau:+.2f}" if np.isfinite(tau) else "" for tau in found.factors["tau"]])
        case "conclusions":
            order = found.conclusions["verdict"].map(VERDICTS.index)
            return found.conclusions.iloc[order.argsort(kind="stable")]
        case "taus":
            return pd.DataFrame([_neighbour(found.taus, protocol) for protocol in found.taus.index])
    return _ranked(found)


def _neighbour(taus: pd.DataFrame, protocol: str) -> Mapping[str, str]:
    row = dict(zip(taus.columns, taus.loc[[protocol]].to_numpy(np.float64)[0].tolist(), strict=True))
    others = {name: value for name, value in row.items() if name != protocol and np.isfinite(value)}
    if not others:
        return {"protocol": protocol, "mean": "", "least": "", "to": ""}
    least = min(others, key=lambda name: others[name])
    mean = sum(others.values()) / len(others)
    return {"protocol": protocol, "mean": f"{mean:+.2f}", "least": f"{others[least]:+.2f}", "to": str(least)}


def _ranked(found: Protocols) -> pd.DataFrame:
    """One row per data, model and protocol, one column per explainer: mean (rank)."""
    places = found.places.assign(
        text=[f"{mean:.3g} ({rank:g})" for mean, rank in zip(found.places["mean"], found.places["rank"], strict=True)]
    )
    explainers = list(places["explainer"].unique())
    wide = places.pivot_table(
        index=["data", "model", "metric"],
        columns="explainer",
        values="text",
        aggfunc="first",
        sort=False,
        observed=True,
    )
    return wide.reindex(columns=explainers).fillna("").reset_index().rename(columns={"metric": "protocol"})


def _heat_map(taus: pd.DataFrame) -> Figure:
    names = [short(name, 34) for name in taus.index]
    side = max(PAGE * 0.6, 0.3 * len(names) + 2)
    with context():
        figure = Figure(figsize=(side, side), layout="constrained")
        ax = figure.subplots()
        values = taus.to_numpy(np.float64)
        picture = ax.imshow(values, cmap="PuOr", vmin=-1, vmax=1)
        ax.set_xticks(range(len(names)), names, rotation=90)
        ax.set_yticks(range(len(names)), names)
        for row, column in [(r, c) for r in range(len(names)) for c in range(len(names))]:
            value = values[row, column]
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.55 else "black"
                ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=5, color=colour)
        figure.colorbar(picture, ax=ax, shrink=0.6, label="Kendall's tau")
    return figure
