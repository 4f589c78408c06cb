"""Stages: where a convolutional backbone can be cut in two, so that a mask can stand between the parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError

Stage = str | int | None  # a module's dotted name, its position among timm's stages, or None: after all of them
PROBE_SIZE = (3, 224, 224)
FITTING = "it needs a convolutional backbone with a (B, C, h, w) feature map, such as 'ersm:resnet18'"


@dataclass(frozen=True)
class Cut:
    """The modules before and after a stage, by name, to be run one after the other; `front` ends with the stage.

    Without a stage both are empty: all of the backbone's `forward_features` comes before.
    """

    front: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    map: tuple[int, ...] = ()  # (C, h, w) of the stage's output for the probe
    features: int = 0  # channels of the last feature map


class _Run(NamedTuple):
    """One module's part of a forward pass."""

    name: str
    start: int
    end: int
    inputs: tuple[Any, ...]
    output: Any


def stages(backbone: nn.Module) -> list[str]:
    """The stages that timm declares for a backbone (`feature_info`), first to last, by the modules that end them."""
    declared = getattr(backbone, "feature_info", None)
    infos = [info for info in declared if isinstance(info, dict)] if isinstance(declared, list) else []
    known = {name for name, _ in backbone.named_modules() if name}
    return [info["module"] for info in infos if info.get("module") in known]


def stage_named(backbone: nn.Module, stage: str | int) -> str:
    """The module that ends a stage; an unknown name or position is refused with the stages there are."""
    known = stages(backbone)
    if isinstance(stage, int) and not isinstance(stage, bool):
        if not -len(known) <= stage < len(known):
            raise InvalidValueError(
                f"stage must be in [{-len(known)}, {len(known) - 1}] or a name, one of {', '.join(known)}, got {stage}"
            )
        return known[stage]
    if not isinstance(stage, str):
        raise InvalidValueError(f"stage must be the name or position of a stage, got {stage!r}")
    if stage not in {name for name, _ in backbone.named_modules() if name}:
        raise UnknownNameError.of(f"stage of {type(backbone).__name__}", stage, known)
    return stage


def cut(backbone: nn.Module, stage: Stage, probe: Tensor | None = None, *, title: str = "") -> Cut:
    """Where a mask after `stage` cuts a backbone in two; the backbone is left as found, and called `title` in errors.

    Any module may be the stage that gives a (B, C, h, w) map and lies on a chain of modules, each of which reads
    what the one before it gave. The chain is seen in one forward pass of `probe` (1, 3, H, W; default: noise of the
    size of timm's record), and run once to see that it gives what the backbone gives. A backbone that is no such
    chain, or has no (B, C, h, w) map, raises UnsupportedError.
    """
    name = None if stage is None else stage_named(backbone, stage)
    probe = _noise(backbone) if probe is None else probe
    title = title or type(backbone).__name__
    with torch.no_grad(), evaluating(backbone):
        runs, last = _trace(backbone, probe)
        _check_map(backbone, last, f"{title} cannot carry an energy mask: {FITTING}, and this one's")
        if name is None:
            return Cut(map=tuple(last.shape[1:]), features=last.shape[1])
        here = next((each for each in reversed(runs) if each.name == name), None)
        if here is None:
            raise InvalidValueError(f"stage {name!r} of {title} does not run in forward_features")
        _check_map(backbone, here.output, f"a mask cannot stand after {name!r} of {title}: its output")
        front = _chain(runs, (0, here.end), probe, here.output)
        rest = _chain(runs, (here.end, runs[-1].end), here.output, last)
        if front is None or rest is None or not _same(run(backbone, (*front, *rest), probe), last):
            raise UnsupportedError(
                f"a mask cannot stand after {name!r} of {title}, which does not run module after module there; "
                "leave stage out to put it after the last feature map"
            )
    return Cut(front, rest, tuple(here.output.shape[1:]), last.shape[1])


def run(backbone: nn.Module, names: tuple[str, ...], features: Tensor) -> Tensor:
    """The named modules of a backbone, one after the other."""
    for name in names:
        features = backbone.get_submodule(name)(features)
    return features


def _noise(backbone: nn.Module) -> Tensor:
    record = getattr(backbone, "pretrained_cfg", None) or {}
    weight = next(backbone.parameters())
    noise = torch.rand(1, *record.get("input_size", PROBE_SIZE), generator=torch.Generator().manual_seed(0))
    return noise.to(weight.device, weight.dtype)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode for a while: the statistics of batch norms must not move."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _trace(backbone: nn.Module, probe: Tensor) -> tuple[list[_Run], Any]:
    """Every module's run in the order in which they end (children before parents), and the last feature map."""
    runs: list[_Run] = []
    begun: list[int] = []
    ticks = count(1)

    def begin(_module: nn.Module, _inputs: object) -> None:
        begun.append(next(ticks))

    def end(name: str, inputs: tuple[Any, ...], output: object) -> None:
        runs.append(_Run(name, begun.pop(), next(ticks), inputs, output))

    hooks = []
    for name, part in backbone.named_modules():
        if name:
            hooks.append(part.register_forward_pre_hook(begin))
            hooks.append(part.register_forward_hook(lambda _m, i, out, name=name: end(name, i, out)))
    try:
        return runs, cast("Any", backbone).forward_features(probe)
    finally:
        for hook in hooks:
            hook.remove()


def _chain(runs: list[_Run], span: tuple[int, int], given: Tensor, wanted: Tensor) -> tuple[str, ...] | None:
    """The outermost modules that lead from one tensor to another within a span of time; None where there is a gap."""
    names: list[str] = []
    (now, end), features = span, given
    inside = sorted((each for each in runs if each.end <= end), key=lambda each: each.start)
    while True:
        following = (each for each in inside if each.start > now and _reads(each, features))
        link = next(following, None)
        if link is None:
            return tuple(names) if features is wanted else None
        names.append(link.name)
        now, features = link.end, link.output


def _reads(run: _Run, features: Tensor) -> bool:
    return len(run.inputs) == 1 and run.inputs[0] is features


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)


def _check_map(backbone: nn.Module, features: object, what: str) -> None:
    last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
    if not isinstance(features, Tensor) or features.ndim != 4 or last:
        shape = tuple(features.shape) if isinstance(features, Tensor) else f"a {type(features).__name__}"
        raise UnsupportedError(f"{what} is {shape}")
