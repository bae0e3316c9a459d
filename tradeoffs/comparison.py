"""Runs side by side: means and deviations over seeds, as tables."""

from __future__ import annotations

from tradeoffs.models import MODELS
from tradeoffs.records import Run


def summarize(runs: list[Run]):
    """One row for each network, framework and schedule, over its seeds.

    Args:
        runs: as from `tradeoffs.runs`, in any order.

    Returns:
        A DataFrame with the columns model, variant (the model with its
        arguments), framework, schedule, seeds, num_parameters, accuracy_mean
        and accuracy_std (0 to 1, last epoch; the sample deviation, NaN for a
        single seed), loss_mean, loss_std, first_epoch_min (the lowest accuracy
        of any seed after one epoch) and epoch_seconds (median over epochs and
        seeds, evaluation left out).

    Raises:
        ValueError: there are no runs.
    """
    import pandas as pd

    if not runs:
        raise ValueError("there are no runs to summarize")
    table = pd.DataFrame(
        {
            "model": run.experiment.model,
            "variant": run.experiment.variant,
            "framework": run.experiment.framework,
            "schedule": run.experiment.schedule.name,
            "num_parameters": run.num_parameters,
            "accuracy": run.test_accuracy,
            "loss": run.test_loss,
            "first_epoch": run.history.test_accuracy.iloc[0],
            "epoch_seconds": run.history.train_seconds.median(),
        }
        for run in runs
    )
    keys = ["model", "variant", "framework", "schedule", "num_parameters"]
    return (
        table.groupby(keys, sort=False)
        .agg(
            seeds=("accuracy", "size"),
            accuracy_mean=("accuracy", "mean"),
            accuracy_std=("accuracy", "std"),
            loss_mean=("loss", "mean"),
            loss_std=("loss", "std"),
            first_epoch_min=("first_epoch", "min"),
            epoch_seconds=("epoch_seconds", "median"),
        )
        .reset_index()
    )


def percent(mean: float, deviation: float | None = None) -> str:
    """An accuracy as people read it.

    >>> percent(0.98924, 0.00087)
    '98.92 ± 0.09 %'
    >>> percent(0.9837)
    '98.37 %'
    """
    if deviation is None or deviation != deviation:
        return f"{mean:.2%}".replace("%", " %")
    return f"{mean * 100:.2f} ± {deviation * 100:.2f} %"


def label(variant: str) -> str:
    """A network's name to read, from `Experiment.variant`.

    >>> label("keras_mlp")
    'Keras MLP'
    >>> label("gap_cnn,dropout=true")
    'GAP CNN, dropout=true'
    """
    model, *arguments = variant.split(",")
    return ", ".join([MODELS[model].label, *arguments])


def accuracy_table(runs: list[Run], references: dict[str, dict[str, float]]):
    """Accuracies to read, ours beside others'.

    Args:
        runs: as for `summarize`.
        references: a column's title to accuracies (0 to 1) by model name.

    Returns:
        A DataFrame of text, one row a model and framework.
    """
    import pandas as pd

    rows = []
    for row in summarize(runs).itertuples():
        cells = {
            "model": label(row.variant),
            "framework": row.framework,
            "parameters": f"{row.num_parameters:,}",
            "seeds": row.seeds,
            "measured": percent(row.accuracy_mean, row.accuracy_std),
        }
        for title, accuracies in references.items():
            known = row.model in accuracies
            cells[title] = percent(accuracies[row.model]) if known else "-"
        rows.append(cells)
    return pd.DataFrame(rows).set_index("model")
