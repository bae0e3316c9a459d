"""Our number for each claim of the article, computed from the evidence.

`FINDINGS` has one function a claim, under the claim's id in `claims.csv`: those of
counts, of memory and of other data, sizes and batches are here, the others on the
pages that it gathers. On other data the Keras models are their ports, so that one
framework trains all.
"""

import numpy as np

from tradeoffs.article import LARGE_BATCH, SMALL_BATCH
from tradeoffs.intervals import (
    ESTIMATE,
    TIMES,
    Finding,
    difference,
    largest,
    of_samples,
    rank_correlation,
    smallest,
)
from tradeoffs.measurements import LARGE_PICTURE, PICTURE, VOLUME
from tradeoffs.probes.profile import MIB
from tradeoffs.recorded import CHOSEN_SMALL_NET, COMPONENTS, GAP_FILTERS
from tradeoffs.returns import rule_of_thumb
from tradeoffs.schedules import ARTICLE, BATCH_SIZES, at_batch_size
from tradeoffs.score_findings import AS_DESCRIBED, SCORE_FINDINGS
from tradeoffs.time_findings import TIME_FINDINGS

FIRST_LINEAR = 320 * 50 + 50  # weights and biases, of the PyTorch CNN
LAST_LINEAR = 8 * 10 + 10  # of the Small Net
LAST_CONVOLUTION = 8 * 10 * 1 * 1 + 10  # in its place, with a kernel of 1 x 1
TRAINING_IMAGES = 60_000  # of MNIST
SETS = "mnist", "fashion_mnist"
ALIKE = 256  # images a step
FEWER_FEATURES = 50  # principal components, the best of those that were tried
# The network at the rule's upper bound for so many images.
AT_THE_BOUND = {600: ("small_net", CHOSEN_SMALL_NET), 6_000: ("pytorch_cnn", {})}


def _count(evidence, model):
    return Finding(evidence.profile(model).num_parameters)


def _ratio(evidence, larger, smaller, field="num_parameters"):
    above, below = (getattr(evidence.profile(m), field) for m in (larger, smaller))
    return Finding(above / below)


def _weights(evidence, model):
    return Finding(evidence.profile(model).weight_bytes / MIB)


def _smaller_footprint(evidence):
    pairs = evidence.pairs()
    less = sum(small.weight_bytes < large.weight_bytes for small, large in pairs)
    return Finding(100 * less / len(pairs))


def _memory(evidence, model, batch_size):
    profile = evidence.profile(model)
    measured = profile.accelerator_process_mib
    if measured is not None and profile.batch_size == batch_size:
        return Finding(measured, TIMES)
    return Finding(evidence.memory_mib(model, PICTURE, batch_size), ESTIMATE)


def _memory_of_an_image(evidence, model):
    small, large = SMALL_BATCH, LARGE_BATCH
    mib = [evidence.memory_mib(model, PICTURE, size) for size in (small, large)]
    return Finding((mib[1] - mib[0]) * MIB / 1000 / (large - small), ESTIMATE)


def _gap_of_larger_images(evidence):
    gaps = [
        evidence.memory_mib("keras_cnn", shape, 1)
        - evidence.memory_mib("pytorch_cnn", shape, 1)
        for shape in (LARGE_PICTURE, PICTURE)
    ]
    return Finding(gaps[0] / gaps[1])


def _rule(evidence):
    return rule_of_thumb(TRAINING_IMAGES, evidence.pixels())


def _harder_set_costs_more(evidence):
    """What 50 times fewer parameters cost, on the harder set less on MNIST."""

    def costs(dataset):  # a pair a seed
        given = {"framework": "pytorch", "dataset": dataset}
        large = evidence.accuracies("keras_cnn", **given)
        small = evidence.accuracies("pytorch_cnn", **given)
        seeds = min(len(large), len(small))
        return large[:seeds] - small[:seeds]

    return difference(costs("fashion_mnist"), costs("mnist"))


def _gained_above_the_bound(evidence):
    """The most that the largest network is ahead of the one at the upper bound."""
    found = []
    for dataset in SETS:
        for count, (model, arguments) in AT_THE_BOUND.items():
            given = {"framework": "pytorch", "dataset": f"{dataset}-head{count}-10000"}
            large = evidence.accuracies("keras_cnn", **given)
            at_bound = evidence.accuracies(model, **given, **arguments)
            found.append(difference(large, at_bound, of_several=4))
    return largest(found)


def _lost_below_the_bound(evidence):
    """The least that the chosen Small Net is behind the GAP CNN."""
    found = [
        difference(
            evidence.accuracies("gap_cnn", dataset=dataset),
            evidence.accuracies("small_net", dataset=dataset, **CHOSEN_SMALL_NET),
            of_several=len(SETS),
        )
        for dataset in SETS
    ]
    return smallest(found)


def _by_batch_size(evidence, model):
    """Accuracies at the article's batch size, and a list of those at each other."""
    scores = {
        size: evidence.accuracies(model, schedule=at_batch_size(size))
        for size in BATCH_SIZES
    }
    usual = scores.pop(ARTICLE.batch_size)
    return usual, list(scores.values())


def _small_net_at_its_best_batch_size(evidence):
    """How far its best batch size is ahead of the article's."""
    usual, others = _by_batch_size(evidence, "small_net")
    return largest([difference(one, usual, of_several=len(others)) for one in others])


