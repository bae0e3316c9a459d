"""The models that no other model beats."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tradeoffs.decisions.columns import LARGER_IS_BETTER, as_table, numbers_in


def pareto(profiles, over: Iterable[str] = ("accuracy_mean", "num_parameters")):
    """The Pareto front over any columns: the rows that no other row beats.

    A row beats another if it is at least as good in every column and better in
    one. Equals stay. Accuracies and throughput are better when larger,
    everything else when smaller.

    Args:
        profiles: the table of `tradeoffs.cost_table`, any other table with a
            row a model, or a list of `Profile`s.
        over: names of columns.

    Returns:
        The rows of the front, in the order of the table.

    Raises:
        TypeError: no table and no profiles, or `over` is a single text.
        ValueError: no models; no or an unknown column; a value that was not
            measured, as nothing can be said of its row.
    """
    table = as_table(profiles)
    if isinstance(over, str):
        raise TypeError(f"over is {over!r}; give a list of columns")
    over = list(over)
    if not over:
        raise ValueError("over is empty; give at least one column")
    losses = np.empty((len(table), len(over)))
    for place, column in enumerate(over):
        values = numbers_in(table, column)
        if values.isna().any():
            unknown = ", ".join(map(str, values.index[values.isna()]))
            raise ValueError(
                f"{column} of {unknown} was not measured; leave it out of over, or "
                "leave the model out"
            )
        losses[:, place] = -values if column in LARGER_IS_BETTER else values
    beaten = [np.any((losses <= row).all(1) & (losses < row).any(1)) for row in losses]
    return table[~np.array(beaten)]
