"""The recorded runs: which there are, and how they are made again.

Every recorded run trains in a process of its own, on one thread: for networks
this small two processes on a thread each finish sooner than one on two, the
order of additions does not depend on the machine's number of cores, and the
frameworks never meet. The seeds of a Small Net train side by side in one.
"""

from __future__ import annotations

from concurrent.futures import as_completed
from dataclasses import dataclass, field, replace

from tradeoffs import records, weights
from tradeoffs.data import mnist
from tradeoffs.experiments import Experiment, Run
from tradeoffs.frameworks import set_threads
from tradeoffs.models import build, framework_for
from tradeoffs.processes import FreshProcesses, in_fresh_process
from tradeoffs.progress import bar
from tradeoffs.schedules import (
    ARTICLE,
    BATCH_SIZES,
    KERAS_CNN_RECIPE,
    KERAS_CNN_RECIPE_TODAY,
    KERAS_MLP_RECIPE,
    Schedule,
    at_batch_size,
)

THREADS = 1


@dataclass(frozen=True)
class Series:
    """One network under one schedule, over the seeds from 0 on."""

    model: str
    framework: str
    schedule: Schedule
    num_seeds: int
    model_arguments: dict = field(default_factory=dict, hash=False)

    def experiments(self) -> list[Experiment]:
        """One a seed."""
        return [
            Experiment(
                self.model, self.framework, self.schedule, seed, self.model_arguments
            )
            for seed in range(self.num_seeds)
        ]


# Filters of the first two convolutions of the GAP CNN, one seed each.
GAP_FILTERS = tuple(
    (first, second)
    for first in (2, 5, 10, 20)
    for second in (5, 10, 20)
    if (first, second) != (10, 20)  # the GAP CNN itself
)

# Arguments of the Small Nets: both readings of the article, and the one that has
# its count of parameters without batch norm and with ReLU.
SMALL_NETS = (
    {},
    {"kernel_size": 5},
    {"batch_norm": False},
    {"slope": 0.0},
    {"slope": 0.0, "batch_norm": False},
)
# The best of the recorded searches with at most the article's 518 parameters:
# of the networks whose pool's windows do not overlap, and of all.
WITHOUT_OVERLAP = {"filters": [3, 7], "kernel_size": 5, "second_kernel_size": 4}
WITHOUT_OVERLAP |= {"pool": 4, "slope": 0.1, "batch_norm": False}
CHOSEN_SMALL_NET = WITHOUT_OVERLAP | {"pool": 6, "pool_stride": 4, "slope": 0.3}

SWEPT = [size for size in reversed(BATCH_SIZES) if size != ARTICLE.batch_size]

# Every series of runs in the repository, the quick ones first.
SERIES = (
    *(
        Series("small_net", "pytorch", ARTICLE, 5, arguments)
        for arguments in (*SMALL_NETS, WITHOUT_OVERLAP, CHOSEN_SMALL_NET)
    ),
    Series("gap_cnn", "pytorch", ARTICLE, 5),
    Series("gap_cnn", "pytorch", ARTICLE, 5, {"dropout": True}),
    Series("pytorch_cnn", "pytorch", ARTICLE, 5),
    Series("keras_mlp", "keras", ARTICLE, 5),
    Series("keras_mlp", "pytorch", ARTICLE, 3),
    Series("keras_mlp", "keras", KERAS_MLP_RECIPE, 1),
    Series("keras_cnn", "keras", ARTICLE, 3),
    Series("keras_cnn", "pytorch", ARTICLE, 3),
    Series("keras_cnn", "keras", KERAS_CNN_RECIPE, 1),
    Series("keras_cnn", "keras", KERAS_CNN_RECIPE_TODAY, 1),
    *(
        Series("gap_cnn", "pytorch", ARTICLE, 1, {"filters": list(filters)})
        for filters in GAP_FILTERS
    ),
    # A batch of one takes a quarter of an hour and more a seed.
    *(Series("pytorch_cnn", "pytorch", at_batch_size(n), 1 + (n > 16)) for n in SWEPT),
    *(
        Series("pytorch_cnn", "pytorch", at_batch_size(n, scaled=True), 2)
        for n in SWEPT
        if n > 16
    ),
    *(Series("small_net", "pytorch", at_batch_size(n), 5) for n in SWEPT),
)


# A further run of each larger model, whose weights are kept. It is in no series, so
# it counts in no mean.
KEPT = tuple(
    Experiment(model, "pytorch", ARTICLE, weights.KEPT_SEED)
    for model in ("gap_cnn", "pytorch_cnn", "keras_mlp", "keras_cnn")
)


def recorded_experiments() -> list[Experiment]:
    """Every experiment that the repository holds a record of."""
    return [*(e for series in SERIES for e in series.experiments()), *KEPT]


