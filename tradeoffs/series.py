"""Runs from the records, and how they are made again.

Every recorded run trains in a process of its own, on one thread: for networks
this small two processes on a thread each finish sooner than one on two, the
order of additions does not depend on the machine's number of cores, and the
frameworks never meet. The seeds of a small network train side by side in one.
"""

import json
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np

from tradeoffs import records, weights
from tradeoffs.data import check_name, dataset_named
from tradeoffs.experiments import Experiment, Run, variant
from tradeoffs.frameworks import set_threads
from tradeoffs.models import build, framework_for
from tradeoffs.models.rows import arguments_of
from tradeoffs.processes import FreshProcesses, in_fresh_process
from tradeoffs.progress import bar
from tradeoffs.recorded import same_series
from tradeoffs.schedules import ARTICLE, Schedule

THREADS = 1
SEEN = 1_000  # training images that stand in for test images
STACKED_MODELS = "small_net", "tiny"  # whose seeds train side by side


def run(
    model: str,
    framework: str | None = None,
    *,
    schedule: Schedule = ARTICLE,
    seed: int = 0,
    dataset: str = "mnist",
    progress: bool = True,
    **model_arguments,
) -> Run:
    """A named model's run: from the records, or else trained and recorded.

    Args:
        model: one of `MODELS` or `FURTHER_MODELS`.
        framework: "keras" or "pytorch"; by default the published one.
        schedule: as `ARTICLE`.
        seed: of initial weights, order and dropout.
        dataset: "mnist", "fashion_mnist", or what is made of one, such as
            "mnist-head600-10000"; see `tradeoffs.data.dataset_named`.
        progress: show a bar if it has to train.
        model_arguments: of the model's function.

    Raises:
        ValueError: no such model, framework or data set.
        TypeError: an argument that the model does not take.
        RecordError: there is a record, but it cannot be trusted.
        OSError: a record cannot be written; nothing was trained.

    >>> import tradeoffs
    >>> run = tradeoffs.run("gap_cnn", seed=2)
    >>> run.test_accuracy, run.num_parameters
    (0.9911, 7090)
    """
    experiment = _named(model, framework, schedule, seed, model_arguments, dataset)
    if recorded := records.load(experiment):
        return recorded
    records.check_writable(records.results_folder() / experiment.path)
    options = {"threads": THREADS, "framework": experiment.framework}
    in_fresh_process(train_and_record, [experiment], progress, **options)
    return records.load(experiment)


def runs(
    model: str,
    framework: str | None = None,
    *,
    schedule: Schedule = ARTICLE,
    dataset: str = "mnist",
    **model_arguments,
) -> list[Run]:
    """The recorded series of a network under a schedule on a data set, seed by seed.

    Raises:
        ValueError: no such model, framework or data set.
        RecordError: no series of runs is recorded of this; a seed of it is
            missing, which the message names; or a record cannot be trusted.

    >>> import tradeoffs
    >>> [run.test_accuracy for run in tradeoffs.runs("pytorch_cnn")][:5]
    [0.99, 0.9891, 0.9896, 0.9897, 0.9878]
    """
    wanted = _named(model, framework, schedule, 0, model_arguments, dataset)
    series = same_series(wanted)
    if not series:
        raise records.RecordError(
            f"no series of runs is recorded of {wanted.variant} in {wanted.framework} "
            f"under {schedule.name} on {dataset}; leave out an argument that has its "
            "default. tradeoffs.run trains and records single runs, a seed at a time"
        )
    found = [records.load(experiment) for experiment in series]
    if None in found:
        experiment = series[found.index(None)]
        raise records.RecordError(
            f"seed {experiment.seed} is missing: there is no "
            f"{records.results_folder() / experiment.path}. 'python -m tradeoffs "
            f"reproduce' makes it; {records.WHERE}"
        )
    return found


def _named(model, framework, schedule, seed, arguments, dataset):
    check_name(dataset)
    network = model, framework_for(model, framework), schedule
    return Experiment(*network, seed, arguments, dataset)


def train(experiments: list[Experiment], **fit_options) -> list[tuple]:
    """Train an experiment in this process, on one thread; several as one stack.

    Args:
        experiments: one, or several that differ in their seeds alone.
        fit_options: of `tradeoffs.fit`.

    Returns:
        The trained network and the `Run` of each.
    """
    if not experiments[0].tested_once:
        return _trained(experiments, dataset_named(experiments[0].dataset), fit_options)
    _check_noted(experiments)
    done = trained_untested(experiments, **fit_options)
    return [(network, tested(network, run)) for network, run in done]


def _check_noted(experiments):
    """Raise a RecordError unless the test images were read for these already."""
    path = note_path(experiments[0])
    note = json.loads(path.read_text()) if path.exists() else {"weights": {}}
    for experiment in experiments:
        network = variant("tiny", arguments_of(**experiment.model_arguments))
        if not (
            str(experiment.seed) in note["weights"]
            and experiment.dataset == "mnist"
            and note["network"] == network
            and Schedule(**note["schedule"]) == experiment.schedule
        ):
            raise records.RecordError(
                f"the test images were not read yet for {experiment.path}; "
                "'python -m tradeoffs smaller --test' reads them, once, for each row's "
                "own network, schedule and seeds"
            )


