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


def _seeds(
    model, framework, schedule, num_seeds, arguments=None, dataset="mnist", first=0
) -> list[Experiment]:
    """One network under one schedule, over seeds one after the other."""
    network = model, framework, schedule
    return [
        Experiment(*network, seed, arguments or {}, dataset)
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
POOLINGS = (
    {},
    {"pool": 3},
    {"pool": 4},
    {"pool_after": 2},
    {"pool_after": 2, "pool": 3},
    {"pool_after": 2, "pool": 4},
    {"pool_after": "both"},
)
# Seeds of each, by kernel; the first is above. Most for what comes nearest to the
# article, by a second look and a third: a pool of 3 had five seeds at first, one of 4
# had ten, and of 518 parameters then twenty.
SEEDS_OF_READINGS = (20, 10, 35, 5, 5, 5, 10), (10, 10, 30, 5, 5, 5, 10)
READINGS = tuple(
    _seeds("small_net", "pytorch", ARTICLE, num_seeds, kernel | pooling)
    for kernel, seeds in zip(KERNELS, SEEDS_OF_READINGS, strict=True)
    for pooling, num_seeds in zip(POOLINGS, seeds, strict=True)
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
    *(_seeds("small_net", "pytorch", ARTICLE, 20, net) for net in SMALL_NETS),
    *READINGS[1:],
    _seeds("small_net", "pytorch", ARTICLE, 10, CHOSEN_SMALL_NET),
    _seeds("small_net", "pytorch", ARTICLE, 50, WITHOUT_OVERLAP),
    _seeds("small_net", "pytorch", ARTICLE, 60, FIVE_PER_CENT_LESS),
    _seeds("gap_cnn", "pytorch", ARTICLE, 10),
    # Ten at first; so many decide on its loss, with an interval for two looks.
    _seeds("gap_cnn", "pytorch", ARTICLE, 46, {"dropout": True}),
    _seeds("pytorch_cnn", "pytorch", ARTICLE, 10),
    _seeds("keras_mlp", "keras", ARTICLE, 5),
    _seeds("keras_mlp", "pytorch", ARTICLE, 3),
    _seeds("keras_mlp", "keras", KERAS_MLP_RECIPE, 1),
    _seeds("keras_cnn", "keras", ARTICLE, 5),
    _seeds("keras_cnn", "pytorch", ARTICLE, 3),
    _seeds("keras_cnn", "keras", KERAS_CNN_RECIPE, 2),
    _seeds("keras_cnn", "keras", KERAS_CNN_RECIPE_TODAY, 1),
    *(
        _seeds("gap_cnn", "pytorch", ARTICLE, 1, {"filters": list(filters)})
        for filters in GAP_FILTERS
    ),
    # A batch of one takes a quarter of an hour and more a seed.
    *(_seeds("pytorch_cnn", "pytorch", at_batch_size(n), 1 + (n > 16)) for n in SWEPT),
    *(
        _seeds("pytorch_cnn", "pytorch", at_batch_size(n, scaled=True), 2)
        for n in SWEPT
        if n > 16
    ),
    *(_seeds("small_net", "pytorch", at_batch_size(n), 5) for n in SWEPT),
)

# The same networks on harder data, three seeds each.
HARDER = tuple(
    _seeds(model, framework, ARTICLE, 3, arguments, "fashion_mnist")
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
FEWER_INPUTS = (
    *(
        _seeds("keras_mlp", "pytorch", ARTICLE, 2, {"num_inputs": side**2}, name)
        for side, name in SIDES.items()
        if side < 28
    ),
    *(
        _seeds("keras_mlp", "pytorch", ARTICLE, 2, {"num_inputs": n}, f"mnist-pca{n}")
        for n in COMPONENTS
    ),
    *(
        _seeds("pytorch_cnn", "pytorch", ARTICLE, 2, {"side": side, "padding": 2}, name)
        for side, name in SIDES.items()
    ),
    _seeds("pytorch_cnn", "pytorch", ARTICLE, 2, {"side": 20}, SIDES[20]),
)
# Fewer images of both data sets, for three sizes of network.
FEWER_IMAGES = tuple(
    _seeds(model, "pytorch", ARTICLE, 3, arguments, f"{dataset}-head{count}-10000")
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
    limit: _seeds(
        "tiny",
        "pytorch",
        row.schedule,
        5,
        {"parameters": limit},
        first=FIRST_SEED_OF_ROWS,
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
