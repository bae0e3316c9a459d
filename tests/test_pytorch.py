import re
from concurrent.futures import ThreadPoolExecutor

import loky
import numpy as np
import pytest
import torch
from torch import nn

import tradeoffs
from tradeoffs import ARTICLE, fit
from tradeoffs.models import count_parameters
from tradeoffs.models.rows import ROWS
from tradeoffs.schedule_values import Augmentation
from tradeoffs.training.augmenting import Augmenter
from tradeoffs.training.layouts import channels_last_pays
from tradeoffs.training.pytorch import Trainer, images_to_tensor

QUICK = ARTICLE.first(1)


def count(model):
    return sum(p.numel() for p in model.parameters())


def by_layer(model):
    counts = {name: count(layer) for name, layer in model.named_children()}
    return {name: number for name, number in counts.items() if number}


CONVOLUTIONS = {"conv1": 260, "conv2": 5_020}
SMALL_NET = {"norm": 10, "conv2": 368, "linear": 90}
KERAS_MLP = {"dense1": 401_920, "dense2": 262_656, "dense3": 5_130}
KERAS_CNN = {"conv1": 320, "conv2": 18_496, "dense1": 1_179_776, "dense2": 1_290}


@pytest.mark.parametrize(
    ("name", "arguments", "layers", "total"),
    [
        ("pytorch_cnn", {}, CONVOLUTIONS | {"linear1": 16_050, "linear2": 510}, 21_840),
        ("gap_cnn", {}, CONVOLUTIONS | {"conv3": 1_810}, 7_090),
        ("gap_cnn", {"dropout": True}, CONVOLUTIONS | {"conv3": 1_810}, 7_090),
        ("small_net", {"kernel_size": 3}, {"conv1": 50} | SMALL_NET, 518),
        ("small_net", {"kernel_size": 5}, {"conv1": 130} | SMALL_NET, 598),
        ("keras_mlp", {}, KERAS_MLP, 669_706),
        ("keras_cnn", {}, KERAS_CNN, 1_199_882),
    ],
)
def test_parameters_lie_where_the_arithmetic_says(name, arguments, layers, total):
    model = tradeoffs.build(name, "pytorch", **arguments)
    assert by_layer(model) == layers
    assert count(model) == total
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_torchvision_fits_torch():
    """A pair that does not fit fails at torchvision's own operators."""
    from torchvision.ops import nms

    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]])
    assert nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist() == [1]


