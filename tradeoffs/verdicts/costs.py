"""Figures of time and memory, from the recorded profiles and predictions."""

from __future__ import annotations

import itertools

from tradeoffs import article
from tradeoffs.evidence import LARGE_PICTURE, PICTURE, VOLUME
from tradeoffs.models import MODELS
from tradeoffs.verdicts.claim import ESTIMATE, TIMES, Finding
from tradeoffs.verdicts.figures import figure

LARGEST_CARD_GIB = 80


def _register_seconds(claim_id, model, field):
    @figure(claim_id)
    def _(evidence):
        return _theirs(evidence, getattr(evidence.profile(model), field))


def _theirs(evidence, seconds):
    # Seconds are a processor's own. The article does not name its processor, so
    # ours stand beside its seconds without a verdict.
    known = evidence.profile("pytorch_cnn").processor == article.PROCESSOR
    return Finding(seconds, TIMES if known else ESTIMATE)


for _model in ("pytorch_cnn", "keras_cnn", "small_net"):
    _name = _model.replace("_", "-")
    _register_seconds(f"{_name}-epoch-seconds", _model, "epoch_seconds")
    _register_seconds(f"{_name}-inference-seconds", _model, "inference_seconds")


@figure("seconds-saved")
def _(evidence):
    large, small = (evidence.profile(m) for m in ("keras_cnn", "pytorch_cnn"))
    return _theirs(evidence, large.epoch_seconds - small.epoch_seconds)


def _register_ratio(claim_id, larger, smaller, field):
    @figure(claim_id)
    def _(evidence):
        above, below = (getattr(evidence.profile(m), field) for m in (larger, smaller))
        return Finding(above / below, TIMES)


_register_ratio("epoch-ratio", "keras_cnn", "pytorch_cnn", "epoch_seconds")
_register_ratio("inference-ratio", "keras_cnn", "pytorch_cnn", "inference_seconds")
_register_ratio("small-net-epoch-ratio", "pytorch_cnn", "small_net", "epoch_seconds")
_register_ratio(
    "small-net-inference-ratio", "pytorch_cnn", "small_net", "inference_seconds"
)


def _pairs(evidence):
    """Pairs of models, the one with fewer parameters first."""
    profiles = [evidence.profile(model) for model in MODELS]
    ordered = sorted(profiles, key=lambda profile: profile.num_parameters)
    return list(itertools.combinations(ordered, 2))


def _register_usually(claim_id, field):
    @figure(claim_id)
    def _(evidence):
        pairs = _pairs(evidence)
        less = sum(getattr(a, field) < getattr(b, field) for a, b in pairs)
        return Finding(100 * less / len(pairs), TIMES)


_register_usually("smaller-usually-trains-faster", "epoch_seconds")
_register_usually("smaller-usually-infers-faster", "inference_seconds")


@figure("time-is-not-monotonic")
def _(evidence):
    ratios = [a.inference_seconds / b.inference_seconds for a, b in _pairs(evidence)]
    return Finding(max(ratios), TIMES)


def _register_memory(claim_id, model, batch_size):
    @figure(claim_id)
    def _(evidence):
        profile = evidence.profile(model)
        measured = profile.accelerator_process_mib
        if measured is not None and profile.batch_size == batch_size:
            return Finding(measured, TIMES)
        return Finding(evidence.memory_mib(model, PICTURE, batch_size), ESTIMATE)


def _register_memory_of_an_image(claim_id, model):
    @figure(claim_id)
    def _(evidence):
        small, large = article.SMALL_BATCH, article.LARGE_BATCH
        mib = [evidence.memory_mib(model, PICTURE, size) for size in (small, large)]
        return Finding((mib[1] - mib[0]) * 2**20 / 1000 / (large - small), ESTIMATE)


for _model in ("pytorch_cnn", "keras_cnn"):
    _name = _model.replace("_", "-")
    _register_memory(f"{_name}-memory", _model, article.SMALL_BATCH)
    _register_memory(f"{_name}-memory-large-batch", _model, article.LARGE_BATCH)
    _register_memory_of_an_image(f"{_name}-memory-of-an-image", _model)


# What follows rests on the sizes of tensors, which are the same on any device.


@figure("convolutions-are-memory-hungry")
def _(evidence):
    mib = [
        evidence.memory_mib(model, PICTURE, article.LARGE_BATCH)
        for model in ("pytorch_cnn", "keras_mlp")
    ]
    return Finding(mib[0] / mib[1])


def _distance(evidence, shape):
    large, small = (
        evidence.memory_mib(model, shape, 1) for model in ("keras_cnn", "pytorch_cnn")
    )
    return large - small


@figure("larger-images-widen-the-gap")
def _(evidence):
    return Finding(_distance(evidence, LARGE_PICTURE) / _distance(evidence, PICTURE))


@figure("a-volume-does-not-fit")
def _(evidence):
    return Finding(evidence.memory_mib("keras_cnn", VOLUME, 1) / 1024)
