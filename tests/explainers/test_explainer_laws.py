"""Laws that every explainer keeps but those that its card exempts by name, with the reason."""

import contextlib

import pytest
import torch
from explainer_models import (
    MODELS,
    OWN,
    SIZE,
    fits,
    made,
    mirrored_cnn,
    mirrored_vit,
    noise,
    pictures,
    regions,
)

from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.seeding import Noise

PAIRS = [(name, which) for name in EXPLAINERS for which in ((OWN[name],) if name in OWN else ("cnn", "vit"))]
MIRRORED = {"cnn": mirrored_cnn, "vit": mirrored_vit}
LAWS = {"finite", "batch", "targets", "flip"}  # that a card may be exempt from


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in MODELS.items()}


@pytest.fixture(scope="module")
def mirrored():
    return {name: make() for name, make in MIRRORED.items()}


@pytest.fixture
def model(which, name, models):
    if not fits(name, models[which]):
        pytest.skip(f"{name} does not explain this model, and says so")
    return models[which]


def maps(name, model, rows=(0, 1, 2), target=None):
    places = torch.tensor(rows)
    targets = places % 5 if target is None else torch.full((len(rows),), target)
    drawn = Noise(0, "explain", tuple(f"s{row}" for row in rows))
    return explain(made(name), model, pictures(6)[places], targets, drawn, regions(6)[places])


def close(found, expected, tolerance=1e-4):
    scale = expected.abs().max().clamp(min=1e-12)
    torch.testing.assert_close(found / scale, expected / scale, rtol=tolerance, atol=tolerance)


def exempt(name, law):
    if law in EXPLAINERS[name].card.exempt:
        pytest.skip(f"{name}: {EXPLAINERS[name].card.exempt[law]}")


@pytest.mark.parametrize(("name", "which"), PAIRS)
class TestEveryExplainer:
    def test_gives_one_finite_map_per_image_and_the_same_one_again(self, name, model):
        found = maps(name, model)

        assert found.shape == (3, *SIZE)
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        assert not found.requires_grad
        assert torch.equal(found, maps(name, model))

    def test_batch_size_and_order_change_nothing(self, name, model):
        exempt(name, "batch")
        together = maps(name, model)

        close(torch.cat([maps(name, model, [row]) for row in range(2)]), together[:2])
        close(maps(name, model, [2, 0]), together[[2, 0]])

    def test_another_class_gives_another_map_unless_the_card_is_class_blind(self, name, model):
        card = EXPLAINERS[name].card
        blind = card.kind in ("control", "ceiling") and card.passes == "0"
        first, second = maps(name, model, [0, 1], target=0), maps(name, model, [0, 1], target=1)

        assert torch.equal(first, second) is (blind or "targets" in card.exempt)

    def test_leaves_model_images_and_generator_as_they_were(self, name, model):
        images, state = pictures(2), torch.get_rng_state()
        with left_as_it_was(model):
            explain(made(name), model, images, torch.tensor([0, 1]), noise(2), regions(2))

        assert torch.equal(images, pictures(2))
        assert not images.requires_grad
        assert torch.equal(torch.get_rng_state(), state)

    def test_leaves_the_model_as_it_was_after_an_error_in_the_middle(self, name, model):
        class InTheMiddleError(Exception):
            pass

        def fails(_module, _inputs):
            raise InTheMiddleError

        reached = EXPLAINERS[name].card.passes != "0" and name != "selection"  # which asks no classifier
        handle = [part for part in model.module.modules() if isinstance(part, torch.nn.Linear)][
            -1
        ].register_forward_pre_hook(fails)
        try:
            with left_as_it_was(model), pytest.raises(InTheMiddleError) if reached else contextlib.nullcontext():
                explain(made(name), model, pictures(2), torch.tensor([0, 1]), noise(2), regions(2))
        finally:
            handle.remove()


@pytest.mark.parametrize("which", MIRRORED)
@pytest.mark.parametrize("name", [name for name in EXPLAINERS if name not in OWN])
def test_a_flipped_image_gives_the_flipped_map_where_the_model_does_not_mind_flips(name, which, mirrored):
    exempt(name, "flip")
    model = mirrored[which]
    if not fits(name, model):
        pytest.skip(f"{name} does not explain this model, and says so")
    images, objects, targets = pictures(2), regions(2), torch.tensor([0, 1])

    straight = explain(made(name), model, images, targets, noise(2), objects)
    flipped = explain(made(name), model, images.flip(3), targets, noise(2), objects.flip(2))

    close(flipped.flip(2), straight)


@pytest.mark.parametrize("which", MIRRORED)
def test_the_mirrored_models_do_not_mind_flips(which, mirrored):
    with torch.no_grad():
        straight, flipped = (mirrored[which](images) for images in (pictures(2), pictures(2).flip(3)))

    torch.testing.assert_close(flipped, straight, rtol=1e-5, atol=1e-6)
    assert (straight[0] - straight[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_card_says_why_it_is_exempt_and_from_laws_that_there_are(name):
    card = EXPLAINERS[name].card

    assert card.exempt.keys() <= LAWS
    assert all(card.exempt.values())
    assert card.family != "other"


@contextlib.contextmanager
def left_as_it_was(model):
    """Modes, flags, values, layouts, gradients, hooks, what was put on a module, torch's own functions."""
    module = model.module
    module.train()
    first = next(module.parameters())
    first.requires_grad_(False)
    try:
        before = look_at(module)
        yield
        assert look_at(module) == before
    finally:
        first.requires_grad_(True)
        module.eval()


def look_at(module):
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    parts = [
        (
            name,
            id(part),
            type(part),
            part.training,
            sorted(vars(part)),
            [key for kind in hooks for key in getattr(part, kind)],
        )
        for name, part in module.named_modules()
    ]
    tensors = [
        (name, id(value), value._version, value.stride(), value.requires_grad, value.grad is None, str(value.device))
        for name, value in (*module.named_parameters(), *module.named_buffers())
    ]
    functional = torch.nn.functional
    functions = [id(found) for found in (functional.relu, functional.scaled_dot_product_attention, torch.softmax)]
    sums = [value.double().sum().item() for value in module.state_dict().values()]
    return parts, tensors, sums, functions
