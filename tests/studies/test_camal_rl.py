"""The reinforcement setting of the CAMAL study: judgements on paper, settings, and a small one from end to end."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from xai_bench.claims import judge
from xai_bench.cli_studies import study
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.reinforcement.recipe import PpoRecipe
from xai_bench.reinforcement.world import Rules
from xai_bench.studies.camal.measured import ALIGNMENT, FAITHFULNESS, FLOORS, OTHER, OWN
from xai_bench.studies.camal_rl import judged
from xai_bench.studies.camal_rl.judged import Acted
from xai_bench.studies.camal_rl.settings import ReinforcementSettings
from xai_bench.studies.camal_rl.study import run_rl

SMALL = ReinforcementSettings(
    rules=Rules(size=16),
    recipe=PpoRecipe(frames=64, worlds=4, rollout=16, batch_size=64, passes=1, channels=4),
    seeds=(1, 0),
    explained=2,
    states=4,
    episodes=5,
)
RETURNS = {"control": (0.5, 0.3), "camal": (0.48, 0.6), "energy": (0.5, 0.3)}  # agent -> test, shifted
SPREAD = np.array([[-0.02, 0.0, 0.01, 0.01], [0.01, -0.02, 0.0, 0.01]])  # (seeds, episodes), mean 0


def on_paper() -> Acted:
    scores, accuracy, episodes, weights = [], [], [], []
    for seed in (0, 1):
        for model, levels in RETURNS.items():
            weights.append({"seed": seed, "model": model, "weights": 10, "layers": 3, "multiplications": 7})
            for split, level in zip(("test", "shifted"), levels, strict=True):
                for number in range(4):
                    place = {"seed": seed, "split": split, "model": model, "sample": number}
                    wobble = SPREAD[seed, number] * (model == "camal")
                    episodes.append({**place, "return": level + wobble, "reached": float(number < 2)})
                    accuracy.append({**place, "correct": number < 3})
                    scores += [
                        {**place, "explainer": explainer, "metric": metric, "score": 0.5}
                        for explainer in (OWN, OTHER, *FLOORS)
                        for metric in (*ALIGNMENT, *FAITHFULNESS)
                    ]
    tables = (pd.DataFrame(rows).sample(frac=1, random_state=0) for rows in (scores, accuracy, weights, episodes))
    return Acted(SMALL, *tables)


def test_returns_are_judged_against_the_control_with_and_without_a_margin():
    found = {
        f"{claim.says}: {claim.where}": judge(claim) for claim in judged.claims(on_paper()) if "return" in claim.where
    }

    verdicts = {says.removeprefix("Generalisation is "): (one.verdict, one.mean) for says, one in found.items()}
    assert verdicts == {
        "comparable: return, test": ("held", pytest.approx(-0.02)),
        "improved: return, test": ("refuted", pytest.approx(-0.02)),
        "comparable: return, shifted": ("held", pytest.approx(0.3)),
        "improved: return, shifted": ("held", pytest.approx(0.3)),
    }


def test_every_sentence_of_the_supervised_setting_is_asked_too():
    says = [(claim.says, claim.where) for claim in judged.claims(on_paper())]

    assert len(says) == len(set(says)) == 4 + 2 * 2 * len(ALIGNMENT) + 2 * 2 * len(FAITHFULNESS) + 2 * 2 + 3


def test_outcomes_hold_means_and_changes():
    table = judged.outcomes(on_paper()).set_index(["split", "model"])

    assert table.loc[("shifted", "camal"), "return"] == pytest.approx(0.6)
    assert table.loc[("shifted", "camal"), "return change"] == pytest.approx(0.3)
    assert table.loc[("test", "energy"), "return change"] == 0
    assert table.loc[("test", "camal"), "reached"] == 0.5
    long = judged.changes(table.reset_index())
    assert long[(long["metric"] == "return") & (long["model"] == "camal")]["gain"].tolist() == pytest.approx(
        [-0.02, 0.3]
    )


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Acted, Path, Path]:
    out = tmp_path_factory.mktemp("study")
    return *run_rl(SMALL, out, device="cpu", progress=False), out


def test_every_agent_is_measured_on_the_same_states_and_worlds_from_every_seed(studied):
    found = studied[0]
    agents = {"control", "camal", "energy"}

    assert set(found.scores["model"]) == set(found.accuracy["model"]) == agents
    assert set(found.episodes["model"]) == agents | {"random moves", "best moves"}
    assert set(found.episodes.groupby(["seed", "split", "model"]).size()) == {5}
    own = found.scores[found.scores["explainer"] == OWN].groupby(["seed", "split", "model", "metric"])["sample"]
    assert set(own.nunique()) == {2}
    assert (found.acted("test", "best moves", "reached") == 1).all()


def test_agents_are_kept_and_the_control_s_is_the_one_without_a_term(studied):
    names = sorted(path.name for path in (studied[2] / "models").iterdir())

    assert [name.rpartition("-")[0] for name in names] == [
        f"{a}-seed{s}" for a in ("camal", "control", "energy") for s in (0, 1)
    ]
    assert len(set(names)) == 6


@pytest.mark.usefixtures("drawn_once")
def test_a_second_start_trains_and_measures_nothing_anew(studied, monkeypatch):
    import xai_bench.studies.camal_rl.agents as agents

    def refuse(*_args, **_keywords):
        raise AssertionError("trained or played again")

    monkeypatch.setattr(agents, "train_agent", refuse)
    monkeypatch.setattr(agents, "play", refuse)
    again, page = run_rl(SMALL, studied[2], device="cpu", progress=False)

    pd.testing.assert_frame_equal(again.episodes, studied[0].episodes)
    pd.testing.assert_frame_equal(again.scores, studied[0].scores)
    assert page.read_text(encoding="utf-8").count("<svg") + page.read_text(encoding="utf-8").count("image/svg") >= 4


def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    for name in [
        name for name in sys.modules if name.startswith(("xai_bench.studies.camal_rl.agents", "stable_baselines3"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "xai_bench.reinforcement.agent", raising=False)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'xai-bench\[rl\]'"):
        run_rl(SMALL, tmp_path / "none", progress=False)

    assert not (tmp_path / "none").exists()


def test_settings_are_read_from_a_file(tmp_path):
    path = tmp_path / "rl.toml"
    path.write_text(
        'seeds = [4, 5]\nworse = 0\n[rules]\ntarget = "star"\n[recipe]\nframes = 4096\n'
        '[losses]\ncamal = {name = "camal", weight = 2}\nenergy = {name = "energy"}\n'
    )
    found = ReinforcementSettings.read(path)

    assert (found.seeds, found.worse, found.rules.target, found.recipe.frames) == ((4, 5), 0.0, "star", 4096)
    assert found.methods["camal"].weight == 2
    assert found.compared == ("control", "camal", "energy")
    assert found.judged_on("shifted", 3)[0].id == "state-shifted-0-0"


def test_a_table_of_rules_or_of_a_recipe_changes_only_what_it_names():
    usual = ReinforcementSettings()
    found = ReinforcementSettings.of({"rules": {"correlation": 1}, "recipe": {"discount": 0}})

    assert found == replace(
        usual, rules=replace(usual.rules, correlation=1.0), recipe=replace(usual.recipe, discount=0.0)
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("table", "error", "sentence"),
    [
        ({"seed": [0]}, UnknownNameError, "unknown key of study camal 'seed'; did you mean 'seeds'"),
        ({"seeds": [0]}, InvalidValueError, "seeds of study camal must be two or more different numbers, got"),
        ({"rules": {"sise": 3}}, UnknownNameError, "unknown key of rules 'sise'; did you mean 'size'"),
        ({"recipe": {"frame": 3}}, UnknownNameError, "unknown key of recipe 'frame'; did you mean 'frames'"),
        ({"losses": {"camal": {"name": "camal"}}}, InvalidValueError, "must be a table with camal and energy"),
        (
            {"losses": {"camal": {"name": "camal", "weight": -1}, "energy": {"name": "energy"}}},
            InvalidValueError,
            "weight of camal",
        ),
        ({"episodes": 0}, InvalidValueError, "episodes of study camal must be a whole number from 1, got 0"),
        ({"worse": -0.1}, InvalidValueError, "worse of study camal must be 0 or more, got -0.1"),
    ],
)
def test_settings_that_make_no_study_are_refused(table, error, sentence):
    with pytest.raises(error, match=sentence):
        ReinforcementSettings.of(table)


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ([], UnknownNameError, "unknown key of study camal 'rules'"),
        (["--setting", "reinforcement"], InvalidValueError, "rules of study camal must be"),
        (["--setting", "unsupervised"], SystemExit, "2"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_the_command_knows_both_settings(tmp_path, words, error, sentence):
    path = tmp_path / "wrong.toml"
    path.write_text("rules = 3\n")
    result = CliRunner().invoke(study, ["camal", str(path), *words])

    assert isinstance(result.exception, error)
    assert sentence in str(result.exception)


def test_a_kept_agent_is_the_policy_that_was_trained(studied):
    from xai_bench.reinforcement.agent import train_agent
    from xai_bench.studies.camal_rl.agents import Agents

    control = Agents(SMALL, 0, studied[2] / "models", "cpu", progress=False).trained()[0]
    network = train_agent(SMALL.rules, SMALL.recipe, None, seed=0, progress=False)

    assert all(torch.equal(value, network.state_dict()[name]) for name, value in control.module.state_dict().items())
    assert control.layer == "features"
