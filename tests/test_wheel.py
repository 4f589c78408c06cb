"""The wheel and the sdist: whole, nothing twice, and at work outside the repository."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import xai_bench as xb

ROOT = Path(__file__).parent.parent
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def built(kind, source, out):
    """What hatchling makes of a source tree, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (found,) = out.iterdir()
    return found


def source_files():
    files = [path for path in (ROOT / "xai_bench").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def packaged(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    return sorted(name for name in names if ".dist-info/" not in name)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with nothing but the installed wheel; its dependencies are those of this environment."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return target


@pytest.fixture(scope="module")
def outside(installed, tmp_path_factory):
    """Carries a command out from an empty folder, with the installed package before any other."""
    empty = tmp_path_factory.mktemp("empty")
    env = os.environ | {"PYTHONPATH": str(installed)}

    def carried(*command):
        return subprocess.run(command, cwd=empty, env=env, check=True, capture_output=True, text=True).stdout

    return carried


def test_the_wheel_holds_every_file_of_the_package_once(wheel):
    assert packaged(wheel) == source_files()


def test_what_is_no_code_is_in_the_wheel(wheel):
    names = set(packaged(wheel))

    assert "xai_bench/py.typed" in names
    assert any(name.startswith("xai_bench/reports/templates/") for name in names)


def test_a_wheel_made_from_the_sdist_is_the_same(tmp_path):
    archive = built("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    (tree,) = (tmp_path / "unpacked").iterdir()

    assert packaged(built("wheel", tree, tmp_path / "wheel")) == source_files()
    assert {"mkdocs.yml", "CITATION.cff", "docs", "tests", "examples"} <= {path.name for path in tree.iterdir()}


def test_the_installed_package_is_the_one_that_runs(outside, installed):
    where = outside(sys.executable, "-c", "import xai_bench; print(xai_bench.__file__)")

    assert Path(where.strip()) == installed / "xai_bench" / "__init__.py"


def test_the_installed_command_says_its_version(outside, installed):
    assert outside(str(installed / "bin" / "xai-bench"), "--version").split()[-1] == xb.__version__


def test_the_installed_command_lists_what_there_is(outside, installed):
    assert "deletion" in outside(str(installed / "bin" / "xai-bench"), "list", "metrics")


def test_the_installed_command_writes_a_report(outside, installed, tmp_path):
    xb.evaluate(
        models={"name": "timm:test_resnet", "pretrained": False, "num_classes": 4, "input_size": 32},
        explainers=["gradcam", "random"],
        metrics=["deletion", {"name": "pointing_game", "tolerance": 0}],
        data={"name": "planted", "split": "test", "n": 4, "size": 32},
        out=tmp_path / "run",
    )
    outside(str(installed / "bin" / "xai-bench"), "report", str(tmp_path / "run"), "--out", str(tmp_path / "page"))

    assert "<html" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert list((tmp_path / "page").rglob("*.pdf"))


def test_the_version_is_the_same_wherever_it_stands():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert {METADATA["version"], citation["version"], xb.__version__} == {xb.__version__}
    assert METADATA["license"] == citation["license"]


def test_the_citation_has_what_the_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert all(author.keys() <= {"name", "family-names", "given-names", "orcid"} for author in citation["authors"])
