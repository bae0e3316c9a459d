"""The recorded runs: which there are, and how they are made again.

Every recorded run trains in a process of its own, on one thread: for networks
this small two processes on a thread each finish sooner than one on two, the
order of additions does not depend on the machine's number of cores, and the
frameworks never meet.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace

from tradeoffs import records
from tradeoffs.frameworks import set_threads
from tradeoffs.models import build, framework_for, model_info
from tradeoffs.records import Experiment, Run
from tradeoffs.schedules import (
    ARTICLE,
    KERAS_CNN_RECIPE,
    KERAS_MLP_RECIPE,
    Schedule,
)

THREADS = 1

# Every series of runs in the repository, the quick ones first:
# model, framework, schedule, number of seeds.
SERIES = (
    ("pytorch_cnn", "pytorch", ARTICLE, 5),
    ("keras_mlp", "keras", ARTICLE, 5),
    ("keras_mlp", "pytorch", ARTICLE, 3),
    ("keras_mlp", "keras", KERAS_MLP_RECIPE, 1),
    ("keras_cnn", "keras", ARTICLE, 3),
    ("keras_cnn", "pytorch", ARTICLE, 3),
    ("keras_cnn", "keras", KERAS_CNN_RECIPE, 1),
)


def recorded_experiments() -> list[Experiment]:
    """Every experiment that the repository holds a record of."""
    return [
        Experiment(model, framework, schedule, seed)
        for model, framework, schedule, num_seeds in SERIES
        for seed in range(num_seeds)
    ]


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
        RecordError: there is a record, but it cannot be trusted.
    """
    experiment = Experiment(
        model, framework_for(model, framework), schedule, seed, model_arguments
    )
    recorded = records.load(experiment)
    if recorded is None:
        with _pool(1) as pool:
            pool.submit(train_and_record, experiment, progress).result()
        recorded = records.load(experiment)
    return recorded


def runs(model: str, framework: str | None = None, *, schedule=ARTICLE) -> list[Run]:
    """All runs in the repository of a model under a schedule, seed by seed."""
    model_info(model)
    framework = framework_for(model, framework)
    key = (model, framework, schedule)
    found = [records.load(e) for e in recorded_experiments() if _key(e) == key]
    return [run for run in found if run is not None]


def _key(experiment):
    return experiment.model, experiment.framework, experiment.schedule


def train(experiment: Experiment, **fit_options) -> Run:
    """Train an experiment in this process, on one thread."""
    from tradeoffs.data import mnist
    from tradeoffs.training import fit

    set_threads(experiment.framework, THREADS)
    model = build(
        experiment.model,
        experiment.framework,
        seed=experiment.seed,
        **experiment.model_arguments,
    )
    return fit(
        model,
        mnist(),
        experiment.schedule,
        experiment.seed,
        experiment=experiment,
        **fit_options,
    )


def train_and_record(
    experiment: Experiment, progress: bool = True, jobs: int = 1
) -> None:
    """Train an experiment in this process and write its record."""
    worker = multiprocessing.current_process()._identity
    position = 1 + worker[-1] % jobs if jobs > 1 and worker else None
    finished = train(experiment, progress=progress, position=position)
    # Trainings that run at the same time slow each other down a little.
    noted = finished.environment | {"trainings_at_once": jobs}
    records.save(replace(finished, environment=noted))


@contextlib.contextmanager
def _pool(jobs):
    """Fresh processes, one a training; ended with this one."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def missing(experiments: list[Experiment]) -> list[Experiment]:
    """Those of the experiments that have no record yet."""
    return [e for e in experiments if records.load(e) is None]


def expected_time(experiment: Experiment) -> str:
    """How long a training takes, going by a record of the same series."""
    for other in recorded_experiments():
        if _key(other) == _key(experiment) and (known := records.load(other)):
            seconds = known.history.train_seconds.sum()
            return f"about {max(seconds / 60, 1):.0f} min, as seed {other.seed} took"
    return "time not known yet"


def reproduce(experiments: list[Experiment], *, jobs: int = 1, progress=True) -> None:
    """Train experiments and record each as it ends.

    Args:
        experiments: trained whether or not they are recorded.
        jobs: how many to train at once.
        progress: show a bar for the whole, and one for each training.
    """
    from tqdm.auto import tqdm

    with (
        _pool(jobs) as pool,
        tqdm(
            total=sum(e.schedule.epochs for e in experiments),
            desc="recorded epochs",
            unit=" epochs",
            disable=not progress,
            position=0,
        ) as bar,
    ):
        futures = {
            pool.submit(train_and_record, e, progress, jobs): e for e in experiments
        }
        for future in as_completed(futures):
            future.result()
            bar.update(futures[future].schedule.epochs)
            bar.write(f"recorded {futures[future].path}")
