"""What all explainers of one pass cost together, and the rate of those that look through masks."""

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import Line, line, passes, rounds
from benchmarks.jobs import TRAINED, Bare, Size, backward_passes, loaded, pictures, prepared, trained
from xai_bench.adapters import VisionModel
from xai_bench.engine import Scene
from xai_bench.explainers import EXPLAINERS, explain, read_from, seen_together
from xai_bench.types import Batch, Maps, Targets

# what a batch's activations and gradients of one layer, and its image gradient, are enough for
SHARING = (
    *("gradcam", "gradcam_plus_plus", "hirescam", "xgradcam", "layercam", "eigencam"),
    *("normgrad", "normgrad_selective", "saliency", "input_x_gradient"),
)
RISE_MASKS = 128


def lines(size: Size) -> Iterator[Line]:
    """Trained models where there are any, else the same ones at random weights."""
    found = list(trained(size.peer_images)) or [
        (title, loaded(name, size.pixels), pictures(size.peer_images, size.pixels))
        for title, (name, _) in TRAINED.items()
    ]
    for title, model, batch in found:
        targets = Scene(model, batch).targets
        yield _together(title, model, batch, targets, size)
        yield _rate(title, model, batch, {"name": "rise", "samples": RISE_MASKS}, targets, size)
        yield _rate(title, model, batch, {"name": "scorecam"}, targets, size)


def together(model: VisionModel, batch: Batch, targets: Targets) -> dict[str, Maps]:
    """The maps of all that share a pass."""
    explainers = {name: EXPLAINERS.build(name) for name in SHARING}
    seen = seen_together(explainers.values(), model, batch.images, targets)
    return {name: read_from(explainer, seen) for name, explainer in explainers.items()}


def _together(title: str, model: VisionModel, batch: Batch, targets: Targets, size: Size) -> Line:
    ours = partial(together, model, batch, targets)
    bare = partial(backward_passes, model, batch, len(batch))
    note = f"{len(SHARING)} explainers from {passes(model.module, ours) // len(batch)} pass per image; bare: one pass"
    passes(model.module, bare)
    times = rounds({"ours": ours, "bare": bare}, size.rounds, size.measure)
    return line(f"all of one pass / forward and backward, {title}", times, "ours", "bare", note)


def _rate(title: str, model: VisionModel, batch: Batch, table: dict[str, object], targets: Targets, size: Size) -> Line:
    explainer, scene = EXPLAINERS.build(table), Scene(model, batch)
    ours = partial(explain, explainer, model, batch.images, targets, scene.noise("explain"))
    before = model.elsewhere
    direct = passes(model.module, ours)
    needed = direct + model.elsewhere - before
    bare = Bare(prepared(model, "fp32", size.pixels, fold=False), batch, needed)
    bare()
    times = rounds({"ours": ours, "bare": bare}, size.rounds, size.measure)
    note = f"{needed} passes; bare: the model as it was loaded, in chunks as large"
    return line(f"bare forward rate kept, {table['name']}, {title}", times, "bare", "ours", note)
