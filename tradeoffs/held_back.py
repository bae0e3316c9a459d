"""Scores of tiny networks on training images that were held back."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from tradeoffs import records, series
from tradeoffs.models.rows import ROWS
from tradeoffs.processes import FreshProcesses
from tradeoffs.progress import bar
from tradeoffs.schedules import CYCLE
from tradeoffs.searches import search
from tradeoffs.studies import IN_MEMORY

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


def record_ablation(*, jobs: int = 1) -> None:
    """Score the 518 row as it is, and with each of `CHANGES` taken back; five seeds.

    All have the row's own epochs, and seeds that neither a candidate nor a row had. The
    table is written when all are there; what was stopped starts anew.

    Args:
        jobs: changes at once, a process and a thread each.
    """
    path = records.results_folder() / "smaller" / "ablation.csv"
    records.check_writable(path)
    tried = {AS_CHOSEN: ({}, {}), **CHANGES}
    with FreshProcesses(jobs, threads=series.THREADS) as processes:
        scored = processes.map(_scored, *zip(*tried.values(), strict=True))
        rows = list(bar(iterable=scored, total=len(tried), desc="ablation"))
    found = pd.DataFrame(rows, index=pd.Index(tried, name="tried"))
    records.write(path, found.to_csv())


def _scored(arguments, changes):
    """The line of a change: what `search` finds on the images that are held back."""
    row = ROWS[ABLATED]
    network, schedule = row.arguments | arguments, row.schedule.replace(**changes)
    space = {name: [value] for name, value in network.items()}
    with ThreadPoolExecutor(1) as here:
        found = search(
            space | {"seed": list(ABLATION_SEEDS)},
            schedule=schedule,
            executor=here,
            storage=IN_MEMORY,
            model="tiny",
            progress=False,
        )
    usual, given = map(dataclasses.asdict, (CYCLE, schedule))
    changed = {name: value for name, value in given.items() if value != usual[name]}
    fine = found[~found.diverged]
    accuracies = found.validation_accuracy.mask(found.diverged, CHANCE)
    return {
        "network": json.dumps(network),
        "schedule": json.dumps(changed),
        "num_parameters": found.num_parameters[0],
        "seeds": " ".join(map(str, found.seed)),
        "accuracies": " ".join(map("{:.4f}".format, accuracies)),
        "diverged": found.diverged.sum(),
        "seconds": round(fine.seconds.mean(), 1) if len(fine) else 0.0,
    }


def table(name: str):
    """A table of scores on held-back images, with the mean and deviation over seeds.

    Args:
        name: of a file in `results/smaller/`: "candidates", everything that was tried
            for every row; or "ablation", the 518 row with one change taken back at a
            time.

    Returns:
        A DataFrame, a row a network and schedule: what was tried ("tried"); network,
        the arguments of `tiny`, and schedule, what differs from `CYCLE`, as JSON;
        num_parameters; seeds, and accuracies in their order, as text; diverged, how
        many did, which count as chance; seconds of a training; and mean and std of the
        accuracies, from 0 to 1, the sample deviation, NaN for a single seed.

    Raises:
        RecordError: the file is missing or damaged.
    """
    path = records.results_folder() / "smaller" / f"{name}.csv"
    try:
        found = pd.read_csv(path, dtype={"seeds": str, "accuracies": str})
        whole = found.accuracies.map(str.strip)  # an empty cell is no text
        seeds = whole.str.split(expand=True).astype(float)
    except FileNotFoundError:
        text = f"{path} is no table of scores: it is missing; {records.WHERE}"
        raise records.RecordError(text) from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise records.RecordError(f"{path} is no table of scores: {error}") from error
    return found.assign(mean=seeds.mean(axis=1), std=seeds.std(axis=1))
