"""Full chunks, whatever they are made of; memory, precision, folding and compiling change how, never what."""

import pytest
import torch
from torch import nn

import xai_bench as xb
from xai_bench.adapters.fold import folded
from xai_bench.engine import Case, Engine, Patch, Scene, Trajectory, evaluate
from xai_bench.engine.memory import attempt, is_out_of_memory
from xai_bench.errors import UnknownNameError, UnsupportedError
from xai_bench.metrics import METRICS, score
from xai_bench.oracles import as_model
from xai_bench.removal import Blur, Fill, LayerMasking
from xai_bench.types import Batch

SIZE = (8, 8)
WALKS = (
    Trajectory(Fill("black"), "morf", 5),
    Trajectory(Blur(), "lerf", 4),
    Trajectory(Fill("black"), "morf", 3, unit=Patch(2)),
)


class Small(nn.Module):
    """A convolutional classifier that remembers the sizes of its batches and has memory for `most` images."""

    def __init__(self, most=10**6):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.features = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.most, self.sizes = most, []

    def forward(self, images):
        self.sizes.append(images.shape[0])
        if images.shape[0] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.head(self.norm(self.features(images)).relu().mean((2, 3)))


def pictures(count=3):
    images = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    return Batch(images, tuple(f"s{i}" for i in range(count)))


def cases(module, explainers=2, count=3, **options):
    model = as_model(module.eval(), SIZE)
    scene = Scene(model, pictures(count), engine=Engine(model, **options))
    maps = torch.randn(explainers, count, *SIZE, generator=torch.Generator().manual_seed(3))
    return [Case(scene, relevance) for relevance in maps]


def curves(found, walks=WALKS):
    evaluate([(case, walk) for case in found for walk in walks])
    return torch.cat([case.curve(walk, "probability").values.flatten() for case in found for walk in walks])


def test_chunks_are_full_across_images_steps_explainers_and_removals():
    module = Small()
    curves(cases(module, chunk=7))
    clean, altered = module.sizes[:1], module.sizes[1:]

    assert clean == [3]
    assert set(altered[:-1]) == {7}
    # per image: 4 + 3 + 2 inside for each of 2 explainers, and two removals with nothing left
    assert sum(altered) == 3 * (2 * 9 + 2)


def test_together_or_one_by_one_the_numbers_are_the_same():
    alone = torch.cat([case.curve(walk, "probability").values.flatten() for case in cases(Small()) for walk in WALKS])

    torch.testing.assert_close(curves(cases(Small(), chunk=7)), alone, rtol=0, atol=1e-6)


def test_putting_pixels_in_place_by_bits_is_what_the_removal_does():
    found = cases(Small(), explainers=1, count=1)[0]
    scene, walk = found.scene, Trajectory(Blur(), "morf", 4)
    keep = (found.ranks() >= 32).float().view(-1, 8, 8)
    state = scene.state(Blur())
    by_hand = scene.model(state + keep[:, None] * (scene.batch.images - state)).softmax(1)[0, scene.targets]

    assert found.curve(walk, "probability").values[0, 2].item() == pytest.approx(by_hand.item(), abs=1e-6)


def test_out_of_memory_halves_the_chunk_and_changes_no_number():
    module = Small(most=4)
    found = cases(module, chunk=16)
    values = curves(found)

    torch.testing.assert_close(values, curves(cases(Small(), chunk=16)), rtol=0, atol=1e-6)
    assert found[0].scene.engine.chunk == 4
    assert module.sizes.count(16) == 1  # what did not fit is not tried again


def test_no_memory_for_one_image_is_said():
    with pytest.raises(UnsupportedError, match="memory does not suffice for one image in model 'small'"):
        curves(cases(Small(most=0)))


