"""Runs and profiles side by side, as tables, and whether two accuracies differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from statistics import NormalDist

import numpy as np
import pandas as pd

from tradeoffs.checks import number, whole_number
from tradeoffs.experiments import Run, variant
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import Profile
from tradeoffs.probes.timing import BUSY
from tradeoffs.series import CHOSEN_SMALL_NET

# The Small Net that the recorded search chose: its full name is a line long.
CHOSEN = variant("small_net", CHOSEN_SMALL_NET)

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


def percent(mean: float, deviation: float | None = None) -> str:
    """An accuracy as people read it.

    >>> percent(0.98924, 0.00087), percent(0.9837)
    ('98.92 ± 0.09 %', '98.37 %')
    """
    if deviation is None or deviation != deviation:
        return f"{mean * 100:.2f} %"
    return f"{mean * 100:.2f} ± {deviation * 100:.2f} %"


def label(name: str) -> str:
    """A network's name to read, from a variant or a row of `cost_table`.

    >>> label("keras_mlp"), label("keras_mlp,pytorch"), label("my_net")
    ('Keras MLP', 'Keras MLP, pytorch', 'my_net')
    >>> label("gap_cnn,dropout=true"), label(CHOSEN)
    ('GAP CNN, dropout=true', 'Small Net, chosen')
    """
    if name == CHOSEN:
        return f"{MODELS['small_net'].label}, chosen"
    model, *arguments = name.split(",")
    return ", ".join([MODELS[model].label, *arguments]) if model in MODELS else name


def accuracy_table(runs: list[Run], references: dict[str, dict[str, float]]):
    """Accuracies to read, ours beside others'.

    Args:
        runs: as for `summarize`.
        references: a column's title to accuracies (0 to 1) by model name.

    Returns:
        A DataFrame of text, one row a model and framework.
    """
    summary = summarize(runs)
    cells = {
        "model": summary.variant.map(label),
        "framework": summary.framework,
        "parameters": summary.num_parameters.map("{:,}".format),
        "seeds": summary.seeds,
        "measured": list(map(percent, summary.accuracy_mean, summary.accuracy_std)),
    }
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
        none). A row is named by its variant, with the framework behind it where
        that is not the one that the model was published in: `keras_cnn,pytorch`.

    Raises:
        TypeError: something is no `Profile`.
        ValueError: there are no profiles.
    """
    profiles = list(profiles) if isinstance(profiles, Iterable) else [profiles]
    for profile in profiles:
        if not isinstance(profile, Profile):
            raise TypeError(f"profiles has {profile!r}; it must hold Profiles alone")
    if not profiles:
        raise ValueError("there are no profiles to compare")
    known = {}
    for row in summarize(runs)[::-1].itertuples() if runs else ():
        for size in (row.num_parameters, None):  # not every profile has it measured
            key = row.variant, row.framework, size
            known[key] = row.accuracy_mean, row.accuracy_std
    table = pd.DataFrame([profile.to_series() for profile in profiles])
    ends = table.pop("spread")
    for name in dict.fromkeys(n for one in ends for n in one) if spread else ():
        of_name = [one.get(name, (float("nan"),) * 2) for one in ends]
        table[[f"{name}_lowest", f"{name}_highest"]] = of_name
    table.index = pd.Index(_row_names(profiles))
    keys = [(p.variant, p.framework, p.num_parameters) for p in profiles]
    unknown = float("nan"), float("nan")
    table[["accuracy_mean", "accuracy_std"]] = [known.get(k, unknown) for k in keys]
    return table.infer_objects()


def _row_names(profiles):
    frameworks = {name: info.frameworks[0] for name, info in MODELS.items()}
    for profile in profiles:
        name, framework = profile.variant, profile.framework
        usual = frameworks.setdefault(profile.name, framework)
        yield name if framework == usual else f"{name},{framework}"


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
    """`cost_table` to read: labels, units and a few digits, all as text."""
    cells = {
        title: [
            "not measured" if pd.isna(value) else form.format(value * scale)
            for value in table[column]
        ]
        for column, title, form, scale in _COSTS
    }
    accuracies = zip(table.accuracy_mean, table.accuracy_std, strict=True)
    cells["accuracy"] = [
        "not measured" if pd.isna(mean) else percent(mean, deviation)
        for mean, deviation in accuracies
    ]
    busy = [any(note.startswith(BUSY) for note in notes) for notes in table.notes]
    if any(busy):
        cells["note"] = [BUSY if one else "" for one in busy]
    return pd.DataFrame(cells, index=table.index.map(label).rename("model"))


def wilson_interval(
    accuracy: float, num_images: int = 10_000, confidence: float = 0.95
) -> tuple[float, float]:
    """Where the accuracy on further images of the kind would lie, from 0 to 1.

    Wilson's score interval for a share. It is about the images that were
    drawn for the test, not about the seed of the training.

    Args:
        accuracy: on the test images, from 0 to 1; may be a mean over seeds.
        num_images: of the test.
        confidence: of the interval, between 0 and 1.

    Raises:
        TypeError, ValueError: not a number, or one out of range.

    >>> low, high = wilson_interval(0.9893)
    >>> f"{low:.4f} to {high:.4f}"
    '0.9871 to 0.9911'
    """
    n = whole_number("num_images", num_images)
    share = number("accuracy", accuracy, least=0, most=1)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt((share * (1 - share) + z**2 / (4 * n)) / n)
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def paired_test(first: Run, second: Run, labels: np.ndarray) -> dict[str, float]:
    """McNemar's exact test: do two runs err differently often on the same images?

    Only the images that one of the two gets right tell them apart.

    Returns:
        The number of images that only the first and only the second gets
        right, and the p-value under the hypothesis that they err alike.

    Raises:
        ValueError: the numbers of predictions and labels differ.
    """
    from scipy.stats import binomtest

    a, b = (run.test_predictions for run in (first, second))
    if not len(a) == len(b) == len(labels):
        raise ValueError(
            f"{len(a)} and {len(b)} predictions do not pair with {len(labels)} labels"
        )
    only_first = int(np.sum((a == labels) & (b != labels)))
    only_second = int(np.sum((a != labels) & (b == labels)))
    apart = only_first + only_second
    return {
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": float(binomtest(only_first, apart).pvalue) if apart else 1.0,
    }


def paired_tests(first: list[Run], second: list[Run], labels: np.ndarray):
    """`paired_test` of each pair of runs, as a DataFrame, a row a seed."""
    pairs = zip(first, second, strict=True)
    seeds = pd.Index([run.experiment.seed for run in first], name="seed")
    return pd.DataFrame([paired_test(a, b, labels) for a, b in pairs], index=seeds)