def trained_untested(experiments: list[Experiment], **fit_options) -> list[tuple]:
    """As `train`, for experiments whose test images are read once: not yet.

    What is tested in their place after each epoch, and is not noted, are training
    images. Each batch norm is folded after the last epoch.
    """
    from tradeoffs.models.tiny import fold_norms

    dataset = dataset_named(experiments[0].dataset)
    seen = dataset.train_images[:SEEN], dataset.train_labels[:SEEN]
    withheld = replace(dataset, test_images=seen[0], test_labels=seen[1])
    done = _trained(experiments, withheld, fit_options)
    for _, run in done:
        for column in "test_loss", "test_accuracy":
            run.history_columns[column] = [None] * len(run.history_columns["epoch"])
    return [(fold_norms(network), run) for network, run in done]


def tested(network, run: Run) -> Run:
    """The run with what its network makes of the test images."""
    from tradeoffs.training.pytorch import Trainer

    schedule, seed = run.experiment.schedule, run.experiment.seed
    dataset = dataset_named(run.experiment.dataset)
    loss, predictions = Trainer(network, dataset, schedule, seed).evaluate()
    columns = {column: [*values] for column, values in run.history_columns.items()}
    columns["test_loss"][-1] = loss
    columns["test_accuracy"][-1] = float(np.mean(predictions == dataset.test_labels))
    predictions = predictions.astype(np.uint8)
    return replace(run, history_columns=columns, test_predictions=predictions)


def note_path(experiment: Experiment) -> Path:
    """Where it is noted that the test images were read for an experiment's row."""
    limit = experiment.model_arguments["parameters"]
    return records.results_folder() / "smaller" / f"{limit}.json"


def _trained(experiments, dataset, fit_options):
    from tradeoffs.training import fit

    first = experiments[0]
    set_threads(first.framework, THREADS)
    networks = [
        build(e.model, e.framework, seed=e.seed, **e.model_arguments)
        for e in experiments
    ]
    if len(experiments) == 1:
        options = fit_options | {"experiment": first}
        done = [fit(networks[0], dataset, first.schedule, first.seed, **options)]
    else:
        from tradeoffs.training.stacked import fit_stacked

        seeds = [e.seed for e in experiments]
        options = fit_options | {"experiments": experiments}
        done = fit_stacked(networks, dataset, first.schedule, seeds, **options)
    for found in done:
        if isinstance(found, Exception):
            raise found
    return list(zip(networks, done, strict=True))


def train_and_record(
    experiments: list[Experiment],
    progress: bool = True,
    jobs: int = 1,
    position: int | None = None,
) -> None:
    """Train experiments as `train` does, and write their records.

    Args:
        experiments, progress, position: as of `train`.
        jobs: trainings that run at the same time, this one among them; they
            slow each other down a little, so the record says how many.
    """
    for network, found in train(experiments, progress=progress, position=position):
        record(network, found, jobs)


def record(network, run: Run, jobs: int) -> None:
    """Write a run's record, and its network's weights if they are kept."""
    noted = run.environment | {"trainings_at_once": jobs}
    weights.save_weights(run, network)
    records.save(replace(run, environment=noted))


def missing(experiments: list[Experiment]) -> list[Experiment]:
    """Those of the experiments that have no record yet."""
    return [e for e in experiments if records.load(e) is None]


def reproduce(experiments: list[Experiment], *, jobs: int = 1) -> None:
    """Train experiments and record each as it ends.

    Args:
        experiments: trained whether or not they are recorded.
        jobs: how many to train at once.

    Raises:
        OSError: records cannot be written; nothing was trained.
        Exception: what the first training that failed raised, after all others.
    """
    for experiment in experiments:
        records.check_writable(records.results_folder() / experiment.path)
    epochs, failures = sum(e.schedule.epochs for e in experiments), []
    with (
        FreshProcesses(jobs, threads=THREADS) as processes,
        bar(total=epochs, desc="recorded", unit=" epochs") as shown,
    ):
        waiting = {
            processes.submit(
                train_and_record, stack, True, jobs, 1 + number % jobs
            ): stack
            for number, stack in enumerate(stacks(experiments))
        }
        for future in as_completed(waiting):
            if failure := future.exception():
                failures.append(failure)
                continue
            for experiment in waiting[future]:
                shown.update(experiment.schedule.epochs)
                shown.write(f"recorded {experiment.path}")
    if failures:
        raise failures[0]


def stacks(experiments: list[Experiment]) -> list[list[Experiment]]:
    """The experiments in lists that train at once: the seeds of a small network."""
    found = {}
    for experiment in experiments:
        together = experiment.model in STACKED_MODELS
        key = replace(experiment, seed=0) if together else experiment
        found.setdefault(key, []).append(experiment)
    return list(found.values())
