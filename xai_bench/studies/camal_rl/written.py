"""The reinforcement setting of the CAMAL study in words, tables and figures."""

from collections.abc import Mapping, Sequence

from xai_bench.reports.camal import Shown, gains_figure
from xai_bench.reports.study_page import Picture, Section, Study, Table
from xai_bench.studies.camal import judged
from xai_bench.studies.camal.settings import CONTROL, RECENT
from xai_bench.studies.camal.written import NOTES, aligned, definitions, faithful, seen
from xai_bench.studies.camal_rl.judged import OUTCOMES, Acted, changes, claims, outcomes

LEAD = """An agent learns by trial and error to walk to the one object of the right shape, on a background that in nine
worlds of ten tells it the way. Each loss on its attention is added to the loss of proximal policy optimisation, on the
states that the agent comes through; the control learns without one. Where does it look, how faithful is that, and how
well does it act where the background no longer tells the way?"""
EXPLAINED = {"taken": "action taken", "likeliest": "likeliest action"}


def written(found: Acted, pictures: Sequence[Shown], provenance: Mapping[str, str]) -> Study:
    """All that the page shows."""
    return Study(
        "CAMAL: where an agent looks, taught while it learns to act",
        " ".join(LEAD.split()),
        sections=[_acting(found), _moves(found), aligned(found), faithful(found), seen(found, pictures)],
        claims=claims(found),
        notes=[" ".join(note.split()) for note in (*NOTES, *_reading(found))],
        definitions=definitions(found) | {"rules": repr(found.settings.rules), "recipe": repr(found.settings.recipe)},
        provenance=provenance,
    )


def _reading(found: Acted) -> tuple[str, ...]:
    settings = found.settings
    return (
        f"""The attention that is taught is that of the {EXPLAINED[settings.recipe.explained]}; the one that is scored
        is that of the likeliest action.""",
        f"""“More than {settings.better:.0%} better” is read twice: against the same training without the term, and
        against {RECENT!r}, Model Guidance's loss, for recent work. A relative change is over the other's mean size.""",
        f"“Comparable” allows {settings.worse:g} of the return to be lost, and {settings.margin:.0%} of best moves.",
        """Accuracy is the share of states in which the likeliest move is the best one. Several moves can be nearly as
        good, so that who arrives always may still be wrong here.""",
        "The agents have a fixed number of frames: an agent that learns more slowly ends lower.",
    )


def _acting(found: Acted) -> Section:
    table = outcomes(found)
    words = f"change against {CONTROL}, with its 95 % interval"
    return Section(
        "Acting",
        "Episodes in worlds that no agent was trained in, the likeliest move at each step. "
        "The return is 1 for arriving, and how much nearer the agent came in sides of the world.",
        [Table("outcomes", "Every agent, one that moves at random and one that knows the rules.", table)],
        [Picture("outcomes", f"{words.capitalize()}.", gains_figure(changes(table), OUTCOMES, "gain", words))],
    )


def _moves(found: Acted) -> Section:
    return Section(
        "Best moves",
        "Share of states in which the likeliest move is the best one.",
        [Table("accuracy", "Every agent.", judged.accuracies(found))],
    )
