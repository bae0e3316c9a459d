"""Diminishing returns: what more epochs, or more networks, still bring."""

from __future__ import annotations

import numpy as np

from tradeoffs.decisions.columns import number
from tradeoffs.decisions.costs import SECONDS_PER_HOUR
from tradeoffs.experiments import Run


def epoch_returns(runs: list[Run], epoch_seconds: float, price_per_hour: float):
    """What each epoch brought, and what it cost.

    Args:
        runs: of one network and schedule, over its seeds.
        epoch_seconds: as measured; a record's own seconds are no fair measure.
        price_per_hour: of the machine.

    Returns:
        A DataFrame, a row an epoch: epoch, accuracy (mean over seeds, 0 to 1),
        gain_points (percentage points on the epoch before; the first epoch's on
        guessing one of ten), cost (of this epoch), total_cost (up to it), and
        cost_per_point (NaN where there was no gain).

    Raises:
        TypeError, ValueError: a number is none or negative; no runs, or runs of
            different lengths.
    """
    import pandas as pd

    seconds = number("epoch_seconds", epoch_seconds)
    price = number("price_per_hour", price_per_hour)
    lengths = {len(run.history) for run in runs}
    if len(lengths) != 1:
        raise ValueError(
            "give runs of equal length, at least one; these have "
            f"{sorted(lengths)} epochs"
        )
    accuracy = np.mean([run.history.test_accuracy for run in runs], axis=0)
    gain = np.diff(accuracy, prepend=0.1) * 100
    each = seconds * price / SECONDS_PER_HOUR
    epochs = np.arange(1, len(accuracy) + 1)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "accuracy": accuracy,
            "gain_points": gain,
            "cost": each,
            "total_cost": epochs * each,
            "cost_per_point": np.where(
                gain > 0, each / np.where(gain > 0, gain, 1), np.nan
            ),
        }
    )


def expected_best(scores) -> np.ndarray:
    """The best score to expect of 1, 2, ... networks tried in random order.

    An exact expectation over all orders, each network at most once: of n
    networks, the k-th lowest is the best of m with the probability
    C(k - 1, m - 1) / C(n, m).

    Args:
        scores: of all the networks, [n], larger is better.

    Returns:
        float64 [n]; the last is the best score of all.

    Raises:
        ValueError: no scores, or one that is no finite number.

    >>> expected_best([0.9, 0.5, 0.7]).round(4).tolist()
    [0.7, 0.8333, 0.9]
    """
    scores = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"scores are {scores}; give at least one, all finite numbers")
    n = scores.size
    ranks = np.arange(1, n + 1)
    share = np.full(n, 1 / n)  # of m = 1
    best = np.empty(n)
    for m in range(1, n + 1):
        best[m - 1] = share @ scores
        # From C(k-1, m-1) / C(n, m) to the same with m + 1.
        if m < n:
            share = share * np.maximum(ranks - m, 0) * (m + 1) / (m * (n - m))
    return best
