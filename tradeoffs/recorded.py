"""The recorded runs: which there are.

Every recorded run is one of a series, of a network under one schedule on one data
set, seed by seed. `tradeoffs.series` makes them.
"""

from dataclasses import replace

from tradeoffs.experiments import Experiment
from tradeoffs.models.rows import ROWS
from tradeoffs.schedules import (
    ARTICLE,
    BATCH_SIZES,
    KERAS_CNN_RECIPE,
    KERAS_CNN_RECIPE_TODAY,
    KERAS_MLP_RECIPE,
    at_batch_size,
)
from tradeoffs.weights import KEPT


def seeds_of(
    model,
    num_seeds,
    framework="pytorch",
    *,
    schedule=ARTICLE,
    dataset="mnist",
    first=0,
    **model_arguments,
) -> list[Experiment]:
    """One network under one schedule, over seeds one after the other from the first."""
    return [
        Experiment(model, framework, schedule, seed, model_arguments, dataset)
        for seed in range(first, first + num_seeds)
    ]


# Filters of the first two convolutions of the GAP CNN, one seed each.
GAP_FILTERS = tuple(
    (first, second)
    for first in (2, 5, 10, 20)
    for second in (5, 10, 20)
    if (first, second) != (10, 20)  # the GAP CNN itself
)

# Arguments of the Small Nets with the article's count of parameters: with and without
# batch norm, and with ReLU.
SMALL_NETS = tuple(
    norm | slope
    for norm in ({}, {"batch_norm": False})
    for slope in ({}, {"slope": 0.0})
)
# The article's text has another kernel, and does not say where the network pools, and
# by how much: once, as above or after the second convolution, or twice, as the PyTorch
# CNN does.
KERNELS = {}, {"kernel_size": 5}
NETS_OF_THE_TEXT = tuple(KERNELS[1] | net for net in SMALL_NETS)
POOLINGS = {  # after which convolution, and of which window
    "the first, by 2": {},
    "the first, by 3": {"pool": 3},
    "the first, by 4": {"pool": 4},
    "the second, by 2": {"pool_after": 2},
    "the second, by 3": {"pool_after": 2, "pool": 3},
    "the second, by 4": {"pool_after": 2, "pool": 4},
    "both, by 2": {"pool_after": "both"},
}
# Seeds of each, by kernel; the first is above. Most for what comes nearest to the
# article, by a second look and a third: a pool of 3 had five seeds at first, one of 4
# had ten, and of 518 parameters then twenty.
SEEDS_OF_READINGS = (20, 10, 35, 5, 5, 5, 10), (10, 10, 30, 5, 5, 5, 10)
READINGS = tuple(
    seeds_of("small_net", num_seeds, **kernel, **pooling)
    for kernel, seeds in zip(KERNELS, SEEDS_OF_READINGS, strict=True)
    for pooling, num_seeds in zip(POOLINGS.values(), seeds, strict=True)
)
# The best of the finer search, with at most the article's 518 parameters: of the
# networks whose pool's windows do not overlap, and of all.
WITHOUT_OVERLAP = {"filters": (3, 7), "kernel_size": 5, "second_kernel_size": 4}
WITHOUT_OVERLAP |= {"pool": 4, "slope": 0.1, "batch_norm": False}
# And with five per cent fewer, also without overlap.
FIVE_PER_CENT_LESS = WITHOUT_OVERLAP | {"filters": (2, 10)}
CHOSEN_SMALL_NET = WITHOUT_OVERLAP | {"pool": 6, "pool_stride": 4, "slope": 0.3}

SWEPT = [size for size in reversed(BATCH_SIZES) if size != ARTICLE.batch_size]

