"""Models held against limits, and the fronts that no other model beats.

A table has a row a model, as `tradeoffs.cost_table` makes it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from tradeoffs.checks import instance, number
from tradeoffs.limits import LIMITS, as_table, larger_is_better, numbers_in


class Relaxation(NamedTuple):
    """The one limit to relax, and how far, so that a model fits.

    A row of `Choice.broken`, with its value as what is needed.
    """

    model: str
    limit: str
    allowed: float
    needed: float
    excess: float

    def __str__(self):
        limit = LIMITS[self.limit]
        return (
            f"relax {self.limit} from {limit.write(self.allowed)} to "
            f"{limit.write_kept(self.needed)}, and {self.model} fits"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Choice:
    """What `choose` found.

    Attributes:
        limits: that were asked for.
        fitting: the table's rows of the models that fit, best first.
        broken: a DataFrame, a row a model and limit that it breaks, with the
            columns model, limit, allowed, value and excess. The excess is a
            share: 0.5 is half as much again as allowed; of an accuracy, in
            errors. A value that was not measured is NaN, and so is its excess.
        relax: the `Relaxation` that takes least where nothing fits; None where
            something does, or where no single limit is to blame.
    """

    limits: Mapping[str, float]
    fitting: object
    broken: object
    relax: Relaxation | None

    @property
    def best(self) -> str | None:
        """The first model that fits, or None."""
        return None if self.fitting.empty else self.fitting.index[0]

    def reasons(self) -> dict[str, list[str]]:
        """For each model that does not fit, the limits it breaks, to read."""
        found = {}
        for row in self.broken.itertuples():
            limit = LIMITS[row.limit]
            text = f"{row.limit}: {limit.write(row.value)}"
            if not math.isnan(row.value):
                text += f" for {limit.write(row.allowed)}"
            if math.isfinite(row.excess):
                text += f", {row.excess:+.0%}{' errors' if limit.least else ''}"
            found.setdefault(row.model, []).append(text)
        return found

    def __repr__(self):
        asked = ", ".join(
            f"{name} {LIMITS[name].write(value)}" for name, value in self.limits.items()
        )
        lines = [asked or "no limits"]
        lines += [f"  fits          {model}" for model in self.fitting.index]
        for model, texts in self.reasons().items():
            start = f"  does not fit  {model}: "
            lines.append(start + f"\n{' ' * len(start)}".join(texts))
        if self.relax:
            lines.append(f"  nearest: {self.relax}")
        elif self.fitting.empty:
            lines.append("  nothing fits, and no single limit is to blame")
        return "\n".join(lines)


def choose(profiles, *, by: str = "accuracy_mean", **limits: float) -> Choice:
    """The models that keep every limit, and what is wrong with the others.

    Args:
        profiles: the table of `tradeoffs.cost_table`, with accuracies if there
            is a limit on them; or a list of profiles.
        by: the column that says which of those that fit is best; equals are
            ordered by their parameters.
        limits: names of `tradeoffs.LIMITS`. min_accuracy (0 to 1);
            max_parameters; max_file_mib; max_latency_ms (nine images of ten);
            max_inference_seconds (10,000 images); max_inference_memory_mib and
            max_train_memory_mib (main memory at peak); max_gpu_memory_mib (as
            predicted for training); max_epoch_seconds; max_cost_per_month
            (after joining the table of `tradeoffs.cost`). None is no limit.

    Returns:
        A `Choice`. A model without a value that has a limit does not fit.

    Raises:
        TypeError: no table and no profiles; an unknown limit; not a number.
        ValueError: no models, a limit out of range, or no such column.

    >>> import tradeoffs
    >>> runs = [run for model in tradeoffs.MODELS for run in tradeoffs.runs(model)]
    >>> table = tradeoffs.cost_table(tradeoffs.recorded_profiles(), runs)
    >>> choice = tradeoffs.choose(table, max_file_mib=1)
    >>> choice.best, choice.reasons()["keras_cnn"]
    ('gap_cnn', ['max_file_mib: 4.61 MiB for 1 MiB, +361%'])
    """
    table = as_table(profiles)
    limits = _checked(limits)
    rows = [row for name, most in limits.items() for row in _broken(table, name, most)]
    broken = pd.DataFrame(
        rows, columns=["model", "limit", "allowed", "value", "excess"]
    )
    sizes = numbers_in(table, "num_parameters")
    order = pd.DataFrame({"by": numbers_in(table, by), "size": sizes})
    order = order.sort_values(["by", "size"], ascending=[not larger_is_better(by), 1])
    fitting = table.loc[order.index[~order.index.isin(broken.model)]]
    relax = None
    if fitting.empty:
        alone = broken[~broken.model.duplicated(keep=False)].dropna().to_numpy()
        relax = min(map(Relaxation._make, alone), key=_taken, default=None)
    places = broken.model.map(table.index.get_loc).argsort(kind="stable")
    return Choice(limits, fitting, broken.iloc[places].reset_index(drop=True), relax)


def _taken(relaxation):
    """How much it takes; of what is allowed nothing, every excess is infinite."""
    return relaxation.excess, abs(relaxation.needed - relaxation.allowed)


def _checked(limits):
    for name in limits:
        if name not in LIMITS:
            raise TypeError(f"no limit {name!r}; the limits are {', '.join(LIMITS)}")
    return {
        name: number(name, value, least=0, most=1 if LIMITS[name].least else math.inf)
        for name, value in limits.items()
        if value is not None
    }


def _broken(table, name, allowed):
    limit = LIMITS[name]
    for model, value in (numbers_in(table, limit.column) / limit.scale).items():
        excess = math.nan if math.isnan(value) else limit.excess(value, allowed)
        if excess != 0:
            yield model, name, allowed, value, excess


def environments(profiles, limits_by_name: Mapping[str, Mapping[str, float]]):
    """Which models fit where: `choose` for each of several sets of limits.

    Args:
        profiles: as for `choose`.
        limits_by_name: the name of an environment to its limits.

    Returns:
        A DataFrame of text, a row an environment and a column a model: "fits",
        or the names of the limits that it breaks, or of which it is not known
        whether it keeps them ("?").

    Raises:
        TypeError, ValueError: as `choose`.

    >>> import tradeoffs
    >>> limits = {"browser": {"max_file_mib": 1}, "sensor": {"max_parameters": 1_000}}
    >>> tradeoffs.environments(tradeoffs.recorded_profiles(), limits).T
                browser      sensor
    keras_mlp      file  parameters
    keras_cnn      file  parameters
    pytorch_cnn    fits  parameters
    gap_cnn        fits  parameters
    small_net      fits        fits
    """
    table = as_table(profiles)
    rows = {}
    example = '{"browser": {"max_file_mib": 1}}'
    instance("limits_by_name", limits_by_name, Mapping, example)
    for name, limits in limits_by_name.items():
        instance(f"limits_by_name[{name!r}]", limits, Mapping, '{"max_file_mib": 1}')
        broken = choose(table, **limits).broken
        rows[name] = dict.fromkeys(table.index, "fits") | {
            model: ", ".join(_short(row) for row in group.itertuples())
            for model, group in broken.groupby("model")
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(table.index))


def _short(row):
    words = row.limit.split("_")[1:]
    if words[-1] in ("mib", "ms", "seconds") and len(words) > 1:
        words.pop()
    return " ".join(words) + ("?" if math.isnan(row.value) else "")


def pareto(profiles, over: Iterable[str] = ("accuracy_mean", "num_parameters")):
    """The Pareto front over any columns: the rows that no other row beats.

    A row beats another if it is at least as good in every column and better in
    one. Equals stay. Accuracies and throughput are better when larger,
    everything else when smaller.

    Args:
        profiles: the table of `tradeoffs.cost_table`, any other table with a
            row a model, or a list of profiles.
        over: names of columns.

    Returns:
        The rows of the front, in the order of the table.

    Raises:
        TypeError: no table and no profiles, or `over` is a single text.
        ValueError: no models; no or an unknown column; a value that was not
            measured, as nothing can be said of its row.

    >>> import tradeoffs
    >>> runs = [run for model in tradeoffs.MODELS for run in tradeoffs.runs(model)]
    >>> table = tradeoffs.cost_table(tradeoffs.recorded_profiles(), runs)
    >>> tradeoffs.pareto(table).index.tolist()
    ['keras_cnn', 'gap_cnn', 'small_net']
    """
    table = as_table(profiles)
    if isinstance(over, str) or not isinstance(over, Iterable):
        raise TypeError(f"over is {over!r}; give a list of columns")
    over = list(over)
    if not over:
        raise ValueError("over is empty; give at least one column")
    values = pd.DataFrame({column: numbers_in(table, column) for column in over})
    for column, known in values.notna().items():
        if not known.all():
            unknown = ", ".join(map(str, table.index[~known]))
            raise ValueError(
                f"{column} of {unknown} was not measured; leave it out of over, or "
                "leave the model out"
            )
    signs = [-1 if larger_is_better(column) else 1 for column in values]
    losses = (values * signs).to_numpy()
    beaten = [np.any((losses <= row).all(1) & (losses < row).any(1)) for row in losses]
    return table[~np.array(beaten)]
