"""Runs and profiles side by side, as tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd

from tradeoffs import article
from tradeoffs.experiments import Run
from tradeoffs.labels import label, row_name
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import NOT_MEASURED, Profile
from tradeoffs.probes.timing import BUSY

# What `readable_costs` shows: column, title, how a value is written, its scale.
_COSTS = (
    ("num_parameters", "parameters", "{:,.0f}", 1),
    ("file_bytes", "file (KiB)", "{:,.1f}", 1 / 1024),
    ("macs", "MACs (millions)", "{:,.2f}", 1e-6),
    ("epoch_seconds", "epoch (s)", "{:,.1f}", 1),
    ("inference_seconds", "10,000 images (s)", "{:,.2f}", 1),
    ("latency_ms_p50", "one image (ms)", "{:,.2f}", 1),
    ("peak_train_memory_mib", "memory, training (MiB)", "{:,.0f}", 1),
)


def summarize(runs: list[Run]):
    """One row for each network, framework, schedule and data set, over its seeds.

    Returns:
        A DataFrame with the columns model, variant (the model with its
        arguments), framework, schedule, dataset, num_parameters, seeds,
        accuracy_mean and accuracy_std (0 to 1, last epoch; the sample deviation,
        NaN for a single seed), loss_mean, loss_std, first_epoch_min (the lowest
        accuracy of any seed) and epoch_seconds (median, evaluation left out).

    Raises:
        ValueError: there are no runs.
    """
    if not runs:
        raise ValueError("there are no runs to summarize")
    table = pd.DataFrame(
        {
            "model": run.experiment.model,
            "variant": run.experiment.variant,
            "framework": run.experiment.framework,
            "schedule": run.experiment.schedule.name,
            "dataset": run.experiment.dataset,
            "num_parameters": run.num_parameters,
            "accuracy": run.test_accuracy,
            "loss": run.test_loss,
            "first_epoch": run.history.test_accuracy.iloc[0],
            "epoch_seconds": run.history.train_seconds.median(),
        }
        for run in runs
    )
    keys = list(table.columns[:6])
    return table.groupby(keys, sort=False, as_index=False).agg(
        seeds=("accuracy", "size"),
        accuracy_mean=("accuracy", "mean"),
        accuracy_std=("accuracy", "std"),
        loss_mean=("loss", "mean"),
        loss_std=("loss", "std"),
        first_epoch_min=("first_epoch", "min"),
        epoch_seconds=("epoch_seconds", "median"),
    )


def mean_accuracy(runs: list[Run]) -> float:
    """Over runs, of the last epoch, 0 to 1."""
    return float(np.mean([run.test_accuracy for run in runs]))


def percent(mean: float, deviation: float | None = None) -> str:
    """An accuracy as people read it.

    >>> percent(0.98924, 0.00087), percent(0.9837)
    ('98.92 ± 0.09 %', '98.37 %')
    """
    if mean != mean:
        return NOT_MEASURED
    if deviation is None or deviation != deviation:
        return f"{mean * 100:.2f} %"
    return f"{mean * 100:.2f} ± {deviation * 100:.2f} %"


def run_table(runs: list[Run]):
    """Runs one by one: what was set, and what came out of it.

    Returns:
        A DataFrame of text, a row a run, numbered from 1.
    """
    rows = [
        {
            "parameters": f"{run.num_parameters:,}",
            "epochs": len(run.history),
            "learning rate": f"{run.experiment.schedule.learning_rate:g}",
            "batch size": run.experiment.schedule.batch_size,
            "optimizer": run.experiment.schedule.optimizer,
            "momentum": f"{run.experiment.schedule.momentum:g}",
            "seed": run.experiment.seed,
            "accuracy": percent(run.test_accuracy),
            "training (s)": f"{run.history.train_seconds.sum():.1f}",
        }
        for run in runs
    ]
    return pd.DataFrame(rows, pd.RangeIndex(1, len(rows) + 1, name="my run"))


def score_table(runs_by_name: dict[str, list[Run]]):
    """Networks of any names, a row each, as text: see `summarize`."""
    rows = pd.concat([summarize(runs)[:1] for runs in runs_by_name.values()])
    cells = _scores(rows, "test accuracy")
    cells["test loss"] = rows.loss_mean.map("{:.4f}".format)
    return pd.DataFrame(cells).set_axis(list(runs_by_name))


def _scores(summary, title):
    return {
        "parameters": summary.num_parameters.map("{:,}".format),
        "seeds": summary.seeds,
        title: list(map(percent, summary.accuracy_mean, summary.accuracy_std)),
    }


def accuracy_table(runs: list[Run], references: dict[str, dict[str, float]]):
    """Accuracies to read, ours beside others'.

    Args:
        runs: as for `summarize`.
        references: a column's title to accuracies (0 to 1) by model name.

    Returns:
        A DataFrame of text, one row a model and framework.
    """
    summary = summarize(runs)
    cells = {"model": summary.variant.map(label), "framework": summary.framework}
    cells |= _scores(summary, "measured")
    for title, known in references.items():
        cells[title] = [percent(known[m]) if m in known else "-" for m in summary.model]
    return pd.DataFrame(cells).set_index("model")


def cost_table(profiles, runs: list[Run] = (), *, spread: bool = False):
    """What models cost beside what they score, in numbers.

    Args:
        profiles: of `tradeoffs.measure`.
        runs: for the accuracy, as from `tradeoffs.runs`.
        spread: with two columns more for each time, such as epoch_seconds_lowest
            and epoch_seconds_highest, of the windows that were measured.

    Returns:
        A DataFrame, a row a profile: the fields of `Profile`, and accuracy_mean
        and accuracy_std of the runs of the same variant, framework and number of
        parameters (of several schedules the first given; NaN where there are
        none), or a file's own. A row is named by its variant, with the framework
        or runtime behind it where that is not what the model was published in, and
        a file's precision: `keras_cnn,pytorch`, `keras_cnn,onnxruntime,int8`.

    Raises:
        TypeError: something is no `Profile`.
        ValueError: there are no profiles, or runs of several data sets.
    """
    several = isinstance(profiles, Iterable) and not isinstance(profiles, str)
    profiles = list(profiles) if several else [profiles]
    for profile in profiles:
        if not isinstance(profile, Profile):
            raise TypeError(
                f"{profile!r} is not a Profile; give a list of Profiles, or, to decide "
                "on, the table that tradeoffs.cost_table makes of them"
            )
    if not profiles:
        raise ValueError("there are no profiles to compare")
    known, datasets = {}, {run.experiment.dataset for run in runs}
    if len(datasets) > 1:
        raise ValueError(
            f"the runs are of {' and '.join(sorted(datasets))}; give those of one"
        )
    for row in summarize(runs)[::-1].itertuples() if runs else ():
        for size in (row.num_parameters, None):  # not every profile has it measured
            key = row.variant, row.framework, size
            known[key] = row.accuracy_mean, row.accuracy_std
    table = pd.DataFrame([profile.to_series() for profile in profiles])
    ends = table.pop("spread")
    for name in dict.fromkeys(n for one in ends for n in one) if spread else ():
        of_name = [one.get(name, (float("nan"),) * 2) for one in ends]
        table[[f"{name}_lowest", f"{name}_highest"]] = of_name
    usual = {name: info.frameworks[0] for name, info in MODELS.items()}
    table.index = pd.Index(
        row_name(p, usual.setdefault(p.name, p.framework)) for p in profiles
    )
    table["variant"] = [p.variant for p in profiles]
    table[["accuracy_mean", "accuracy_std"]] = [
        known.get(
            (p.variant, p.framework, p.num_parameters),
            (p.test_accuracy, float("nan")),
        )
        for p in profiles
    ]
    return table.astype({"accuracy_mean": float}).infer_objects()


def inversions(table, cost: str, *, margin: float = 1.1):
    """Pairs of models of which the one with fewer parameters costs more.

    Args:
        table: as from `cost_table`.
        cost: a column of it.
        margin: how many times more, at least.

    Returns:
        A DataFrame with the columns smaller, larger, parameters_ratio and
        cost_ratio, the most extreme pair first.
    """
    ordered = table.sort_values("num_parameters").iterrows()
    rows = [
        (smaller, larger, b.num_parameters / a.num_parameters, a[cost] / b[cost])
        for (smaller, a), (larger, b) in itertools.combinations(ordered, 2)
        if a[cost] > margin * b[cost]
    ]
    names = ["smaller", "larger", "parameters_ratio", "cost_ratio"]
    return pd.DataFrame(rows, columns=names).sort_values(
        "cost_ratio", ascending=False, ignore_index=True
    )


def readable_costs(table):
    """`cost_table` to read: labels, units and a few digits, all as text.

    With the spread in the table, times have their lowest and highest behind them.
    """
    shown = pd.DataFrame(index=table.index)
    for column, title, form, scale in _COSTS:
        texts, *ends = (
            [
                NOT_MEASURED if pd.isna(v) else form.format(v * scale)
                for v in table[name]
            ]
            for name in (column, f"{column}_lowest", f"{column}_highest")
            if name in table
        )
        if ends:
            texts = [
                text if low == NOT_MEASURED else f"{text} ({low} to {high})"
                for text, low, high in zip(texts, *ends, strict=True)
            ]
        shown[title] = texts
    shown["accuracy"] = list(map(percent, table.accuracy_mean, table.accuracy_std))
    busy = [any(note.startswith(BUSY) for note in notes) for notes in table.notes]
    if any(busy):
        shown["note"] = np.where(busy, BUSY, "")
    return shown.rename(index=label).rename_axis("model")


# Our columns, and what they are called to read.
_RATIOS = {
    "weight_bytes": "weights",
    "epoch_seconds": "an epoch",
    "inference_seconds": "inference",
}


def cost_ratios(tables: dict, larger: str = "keras_cnn", smaller: str = "pytorch_cnn"):
    """How many times more one model costs than another, beside the article's figures.

    Args:
        tables: a title to a table as from `cost_table`, of one framework a model.
        larger, smaller: names of models.

    Returns:
        A DataFrame of numbers, a row a cost, a column a table, and the article, NaN
        where it does not say.
    """
    found = {}
    for title, table in tables.items():
        models = [name.split(",")[0] for name in table.index]
        costs = table[list(_RATIOS)].astype(float).set_axis(models).T
        found[title] = costs[larger] / costs[smaller]
    theirs = pd.DataFrame(article.COSTS).rename({"size_mib": "weight_bytes"})
    found["the article"] = theirs[larger] / theirs[smaller]
    return pd.DataFrame(found, index=list(_RATIOS)).rename(_RATIOS)
