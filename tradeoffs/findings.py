"""Our number for each claim of the article, computed from the evidence.

`FINDINGS` has one function a claim, under the claim's id in `claims.csv`.
"""

from __future__ import annotations

import numpy as np

from tradeoffs.article import LARGE_BATCH, NUM_PARAMETERS, SMALL_BATCH
from tradeoffs.claim import (
    COUNT,
    ESTIMATE,
    RUNS,
    TIMES,
    Finding,
    difference,
    mean,
)
from tradeoffs.data_findings import CHOSEN, DATA_FINDINGS
from tradeoffs.device_findings import DEVICE_FINDINGS
from tradeoffs.measurements import LARGE_PICTURE, PICTURE, VOLUME
from tradeoffs.probes.profile import MIB
from tradeoffs.returns import ensemble, rule_of_thumb
from tradeoffs.schedules import (
    ARTICLE,
    BATCH_SIZES,
    KERAS_CNN_RECIPE,
    KERAS_MLP_RECIPE,
    at_batch_size,
)

COMPARED = ("keras_cnn", "pytorch_cnn", "keras_mlp")  # as the article ranks them
# As the text describes it; with its own 3 x 3 kernel it has the 518 parameters.
AS_DESCRIBED = {"kernel_size": 5}
EPOCH, INFERENCE = "epoch_seconds", "inference_seconds"
LIMIT = NUM_PARAMETERS["small_net"]
FIRST_LINEAR = 320 * 50 + 50  # weights and biases, of the PyTorch CNN
TRAINING_IMAGES = 60_000  # of MNIST


def _accuracy(evidence, model, **given):
    return mean(evidence.accuracies(model, **given), one_more=True)


def _loss(evidence, model, **given):
    return mean(evidence.losses(model, **given), one_more=True)


def _count(evidence, model):
    return Finding(evidence.profile(model).num_parameters)


def _ratio(evidence, larger, smaller, field="num_parameters"):
    above, below = (getattr(evidence.profile(m), field) for m in (larger, smaller))
    return Finding(above / below, _basis(field))


def _basis(field):
    return TIMES if field in (EPOCH, INFERENCE) else COUNT


def _weights(evidence, model):
    return Finding(evidence.profile(model).weight_bytes / MIB)


def _share_of_pairs(evidence, field):
    """Per cent of the pairs in which fewer parameters are less of something else."""
    pairs = evidence.pairs()
    less = sum(getattr(small, field) < getattr(large, field) for small, large in pairs)
    return Finding(100 * less / len(pairs), _basis(field))


def _accuracy_pairs(evidence):
    """Accuracies of pairs of models, the one with fewer parameters first."""
    for small, large in evidence.pairs():
        yield tuple(evidence.accuracies(p.name) for p in (small, large))


def _score_lower(evidence):
    worse = [small.mean() < large.mean() for small, large in _accuracy_pairs(evidence)]
    return Finding(100 * sum(worse) / len(worse), RUNS)


def _largest_gain(evidence):
    pairs = list(_accuracy_pairs(evidence))
    gains = [difference(*pair, of_several=len(pairs)) for pair in pairs]
    return max(gains, key=lambda gain: gain.value - gain.margin)


def _ensemble_gain(evidence):
    from tradeoffs.data import mnist

    runs = evidence.runs("keras_cnn") + evidence.runs("keras_cnn", "pytorch")
    together = ensemble(runs, mnist().test_labels).test_accuracy
    return mean([100 * (together - run.test_accuracy) for run in runs])


def _behind_best_batch_size(evidence):
    means = {
        size: evidence.accuracies("pytorch_cnn", schedule=at_batch_size(size)).mean()
        for size in BATCH_SIZES
    }
    return Finding(max(means.values()) - means[ARTICLE.batch_size], RUNS)


def _step_between_ranks(evidence):
    means = [evidence.accuracies(model).mean() for model in COMPARED]
    return Finding(-np.diff(means).max(), RUNS)


def _points_apart(evidence, first, second):
    means = [evidence.accuracies(model).mean() for model in (first, second)]
    return Finding(means[0] - means[1], RUNS)


