"""Ensembles: several networks that answer together.

Records hold labels, so any recorded runs can vote. The mean of probabilities needs
the networks, whose weights are mostly not kept: `results/ensembles.json` has what it
scores, of networks that were trained again.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tradeoffs import measurements, records, series, weights
from tradeoffs.checks import array_view, list_of_runs
from tradeoffs.data import dataset_named
from tradeoffs.experiments import Experiment, Run
from tradeoffs.processes import FreshProcesses
from tradeoffs.progress import bar
from tradeoffs.recorded import KEPT, seeds_of

# The networks whose probabilities are averaged: those of seed 5 are kept.
MEMBERS = {
    "keras_cnn": (
        *seeds_of("keras_cnn", 2, "keras", first=3),
        *seeds_of("keras_cnn", 1, first=weights.KEPT_SEED),
    ),
    "gap_cnn": seeds_of("gap_cnn", 5, first=weights.KEPT_SEED),
}
JOBS = 2  # trainings at once


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble:
    """Runs that vote on each image.

    Attributes:
        runs: its members.
        test_predictions: the vote, uint8 [n].
        test_accuracy: of the vote, 0 to 1.
        shares: how far the vote is right on each image, whoever votes first: 1 where
            the true label has most votes, 1/k where it shares them with k - 1 others,
            and else 0, float [n].
        num_parameters: of all members together.
    """

    runs: tuple[Run, ...]
    test_predictions: np.ndarray
    test_accuracy: float
    shares: np.ndarray
    num_parameters: int

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
        TypeError, ValueError: labels that are no whole numbers, [n]; no runs, or
            numbers of predictions and labels, or data sets, that differ.

    >>> import tradeoffs
    >>> runs = tradeoffs.runs("gap_cnn")[:5]
    >>> tradeoffs.ensemble(runs, tradeoffs.mnist().test_labels)
    Ensemble(5 runs, 35,450 parameters, test_accuracy=0.9936)
    """
    labels = array_view("labels", labels, {1: "[n]"}, np.integer)
    runs = tuple(list_of_runs(runs))
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
    most = support.max(0)
    sharing = (support == most).sum(0) / most  # labels with as many votes
    winners = votes[support.argmax(0), np.arange(len(labels))]  # of equals the earliest
    return Ensemble(
        runs,
        winners,
        float(np.mean(winners == labels)),
        np.where((votes == labels).sum(0) == most, 1 / sharing, 0.0),
        sum(run.num_parameters for run in runs),
    )


def recorded_ensembles() -> list[dict]:
    """The recorded ensembles: one mapping for each model of `MEMBERS`.

    Returns:
        model; parameters of all members together; and the test accuracies, 0 to 1:
        alone, a list, vote and mean_probability.

    Raises:
        EvidenceError: the file is missing or damaged.

    >>> import tradeoffs
    >>> [len(row["alone"]) for row in tradeoffs.recorded_ensembles()]
    [3, 5]
    """
    return measurements.recorded_rows("ensembles")


def record_ensembles() -> None:
    """Train the `MEMBERS` again, and write how the mean of their answers scores."""
    asked = [experiment for members in MEMBERS.values() for experiment in members]
    with FreshProcesses(JOBS, threads=series.THREADS) as processes:
        answers = processes.map(probabilities, asked)
        shown = bar(iterable=answers, total=len(asked), desc="ensembles")
        found = dict(zip(asked, shown, strict=True))
    rows = [
        row_of(model, members, [found[experiment] for experiment in members])
        for model, members in MEMBERS.items()
    ]
    measurements.write_rows("ensembles", rows)


def row_of(model: str, members: Sequence[Experiment], found: list) -> dict:
    """A mapping of `recorded_ensembles`, of the members' probabilities."""
    labels = dataset_named("mnist").test_labels
    runs = [
        replace(records.load(experiment), test_predictions=its.argmax(1))
        for experiment, its in zip(members, found, strict=True)
    ]
    together = ensemble(runs, labels)
    mean = np.mean(found, axis=0).argmax(1)
    return {
        "model": model,
        "num_parameters": together.num_parameters,
        "alone": [ensemble([run], labels).test_accuracy for run in runs],
        "vote": together.test_accuracy,
        "mean_probability": float(np.mean(mean == labels)),
    }


def probabilities(experiment: Experiment) -> np.ndarray:
    """What a network answers to the test images, [n, classes], after training again.

    Those in `KEPT` come with the weights that are kept.
    """
    if experiment in KEPT:
        network = weights.trained(records.load(experiment))
    else:
        ((network, _),) = series.train([experiment], progress=False)
    dataset = dataset_named(experiment.dataset)
    page = importlib.import_module(f"tradeoffs.training.{experiment.framework}")
    scaling = experiment.schedule.input_scaling
    images = page.images_to_tensor(dataset.test_images, scaling, dataset.pixels)
    if experiment.framework == "keras":
        return network.predict(images, batch_size=page.EVALUATION_BATCH, verbose=0)
    import torch

    with torch.inference_mode():
        parts = images.split(page.EVALUATION_BATCH)
        return torch.cat([network.eval()(some).softmax(1) for some in parts]).numpy()
