"""The same maps, and the same deletion curve, from pytorch-grad-cam and captum."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

import xai_bench as xb
from benchmarks.harness import Line, line, passes, rounds
from benchmarks.jobs import STEPS, Scoring, Size, as_timm_made, loaded, pictures, prepared, smooth_maps
from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Scene
from xai_bench.metrics import METRICS
from xai_bench.removal import Fill
from xai_bench.types import Batch, Maps, Targets

IG_STEPS = 16


def grad_cam_maps(module: nn.Module, layer: str, inputs: Tensor, targets: Targets) -> Callable[[], Tensor]:
    """Grad-CAM of pytorch-grad-cam, each map from 0 to 1."""
    from pytorch_grad_cam import GradCAM  # noqa: PLC0415 - an optional peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: PLC0415

    cam = GradCAM(model=module, target_layers=[module.get_submodule(layer)])
    classes = [ClassifierOutputTarget(target) for target in targets.tolist()]
    return lambda: torch.from_numpy(cam(input_tensor=inputs, targets=classes))


def captum_grad_cam_maps(module: nn.Module, layer: str, inputs: Tensor, targets: Targets) -> Tensor:
    """Grad-CAM of captum."""
    from captum.attr import LayerAttribution, LayerGradCam  # noqa: PLC0415

    cells = LayerGradCam(module, module.get_submodule(layer)).attribute(inputs, targets, relu_attributions=True)
    return LayerAttribution.interpolate(cells, tuple(inputs.shape[2:]), "bilinear")[:, 0].detach()


def captum_ig_maps(module: nn.Module, model: VisionModel, images: Tensor, targets: Targets) -> Tensor:
    """Integrated gradients of captum from black, in batches of the size that ours has."""
    from captum.attr import IntegratedGradients  # noqa: PLC0415

    inputs, black = model.normalise(images), model.normalise(torch.zeros_like(images))
    options = {"n_steps": IG_STEPS, "internal_batch_size": max(32, len(images))}
    return IntegratedGradients(module).attribute(inputs, black, target=targets, **options).sum(1)


def grad_cam_deletion(module: nn.Module, inputs: Tensor, maps: Maps, targets: Targets) -> Tensor:
    """Probabilities as the most relevant pixels become zero in equal steps, (B, STEPS), by pytorch-grad-cam.

    Without the unaltered image, which it would look at again for each step.
    """
    from pytorch_grad_cam.metrics.perturbation_confidence import (  # noqa: PLC0415
        PerturbationConfidenceMetric,
        RemoveMostRelevantFirst,
    )
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget  # noqa: PLC0415

    classes = [ClassifierOutputSoftmaxTarget(target) for target in targets.tolist()]
    points = []
    for step in range(1, STEPS + 1):
        remove = RemoveMostRelevantFirst(100 * (1 - step / STEPS), lambda image, kept: image * kept)
        look = PerturbationConfidenceMetric(remove)
        points.append(torch.from_numpy(look(inputs, maps.numpy(), classes, module, return_diff=False)))
    return torch.stack(points, 1)


def from_0_to_1(maps: Maps) -> Maps:
    """Each map shifted and scaled, as pytorch-grad-cam does with its own."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-7)


def lines(size: Size) -> Iterator[Line]:
    """Grad-CAM, integrated gradients and a deletion curve, for the first model."""
    title, name = next(iter(size.models.items()))
    model, batch = loaded(name, size.pixels), pictures(size.peer_images, size.pixels)
    module, inputs = as_timm_made(model), model.normalise(batch.images)
    targets = Scene(model, batch).targets
    explain = partial(xb.explain, model=model, images=batch.images, targets=targets, ids=batch.ids)
    layer, ig = model.layer, {"name": "ig", "steps": IG_STEPS}

    def against(what: str, ours: Callable[[], Tensor], **peers: Callable[[], Tensor]) -> Iterator[Line]:
        own = passes(model.module, ours)
        needed = {peer: passes(module, work) for peer, work in peers.items()}
        times = rounds({"ours": ours, **peers}, size.rounds, size.measure)
        for peer, work in peers.items():
            apart = (from_0_to_1(ours()) - from_0_to_1(work())).abs().max()
            note = f"forward passes: theirs {needed[peer]}, ours {own}; maps from 0 to 1 agree to {apart:.0e}"
            yield line(f"{peer} / ours, {title}, {what}", times, peer, "ours", note)

    yield from against(
        "Grad-CAM",
        partial(explain, "gradcam"),
        **{
            "pytorch-grad-cam": grad_cam_maps(module, layer, inputs, targets),
            "captum": partial(captum_grad_cam_maps, module, layer, inputs, targets),
        },
    )
    captum = partial(captum_ig_maps, module, model, batch.images, targets)
    yield from against(f"integrated gradients, {IG_STEPS} steps", partial(explain, ig), captum=captum)
    yield _deletion(title, model, module, batch, targets, size)


def _deletion(title: str, model: VisionModel, module: nn.Module, batch: Batch, targets: Targets, size: Size) -> Line:
    (maps,), metric = smooth_maps(batch, 1), METRICS.build({"name": "deletion", "removal": Fill()})
    ours = Scoring(batch, [maps], [metric], prepared(model, "fp32", size.pixels))
    theirs = partial(grad_cam_deletion, module, model.normalise(batch.images), maps, targets)
    needed = passes(module, theirs), passes(ours.engine.eyes.module, ours)
    curve = metric.curve(Case(Scene(model, batch, engine=ours.engine), maps)).values[:, 1:]
    apart = ((curve - theirs()).abs().max() / curve.abs().max()).item()
    times = rounds({"theirs": theirs, "ours": ours}, size.rounds, size.measure)
    note = f"forward passes: theirs {needed[0]}, ours {needed[1]}; curves agree to {apart:.0e} of the largest"
    return line(f"pytorch-grad-cam / ours, {title}, deletion, {STEPS} steps", times, "theirs", "ours", note)