def _mean(evidence, model, **given):
    return Finding(evidence.accuracies(model, **given).mean(), RUNS)


def _seconds(evidence, model, field):
    # Seconds are a processor's own, and the article does not name its processor:
    # ours stand beside its seconds without a verdict.
    return Finding(getattr(evidence.profile(model), field), ESTIMATE)


def _seconds_saved(evidence):
    large, small = (evidence.profile(m) for m in ("keras_cnn", "pytorch_cnn"))
    return Finding(large.epoch_seconds - small.epoch_seconds, ESTIMATE)


def _slowest_smaller_model(evidence):
    ratios = [a.inference_seconds / b.inference_seconds for a, b in evidence.pairs()]
    return Finding(max(ratios), TIMES)


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


def _rank_correlation(evidence):
    table = evidence.search[~evidence.search.diverged]
    ranks = table[["num_parameters", "validation_accuracy"]].rank()
    return Finding(ranks.corr().iloc[0, 1], RUNS)


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


FINDINGS = {
    **DATA_FINDINGS,
    **DEVICE_FINDINGS,
    "ensembles-score-higher": _ensemble_gain,
    "smaller-is-usually-worse": _score_lower,
    "smaller-is-sometimes-better": _largest_gain,
    "smaller-footprint": lambda e: _share_of_pairs(e, "weight_bytes"),
    "smaller-usually-trains-faster": lambda e: _share_of_pairs(e, EPOCH),
    "smaller-usually-infers-faster": lambda e: _share_of_pairs(e, INFERENCE),
    "time-is-not-monotonic": _slowest_smaller_model,
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
    "keras-mlp-authors-accuracy": lambda e: _mean(
        e, "keras_mlp", schedule=KERAS_MLP_RECIPE
    ),
    "keras-cnn-authors-accuracy": lambda e: _mean(
        e, "keras_cnn", schedule=KERAS_CNN_RECIPE
    ),
    "batch-size-16": _behind_best_batch_size,
    "first-epoch": lambda e: Finding(
        min(e.accuracies(model, epoch=0).min() for model in COMPARED), RUNS
    ),
    "keras-cnn-accuracy": lambda e: _accuracy(e, "keras_cnn"),
    "pytorch-cnn-accuracy": lambda e: _accuracy(e, "pytorch_cnn"),
    "keras-mlp-accuracy": lambda e: _accuracy(e, "keras_mlp"),
    "ranking": _step_between_ranks,
    "keras-cnn-ahead-of-pytorch-cnn": lambda e: difference(
        e.accuracies("keras_cnn"), e.accuracies("pytorch_cnn"), one_more=True
    ),
    "pytorch-cnn-memory": lambda e: _memory(e, "pytorch_cnn", SMALL_BATCH),
    "pytorch-cnn-memory-large-batch": lambda e: _memory(e, "pytorch_cnn", LARGE_BATCH),
    "keras-cnn-memory": lambda e: _memory(e, "keras_cnn", SMALL_BATCH),
    "keras-cnn-memory-large-batch": lambda e: _memory(e, "keras_cnn", LARGE_BATCH),
    "pytorch-cnn-memory-of-an-image": lambda e: _memory_of_an_image(e, "pytorch_cnn"),
    "keras-cnn-memory-of-an-image": lambda e: _memory_of_an_image(e, "keras_cnn"),
    "pytorch-cnn-epoch-seconds": lambda e: _seconds(e, "pytorch_cnn", EPOCH),
    "keras-cnn-epoch-seconds": lambda e: _seconds(e, "keras_cnn", EPOCH),
    "epoch-ratio": lambda e: _ratio(e, "keras_cnn", "pytorch_cnn", EPOCH),
    "seconds-saved": _seconds_saved,
    "pytorch-cnn-inference-seconds": lambda e: _seconds(e, "pytorch_cnn", INFERENCE),
    "keras-cnn-inference-seconds": lambda e: _seconds(e, "keras_cnn", INFERENCE),
    "inference-ratio": lambda e: _ratio(e, "keras_cnn", "pytorch_cnn", INFERENCE),
    "pytorch-cnn-size": lambda e: _weights(e, "pytorch_cnn"),
    "keras-cnn-size": lambda e: _weights(e, "keras_cnn"),
    "larger-images-widen-the-gap": _gap_of_larger_images,
    "a-volume-does-not-fit": lambda e: Finding(
        e.memory_mib("keras_cnn", VOLUME, 1) / 1024
    ),
    "a-million-is-above-the-rule": lambda e: Finding(
        e.profile("keras_cnn").num_parameters / _rule(e).upper
    ),
    "a-million-is-not-needed": lambda e: _points_apart(e, "keras_cnn", "gap_cnn"),
    "most-parameters-in-first-linear": lambda e: Finding(
        100 * FIRST_LINEAR / e.profile("pytorch_cnn").num_parameters
    ),
    "pytorch-cnn-to-gap-cnn": lambda e: _ratio(e, "pytorch_cnn", "gap_cnn"),
    "gap-cnn-parameters": lambda e: _count(e, "gap_cnn"),
    "gap-cnn-size": lambda e: _weights(e, "gap_cnn"),
    "gap-cnn-accuracy": lambda e: _accuracy(e, "gap_cnn"),
    "gap-cnn-accuracy-with-dropout": lambda e: _accuracy(e, "gap_cnn", dropout=True),
    "gap-cnn-loss": lambda e: _loss(e, "gap_cnn"),
    "gap-cnn-loss-with-dropout": lambda e: _loss(e, "gap_cnn", dropout=True),
    "gap-cnn-keeps-accuracy": lambda e: _points_apart(e, "gap_cnn", "pytorch_cnn"),
    "gap-cnn-saves-arithmetic": lambda e: _ratio(e, "gap_cnn", "pytorch_cnn", "macs"),
    "small-net-parameters": lambda e: _count(e, "small_net"),
    "small-net-parameters-as-described": lambda e: Finding(
        e.runs("small_net", **AS_DESCRIBED)[0].num_parameters
    ),
    "batch-norm-parameters": lambda e: Finding(
        e.runs("small_net")[0].num_parameters
        - e.runs("small_net", batch_norm=False)[0].num_parameters
    ),
    "batch-norm-speeds-up": lambda e: difference(
        e.accuracies("small_net", epoch=0),
        e.accuracies("small_net", epoch=0, batch_norm=False),
    ),
    "small-nets-have-dead-neurons": lambda e: Finding(
        100 * np.mean(e.dead_units(slope=0.0)) / e.units(), RUNS
    ),
    "leaky-relu-helps": _leaky_gain,
    "leaky-relu-helps-little": lambda e: Finding(_leaky_gain(e).value, RUNS),
    "small-net-epoch-seconds": lambda e: _seconds(e, "small_net", EPOCH),
    "small-net-epoch-ratio": lambda e: _ratio(e, "pytorch_cnn", "small_net", EPOCH),
    "small-net-inference-seconds": lambda e: _seconds(e, "small_net", INFERENCE),
    "small-net-inference-ratio": lambda e: _ratio(
        e, "pytorch_cnn", "small_net", INFERENCE
    ),
    "small-net-accuracy": lambda e: _accuracy(e, "small_net"),
    "small-net-accuracy-as-described": lambda e: _accuracy(
        e, "small_net", **AS_DESCRIBED
    ),
    "small-net-loss": lambda e: _loss(e, "small_net"),
    "small-net-loss-as-described": lambda e: _loss(e, "small_net", **AS_DESCRIBED),
    "small-net-keeps-95": lambda e: _mean(e, "small_net"),
    "search-keeps-95": lambda e: Finding(e.best_searched(LIMIT), RUNS),
    "search-reaches-the-article": lambda e: _mean(e, "small_net", **CHOSEN),
    "further-reduction-costs": lambda e: Finding(
        e.best_searched(LIMIT) - e.best_searched(LIMIT // 2), RUNS
    ),
    "score-against-parameters": _rank_correlation,
    "pixels": lambda e: Finding(e.pixels()),
    "fewer-parameters-than-pixels": lambda e: _count(e, "small_net"),
    "rule-of-thumb-upper": lambda e: Finding(_rule(e).upper),
    "rule-of-thumb-lower": lambda e: Finding(_rule(e).lower),
}
