"""Figures of accuracy and loss, from the recorded runs."""

from __future__ import annotations

import itertools

import numpy as np

from tradeoffs.models import MODELS
from tradeoffs.schedules import (
    ARTICLE,
    BATCH_SIZES,
    KERAS_CNN_RECIPE,
    KERAS_MLP_RECIPE,
    at_batch_size,
)
from tradeoffs.verdicts.claim import RUNS, Finding
from tradeoffs.verdicts.figures import (
    accuracies,
    another_pair,
    another_run,
    difference,
    figure,
    losses,
    mean_of_pairs,
)

COMPARED = ("keras_cnn", "pytorch_cnn", "keras_mlp")  # as the article ranks them


def _register_accuracy(claim_id, model, **arguments):
    @figure(claim_id)
    def _(evidence):
        return another_run(accuracies(evidence.runs(model, **arguments)))


def _register_loss(claim_id, model, **arguments):
    @figure(claim_id)
    def _(evidence):
        return another_run(losses(evidence.runs(model, **arguments)))


_register_accuracy("keras-cnn-accuracy", "keras_cnn")
_register_accuracy("pytorch-cnn-accuracy", "pytorch_cnn")
_register_accuracy("keras-mlp-accuracy", "keras_mlp")
_register_accuracy("gap-cnn-accuracy", "gap_cnn")
_register_accuracy("gap-cnn-accuracy-with-dropout", "gap_cnn", dropout=True)
_register_loss("gap-cnn-loss", "gap_cnn")
_register_loss("gap-cnn-loss-with-dropout", "gap_cnn", dropout=True)


@figure("keras-mlp-authors-accuracy")
def _(evidence):
    runs = evidence.runs("keras_mlp", schedule=KERAS_MLP_RECIPE)
    return Finding(np.mean(accuracies(runs)), RUNS)


@figure("keras-cnn-authors-accuracy")
def _(evidence):
    runs = evidence.runs("keras_cnn", schedule=KERAS_CNN_RECIPE)
    return Finding(np.mean(accuracies(runs)), RUNS)


@figure("first-epoch")
def _(evidence):
    firsts = [
        run.history.test_accuracy.iloc[0]
        for model in COMPARED
        for run in evidence.runs(model)
    ]
    return Finding(100 * min(firsts), RUNS)


@figure("ranking")
def _(evidence):
    means = [accuracies(evidence.runs(model)).mean() for model in COMPARED]
    return Finding(-np.diff(means).max(), RUNS)


@figure("keras-cnn-ahead-of-pytorch-cnn")
def _(evidence):
    return another_pair(*(accuracies(evidence.runs(m)) for m in COMPARED[:2]))


@figure("gap-cnn-keeps-accuracy")
def _(evidence):
    slim, full = (accuracies(evidence.runs(m)) for m in ("gap_cnn", "pytorch_cnn"))
    return Finding(slim.mean() - full.mean(), RUNS)


@figure("a-million-is-not-needed")
def _(evidence):
    large, slim = (accuracies(evidence.runs(m)) for m in ("keras_cnn", "gap_cnn"))
    return Finding(large.mean() - slim.mean(), RUNS)


def _by_size(evidence):
    """Accuracies of the five models, the smallest first."""
    models = sorted(MODELS, key=lambda model: evidence.profile(model).num_parameters)
    return [accuracies(evidence.runs(model)) for model in models]


@figure("smaller-is-usually-worse")
def _(evidence):
    pairs = list(itertools.combinations(_by_size(evidence), 2))
    worse = sum(smaller.mean() < larger.mean() for smaller, larger in pairs)
    return Finding(100 * worse / len(pairs), RUNS)


@figure("smaller-is-sometimes-better")
def _(evidence):
    gains = [
        difference(smaller, larger)
        for smaller, larger in itertools.combinations(_by_size(evidence), 2)
    ]
    return max(gains, key=lambda gain: gain.value - gain.margin)


@figure("ensembles-score-higher")
def _(evidence):
    from tradeoffs.data import mnist
    from tradeoffs.decisions.ensembles import ensemble

    runs = evidence.runs("keras_cnn") + evidence.runs("keras_cnn", "pytorch")
    together = ensemble(runs, mnist().test_labels)
    return mean_of_pairs(100 * together.test_accuracy - accuracies(runs))


@figure("batch-size-16")
def _(evidence):
    means = {
        size: accuracies(
            evidence.runs("pytorch_cnn", schedule=at_batch_size(size))
        ).mean()
        for size in BATCH_SIZES
    }
    return Finding(max(means.values()) - means[ARTICLE.batch_size], RUNS)
