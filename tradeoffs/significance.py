"""Is it the same accuracy? Intervals and paired tests on recorded predictions.

Both come from statsmodels; this page brings runs into their form.
"""

from __future__ import annotations

import numpy as np

from tradeoffs.records import Run


def wilson_interval(
    accuracy: float, num_images: int = 10_000, confidence: float = 0.95
) -> tuple[float, float]:
    """Where the accuracy on further images of the kind would lie.

    Wilson's score interval for a share. It is about the images that were
    drawn for the test, not about the seed of the training.

    Args:
        accuracy: on the test images, from 0 to 1.
        num_images: of the test.
        confidence: of the interval, between 0 and 1.

    Returns:
        The lower and the upper end, from 0 to 1.

    Raises:
        ValueError: a value out of range.

    >>> low, high = wilson_interval(0.9893)
    >>> f"{low:.4f} to {high:.4f}"
    '0.9871 to 0.9911'
    """
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy is {accuracy}; it must be from 0 to 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1")
    if num_images < 1:
        raise ValueError(f"num_images is {num_images}; it must be at least 1")
    low, high = proportion_confint(
        accuracy * num_images, num_images, alpha=1 - confidence, method="wilson"
    )
    return float(low), float(high)


def paired_test(first: Run, second: Run, labels: np.ndarray) -> dict[str, float]:
    """McNemar's exact test: do two runs err on different numbers of images?

    Only the images that one of the two gets right tell them apart.

    Args:
        first, second: runs on the same test images.
        labels: the true ones, [n].

    Returns:
        The number of images that only the first and only the second gets
        right, and the p-value under the hypothesis that they err alike.

    Raises:
        ValueError: the numbers of predictions and labels differ.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    a, b = (run.test_predictions for run in (first, second))
    if not len(a) == len(b) == len(labels):
        raise ValueError(
            f"{len(a)} and {len(b)} predictions do not pair with {len(labels)} labels"
        )
    right, also = a == labels, b == labels
    table = [
        [np.sum(right & also), np.sum(right & ~also)],
        [np.sum(~right & also), np.sum(~right & ~also)],
    ]
    return {
        "only_first_right": int(table[0][1]),
        "only_second_right": int(table[1][0]),
        "p_value": float(mcnemar(table, exact=True).pvalue),
    }


def paired_tests(first: list[Run], second: list[Run], labels: np.ndarray):
    """`paired_test` of each pair of runs, as a DataFrame, a row a seed."""
    import pandas as pd

    pairs = zip(first, second, strict=True)
    rows = [paired_test(a, b, labels) for a, b in pairs]
    return pd.DataFrame(rows, index=[run.experiment.seed for run in first]).rename_axis(
        "seed"
    )
