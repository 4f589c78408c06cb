"""The demo's two models, with a training too short to learn anything: what is written can be loaded again."""

from dataclasses import replace

import pytest
import torch

from xai_bench.adapters import load_model
from xai_bench.training import demo, demo_models


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(demo, "PLAIN", replace(demo.PLAIN, epochs=1, batch_size=8))
    monkeypatch.setattr(demo, "ERSM", replace(demo.ERSM, epochs=1, batch_size=8))


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")
def test_models_written_are_loaded_and_not_trained_again(tmp_path, monkeypatch):
    trained = demo_models(n=16, progress=False)
    written = demo_models(tmp_path, n=16, progress=False)
    monkeypatch.setattr(demo, "_trained", None)
    loaded = demo_models(tmp_path, n=16, progress=False)
    expected = [model.fingerprint for model in trained]

    assert [model.fingerprint for model in written] == expected
    assert [model.fingerprint for model in loaded] == expected
    assert [model.label for model in loaded] == ["plain", "ersm"]


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")
def test_a_file_of_the_demo_loads_by_itself(tmp_path):
    models = demo_models(tmp_path, n=16, progress=False)
    images = torch.rand(2, 3, 64, 64)

    for model in models:
        alone = load_model(next(tmp_path.glob(f"{model.label}-*.safetensors")))
        with torch.inference_mode():
            assert torch.equal(alone(images), model(images))
        assert not alone.module.training


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")
def test_other_settings_are_not_taken_for_these(tmp_path):
    for seed in (0, 1):
        demo_models(tmp_path, n=8, seed=seed, progress=False)

    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")
def test_both_share_one_backbone():
    plain, ersm = demo_models(n=16, progress=False)
    own = ersm.module.backbone.state_dict()

    assert all(torch.equal(plain.module.state_dict()[name], value) for name, value in own.items())
    assert ersm.module.mask.mode == "stable"


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")
def test_the_last_block_scatters_nothing_over_the_grid():
    plain, _ = demo_models(n=16, progress=False)

    assert not plain.module.layer4[0].bn2.weight.any()
    assert not plain.module.layer4[0].bn2.bias.any()
    assert plain.module.layer3[0].bn3.weight.any()
