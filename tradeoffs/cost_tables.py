"""Profiles side by side, as tables: what models cost beside what they score."""

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd

from tradeoffs.checks import list_of_runs
from tradeoffs.experiments import Run
from tradeoffs.labels import label
from tradeoffs.models import KNOWN_MODELS, MODELS
from tradeoffs.probes.profile import NOT_MEASURED, Profile
from tradeoffs.probes.timing import BUSY
from tradeoffs.tables import percent, summarize

# What `readable_costs` shows: column, title, how a value is written, its scale.
_COSTS = (
    ("num_parameters", "parameters", "{:,.0f}", 1),
    ("file_bytes", "file (KiB)", "{:,.1f}", 1 / 1024),
    ("macs", "MACs (millions)", "{:,.2f}", 1e-6),
    ("epoch_seconds", "epoch (s)", "{:,.1f}", 1),
    ("inference_seconds", "10,000 images (s)", "{:,.2f}", 1),
    ("latency_ms_p50", "one image (ms)", "{:,.2f}", 1),
    ("peak_train_memory_mib", "memory, training (MiB)", "{:,.0f}", 1),
    ("threads", "threads", "{:.0f}", 1),
)


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
        none), or a file's own. Networks of your own go by these too: give those of
        one name and size tables of their own. A row is named by its variant, with
        the framework or runtime behind it where that is not what the model was
        published in, and a file's precision: `keras_cnn,pytorch`,
        `keras_cnn,onnxruntime,int8`.

    Raises:
        TypeError: something is no `Profile`.
        ValueError: there are no profiles, or runs of several data sets.

    >>> import tradeoffs
    >>> profiles, runs = tradeoffs.recorded_profiles(), tradeoffs.runs("gap_cnn")
    >>> table = tradeoffs.cost_table(profiles, runs)
    >>> table[["num_parameters", "macs", "accuracy_mean"]].round(4)
                 num_parameters      macs  accuracy_mean
    keras_mlp            669706    668672            NaN
    keras_cnn           1199882  11992448            NaN
    pytorch_cnn           21840    480500            NaN
    gap_cnn                7090    471200         0.9918
    small_net               518     74060            NaN
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
    runs = list_of_runs(runs)
    known = {}
    for row in summarize(runs)[::-1].itertuples() if runs else ():
        # Not every profile has it measured; another's own may be called alike.
        sizes = [row.num_parameters] + [None] * (row.model in KNOWN_MODELS)
        for size in sizes:
            key = row.variant, row.framework, size
            known[key] = row.accuracy_mean, row.accuracy_std
    table = pd.DataFrame([profile.to_series() for profile in profiles])
    ends = table.pop("spread")
    for name in dict.fromkeys(n for one in ends for n in one) if spread else ():
        of_name = [one.get(name, (float("nan"),) * 2) for one in ends]
        table[[f"{name}_lowest", f"{name}_highest"]] = of_name
    usual = {name: info.frameworks[0] for name, info in MODELS.items()}
    names, scores = [], []
    for p in profiles:
        unusual = p.framework != usual.setdefault(p.name, p.framework)
        conditions = p.framework if unusual else None, p.precision
        names.append(",".join([p.variant, *filter(None, conditions)]))
        key = p.variant, p.framework, p.num_parameters
        scores.append(known.get(key, (p.test_accuracy, float("nan"))))
    table.index = pd.Index(names)
    table["variant"] = [p.variant for p in profiles]
    table[["accuracy_mean", "accuracy_std"]] = scores
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

    Raises:
        ValueError: there is no such column, or it is not known of all models.

    >>> import tradeoffs
    >>> table = tradeoffs.cost_table(tradeoffs.recorded_profiles())
    >>> tradeoffs.inversions(table, "inference_seconds").larger.unique().tolist()
    ['keras_mlp']
    """
    if cost not in table or table[cost].isna().any():
        raise ValueError(f"cost is {cost!r}; it must be a column measured of all")
    ordered = table.sort_values("num_parameters").iterrows()
    rows = [
        (smaller, larger, b.num_parameters / a.num_parameters, a[cost] / b[cost])
        for (smaller, a), (larger, b) in itertools.combinations(ordered, 2)
        if a[cost] > margin * b[cost]
    ]
    names = ["smaller", "larger", "parameters_ratio", "cost_ratio"]
    found = pd.DataFrame(rows, columns=names)
    return found.sort_values("cost_ratio", ascending=False, ignore_index=True)


def readable_costs(table):
    """`cost_table` to read: labels, units and a few digits, all as text.

    With the spread in the table, times have their lowest and highest behind them.

    >>> import tradeoffs
    >>> table = tradeoffs.cost_table(tradeoffs.recorded_profiles())
    >>> costs = tradeoffs.readable_costs(table).loc["GAP CNN"]
    >>> costs[["parameters", "file (KiB)", "MACs (millions)"]].to_dict()
    {'parameters': '7,090', 'file (KiB)': '28.1', 'MACs (millions)': '0.47'}
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
