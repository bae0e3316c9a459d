"""Figures of the Small Net: its readings, the search, and the article's asides."""

from __future__ import annotations

import numpy as np

from tradeoffs import article
from tradeoffs.series import CHOSEN_SMALL_NET
from tradeoffs.verdicts.claim import RUNS, Finding
from tradeoffs.verdicts.figures import (
    accuracies,
    another_run,
    difference,
    figure,
    losses,
    mean_of_pairs,
)

# As the text describes it; with its own 3 x 3 kernel it has the 518 parameters.
AS_DESCRIBED = {"kernel_size": 5}
LIMIT = article.NUM_PARAMETERS["small_net"]
_RESULTS = (
    "seed",
    "num_parameters",
    "validation_accuracy",
    "validation_loss",
    "epochs",
    "seconds",
    "side_by_side",
    "diverged",
)


@figure("small-net-parameters-as-described")
def _(evidence):
    return Finding(evidence.runs("small_net", **AS_DESCRIBED)[0].num_parameters)


@figure("small-net-accuracy")
def _(evidence):
    return another_run(accuracies(evidence.runs("small_net")))


@figure("small-net-accuracy-as-described")
def _(evidence):
    return another_run(accuracies(evidence.runs("small_net", **AS_DESCRIBED)))


@figure("small-net-loss")
def _(evidence):
    return another_run(losses(evidence.runs("small_net")))


@figure("small-net-loss-as-described")
def _(evidence):
    return another_run(losses(evidence.runs("small_net", **AS_DESCRIBED)))


@figure("small-net-keeps-95")
def _(evidence):
    return Finding(accuracies(evidence.runs("small_net")).mean(), RUNS)


def _best(evidence, most):
    """The best validation accuracy of at most so many parameters, in per cent."""
    table = evidence.search
    return 100 * table.validation_accuracy[table.num_parameters <= most].max()


@figure("search-keeps-95")
def _(evidence):
    return Finding(_best(evidence, LIMIT), RUNS)


@figure("search-reaches-the-article")
def _(evidence):
    return Finding(
        accuracies(evidence.runs("small_net", **CHOSEN_SMALL_NET)).mean(), RUNS
    )


@figure("further-reduction-costs")
def _(evidence):
    return Finding(_best(evidence, LIMIT) - _best(evidence, LIMIT // 2), RUNS)


@figure("score-against-parameters")
def _(evidence):
    table = evidence.search[~evidence.search.diverged]
    ranks = table[["num_parameters", "validation_accuracy"]].rank()
    return Finding(ranks.corr().iloc[0, 1], RUNS)


@figure("batch-norm-parameters")
def _(evidence):
    with_it, without = (
        evidence.runs("small_net", **given)[0].num_parameters
        for given in ({}, {"batch_norm": False})
    )
    return Finding(with_it - without)


@figure("batch-norm-speeds-up")
def _(evidence):
    with_it, without = (
        np.array(
            [
                100 * run.history.test_accuracy.iloc[0]
                for run in evidence.runs("small_net", **given)
            ]
        )
        for given in ({}, {"batch_norm": False})
    )
    return difference(with_it, without)


@figure("small-nets-have-dead-neurons")
def _(evidence):
    dead = evidence.dead_units(slope=0.0)
    return Finding(100 * np.mean(dead) / evidence.units(), RUNS)


def _leaky_gains(table):
    """Points that a slope above 0 gains on ReLU in networks alike but for it."""
    table = table[~table.diverged]
    alike = [n for n in table.columns if n not in (*_RESULTS, "slope")]
    score = 100 * table.validation_accuracy
    leaky, plain = (
        score[chosen].groupby([table[name] for name in alike], dropna=False).mean()
        for chosen in (table.slope > 0, table.slope == 0)
    )
    return (leaky - plain).dropna()


@figure("leaky-relu-helps")
def _(evidence):
    return mean_of_pairs(_leaky_gains(evidence.search))


@figure("leaky-relu-helps-little")
def _(evidence):
    return Finding(mean_of_pairs(_leaky_gains(evidence.search)).value, RUNS)
