"""Output scalars against torch's own functions."""

import pytest
import torch

from xai_bench.engine.readout import read

LOGITS = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 3
TARGETS = torch.tensor([0, 3, 6, 1, 2])


def expected(output):
    logits = LOGITS.double()
    picked = logits.gather(1, TARGETS[:, None])[:, 0]
    p = logits.softmax(1).gather(1, TARGETS[:, None])[:, 0]
    rest = logits.scatter(1, TARGETS[:, None], -torch.inf).amax(1)
    return {"logit": picked, "probability": p, "log_odds": torch.log(p / (1 - p)), "margin": picked - rest}[output]


@pytest.mark.parametrize("output", ["logit", "probability", "log_odds", "margin"])
def test_outputs_are_those_of_torch(output):
    torch.testing.assert_close(read(LOGITS, TARGETS).scalar(output), expected(output), rtol=1e-6, atol=1e-6)


def test_log_odds_of_a_certain_prediction_stay_finite():
    logits = torch.tensor([[60.0, 0.0]])

    assert read(logits, torch.tensor([0])).scalar("log_odds").item() == pytest.approx(60.0)


def test_predicted_is_the_highest_logit():
    assert read(LOGITS, TARGETS).predicted.tolist() == LOGITS.argmax(1).tolist()