@pytest.mark.parametrize("pool", [None, 4])
@pytest.mark.parametrize("pool_kind", ["max", "average"])
@pytest.mark.parametrize("pool_after", [1, 2])
def test_pool_of_the_small_net_costs_no_parameters(pool, pool_kind, pool_after):
    model = tradeoffs.build(
        "small_net", pool=pool, pool_kind=pool_kind, pool_after=pool_after
    )
    assert count(model) == 518
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    names = [name for name, _ in model.named_children()]
    if pool:
        kind = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[pool_kind]
        (place,) = (i for i, layer in enumerate(model) if isinstance(layer, kind))
        assert (place < names.index("conv2")) == (pool_after == 1)
        assert model[place].kernel_size == model[place].stride == pool


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("small_net", {"filters": (5,)}, "filters is (5,); it must be two whole"),
        ("small_net", {"filters": (5, 0)}, "a number of filters is 0"),
        ("gap_cnn", {"filters": 3}, "filters is 3; it must be two whole"),
        ("gap_cnn", {"dropout": "no"}, "dropout is 'no'; it must be one of True"),
        ("pytorch_cnn", {"seed": -1}, "seed is -1; it must be from 0"),
        ("small_net", {"kernel_size": True}, "kernel_size is True; it must be one of"),
        ("small_net", {"pool": 7}, "pool is 7; it must be one of None, 2, 3, 4, 5, 6"),
        ("small_net", {"pool_stride": 3}, "it must be one of None, 1, 2"),
        ("small_net", {"pool_kind": "mean"}, "it must be one of max, average"),
        ("small_net", {"slope": -0.1}, "slope is -0.1; it must be from 0 to 1"),
        ("small_net", {"batch_norm": "no"}, "batch_norm is 'no'"),
        ("tiny", {"filters": 4}, "filters is 4; it must be whole numbers"),
        ("tiny", {"filters": (4, 0)}, "a number of filters is 0"),
        ("tiny", {"pools": 7}, "a value of pools is 7; it must be one of"),
        ("tiny", {"pools": (2, 2)}, "with 4 filters it must be 4 values, or one for"),
        ("tiny", {"pools": 3}, "pools is 3; nothing is left of 28 x 28"),
        ("tiny", {"pool_kind": "mean"}, "it must be one of max, average"),
        ("tiny", {"activation": "tanh"}, "it must be one of relu, silu"),
        ("tiny", {"norm": True}, "it must be one of batch, shift, None"),
        ("tiny", {"scale": 0}, "scale is 0; it must be above 0"),
        ("tiny", {"parameters": 517}, "parameters is 517; it must be one of"),
        ("tiny", {"parameters": 518, "scale": 1}, "scale is 1 beside parameters=518"),
        ("pytorch_cnn", {"side": 14}, "too small for two 5 x 5 convolutions"),
        ("pytorch_cnn", {"padding": -1}, "padding is -1; it must be at least 0"),
    ],
)
def test_value_that_is_not_allowed_is_named(name, arguments, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        tradeoffs.build(name, **arguments)


TINY = [
    {},
    {"filters": [3], "pools": 6, "pool_kind": "max"},
    {"filters": (4, 1, 5), "pools": [3, None, 2]},
    {"activation": "relu", "scale": 1},
    *(
        {"filters": (4, 7, 9), "norm": norm, "pools": 2, "pool_kind": kind}
        for norm in ("batch", "shift", None)
        for kind in ("max", "average")
    ),
    *({"parameters": limit} for limit in ROWS),
]


@pytest.mark.parametrize("arguments", TINY, ids=str)
def test_tiny_has_the_parameters_that_arithmetic_gives(arguments):
    model = tradeoffs.build("tiny", **arguments)
    assert count(model) == count_parameters("tiny", **arguments)
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_tiny_is_a_convolution_and_separable_ones():
    model = tradeoffs.build("tiny", filters=(4, 6), pools=(2, None), norm="batch")
    # 4·9, 2·4, 4·9, 4·6, 2·6, 10·(6+1)
    parts = {"conv1": 36, "norm1": 8, "depthwise2": 36, "pointwise2": 24, "norm2": 12}
    assert by_layer(model) == parts | {"linear": 70}
    names = [name for name, _ in model.named_children()]
    assert names[:4] == ["conv1", "norm1", "activation1", "pool1"]
    assert names[-4:] == ["gap", "scale", "flatten", "linear"]
    shifted = tradeoffs.build("tiny", filters=(4, 6), pools=(2, None))
    assert by_layer(shifted) == by_layer(model) | {"norm1": 4, "norm2": 6}
    assert count(tradeoffs.build("tiny")) == 488


def test_tiny_scales_what_global_average_pooling_leaves():
    one, twice = (tradeoffs.build("tiny", seed=0, scale=s) for s in (1, 2))
    images, bias = torch.rand(2, 1, 28, 28), one.linear.bias
    assert torch.allclose(twice(images) - bias, 2 * (one(images) - bias), atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "shift", None])
def test_folded_norms_compute_the_same(norm):
    model = tradeoffs.build("tiny", seed=0, norm=norm)
    with torch.no_grad():
        for _ in range(3):  # so that the running statistics are of something
            model.train()(torch.randn(40, 1, 28, 28))
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    images, folded = torch.randn(5, 1, 28, 28), tradeoffs.fold_norms(model)
    assert model.training
    assert torch.allclose(folded(images), model.eval()(images), atol=1e-4)
    assert count(folded) == 488
    assert not list(folded.buffers())


