"""`xai-bench reference init` as a person types it: a new suite, one that is there, and every slip."""

import json
import math
import re
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from xai_bench.errors import IncompleteError, InvalidValueError, RunError
from xai_bench.gate import Margins
from xai_bench.gate.check import check
from xai_bench.references import read
from xai_bench.results import load_results
from xai_bench.runs.run import Run
from xai_bench.runs.suite import Suite
from xai_bench.setup_gate import Places, Starter, Wanted, set_up, setup
from xai_bench.setup_gate.service import Job

MODEL = {"name": "timm:test_resnet", "pretrained": False, "num_classes": 4, "input_size": 32}
WORDS = ["--model", "timm:test_resnet", "--set", "pretrained=false", "--set", "num_classes=4", "--set", "input_size=32"]
NEW = [*WORDS, "--data", "planted"]
FAST = {"data": "planted", "explainers": ("gradcam", "random"), "metrics": ("pointing_game", "energy_pointing_game")}
SUITE = """
explainers = ["gradcam", "centre"]
metrics = ["pointing_game", "energy_pointing_game", { name = "inside_minus_outside", output = "logit" }]

[[models]]
name = "timm:test_resnet"
pretrained = false
num_classes = 4
input_size = 32

[data]
name = "planted"
n = 8
size = 32
"""