def run(
    model: str,
    framework: str | None = None,
    *,
    schedule: Schedule = ARTICLE,
    seed: int = 0,
    progress: bool = True,
    **model_arguments,
) -> Run:
    """A named model's run: from the records, or else trained and recorded.

    Args:
        model: one of `MODELS`.
        framework: "keras" or "pytorch"; by default the published one.
        schedule: as `ARTICLE`.
        seed: of initial weights, order and dropout.
        progress: show a bar if it has to train.
        model_arguments: of the model's function.

    Raises:
        ValueError: no such model or framework.
        TypeError: an argument that the model does not take.
        RecordError: there is a record, but it cannot be trusted.
        OSError: a record cannot be written; nothing was trained.
    """
    experiment = Experiment(
        model, framework_for(model, framework), schedule, seed, model_arguments
    )
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
    **model_arguments,
) -> list[Run]:
    """All recorded runs of a network under a schedule, seed by seed.

    Raises:
        ValueError: no such model or framework.
        RecordError: no series of runs is recorded of this; a seed of it is
            missing, which the message names; or a record cannot be trusted.
    """
    wanted = Experiment(
        model, framework_for(model, framework), schedule, 0, model_arguments
    )
    series = same_series(wanted)
    if not series:
        raise records.RecordError(
            f"no series of runs is recorded of {wanted.variant} in {wanted.framework} "
            f"under {schedule.name}; tradeoffs.run trains and records one run"
        )
    found = [records.load(experiment) for experiment in series]
    if None in found:
        experiment = series[found.index(None)]
        raise records.RecordError(
            f"seed {experiment.seed} is missing: there is no "
            f"{records.results_folder() / experiment.path}. 'python -m tradeoffs "
            f"reproduce' makes it; the {records.POINT}"
        )
    return found


def same_series(experiment: Experiment) -> list[Experiment]:
    """The recorded experiments that differ from this one in the seed alone."""
    return [
        other
        for series in SERIES
        for other in series.experiments()
        if replace(other, seed=experiment.seed) == experiment
    ]


def train(experiments: list[Experiment], **fit_options) -> list[tuple]:
    """Train an experiment in this process, on one thread; several as one stack.

    Args:
        experiments: one, or several that differ in their seeds alone.
        fit_options: of `tradeoffs.fit`.

    Returns:
        The trained network and the `Run` of each.
    """
    from tradeoffs.training import fit

    first = experiments[0]
    set_threads(first.framework, THREADS)
    networks = [
        build(e.model, e.framework, seed=e.seed, **e.model_arguments)
        for e in experiments
    ]
    if len(experiments) == 1:
        options = fit_options | {"experiment": first}
        done = [fit(networks[0], mnist(), first.schedule, first.seed, **options)]
    else:
        from tradeoffs.training.stacked import fit_stacked

        seeds = [e.seed for e in experiments]
        options = fit_options | {"experiments": experiments}
        done = fit_stacked(networks, mnist(), first.schedule, seeds, **options)
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
        experiments: what to train.
        progress: show a bar.
        jobs: trainings that run at the same time, this one among them; they
            slow each other down a little, so the record says how many.
        position: the line of the bar.
    """
    for network, found in train(experiments, progress=progress, position=position):
        noted = found.environment | {"trainings_at_once": jobs}
        weights.save_weights(found, network)
        records.save(replace(found, environment=noted))


def missing(experiments: list[Experiment]) -> list[Experiment]:
    """Those of the experiments that have no record yet."""
    return [e for e in experiments if records.load(e) is None]


def reproduce(experiments: list[Experiment], *, jobs: int = 1, progress=True) -> None:
    """Train experiments and record each as it ends.

    Args:
        experiments: trained whether or not they are recorded.
        jobs: how many to train at once.
        progress: show a bar for the whole, and one for each training.

    Raises:
        OSError: records cannot be written; nothing was trained.
    """
    for experiment in experiments:
        records.check_writable(records.results_folder() / experiment.path)
    epochs = sum(experiment.schedule.epochs for experiment in experiments)
    with (
        FreshProcesses(jobs, threads=THREADS) as processes,
        bar(progress, total=epochs, desc="recorded", unit=" epochs") as shown,
    ):
        waiting = {
            processes.submit(
                train_and_record, stack, progress, jobs, 1 + number % jobs
            ): stack
            for number, stack in enumerate(stacks(experiments))
        }
        for future in as_completed(waiting):
            future.result()
            for experiment in waiting[future]:
                shown.update(experiment.schedule.epochs)
                shown.write(f"recorded {experiment.path}")


def stacks(experiments: list[Experiment]) -> list[list[Experiment]]:
    """The experiments in lists that train at once: the seeds of a Small Net."""
    found = {}
    for experiment in experiments:
        together = experiment.model == "small_net"
        key = replace(experiment, seed=0) if together else experiment
        found.setdefault(key, []).append(experiment)
    return list(found.values())
