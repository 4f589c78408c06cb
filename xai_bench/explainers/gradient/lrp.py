"""Layer-wise relevance propagation: the target's logit, shared out backwards from layer to layer."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.gradient.graph import before, kind, linear, nodes
from xai_bench.explainers.gradient.lrp_constants import attention, constant, layer_norm
from xai_bench.explainers.gradient.lrp_layers import Layer, RuleName, Weighted, stable
from xai_bench.explainers.gradient.rules import (
    ACTIVATIONS,
    Function,
    Handler,
    Rules,
    passing,
    probe,
    pulled,
    rooted,
    ruled,
)
from xai_bench.types import ExplainerCard, Images, Logits, Maps, Targets

Composite = Literal[
    "epsilon",
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
    "epsilon_gamma_box",
]
CONVOLUTIONS: dict[Composite, tuple[RuleName, RuleName]] = {  # the rule of the first and of the other convolutions
    "epsilon": ("epsilon", "epsilon"),
    "epsilon_plus": ("plus", "plus"),
    "epsilon_plus_flat": ("flat", "plus"),
    "epsilon_alpha2_beta1": ("alpha2_beta1", "alpha2_beta1"),
    "epsilon_alpha2_beta1_flat": ("flat", "alpha2_beta1"),
    "epsilon_gamma_box": ("box", "gamma"),
}
UNCHANGED = frozenset(  # parts whose derivative keeps the sum of what goes back through them
    [
        "AccumulateGrad",
        "Sub",
        "Div",
        "Mean",
        "ConstantPadNd",
        "Clone",
        "ToCopy",
        "Alias",
        "View",
        "Permute",
        "Select",
        "Slice",
        "Squeeze",
        "Unsqueeze",
    ]
)
WHOLE = ("flat", "box")  # rules that give an input's relevance, the others relevance / input


@dataclass(frozen=True)
class LRP(Explainer):
    """Relevance of each pixel, summed over colours; signed. Without biases it sums to the target's logit.

    `composite` names the rules as zennit does: epsilon for linear layers, then that of the convolutions (z+,
    alpha 2 and beta 1, gamma 0.25), then that of the first convolution (flat, or the box of possible colours).
    `epsilon` alone has that rule throughout, and with `epsilon=0` is input times gradient on a ReLU network. Batch
    norms are folded into the convolution before them. Activations that are 0 at 0 pass relevance on unchanged;
    attention weights, the deviation in a layer norm, and gates count as constants, as in Ali et al. 2022 and
    Arras et al. 2017.
    What biases take is lost. A model with other parts is refused by name. On the way back a layer is run up to four
    times more, with the parts of its weights that its rule tells apart.
    """

    card: ClassVar = ExplainerCard(
        "lrp",
        source="Bach et al. 2015, doi:10.1371/journal.pone.0130140; composites of Montavon et al. 2019 and "
        "Kohlbrenner et al. 2020, arXiv:1910.09840; attention and layer norm: Ali et al. 2022, arXiv:2202.07304",
        summary="the logit shared out backwards from layer to layer, by rules for each kind of layer",
        family="gradient",
        passes="1 F + 1 B",
    )

    composite: Composite = "epsilon_plus_flat"
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon < float("inf"):
            raise InvalidValueError(f"epsilon must be 0 or positive, got {self.epsilon:g}")

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        inputs = rooted(images)
        found = pulled(self._logits(model, inputs), targets, inputs)
        mean, std = (images.new_tensor(colour).view(3, 1, 1) for colour in (model.mean, model.std))
        whole = CONVOLUTIONS[self.composite][0] in WHOLE
        return (found * (std if whole else images - mean)).sum(1).float()

    def unfit(self, model: VisionModel) -> str:
        try:
            self._logits(model, probe(model))
        except UnsupportedError as error:
            return str(error)
        return ""

    def _logits(self, model: VisionModel, images: Images) -> Logits:
        relevance = Relevance(model, images, self.composite, self.epsilon)
        logits = ruled("lrp", model, images, Rules(relevance.handlers), conserving)
        relevance.check(logits)
        return logits


def conserving(node: Any) -> bool:
    """Whether a part's own derivative is its rule; of a max pooling the winner takes all."""
    return linear(node) or kind(node) == "MaxPool2DWithIndices"


