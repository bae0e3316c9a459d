"""Networks trained side by side come out as trained alone."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import tradeoffs
from tradeoffs import ARTICLE, Dataset, Experiment, TrainingError
from tradeoffs.training.stack import Stack, stack_key
from tradeoffs.training.stacked import StackedTrainer, fit_stacked
from tradeoffs.training.stacked_layers import stack_padded

SEEDS = [3, 4, 5]
SLOPES = [0.01, 0.0, 0.3]
LEARNING_RATES = [5e-3, 1e-2, 2e-3]
# 3 epochs of 76 steps, the last of each a smaller batch.
SCHEDULE = ARTICLE.first(3).replace(milestones=(2,), batch_size=4)
QUICK = SCHEDULE.first(1)
NUM_IMAGES = 302


@pytest.fixture(scope="module")
def images(mnist):
    return mnist.head(NUM_IMAGES, 300)


def alone(models, dataset, schedule=SCHEDULE, learning_rates=LEARNING_RATES):
    return [
        tradeoffs.fit(
            model, dataset, schedule.replace(learning_rate=rate), seed, progress=False
        )
        for model, seed, rate in zip(models, SEEDS, learning_rates, strict=True)
    ]


def stacked(models, dataset, schedule=SCHEDULE, **options):
    options = {"learning_rates": LEARNING_RATES, "progress": False} | options
    return fit_stacked(models, dataset, schedule, SEEDS, **options)


def small_nets(**arguments):
    return [
        tradeoffs.build("small_net", seed=seed, slope=slope, **arguments)
        for seed, slope in zip(SEEDS, SLOPES, strict=True)
    ]


def differences(models, others):
    """The largest difference of any weight or statistic of each network."""
    return [
        max(
            (one - other).abs().max().item()
            for one, other in zip(
                model.state_dict().values(), another.state_dict().values(), strict=True
            )
        )
        for model, another in zip(models, others, strict=True)
    ]


def trained_both_ways(make, images, schedule=QUICK):
    """Runs alone and side by side of networks `make(k)`, whose weights come out equal.

    In double precision, so that rounding cannot hide a wrong step.
    """
    torch.manual_seed(0)
    one = [make(k).double() for k in range(len(SEEDS))]
    other = copy.deepcopy(one)
    expected, got = alone(one, images, schedule), stacked(other, images, schedule)
    assert max(differences(one, other)) < 1e-8
    return expected, got


SHAPES = {
    "small net": ({}, SCHEDULE),
    "5x5": ({"kernel_size": 5}, QUICK),
    "no pool": ({"pool": None}, QUICK),
    "no norm": ({"batch_norm": False}, QUICK),
    "overlap": ({"pool": 5, "pool_stride": 4}, QUICK),
}


@pytest.mark.parametrize(("arguments", "schedule"), SHAPES.values(), ids=SHAPES)
def test_stacked_equals_alone_over_its_steps(images, arguments, schedule):
    """The Small Net takes 228 steps, the others 76."""
    nets = small_nets(**arguments)
    expected, got = trained_both_ways(nets.__getitem__, images, schedule)
    for a, b in zip(expected, got, strict=True):
        for column in ("epoch", "train_loss", "test_loss", "test_accuracy"):
            assert b.history_columns[column] == pytest.approx(
                a.history_columns[column], abs=1e-5
            ), column
        assert np.array_equal(a.test_predictions, b.test_predictions)
        assert a.num_parameters == b.num_parameters
        assert a.experiment == b.experiment


def test_single_precision_stays_within_the_rounding_of_training_alone(images):
    exact, one, other = (small_nets() for _ in range(3))
    alone([m.double() for m in exact], images)
    expected, got = alone(one, images), stacked(other, images)
    # Both differ from the exact weights, by rounding that training amplifies.
    rounding = max(differences(one, exact))
    assert max(differences(other, exact)) < max(2 * rounding, 1e-4)
    for a, b in zip(expected, got, strict=True):
        assert b.test_loss == pytest.approx(a.test_loss, abs=2e-3)
        assert np.mean(a.test_predictions == b.test_predictions) > 0.98


FILTERS = [(3, 5), (5, 8), (4, 9)]


ADAM = {"optimizer": "adam", "momentum": 0, "nesterov": False}


@pytest.mark.parametrize(
    ("kernel_size", "changes", "counts"),
    [(3, {}, [236, 518, 481]), (5, ADAM, [284, 598, 545])],
)
def test_networks_of_different_widths_stack(images, kernel_size, changes, counts):
    def make(k):
        options = {"filters": FILTERS[k], "kernel_size": kernel_size}
        return tradeoffs.build("small_net", **options)

    for runs in trained_both_ways(make, images, QUICK.replace(**changes)):
        assert [run.num_parameters for run in runs] == counts


TINY_FILTERS = [(3, 5, 4), (5, 8, 6), (4, 2, 9)]
TINY = {
    "tiny": {},
    "norms with a scale": {"norm": "batch"},
    "no norm, max pools": {"norm": None, "pool_kind": "max", "activation": "relu"},
    "not scaled": {"scale": 1},
}


def tiny(k, **arguments):
    arguments = {"pools": (2, 2, None)} | arguments
    return tradeoffs.build("tiny", filters=TINY_FILTERS[k], **arguments)


@pytest.mark.parametrize("arguments", TINY.values(), ids=TINY)
def test_depthwise_convolutions_of_different_widths_stack(images, arguments):
    trained_both_ways(lambda k: tiny(k, **arguments), images)


ADAMW = ADAM | {"optimizer": "adamw", "weight_decay": 0.5}
CHANGES = {
    "adamw": ADAMW,
    "cycle": {"cycle": True},
    "label smoothing": {"label_smoothing": 0.1},
    "moved": {"augmentation": {"shift": 2, "rotation": 10, "scaling": 0.1}},
    "bent": {"augmentation": {"elastic": 2}},
}
CHANGES["all"] = {k: v for change in CHANGES.values() for k, v in change.items()}


# 22 steps, the last of each epoch a smaller batch.
PLAIN = SCHEDULE.first(2).replace(milestones=(), batch_size=8)


@pytest.fixture(scope="module")
def few(images):
    return images.head(86, 50)


@pytest.fixture(scope="module")
def plainly(few):
    return trained_both_ways(tiny, few, PLAIN)[0]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_all_that_a_schedule_has_stacks(few, plainly, change):
    expected, got = trained_both_ways(tiny, few, PLAIN.replace(**change))
    for a, b, plain in zip(expected, got, plainly, strict=True):
        assert b.test_loss == pytest.approx(a.test_loss, abs=1e-6)
        assert b.test_loss != pytest.approx(plain.test_loss, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_padding_stays_zero(images, optimizer):
    options = {} if optimizer == "sgd" else ADAMW
    models = [tiny(k) for k in range(3)]
    trainer = StackedTrainer(models, images, ARTICLE.replace(**options), SEEDS)
    trainer.set_learning_rates(LEARNING_RATES)
    trainer.train_steps(np.arange(3 * 10 * 8).reshape(3, 10, 8))
    trainer.stack.copy_back()
    of_networks = zip(*(model.parameters() for model in models), strict=True)
    for value, tensors in zip(trainer.stack.parameters, of_networks, strict=True):
        assert torch.equal(value, stack_padded(tensors))


FLAT = nn.Flatten()
# Layers of network k.
SEQUENCES = {
    "gap cnn of the series": lambda k: tradeoffs.build("gap_cnn"),
    "norm after the last convolution": lambda k: [
        nn.Conv2d(1, 3, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(3, 6, 5),
        nn.AvgPool2d(2),
        nn.ReLU(),
        nn.Conv2d(6, 10, 3, bias=False),
        nn.BatchNorm2d(10),
        nn.AdaptiveAvgPool2d(1),
        FLAT,
    ],
    "mlp": lambda k: [
        FLAT,
        nn.Linear(784, 8),
        nn.LeakyReLU(0.1),
        nn.Linear(8, 10, bias=False),
    ],
    "padded": lambda k: [
        nn.Conv2d(1, 3, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        FLAT,
        nn.Linear(12, 10),
    ],
    "padded by name, and a norm behind it": lambda k: [
        nn.Conv2d(1, 3, 3, padding="same"),
        nn.BatchNorm2d(3),
        nn.AdaptiveAvgPool2d(1),
        FLAT,
        nn.Linear(3, 10),
    ],
    "two depthwise filters a channel": lambda k: [
        nn.Conv2d(1, 3 + k, 5, stride=2),
        nn.Conv2d(3 + k, 6 + 2 * k, 4, groups=3 + k),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        FLAT,
        nn.Linear(6 + 2 * k, 10),
    ],
    "in place": lambda k: [nn.SiLU(inplace=True), FLAT, nn.Linear(784, 10)],
    "only a convolution": lambda k: [nn.Conv2d(1, 10, 28), FLAT],
    "other widths before a dense layer": lambda k: [
        nn.Conv2d(1, (2, 3, 1)[k], 3, stride=4),
        nn.ReLU(),
        FLAT,
        nn.Linear((2, 3, 1)[k] * 49, (9, 5, 7)[k]),
        nn.ReLU(),
        nn.Linear((9, 5, 7)[k], 10),
    ],
}


@pytest.mark.parametrize("layers", SEQUENCES.values(), ids=SEQUENCES)
def test_any_sequence_of_known_layers_stacks(images, layers):
    trained_both_ways(lambda k: nn.Sequential(*layers(k)), images)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adadelta"])
def test_every_optimizer_stacks_with_learning_rates_of_its_own(images, optimizer):
    """Adam is above, beside other widths."""
    schedule = QUICK.replace(**ADAM | {"optimizer": optimizer, "learning_rate": 1e-3})
    trained_both_ways(small_nets().__getitem__, images, schedule)


def test_network_that_diverges_leaves_the_others_alone(images):
    rates = [5e-3, 1e8, 2e-3]
    schedule = SCHEDULE.first(2)
    one, other = small_nets(batch_norm=False), small_nets(batch_norm=False)
    got = stacked(other, images, schedule, learning_rates=rates)
    assert isinstance(got[1], TrainingError)
    assert "learning rate below 1e+08" in str(got[1])
    for k in (0, 2):
        of_k = schedule.replace(learning_rate=rates[k])
        expected = tradeoffs.fit(one[k], images, of_k, SEEDS[k], progress=False)
        assert got[k].test_loss == pytest.approx(expected.test_loss, abs=1e-4)
    assert max(differences([one[0], one[2]], [other[0], other[2]])) < 1e-4


def test_run_is_filed_under_the_experiment_given_and_says_how_it_was_trained(images):
    experiments = [
        Experiment("small_net", "pytorch", QUICK.replace(learning_rate=rate), seed)
        for seed, rate in zip(SEEDS, LEARNING_RATES, strict=True)
    ]
    runs = stacked(small_nets(), images, QUICK, experiments=experiments)
    assert [run.experiment for run in runs] == experiments
    assert [run.environment["trained_side_by_side"] for run in runs] == [3, 3, 3]
    assert len({run.history_columns["train_seconds"][0] for run in runs}) == 1
    assert runs[0].test_predictions.dtype == np.uint8
    assert {type(v) for v in runs[0].history_columns["test_accuracy"]} == {float}
    with pytest.raises(ValueError, match="but the training under"):
        stacked(small_nets(), images, SCHEDULE, experiments=experiments)
    with pytest.raises(ValueError, match="but the training under"):
        tradeoffs.fit(small_nets()[0], images, SCHEDULE, experiment=experiments[0])
    with pytest.raises(ValueError, match="under seed 3, but the training under 4"):
        kept = replace(experiments[0], seed=3, schedule=QUICK)
        tradeoffs.fit(small_nets()[0], images, QUICK, 4, experiment=kept)


def test_slopes_may_differ_but_shapes_may_not():
    key = stack_key(tradeoffs.build("small_net"))
    assert key == stack_key(tradeoffs.build("small_net", slope=0.3))
    for arguments, _ in SHAPES.values():
        if arguments:
            assert key != stack_key(tradeoffs.build("small_net", **arguments))
    assert key == stack_key(tradeoffs.build("small_net", filters=(8, 16)))
    one, two = (nn.Sequential(nn.Conv2d(2, n, 3, groups=2)) for n in (2, 4))
    assert stack_key(one)[0] != stack_key(two)[0]
    with pytest.raises(ValueError, match="network 1 differs from network 0"):
        Stack([tradeoffs.build("small_net"), tradeoffs.build("small_net", pool=3)])


def hooked(layer):
    layer.register_forward_pre_hook(lambda layer, inputs: inputs)
    return layer


def hooked_late(layer):
    layer.weight.register_post_accumulate_grad_hook(lambda weight: None)
    return layer


def with_prior(layer):
    layer.register_buffer("prior", torch.ones(2))
    return layer


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Dropout2d(), "'0', a Dropout2d, cannot be stacked: its random numbers"),
        (nn.Tanh(), "'0', a Tanh, cannot be stacked; known layers: Conv2d"),
        (nn.Conv2d(4, 4, 3, groups=2), "groups=2; only 1 can be stacked, or as many"),
        (nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), "padding_mode="),
        (nn.LeakyReLU(2.0), "slope of 2.0"),
        (nn.Linear(2, 2).requires_grad_(False), "frozen"),
        (nn.BatchNorm2d(2, momentum=None), "momentum=None"),
        (hooked(nn.Linear(2, 2)), "has _forward_pre_hooks of its own"),
        (hooked_late(nn.Linear(2, 2)), "has a hook on a weight of its own"),
        (with_prior(nn.Linear(2, 2, bias=False)), "has prior of its own"),
        (nn.utils.weight_norm(nn.Linear(2, 2)), "has _forward_pre_hooks, weight_g"),
    ],
)
def test_layer_that_cannot_be_stacked_is_named(layer, said):
    with pytest.raises(TypeError, match="be stacked") as caught:
        Stack([nn.Sequential(layer)])
    assert said in str(caught.value)


@pytest.mark.parametrize("padding", [0, "valid"])  # with the norm in it, and without
def test_batch_norm_of_one_value_a_channel_is_an_error_in_a_sentence(images, padding):
    def network():
        first = nn.Conv2d(1, 2, 28, padding=padding)
        return nn.Sequential(first, nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 10))

    given = images, QUICK.replace(batch_size=1)
    with pytest.raises(TrainingError, match="more than 1 value per channel"):
        tradeoffs.fit(network(), *given)
    with pytest.raises(TrainingError, match="more than 1 value per channel"):
        fit_stacked([network(), network()], *given, [0, 1])


def test_wrong_arguments_are_named(images):
    models = small_nets()
    with pytest.raises(TypeError, match="can be stacked, not this Linear"):
        Stack([nn.Linear(2, 2)])
    with pytest.raises(ValueError, match="share weights; each must"):
        Stack([models[0], models[0]])
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="share weights cannot be stacked"):
        Stack([nn.Sequential(layer, nn.ReLU(), layer)])
    other = nn.Linear(2, 2)
    other.weight.data = layer.weight.data
    with pytest.raises(ValueError, match="networks share weights; each must have"):
        Stack([nn.Sequential(layer), nn.Sequential(other)])
    with pytest.raises(TypeError, match="without hooks can be stacked"):
        Stack([hooked(nn.Sequential(nn.Linear(2, 2)))])
    with pytest.raises(TypeError, match="seeds is 3; it must be a list"):
        fit_stacked(models, images, QUICK, 3)
    for name in ("threads", "first_epochs"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            stacked(models, images, **{name: 0})
    with pytest.raises(ValueError, match="no networks"):
        fit_stacked([], images, QUICK, [])
    with pytest.raises(ValueError, match="2 learning_rates for 3 networks"):
        stacked(models, images, learning_rates=[1e-3, 1e-3])
    with pytest.raises(ValueError, match="3 seeds for 2 networks"):
        stacked(models[:2], images, learning_rates=None)
    with pytest.raises(TypeError, match=r"tradeoffs\.mnist\(\)"):
        stacked(models, None)
    with pytest.raises(ValueError, match="nothing to train"):
        Stack([nn.Sequential(nn.Flatten())])
    with pytest.raises(ValueError, match=r"of torch\.float16 and torch\.float32"):
        Stack([models[0].half(), models[1]])


def test_networks_that_answer_otherwise_side_by_side_are_refused(images, monkeypatch):
    def rows_first():  # the first layer is of each row of pixels
        return nn.Sequential(nn.Linear(28, 1), nn.Flatten(), nn.Linear(28, 10))

    with pytest.raises(TypeError, match="cannot be stacked: side by side, batch1 must"):
        fit_stacked([rows_first(), rows_first()], images, QUICK, [0, 1])
    slopes = "tradeoffs.training.stacked_layers.slope_of"
    monkeypatch.setattr(slopes, lambda layer: 0.5)
    with pytest.raises(TypeError, match="side by side, other answers"):
        stacked(small_nets(), images)


def test_half_networks_of_different_widths_train_side_by_side(images):
    def network(width):
        front = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU()
        rest = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
        return nn.Sequential(*front, *rest).half()

    networks = [network(width) for width in (4, 6)]
    for run in fit_stacked(networks, images, QUICK, [0, 1], progress=False):
        assert run.test_loss < 3
    assert not any(one.training for one in networks)


@pytest.mark.parametrize(("side", "first"), [(12, True), (64, False)])
def test_moments_of_large_kernels_are_not_kept(images, side, first):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (300, side, side), np.uint8)
    parts = pictures, images.train_labels[:300], pictures, images.test_labels[:300]
    model = nn.Sequential(
        *(nn.Conv2d(1, 2, side - 1), nn.BatchNorm2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8, 10)),
    )
    trainer = StackedTrainer([model], Dataset("noise", *parts), QUICK, SEEDS[:1])
    assert hasattr(trainer.first, "sums") is first


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_lists_may_be_of_any_kind_and_gradients_switched_off(images, without):
    with without():
        networks = (tradeoffs.build("small_net", seed=seed) for seed in range(2))
        rates = np.geomspace(1e-3, 1e-2, 2)
        runs = fit_stacked(networks, images, QUICK, range(2), learning_rates=rates)
    assert [run.experiment.schedule.learning_rate for run in runs] == [1e-3, 1e-2]


def test_first_norm_needs_no_pass_over_the_output(images):
    """Mean and variance from the patches' moments are those of the output."""
    model = tradeoffs.build("small_net", seed=0).double()
    trainer = StackedTrainer([model], images, QUICK, SEEDS[:1])
    assert trainer.first
    trainer.first.prepare(torch.arange(4).view(1, 1, 4))
    batch = trainer.train_images[:4].view(4, 1, 28, 28)
    trainer.stack.logits(batch, training=True)
    output = model.conv1(batch)
    trainer.stack.copy_back()
    assert torch.allclose(model.norm.running_mean, 0.1 * output.mean((0, 2, 3)))
    variance = output.var((0, 2, 3))  # unbiased, as running variances are
    assert torch.allclose(model.norm.running_var, 0.9 + 0.1 * variance)
