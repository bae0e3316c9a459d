"""Tools of the functions that compute our figures, and the list of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tradeoffs.evidence import Evidence
from tradeoffs.verdicts.claim import RUNS, Finding

FIGURES: dict[str, Callable[[Evidence], Finding]] = {}
CONFIDENCE = 0.95


def figure(claim_id: str):
    """Make a function the one that computes a claim's figure."""

    def register(function):
        if claim_id in FIGURES:
            raise ValueError(f"{claim_id!r} has two functions")
        FIGURES[claim_id] = function
        return function

    return register


def accuracies(runs) -> np.ndarray:
    """Test accuracies in per cent, [n]."""
    return np.array([run.test_accuracy for run in runs]) * 100


def losses(runs) -> np.ndarray:
    """Test losses in nats, [n]."""
    return np.array([run.test_loss for run in runs])


def another_run(values) -> Finding:
    """The mean over seeds, and how far one more run may lie from it.

    The margin is that of the 95 % prediction interval of Student's t.
    """
    spread = np.std(values, ddof=1) * math.sqrt(1 + 1 / len(values))
    return Finding(np.mean(values), RUNS, _t(len(values) - 1) * spread)


def another_pair(first, second) -> Finding:
    """The difference of the means, and how far one more pair of runs may lie off."""
    parts = [np.var(v, ddof=1) * (1 + 1 / len(v)) for v in (first, second)]
    return _difference(first, second, parts)


def difference(first, second) -> Finding:
    """The difference of the means, with Welch's 95 % margin."""
    parts = [np.var(v, ddof=1) / len(v) for v in (first, second)]
    return _difference(first, second, parts)


def _difference(first, second, variances):
    total = sum(variances)
    sizes = (len(first), len(second))
    # Satterthwaite's degrees of freedom.
    below = sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    margin = _t(total**2 / below) * math.sqrt(total) if total else 0.0
    return Finding(np.mean(first) - np.mean(second), RUNS, margin)


def mean_of_pairs(differences) -> Finding:
    """The mean of paired differences, with its 95 % margin."""
    spread = np.std(differences, ddof=1) / math.sqrt(len(differences))
    return Finding(np.mean(differences), RUNS, _t(len(differences) - 1) * spread)


def _t(degrees: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
