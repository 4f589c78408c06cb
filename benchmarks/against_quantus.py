"""The same scores from Quantus 0.6: pixel flipping from both ends, and its pointing game.

Quantus flips colours, not pixels: a step of `features_in_step` removes that many of the 3 P numbers of an image.
28 steps of whole pixels are 3 P / 28 features each, but it insists on a divisor of P, and at 224 no divisor of P is a
multiple of 3. Two jobs are measured, therefore: with that check lifted, the very altered images that we look at, in as
many passes; and P / 28 features in a step, which the check accepts and which takes three times the passes.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

import xai_bench as xb
from benchmarks.harness import Line, line, passes, rounds
from benchmarks.jobs import (
    PRECISIONS,
    STEPS,
    Scoring,
    Size,
    as_timm_made,
    loaded,
    metrics,
    pictures,
    prepared,
    smooth_maps,
    trained,
    untied,
)
from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Curve, Scene
from xai_bench.metrics import METRICS
from xai_bench.removal import Fill
from xai_bench.types import Batch, Maps, Targets

BATCH = 64  # Quantus's own default


@contextmanager
def made_to_work() -> Iterator[None]:
    """Quantus 0.6 on numpy 2.4, which has no `trapz`, and without the check of what a step may be."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(np, "trapz", np.trapezoid, create=True))
        stack.enter_context(mock.patch("quantus.helpers.asserts.assert_features_in_step"))
        yield


class Job:
    """Deletion, insertion (least relevant first, backwards) and pointing game of some maps, as Quantus's users call it.

    Removed pixels become the mean colour, zero after normalisation.
    """

    def __init__(
        self,
        module: nn.Module,
        model: VisionModel,
        batch: Batch,
        maps: Sequence[Maps],
        targets: Targets,
        *,
        colours: int = 3,  # features that are flipped together for each pixel of a step
    ) -> None:
        assert batch.regions is not None
        self.module, self.targets = module, targets.numpy()
        self.step = colours * batch.images[0, 0].numel() // STEPS
        self.images = model.normalise(batch.images).numpy()
        self.maps = [each[:, None].numpy() for each in maps]
        self.regions = batch.regions[:, None].numpy().astype(np.float32)

    def __call__(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        with made_to_work():
            return [(self._flipped(each), self._flipped(-each), self._pointed(each)) for each in self.maps]

    def _flipped(self, maps: "np.ndarray") -> Tensor:
        """Area under the probability from the first step to the last, unit distance between steps."""
        import quantus  # noqa: PLC0415 - an optional peer

        flip = quantus.PixelFlipping(
            features_in_step=self.step,
            normalise=False,
            perturb_baseline=0.0,
            return_auc_per_sample=True,
            disable_warnings=True,
        )
        given = {"x_batch": self.images, "y_batch": self.targets, "a_batch": maps}
        return torch.tensor(flip(model=self.module, **given, device="cpu", batch_size=BATCH))

    def _pointed(self, maps: "np.ndarray") -> Tensor:
        import quantus  # noqa: PLC0415

        point = quantus.PointingGame(normalise=False, abs=False, disable_warnings=True)
        given = {"x_batch": self.images, "y_batch": self.targets, "a_batch": maps, "s_batch": self.regions}
        return torch.tensor(point(model=self.module, **given, device="cpu", batch_size=BATCH), dtype=torch.float64)


def as_quantus_counts(curve: Curve) -> Tensor:
    """The area of a curve under Quantus's protocol: without the unaltered image, one unit between steps."""
    return torch.trapezoid(curve.values[:, 1:], dx=1.0)


def our_scores(scoring: Scoring) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What `Job` gives, from our curves."""
    scene = Scene(scoring.engine.model, scoring.batch, engine=scoring.engine)
    cases = [Case(scene, maps) for maps in scoring.maps]
    deletion, insertion, _ = scoring.metrics
    game = METRICS.build({"name": "pointing_game", "tolerance": 0})
    return [
        (
            as_quantus_counts(deletion.curve(case)),
            as_quantus_counts(insertion.curve(case).backwards()),
            game(case),
        )
        for case in cases
    ]


def disagreement(ours: Sequence[Sequence[Tensor]], theirs: Sequence[Sequence[Tensor]]) -> float:
    """The largest difference of two scores, as a share of the largest score of its kind."""
    kinds = zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True)
    pairs = [(torch.cat(mine).double(), torch.cat(other).double()) for mine, other in kinds]
    return max(((mine - other).abs().max() / other.abs().max().clamp(min=1e-12)).item() for mine, other in pairs)


def lines(size: Size) -> Iterator[Line]:
    """Identical steps in fp32 and bf16; where there are real weights and images, bf16 with adaptive steps too.

    The curves of random weights are flat, and adaptive steps would have nothing to look at.
    """
    batch = pictures(size.peer_images, size.pixels)
    for title, name in size.models.items():
        yield from _identical_steps(title, loaded(name, size.pixels), batch, size)
    for title, model, real in trained(size.peer_images):
        yield _adaptive_steps(title, model, real, size)


def _identical_steps(title: str, model: VisionModel, batch: Batch, size: Size) -> Iterator[Line]:
    maps, module = smooth_maps(batch, 1), as_timm_made(model)
    ours = {
        precision: Scoring(batch, maps, metrics(removal=Fill()), prepared(model, precision, size.pixels))
        for precision in PRECISIONS
    }
    targets = Scene(model, batch, engine=ours["fp32"].engine).targets
    quantus = Job(module, model, batch, maps, targets)
    checked = Job(module, model, batch, maps, targets, colours=1)
    theirs, more = passes(module, quantus), passes(module, checked)
    needed = {name: passes(job.engine.eyes.module, job) for name, job in ours.items()}
    apart = disagreement(our_scores(ours["fp32"]), quantus())
    times = rounds({"Quantus": quantus, "checked": checked, **ours}, size.rounds, size.measure)
    of = f"Quantus fp32 in batches of {min(BATCH, len(batch))}"
    for name in ours:
        agreement = f"; scores agree to {apart:.0e} of the largest" if name == "fp32" else ""
        note = f"{of}, same altered images: {theirs} passes; ours: {needed[name]}{agreement}"
        yield line(f"Quantus / ours, {title}, {name}", times, "Quantus", name, note)
    for name in ours:
        note = f"{of}, P / {STEPS} features in a step: {more} passes; ours: {needed[name]}"
        yield line(f"Quantus as it allows / ours, {title}, {name}", times, "checked", name, note)


def _adaptive_steps(title: str, model: VisionModel, batch: Batch, size: Size) -> Line:
    maps, module = [untied(xb.explain("gradcam", model, batch.images, ids=batch.ids))], as_timm_made(model)
    scored = metrics(removal=Fill(), steps="adaptive")
    ours = Scoring(batch, maps, scored, prepared(model, "bf16", batch.images.shape[-1]))
    quantus = Job(module, model, batch, maps, Scene(model, batch, engine=ours.engine).targets)
    theirs, needed = passes(module, quantus), passes(ours.engine.eyes.module, ours)
    times = rounds({"Quantus": quantus, "ours": ours}, size.rounds, size.measure)
    note = (
        f"Quantus fp32 in batches of {min(BATCH, len(batch))}, {STEPS} steps of whole pixels: {theirs} passes; "
        f"ours: {needed}; trained weights, ImageNet images, Grad-CAM's maps"
    )
    return line(f"Quantus / ours, {title}, bf16, adaptive steps", times, "Quantus", "ours", note)
