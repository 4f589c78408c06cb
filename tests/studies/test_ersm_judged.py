"""What the tables say: numbers known on paper."""

import numpy as np
import pandas as pd
import pytest

from xai_bench.claims import Claim, judge
from xai_bench.studies.ersm.judged import crossed, occlusion_area, paired, spread, summarised


def table(values: np.ndarray, **more: object) -> pd.DataFrame:
    rows = [
        {"seed": seed, "sample": f"image-{image:03d}", "score": values[seed, image], **more}
        for image in reversed(range(values.shape[1]))
        for seed in range(values.shape[0])
    ]
    return pd.DataFrame(rows)


def test_images_are_paired_by_name_whatever_their_order():
    values = np.arange(12.0).reshape(3, 4)
    values[1, 2] = np.nan
    shuffled = table(values).sample(frac=1, random_state=0)

    np.testing.assert_array_equal(paired(shuffled, "score"), values)


def test_the_interval_is_that_of_the_claims():
    values = np.random.default_rng(0).normal(1.0, 0.5, (3, 200)) + np.array([[0.0], [0.1], [0.2]])
    values[0, :5] = np.nan
    found, verdict = spread(values), judge(Claim("says", "ours", "measured", values))

    assert found["mean"] == pytest.approx(verdict.mean)
    assert found["low"] == pytest.approx(verdict.low, abs=0.02)
    assert found["high"] == pytest.approx(verdict.high, abs=0.02)


def test_bands_are_the_intervals_of_their_steps():
    values = np.random.default_rng(0).random((3, 20, 4))
    mean, low, high = crossed(values)

    for step in range(4):
        alone = spread(values[:, :, step])
        assert (alone["mean"], alone["low"], alone["high"]) == pytest.approx((mean[step], low[step], high[step]))


def test_nothing_is_known_where_nothing_is_defined():
    found = spread(np.full((2, 3), np.nan))

    assert all(np.isnan(value) for value in found.values())


def test_groups_are_summarised_each_by_itself():
    frame = pd.concat([table(np.zeros((2, 5)), kind="a"), table(np.ones((2, 5)), kind="b")])
    found = summarised(frame, ["kind"], "score").set_index("kind")

    assert found["mean"].to_dict() == {"a": 0.0, "b": 1.0}
    assert found.loc["b", ["low", "high"]].tolist() == [1.0, 1.0]


def test_the_area_of_an_occlusion_starts_at_the_clean_image():
    """Right when clean, half right at 0.2 (one of two fills), wrong at 0.4: (0.75 + 0.25) 0.2 / 0.4 = 0.5."""
    rows = [("none", "none", 0.0, "none", True)]
    rows += [("grid", "random", share, fill, share == 0.2 and fill == "mean") for share in (0.2, 0.4)
             for fill in ("mean", "black")]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["kind", "placement", "share", "fill", "robust"])
    whole = pd.concat([frame.assign(seed=seed, sample=sample) for seed in (0, 1) for sample in ("a", "b")])

    np.testing.assert_allclose(occlusion_area(whole, "robust", "grid", "random"), np.full((2, 2), 0.5))
    np.testing.assert_allclose(occlusion_area(whole, "robust", "grid", None), np.full((2, 2), 0.5))
