"""Models of one channel see the luma of what models of three would see."""

import pytest
import torch
from torch import nn

import xai_bench as xb
from xai_bench.adapters import load_model
from xai_bench.errors import UnsupportedError

OPTIONS = {"pretrained": False, "num_classes": 4, "input_size": 64, "device": "cpu"}


@pytest.fixture(scope="module")
def grey():
    torch.manual_seed(0)
    return load_model("timm:test_resnet", in_chans=1, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), **OPTIONS)


def test_a_grey_model_sees_luma(grey):
    image = torch.zeros(1, 3, 64, 64)
    image[:, 1] = 1.0

    assert grey.channels == 1
    torch.testing.assert_close(grey.normalise(image), torch.full((1, 1, 64, 64), (0.587 - 0.5) / 0.25))


@pytest.mark.parametrize("explainer", ["gradcam", "ig", "edges"])
def test_it_is_explained_and_scored_like_any_other(grey, explainer):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    wanted = [{"name": "deletion", "steps": 2, "removal": removal} for removal in ("fill", "blur", "layer_masking")]

    assert xb.explain(explainer, grey, images).isfinite().all()
    for metric in wanted:
        assert xb.score(metric, grey, images, explainer=explainer).values.isfinite().all()


def test_other_numbers_of_channels_are_refused_by_name():
    model = load_model("timm:test_resnet", in_chans=4, **OPTIONS)

    with pytest.raises(UnsupportedError, match="'timm:test_resnet' takes 4 channels; it must take 3, RGB, or 1, luma"):
        model(torch.rand(1, 3, 64, 64))


def test_a_module_of_the_callers_own_gets_all_colours():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, images):
            assert images.shape[1] == 3
            return self.conv(images.mean(1, keepdim=True)).mean((2, 3))

    assert load_model(Mean(), input_size=8)(torch.rand(1, 3, 8, 8)).shape == (1, 4)