def test_a_layer_that_comes_twice_stays_and_modes_are_given_back():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), relu := nn.ReLU(), nn.Conv2d(2, 2, 3))
    model.extend([nn.BatchNorm2d(2).eval(), relu])
    kinds = [type(layer) for layer in tradeoffs.fold_norms(model)]
    assert kinds == [nn.Conv2d, nn.ReLU] * 2
    assert [layer.training for layer in model] == [True, True, True, False, True]
    tradeoffs.dead_units(model, torch.rand(2, 1, 8, 8))
    assert model.training
    assert not model[3].training
    network = tradeoffs.build("gap_cnn")
    network.append(network.relu1)
    assert not tradeoffs.as_recorded(network, "gap_cnn")


def test_norms_that_follow_no_convolution_are_not_folded():
    with pytest.raises(TypeError, match="'0' follows no convolution"):
        tradeoffs.fold_norms(nn.Sequential(nn.BatchNorm2d(3)))
    with pytest.raises(TypeError, match=r"only an nn\.Sequential is folded"):
        tradeoffs.fold_norms(nn.Linear(2, 2))


def test_as_recorded_sees_the_layers_and_not_the_weights():
    named = tradeoffs.build("gap_cnn", seed=1)
    assert tradeoffs.as_recorded(nn.Sequential(*named), "gap_cnn")
    assert not tradeoffs.as_recorded(named, "gap_cnn", filters=(10, 21))
    assert not tradeoffs.as_recorded(nn.Sequential(*named, nn.ReLU()), "gap_cnn")
    assert not tradeoffs.as_recorded(nn.Linear(784, 10), "gap_cnn")
    first = [*tradeoffs.build("pytorch_cnn")]
    first[8] = nn.LazyLinear(50)
    assert tradeoffs.as_recorded(nn.Sequential(*first), "pytorch_cnn")
    assert not tradeoffs.as_recorded(nn.Sequential(*first[:9]), "pytorch_cnn")
    colour = nn.Sequential(nn.Conv2d(3, 10, 5), nn.Flatten(), nn.LazyLinear(10))
    assert not tradeoffs.as_recorded(colour, "pytorch_cnn")
    counts = tradeoffs.parameters_by_layer(named)
    assert counts["conv3 Conv2d"] == 1810
    assert sum(counts.values()) == 7_090
    tied = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    tied[1].weight = tied[0].weight
    tied.token = nn.Parameter(torch.zeros(8))
    counts = tradeoffs.parameters_by_layer(tied)
    assert list(counts.values()) == [72, 8, 8]
    with pytest.raises(TypeError, match="a model must be a torch"):
        tradeoffs.as_recorded("gap_cnn", "gap_cnn")


def test_build_with_a_seed_repeats_and_leaves_global_randomness_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two = (tradeoffs.build("small_net", seed=1) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.conv1.weight, two.conv1.weight)
    assert not torch.equal(
        one.conv1.weight, tradeoffs.build("small_net", seed=2).conv1.weight
    )


@pytest.mark.parametrize("name", ["keras_mlp", "keras_cnn"])
def test_port_starts_from_keras_initial_weights(name):
    model = tradeoffs.build(name, "pytorch", seed=0)
    for layer in model:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
            limit = (6 / (fan_in + fan_out)) ** 0.5
            assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.05)
            assert not layer.bias.any()


def test_fit_repeats_for_a_seed_and_leaves_global_randomness_alone(small):
    def train(seed):
        model = tradeoffs.build("pytorch_cnn", seed=0)
        run = fit(model, small.head(320, 50), QUICK, seed=seed)
        return run.history_columns["train_loss"]

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert train(0) == train(0)
    assert train(0) != train(1)
    assert torch.equal(torch.rand(1), expected)