def _behind_best_batch_size(evidence):
    """How far the article's batch size is behind the PyTorch CNN's best.

    There are few runs of each size, and one of the smallest, so several sizes give
    one spread between runs: those up to `ALIKE`, for beyond it they spread more.
    """
    usual, others = _by_batch_size(evidence, "pytorch_cnn")
    near = [usual, *others[: sum(size <= ALIKE for size in BATCH_SIZES) - 1]]
    apart = np.concatenate([some - some.mean() for some in near])
    freedom = len(apart) - len(near)
    variance = sum(apart**2) / freedom
    found = [
        of_samples(
            some.mean() - usual.mean(),
            [variance] * 2,
            [len(some), len(usual)],
            of_several=len(others),
            degrees=freedom,
        )
        for some in others
    ]
    return largest(found)


def _regularises(evidence):
    """Rank correlation of parameters and of how much larger the test loss is."""
    sweep = [evidence.runs("gap_cnn", filters=filters)[0] for filters in GAP_FILTERS]
    gaps = [run.test_loss - run.history_columns["train_loss"][-1] for run in sweep]
    return rank_correlation([run.num_parameters for run in sweep], gaps)


def _lost_on_components(evidence):
    """What the MLP loses on principal components, on its pixels."""
    given = {"framework": "pytorch", "dataset": f"mnist-pca{FEWER_FEATURES}"}
    on_components = evidence.accuracies("keras_mlp", num_inputs=FEWER_FEATURES, **given)
    return difference(
        evidence.accuracies("keras_mlp", framework="pytorch"),
        on_components,
        of_several=len(COMPONENTS),
    )


FINDINGS = {
    **SCORE_FINDINGS,
    **TIME_FINDINGS,
    "smaller-footprint": _smaller_footprint,
    "convolutions-are-memory-hungry": lambda e: Finding(
        e.memory_mib("pytorch_cnn", PICTURE, LARGE_BATCH)
        / e.memory_mib("keras_mlp", PICTURE, LARGE_BATCH)
    ),
    "keras-mlp-parameters": lambda e: _count(e, "keras_mlp"),
    "keras-cnn-parameters": lambda e: _count(e, "keras_cnn"),
    "pytorch-cnn-parameters": lambda e: _count(e, "pytorch_cnn"),
    "keras-cnn-to-keras-mlp": lambda e: _ratio(e, "keras_cnn", "keras_mlp"),
    "keras-cnn-to-pytorch-cnn": lambda e: _ratio(e, "keras_cnn", "pytorch_cnn"),
    "keras-mlp-to-pytorch-cnn": lambda e: _ratio(e, "keras_mlp", "pytorch_cnn"),
    "pytorch-cnn-memory": lambda e: _memory(e, "pytorch_cnn", SMALL_BATCH),
    "pytorch-cnn-memory-large-batch": lambda e: _memory(e, "pytorch_cnn", LARGE_BATCH),
    "keras-cnn-memory": lambda e: _memory(e, "keras_cnn", SMALL_BATCH),
    "keras-cnn-memory-large-batch": lambda e: _memory(e, "keras_cnn", LARGE_BATCH),
    "pytorch-cnn-memory-of-an-image": lambda e: _memory_of_an_image(e, "pytorch_cnn"),
    "keras-cnn-memory-of-an-image": lambda e: _memory_of_an_image(e, "keras_cnn"),
    "pytorch-cnn-size": lambda e: _weights(e, "pytorch_cnn"),
    "keras-cnn-size": lambda e: _weights(e, "keras_cnn"),
    "larger-images-widen-the-gap": _gap_of_larger_images,
    "a-volume-does-not-fit": lambda e: Finding(
        e.memory_mib("keras_cnn", VOLUME, 1) / 1024
    ),
    "a-million-is-above-the-rule": lambda e: Finding(
        e.profile("keras_cnn").num_parameters / _rule(e).upper
    ),
    "most-parameters-in-first-linear": lambda e: Finding(
        100 * FIRST_LINEAR / e.profile("pytorch_cnn").num_parameters
    ),
    "pytorch-cnn-to-gap-cnn": lambda e: _ratio(e, "pytorch_cnn", "gap_cnn"),
    "gap-cnn-parameters": lambda e: _count(e, "gap_cnn"),
    "gap-cnn-size": lambda e: _weights(e, "gap_cnn"),
    "gap-cnn-saves-arithmetic": lambda e: _ratio(e, "gap_cnn", "pytorch_cnn", "macs"),
    "small-net-parameters": lambda e: _count(e, "small_net"),
    "small-net-parameters-as-described": lambda e: Finding(
        e.runs("small_net", **AS_DESCRIBED)[0].num_parameters
    ),
    "last-layer-as-a-convolution": lambda e: Finding(
        e.profile("small_net").num_parameters - LAST_LINEAR + LAST_CONVOLUTION
    ),
    "batch-norm-parameters": lambda e: Finding(
        e.runs("small_net")[0].num_parameters
        - e.runs("small_net", batch_norm=False)[0].num_parameters
    ),
    "pixels": lambda e: Finding(e.pixels()),
    "fewer-parameters-than-pixels": lambda e: _count(e, "small_net"),
    "rule-of-thumb-upper": lambda e: Finding(_rule(e).upper),
    "rule-of-thumb-lower": lambda e: Finding(_rule(e).lower),
    "fewer-features": _lost_on_components,
    "batch-size-16": _behind_best_batch_size,
    "harder-data-allows-less": _harder_set_costs_more,
    "fewer-parameters-regularise": _regularises,
    "small-net-batch-size": _small_net_at_its_best_batch_size,
    "rule-of-thumb-upper-in-trainings": _gained_above_the_bound,
    "rule-of-thumb-lower-in-trainings": _lost_below_the_bound,
}
