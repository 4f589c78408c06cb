"""The explainers of the catalogue that captum or pytorch-grad-cam has too, on the same work."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from captum import attr
from torch import Tensor, nn

from benchmarks.harness import Line, line, rounds
from benchmarks.jobs import Size, as_timm_made, loaded, pictures
from xai_bench.engine import Patch, Scene
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.types import Targets

SAMPLES, SIDE, STRIDE, CHUNK = 8, 56, 28, 8
OURS: Mapping[str, dict[str, Any]] = {  # as the peers' calls below have it
    "smoothgrad": {"samples": SAMPLES},
    "gradient_shap": {"samples": SAMPLES},
    "occlusion": {"side": SIDE, "stride": STRIDE, "removal": {"name": "fill", "colour": "mean"}},
    "feature_ablation": {"unit": {"name": "patch", "side": SIDE}, "removal": {"name": "fill", "colour": "mean"}},
}
CAMS = {
    "gradcam_plus_plus": "GradCAMPlusPlus",
    "hirescam": "HiResCAM",
    "xgradcam": "XGradCAM",
    "layercam": "LayerCAM",
    "eigencam": "EigenCAM",
    "scorecam": "ScoreCAM",
    "ablationcam": "AblationCAM",
}
Maps = Callable[[], object]


def captum_maps(module: nn.Module, inputs: Tensor, targets: Targets) -> dict[str, Maps]:
    """Calls of captum, zero in normalised space being the mean colour."""
    black = torch.zeros_like(inputs)
    cells = Patch(SIDE).split(inputs)
    places = torch.arange(cells.width).view(1, -1).float()
    features = cells.painted(0, places).long()
    smooth = attr.NoiseTunnel(attr.Saliency(module))
    window = {"sliding_window_shapes": (3, SIDE, SIDE), "strides": (3, STRIDE, STRIDE)}
    return {
        "saliency": partial(attr.Saliency(module).attribute, inputs, targets),
        "input_x_gradient": partial(attr.InputXGradient(module).attribute, inputs, targets),
        "guided_backprop": partial(attr.GuidedBackprop(module).attribute, inputs, targets),
        "deconv": partial(attr.Deconvolution(module).attribute, inputs, targets),
        "smoothgrad": partial(smooth.attribute, inputs, nt_type="smoothgrad", nt_samples=SAMPLES, target=targets),
        "gradient_shap": partial(attr.GradientShap(module).attribute, inputs, black, SAMPLES, target=targets),
        "occlusion": without_gradient(
            partial(attr.Occlusion(module).attribute, inputs, **window, target=targets, perturbations_per_eval=CHUNK)
        ),
        "feature_ablation": without_gradient(
            partial(
                attr.FeatureAblation(module).attribute,
                inputs,
                target=targets,
                feature_mask=features[None].expand(1, 3, -1, -1),
                perturbations_per_eval=CHUNK,
            )
        ),
    }


def without_gradient(work: Maps) -> Maps:
    """As its users would call it."""

    def called() -> object:
        with torch.no_grad():
            return work()

    return called


def grad_cam_maps(module: nn.Module, layer: str, inputs: Tensor, targets: Targets) -> dict[str, Maps]:
    """Calls of pytorch-grad-cam."""
    import pytorch_grad_cam  # noqa: PLC0415 - an optional peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: PLC0415

    classes = [ClassifierOutputTarget(target) for target in targets.tolist()]
    calls: dict[str, Maps] = {}
    for name, peer in CAMS.items():
        cam = getattr(pytorch_grad_cam, peer)(model=module, target_layers=[module.get_submodule(layer)])
        cam.batch_size = 32  # of those that look through masks
        calls[name] = partial(cam, input_tensor=inputs, targets=classes)
    return calls


def lines(size: Size) -> Iterator[Line]:
    """For the first model, whose activations are those that captum knows."""
    title, name = next(iter(size.models.items()))
    model, batch = loaded(name, size.pixels), pictures(size.peer_images, size.pixels)
    module, inputs = as_timm_made(model), model.normalise(batch.images)
    scene = Scene(model, batch)
    targets = scene.targets
    for part in module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False  # captum's hooks do not see through it
    peers = {"captum": captum_maps(module, inputs, targets)}
    peers["pytorch-grad-cam"] = grad_cam_maps(module, model.layer, inputs, targets)
    for library, calls in peers.items():
        for method, theirs in calls.items():
            explainer = EXPLAINERS.build({"name": method} | OURS.get(method, {}))
            ours = partial(explain, explainer, model, batch.images, targets, scene.noise("explain"))
            ours(), theirs()
            times = rounds({"theirs": theirs, "ours": ours}, size.rounds, size.measure)
            yield line(f"{library} / ours, {title}, {method}", times, "theirs", "ours", "the same work")
