"""The graph of the logits: which kinds of parts stand between them and the image."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

# The names torch gives to the nodes of a graph, without "Backward0". Linear in one input, all else constant:
LINEAR = frozenset(
    [
        "Addmm",
        "Mm",
        "Bmm",
        "Baddbmm",
        "Mv",
        "Dot",
        "Convolution",
        "NativeBatchNorm",
        "CudnnBatchNorm",
        "MiopenBatchNorm",
        "Mul",
        "Div",
        "Neg",
        "Mean",
        "Sum",
        "View",
        "UnsafeView",
        "ReshapeAlias",
        "AsStrided",
        "Alias",
        "Permute",
        "Transpose",
        "T",
        "Movedim",
        "Select",
        "Slice",
        "Split",
        "SplitWithSizes",
        "Unbind",
        "Index",
        "IndexSelect",
        "Gather",
        "Expand",
        "Repeat",
        "Squeeze",
        "Unsqueeze",
        "Clone",
        "ToCopy",
        "Unfold",
        "Im2Col",
        "Col2Im",
        "Flip",
        "Roll",
        "ConstantPadNd",
        "ReflectionPad2D",
        "ReplicationPad2D",
        "AvgPool2D",
        "AdaptiveAvgPool2D",
        "MkldnnAdaptiveAvgPool2D",
        "PixelShuffle",
        "PixelUnshuffle",
        "UpsampleNearest2D",
        "UpsampleNearestExact2D",
        "UpsampleBilinear2D",
        "UpsampleBicubic2D",
    ]
)
SUMS = frozenset(["Add", "Sub", "Rsub", "Cat", "Stack", "Copy", "CopySlices"])  # linear in all their inputs together
# Attention, norms, pools and gates: not linear, and no activations.
OTHERS = frozenset(
    [
        "NativeLayerNorm",
        "NativeGroupNorm",
        "FusedRmsNorm",
        "Softmax",
        "Sigmoid",
        "Hardsigmoid",
        "Exp",
        "Log",
        "Pow",
        "Sqrt",
        "Rsqrt",
        "Reciprocal",
        "Std",
        "StdMean",
        "Var",
        "VarMean",
        "Norm",
        "LinalgVectorNorm",
        "Logsumexp",
        "Addcmul",
        "MaxPool2DWithIndices",
        "AdaptiveMaxPool2D",
        "Amax",
        "ScaledDotProductFlashAttentionForCpu",
        "ScaledDotProductFlashAttention",
        "ScaledDotProductEfficientAttention",
        "ScaledDotProductCudnnAttention",
        "ScaledDotProductFusedAttentionOverrideable",
    ]
)
POINTWISE = frozenset(["Add", "Sub", "Rsub", "Mul", "Div", "Neg", "Pow", "Clone", "ToCopy", "Passing"])
RULES = frozenset(["Passing", "Pooled", "Weighted"])
_NUMBER = re.compile(r"Backwards?\d*$")


def strange(logits: Tensor, images: Tensor, plain: Callable[[Any], bool]) -> list[str]:
    """The kinds of parts between image and logits that are neither a rule's nor `plain`, in alphabetical order."""
    found = list(nodes(logits.grad_fn))
    if not any(getattr(node, "variable", None) is images for node in found):
        return ["one that no gradient passes"]
    inner = [node for node in found if not hasattr(node, "variable") and kind(node) not in RULES]
    return sorted({kind(node) for node in inner if not plain(node)})


def nodes(last: Any, without: Any = None) -> Iterator[Any]:
    """A node and every node behind it, once; neither `without` nor what is behind it alone."""
    seen, left = {None, without}, [last]
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += before(node)
            yield node


def before(node: Any) -> list[Any]:
    """The nodes that a node's inputs come from; None where an input does not depend on the image."""
    return [found for found, _ in node.next_functions]


def kind(node: Any) -> str:
    """What torch calls a node: `Convolution`, `Relu`."""
    return _NUMBER.sub("", node.name().rpartition("::")[2])


def linear(node: Any) -> bool:
    """Whether it is linear, plus a constant, in all that depends on the image, taken together."""
    inputs = before(node)
    depends = len(inputs) - inputs.count(None)
    divisor = kind(node) == "Div" and len(inputs) > 1 and inputs[1] is not None
    return kind(node) in SUMS or (kind(node) in LINEAR and depends == 1 and not divisor)


def no_activation(node: Any) -> bool:
    """Whether it is known and no activation, such as a product of a number with its own sigmoid (swish)."""
    known = kind(node) in LINEAR | SUMS | OTHERS
    return known and not (_swish(node) or _rectified(node) or _maxout(node) or _absolute(node))


def _swish(node: Any) -> bool:
    gates = [gate for gate in before(node) if gate is not None and kind(gate) in ("Sigmoid", "Hardsigmoid")]
    return any(before(gate)[0] in before(node) for gate in gates)


def _rectified(node: Any) -> bool:
    """A number less a part of it: x - x.clamp(max=0)."""
    parts = [part for part in before(node) if part is not None and kind(part) == "Passing"]
    return kind(node) in ("Add", "Sub", "Rsub") and any(before(part)[0] in before(node) for part in parts)


def _maxout(node: Any) -> bool:
    """A maximum that pools neither two axes nor tokens."""
    if kind(node) != "Amax":
        return False
    tokens = tuple(node._saved_dim) == (1,) and node._saved_self.ndim == 3
    stacked = kind(before(node)[0]) in ("Stack", "Cat")
    return len(node._saved_dim) < 2 and (stacked or not tokens)


def _absolute(node: Any) -> bool:
    """A root of squares that nothing averages or adds up over an axis, as norms do."""
    whole = kind(node) == "Pow" and float(getattr(node, "_saved_exponent", 2)).is_integer()
    if kind(node) not in ("Sqrt", "Rsqrt", "Pow") or whole:
        return False
    seen, left = set[Any](), before(node)
    while left:
        part = left.pop()
        if part is None or part in seen or kind(part) not in POINTWISE:
            continue
        seen.add(part)
        inputs = before(part)
        squared = kind(part) == "Pow" or (kind(part) == "Mul" and len(inputs) == 2 and inputs[0] is inputs[1])
        if squared and kind(inputs[0]) not in ("Mean", "Sum"):
            return True
        left += inputs
    return False
