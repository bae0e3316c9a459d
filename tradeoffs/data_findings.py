"""Our numbers for the claims that other data, sizes and batches settle.

See `findings`. On other data the Keras models are their ports, so that one
framework trains all.
"""

from __future__ import annotations

from tradeoffs.claim import RUNS, Finding, difference
from tradeoffs.recorded import CHOSEN_SMALL_NET, GAP_FILTERS
from tradeoffs.schedules import ARTICLE, BATCH_SIZES, at_batch_size

SETS = "mnist", "fashion_mnist"
# With a tuple, as `Evidence` keeps runs by their arguments.
CHOSEN = CHOSEN_SMALL_NET | {"filters": tuple(CHOSEN_SMALL_NET["filters"])}
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
            found.append(large.mean() - at_bound.mean())
    return Finding(max(found), RUNS)


def _lost_below_the_bound(evidence):
    """The least that the chosen Small Net is behind the GAP CNN."""
    found = [
        difference(
            evidence.accuracies("gap_cnn", dataset=dataset),
            evidence.accuracies("small_net", dataset=dataset, **CHOSEN),
        )
        for dataset in SETS
    ]
    return min(found, key=lambda finding: finding.value - finding.margin)


def _small_net_at_its_best_batch_size(evidence):
    """How far its best batch size is ahead of the article's."""
    scores = {
        size: evidence.accuracies("small_net", schedule=at_batch_size(size))
        for size in BATCH_SIZES
    }
    usual = scores.pop(ARTICLE.batch_size)
    gains = [difference(s, usual, of_several=len(scores)) for s in scores.values()]
    return max(gains, key=lambda gain: gain.value - gain.margin)


def _regularises(evidence):
    """Rank correlation of parameters and of how much larger the test loss is."""
    from scipy.stats import spearmanr

    sweep = [evidence.runs("gap_cnn", filters=filters)[0] for filters in GAP_FILTERS]
    gaps = [run.test_loss - run.history_columns["train_loss"][-1] for run in sweep]
    found = spearmanr([run.num_parameters for run in sweep], gaps)
    return Finding(found.statistic, RUNS)


DATA_FINDINGS = {
    "harder-data-allows-less": _harder_set_costs_more,
    "fewer-parameters-regularise": _regularises,
    "small-net-batch-size": _small_net_at_its_best_batch_size,
    "rule-of-thumb-upper-in-trainings": _gained_above_the_bound,
    "rule-of-thumb-lower-in-trainings": _lost_below_the_bound,
}
