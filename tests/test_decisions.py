"""Choosing a size, and telling two accuracies apart."""

import dataclasses
import math

import numpy as np
import pytest

import tradeoffs
from tradeoffs import paired_test, rule_of_thumb, wilson_interval
from tradeoffs.returns import Bounds


def test_rule_of_thumb_gives_the_article_s_bounds_for_mnist(mnist):
    bounds = rule_of_thumb(len(mnist.train_labels), mnist.train_images[0].size)
    assert bounds == Bounds(1_000, 100_000)
    assert [bounds.verdict(n) for n in (518, 21_840, 1_199_882)] == [
        "below",
        "within",
        "above",
    ]


def test_rule_of_thumb_refuses_what_it_cannot_answer():
    with pytest.raises(ValueError, match="num_features is 0"):
        rule_of_thumb(100, 0)
    with pytest.raises(TypeError, match="num_observations is 1"):
        rule_of_thumb(1.5, 10)
    with pytest.raises(ValueError, match="no room"):
        rule_of_thumb(100, 10_000)


def test_wilson_interval_is_the_known_formula():
    p, n, z = 0.9, 200, 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson_interval(p, n) == pytest.approx((middle - half, middle + half))
    assert wilson_interval(1.0)[1] == pytest.approx(1)
    for bad in (
        {"accuracy": math.nan},
        {"accuracy": 2},
        {"accuracy": 0.5, "num_images": 0},
    ):
        with pytest.raises(ValueError, match="must be"):
            wilson_interval(**bad)
    with pytest.raises(ValueError, match="confidence is 95"):
        wilson_interval(0.5, confidence=95)


def test_paired_test_counts_the_images_that_tell_two_runs_apart(mnist):
    run = tradeoffs.runs("pytorch_cnn")[0]
    labels = mnist.test_labels
    perfect = dataclasses.replace(run, test_predictions=labels)
    errors = int(np.sum(run.test_predictions != labels))
    found = paired_test(perfect, run, labels)
    assert found["only_first_right"] == errors
    assert found["only_second_right"] == 0
    assert found["p_value"] == pytest.approx(2 * 0.5**errors)
    assert paired_test(run, run, labels)["p_value"] == 1
    with pytest.raises(ValueError, match="do not pair"):
        paired_test(run, run, labels[:10])