def quiet(path, service="none", **facts):
    return Wanted(Places(path, service), progress=False, **facts)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A new suite set up inside a repository, in the folder `ci`."""
    root = tmp_path_factory.mktemp("repository")
    (root / ".git").mkdir()
    (root / "ci").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        made = set_up(quiet(Path("ci/faith.toml"), "github", starter=Starter(MODEL, **FAST), images=10))
    return root, made


def test_all_files_lie_beside_the_suite_and_the_job_where_the_service_looks(repository):
    root, made = repository
    files = ["ci/faith.toml", "ci/faith.margins.toml", "ci/faith.reference.json", ".github/workflows/faith.yml"]

    assert [path.resolve() for path in map(root.joinpath, files)] == [(root / path).resolve() for path in made.files]
    assert all((root / file).stat().st_size for file in files)


def test_the_new_suite_says_what_was_asked_for(repository):
    suite = Suite.read(repository[0] / "ci/faith.toml")

    assert suite.models == (MODEL,)
    assert (suite.explainers, suite.metrics) == (FAST["explainers"], FAST["metrics"])
    assert suite.data == ({"name": "planted", "size": 32, "seed": 0, "n": 10},)


def test_the_reference_is_the_run_and_passes_its_own_margins(repository):
    root, _ = repository
    reference, margins = read(root / "ci/faith.reference.json"), Margins.read(root / "ci/faith.margins.toml")
    found = check(("run", load_results(root / "runs/faith").run), ("reference", reference), margins)

    assert found.verdict == "pass"
    assert found.counts == {"pass": 2, "ignored": 2}
    assert len(reference.scores) == 40


def test_the_new_suite_says_what_the_model_is_shown(repository):
    text = (repository[0] / "ci/faith.toml").read_text()
    said = "timm:test_resnet is given 32 x 32 pixels, colours less mean [0.5, 0.5, 0.5], by std [0.5, 0.5, 0.5]"

    assert f"[[models]] # {said}\n" in text
    assert repository[1].notes[0] == said


def test_where_nothing_is_normalised_the_keys_that_would_are_named():
    model = {"input_size": [224, 200], "mean": [0.0] * 3, "std": [1.0] * 3}
    info = {"models": {"mine": model, "other": model | {"mean": [0.1234567] * 3}}}

    keys = "mean, std and input_size of its table say otherwise"

    assert list(setup._takes(Run(pd.DataFrame(), pd.DataFrame(), {}, {}, info))) == [
        f"mine is given 224 x 200 pixels, colours from 0 to 1 as they are; {keys}",
        "other is given 224 x 200 pixels, colours less mean [0.123, 0.123, 0.123], by std [1.0, 1.0, 1.0]",
    ]


def test_files_of_git_are_named_until_they_have_their_lines(repository, monkeypatch):
    root, made = repository
    monkeypatch.chdir(root)
    wanted = quiet(Path("ci/faith.toml"), "github")
    assert [hint.split(",")[0] for hint in made.hints] == [
        "add `runs/` to .gitignore",
        "add `*.reference.json -merge` to .gitattributes",
    ]
    monkeypatch.setattr(Places, "root", root / "other")
    (root / "other").mkdir()
    (root / "other/.gitignore").write_text("/runs\n")
    (root / "other/.gitattributes").write_text("*.reference.json -merge\n")

    assert list(setup._hints(wanted)) == []


def test_margins_are_written_with_their_unit_and_reason(repository):
    text = (repository[0] / "ci/faith.margins.toml").read_text()

    assert 'ignore = ["random"] #' in text
    assert "pointing_game = 0.05 # higher is better; hit or miss: 5 % of the images" in text
    assert "energy_pointing_game = 0.02 # higher is better; 2 % of its range, 0 to 1" in text
    assert tomllib.loads(text)["alpha"] == 0.05


@pytest.fixture
def job(repository):
    return yaml.safe_load((repository[0] / ".github/workflows/faith.yml").read_text())["jobs"]["check"]


def script(job, name):
    return next(step["run"] for step in job["steps"] if step.get("name") == name)


def test_the_workflow_runs_the_suite_and_checks_it_from_the_top_of_the_repository(job):
    assert "xai-bench run ci/faith.toml --quiet 2>&1" in script(job, "Score the explanations")
    assert (
        "xai-bench check runs/faith ci/faith.reference.json --margins ci/faith.margins.toml --junit check.xml "
        '--markdown "$GITHUB_STEP_SUMMARY" 2>&1'
    ) in script(job, "Check them against the reference")
    assert job["steps"][-1]["if"] == "always()"


def test_the_workflow_installs_the_versions_of_the_run(repository, job):
    versions = repository[1].results.run.info["versions"]
    installed = dict(re.findall(r"([\w-]+)==(\S+)", script(job, "Install")))

    assert set(installed) == {"torch", "torchvision", "timm", "scikit-image", "captum", "xai-bench"}
    assert installed == {name: versions[name].partition("+")[0] for name in installed}
    assert versions["python"].startswith(f"{job['steps'][1]['with']['python-version']}.")


def test_a_build_of_a_cuda_version_is_asked_for_without_it():
    facts = Job("a", "a.toml", "r", "m", "f", requirements=True, versions={"torch": "2.1.0+cu121"})

    assert [line.split(" --")[0] for line in facts.install] == [
        "pip install torch==2.1.0 torchvision",
        "pip install -r requirements.txt",
        "pip install timm scikit-image captum",
        "pip install xai-bench",
    ]


RUN, CHECK = "Score the explanations", "Check them against the reference"


@pytest.mark.parametrize(
    ("step", "code", "after", "told"),
    [
        (RUN, 0, 0, False),
        (RUN, 1, 0, False),
        (RUN, 2, 2, True),
        (RUN, 70, 70, True),
        (CHECK, 0, 0, False),
        (CHECK, 1, 1, False),
        (CHECK, 2, 2, True),
        (CHECK, 3, 3, False),
    ],
)
def test_a_refusal_ends_the_workflow_and_is_told_in_its_summary(job, tmp_path, step, code, after, told):
    stub = tmp_path / "xai-bench"
    stub.write_text(f"#!/bin/sh\necho first\necho the sentence >&2\nexit {code}\n")
    stub.chmod(0o755)
    summary = tmp_path / "summary.md"
    summary.touch()
    place = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RUNNER_TEMP": tmp_path, "GITHUB_STEP_SUMMARY": summary}
    line = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script(job, step)]  # as the service starts it
    done = subprocess.run(line, env=place, check=False, capture_output=True, text=True)

    assert done.returncode == after
    assert "the sentence" in done.stdout
    assert summary.read_text() == ("the sentence\n" if told else "")


def test_a_job_of_gitlab_names_the_same_files_and_what_is_left_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my suite.toml").write_text(SUITE)
    made = set_up(quiet(Path("my suite.toml"), "gitlab"))
    job = yaml.safe_load((tmp_path / ".gitlab/my suite.yml").read_text())["my suite"]

    assert made.hints[0] == "add `include: { local: .gitlab/my suite.yml }` to .gitlab-ci.yml"
    assert "xai-bench run 'my suite.toml' --quiet || test $? -eq 1" in job["script"]
    assert job["script"][-1] == (
        "xai-bench check 'runs/my suite' 'my suite.reference.json' --margins 'my suite.margins.toml' --junit check.xml"
    )
    assert (tmp_path / "my suite.toml").read_text() == SUITE
    assert "drawn by the suite's seed" in made.notes[1]


def test_a_pilot_says_how_many_images_the_margins_need(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(setup, "PILOT", 12)
    said: list[str] = []
    made = set_up(quiet(Path("a.toml"), starter=Starter(MODEL, **FAST), most=20), said.append)
    text = (tmp_path / "a.toml").read_text()

    assert said[0] == "a pilot of 12 images says how many are needed"
    assert said[1].startswith("timm:test_resnet is given 32 x 32 pixels, colours less mean [0.5, 0.5, 0.5]")
    assert re.fullmatch(r"they take about \d+ (s|min), as the pilot's did; --most takes fewer", said[3])
    assert "n = 20 # images: the most allowed (--most); " in text
    assert "would be what the margins need, from a pilot of 12 and with a fifth to spare" in text
    assert {size.images for size in made.sizes} == {20}
    assert [size.short for size in made.sizes if size.metric == "pointing_game"] == [True]


@pytest.mark.parametrize(
    ("needed", "there", "most", "n"),
    [
        (100, None, 1000, 120),
        (101, None, 1000, 130),
        (100, 110, 1000, 110),
        (900, None, 1000, 1000),
        (900, 200, 100, 100),
    ],
)
def test_a_fifth_more_than_the_neediest_cell_needs_as_far_as_there_is(needed, there, most, n):
    cells = [
        setup.Size("d", "m", "e", "k", 1.0, 1.0, "scores", 7.0, float(count), 50, 50, 1.0) for count in (9, needed)
    ]

    assert setup._enough(tuple(cells), there, most)[0] == n


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """shop/pictures/CLASS/... and shop/masks/CLASS/..., 6 of each."""
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        for room, suffix, mode in (("pictures", "jpg", "RGB"), ("masks", "png", "L")):
            file = tmp_path / "shop" / room / "cat" / f"{number}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_mandelbrot((40, 40), (-2, -1, 1, 1 + number), 20).convert(mode).save(file)
    return Path("shop")


def test_a_small_folder_of_pictures_is_taken_whole_with_its_masks(pictures, tmp_path):
    (tmp_path / "ci").mkdir()
    starter = Starter(MODEL, pictures, explainers=("gradcam",))
    table = tomllib.loads(starter.text(Path("ci"), 6))

    assert starter.most == 6
    assert table["data"] == {"name": "folder", "path": "../shop/pictures", "masks": "../shop/masks", "seed": 0, "n": 6}
    assert table["metrics"] == ["deletion", "insertion", {"name": "pointing_game", "tolerance": 0}, "top1"]
    assert Suite.of(table, Path("ci")).data[0]["path"] == "ci/../shop/pictures"


def test_pictures_without_masks_are_not_asked_where_the_object_is(pictures):
    starter = Starter(MODEL, pictures / "pictures")

    assert tomllib.loads(starter.text(Path(), 6))["metrics"] == ["deletion", "insertion", "top1"]


def test_pictures_without_class_folders_are_not_asked_for_their_class(pictures):
    starter = Starter(MODEL, pictures / "pictures/cat")

    assert tomllib.loads(starter.text(Path(), 6))["metrics"] == ["deletion", "insertion"]


def test_what_lies_outside_the_repository_is_told(pictures, tmp_path, monkeypatch):
    (tmp_path / "project/.git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    starter = Starter(MODEL, Path("../shop/pictures"), explainers=("random",), metrics=("deletion",))
    made = set_up(quiet(Path("a.toml"), starter=starter))

    assert "path '../shop/pictures' lies outside the repository, where a service will not find it" in made.notes


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("small.toml")
    path.write_text(SUITE)
    return path


def test_the_command_prints_a_table_and_says_what_falls_short_and_what_is_next(call, tmp_path):
    (tmp_path / "small.toml").write_text(SUITE)
    code, out, err = call("reference", "init", "small.toml", "--quiet", "--ci", "none")

    assert code == 0
    assert out.splitlines()[0].split("  ")[0] == "cell"
    assert "pointing_game of gradcam on timm:test_resnet" in out
    assert "centre" not in out
    assert "3 of 3 cells have fewer images than they need" in err
    assert "written: small.margins.toml, small.reference.json\n" in err
    assert "kept: small.toml\n" in err
    assert "report: runs/small/report/index.html\n" in err
    assert (tmp_path / "runs/small/report/index.html").is_file()
    assert re.search(r"pointing_game of gradcam on timm:test_resnet .* 8, [\d,]+ more ", out)
    assert "`xai-bench check runs/small small.reference.json --margins small.margins.toml`" in err
    assert "left to do: add `runs/` to .gitignore" in err


def test_an_earlier_run_measures_the_spread(call, suite, tmp_path, monkeypatch):
    monkeypatch.setattr("xai_bench.results.Results.report", lambda _, out: out / "index.html")  # takes seconds
    other = tmp_path / "other.toml"
    other.write_text(SUITE.replace("num_classes = 4", "num_classes = 6"))  # other random weights
    set_up(quiet(other))
    code, _, err = call("reference", "init", "small.toml", "--quiet", "--earlier", "runs/other", "--ci", "none")

    assert code == 0
    assert "Spread: standard deviation of an image's change, since the earlier run." in err


def test_margins_that_are_there_are_taken_as_they_are(suite):
    Path("own.toml").write_text("[margins]\nenergy_pointing_game = 0.3\n")
    made = set_up(quiet(suite, "github", margins=Path("own.toml")))
    job = Path(".github/workflows/small.yml").read_text()

    assert not Path("small.margins.toml").exists()
    assert "--margins own.toml " in job
    assert {size.margin for size in made.sizes if size.metric == "energy_pointing_game"} == {0.3}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("small.reference.json", "`xai-bench reference update RUN small.reference.json` renews it"),
        ("small.margins.toml", "--force or --margins small.margins.toml keeps it as it is"),
        (".github/workflows/small.yml", "--force or --ci none keeps it as it is"),
    ],
)
def test_nothing_that_is_there_is_written_over(suite, there, words):
    Path(there).parent.mkdir(parents=True, exist_ok=True)
    Path(there).touch()

    with pytest.raises(InvalidValueError, match="is there already") as refused:
        set_up(quiet(suite, "github"))
    assert words in str(refused.value)
    assert not Path("runs").exists()


def test_force_renews_the_reference_and_keeps_what_was_set_by_hand(suite):
    set_up(quiet(suite, "github"))
    own = {"small.margins.toml": "[margins]\nenergy_pointing_game = 0.3\n", ".github/workflows/small.yml": "on: push\n"}
    for name, text in own.items():
        Path(name).write_text(text)
    before = Path("small.reference.json").read_bytes()
    suite.write_text(SUITE.replace("num_classes = 4", "num_classes = 6"))
    made = set_up(quiet(suite, "github", out="runs/other", force=True))

    assert {name: Path(name).read_text() for name in own} == own
    assert [path.name for path in made.kept] == ["small.toml", "small.margins.toml", "small.yml"]
    assert [path.name for path in made.files] == ["small.reference.json"]
    assert {size.margin for size in made.sizes if size.metric == "energy_pointing_game"} == {0.3}
    assert Path("small.reference.json").read_bytes() != before


def test_force_leaves_what_is_no_reference(suite):
    Path("small.reference.json").write_text(json.dumps({"mine": 1}))

    with pytest.raises(InvalidValueError, match="is no reference file"):
        set_up(quiet(suite, force=True))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["new.toml"], "suite 'new.toml' does not exist, and a new one needs a model, such as --model timm:resnet18"),
        (["new.toml", "--set", "a=1"], "a new one needs a model"),
        (["new.toml", *WORDS], "a new one needs data: --data FOLDER takes your pictures, --data planted draws shapes"),
        (["new.yaml", *NEW], "a suite is a file NAME.toml, got 'new.yaml'"),
        (["no/new.toml", *NEW], "the suite's folder 'no' does not exist; make it first"),
        (["new.toml", *WORDS, "--data", "no"], "'no'"),
        (["new.toml", *WORDS, "--masks", "no"], "--masks mirror the pictures of --data; give both"),
        (["new.toml", *NEW, "--images", "1"], "--images must be 2 or more, got 1"),
        (["new.toml", *NEW, "--most", "0"], "--most must be 2 or more, got 0"),
        (["new.toml", *NEW, "--ci", "githup"], "unknown CI service 'githup'; did you mean 'github'?"),
        (["new.toml", *NEW, "--earlier", "runs/a"], "--earlier is a run of a suite that is there"),
        (["new.toml", *NEW, "--metric", "deltion"], "unknown metric 'deltion'; did you mean 'deletion'?"),
        (["new.toml", *NEW, "--margins", "no.toml"], "unknown margins file 'no.toml'"),
        (
            ["small.toml", "--model", "timm:test_vit"],
            "suite 'small.toml' is there and is run as it is; leave out --model",
        ),
        (["small.toml", "--images", "9"], "leave out --images, or name a new file"),
        (["small.toml", "--earlier", "runs/none"], "runs/none"),
    ],
)
def test_a_slip_is_one_sentence_and_leaves_nothing_behind(call, suite, words, sentence):
    code, out, err = call("reference", "init", *words, "--quiet")

    assert code == 2
    assert out == ""
    assert sentence in err.splitlines()[-1]
    assert [path.name for path in Path().iterdir()] == ["small.toml"]


def test_a_run_that_fails_leaves_none_of_the_files(suite, monkeypatch):
    monkeypatch.setattr(setup, "run_suite", lambda *_: (_ for _ in ()).throw(RunError("the run failed")))

    with pytest.raises(RunError, match="the run failed"):
        set_up(quiet(suite, "github"))
    assert [path.name for path in Path().iterdir()] == ["small.toml"]


def test_where_one_file_cannot_be_written_none_is(suite):
    Path(".github").touch()  # a file where a folder has to be

    with pytest.raises(InvalidValueError, match=r"the folder of the job .* cannot be written: Not a directory"):
        set_up(quiet(suite, "github"))
    assert sorted(path.name for path in Path().iterdir()) == [".github", "small.toml"]


@pytest.mark.parametrize("failing", ["beside", "moved"])
def test_files_are_made_anew_together_or_not_at_all(tmp_path, monkeypatch, failing):
    """The last one fails, while it is written beside its place or when it is moved there."""
    first, new, last = tmp_path / "first", tmp_path / "deep/er/new", tmp_path / "last"
    first.write_text("old")
    if failing == "moved":
        last.mkdir()
    else:
        last = first / "last"

    with pytest.raises(RunError, match=rf"cannot write '{last}': .*; nothing else was written, the run is kept"):
        setup._write({first: b"1", new: b"2", last: b"3"})
    assert first.read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["first", *(["last"] if failing == "moved" else [])]


@pytest.mark.usefixtures("suite")
def test_a_unit_that_fails_at_every_try_is_one_sentence_and_no_regression(call, monkeypatch):
    def half(*_):
        raise IncompleteError("1 of 9 units failed at every try", failures=["gradcam on m: planted"])

    monkeypatch.setattr(setup, "run_suite", half)
    code, out, err = call("reference", "init", "small.toml", "--quiet")

    assert (code, out) == (2, "")
    assert err == (
        "error: a reference needs the whole run, so none of the files was written: 1 of 9 units failed at every try\n"
    )
    assert [path.name for path in Path().iterdir()] == ["small.toml"]


def test_a_metric_without_bounds_has_a_margin_from_its_spread(suite):
    made = set_up(quiet(suite))
    found = {size.metric: size for size in made.sizes}["inside_minus_outside(output=logit)"]
    scores = made.results.scores.query("metric == @found.metric")
    sd = math.sqrt(scores.groupby("explainer", observed=True)["score"].var().mean())  # pooled over both explainers

    assert found.margin == pytest.approx(0.1 * sd, rel=0.01)
    assert "without bounds: a tenth of the standard deviation of its scores" in made.margins.read_text()


def test_numbers_of_a_model_keep_their_form():
    model = MODEL | {"mean": [0.5, 0.5, 0.5], "label": 'a "b"', "checkpoint": "w.safetensors"}
    table = tomllib.loads(Starter(model, Path("x"), metrics=("deletion",)).text(Path("deep/er"), 3))

    assert table["models"] == [model | {"checkpoint": "../../w.safetensors"}]
    assert np.isfinite(table["models"][0]["mean"]).all()
