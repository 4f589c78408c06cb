"""The command line as a person types it: what is printed, where, and with which exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SUITE = """
explainers = ["gradcam", "random"]
metrics = [{ name = "deletion", steps = 2 }, "top1"]

[[models]]
name = "timm:test_resnet"
pretrained = false
num_classes = 4
input_size = 32

[data]
name = "planted"
n = 4
size = 32
"""
SMALL = ["--model", "timm:test_resnet", "--set", "pretrained=false", "--set", "num_classes=4", "--set", "input_size=32"]


@pytest.fixture
def undrawn(monkeypatch):
    """In the place of a report a page that says nothing, for tests of where it goes."""

    def write(_run, out):
        out.mkdir()
        (out / "index.html").touch()
        return out / "index.html"

    with monkeypatch.context() as patch:
        patch.setattr("xai_bench.reports.write", write)
        yield patch


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 20).convert("RGB").save(path)
    return path


def test_run_prints_the_table_and_writes_the_run_and_its_report(call, suite, tmp_path):
    code, out, err = call("run", suite, "--quiet")

    assert code == 0
    assert "deletion" in out
    assert "gradcam" in out
    assert "written: runs/small/report/index.html" in err
    assert (tmp_path / "runs/small/report/index.html").stat().st_size > 1000
    assert list((tmp_path / "runs/small/scores").glob("*.parquet"))


@pytest.mark.usefixtures("undrawn")
def test_a_run_at_a_url_leaves_the_report_of_a_local_one_alone(call, suite, tmp_path):
    code, _, err = call("run", suite, "--out", "memory://test-cli/run", "--quiet")

    assert code == 0
    assert "written: small-report/index.html" in err
    assert (tmp_path / "small-report/index.html").exists()
    assert not (tmp_path / "runs").exists()
    assert "NAME-report" in call("run", "--help")[1]


def test_report_redraws_from_the_stored_scores(call, suite, tmp_path, undrawn):
    call("run", suite, "--out", "there", "--quiet")
    undrawn.undo()
    code, out, _ = call("report", "there", "--out", "again")

    assert code == 0
    assert "gradcam" in out
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"tables", "figures", "index.html"}


@pytest.mark.parametrize("form", ["png", "pdf", "svg"])
def test_explain_draws_a_picture_and_prints_scores(call, photo, tmp_path, form):
    code, out, err = call("explain", photo, *SMALL, "--explainer", "random", "--out", f"seen.{form}")

    assert code == 0, err
    assert "random" in out
    assert f"written: seen.{form}" in err
    assert (tmp_path / f"seen.{form}").stat().st_size > 1000


def test_explain_chooses_the_explainers_that_fit(call, photo):
    _, out, _ = call("explain", photo, *SMALL, "--metric", "deletion")

    assert "gradcam" in out
    assert "energy" not in out


def test_explain_takes_a_target_class(call, photo):
    assert call("explain", photo, *SMALL, "--explainer", "random", "--target", "2")[0] == 0
    assert call("explain", photo, *SMALL, "--explainer", "random", "--target", "9")[0] == 2


@pytest.mark.parametrize("kind", ["metrics", "explainers", "removals", "models", "trainers", "data"])
def test_list_says_what_there_is(call, kind):
    code, out, _ = call("list", kind)
    as_json = json.loads(call("list", kind, "--json")[1])

    assert code == 0
    assert all(entry["name"] in out for entry in as_json)
    assert len(as_json) >= 3


def test_list_metrics_has_direction_bounds_and_source(call):
    rows = {row["name"]: row for row in json.loads(call("list", "metrics", "--json")[1])}

    assert rows["deletion"]["better"] == "lower"
    assert rows["deletion"]["bounds"] == "[0, 1]"
    assert "1806.07421" in rows["deletion"]["source"]
    assert "deletion@rise, deletion@torchcam" in rows["deletion"]["protocols"]


def test_selftest_agrees_and_says_how_many(call):
    code, out, err = call("selftest")

    assert code == 0
    assert "deletion of a sum" in out
    assert "12 of 12 oracles agree" in err


def test_selftest_that_disagrees_is_our_fault(call, monkeypatch):
    monkeypatch.setattr("xai_bench.metrics.removal_curve.area", lambda curve: curve.values.mean(1))

    assert call("selftest")[0] == 70


BAD = [
    (["rum"], "unknown command 'rum'; did you mean 'run'?"),
    (["list", "metric"], "unknown kind 'metric'; did you mean 'metrics'?"),
    (["run", "smal.toml"], "unknown suite file 'smal.toml'; did you mean 'small.toml'?"),
    (["report", "nowhere"], "'nowhere' is not a run folder: it has no run.json"),
    (["explain", "phto.png", *SMALL], "did you mean 'photo.png'?"),
    (["explain", "small.toml", *SMALL], "cannot read"),
    (["explain", "photo.png", *SMALL, "--out", "x.bmp"], "--out must end in pdf, svg, png, got 'x.bmp'"),
    (["explain", "photo.png", *SMALL, "--set", "oops"], "--set takes KEY=VALUE, got 'oops'"),
    (["explain", "photo.png", *SMALL, "--explainer", "gradcan"], "unknown explainer 'gradcan'; did you mean 'gradcam'"),
    (["explain", "photo.png", *SMALL, "--explainer", "energy"], "has no energy mask"),
    (["explain", "photo.png", *SMALL, "--metric", "pointing_game"], "needs regions"),
    (["explain", "photo.png", "--model", "timm:resnet81"], "did you mean"),
    (["explain", "photo.png", *SMALL, "--device", "tpu"], "device must be"),
    (["explain", "photo.png"], "--model"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), BAD, ids=[" ".join(words[:2]) + " " + s[:20] for words, s in BAD])
@pytest.mark.usefixtures("suite", "photo", "unchecked")
def test_bad_input_exits_with_two_and_one_sentence_and_writes_nothing(call, tmp_path, words, sentence):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(*words)

    assert code == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


SLIPS = [
    ('"gradcam"', '"gradcan"', "unknown explainer 'gradcan'; did you mean 'gradcam' or 'xgradcam'?"),
    ('"top1"', '"topp1"', "unknown metric 'topp1'; did you mean 'top1'?"),
    ("steps = 2", "stesp = 2", "unknown key of metric deletion 'stesp'; did you mean 'steps'"),
    (
        "steps = 2",
        'steps = "two"',
        "steps of deletion must be a number, fractions, 'each', 'adaptive', '20 floor', '20 ceil' or '9 units', got",
    ),
    ('"planted"', '"plantd"', "unknown dataset 'plantd'; did you mean 'planted'?"),
    ("n = 4", "m = 4", "unknown key of dataset planted 'm'"),
    ("n = 4", "n = 0", "n of dataset planted must be at least 1, got 0"),
    ("timm:test_resnet", "timm:test_resnt", "did you mean"),
    ("timm:test_resnet", "tim:test_resnet", "allowed are timm:NAME, ersm:NAME"),
    ("num_classes = 4", "num_clases = 4", "num_clases"),
    ("pretrained = false", 'checkpoint = "none.safetensors"', "none.safetensors"),
    ("input_size = 32", "input_size = 32\nlayer = 'layer5'", "did you mean"),
    ("[data]", "[dta]", "unknown key of a suite 'dta'; did you mean 'data'?"),
    ('"random"]', '"energy"]', "has no energy mask"),
    ("explainers = [", 'device = "cuda:7"\nexplainers = [', "cuda"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), SLIPS, ids=[new for _, new, _ in SLIPS])
@pytest.mark.usefixtures("unchecked")
def test_a_slip_in_a_suite_is_named_and_nothing_is_written(call, suite, tmp_path, old, new, sentence):
    suite.write_text(SUITE.replace(old, new))
    code, _, err = call("run", suite, "--quiet")

    assert code == 2
    assert sentence in err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_corrupt_image_among_good_ones_is_a_row_with_a_reason(call, suite, tmp_path):
    import xai_bench as xb

    for name in ("a", "b"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), "red").save(tmp_path / "pets" / name / "good.png")
    (tmp_path / "pets" / "b" / "bad.png").write_bytes(b"not a picture")
    text = SUITE.replace('name = "planted"\nn = 4', 'name = "folder"\npath = "pets"')
    suite.write_text(text)
    code, out, _ = call("run", suite, "--quiet")
    scores = xb.load_results(tmp_path / "runs/small").scores
    bad = scores[scores["sample"] == "b/bad.png"]

    assert code == 0
    assert out
    assert bad.score.isna().all()
    assert bad.reason.str.startswith("cannot read bad.png").all()
    assert scores[(scores["sample"] != "b/bad.png") & (scores.explainer == "random")].score.notna().all()


def test_a_crash_is_our_fault_and_never_looks_like_a_verdict(call, suite, monkeypatch):
    def crash(*_args, **_keywords):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("xai_bench.api.run_suite", crash)
    code, _, err = call("run", suite)

    assert code == 70
    assert "ZeroDivisionError: planted" in err


def test_an_interrupt_has_its_own_exit_code(call, suite, monkeypatch):
    def interrupt(*_args, **_keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("xai_bench.api.run_suite", interrupt)

    assert call("run", suite)[0] == 130


def test_the_installed_command_works():
    command = Path(sys.executable).parent / "xai-bench"
    done = subprocess.run(
        [command, "--help"], capture_output=True, text=True, check=True, env=os.environ | {"NO_COLOR": "1"}
    )

    assert all(name in done.stdout for name in ("demo", "run", "explain", "report", "list", "selftest"))
    assert "\x1b" not in done.stdout


def test_a_reader_that_has_seen_enough_is_no_crash_and_no_verdict():
    command = [Path(sys.executable).parent / "xai-bench", "list", "metrics"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (141, "")


def test_list_tells_everything_of_one_by_its_name(call):
    code, out, _ = call("list", "explainers", "rise")

    assert code == 0
    assert "passes: 500 F" in out
    assert "  removal=fill(colour=mean)" in out
    assert "source: Petsiuk" in out
    assert json.loads(call("list", "explainers", "rise", "--json")[1])[0]["name"] == "rise"


@pytest.mark.parametrize(
    ("name", "hint"), [("integrated_gradients", "'ig'"), ("GradCAM++", "'gradcam_plus_plus'"), ("Sobel", "'edges'")]
)
def test_names_of_other_libraries_lead_to_ours(call, name, hint):
    code, _, err = call("list", "explainers", name)

    assert code == 2
    assert f"did you mean {hint}?" in err


def test_list_keeps_to_the_width_of_the_terminal(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")

    for kind in ("explainers", "removals"):
        assert max(map(len, call("list", kind)[1].splitlines())) <= 90


def test_explain_takes_tables_as_a_suite_does(call, photo):
    table = '{name = "smooth", explainer = {name = "gradcam", layers = "layer3"}, samples = 2, label = "ours"}'
    code, out, _ = call("explain", photo, *SMALL, "--explainer", table, "--metric", '{name = "deletion", steps = 2}')

    assert code == 0
    assert "ours" in out
    assert "deletion(steps=2)" in out
    code, _, err = call("explain", photo, *SMALL, "--explainer", "{name = gradcam}")
    assert code == 2
    assert "'{name = gradcam}' is no table of TOML, {name = 'gradcam', relu = false}:" in err