# Every series of runs in the repository, the quick ones first.
SERIES = (
    *(seeds_of("small_net", 20, **net) for net in SMALL_NETS),
    *READINGS[1:],
    seeds_of("small_net", 10, **CHOSEN_SMALL_NET),
    seeds_of("small_net", 50, **WITHOUT_OVERLAP),
    seeds_of("small_net", 60, **FIVE_PER_CENT_LESS),
    seeds_of("gap_cnn", 10),
    # Ten at first; so many decide on its loss, with an interval for two looks.
    seeds_of("gap_cnn", 46, dropout=True),
    seeds_of("pytorch_cnn", 10),
    seeds_of("keras_mlp", 5, "keras"),
    seeds_of("keras_mlp", 3),
    seeds_of("keras_mlp", 1, "keras", schedule=KERAS_MLP_RECIPE),
    seeds_of("keras_cnn", 5, "keras"),
    seeds_of("keras_cnn", 3),
    seeds_of("keras_cnn", 2, "keras", schedule=KERAS_CNN_RECIPE),
    seeds_of("keras_cnn", 1, "keras", schedule=KERAS_CNN_RECIPE_TODAY),
    *(seeds_of("gap_cnn", 1, filters=filters) for filters in GAP_FILTERS),
    # A batch of one takes a quarter of an hour and more a seed.
    *(seeds_of("pytorch_cnn", 1 + (n > 16), schedule=at_batch_size(n)) for n in SWEPT),
    *(
        seeds_of("pytorch_cnn", 2, schedule=at_batch_size(n, scaled=True))
        for n in SWEPT
        if n > 16
    ),
    *(seeds_of("small_net", 5, schedule=at_batch_size(n)) for n in SWEPT),
)

# The same networks on harder data, three seeds each.
HARDER = tuple(
    seeds_of(model, 3, framework, dataset="fashion_mnist", **arguments)
    for model, framework, arguments in (
        ("small_net", "pytorch", {}),
        ("small_net", "pytorch", CHOSEN_SMALL_NET),
        ("gap_cnn", "pytorch", {}),
        ("gap_cnn", "pytorch", {"dropout": True}),
        ("pytorch_cnn", "pytorch", {}),
        ("keras_mlp", "keras", {}),
        ("keras_mlp", "pytorch", {}),
        ("keras_cnn", "keras", {}),
        ("keras_cnn", "pytorch", {}),
    )
)
FIRST_SEED_OF_ROWS = 100
# Fewer inputs: pixels a side, of MNIST without its empty border or averaged, and
# principal components. The PyTorch CNN's second pool needs padding at 7 pixels, so
# it has it at every size, and at 20 pixels both are there to compare.
SIDES = {28: "mnist", 20: "mnist-crop4", 14: "mnist-pool2", 7: "mnist-pool4"}
COMPONENTS = 20, 50, 100, 200
INPUTS = {side**2: name for side, name in SIDES.items() if side < 28}
INPUTS |= {n: f"mnist-pca{n}" for n in COMPONENTS}
FEWER_INPUTS = (
    *(seeds_of("keras_mlp", 2, dataset=INPUTS[n], num_inputs=n) for n in INPUTS),
    *(seeds_of("pytorch_cnn", 2, dataset=SIDES[n], side=n, padding=2) for n in SIDES),
    seeds_of("pytorch_cnn", 2, dataset=SIDES[20], side=20),
)
# Fewer images of both data sets, for three sizes of network.
FEWER_IMAGES = tuple(
    seeds_of(model, 3, dataset=f"{dataset}-head{count}-10000", **arguments)
    for dataset in ("mnist", "fashion_mnist")
    for count in (600, 6_000)
    for model, arguments in (
        ("small_net", CHOSEN_SMALL_NET),
        ("pytorch_cnn", {}),
        ("keras_cnn", {}),
    )
)
# What was chosen in the search for smaller networks, with seeds that no candidate had.
ROW_SERIES = {
    limit: seeds_of(
        "tiny", 5, schedule=row.schedule, first=FIRST_SEED_OF_ROWS, parameters=limit
    )
    for limit, row in ROWS.items()
}
SERIES += HARDER + FEWER_INPUTS + FEWER_IMAGES + tuple(ROW_SERIES.values())


def recorded_experiments(seeds: int | None = None) -> list[Experiment]:
    """Those of which the repository holds a record, or the first seeds of each."""
    listed = [e for series in SERIES for e in series[:seeds]]
    further = [e for e in KEPT if e not in listed and (not seeds or e.seed < seeds)]
    return listed + further


def same_series(experiment: Experiment) -> list[Experiment]:
    """The recorded experiments that differ from this one in the seed alone."""
    alike = (s for s in SERIES if replace(s[0], seed=experiment.seed) == experiment)
    return [other for series in alike for other in series]