def test_other_errors_come_through():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        attempt(lambda: torch.ones(2, 3) @ torch.ones(2, 3))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("CUDA out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, found):
    assert is_out_of_memory(error) is found


def test_a_real_cpu_allocation_that_fails_is_out_of_memory():
    assert attempt(lambda: torch.empty(2**60, dtype=torch.uint8)) is None


def test_bf16_rounds_the_model_and_leaves_the_callers_alone():
    module = Small()
    rounded, exact = curves(cases(module, precision="bf16")), curves(cases(Small()))

    assert 0 < (rounded - exact).abs().max() < 0.02
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_bf16_reaches_removals_that_alter_the_forward_pass():
    walk = (Trajectory(LayerMasking(), "morf", 4, unit=Patch(2)),)
    rounded, exact = curves(cases(Small(), precision="bf16"), walk), curves(cases(Small()), walk)

    assert 0 < (rounded - exact).abs().max() < 0.02


def test_an_unknown_precision_is_refused_by_name(unchecked):
    with pytest.raises(UnknownNameError, match="unknown precision 'bf61'; did you mean 'bf16'"):
        Engine(as_model(Small()), precision="bf61")


def test_compiled_code_gets_chunks_of_one_size(monkeypatch):
    sizes = []

    def compiled(module, dynamic):
        module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
        return module

    monkeypatch.setattr(torch, "compile", compiled)
    module = Small()
    values = curves(cases(module, compile=True, chunk=7))

    assert set(sizes) == {7}
    assert all(parameter.requires_grad for parameter in module.parameters())
    torch.testing.assert_close(values, curves(cases(Small())), rtol=0, atol=1e-6)


FOLDED = [
    ("timm:test_resnet", {}),
    ("timm:mobilenetv2_035", {}),
    ("timm:test_efficientnet", {}),
    ("ersm:test_resnet", {"mode": "stable", "start": 0.0}),
    ("ersm:test_efficientnet", {"mode": "stable", "start": 0.0, "stage": 2}),
]


@pytest.mark.parametrize(("name", "options"), FOLDED, ids=[name for name, _ in FOLDED])
@pytest.mark.usefixtures("unchecked")  # torch.fx cannot trace type checks
def test_batch_normalisation_is_folded_away_and_the_logits_stay(name, options):
    model = xb.load_model(name, pretrained=False, num_classes=5, input_size=32, **options)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():  # statistics that are not those of a fresh layer
        for part in model.module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.2, 0.2)
                part.running_var.uniform_(0.5, 2)
    before = [part for part in model.module.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.inference_mode():
        faster = folded(model.module, images)
        torch.testing.assert_close(faster(images), model.module(images), rtol=1e-4, atol=1e-5)

    assert not [part for part in faster.modules() if isinstance(part, nn.BatchNorm2d)]
    assert [part for part in model.module.modules() if isinstance(part, nn.BatchNorm2d)] == before


def test_a_model_that_cannot_be_traced_stays_as_it_is():
    class Branching(Small):
        def forward(self, images):
            return super().forward(images if images.sum() > 0 else -images)

    module = Branching().eval()

    assert folded(module, torch.rand(2, 3, *SIZE)) is module


def test_folding_that_changes_the_logits_is_not_used(monkeypatch):
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Flatten()).eval()
    clipped = lambda module, no_trace: nn.Sequential(module, nn.Hardtanh(-0.01, 0.01))  # noqa: E731
    monkeypatch.setattr("xai_bench.adapters.fold.fuse", clipped)

    assert folded(module, torch.rand(2, 3, *SIZE)) is module


def test_the_chunk_is_found_from_the_model_and_the_images_alone():
    model = xb.load_model("timm:test_resnet", pretrained=False, num_classes=5, device="cpu")
    small, large = Engine(model).fit((32, 32)), Engine(model).fit((512, 512))

    assert small > large
    assert Engine(model).fit((32, 32)) == small
    assert all(chunk & (chunk - 1) == 0 for chunk in (small, large))


def test_adaptive_scores_come_with_an_estimate_of_their_error():
    case = cases(Small(), explainers=1)[0]
    adaptive = score(METRICS.build({"name": "deletion", "steps": "adaptive"}), case)
    fine = score(METRICS.build({"name": "deletion", "steps": 224}), case)

    assert adaptive.errors is not None
    assert fine.errors is None
    torch.testing.assert_close(adaptive.values, fine.values, rtol=0, atol=0.02)


def test_adaptive_and_equal_steps_share_what_both_look_at():
    module = Small()
    case = cases(module, explainers=1)[0]
    case.curve(Trajectory(Fill(), "morf", 224), "probability")
    before = len(module.sizes)
    case.curve(Trajectory(Fill(), "morf", "adaptive", guide="probability"), "probability")

    assert len(module.sizes) == before


def test_targets_that_are_given_cost_one_pass_to_check():
    module = Small()
    found = cases(module, explainers=1)[0].scene
    found.given = torch.tensor([0, 1, 2])

    assert found.targets.tolist() == [0, 1, 2]
    assert module.sizes == [1]
