"""Our numbers for the claims about the Small Net and its search; see `findings`.

The article's text leaves open where the network pools, so what it reaches is asked
of every reading: of the best of them, with intervals that hold for all at once.
"""

import itertools

import numpy as np

from tradeoffs.article import NUM_PARAMETERS
from tradeoffs.claim import (
    CONFIDENCE,
    RUNS,
    Finding,
    around,
    difference,
    largest,
    mean,
    rank_correlation,
    smallest,
)
from tradeoffs.recorded import (
    CHOSEN_SMALL_NET,
    FIVE_PER_CENT_LESS,
    POOLINGS,
    SMALL_NETS,
    WITHOUT_OVERLAP,
)

# With a tuple, as `Evidence` keeps runs by their arguments.
CHOSEN, WITHOUT, LESS = (
    net | {"filters": tuple(net["filters"])}
    for net in (CHOSEN_SMALL_NET, WITHOUT_OVERLAP, FIVE_PER_CENT_LESS)
)
# As the text describes it; with its own 3 x 3 kernel it has the 518 parameters.
AS_DESCRIBED = {"kernel_size": 5}
LIMIT = NUM_PARAMETERS["small_net"]
WITH_NORM = [net for net in SMALL_NETS if "batch_norm" not in net]
WITH_RELU = [net for net in SMALL_NETS if "slope" in net]


def _of_readings(evidence, kernel, quantity):
    """The mean of a quantity for each reading of where it pools."""
    nets = [kernel | pooling for pooling in POOLINGS]
    values = [getattr(evidence, quantity)("small_net", **net) for net in nets]
    return [mean(some, of_several=len(nets)) for some in values]


def _best_accuracy(evidence, **kernel):
    return largest(_of_readings(evidence, kernel, "accuracies"))


def _best_loss(evidence, **kernel):
    return smallest(_of_readings(evidence, kernel, "losses"))


def _norm_after_an_epoch(evidence):
    """What batch norm adds, seed by seed, on average over both rectifiers."""
    return mean(
        np.mean(
            [
                evidence.accuracies_after(1, **net)
                - evidence.accuracies_after(1, **net, batch_norm=False)
                for net in WITH_NORM
            ],
            axis=0,
        )
    )


def _with_dead_units(evidence):
    """Per cent of the networks with ReLU that have one after the last epoch."""
    from scipy.stats import binomtest

    counts = [evidence.dead_units(**net) for net in WITH_RELU]
    dead = [count > 0 for count in itertools.chain(*counts)]
    found = binomtest(sum(dead), len(dead)).proportion_ci(CONFIDENCE)
    ends = 100 * found.low, 100 * found.high
    return Finding(100 * np.mean(dead), RUNS, *ends, seeds=len(counts[0]))


def _leaky_gain(evidence):
    """Points that a slope above 0 gains on ReLU in networks alike but for it."""
    table = evidence.search[~evidence.search.diverged]
    arguments = list(table.columns[: table.columns.get_loc("seed")])
    alike = [name for name in arguments if name != "slope"]
    score = 100 * table.validation_accuracy
    leaky, plain = (
        score[chosen].groupby([table[name] for name in alike], dropna=False).mean()
        for chosen in (table.slope > 0, table.slope == 0)
    )
    return mean((leaky - plain).dropna())


def _rank_correlation(evidence):
    table = evidence.search[~evidence.search.diverged]
    return rank_correlation(table.num_parameters, table.validation_accuracy)


def _best_searched(evidence):
    return mean(evidence.accuracies("small_net", **CHOSEN))


def _lost_with_half(evidence):
    """What the best searched of at most half of `LIMIT` lose on the best of all.

    Each was trained once, with the spread that the chosen network's seeds have.
    """
    lost = evidence.best_searched(LIMIT) - evidence.best_searched(LIMIT // 2)
    of_a_run = mean(evidence.accuracies("small_net", **CHOSEN), one_more=True).fixed
    return around(lost, np.sqrt(2) * of_a_run, seeds=1)


SMALL_NET_FINDINGS = {
    "batch-norm-speeds-up": _norm_after_an_epoch,
    "small-nets-have-dead-neurons": _with_dead_units,
    "leaky-relu-helps": _leaky_gain,
    "leaky-relu-helps-little": _leaky_gain,
    "small-net-accuracy": _best_accuracy,
    "small-net-accuracy-as-described": lambda e: _best_accuracy(e, **AS_DESCRIBED),
    "small-net-loss": _best_loss,
    "small-net-loss-as-described": lambda e: _best_loss(e, **AS_DESCRIBED),
    "small-net-keeps-95": lambda e: mean(e.accuracies("small_net")),
    "search-keeps-95": _best_searched,
    "search-reaches-the-article": _best_searched,
    "further-reduction-costs": _lost_with_half,
    "five-per-cent-less": lambda e: difference(
        *(e.accuracies("small_net", **net) for net in (WITHOUT, LESS))
    ),
    "score-against-parameters": _rank_correlation,
}
