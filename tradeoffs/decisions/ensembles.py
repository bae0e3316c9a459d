"""Several runs that vote: what it gains, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradeoffs.experiments import Run


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble:
    """Runs that vote on each image.

    Attributes:
        runs: its members.
        test_predictions: the vote, uint8 [n].
        test_accuracy: of the vote, 0 to 1.
        num_parameters: of all members together.
        train_seconds: of all trainings together, as recorded; members trained
            beside other work, so compare costs by profiles.
    """

    runs: tuple[Run, ...]
    test_predictions: np.ndarray
    test_accuracy: float
    num_parameters: int
    train_seconds: float

    def __repr__(self):
        return (
            f"Ensemble({len(self.runs)} runs, {self.num_parameters:,} parameters, "
            f"test_accuracy={self.test_accuracy:.4f})"
        )


def ensemble(runs: list[Run], labels: np.ndarray) -> Ensemble:
    """The majority vote of recorded runs.

    Records hold labels, not probabilities, so each run has one vote an image. A
    tie goes to that of the tied labels which the earliest run in the list voted
    for; nothing about the test images decides it.

    Args:
        runs: at least one, on the same test images.
        labels: the true ones, [n].

    Raises:
        ValueError: no runs, or numbers of predictions and labels that differ.
    """
    runs = tuple(runs)
    if not runs:
        raise ValueError("there are no runs to vote")
    for run in runs:
        if len(run.test_predictions) != len(labels):
            raise ValueError(
                f"{len(run.test_predictions)} predictions of {run!r} do not pair "
                f"with {len(labels)} labels"
            )
    votes = np.stack([run.test_predictions for run in runs])  # [runs, n]
    support = (votes[:, np.newaxis] == votes).sum(1)  # those who agree, [runs, n]
    first = support.argmax(0)  # of equals the earliest
    winners = np.take_along_axis(votes, first[np.newaxis], 0)[0]
    return Ensemble(
        runs,
        winners,
        float(np.mean(winners == labels)),
        sum(run.num_parameters for run in runs),
        float(sum(run.history.train_seconds.sum() for run in runs)),
    )
