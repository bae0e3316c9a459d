"""Figures that can be counted: parameters, bytes, operations, and their ratios."""

from __future__ import annotations

import itertools
import math

from tradeoffs.decisions.rule import rule_of_thumb
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import MIB
from tradeoffs.verdicts.claim import Finding
from tradeoffs.verdicts.figures import figure

TRAINING_IMAGES = 60_000  # of MNIST
FIRST_LINEAR = 320 * 50 + 50  # weights and biases, of the PyTorch CNN


def _parameters(evidence, model):
    return evidence.profile(model).num_parameters


def _register_parameters(model):
    @figure(f"{model.replace('_', '-')}-parameters")
    def _(evidence):
        return Finding(_parameters(evidence, model))


def _register_ratio(claim_id, larger, smaller):
    @figure(claim_id)
    def _(evidence):
        return Finding(_parameters(evidence, larger) / _parameters(evidence, smaller))


def _register_size(claim_id, model):
    @figure(claim_id)
    def _(evidence):
        return Finding(evidence.profile(model).weight_bytes / MIB)


for _model in MODELS:
    _register_parameters(_model)
_register_ratio("keras-cnn-to-pytorch-cnn", "keras_cnn", "pytorch_cnn")
_register_ratio("keras-mlp-to-pytorch-cnn", "keras_mlp", "pytorch_cnn")
_register_ratio("keras-cnn-to-keras-mlp", "keras_cnn", "keras_mlp")
_register_ratio("pytorch-cnn-to-gap-cnn", "pytorch_cnn", "gap_cnn")
_register_size("keras-cnn-size", "keras_cnn")
_register_size("pytorch-cnn-size", "pytorch_cnn")
_register_size("gap-cnn-size", "gap_cnn")
_register_size("keras-cnn-in-an-app", "keras_cnn")


@figure("smaller-footprint")
def _(evidence):
    profiles = [evidence.profile(model) for model in MODELS]
    pairs = list(itertools.combinations(profiles, 2))
    alike = sum(
        (a.num_parameters < b.num_parameters) == (a.weight_bytes < b.weight_bytes)
        for a, b in pairs
    )
    return Finding(100 * alike / len(pairs))


@figure("most-parameters-in-first-linear")
def _(evidence):
    return Finding(100 * FIRST_LINEAR / _parameters(evidence, "pytorch_cnn"))


@figure("gap-cnn-saves-arithmetic")
def _(evidence):
    return Finding(
        evidence.profile("gap_cnn").macs / evidence.profile("pytorch_cnn").macs
    )


@figure("pixels")
def _(evidence):
    return Finding(math.prod(evidence.profile("small_net").input_shape))


@figure("fewer-parameters-than-pixels")
def _(evidence):
    return Finding(_parameters(evidence, "small_net"))


def _bounds(evidence):
    pixels = math.prod(evidence.profile("small_net").input_shape)
    return rule_of_thumb(TRAINING_IMAGES, pixels)


@figure("rule-of-thumb-upper")
def _(evidence):
    return Finding(_bounds(evidence).upper)


@figure("rule-of-thumb-lower")
def _(evidence):
    return Finding(_bounds(evidence).lower)


@figure("a-million-is-above-the-rule")
def _(evidence):
    return Finding(_parameters(evidence, "keras_cnn") / _bounds(evidence).upper)
