"""How few parameters are enough: what was chosen, and one test of each row.

`docs/protocol.md` says how. `results/smaller/<limit>.json` notes that the test images
were read for a row, which they are once.
"""

import datetime
import functools
import hashlib
import json
from importlib.resources import files

import numpy as np
import pandas as pd

from tradeoffs import records, series
from tradeoffs.checks import one_of
from tradeoffs.experiments import variant
from tradeoffs.models import count_parameters
from tradeoffs.models.rows import ROWS
from tradeoffs.processes import FreshProcesses
from tradeoffs.recorded import ROW_SERIES
from tradeoffs.tables import percent


def read_test_images(limits: list[int], *, jobs: int = 1):
    """Train the recipes of rows on all training images, and test each, once.

    What is noted before the test images are read: the recipe, the seeds and a digest of
    each seed's weights. A second call is refused; but where the first was stopped in
    between, it goes on if its weights come out the same.

    Args:
        limits: parameters, of `tradeoffs.models.rows.ROWS`.
        jobs: rows at once, a process and a thread each.

    Raises:
        ValueError: there is no such row.
        RuntimeError: the test images were read for one already, and nothing was
            trained; or the weights are not those that were noted.
    """
    limits = list(dict.fromkeys(limits))
    for limit in limits:
        experiments = ROW_SERIES[one_of("limit", limit, ROW_SERIES)]
        path, missing = series.note_path(experiments[0]), series.missing(experiments)
        if not missing or (len(missing) < len(experiments) and not path.exists()):
            raise RuntimeError(
                f"the test images were read for the row of {limit} parameters; they "
                f"are read once, and {path} says when"
            )
        records.check_writable(path)
    with FreshProcesses(jobs, threads=series.THREADS) as processes:
        lines = (place % jobs for place in range(len(limits)))
        read = functools.partial(_read_test_images, jobs=jobs)
        list(processes.map(read, limits, lines))


def _read_test_images(limit, position, jobs):
    experiments = ROW_SERIES[limit]
    done = series.trained_untested(experiments, position=position)
    note = {
        "limit": limit,
        "network": variant("tiny", ROWS[limit].arguments),
        "num_parameters": count_parameters("tiny", parameters=limit),
        "schedule": experiments[0].schedule.content(),
        "weights": {str(run.experiment.seed): _digest(n) for n, run in done},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    path = series.note_path(experiments[0])
    if not path.exists():
        records.write(path, json.dumps(note, indent=1) + "\n")
    elif (noted := json.loads(path.read_text()))["weights"] != note["weights"]:
        raise RuntimeError(
            f"the weights are not those of {noted['date']} that {path} has noted; "
            "the test images are not read for others"
        )
    for network, untested in done:
        if series.missing([untested.experiment]):
            series.record(network, series.tested(network, untested), jobs)


def _digest(network):
    state = network.state_dict().items()
    content = (n.encode() + np.ascontiguousarray(t).tobytes() for n, t in state)
    return hashlib.sha256(b"".join(content)).hexdigest()


def published():
    """What others published of networks so small, and how theirs was selected.

    Returns:
        A DataFrame with the columns parameters, accuracy (0 to 1), selected_on ("test
        images", "validation images", "none" or "not said"), how and source.

    >>> int(published().selected_on.value_counts()["test images"])
    5
    """
    return pd.read_csv(files("tradeoffs") / "published.csv", encoding="utf-8")


def row_table():
    """The rows: what was chosen, and what it scores on the test images.

    Returns:
        A DataFrame with the columns at_most (parameters), parameters, accuracy (mean ±
        deviation over five seeds) and network.
    """
    rows = []
    for limit, row in ROWS.items():
        runs = [records.load(e) for e in ROW_SERIES[limit]]
        found = [run.test_accuracy if run else np.nan for run in runs]
        rows.append(
            {
                "at_most": limit,
                "parameters": count_parameters("tiny", parameters=limit),
                "accuracy": percent(np.mean(found), np.std(found, ddof=1)),
                "network": variant("tiny", row.arguments),
            }
        )
    return pd.DataFrame(rows)
