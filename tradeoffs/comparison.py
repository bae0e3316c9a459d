"""Runs side by side: means and deviations over seeds, as tables."""

from __future__ import annotations

from tradeoffs.models import MODELS
from tradeoffs.records import Run
from tradeoffs.reproduction import CHOSEN_SMALL_NET, Series
from tradeoffs.schedules import ARTICLE

# The Small Net that the recorded search chose: its full name is a line long.
CHOSEN = (
    Series("small_net", "pytorch", ARTICLE, 1, CHOSEN_SMALL_NET)
    .experiments()[0]
    .variant
)


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
    >>> label(CHOSEN)
    'Small Net, chosen'
    """
    if variant == CHOSEN:
        return f"{MODELS['small_net'].label}, chosen"
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


def cost_table(profiles, runs: list[Run] = ()):
    """What models cost beside what they score, in numbers.

    Args:
        profiles: of `tradeoffs.measure`, one a model.
        runs: for the accuracy, as from `tradeoffs.runs`.

    Returns:
        A DataFrame, a row a profile, named after it: the fields of `Profile`,
        and accuracy_mean and accuracy_std (NaN where there are no runs).

    Raises:
        ValueError: there are no profiles.
    """
    import pandas as pd

    profiles = list(profiles)
    if not profiles:
        raise ValueError("there are no profiles to compare")
    table = pd.DataFrame([profile.to_series() for profile in profiles])
    table = table.infer_objects()
    columns = ["accuracy_mean", "accuracy_std"]
    if not runs:
        return table.assign(**dict.fromkeys(columns, float("nan")))
    accuracies = summarize(runs).drop_duplicates("variant").set_index("variant")
    return table.join(accuracies[columns])


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
    import itertools

    import pandas as pd

    rows = []
    ordered = table.sort_values("num_parameters")
    for smaller, larger in itertools.combinations(ordered.index, 2):
        a, b = ordered.loc[smaller], ordered.loc[larger]
        if a[cost] > margin * b[cost]:
            parameters_ratio = b.num_parameters / a.num_parameters
            rows.append((smaller, larger, parameters_ratio, a[cost] / b[cost]))
    names = ["smaller", "larger", "parameters_ratio", "cost_ratio"]
    return pd.DataFrame(rows, columns=names).sort_values(
        "cost_ratio", ascending=False, ignore_index=True
    )


_COST_COLUMNS = {
    "num_parameters": ("parameters", "{:,.0f}"),
    "file_bytes": ("file (KiB)", "{:,.1f}"),
    "macs": ("MACs (millions)", "{:,.2f}"),
    "epoch_seconds": ("epoch (s)", "{:,.1f}"),
    "inference_seconds": ("10,000 images (s)", "{:,.2f}"),
    "latency_ms_p50": ("one image (ms)", "{:,.2f}"),
    "peak_train_memory_mib": ("memory, training (MiB)", "{:,.0f}"),
}
_SCALES = {"file_bytes": 1 / 1024, "macs": 1e-6}


def readable_costs(table):
    """`cost_table` to read: labels, units and a few digits, all as text."""
    import pandas as pd

    cells = {
        title: [
            "not measured" if pd.isna(v) else form.format(v * _SCALES.get(column, 1))
            for v in table[column]
        ]
        for column, (title, form) in _COST_COLUMNS.items()
    }
    accuracies = zip(table.accuracy_mean, table.accuracy_std, strict=True)
    cells["accuracy"] = [
        "not measured" if pd.isna(mean) else percent(mean, deviation)
        for mean, deviation in accuracies
    ]
    index = pd.Index([label(name) for name in table.index], name="model")
    return pd.DataFrame(cells, index=index)
