"""Our numbers for the claims that other data, sizes and batches settle.

See `findings`. On other data the Keras models are their ports, so that one
framework trains all.
"""

import numpy as np

from tradeoffs.claim import (
    around,
    difference,
    largest,
    rank_correlation,
    smallest,
    student,
)
from tradeoffs.recorded import COMPONENTS, GAP_FILTERS
from tradeoffs.schedules import ARTICLE, BATCH_SIZES, at_batch_size
from tradeoffs.score_findings import CHOSEN

SETS = "mnist", "fashion_mnist"
FEWER_FEATURES = 50  # principal components, the best of those that were tried
# The network at the rule's upper bound for so many images.
AT_THE_BOUND = {600: ("small_net", CHOSEN), 6_000: ("pytorch_cnn", {})}


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
            evidence.accuracies("small_net", dataset=dataset, **CHOSEN),
            of_several=len(SETS),
        )
        for dataset in SETS
    ]
    return smallest(found)


def _small_net_at_its_best_batch_size(evidence):
    """How far its best batch size is ahead of the article's."""
    scores = {
        size: evidence.accuracies("small_net", schedule=at_batch_size(size))
        for size in BATCH_SIZES
    }
    usual = scores.pop(ARTICLE.batch_size)
    return largest(
        [difference(score, usual, of_several=len(scores)) for score in scores.values()]
    )


def _behind_best_batch_size(evidence):
    """How far the article's batch size is behind the PyTorch CNN's best.

    There are few runs of each size and one of the smallest, so all sizes give one
    spread between runs.
    """
    runs = {
        size: evidence.accuracies("pytorch_cnn", schedule=at_batch_size(size))
        for size in BATCH_SIZES
    }
    usual = runs.pop(ARTICLE.batch_size)
    apart = np.concatenate([some - some.mean() for some in (usual, *runs.values())])
    freedom = len(apart) - len(runs) - 1
    spread = np.sqrt(sum(apart**2) / freedom)
    return largest(
        [
            around(
                some.mean() - usual.mean(),
                student(freedom, len(runs))
                * spread
                * np.sqrt(1 / len(some) + 1 / len(usual)),
                len(some),
            )
            for some in runs.values()
        ]
    )


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


DATA_FINDINGS = {
    "fewer-features": _lost_on_components,
    "batch-size-16": _behind_best_batch_size,
    "harder-data-allows-less": _harder_set_costs_more,
    "fewer-parameters-regularise": _regularises,
    "small-net-batch-size": _small_net_at_its_best_batch_size,
    "rule-of-thumb-upper-in-trainings": _gained_above_the_bound,
    "rule-of-thumb-lower-in-trainings": _lost_below_the_bound,
}
