"""The results of a search as one table, in memory and as a small CSV file.

The file's first line is a comment with the plan, the environment and a digest
of the rest. `replay` asks what other ways of searching would have found.
"""

import io
import json
from pathlib import Path

import numpy as np

from tradeoffs import records
from tradeoffs.checks import one_of, whole_number
from tradeoffs.experiments import Run
from tradeoffs.records import RecordError
from tradeoffs.sources import digest_of
from tradeoffs.spaces import arguments_of, distributions

FILE = "small_net_search.csv"
REFINED_FILE = "small_net_refined.csv"  # a few more networks near its best
_LAST_COLUMNS = (
    "seed",
    "num_parameters",
    "validation_accuracy",
    "validation_loss",
    "epochs",
    "seconds",
    "side_by_side",
    "diverged",
)


def kept_of(run: Run | Exception) -> dict:
    """What is kept of a run of a search. One that diverged has learnt nothing."""
    if isinstance(run, Exception):
        return {
            "diverged": True,
            "validation_accuracy": 0.0,
            "validation_loss": None,
            "epochs": 0,
            "seconds": 0.0,
        }
    environment = dict(run.environment)
    environment.pop("trained_side_by_side", None)  # which has a column
    return {
        "diverged": False,
        "validation_accuracy": run.test_accuracy,
        "validation_loss": round(run.test_loss, 6),
        "epochs": len(run.history_columns["epoch"]),
        "seconds": round(sum(run.history_columns["train_seconds"]), 3),
        "environment": environment,
    }


def results_of(plan, results: list[dict]):
    """The networks of a search that have been trained, as a DataFrame.

    One row a network, in the grid's order: a column for each argument, then
    the seed, num_parameters, validation_accuracy (0 to 1, last epoch),
    validation_loss (nats), epochs, seconds (of training; a stack's divided by
    its networks), side_by_side (networks in its stack) and diverged (its loss
    was no longer a number: accuracy 0, no loss).
    """
    import pandas as pd

    found = [arguments_of(result["arguments"]) for result in results]
    names = dict.fromkeys(name for arguments in found for name in arguments)
    # None among whole numbers stays None, and those whole.
    columns = {name: _column([one.get(name) for one in found]) for name in names}
    columns |= {name: [one[name] for one in results] for name in _LAST_COLUMNS}
    frame = pd.DataFrame(columns)
    frame.attrs["plan"] = plan.content
    frame.attrs["study"] = plan.study_name
    known = (one["environment"] for one in results if "environment" in one)
    texts = {json.dumps(one, sort_keys=True) for one in known}
    frame.attrs["environments"] = [json.loads(text) for text in sorted(texts)]
    return frame


def _column(values):
    """Values as a column, which keeps them as they are if they are of several kinds."""
    import pandas as pd

    kinds = len({type(value) for value in values})
    return pd.Series(values, dtype=object if kinds > 1 else None)


def write_table(frame, path: Path) -> Path:
    """Write a search's table, whole or not at all, and return its path.

    Columns that CSV would give back as something else are written as JSON.
    """
    plainly = _parsed(frame.to_csv(index=False), [])
    searched = [name for name in frame if name not in _LAST_COLUMNS]
    as_json = [name for name in searched if not plainly[name].equals(frame[name])]
    cells = {name: frame[name].map(json.dumps) for name in as_json}
    text = frame.assign(**cells).to_csv(index=False, lineterminator="\n")
    head = {**frame.attrs, "json": as_json, "sha256": digest_of(text.encode(), 64)}
    records.write(path, f"# {json.dumps(head, sort_keys=True)}\n{text}")
    return path


def read_table(path: Path | None = None):
    """The recorded search as a DataFrame; see `results_of`.

    Args:
        path: of the file; by default the recorded search of the Small Net.

    Raises:
        FileNotFoundError: there is no such file.
        RecordError: the file is cut short or was changed after it was written.

    >>> import tradeoffs
    >>> table = tradeoffs.read_table()
    >>> len(table), f"{table.validation_accuracy.max():.2%}"
    (304, '97.29%')
    """
    path = Path(path or records.results_folder() / FILE)
    try:
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        attributes = json.loads(head.removeprefix("# "))
        digest = attributes.pop("sha256")
    except FileNotFoundError as error:
        said = f"{error.strerror}; {records.WHERE}"
        raise FileNotFoundError(error.errno, said, str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path} is not the table of a search ({type(error).__name__}: {error})"
        ) from error
    if digest != digest_of(text.encode(), 64):
        raise RecordError(
            f"{path} was cut short, or changed after it was written: its digest "
            "does not fit. Restore the file (git checkout), or search again"
        )
    frame = _parsed(text, attributes.pop("json", []))  # not in the oldest tables
    frame.attrs.update(attributes)
    return frame


