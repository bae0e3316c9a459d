"""Scores of tiny networks on training images that were held back."""

import dataclasses
import functools
import json
from collections.abc import Iterable

import numpy as np
import pandas as pd

from tradeoffs import records, series
from tradeoffs.data import mnist
from tradeoffs.models import build, count_parameters
from tradeoffs.models.rows import ROWS
from tradeoffs.processes import FreshProcesses
from tradeoffs.progress import bar
from tradeoffs.schedules import CYCLE, Schedule

CHANCE = 0.1  # the accuracy that one that diverged counts as
ABLATED = 518
ABLATION_SEEDS = range(200, 205)
AS_CHOSEN = "as chosen"
# What is taken back, one at a time: arguments of `tiny`, and of the schedule.
CHANGES = {
    "max pools": ({"pool_kind": "max"}, {}),
    "ReLU": ({"activation": "relu"}, {}),
    "no fixed factor": ({"scale": 1}, {}),
    "norms with a scale, a filter less": (
        {"norm": "batch", "filters": [4, 6, 8, 10]},
        {},
    ),
    "no norms": ({"norm": None}, {}),
    "a tenth of the learning rate": ({}, {"learning_rate": 0.01}),
    "a constant learning rate": ({}, {"cycle": False}),
    "the article's optimizer, SGD": (
        {},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.0},
    ),
}


def score(
    networks: list[dict],
    schedule: Schedule,
    seeds: Iterable[int],
    *,
    progress: bool = True,
):
    """Accuracies of tiny networks on 10,000 training images that were held back.

    Each is trained side by side with the others on the other 50,000, to the last
    epoch, on one thread.

    Args:
        networks: arguments of `tradeoffs.build("tiny", ...)` for each, of equal layers.
        schedule: a `Schedule`.
        seeds: each network is trained with each.
        progress: show a bar.

    Returns:
        A DataFrame of a row a network: its arguments and what the schedule has other
        than `CYCLE`, as JSON; its parameters, seeds, and accuracies in the order of the
        seeds; how many diverged, which count as chance; and the seconds of a training.
    """
    from tradeoffs.training import TrainingError
    from tradeoffs.training.stacked import fit_stacked

    seeds = list(seeds)
    runs = fit_stacked(
        [build("tiny", seed=seed, **a) for a in networks for seed in seeds],
        mnist().validation_split(),
        schedule,
        seeds * len(networks),
        threads=series.THREADS,
        progress=progress,
    )
    usual, given = map(dataclasses.asdict, (CYCLE, schedule))
    changes = {name: value for name, value in given.items() if value != usual[name]}
    rows = []
    for place, arguments in enumerate(networks):
        of_seeds = runs[place * len(seeds) : (place + 1) * len(seeds)]
        fine = [run for run in of_seeds if not isinstance(run, TrainingError)]
        found = [CHANCE if run not in fine else run.test_accuracy for run in of_seeds]
        seconds = [sum(run.history_columns["train_seconds"]) for run in fine]
        rows.append(
            {
                "network": json.dumps(arguments),
                "schedule": json.dumps(changes),
                "num_parameters": count_parameters("tiny", **arguments),
                "seeds": " ".join(map(str, seeds)),
                "accuracies": " ".join(f"{accuracy:.4f}" for accuracy in found),
                "diverged": len(of_seeds) - len(fine),
                "seconds": round(float(np.mean(seconds or [0])), 1),
            }
        )
    return pd.DataFrame(rows)


def record_ablation(*, jobs: int = 1) -> None:
    """Score the 518 row as it is, and with each of `CHANGES` taken back; five seeds.

    All have the row's own epochs, and seeds that neither a candidate nor a row had.

    Args:
        jobs: changes at once, a process and a thread each.
    """
    path = records.results_folder() / "smaller" / "ablation.csv"
    records.check_writable(path)
    row, tried = ROWS[ABLATED], {AS_CHOSEN: ({}, {}), **CHANGES}
    networks = [[row.arguments | arguments] for arguments, _ in tried.values()]
    schedules = [row.schedule.replace(**changes) for _, changes in tried.values()]
    alike = functools.partial(score, seeds=ABLATION_SEEDS, progress=False)
    with FreshProcesses(jobs, threads=series.THREADS) as processes:
        scored = processes.map(alike, networks, schedules)
        found = pd.concat(bar(iterable=scored, total=len(tried), desc="ablation"))
    found.insert(0, "tried", list(tried))
    records.write(path, found.to_csv(index=False))


def table(name: str):
    """A table of scores on held-back images, with the mean and deviation over seeds.

    Args:
        name: of a file in `results/smaller/`: "candidates", everything that was tried
            for every row; or "ablation", the 518 row with one change taken back at a
            time.

    Returns:
        A DataFrame with the columns of `score`, what was tried ("tried"), and mean and
        std, from 0 to 1; the sample deviation, NaN for a single seed.

    Raises:
        RecordError: the file is missing or damaged.
    """
    path = records.results_folder() / "smaller" / f"{name}.csv"
    try:
        found = pd.read_csv(path, dtype={"seeds": str, "accuracies": str})
        whole = found.accuracies.map(str.strip)  # an empty cell is no text
        seeds = whole.str.split(expand=True).astype(float)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise records.RecordError(f"{path} is no table of scores: {error}") from error
    return found.assign(mean=seeds.mean(axis=1), std=seeds.std(axis=1))
