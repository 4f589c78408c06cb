"""Token deletion in feature space: accuracy as tokens are taken away, least important first (section 1.5 b)."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.engine.ranking import ranks
from xai_bench.ersm import ErsmModel
from xai_bench.ersm.layer import Features, Masked
from xai_bench.types import Labels, Logits

ORDERS = ("energy", "magnitude", "gradcam", "cam", "random")
Tokens = Float[Tensor, "B N"]
MOST = 40  # steps of the published area, about


def common_orders(baseline: nn.Linear, features: Features, noise: Tokens, patch_size: int) -> dict[str, Tokens]:
    """Importance of each token without asking a mask; the least important goes first.

    `magnitude` is the token's Euclidean norm, `gradcam` Grad-CAM of the baseline's own prediction on the baseline, mean
    over the token, `random` the noise.
    """
    predicted = baseline(features.mean((2, 3))).argmax(1)
    tokens = functional.pixel_unshuffle(features, patch_size)
    return {
        "magnitude": torch.linalg.vector_norm(tokens, dim=1).flatten(1),
        "gradcam": pooled(class_map(baseline, features, predicted).clamp(min=0), patch_size),
        "random": noise,
    }


def own_orders(model: ErsmModel, features: Features, logits: Logits, out: Masked) -> dict[str, Tokens]:
    """`energy` is -z; `cam` the class activation map of the ERSM head for its own prediction, of features unmasked."""
    cam = class_map(model.head, features, logits.argmax(1))
    return {"energy": -out.logit.flatten(1), "cam": pooled(cam, model.mask.patch_size)}


def class_map(head: nn.Linear, features: Features, classes: Labels) -> Float[Tensor, "B H W"]:
    """How much each place of a feature map adds to a class's logit; behind a global mean, Grad-CAM before its ReLU."""
    weights = head.weight[classes]  # (B, C)
    return torch.einsum("bc,bchw->bhw", weights, features) / features[0, 0].numel()


def pooled(places: Float[Tensor, "B H W"], size: int) -> Tokens:
    """The mean of each size x size token."""
    return functional.avg_pool2d(places[:, None], size).flatten(1)


def parts(model: ErsmModel, features: Features) -> Float[Tensor, "B K N"]:
    """What each token, kept whole, adds to each logit: behind the mask stand a global mean and a linear head."""
    size = model.mask.patch_size
    sums = functional.avg_pool2d(features, size, divisor_override=1) if size > 1 else features
    return torch.einsum("kc,bcn->bkn", model.head.weight, sums.flatten(2)) / features[0, 0].numel()


def deletion(
    model: ErsmModel,
    added: Float[Tensor, "B K N"],
    labels: Labels,
    order: Tokens,
    lots: Int64[Tensor, "B N"],
    *,
    compensate: bool = False,
) -> Bool[Tensor, "B steps"]:
    """Whether the prediction is right after n = 0 .. N tokens were set to 0 and the others kept as they are.

    The forced mask is binary and replaces the soft one. Logits are a sum over tokens, the `parts` of the model, so that
    every n is read off one running sum. `compensate` scales by N / kept; ties go by `lots`.
    """
    most_first = ranks(order, "random", lots).argsort(1)[:, None].expand_as(added)
    kept = added.double().gather(2, most_first).cumsum(2)  # of the n + 1 most important
    kept = functional.pad(kept, (1, 0)).flip(2)  # (B, K, N + 1): N tokens kept first, none last
    if compensate:
        left = torch.arange(kept.shape[2] - 1, -1, -1)
        kept = kept * (kept.shape[2] - 1) / left.clamp(min=1)
    return (kept + model.head.bias.double()[:, None]).argmax(1) == labels[:, None]


def published_steps(tokens: int) -> list[int]:
    """Numbers of deleted tokens of the published area: every max(1, N // 40)th, and N."""
    return sorted({*range(0, tokens + 1, max(1, tokens // MOST)), tokens})


def area(correct: Bool[Tensor, "B steps"]) -> Float[Tensor, " B"]:
    """Area under accuracy in per cent over the fraction deleted, 0 to 100, of each image; their mean is the curve's."""
    steps = published_steps(correct.shape[1] - 1)
    fractions = torch.tensor(steps, dtype=torch.float64) / (correct.shape[1] - 1)
    return 100 * torch.trapezoid(correct[:, steps].double().cpu(), fractions, dim=1)
