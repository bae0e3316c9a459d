"""Our numbers for the claims about the scores of the larger models on MNIST.

See `findings`. A number of the article is one run of its author's; beside it ours
is where one more run of ours would lie.
"""

import itertools

import numpy as np

from tradeoffs.claim import (
    RUNS,
    Finding,
    around,
    difference,
    largest,
    mean,
    smallest,
)
from tradeoffs.ensembles import ensemble
from tradeoffs.schedules import KERAS_CNN_RECIPE, KERAS_MLP_RECIPE

COMPARED = ("keras_cnn", "pytorch_cnn", "keras_mlp")  # as the article ranks them


def one_more(evidence, model, **given) -> Finding:
    """The accuracy of one more run, in per cent."""
    return mean(evidence.accuracies(model, **given), one_more=True)


def _one_more_loss(evidence, model, **given):
    return mean(evidence.losses(model, **given), one_more=True)


def _by_recipe(evidence, model, schedule):
    """One more run by the authors' recipe, with the spread that seeds of ours have."""
    found = evidence.accuracies(model, schedule=schedule)
    of_a_run, n = one_more(evidence, model).fixed, len(found)
    return around(np.mean(found), np.sqrt(1 + 1 / n) * of_a_run, n, of_a_run)


def _gains(evidence):
    """By how much the smaller of each pair of models is more accurate."""
    pairs = [[evidence.accuracies(p.name) for p in pair] for pair in evidence.pairs()]
    return [difference(*pair, of_several=len(pairs)) for pair in pairs]


def _score_lower(evidence):
    """Per cent of pairs; from those without doubt to those that may be."""
    gains = _gains(evidence)
    counts = (
        sum(getattr(gain, end) < 0 for gain in gains)
        for end in ("value", "high", "low")
    )
    value, low, high = (100 * count / len(gains) for count in counts)
    return Finding(value, RUNS, low, high, min(gain.seeds for gain in gains))


def _ensemble_gain(evidence):
    from tradeoffs.data import mnist

    runs = evidence.runs("keras_cnn") + evidence.runs("keras_cnn", "pytorch")
    together = ensemble(runs, mnist().test_labels).test_accuracy
    return mean([100 * (together - run.test_accuracy) for run in runs])


def _first_epoch(evidence):
    """The lowest model's, after one epoch of one more run."""
    scores = [evidence.accuracies(model, epoch=0) for model in COMPARED]
    return smallest([mean(some, one_more=True, of_several=3) for some in scores])


def _step_between_ranks(evidence):
    scores = itertools.pairwise(evidence.accuracies(model) for model in COMPARED)
    return smallest([difference(*pair, of_several=2) for pair in scores])


def _ahead(evidence, first, second, **options):
    return difference(*map(evidence.accuracies, (first, second)), **options)


SCORE_FINDINGS = {
    "ensembles-score-higher": _ensemble_gain,
    "smaller-is-usually-worse": _score_lower,
    "smaller-is-sometimes-better": lambda e: largest(_gains(e)),
    "keras-mlp-authors-accuracy": lambda e: _by_recipe(
        e, "keras_mlp", KERAS_MLP_RECIPE
    ),
    "keras-cnn-authors-accuracy": lambda e: _by_recipe(
        e, "keras_cnn", KERAS_CNN_RECIPE
    ),
    "first-epoch": _first_epoch,
    "keras-cnn-accuracy": lambda e: one_more(e, "keras_cnn"),
    "pytorch-cnn-accuracy": lambda e: one_more(e, "pytorch_cnn"),
    "keras-mlp-accuracy": lambda e: one_more(e, "keras_mlp"),
    "ranking": _step_between_ranks,
    "keras-cnn-ahead-of-pytorch-cnn": lambda e: _ahead(
        e, "keras_cnn", "pytorch_cnn", one_more=True
    ),
    "a-million-is-not-needed": lambda e: _ahead(e, "keras_cnn", "gap_cnn"),
    "gap-cnn-accuracy": lambda e: one_more(e, "gap_cnn"),
    "gap-cnn-accuracy-with-dropout": lambda e: one_more(e, "gap_cnn", dropout=True),
    "gap-cnn-loss": lambda e: _one_more_loss(e, "gap_cnn"),
    "gap-cnn-loss-with-dropout": lambda e: _one_more_loss(e, "gap_cnn", dropout=True),
    "gap-cnn-keeps-accuracy": lambda e: _ahead(e, "gap_cnn", "pytorch_cnn"),
}
