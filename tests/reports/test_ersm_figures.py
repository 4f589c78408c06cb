"""Figures of the ERSM study hold the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest

from xai_bench.reports.ersm import Panel, curves_figure, histogram_figure, panels_figure, sweep_figure


def sweep() -> pd.DataFrame:
    rows = [
        {"recipe": recipe, "start": start, "weight": weight, "seed": seed, "keep": level + weight + seed / 10}
        for recipe, base in (("published", 0.0), ("fast", 10.0))
        for start, level in (("closed", base), ("open", base + 5))
        for weight in (1.0, 0.0)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_a_sweep_has_a_row_per_recipe_a_line_of_means_per_start_and_a_dot_per_training():
    figure = sweep_figure(sweep(), {"keep": "mean keep"}, {"keep": 0.25})
    for ax, base in zip(figure.axes, (0, 10), strict=True):
        means, dots = ([line for line in ax.lines[:-1] if (line.get_marker() == ".") is dot] for dot in (False, True))

        assert [list(line.get_ydata()) for line in means] == [
            pytest.approx([base + 0.05, base + 1.05]),
            pytest.approx([base + 5.05, base + 6.05]),
        ]
        assert [list(line.get_xdata()) for line in means] == [[0, 1]] * 2
        assert sorted(dots[0].get_ydata()) == pytest.approx([base, base + 0.1, base + 1, base + 1.1])
        assert set(ax.lines[-1].get_ydata()) == {0.25}
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == ["0", "1"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["published recipe", "fast recipe"]


def test_curves_stand_in_the_panel_of_their_row_and_column():
    rows = [
        {"row": row, "column": column, "explainer": line, "fraction": x, "mean": level + x, "low": level, "high": 9.0}
        for row, column, level in (("published", "test", 1), ("published", "shifted", 2), ("robust", "test", 3),
                                   ("robust", "shifted", 4))
        for line in ("energy", "random")
        for x in (0.0, 1.0)
    ]  # fmt: skip
    figure = curves_figure(pd.DataFrame(rows), ("energy", "random"), "deleted", "accuracy")

    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "published, test", "published, shifted", "robust, test", "robust, shifted",
    ]  # fmt: skip
    for level, ax in enumerate(figure.axes, 1):
        assert [list(line.get_ydata()) for line in ax.lines] == [[level, level + 1]] * 2


def test_a_histogram_shows_the_mean_over_trainings():
    rows = [
        {"model": model, "seed": seed, "bin": place, "share": share + seed / 10}
        for model, shares in (("published", (0.2, 0.7)), ("robust", (0.4, 0.5)))
        for seed in (0, 1)
        for place, share in enumerate(shares)
    ]
    figure = histogram_figure(pd.DataFrame(rows))
    steps = [patch.get_data().values for patch in figure.axes[0].patches]

    np.testing.assert_allclose(steps, [[0.25, 0.75], [0.45, 0.55]])


def test_every_map_of_a_panel_stands_under_its_name():
    image, region = np.zeros((4, 4, 3), np.float32), np.eye(4, dtype=bool)
    maps = {"keep map": np.full((4, 4), 1, np.float32), "minus energy": np.arange(16, dtype=np.float32).reshape(4, 4)}
    figure = panels_figure([Panel("failure: focused", "ring; ERSM disc, head ring", image, maps, region)] * 2)
    first = figure.axes[:3]

    assert len(figure.axes) == 6
    assert [ax.get_title() for ax in first][1:] == ["keep map", "minus energy"]
    assert first[0].get_title(loc="left") == "ring; ERSM disc, head ring"
    assert first[0].get_ylabel() == "failure:\nfocused"
    shown = np.asarray(first[2].images[0].get_array(), np.float64)
    assert shown.argmax() == 15
    assert shown.argmin() == 0