class Relevance:
    """The handlers of one pass, and what they know of it."""

    def __init__(self, model: VisionModel, images: Images, composite: Composite, epsilon: float) -> None:
        black, white = (model.normalise(images.detach().new_full((1, 3, 1, 1), level)) for level in (0.0, 1.0))
        self.box, self.rules, self.epsilon = (black, white), CONVOLUTIONS[composite], epsilon
        self.composite, self.label = composite, model.label
        self.last: tuple[Tensor, Layer] | None = None  # what a norm may be folded into: a convolution, by its output
        self.folded: list[Any] = []
        self.begun = False  # whether a layer ran
        self.first: Any = None  # the node of the first convolution, where the first layer is one
        self.handlers: dict[str, Handler] = {
            **dict.fromkeys(ACTIVATIONS | {"tanh"}, self.activation),
            **dict.fromkeys(("sigmoid", "hardsigmoid", "softmax"), constant),
            **dict.fromkeys(("conv1d", "conv2d"), self.convolution),
            "linear": self.linear,
            "batch_norm": self.batch_norm,
            "layer_norm": layer_norm,
            "scaled_dot_product_attention": attention,
        }

    def check(self, logits: Logits) -> None:
        """Refuse what the rules cannot see: a second reader of a folded convolution, a way around the first layer."""
        read = Counter(node for reader in nodes(logits.grad_fn) for node in before(reader))
        if any(read[node] > 1 for node in self.folded):
            raise self._without("a convolution that both a batch norm and another part read")
        if self.rules[0] in WHOLE and not (self.first and alone(logits, self.first)):
            raise self._without(f"an image that goes elsewhere than to one convolution (composite {self.composite!r})")

    def convolution(self, function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:
        begun = self.begun
        output = self._weighted(self.rules[begun], function, x, *rest, **named)
        self.first = self.first if begun else output.grad_fn
        return output

    def linear(self, function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:
        return self._weighted("epsilon", function, x, *rest, **named)

    def _weighted(
        self,
        rule: RuleName,
        function: Function,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *rest: Any,
        **named: Any,
    ) -> Tensor:
        if weight.requires_grad:
            raise self._without("weights that depend on the image")
        layer = Layer(lambda at, w, b: function(at, w, b, *rest, **named), weight, bias, rule, self.epsilon, self.box)
        output: Tensor = Weighted.apply(x, layer)
        self.last, self.begun = (output, layer), True
        return output

    def _without(self, part: str) -> UnsupportedError:
        return UnsupportedError(f"'lrp' has no rule for these parts of model {self.label!r}: {part}")

    def batch_norm(
        self,
        function: Function,
        x: Tensor,
        mean: Tensor | None,
        variance: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,  # noqa: FBT001, FBT002
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if training or mean is None or variance is None:
            raise self._without("a batch norm with the statistics of the batch")
        scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
        value = function(x.detach(), mean, variance, weight, bias, training, momentum, eps)
        if self.last is not None and self.last[0] is x:
            self.last[1].fold(scale, (0 if bias is None else bias) - mean * scale)
            self.folded.append(x.grad_fn)
            return passing(x, value)
        share = value / stable(value, self.epsilon)
        return passing(x, value, share * scale.view(-1, *[1] * (x.ndim - 2)))

    def activation(self, function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:
        value = function(x.detach(), *rest, **named)
        if bool(function(torch.zeros_like(x[:1]), *rest, **named).any()):
            raise self._without(f"an activation that is not 0 at 0 ({getattr(function, '__name__', 'unnamed')})")
        return passing(x, value, torch.where(x == 0, 0, value / x.detach()))


def alone(logits: Logits, first: Any) -> bool:
    """Whether the image, normalised once and padded, goes to that layer and nowhere else."""
    way = [kind(node) for node in nodes(first) if node is not first]
    around = any(hasattr(node, "variable") for node in nodes(logits.grad_fn, without=first))
    return not around and set(way) <= UNCHANGED and way.count("Div") == 1
