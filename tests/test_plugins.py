"""What a package that somebody else installs brings in, and what it cannot break."""

import os
import subprocess
import sys
import warnings

import pytest

from xai_bench.catalogue import Catalogue
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.explainers import Explainer
from xai_bench.explainers.controls import Centre, Random

MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers import Explainer
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class Brightness(Explainer):
    """How bright a pixel is, to a power."""

    card: ClassVar = ExplainerCard("brightness", source="a dummy", summary="how bright a pixel is")

    power: float = 1.0

    def __call__(self, model, images, targets):
        return images.mean(1) ** self.power


@dataclass(frozen=True)
class Again(Brightness):
    card: ClassVar = ExplainerCard("centre", source="a dummy")


@dataclass(frozen=True)
class Needy(Brightness):
    card: ClassVar = ExplainerCard("needy", source="a dummy")

    needed: int = None


class Plain(Explainer):
    """No dataclass."""

    card: ClassVar = ExplainerCard("plain", source="a dummy")

    def __call__(self, model, images, targets):
        return images.mean(1)


def function(model, images, targets):
    return images.mean(1)
'''


def install(folder, **points):
    """A package as pip leaves it: a module, and a dist-info beside it that names its entry points."""
    (folder / "dummy_explainers.py").write_text(MODULE)
    info = folder / "dummy_explainers-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dummy-explainers\nVersion: 1.2\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[xai_bench.explainers]", *lines, ""]))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    def put(**points):
        install(tmp_path, **points)
        monkeypatch.syspath_prepend(tmp_path)
        return Catalogue("explainer", Explainer, (Random, Centre))

    yield put
    sys.modules.pop("dummy_explainers", None)


def test_a_plug_in_joins_the_catalogue(installed):
    catalogue = installed(brightness="dummy_explainers:Brightness")

    assert list(catalogue) == ["random", "centre", "brightness"]
    assert catalogue.build({"name": "brightness", "power": 2}).power == 2.0


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere_at_all:Thing", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("dummy_explainers:Absent", "AttributeError: module 'dummy_explainers' has no attribute 'Absent'"),
        ("dummy_explainers:function", "dummy_explainers:function is no Explainer class with a card"),
        ("dummy_explainers:ExplainerCard", "dummy_explainers:ExplainerCard is no Explainer class with a card"),
        ("dummy_explainers:Plain", "dummy_explainers:Plain is no dataclass"),
        ("dummy_explainers:Again", "the name 'centre' is taken"),
        ("dummy_explainers:Needy", "needed of needy must be int, got None"),
    ],
)
def test_one_that_cannot_be_used_is_named_and_the_rest_stands(installed, target, why):
    catalogue = installed(broken=target, brightness="dummy_explainers:Brightness")
    sentence = f"explainer 'broken' of the plug-in 'dummy-explainers 1.2' cannot be used: {why}"
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert list(catalogue) == ["random", "centre", "brightness"]

    assert [str(one.message) for one in seen] == [sentence]
    assert catalogue["centre"] is Centre
    with pytest.raises(UnknownNameError) as error:
        catalogue.build("broken")
    assert str(error.value) == f"unknown {sentence}"


def test_a_scheme_makes_an_entry_of_what_follows(installed):
    catalogue = Catalogue("explainer", Explainer, (Random,), schemes={"near": lambda rest: Centre() if rest else None})

    assert catalogue.build("near:here:there") == Centre()
    with pytest.raises(UnknownNameError, match="unknown explainer 'far:here'"):
        catalogue.build("far:here")
    with pytest.raises(InvalidValueError, match="must be a name, a table with a name, or a Explainer"):
        catalogue.build(3)


def test_the_command_line_knows_it(tmp_path):
    """As a user meets it: listed, used by name in a suite, and one that is broken only complained of."""
    install(tmp_path, brightness="dummy_explainers:Brightness", broken="nowhere_at_all:Thing")
    (tmp_path / "suite.toml").write_text(
        'models = [{name = "timm:test_resnet", pretrained = false, num_classes = 4, input_size = 32}]\n'
        'explainers = [{name = "brightness", power = 2.0}]\n'
        'metrics = ["deletion"]\ndata = {name = "planted", n = 2, size = 32}\n'
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))}
    kept = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment}
    listed, run = (
        subprocess.run([sys.executable, "-m", "xai_bench", *words], check=False, **kept)
        for words in (["list", "explainers"], ["run", "suite.toml", "--out", "run"])
    )

    assert listed.returncode == run.returncode == 0, listed.stderr + run.stderr
    assert "brightness" in listed.stdout
    assert "explainer 'broken' of the plug-in 'dummy-explainers 1.2' cannot be used" in listed.stderr
    assert "brightness(power=2)" in run.stdout