ADAMW = {"optimizer": "adamw", "momentum": 0, "nesterov": False, "weight_decay": 0.5}
ALL = ADAMW | {"milestones": (), "cycle": True, "label_smoothing": 0.2}


@pytest.mark.parametrize(
    ("name", "dtype", "changes"),
    [
        ("gap_cnn", torch.float32, {"milestones": (1, 2)}),
        ("tiny", torch.float64, ALL),
    ],
)
def test_fit_equals_a_plain_training_loop(small, name, dtype, changes):
    """Batches, rates, updates, smoothed labels and loss, as written plainly."""
    schedule, few = (
        ARTICLE.replace(epochs=3, batch_size=48, **changes),
        small.head(600, 100),
    )
    ours, plain = (tradeoffs.build(name, seed=0).to(dtype) for _ in range(2))
    fit(ours, few, schedule, seed=7)

    images = (torch.tensor(few.train_images)[:, None] / 255).to(dtype)
    images = (images - 0.1307) / 0.3081
    labels = torch.tensor(few.train_labels).long()
    if schedule.cycle:
        optimizer = torch.optim.AdamW(plain.parameters(), eps=1e-7, weight_decay=0.5)
        shares = list(schedule.shares(13))
    else:
        optimizer = torch.optim.SGD(plain.parameters(), momentum=0.9, nesterov=True)
        shares = np.repeat([1, 0.1, 0.01], 13)
    order = np.random.default_rng(7)
    for epoch in range(3):
        permutation = torch.from_numpy(order.permutation(600))
        for n, batch in enumerate(permutation.split(48), 13 * epoch):
            optimizer.param_groups[0]["lr"] = 5e-3 * shares[n]
            optimizer.zero_grad()
            wanted = nn.functional.one_hot(labels[batch], 10).to(dtype)
            if schedule.label_smoothing:
                wanted = wanted * 0.8 + 0.02
            nn.functional.cross_entropy(plain(images[batch]), wanted).backward()
            optimizer.step()
    closeness = 1e-5 if dtype == torch.float32 else 1e-6
    for part, tensor in ours.state_dict().items():
        assert torch.allclose(tensor, plain.state_dict()[part], atol=closeness), part


@pytest.fixture
def augmented(small):
    images = images_to_tensor(small.train_images[:3], "unit").double()

    def change(numbers, **augmentation):
        augment = Augmenter(Augmentation(**augmentation), [0], images)
        drawn = torch.zeros(3, augment.size).double()
        drawn[:, : len(numbers)] = torch.tensor(numbers)
        return augment(images, drawn), images

    return change


def test_augmentation_moves_turns_and_scales(augmented):
    moved, images = augmented([1, -0.5], shift=2)
    assert torch.allclose(moved, images.roll((-2, 1), (3, 2)), atol=1e-6)
    turned, _ = augmented([0, 0, 1], rotation=90)
    assert torch.allclose(turned, images.rot90(1, (2, 3)), atol=1e-6)
    smaller, _ = augmented([0, 0, 0, -1], scaling=0.5)
    window = smaller[:, :, 7:21, 7:21]
    assert torch.allclose(window, nn.functional.avg_pool2d(images, 2), atol=1e-6)
    assert smaller.sum() == pytest.approx(window.sum().item())


