"""Layer masking: the image is left alone, and every layer computes as if the hidden part were not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnknownNameError, UnsupportedError
from xai_bench.ersm import EnergyMask
from xai_bench.removal.layer_rules import PADDINGS, rules
from xai_bench.removal.partly_visible import PartlyVisible, refuse, shown
from xai_bench.removal.removal import Removal, State, refuse_soft
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images, Keep, Logits

RULES = {padding: rules(padding) for padding in PADDINGS}
COVERED = "convolutional networks such as timm's ResNet, MobileNet, EfficientNet, ConvNeXt, DenseNet, RegNet and VGG"
TOLERANCE = 1e-3  # of the largest logit; half precision rounds its sums differently


@dataclass(frozen=True)
class LayerMasking(Removal):
    """A mask runs beside the features and is applied after every layer, so that the hidden part leaves no trace.

    Before each convolution hidden features next to visible ones take their neighbours' mean (`neighbour`), as many
    rings as the kernel can reach, so that the mask's outline does not look like an edge; `none` leaves them zero;
    `partial` leaves them zero and lets the sum grow by the window's hidden share (partial convolution).
    Global pooling is the mean over visible cells. Knows only 0 and 1: a soft mask raises InvalidValueError. A model
    with a layer of unknown behaviour raises UnsupportedError; an energy mask is a gate, computed from visible features.

    Source: Balasubramanian & Feizi, ICCV 2023 (arXiv 2211.14646), `padding="neighbour"` as in their experiments.
    """

    card: ClassVar[Card] = Card(
        name="layer_masking",
        source="Balasubramanian & Feizi 2023 (2211.14646)",
        summary="every layer computes as if the removed pixels were not there",
    )
    soft: ClassVar[bool] = False

    padding: str = "neighbour"  # or none, partial

    def __post_init__(self) -> None:
        if self.padding not in RULES:
            raise UnknownNameError.of("padding", self.padding, RULES)

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> State:  # noqa: ARG002
        """Nothing to keep; one image, wholly visible, must give what it gives without masking."""
        first = images[:1].repeat(2, 1, 1, 1)  # as two: a layer that mixes the images of a batch shows itself
        with model.ready(), torch.inference_mode():
            plain, masked = model(first), self.see(model, first, torch.ones_like(first[:, 0]), None)
        scale = plain.nan_to_num().abs().max().item() if len(first) else 0.0  # nan is for the metrics to report
        if not torch.allclose(plain, masked, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
            raise UnsupportedError(
                f"layer masking does not reproduce model {model.label!r} on an image that is wholly visible "
                f"(logits differ by {(plain - masked).abs().max().item():.3g}); it covers {COVERED}"
            )
        return None

    def see(self, model: VisionModel, images: Images, keep: Keep, state: State) -> Logits:  # noqa: ARG002
        refuse_soft(self, keep)
        mask = keep[:, None]
        value = torch.where(mask > 0, model.normalise(images), 0)
        try:
            with _gates(model.module):
                return _logits(model.module(PartlyVisible(value, mask, RULES[self.padding])))
        except UnsupportedError as error:
            layer = _layer(model.module, error.__traceback__)
            raise UnsupportedError(f"{error}, met in {layer} of model {model.label!r}; it covers {COVERED}") from error


def _logits(out: object) -> Tensor:
    if isinstance(out, PartlyVisible) or not isinstance(out, Tensor):
        refuse(f"a model that returns {out!r}")
    return out


class _Gate:
    """Lets an energy mask see ordinary features, and puts the mask back on what it lets through."""

    def __init__(self, module: EnergyMask) -> None:
        self._features: list[PartlyVisible] = []
        self.handles = module.register_forward_pre_hook(self._strip), module.register_forward_hook(self._restore)

    def _strip(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self._features.append(inputs[0])
        return (inputs[0].value, *inputs[1:])

    def _restore(self, _: nn.Module, __: object, out: Any) -> Any:
        features = self._features.pop()
        return out._replace(features=features.like(shown(out.features, features.mask)))


@contextmanager
def _gates(module: nn.Module) -> Iterator[None]:
    handles = [handle for part in module.modules() if isinstance(part, EnergyMask) for handle in _Gate(part).handles]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layer(module: nn.Module, traceback: TracebackType | None) -> str:
    """The innermost layer on the way to the error."""
    names = {id(part): f"layer {name!r} ({type(part).__name__})" for name, part in module.named_modules() if name}
    layer = "the forward pass"
    while traceback is not None:
        layer = names.get(id(traceback.tb_frame.f_locals.get("self")), layer)
        traceback = traceback.tb_next
    return layer