def _parsed(text, as_json):
    import pandas as pd

    frame = pd.read_csv(io.StringIO(text))
    texts = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    for column in frame.columns:
        if column in as_json or frame[column].astype(str).str.startswith("[").all():
            cells = map(json.loads, texts[column])
            cells = [tuple(cell) if isinstance(cell, list) else cell for cell in cells]
            frame[column] = _column(cells)
        elif column not in _LAST_COLUMNS and frame[column].isna().any():
            # None among whole numbers, which pandas makes floats.
            frame[column] = frame[column].convert_dtypes()
    return frame


def best_networks(table, by: str = "validation_accuracy", count: int = 5):
    """The best networks of a search, with what was searched and what came out.

    Args:
        table: of a search, or some of its rows.
        by: the column that says which is best: an accuracy, or one of which less is
            better.
        count: how many.

    Returns:
        A DataFrame to read, the best first, without what all networks share.

    >>> import tradeoffs
    >>> best = tradeoffs.best_networks(tradeoffs.read_table(), count=3)
    >>> best[["filters", "num_parameters", "validation_accuracy"]]
        filters  num_parameters  validation_accuracy
    287  (5, 8)             868               0.9729
    286  (5, 8)             878               0.9722
    282  (5, 8)             833               0.9718
    """
    searched = list(table.columns[: table.columns.get_loc("num_parameters")])
    varied = [n for n in searched if len(set(table[n].astype(str))) > 1] or searched
    shown = [*varied, "num_parameters", "validation_accuracy"]
    less = "accuracy" not in one_of("by", by, table.columns)
    ordered = table.sort_values(by, ascending=less, kind="stable")
    return ordered[shown].head(whole_number("count", count)).round(4)


def replay(table, sampler: str, num_networks: int, seed: int, max_parameters: int):
    """The best network found so far, by the number of networks trained.

    The networks of a grid are all trained, so a sampler's choice among them is
    looked up. A network that it asks for twice costs nothing the second time.

    Args:
        table: of a whole grid, as from `tradeoffs.read_table`.
        sampler: "grid" (at random, each once), or Optuna's "tpe" or "nsga2", both
            with two objectives: accuracy up, parameters down.
        num_networks: how many it may train.
        seed: of the sampler.
        max_parameters: what a network may have to be counted.

    Returns:
        Best validation accuracy after 1, 2, ... networks, [num_networks]; NaN
        while none is small enough.

    Raises:
        ValueError: an unknown sampler, a table that is not of a whole grid, or
            more networks than it has.

    >>> import tradeoffs
    >>> table = tradeoffs.read_table()
    >>> found = tradeoffs.replay(table, "grid", 120, seed=0, max_parameters=518)
    >>> found[[9, 39, 119]].round(3).tolist()
    [0.938, 0.943, 0.955]
    """
    one_of("sampler", sampler, ("grid", "tpe", "nsga2"))
    table = table.sort_index()  # a grid's order
    plan = table.attrs.get("plan", {"space": {}, "sampler": None})
    space = plan["space"]
    size = np.prod([len(values) for values in space.values()])
    if len(table) != size or plan["sampler"] != "grid":
        raise ValueError(f"{len(table)} networks are not the grid of {size}")
    num_networks = whole_number("num_networks", num_networks, most=len(table))
    seed = whole_number("seed", seed, least=0, most=2**32 - 1)
    accuracies = table.validation_accuracy.to_numpy()
    counted = np.where(table.num_parameters <= max_parameters, accuracies, np.nan)
    if sampler == "grid":
        rows = np.random.default_rng(seed).permutation(len(table))[:num_networks]
    else:
        rows = _asked(table, space, sampler, num_networks, seed)
    found = np.fmax.accumulate(counted[rows])
    # A sampler that asks for nothing new any more finds nothing better.
    return np.pad(found, (0, num_networks - len(found)), mode="edge")


def _asked(table, space, sampler, num_networks, seed):
    """The rows that one of Optuna's samplers asks for, each once."""
    import optuna
    from optuna.samplers import NSGAIISampler, TPESampler

    kind = NSGAIISampler if sampler == "nsga2" else TPESampler
    choices = distributions(space)
    sizes = [len(values) for values in space.values()]
    results = table[["validation_accuracy", "num_parameters"]].to_numpy()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked = {}
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=kind(seed=seed)
    )
    for _ in range(20 * num_networks):
        trial = study.ask(choices)
        places = [choices[n].choices.index(trial.params[n]) for n in space]
        row = int(np.ravel_multi_index(places, sizes))
        study.tell(trial, results[row].tolist())
        asked[row] = None
        if len(asked) == num_networks:
            break
    return list(asked)
