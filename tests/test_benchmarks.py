"""The harness of the benchmarks, on clocks that do not tick by themselves."""

import warnings
from dataclasses import replace
from itertools import count

import pytest
import torch
from torch import nn

import xai_bench as xb
from benchmarks import energy_mask, gpu, imputation, report, scaling
from benchmarks.bare import given_maps
from benchmarks.harness import Line, line, passes, rounds, seconds, table, write
from benchmarks.jobs import Bare, Scoring, Size, loaded, metrics, pictures, prepared, smooth_maps


class Clock:
    """Time that passes only when somebody works."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, duration: float):
        def done() -> None:
            self.now += duration

        return done


def measured(jobs, number):
    clock = Clock()
    return rounds(
        {name: clock.work(duration) for name, duration in jobs.items()}, number, lambda work: seconds(work, clock)
    )


def test_a_job_of_twice_the_time_has_the_ratio_two() -> None:
    times = measured({"ours": 2.0, "bare": 1.0}, 5)

    assert line("x", times, "ours", "bare").ratios == (2.0,) * 5


def test_a_ratio_is_one_of_the_same_round() -> None:
    clock, slower = Clock(), count(1)

    def throttled() -> None:  # the machine gets slower all the time, for both alike
        clock.now += next(slower) // 2

    times = rounds({"ours": throttled, "bare": throttled}, 6, lambda work: seconds(work, clock))

    assert max(line("x", times, "ours", "bare").ratios) <= 2.0
    assert max(times["ours"]) / min(times["bare"]) > 2.0


def test_the_order_alternates() -> None:
    order = []
    rounds({name: (lambda name=name: order.append(name)) for name in "ab"}, 3)

    assert "".join(order) == "abbaab"


def test_a_ratio_can_be_scaled() -> None:
    times = measured({"four times the images": 4.4, "once": 1.0}, 5)

    assert line("x", times, "four times the images", "once", scale=1 / 4).ratios == pytest.approx((1.1,) * 5)


def test_passes_are_images_not_calls_and_the_hook_goes() -> None:
    module = nn.Conv2d(3, 1, 1)

    assert passes(module, lambda: [module(torch.zeros(size, 3, 2, 2)) for size in (4, 3)]) == 7
    assert not module._forward_hooks


def test_the_hook_goes_when_the_work_fails() -> None:
    module = nn.Conv2d(3, 1, 1)

    with pytest.raises(ZeroDivisionError):
        passes(module, lambda: 1 / 0)
    assert not module._forward_hooks


def test_a_line_shows_median_lowest_and_highest() -> None:
    assert Line("a", (1.0, 3.0, 1.1), "why").cells() == ("a", "1.10", "1.00", "3.00", "why")
    assert Line("a", (15.26,) * 5).cells()[1] == "15.3"


def test_the_table_is_markdown(tmp_path) -> None:
    lines = [Line("a", (1.0,) * 5, "why")]
    write(tmp_path / "speed.md", ["# Speed", "2 threads"], lines)
    written = (tmp_path / "speed.md").read_text()

    assert written == f"# Speed\n\n2 threads\n\n{table(lines)}\n"
    assert [cell.strip() for cell in table(lines).splitlines()[2].split("|")[1:-1]] == list(lines[0].cells())


@pytest.fixture
def small():
    """Sizes at which everything ends at once."""
    return Size(rounds=1, images=2, peer_images=2, pixels=32, small=32, small_model="test_resnet", few=2, many=4)


def test_the_bare_passes_are_as_many_as_ours(small) -> None:
    engine = prepared(loaded(small.small_model, small.pixels), "fp32", small.pixels)
    batch = pictures(3, small.pixels)
    scoring = Scoring(batch, smooth_maps(batch, 2), metrics(steps=4), engine)
    needed = passes(engine.eyes.module, scoring)
    bare = Bare(engine, batch, needed)

    assert needed == 3 * (1 + 1 + 2 * 2 * 3)  # clean, all removed, and between for each map in both orders
    assert passes(bare.module, bare) == needed


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_against_the_bare_passes(small, precision) -> None:
    engine = prepared(loaded(small.small_model, small.pixels), precision, small.pixels)
    found = given_maps("tiny", engine, pictures(2, small.pixels), small)

    assert found.name == f"ours / bare, tiny, {precision}"
    assert found.ratios[0] > 0


def test_the_energy_mask_is_measured_against_the_same_model_without_it(small, monkeypatch) -> None:
    monkeypatch.setattr(energy_mask, "BACKBONE", small.small_model)
    monkeypatch.setattr(energy_mask, "PIXELS", {1: 32, 2: 64})
    found = [each.name for each in energy_mask.lines(replace(small, mask_rounds=1))]
    model = xb.load_model("ersm:test_resnet", pretrained=False, num_classes=3, input_size=64, device="cpu").module
    images = torch.rand(2, 3, 64, 64)
    whole, _ = model.forward_masked(images, torch.ones(2, 2, 2))

    assert len(found) == 8
    torch.testing.assert_close(energy_mask.Unmasked(model)(images), whole)


def test_no_value_of_a_map_comes_twice() -> None:
    first, second = smooth_maps(pictures(2, 32), 2)

    assert all(len(one.unique()) == one.numel() for one in (*first, *second))
    assert not torch.equal(first, second)


def test_scaling_counts_passes(small) -> None:
    found = {each.name: each.note for each in scaling.lines(small)}

    assert len(found) == len(scaling.AXES) * len(scaling.FACTORS)
    assert found["time per pass, 4 x the images"].startswith("test_resnet at 32: 896 against 224 passes")


def test_the_gpu_part_runs_without_a_gpu(small) -> None:
    found = list(gpu.of_model("tiny", small.small_model, "fp32", small, images=2))
    spent = {each.name.split(",")[0]: each.ratios[0] for each in found[1:]}

    assert "50000 images x 10 explainers" in found[0].note
    assert list(spent) == [f"time in {phase}" for phase in (*gpu.PHASES, "host")]
    assert all(0 < share < 1 for share in spent.values())
    assert sum(spent.values()) == pytest.approx(1)


def test_imputation_is_compared_where_a_part_and_where_most_is_removed(small) -> None:
    pytest.importorskip("pytorch_grad_cam")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {each.name: each.note for each in imputation.lines(small)}

    assert len(found) == len(imputation.MAPS) * (len(imputation.PERCENTAGES) + 1)
    agreement = [float(note.rpartition(" ")[2]) for note in found.values() if "agree" in note]
    assert len(agreement) == len(imputation.MAPS) * len(imputation.PERCENTAGES)
    assert max(agreement) < 1e-4


def test_so_many_of_the_most_relevant_pixels_are_removed() -> None:
    maps = imputation.random(pictures(2, 20))
    keep = imputation.without(maps, 10)

    assert keep.sum((1, 2)).tolist() == [360, 360]
    assert maps[keep == 0].min() > maps[keep == 1].max()


def test_a_report_of_a_stored_run_that_never_was_needs_no_torch() -> None:
    *_, page = report.lines(Size(reported=4))

    assert page.name == "report, MB of the page"
    assert 0 < page.ratios[0] < 5