def test_elastic_augmentation_bends(augmented):
    same, images = augmented([1, 1, 1, 1], elastic=2)
    assert torch.allclose(same, images, atol=1e-6)
    across = [0.0] * 4 + [1.0] * 25  # every knot alike
    moved, _ = augmented(across, elastic=2)
    assert torch.allclose(moved, images.roll(-2, 3), atol=1e-6)
    corner, _ = augmented([0.0] * 4 + [1.0], elastic=8)
    assert torch.allclose(corner[:, :, 14:], images[:, :, 14:], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_images_are_moved_as_precisely_as_they_are(dtype):
    images = torch.rand(2, 1, 192, 192, generator=torch.manual_seed(0)).to(dtype)
    augment = Augmenter(Augmentation(shift=1e-6), [0], images)
    moved = augment(images, augment.draw(1, 2).flatten(0, 2))
    assert moved.dtype == dtype
    assert torch.allclose(moved, images, atol=1e-2)


def test_augmentation_is_drawn_anew_for_each_image_and_from_the_seed(small):
    images = images_to_tensor(small.train_images[:8], "unit")
    changes = Augmentation(shift=1, elastic=1)
    one, two = Augmenter(changes, [5], images), Augmenter(changes, [4, 5], images)
    whole = one.draw(6, 4)
    assert torch.equal(whole, torch.cat([two.draw(n, 4)[1:] for n in (2, 4)], 1))
    assert len(whole.unique()) == whole.numel()
    assert -1 <= whole.min() < -0.9 < 0.9 < whole.max() <= 1


@pytest.mark.parametrize(
    ("optimizer", "learning_rate"),
    [("rmsprop", 1e-3), ("adadelta", 1.0), ("adam", 1e-3)],
)
def test_every_optimizer_learns(small, optimizer, learning_rate):
    schedule = ARTICLE.first(3).replace(
        optimizer=optimizer, learning_rate=learning_rate, momentum=0, nesterov=False
    )
    assert fit(tradeoffs.build("gap_cnn", seed=0), small, schedule).test_accuracy > 0.5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        *(({"model": m}, "torch.nn.Module or a k") for m in ("cnn", nn.Linear)),
        ({"model": nn.Flatten()}, "nothing to train"),
        ({"dataset": (np.zeros(2), np.zeros(2))}, "tradeoffs.mnist()"),
        ({"schedule": "article"}, "tradeoffs.ARTICLE"),
    ],
)
def test_fit_names_what_it_cannot_take(wrong, said, small):
    right = {"model": nn.Linear(2, 2), "dataset": small, "schedule": QUICK}
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        fit(**right | wrong)


@pytest.mark.parametrize(
    ("name", "arguments", "pays"),
    [
        ("small_net", {}, False),
        ("small_net", {"batch_norm": False}, True),
        ("pytorch_cnn", {}, True),
        ("keras_cnn", {}, True),
    ],
)
def test_layout_is_the_faster_one(name, arguments, pays, small):
    model = tradeoffs.build(name, "pytorch", **arguments)
    assert channels_last_pays(model) == pays
    Trainer(model, small, QUICK, 0)
    weights = model.conv2.weight
    assert weights.is_contiguous(memory_format=torch.channels_last) == pays


def test_wide_kernels_are_faster_contiguously():
    from torchvision.models import mobilenet_v2, resnet18

    assert not channels_last_pays(resnet18())
    assert channels_last_pays(mobilenet_v2())


def test_fit_takes_one_thread_for_small_steps_and_gives_the_rest_back(small):
    before, few = torch.get_num_threads(), small.head(320, 50)
    torch.set_num_threads(2)
    try:
        small_step = fit(tradeoffs.build("small_net"), few, QUICK)
        asked = fit(tradeoffs.build("small_net"), few, QUICK, threads=2)
        large = QUICK.replace(batch_size=1000)
        large_step = fit(tradeoffs.build("keras_mlp", "pytorch"), small, large)
        noted = [r.environment["threads"] for r in (small_step, asked, large_step)]
        assert noted[:2] == [1, 2]
        assert noted[2] == min(2, loky.cpu_count())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_seeds_are_kept_apart_in_threads():
    def first_weights(seed):
        network = tradeoffs.build("gap_cnn", seed=seed)
        return network[0].weight.detach().sum().item()

    seeds = range(48)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(first_weights, seeds))
    assert found == list(map(first_weights, seeds))
