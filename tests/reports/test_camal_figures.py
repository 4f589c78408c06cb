"""Figures of the CAMAL study hold the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from xai_bench.reports.camal import Shown, gains_figure, panels_figure, weights_figure

BETTER, WORSE, UNDECIDED = "#0072b2", "#d55e00", "#777777"


def gains() -> pd.DataFrame:
    numbers = {"camal": (0.2, 0.1, 0.3), "energy": (-0.2, -0.3, -0.1), "l1": (0.1, -0.1, 0.3)}
    rows = [
        {"split": split, "metric": metric, "model": model, "gain": mean, "low": low, "high": high}
        for split in ("test", "shifted")
        for metric in ("iou", "deletion")
        for model, (mean, low, high) in numbers.items()
    ]
    return pd.DataFrame(rows)


def test_a_gain_is_coloured_by_what_its_interval_says():
    figure = gains_figure(gains(), ("iou", "deletion"), "gain", "change")
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]

    assert len(figure.axes) == 4
    assert [float(line.get_xdata()[0]) for line in points] == [0.2, -0.2, 0.1]
    assert [to_hex(line.get_color()) for line in points] == [BETTER, WORSE, UNDECIDED]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["camal", "energy", "l1"]


def test_a_relative_gain_is_cut_off_where_it_would_hide_the_others():
    table = gains().rename(columns={"gain": "relative", "low": "relative low", "high": "relative high"})
    table.loc[table["model"] == "camal", ["relative", "relative high"]] = 50.0
    figure = gains_figure(table, ("iou",), "relative", "change")

    assert max(float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == "o") == 3


def test_the_sweep_has_a_line_of_means_per_split_and_a_dot_per_training():
    rows = [
        {"split": split, "weight": weight, "seed": seed, "accuracy": weight + seed}
        for split in ("test", "shifted")
        for weight in (1.0, 0.0)
        for seed in (0, 1)
    ]
    figure = weights_figure(pd.DataFrame(rows), ("accuracy",))
    lines, dots = (
        [line for line in figure.axes[0].lines if (line.get_marker() == ".") is dotted] for dotted in (False, True)
    )

    assert [list(line.get_ydata()) for line in lines] == [[0.5, 1.5]] * 2
    assert [len(line.get_xdata()) for line in dots] == [4, 4]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0", "1"]


@pytest.mark.parametrize("names", [("plain",), ("plain", "camal, bce")])
def test_every_model_has_a_panel_beside_the_image(names):
    maps = {name: np.arange(16, dtype=np.float32).reshape(4, 4) for name in names}
    image, region = np.zeros((4, 4, 3), np.float32), np.eye(4, dtype=bool)
    figure = panels_figure([Shown("ring", image, region, maps)] * 2)

    assert len(figure.axes) == 2 * (len(names) + 1)
    assert [ax.get_title() for ax in figure.axes[: len(names) + 1]] == [
        "image", *(name.replace(", ", ",\n") for name in names),
    ]  # fmt: skip
