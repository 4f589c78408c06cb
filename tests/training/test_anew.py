"""The same architecture from new weights, and what it is trained on."""

import pytest
import timm
import torch
from torch import nn

from xai_bench.data import Preprocessing, load_data
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.ersm import EnergyMask
from xai_bench.training import Recipe, TrainSet, train_anew, unrenewable

SHORT = Recipe(epochs=1, batch_size=4)
INPUTS, LABELS = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2


def net(seed=0, fill=None):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    if fill is not None:
        for value in model.state_dict().values():
            value.fill_(fill)
    return model.eval()


def weights(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def test_nothing_of_the_old_weights_is_left():
    trained = [train_anew(net(fill=fill), INPUTS, LABELS, SHORT) for fill in (3.0, -7.0)]

    assert torch.equal(weights(trained[0]), weights(trained[1]))
    assert weights(trained[0]).isfinite().all()


def test_frozen_weights_are_trained_too():
    frozen = net().requires_grad_(False)
    trained = train_anew(frozen, INPUTS, LABELS, Recipe(epochs=2, batch_size=4, lr=0.1))
    still = train_anew(frozen, INPUTS, LABELS, Recipe(epochs=2, batch_size=4, lr=1e-12, weight_decay=0.0))
    moved = [not torch.equal(a, b) for a, b in zip(trained.parameters(), still.parameters(), strict=True)]

    assert all(moved)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_the_seed_decides_and_the_caller_s_model_mode_and_random_state_stay():
    model, state = net(), torch.get_rng_state()
    before = weights(model)
    one, two, other = (train_anew(model, INPUTS, LABELS, Recipe(epochs=1, seed=seed)) for seed in (0, 0, 1))

    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(other))
    assert torch.equal(weights(model), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert not one.training


def test_training_works_where_nothing_else_differentiates():
    with torch.inference_mode():
        model = train_anew(net(), INPUTS, LABELS, SHORT)

    assert torch.equal(weights(model), weights(train_anew(net(), INPUTS, LABELS, SHORT)))


def test_what_can_be_learnt_is_learnt():
    inputs = torch.zeros(8, 3, 8, 8)
    inputs[LABELS == 1] = 1
    model = train_anew(net(), inputs, LABELS, Recipe(epochs=30, batch_size=8, lr=0.01))

    assert model(inputs).argmax(1).tolist() == LABELS.tolist()


@pytest.mark.parametrize("name", ["resnet18", "test_resnet", "mobilenetv2_050", "test_efficientnet", "vgg11"])
def test_timm_s_cnns_can_be_renewed(name):
    assert unrenewable(timm.create_model(name)) == ""


def test_an_energy_mask_can_be_renewed():
    assert unrenewable(EnergyMask(4)) == ""


def test_a_layer_with_weights_that_cannot_be_drawn_anew_is_named():
    vit = timm.create_model("test_vit")

    assert unrenewable(nn.Sequential(nn.Linear(2, 2), vit)) == (
        "layer '1' (VisionTransformer) has weights (cls_token) and no reset_parameters"
    )


def test_a_train_set_says_all_that_was_given_and_nothing_of_its_size():
    wanted = TrainSet.of({"name": "planted", "n": 9, "correlation": 0.5, "classes": ["disc", "star"]})

    assert str(wanted) == "planted(split=train,n=9,seed=0,classes=disc/star,correlation=0.5)"
    assert wanted == TrainSet("planted", n=9, options=(("classes", ("disc", "star")), ("correlation", 0.5)))
    assert hash(wanted) == hash(TrainSet.of(wanted))


def test_its_images_have_the_size_asked_for_unless_it_has_one_of_its_own():
    shape = Preprocessing((20, 24))

    assert TrainSet().load(shape).preprocessing == shape
    assert TrainSet(options=(("size", 32),)).load(shape).preprocessing == Preprocessing((32, 32))
    assert len(TrainSet(n=7).load(shape)) == 7
    assert TrainSet().load(shape).name == "planted/train"


def test_a_data_set_stands_for_itself():
    data = load_data("planted", n=3)

    assert TrainSet.of(data).load(Preprocessing((9, 9))) is data
    assert str(TrainSet.of(data)) == f"planted/test[{data.fingerprint}]"
    assert TrainSet.of(data) == TrainSet(data) != TrainSet(load_data("planted", n=3))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("plantd", "unknown dataset 'plantd'; did you mean 'planted'?"),
        ({"name": "planted", "split": "trian"}, "unknown split of planted 'trian'; did you mean 'train'?"),
        ({"name": "planted", "batch_size": 3}, "unknown key of dataset planted 'batch_size'; known: classes, "),
        ({"n": 3}, "train must be a name, a table with a name, or a data set, got {'n': 3}"),
        (3, "train must be a name, a table with a name, or a data set, got 3"),
        ({"name": "planted", "classes": {"a": 1}}, "a key of a train set must be a value or a list, got {'a': 1}"),
    ],
)
def test_what_is_no_train_set_is_refused(wanted, message):
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        TrainSet.of(wanted)

    assert str(caught.value).startswith(message)
