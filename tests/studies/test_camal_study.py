"""The study of CAMAL: its judgements on numbers known on paper, its settings, and a small one from end to end."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from xai_bench.adapters import load_model
from xai_bench.claims import judge
from xai_bench.errors import DataError, InvalidValueError, RunError, UnknownNameError
from xai_bench.ersm import CamalLoss
from xai_bench.studies.camal import judged, models
from xai_bench.studies.camal.judged import Measured
from xai_bench.studies.camal.measured import ALIGNMENT, FAITHFULNESS, FLOORS, OTHER, OWN
from xai_bench.studies.camal.models import Training, costs
from xai_bench.studies.camal.settings import CamalSettings
from xai_bench.studies.camal.study import run_camal
from xai_bench.training import Recipe
from xai_bench.training.memory import Memory
from xai_bench.training.recipe import PRESETS

LOSSES = {"camal": {"name": "camal"}, "energy": {"name": "energy", "weight": 2}}
SMALL = CamalSettings(
    data={"name": "planted", "size": 32},
    splits=("shifted",),
    plain=32,
    guided=16,
    test=8,
    explained=3,
    seeds=(1, 0),
    plain_recipe=Recipe(epochs=1, batch_size=16, lr=5e-3),
    recipe=Recipe(epochs=1, batch_size=8, lr=1e-3),
    losses=LOSSES,
    weights=(0.1,),
)
SPREAD = np.array([[-0.02, 0.0, 0.01, 0.01], [0.01, -0.02, 0.0, 0.01]])  # (seeds, images), mean 0
ON_PAPER = {  # model -> level of every score, and share of right predictions
    "plain": (0.4, 0.75),
    "control": (0.4, 0.75),
    "camal": (0.2, 1.0),
    "energy": (0.3, 0.75),
    "camal, 0.1": (0.4, 0.75),
}


def on_paper() -> Measured:
    scores, accuracy, weights = [], [], []
    for seed in (0, 1):
        for model, (level, share) in ON_PAPER.items():
            weights.append({"seed": seed, "model": model, "weights": 10, "layers": 3, "multiplications": 7})
            for image in range(4):
                place = {"seed": seed, "split": "shifted", "model": model, "sample": str(image)}
                accuracy.append({**place, "correct": image < 4 * share})
                for explainer in (OWN, OTHER, *FLOORS):
                    scores += [
                        {**place, "explainer": explainer, "metric": metric, "score": level + SPREAD[seed, image]}
                        for metric in (*ALIGNMENT, *FAITHFULNESS)
                    ]
    return Measured(SMALL, *(pd.DataFrame(rows).sample(frac=1, random_state=0) for rows in (scores, accuracy, weights)))


def verdicts() -> dict[str, tuple[str, float]]:
    return {
        f"{claim.says}: {claim.where}": (found.verdict, found.mean)
        for claim in judged.claims(on_paper())
        for found in (judge(claim),)
    }


def test_a_lower_score_is_better_where_the_metric_says_so_and_worse_elsewhere():
    found = verdicts()
    control, energy = "the same training without the term", "Model Guidance's energy loss"

    for metric, sign in (("deletion", 1), ("average_drop", 1), ("insertion", -1)):
        verdict, mean = found[f"Faithfulness is more than 35% better than {control}: {metric}, shifted"]
        assert mean == pytest.approx(sign * 0.5)  # from 0.4 to 0.2
        assert verdict == ("held" if sign > 0 else "refuted")
    verdict, mean = found[f"Faithfulness is more than 35% better than {energy}: deletion, shifted"]
    assert mean == pytest.approx(1 / 3)  # from 0.3 to 0.2
    assert verdict == "refuted"


def test_alignment_is_a_difference_to_the_control():
    found = verdicts()
    aligned = [value for says, value in found.items() if says.startswith("Attention is better aligned")]

    assert len(aligned) == 2 * len(ALIGNMENT)
    assert all(verdict == "refuted" for verdict, _ in aligned)
    np.testing.assert_allclose([mean for _, mean in aligned], -0.2)


def test_accuracy_may_lose_a_margin_and_inference_nothing():
    found = verdicts()

    assert found["Generalisation is comparable: shifted"] == ("held", pytest.approx(0.25))
    assert found["Inference costs nothing: weights"] == ("held", 0)


def test_more_weights_are_seen():
    paper = on_paper()
    more = paper.costs.copy()
    more.loc[more["model"] == "camal", "weights"] = 11
    claims = judged.claims(replace(paper, costs=more))

    assert next(judge(claim).verdict for claim in claims if claim.where == "weights") == "refuted"


def test_gains_are_against_the_control_and_every_model_has_its_row():
    table = judged.gains(on_paper()).set_index(["explainer", "metric", "model"])

    assert table.loc[(OWN, "deletion", "energy"), "gain"] == pytest.approx(0.1)
    assert table.loc[(OWN, "deletion", "energy"), "relative"] == pytest.approx(0.25)
    assert table.loc[(OTHER, "iou", "plain"), "gain"] == pytest.approx(0)
    assert set(table.index.get_level_values("model")) == {"plain", "camal", "energy"}


def test_the_sweep_starts_at_the_control_and_rises():
    table = judged.sweep(on_paper())

    assert list(table["weight"].unique()) == [0, 0.1, 1]
    assert list(table[table["weight"] == 1]["accuracy"]) == [1, 1]


def test_costs_of_a_pass_on_paper():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = costs(load_model(net, input_size=8))

    assert found == {"weights": 4 * 27 + 4 + 10, "layers": 4, "multiplications": 4 * 27 * 64 + 8}
    assert not any(layer._forward_hooks for layer in net)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measured, Path, Path]:
    out = tmp_path_factory.mktemp("study")
    return *run_camal(SMALL, out, device="cpu", progress=False), out


def test_every_model_is_measured_on_the_same_images_from_every_seed(studied):
    found = studied[0]
    main, counts = {"plain", "control", "camal", "energy"}, found.accuracy.groupby("model")["sample"].count()
    scored = found.scores[found.scores["explainer"] == OWN].groupby(["model", "metric"])["sample"].count()

    assert set(counts.index) == main | {"camal, 0.1"}
    assert set(counts) == {2 * 8}
    assert set(scored) == {2 * 3}
    assert set(scored["camal"].index) == {*ALIGNMENT, *FAITHFULNESS}
    assert set(scored["camal, 0.1"].index) == set(ALIGNMENT)


def test_the_losses_start_from_the_same_plain_model_and_part(studied):
    paths = {path.name.partition("-seed0")[0]: path for path in (studied[2] / "models").glob("*-seed0-*.safetensors")}
    modules = {name: load_model(path, device="cpu").module for name, path in paths.items()}
    apart = {
        name: max((value - modules["plain"].state_dict()[key]).abs().max().item() for key, value in own.items())
        for name, own in ((name, dict(module.named_parameters())) for name, module in modules.items())
    }

    assert set(apart) == {"plain", "control", "camal", "energy", "camal-0.1"}
    assert apart["plain"] == 0
    assert all(0 < distance < 0.2 for name, distance in apart.items() if name != "plain")
    assert len({next(iter(module.parameters())).sum().item() for module in modules.values()}) == len(modules)


def test_a_training_that_was_killed_goes_on_from_its_last_epoch(monkeypatch, tmp_path):
    """Its second epoch never comes; the second start trains that one alone, to the weights of an undisturbed run."""
    settings = replace(SMALL, plain_recipe=replace(SMALL.plain_recipe, epochs=2))
    whole = Training(settings, 0, tmp_path / "whole", "cpu", progress=False).plain
    keep, seen = Memory.keep, []

    def killed(self, learning, epochs):
        keep(self, learning, epochs)
        raise KeyboardInterrupt

    def counted(self, learning, epochs):
        seen.append(len(epochs))
        keep(self, learning, epochs)

    monkeypatch.setattr(Memory, "keep", killed)
    with pytest.raises(KeyboardInterrupt):
        Training(settings, 0, tmp_path / "cut", "cpu", progress=False).plain  # noqa: B018
    monkeypatch.setattr(Memory, "keep", counted)
    again = Training(settings, 0, tmp_path / "cut", "cpu", progress=False).plain

    assert seen == [2]
    assert again.fingerprint == whole.fingerprint
    assert not list((tmp_path / "cut" / "begun").iterdir())


@pytest.mark.usefixtures("drawn_once")
def test_a_second_start_trains_nothing_and_says_the_same(studied, monkeypatch):
    _, page, out = studied
    before = (page.parent / "study.md").read_bytes()
    monkeypatch.setattr(models, "train", None)
    run_camal(SMALL, out, device="cpu", progress=False)

    assert (page.parent / "study.md").read_bytes() == before


def test_the_page_has_every_claim_table_and_figure(studied):
    found, page, _ = studied
    text = page.read_text(encoding="utf-8")

    assert all(claim.says.replace("'", "&#39;") in text for claim in judged.claims(found))
    assert {path.stem for path in (page.parent / "tables").glob("*.csv")} >= {"claims", "gains", "sweep", "accuracy"}
    assert {path.stem for path in (page.parent / "figures").glob("*.svg")} == {
        *("alignment_own", "alignment_other", "faithfulness", "sweep", "attention"),
    }


def test_the_control_is_the_same_training_without_the_term():
    assert SMALL.methods["control"] == CamalLoss(0)
    assert list(SMALL.methods) == ["control", "camal", "energy"]
    assert SMALL.sweep == {"camal, 0.1": CamalLoss(0.1)}


def test_settings_come_from_a_file(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        'seeds = [3, 4]\nweights = [1, 10]\nmargin = 0\nsplits = ["test"]\n'
        '[data]\nname = "folder"\npath = "birds"\nmasks = "shapes"\n[recipe]\nepochs = 7\n'
    )
    with pytest.raises(UnknownNameError, match="split of folder"):
        CamalSettings.read(file)
    file.write_text(file.read_text().replace('"folder"', '"planted"').replace('path = "birds"\nmasks = "shapes"', ""))
    found = CamalSettings.read(file)

    assert (found.seeds, found.weights, found.margin, found.recipe) == (
        (3, 4),
        (1.0, 10.0),
        0.0,
        replace(CamalSettings().recipe, epochs=7),
    )


@pytest.mark.parametrize("name", ["recipe", "plain_recipe"])
def test_a_table_of_a_recipe_changes_only_what_it_names(name):
    usual, preset = getattr(CamalSettings(), name), PRESETS["finetune"]
    tables: tuple[dict[str, object], ...] = ({}, {"lr": 1e-4}, {"preset": "finetune"}, {"preset": "finetune", "lr": 1})
    found = [getattr(CamalSettings.of({name: table}), name) for table in tables]

    assert found == [usual, replace(usual, lr=1e-4), preset, replace(preset, lr=1.0)]


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ({"wieghts": [1]}, UnknownNameError, r"unknown key of study camal 'wieghts'; did you mean 'weights'\?"),
        ({"recipe": {"epoch": 1}}, UnknownNameError, r"unknown key of training recipe 'epoch'; did you mean 'epochs'"),
        ({"seeds": [1]}, InvalidValueError, r"seeds of study camal must be two or more different numbers, got \(1,\)"),
        ({"weights": [0]}, InvalidValueError, "weights of study camal must be finite and above 0"),
        ({"splits": ["tset"]}, UnknownNameError, r"unknown split of planted 'tset'; did you mean 'test'\?"),
        (
            {"losses": {"camal": {"name": "camal"}}},
            InvalidValueError,
            "losses .* must be a table with camal and energy",
        ),
        ({"losses": {**LOSSES, "control": "l1"}}, InvalidValueError, "must be names other than control and plain"),
        (
            {"losses": {**LOSSES, "x": {"name": "camal", "weight": -1}}},
            InvalidValueError,
            "weight of camal must be 0 or",
        ),
        ({"data": {"name": "food101"}, "splits": ["test"]}, DataError, "data 'food101' have none; .*planted"),
        ({"margin": -0.1}, InvalidValueError, "margin of study camal must be 0 or more, got -0.1"),
        ({"plain": -1}, InvalidValueError, "plain of study camal must be a whole number from 0, got -1"),
    ],
)
def test_wrong_settings_are_refused_by_name(given, kind, sentence):
    with pytest.raises(kind, match=sentence):
        CamalSettings.of(given)


def test_the_settings_in_the_documentation_are_settings():
    page = (Path(__file__).parents[2] / "docs/camal.md").read_text(encoding="utf-8")
    found = CamalSettings.of(tomllib.loads(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]))

    assert found.data["name"] == "pets"
    assert found.plain == 0


def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path):
    (tmp_path / "camal.toml").write_text("seeds = [")
    for name, kind in (("caml.toml", UnknownNameError), ("camal.toml", RunError)):
        with pytest.raises(kind):
            CamalSettings.read(tmp_path / name)
